-- queue.enter: gives a user a token, or the live one it has, and lets in whom it may.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 user  2 cap  3 rate a second  4 active ttl, ms  5 waiting ttl, ms  6 limit
-- Returns: {UNOPENED}, open it first
--        | {WAITING|ACTIVE, place, issued 0|1, expired, abandoned, wait in ms of each admitted...}

local user, cap, rate = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local active_ttl, waiting_ttl, limit = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if not is_open() then return { 'UNOPENED' } end

local now_us = clock_us()
local now = math.floor(now_us / 1000)
local token = read_token(user)
local expires = token and token.status == 'A' and tonumber(redis.call('ZSCORE', active, user) or 0) or 0
local issued, expired, abandoned = 0, 0, 0
if token and token.status == 'W' and not has_left(token, now, waiting_ttl) then
  redis.call('HSET', tokens, user, format_token('W', token, now))
elseif expires <= now then
  if token and token.status == 'A' then expired = 1 end
  if token and token.status == 'W' then abandoned = 1 end
  end_token(user, nil, 'E', now)
  redis.call('ZREM', ended, user)
  token = { place = string.format('%.0f', redis.call('HINCRBY', state, 'places', 1)), entered = now }
  redis.call('HSET', tokens, user, format_token('W', token, now))
  join_waiting(user, token.place)
  issued = 1
end

local report = admit(now_us, cap, rate, active_ttl, waiting_ttl, limit)
local word = redis.call('ZSCORE', waiting, user) and 'WAITING' or 'ACTIVE'
expired, abandoned = expired + report.expired, abandoned + report.abandoned
return { word, token.place, issued, expired, abandoned, unpack(report.waits) }
