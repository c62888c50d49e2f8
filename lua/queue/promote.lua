-- queue.promote: one bounded step of the scheduler: lets in whom it may, reaps who has left, forgets who ended long
-- ago.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 cap  2 rate a second  3 active ttl, ms  4 waiting ttl, ms  5 limit  6 how long an ended record is kept, ms
--       7 whether the crowd is wanted 0|1
-- Returns: {UNOPENED}, nobody is there
--        | {STEPPED, waiting, active, expired, abandoned, more 0|1, greatest place let in so far,
--          Redis' clock in ms, the place before this opening's first, how many wait with an order up to that, how many
--          were let in, and have left, since the opening, the byte of the crowd that the next begins with, those bytes
--          (empty: not wanted, or nobody waits there), wait in ms of each admitted...}

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

-- The crowd from the byte on in which the first of those who wait is.
local function read_crowd()
  local first = redis.call('ZRANGEBYSCORE', waiting, '(' .. string.format('%.0f', before), '+inf', 'WITHSCORES',
    'LIMIT', 0, 1)
  if not first[2] then return 0, '' end
  local byte = math.floor((tonumber(first[2]) - before - 1) / 8)
  return byte, redis.call('GETRANGE', crowd, string.format('%.0f', byte), -1)
end

local now_us = clock_us()
local now = math.floor(now_us / 1000)
local report = admit(now_us, cap, rate, active_ttl, waiting_ttl, limit)
local reaped = reap_waiting(now)
forget_ended(now)
local early = redis.call('ZCOUNT', waiting, '-inf', string.format('%.0f', before))
local counts = redis.call('HMGET', state, 'let_in', 'left')
local byte, bytes = 0, ''
if ARGV[7] == '1' then byte, bytes = read_crowd() end
return {
  'STEPPED', redis.call('ZCARD', waiting), redis.call('ZCARD', active), report.expired, report.abandoned + reaped,
  report.more and 1 or 0, string.format('%.0f', report.admitted), now, string.format('%.0f', before), early, tonumber(counts[1] or 0),
  tonumber(counts[2] or 0), byte, bytes, unpack(report.waits)
}
