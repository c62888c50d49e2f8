-- queue.shuffle: gives some of those who came early the order that was drawn for them. Who is not there any more is
-- passed over. Any number of callers may do it at once.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 number of the draw  2 an entry number  3... its order, that of the next entry, and so on; 0: behind all
-- Returns: {UNOPENED}, nobody is there | {OTHER}, this draw's entries are not ended, or not there any more
--        | {SHUFFLED, how many are left to be given their order, the least entry number among them}

if not is_open() then return { 'UNOPENED' } end
local draw, entry = tonumber(ARGV[1]), tonumber(ARGV[2])
local last = redis.call('HMGET', state, 'draw', 'closed')
if tonumber(last[1] or 0) ~= draw or tonumber(last[2] or 0) < draw then return { 'OTHER' } end

local orders = #ARGV - 3
local found = redis.call('ZRANGEBYSCORE', early, entry, entry + orders - 1, 'WITHSCORES')
for at = 1, #found, 2 do
  local i = 3 + tonumber(found[at + 1]) - entry
  local order = ARGV[i]
  if order == '0' then order = string.format('%.0f', redis.call('HINCRBY', state, 'places', 1)) end
  redis.call('ZREM', early, found[at])
  join_waiting(found[at], order)
end
local least = redis.call('ZRANGE', early, 0, 0, 'WITHSCORES')
return { 'SHUFFLED', redis.call('ZCARD', early), least[2] or '0' }
