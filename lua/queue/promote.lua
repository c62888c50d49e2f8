-- queue.promote: one bounded step of the scheduler: lets in whom it may, reaps who has left, forgets who ended long
-- ago.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 cap  2 rate a second  3 active ttl, ms  4 waiting ttl, ms  5 limit  6 how long an ended record is kept, ms
-- Returns: {UNOPENED}, nobody is there
--        | {STEPPED, waiting, active, expired, abandoned, more 0|1, greatest place let in so far,
--          wait in ms of each admitted...}

local cap, rate = tonumber(ARGV[1]), tonumber(ARGV[2])
local active_ttl, waiting_ttl = tonumber(ARGV[3]), tonumber(ARGV[4])
local limit, retention = tonumber(ARGV[5]), tonumber(ARGV[6])
if not is_open() then return { 'UNOPENED' } end

-- Walks all who wait, `limit` of them a step, from where the last step stopped.
local function reap_waiting(now)
  local cursor = redis.call('HGET', state, 'reaped') or '-inf'
  local window = redis.call('ZRANGEBYSCORE', waiting, '(' .. cursor, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
  local reaped = 0
  for i = 1, #window, 2 do
    local token = read_token(window[i])
    if not token or has_left(token, now, waiting_ttl) then
      end_token(window[i], token, 'E', now)
      reaped = reaped + 1
    end
  end
  redis.call('HSET', state, 'reaped', #window == 2 * limit and window[#window] or '-inf')
  return reaped
end

local function forget_ended(now)
  local old = redis.call('ZRANGEBYSCORE', ended, '-inf', now - retention, 'LIMIT', 0, limit)
  for _, user in ipairs(old) do
    redis.call('HDEL', tokens, user)
    redis.call('ZREM', ended, user)
  end
end

local now_us = clock_us()
local now = math.floor(now_us / 1000)
local report = admit(now_us, cap, rate, active_ttl, waiting_ttl, limit)
local reaped = reap_waiting(now)
forget_ended(now)
return {
  'STEPPED', redis.call('ZCARD', waiting), redis.call('ZCARD', active), report.expired, report.abandoned + reaped,
  report.more and 1 or 0, string.format('%.0f', report.admitted), unpack(report.waits)
}
