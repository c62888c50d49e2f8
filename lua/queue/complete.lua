-- queue.complete: ends a token that has paid, unless its user may still hold other seats under it.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 user  2 place  3 "1 5", schedules in which the user is known to hold nothing any more
-- Returns: {COMPLETED} | {HOLDING, "7 9"}, other schedules to look at first | {GONE}, not active any more

local user, place, done = ARGV[1], ARGV[2], ' ' .. ARGV[3] .. ' '
local token = read_token(user)
if not token or token.place ~= place or token.status ~= 'A' then return { 'GONE' } end
local left = {}
for schedule in string.gmatch(redis.call('HGET', holding, user) or '', '%d+') do
  if not string.find(done, ' ' .. schedule .. ' ', 1, true) then left[#left + 1] = schedule end
end
if #left > 0 then
  redis.call('HSET', holding, user, table.concat(left, ' '))
  return { 'HOLDING', table.concat(left, ' ') }
end
end_token(user, token, 'C', clock_ms())
return { 'COMPLETED' }
