-- queue.check: whether a token may try now; optionally keeps an active one alive for a seat it has just held.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 user  2 place  3 waiting ttl, ms  4 keep alive for at least, ms (0: only look)  5 schedule of the held seat
-- Returns: {UNOPENED}, open it first | {ACTIVE, ms left} | {WAITING} | {EXPIRED} | {COMPLETED}
--        | {LOST, ms since Redis lost it at the latest} | {UNKNOWN}

local user, place, waiting_ttl, keep = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if not is_open() then return { 'UNOPENED' } end
local now = clock_ms()
local word, expires = standing(user, place, now, waiting_ttl)
if word == 'LOST' then return { word, expires } end
if word ~= 'ACTIVE' then return { word } end
if keep > 0 then
  expires = math.max(expires, now + keep)
  redis.call('ZADD', active, expires, user)
  local schedules = redis.call('HGET', holding, user) or ''
  if not string.find(' ' .. schedules .. ' ', ' ' .. ARGV[5] .. ' ', 1, true) then
    redis.call('HSET', holding, user, schedules == '' and ARGV[5] or schedules .. ' ' .. ARGV[5])
  end
end
return { word, expires - now }
