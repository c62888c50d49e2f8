-- queue.complete: ends a token that has paid, now or, while its user still holds other seats under it, with the last of
-- them. Takes many calls at once (see each.lua).
-- KEYS: the queue's (see token.lua)
-- ARGV: of each call: user, place, "1 5": schedules in which the user is known to hold nothing any more, "7 9": schedules
--       in which it is known to hold seats, ms until the last of those holds ends, and a schedule: leave the token alone
--       unless a seat was held in it under this token; 0: whatever was held
-- Returns: {UNOPENED}, open it first | {COMPLETED} | {KEPT}, it ends with the last hold | {HOLDING, "11"}, other schedules to look at first
--        | {GONE}, not active any more, or left alone

if not is_open() then return { 'UNOPENED' } end
local now = clock_ms()

return each(0, 6, function(user, place, done, held, left, only_if_held_in)
  local token = read_token(user)
  if not token or token.place ~= place or token.status ~= 'A' then return { 'GONE' } end
  local schedules = redis.call('HGET', holding, user) or ''
  if only_if_held_in ~= '0' and not lists(schedules, only_if_held_in) then return { 'GONE' } end
  local open, unknown = {}, {}
  for schedule in string.gmatch(schedules, '%d+') do
    if not lists(done, schedule) then
      open[#open + 1] = schedule
      if not lists(held, schedule) then unknown[#unknown + 1] = schedule end
    end
  end
  if #open == 0 then
    end_token(user, token, 'C', now)
    return { 'COMPLETED' }
  end
  redis.call('HSET', holding, user, table.concat(open, ' '))
  if #unknown > 0 then return { 'HOLDING', table.concat(unknown, ' ') } end
  redis.call('ZADD', active, now + left, user)
  return { 'KEPT' }
end)
