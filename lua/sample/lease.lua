-- sample.lease: asks to be the instance that measures the shop, or to go on being it.
-- KEYS: the sampler's:
--   1 lease    STRING  who measures; ends by itself unless it is renewed
-- ARGV: 1 who asks  2 how long it is given, ms
-- Returns: {MINE} | {OTHERS}

local lease = unpack(KEYS)
local holder = redis.call('GET', lease)
if holder and holder ~= ARGV[1] then return { 'OTHERS' } end
redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
return { 'MINE' }
