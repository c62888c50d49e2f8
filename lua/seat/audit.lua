-- seat.audit: a seat map's invariants at one instant. Changes nothing. Its work grows with the number of seats.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 age from which a payment under way is stuck, ms
-- Returns: {MISSING}, there is nothing to check
--        | {AUDITED, one byte a seat, holds that nothing will end, payments that are stuck}

if not is_loaded() then return { 'MISSING' } end
local now, stuck_age = clock_ms(), tonumber(ARGV[1])
local states = redis.call('GET', seats)
local endless = 0
for position = 0, #states - 1 do
  local state = string.sub(states, position + 1, position + 1)
  if state == 'H' or state == 'P' then
    local reservation = redis.call('HGET', by_seat, position)
    local hold = reservation and read_hold(reservation)
    local ends = hold and hold.status == state
      and redis.call('ZSCORE', state == 'H' and lapses or paying, reservation)
    if not ends then endless = endless + 1 end
  end
end
return { 'AUDITED', states, endless, redis.call('ZCOUNT', paying, '-inf', now - stuck_age) }
