-- seat.begin_payment: from here on nobody takes the seat while money moves, and no time limit frees it. Takes many calls
-- at once (see each.lua).
-- KEYS: the schedule's (see map.lua)
-- ARGV: of each call: user, reservation, the name of the token that it has to be held under (empty: any of the user's)
-- Returns: {MISSING}, load the map first | {UNKNOWN}, not this user's | {LAPSED}
--        | {DOUBTFUL}, neither for sure: the map is new, and what it lost may be being paid
--        | {PAYING}, another request is at it | {OTHER_TOKEN}, held under another than was named
--        | {SOLD} | {BEGUN, position, number of this attempt to pay}

if not is_loaded() then return { 'MISSING' } end
local now = clock_ms()
local is_doubtful = now < tonumber(redis.call('HGET', map, 'doubtful') or 0)

return each(0, 3, function(user, reservation, token)
  local hold = free_if_lapsed(reservation, now)
  if hold and hold.user ~= user then return { 'UNKNOWN' } end
  if is_doubtful and (not hold or hold.status == 'L' or hold.status == 'G') then return { 'DOUBTFUL' } end
  if not hold then return { 'UNKNOWN' } end
  if hold.status == 'P' then return { 'PAYING' } end
  if hold.status == 'S' then return { 'SOLD' } end
  if hold.status ~= 'H' then return { 'LAPSED' } end
  if token ~= '' and token ~= hold.token then return { 'OTHER_TOKEN' } end
  hold.attempt = hold.attempt + 1
  write_hold(reservation, hold, 'P')
  redis.call('ZREM', lapses, reservation)
  redis.call('ZADD', paying, now, reservation)
  set_seat(hold.position, 'P')
  return { 'BEGUN', hold.position, hold.attempt }
end)
