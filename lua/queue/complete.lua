-- queue.complete: ends a token that has paid; now, or, while its user still holds other seats under it, with the last of them.
-- KEYS: of each schedule that is looked into, map, holds and by_user (see seat/map.lua); then the queue's (see token.lua)
-- ARGV: 1 user  2 place  3 those schedules, in their order: "1 5"  4 a schedule: leave the token alone unless a seat was held in
--       it under this token; 0: whatever was held
-- Returns: {UNOPENED}, open it first | {MISSING, schedule}, load its map first | {COMPLETED} | {KEPT}, it ends with the last hold
--        | {HOLDING, "1 5 11"}, look into these, in some of which nobody has looked | {GONE}, not active any more, or left alone

if not is_open() then return { 'UNOPENED' } end
local user, place, asked, only_if_held_in = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local now = clock_ms()

local token = read_token(user)
if not token or token.place ~= place or token.status ~= 'A' then return { 'GONE' } end
local schedules = redis.call('HGET', holding, user) or ''
if only_if_held_in ~= '0' and not lists(schedules, only_if_held_in) then return { 'GONE' } end
for schedule in string.gmatch(schedules, '%d+') do
  if not lists(asked, schedule) then return { 'HOLDING', schedules } end
end

-- Until when the user holds seats in a schedule; nothing if it holds none. What is being paid does not lapse, and counts as held
-- for 5 s at least, in which its payment ends one way or the other.
local function held_until(holds, by_user)
  local last
  for reservation in string.gmatch(redis.call('HGET', by_user, user) or '', '%d+') do
    local record = redis.call('HGET', holds, reservation) or ''
    local status, deadline = string.match(record, '^(%u):%d+:%d+:(%d+)')
    local ends = math.max(tonumber(deadline or 0), status == 'P' and now + 5000 or 0)
    if ends > now then last = math.max(last or 0, ends) end
  end
  return last
end

local open, last, at = {}, 0, 1
for schedule in string.gmatch(asked, '%d+') do
  local map, holds, by_user = unpack(KEYS, at, at + 2)
  if redis.call('HGET', map, 'incarnation') ~= incarnation then return { 'MISSING', schedule } end
  local ends = held_until(holds, by_user)
  if ends then
    open[#open + 1] = schedule
    last = math.max(last, ends)
  end
  at = at + 3
end
if #open == 0 then
  end_token(user, token, 'C', now)
  return { 'COMPLETED' }
end
redis.call('HSET', holding, user, table.concat(open, ' '))
redis.call('ZADD', active, string.format('%d', last), user)
return { 'KEPT' }
