-- seat.find: a user's reservations as the map has them: one of them, whatever has become of it, or all that it holds or is
-- paying for.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 user  2 reservation; empty: all
-- Returns: {MISSING}, load the map first
--        | {FOUND, reservation, status (see map.lua), position, deadline in ms...}; another's is not found

if not is_loaded() then return { 'MISSING' } end
local user = ARGV[1]
local list = ARGV[2] == '' and list_of(user) or ARGV[2]
local now = clock_ms()
for reservation in string.gmatch(list, '%d+') do free_if_lapsed(reservation, now) end
if ARGV[2] == '' then list = list_of(user) end
local reply = { 'FOUND' }
for reservation in string.gmatch(list, '%d+') do
  local hold = read_hold(reservation)
  if hold and hold.user == user then
    reply[#reply + 1] = reservation
    reply[#reply + 1] = hold.status
    reply[#reply + 1] = hold.position
    reply[#reply + 1] = hold.deadline
  end
end
return reply
