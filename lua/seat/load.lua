-- seat.load: first half of building a schedule's map from Postgres' truth. The map stays closed until seat.open has
-- marked what was sold between the reading and this script; a payment that finishes in between marks its own seat.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 nonce of this loading  2 the seats as Postgres has them, one byte each
-- Returns: {LOADING} | {LOADED}, another was faster

if is_loaded() then return { 'LOADED' } end
redis.call('DEL', unpack(KEYS))
redis.call('SET', seats, ARGV[2])
redis.call('HSET', map, 'loading', ARGV[1])
return { 'LOADING' }
