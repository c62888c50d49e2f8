-- queue.open: opens a queue that Redis does not know, new or lost, so that its places go on above all given before.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 the place before the first, from an epoch that Postgres counted up
-- Returns: {OPENED} | {OPEN}, it was open already

if redis.call('HEXISTS', state, 'places') == 1 then return { 'OPEN' } end
redis.call('HSET', state, 'places', ARGV[1])
return { 'OPENED' }
