-- limit.share: adds what one instance has let through to what all have, and says how much of each bucket is spent by all.
-- Buckets that are full again are forgotten.
-- KEYS: 1 spent, a sorted set: whose bucket -> when it is full again, in microseconds of Redis' clock
-- ARGV: 1 what one request costs, ns of refilling  2 how many full ones to forget  3... whose:requests of each
-- Returns: {SHARED, microseconds until it is full again of each...}

local spent = unpack(KEYS)
local cost_ns, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for _, whose in ipairs(redis.call('ZRANGEBYSCORE', spent, '-inf', now, 'LIMIT', 0, limit)) do
  redis.call('ZREM', spent, whose)
end
local reply = { 'SHARED' }
-- The last argument says which Redis this is: a bucket is not worth minding that.
for i = 3, #ARGV - 1 do
  local whose, requests = string.match(ARGV[i], '^(.+):(%d+)$')
  local full = math.max(now, tonumber(redis.call('ZSCORE', spent, whose) or 0))
  full = full + math.ceil(requests * cost_ns / 1000)
  redis.call('ZADD', spent, string.format('%.0f', full), whose)
  reply[#reply + 1] = string.format('%.0f', full - now)
end
return reply
