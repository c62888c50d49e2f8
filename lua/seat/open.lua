-- seat.open: second half of building a map: marks what Postgres, asked again, says is sold, and opens it.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 nonce given to seat.load  2... positions sold
-- Returns: {OPENED} | {OUTRUN}, another loading took over

if redis.call('HGET', map, 'loading') ~= ARGV[1] then return { 'OUTRUN' } end
for i = 2, #ARGV do redis.call('SETRANGE', seats, ARGV[i], 'S') end
redis.call('HDEL', map, 'loading')
redis.call('HSET', map, 'generation', ARGV[1])
redis.call('HINCRBY', map, 'version', 1)
return { 'OPENED' }
