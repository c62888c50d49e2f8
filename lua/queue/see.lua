-- queue.see: tokens that were seen by an instance that did not ask Redis then. Those that wait count as seen at that time;
-- who has ended stays ended. Tells of those that do not wait any more what they are.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 waiting ttl, ms  2... user:place:ms since it was seen of each
-- Returns: {UNOPENED}, open it first
--        | {SEEN, of each but those that wait and are in the crowd: user:place:WAITING:rank from 0:expiry in
--          ms if not seen again,
--          user:place:ACTIVE:expiry in ms:ms left, or user:place:EXPIRED|COMPLETED|LOST|UNKNOWN:0:0...}

if not is_open() then return { 'UNOPENED' } end
local waiting_ttl = tonumber(ARGV[1])
local now = clock_ms()
local reply = { 'SEEN' }
for i = 2, #ARGV - 1 do
  local user, place, age = string.match(ARGV[i], '^(%d+):(%d+):(%d+)$')
  local word, expires, token = standing(user, place, now, waiting_ttl)
  local number, left = 0, 0
  if word == 'WAITING' then
    local order = tonumber(redis.call('ZSCORE', waiting, user))
    if now - age > token.seen then keep_seen(user, token, order, now - age) end
    -- Without a bit nobody else can tell its rank.
    if order and order > before then
      word = nil
    else
      -- Before it is drawn, all others come first at worst.
      local others = redis.call('ZCARD', waiting) + redis.call('ZCARD', early) - 1
      number, left = redis.call('ZRANK', waiting, user) or others, math.max(token.seen, now - age) + waiting_ttl
    end
  elseif word == 'ACTIVE' then
    number, left = expires, expires - now
  end
  if word then reply[#reply + 1] = string.format('%s:%s:%s:%.0f:%.0f', user, place, word, number, left) end
end
return reply
