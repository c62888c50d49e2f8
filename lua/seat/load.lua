-- seat.load: first half of building a schedule's map from Postgres' truth. The map stays closed until seat.open has
-- marked what Postgres, asked after this script, has as sold; a payment or refund that ends in between leaves its own mark.
-- What a former Redis left of a map is kept, with its holds; only what is torn is thrown away.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 nonce of this loading  2 the seats, one byte each: all free
-- Returns: {LOADING} | {LOADED}, another was faster

if is_loaded() then return { 'LOADED' } end
local kept = redis.call('HEXISTS', map, 'generation') == 1 and redis.call('STRLEN', seats) == #ARGV[2]
if not kept then
  redis.call('DEL', unpack(KEYS))
  redis.call('SET', seats, ARGV[2])
end
redis.call('HSET', map, 'loading', ARGV[1])
return { 'LOADING' }
