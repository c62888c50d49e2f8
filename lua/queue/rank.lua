-- queue.rank: what a token is now and how many are before it; a waiting one counts as seen.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 user  2 place  3 waiting ttl, ms
-- Returns: {UNOPENED}, open it first | {WAITING, rank from 0, expiry in ms if not seen again, its order, 0 if it is
--          to be drawn, its entry number then, else 0}
--        | {ACTIVE, expiry in ms, ms left} | {EXPIRED} | {COMPLETED} | {LOST, ms since Redis lost it at the latest} | {UNKNOWN}

local user, place, waiting_ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])
if not is_open() then return { 'UNOPENED' } end
local now = clock_ms()
local word, time, token = standing(user, place, now, waiting_ttl)
if word == 'WAITING' then
  local order = tonumber(redis.call('ZSCORE', waiting, user))
  keep_seen(user, token, order, now)
  local entry = redis.call('ZSCORE', early, user)
  if entry then
    -- How many come first is not drawn yet: all others at worst.
    local others = redis.call('ZCARD', waiting) + redis.call('ZCARD', early) - 1
    return { word, others, now + waiting_ttl, '0', entry }
  end
  return { word, redis.call('ZRANK', waiting, user), now + waiting_ttl, string.format('%.0f', order), '0' }
end
if word == 'ACTIVE' then return { word, time, time - now } end
if word == 'LOST' then return { word, time } end
return { word }
