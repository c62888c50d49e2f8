-- seat.look: the seats of a schedule as they are now, if they have changed since the caller last looked.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 generation known  2 version known  3 limit
-- Returns: {MISSING}, load the map first | {SAME} | {SEATS, generation, version, one byte a seat}

if not is_loaded() then return { 'MISSING' } end
free_lapsed(clock_ms(), tonumber(ARGV[3]))
local at = redis.call('HMGET', map, 'generation', 'version')
if at[1] == ARGV[1] and at[2] == ARGV[2] then return { 'SAME' } end
return { 'SEATS', at[1], at[2], redis.call('GET', seats) }
