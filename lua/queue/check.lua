-- queue.check: whether a token may try now; optionally keeps an active one alive for a seat it has just held. Takes many
-- calls at once (see each.lua).
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 waiting ttl, ms; of each call: user, place, keep alive for at least, ms (0: only look), schedule of the held seat
-- Returns: {UNOPENED}, open it first | {ACTIVE, ms left} | {WAITING} | {EXPIRED} | {COMPLETED}
--        | {LOST, ms since Redis lost it at the latest} | {UNKNOWN}

if not is_open() then return { 'UNOPENED' } end
local waiting_ttl, now = tonumber(ARGV[1]), clock_ms()

return each(1, 4, function(user, place, keep, schedule)
  local word, expires = standing(user, place, now, waiting_ttl)
  if word == 'LOST' then return { word, expires } end
  if word ~= 'ACTIVE' then return { word } end
  if tonumber(keep) > 0 then
    expires = math.max(expires, now + keep)
    redis.call('ZADD', active, string.format('%d', expires), user)
    if redis.call('HSETNX', holding, user, schedule) == 0 then
      local schedules = redis.call('HGET', holding, user)
      if not lists(schedules, schedule) then redis.call('HSET', holding, user, schedules .. ' ' .. schedule) end
    end
  end
  return { word, expires - now }
end)
