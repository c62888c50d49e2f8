-- queue.restore: gives back a place that Redis has lost, on the word of the token that was given for it; lets in whom it may.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 user  2 place  3 cap  4 rate a second  5 active ttl, ms  6 waiting ttl, ms  7 limit
-- Returns: {UNOPENED}, open it first | {KNOWN}, it is not lost
--        | {RESTORED, expired, abandoned, wait in ms of each admitted...}

local user, place, cap, rate = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local active_ttl, waiting_ttl, limit = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if not is_open() then return { 'UNOPENED' } end

local now_us = clock_us()
local now = math.floor(now_us / 1000)
if standing(user, place, now, waiting_ttl) ~= 'LOST' then return { 'KNOWN' } end
redis.call('ZREM', ended, user)
redis.call('HSET', tokens, user, format_token('W', { place = place, entered = now }, now))
join_waiting(user, place)
local report = admit(now_us, cap, rate, active_ttl, waiting_ttl, limit)
return { 'RESTORED', report.expired, report.abandoned, unpack(report.waits) }
