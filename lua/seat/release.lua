-- seat.release: its owner gives up a hold; the seat is free at once.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 user  2 reservation
-- Returns: {MISSING}, load the map first | {UNKNOWN}, not this user's | {RELEASED} | {GIVEN_UP}, it was released before
--        | {LAPSED}, it had ended otherwise | {PAYING}, too late | {SOLD}

if not is_loaded() then return { 'MISSING' } end
local user, reservation = ARGV[1], ARGV[2]
local now = clock_ms()
free_if_lapsed(reservation, now)
local hold = read_hold(reservation)
if not hold or hold.user ~= user then return { 'UNKNOWN' } end
if hold.status == 'P' then return { 'PAYING' } end
if hold.status == 'S' then return { 'SOLD' } end
if hold.status == 'G' then return { 'GIVEN_UP' } end
if hold.status ~= 'H' then return { 'LAPSED' } end
end_hold(reservation, hold, 'G', 'F', now)
return { 'RELEASED' }
