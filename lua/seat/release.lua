-- seat.release: its owner gives up a hold; the seat is free at once.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 user  2 reservation  3 the name of the token that gives it up (empty: its user does)
-- Returns: {MISSING}, load the map first | {UNKNOWN}, not this user's | {RELEASED} | {GIVEN_UP}, it was released before
--        | {LAPSED}, it had ended otherwise | {PAYING}, too late | {SOLD}
--        | {LATER_TOKEN}, it is held under a later token of its user, or one of another queue

if not is_loaded() then return { 'MISSING' } end
local user, reservation = ARGV[1], ARGV[2]

-- Whether a token came after another. Their names are QUEUE-PLACE, and places grow.
local function is_later(token, than)
  local queue, place = string.match(token, '^(%d+)-(%d+)$')
  local other_queue, other_place = string.match(than, '^(%d+)-(%d+)$')
  return queue and other_queue and (queue ~= other_queue or tonumber(place) > tonumber(other_place))
end

local now = clock_ms()
free_if_lapsed(reservation, now)
local hold = read_hold(reservation)
if not hold or hold.user ~= user then return { 'UNKNOWN' } end
if hold.status == 'P' then return { 'PAYING' } end
if hold.status == 'S' then return { 'SOLD' } end
if hold.status == 'G' then return { 'GIVEN_UP' } end
if hold.status ~= 'H' then return { 'LAPSED' } end
if is_later(hold.token, ARGV[3]) then return { 'LATER_TOKEN' } end
end_hold(reservation, hold, 'G', 'F', now)
return { 'RELEASED' }
