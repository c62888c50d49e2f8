-- queue.leave: ends a token at its owner's wish; its place or slot is free at once.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 user  2 place  3 waiting ttl, ms
-- Returns: {UNOPENED}, open it first | {LEFT, schedules in which it held seats}
--        | {GONE}, it had ended before | {LOST, ms since Redis lost it at the latest} | {UNKNOWN}

local user, place, waiting_ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])
if not is_open() then return { 'UNOPENED' } end
local now = clock_ms()
local word, time, token = standing(user, place, now, waiting_ttl)
if word == 'UNKNOWN' then return { word } end
if word == 'LOST' then return { word, time } end
if word ~= 'WAITING' and word ~= 'ACTIVE' then return { 'GONE' } end
local schedules = redis.call('HGET', holding, user) or ''
end_token(user, token, 'E', now)
return { 'LEFT', schedules }
