-- seat.sweep: one bounded step of the scheduler: frees lapsed holds, forgets ended ones of long ago, and names the
-- payments that have been under way for suspiciously long.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 limit  2 age from which a payment is suspicious, ms  3 how long an ended record is kept, ms
-- Returns: {MISSING}, nothing to do
--        | {SWEPT, freed, holds live, age of the oldest payment under way in ms (0: none is), reservation, user, position
--          and attempt of each suspicious payment...}

if not is_loaded() then return { 'MISSING' } end
local limit, suspicious, retention = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = clock_ms()
local freed = free_lapsed(now, limit)
for _, reservation in ipairs(redis.call('ZRANGEBYSCORE', past, '-inf', now - retention, 'LIMIT', 0, limit)) do
  redis.call('HDEL', holds, reservation)
  redis.call('ZREM', past, reservation)
end
local oldest = redis.call('ZRANGE', paying, 0, 0, 'WITHSCORES')[2]
local age = oldest and math.max(0, now - tonumber(oldest)) or 0
local reply = { 'SWEPT', freed, redis.call('ZCARD', lapses) + redis.call('ZCARD', paying), age }
for _, reservation in ipairs(redis.call('ZRANGEBYSCORE', paying, '-inf', now - suspicious, 'LIMIT', 0, limit)) do
  local hold = read_hold(reservation)
  reply[#reply + 1] = reservation
  reply[#reply + 1] = hold.user
  reply[#reply + 1] = hold.position
  reply[#reply + 1] = hold.attempt
end
return reply
