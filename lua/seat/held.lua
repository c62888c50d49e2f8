-- seat.held: the reservations that a user holds, or is paying for, in this schedule.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 user
-- Returns: {MISSING}, load the map first | {HELD, reservation, H|P, ms left of its hold...}; a hold that is being paid does
--          not lapse, and counts as having at least 5 s left, in which its payment ends one way or the other

if not is_loaded() then return { 'MISSING' } end
local now = clock_ms()
for mine in string.gmatch(list_of(ARGV[1]), '%d+') do free_if_lapsed(mine, now) end
local reply = { 'HELD' }
for mine in string.gmatch(list_of(ARGV[1]), '%d+') do
  local hold = read_hold(mine)
  reply[#reply + 1] = mine
  reply[#reply + 1] = hold.status
  reply[#reply + 1] = math.max(hold.deadline - now, hold.status == 'P' and 5000 or 0)
end
return reply
