-- queue.open: opens a queue that this Redis does not know: new, lost, or come from a former Redis that may have known more.
-- What is left of it stays; its places go on above all given before.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 the place before the first, from an epoch that Postgres counted up  2 for how long lost places may be claimed, ms
--       3 for how long nobody is let in, so that they are, ms
-- Returns: {OPENED, whether something was left of it 0|1} | {OPEN}, it was open already

if is_open() then return { 'OPEN' } end
local now = clock_ms()
local kept = redis.call('HMGET', state, 'places', 'admitted', 'draw', 'closed', 'base')
local places = string.format('%.0f', math.max(tonumber(kept[1] or 0), tonumber(ARGV[1])))
redis.call('UNLINK', crowd)
begin_slots(tonumber(places))
redis.call('HSET', state, 'places', places, 'before', places, 'admitted', kept[2] or 0, 'incarnation', incarnation,
  'opened', string.format('%.0f', now), 'window', ARGV[2], 'calm', string.format('%.0f', now + ARGV[3]),
  'let_in', 0, 'left', 0)
-- Entries of a draw that goes on are counted on without a gap.
if kept[1] and tonumber(kept[3] or 0) > tonumber(kept[4] or 0) then
  redis.call('HSET', state, 'base', string.format('%.0f', tonumber(places) - (tonumber(kept[1]) - tonumber(kept[5]))))
end
return { 'OPENED', kept[1] and 1 or 0 }
