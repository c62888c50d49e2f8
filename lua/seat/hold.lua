-- seat.hold: takes a seat for a while, if the token may try, and keeps the token alive to the hold's end; or leaves everything
-- as it is. Takes many calls at once (see each.lua).
-- KEYS: the schedule's (see map.lua), then its queue's (see queue/token.lua)
-- ARGV: 1 most holds a user  2 limit  3 waiting ttl, ms  4 the schedule; of each call: user, place of its token, the token's name,
--       reservation id (never used before), position, hold ttl in ms
-- Returns: {MISSING}, load the map first | {UNOPENED}, open the queue first
--        | {WAITING} | {EXPIRED} | {COMPLETED} | {LOST, ms since Redis lost it at the latest} | {UNKNOWN}: the token may not try
--        | {NO_SEAT} | {TAKEN} | {LIMIT}
--        | {HELD|AGAIN, reservation id, ms left of the token}; AGAIN: the user had it already, the id given is unused

if not is_loaded() then return { 'MISSING' } end
if not is_open() then return { 'UNOPENED' } end
local most, limit, waiting_ttl, schedule = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local now = clock_ms()
free_lapsed(now, limit)

return each(4, 6, function(user, place, token, reservation, position, ttl)
  local word, expires = standing(user, place, now, waiting_ttl)
  if word ~= 'ACTIVE' then return { word, expires } end

  local list = list_of(user)
  for mine in string.gmatch(list, '%d+') do
    local hold = free_if_lapsed(mine, now)
    if hold and hold.status == 'L' then list = list_of(user) end
  end

  local state = redis.call('GETRANGE', seats, position, position)
  if state == '' then return { 'NO_SEAT' } end
  if state == 'H' or state == 'P' then
    local holder = redis.call('HGET', by_seat, position)
    local hold = free_if_lapsed(holder, now)
    if hold and hold.status == 'L' then
      state = 'F'
    elseif hold and hold.user == user then
      return { 'AGAIN', holder, keep_token(user, expires, schedule, hold.deadline) - now }
    end
  end
  if state ~= 'F' then return { 'TAKEN' } end
  if count(list) >= most then return { 'LIMIT' } end

  local hold = { position = position, user = user, deadline = now + ttl, attempt = 0, token = token }
  write_hold(reservation, hold, 'H')
  redis.call('ZADD', lapses, string.format('%d', hold.deadline), reservation)
  redis.call('HSET', by_seat, position, reservation)
  redis.call('HSET', by_user, user, list == '' and reservation or list .. ' ' .. reservation)
  set_seat(position, 'H')
  return { 'HELD', reservation, keep_token(user, expires, schedule, hold.deadline) - now }
end)
