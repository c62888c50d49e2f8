-- queue.close_draw: ends a draw's entries, unless it is too early or another call has done so, and says how many there are.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 number of the draw  2 when it is over, ms since 1970
-- Returns: {UNOPENED}, open it first | {EARLY} | {CLOSED, the place before its first, how many entries, the order before
--          the first drawn one}

local terms = { draw = tonumber(ARGV[1]), opens_at = tonumber(ARGV[2]) }
if not is_open() then return { 'UNOPENED' } end
close_draw(clock_ms(), terms)
local at = redis.call('HMGET', state, 'closed', 'base', 'entries', 'first')
if tonumber(at[1] or 0) < terms.draw then return { 'EARLY' } end
return { 'CLOSED', at[2], at[3], at[4] }
