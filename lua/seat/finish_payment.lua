-- seat.finish_payment: tells the map how a payment ended. Postgres has decided; this script only follows. Takes many calls
-- at once (see each.lua).
-- KEYS: the schedule's (see map.lua), then its queue's (see queue/token.lua)
-- ARGV: 1 the schedule; of each call: user, reservation, position, attempt, PAID | REFUSED (the hold is what it was)
--       | ABORTED (it is never sold any more: refunded since) | SOLD_TO_ANOTHER (nor can anybody pay for its seat). Unless PAID, only the
--       attempt that is under way is ended: an older one that comes late changes nothing; and the place of the token that has
--       paid, which ends with this seat if its user holds no other (empty: no token)
-- Returns: {MISSING}, there is no map, and what is loaded later will be right
--        | {SOLD, 1 if there is nothing left to be done about the token, or 0} | {HELD} | {FREED} | {YIELDED}, the seat is marked as sold
--        | {GONE}, there was nothing to end, or it is not sold any more

if redis.call('EXISTS', seats) == 0 then return { 'MISSING' } end
local schedule, now = ARGV[1], clock_ms()

-- Ends the token, if its user holds nothing more here and has held nothing elsewhere. Whether nothing is left to be done about it.
local function use_up(user, place, left)
  if place == '' then return 1 end
  if left > 0 or not is_open() then return 0 end
  local token = read_token(user)
  if not token or token.place ~= place or token.status ~= 'A' then return 1 end
  local schedules = redis.call('HGET', holding, user)
  if schedules and schedules ~= schedule then return 0 end
  end_token(user, token, 'C', now)
  return 1
end

-- Sold is sold: a map that was built anew may know nothing of this hold, or have given the seat to another.
local function sell(user, reservation, position, attempt, hold, place)
  if hold and hold.status == 'R' then return { 'GONE' } end
  local holder = redis.call('HGET', by_seat, position)
  if holder == reservation and hold and hold.status == 'P' then
    redis.call('ZREM', paying, reservation)
    write_hold(reservation, hold, 'S')
    set_seat(position, 'S')
    return { 'SOLD', use_up(user, place, strike(user, reservation)) }
  end
  local other = holder and holder ~= reservation and read_hold(holder)
  if other then end_hold(holder, other, 'G', 'S', now) end
  hold = hold or { position = position, user = user, deadline = now, attempt = attempt, token = '' }
  end_hold(reservation, hold, 'S', 'S', now)
  redis.call('HSET', by_seat, position, reservation)
  set_seat(position, 'S')
  return { 'SOLD', use_up(user, place, count(list_of(user))) }
end

return each(1, 6, function(user, reservation, position, attempt, outcome, place)
  local hold = read_hold(reservation)
  if outcome == 'PAID' then return sell(user, reservation, position, tonumber(attempt), hold, place) end
  if not hold or hold.status ~= 'P' or hold.attempt ~= tonumber(attempt) then return { 'GONE' } end
  if outcome == 'REFUSED' and hold.deadline > now then
    write_hold(reservation, hold, 'H')
    redis.call('ZREM', paying, reservation)
    redis.call('ZADD', lapses, hold.deadline, reservation)
    set_seat(hold.position, 'H')
    return { 'HELD' }
  end
  if outcome == 'SOLD_TO_ANOTHER' then
    end_hold(reservation, hold, 'G', 'S', now)
    return { 'YIELDED' }
  end
  end_hold(reservation, hold, outcome == 'REFUSED' and 'L' or 'R', 'F', now)
  return { 'FREED' }
end)
