-- seat.open: second half of building a map: marks what Postgres, asked since seat.load, says is sold, and opens it.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 nonce given to seat.load  2 for how long payments may be under way that this map does not know, ms
--       3... position:reservation of each seat sold
-- Returns: {OPENED} | {OUTRUN}, another loading took over

if redis.call('HGET', map, 'loading') ~= ARGV[1] then return { 'OUTRUN' } end
local now = clock_ms()
for i = 3, #ARGV - 1 do
  local position, reservation = string.match(ARGV[i], '^(%d+):(%d+)$')
  local sale, owner = read_hold(reservation), redis.call('HGET', by_seat, position)
  if sale and sale.status == 'R' then
    -- It was refunded since Postgres was asked.
  elseif redis.call('GETRANGE', seats, position, position) == 'S' then
    -- Who was marked since has paid since.
    redis.call('HSETNX', by_seat, position, reservation)
  else
    -- In a map that was left, whoever held the seat had it before the sale, or is the one it was sold to.
    local hold = owner and read_hold(owner)
    if hold then end_hold(owner, hold, owner == reservation and 'S' or 'G', 'S', now) end
    redis.call('SETRANGE', seats, position, 'S')
    redis.call('HSET', by_seat, position, reservation)
  end
end
redis.call('HDEL', map, 'loading')
redis.call('HSET', map, 'generation', ARGV[1], 'incarnation', incarnation, 'doubtful', string.format('%.0f', now + ARGV[2]))
redis.call('HINCRBY', map, 'version', 1)
return { 'OPENED' }
