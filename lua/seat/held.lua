-- seat.held: the reservations that a user holds, or is paying for, in this schedule.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 user
-- Returns: {MISSING}, load the map first | {HELD, reservation, H|P...}; a hold that is being paid does not lapse

if not is_loaded() then return { 'MISSING' } end
local now = clock_ms()
for mine in string.gmatch(list_of(ARGV[1]), '%d+') do free_if_lapsed(mine, now) end
local reply = { 'HELD' }
for mine in string.gmatch(list_of(ARGV[1]), '%d+') do
  reply[#reply + 1] = mine
  reply[#reply + 1] = read_hold(mine).status
end
return reply
