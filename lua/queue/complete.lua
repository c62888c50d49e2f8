-- queue.complete: ends a token that has paid, now or, while its user still holds other seats under it, with the last of
-- them.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 user  2 place  3 "1 5", schedules in which the user is known to hold nothing any more
--       4 "7 9", schedules in which it is known to hold seats  5 ms until the last of those holds ends
--       6 a schedule: leave the token alone unless a seat was held in it under this token; 0: whatever was held
-- Returns: {UNOPENED}, open it first | {COMPLETED} | {KEPT}, it ends with the last hold | {HOLDING, "11"}, other schedules to look at first
--        | {GONE}, not active any more, or left alone

local user, place, done, held, left = ARGV[1], ARGV[2], ' ' .. ARGV[3] .. ' ', ' ' .. ARGV[4] .. ' ', tonumber(ARGV[5])
if not is_open() then return { 'UNOPENED' } end
local token = read_token(user)
if not token or token.place ~= place or token.status ~= 'A' then return { 'GONE' } end
local now = clock_ms()
local schedules = redis.call('HGET', holding, user) or ''
if ARGV[6] ~= '0' and not string.find(' ' .. schedules .. ' ', ' ' .. ARGV[6] .. ' ', 1, true) then return { 'GONE' } end
local open, unknown = {}, {}
for schedule in string.gmatch(schedules, '%d+') do
  if not string.find(done, ' ' .. schedule .. ' ', 1, true) then
    open[#open + 1] = schedule
    if not string.find(held, ' ' .. schedule .. ' ', 1, true) then unknown[#unknown + 1] = schedule end
  end
end
if #open == 0 then
  end_token(user, token, 'C', now)
  return { 'COMPLETED' }
end
redis.call('HSET', holding, user, table.concat(open, ' '))
if #unknown > 0 then return { 'HOLDING', table.concat(unknown, ' ') } end
redis.call('ZADD', active, now + left, user)
return { 'KEPT' }
