-- seat.hold: takes a seat for a while, or leaves everything as it is. Takes many calls at once (see each.lua).
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 most holds a user  2 limit; of each call: user, reservation id (never used before), position, the name of the
--       user's token, hold ttl in ms
-- Returns: {MISSING}, load the map first | {NO_SEAT} | {TAKEN} | {LIMIT}
--        | {HELD|AGAIN, reservation id, ms left}; AGAIN: the user had it already, the id given is unused

if not is_loaded() then return { 'MISSING' } end
local most, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = clock_ms()
free_lapsed(now, limit)

return each(2, 5, function(user, reservation, position, token, ttl)
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
      return { 'AGAIN', holder, math.max(0, hold.deadline - now) }
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
  return { 'HELD', reservation, tonumber(ttl) }
end)
