-- seat.refund: the money went back, so the seat is free, unless it has passed to another since. Postgres has decided;
-- this script only follows, and may come late or twice: by_seat is its fence.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 reservation; empty for a seat that is sold to nobody whom the map knows  2 position
-- Returns: {MISSING}, there is no map, and what is loaded later will be right | {FREED}
--        | {GONE}, the seat was not, or is no longer, this reservation's

local reservation, position = ARGV[1], ARGV[2]
if redis.call('EXISTS', seats) == 0 then return { 'MISSING' } end
local owner = redis.call('HGET', by_seat, position)

if reservation == '' then
  if owner or redis.call('GETRANGE', seats, position, position) ~= 'S' then return { 'GONE' } end
  set_seat(position, 'F')
  return { 'FREED' }
end

-- Whosever seat it is now, the record is kept: the end of its payment, or an older reading of Postgres, may come later.
local now = clock_ms()
local hold = read_hold(reservation) or { position = position, user = '0', deadline = now, attempt = 0, token = '' }
end_hold(reservation, hold, 'R', 'F', now)
if owner ~= reservation then return { 'GONE' } end
return { 'FREED' }
