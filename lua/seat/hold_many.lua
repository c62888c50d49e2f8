-- seat.hold_many: takes several seats for a while, all or none, if the token may try, and keeps the token alive to the holds' end;
-- the very ones that are named, or the best there are. Who asks for the best is given them here, so nobody fights for the same
-- ones. Its work grows with the hall.
-- KEYS: the schedule's (see map.lua), then its queue's (see queue/token.lua)
-- ARGV: 1 user  2 reservation ids, never used before, as many as seats: "10 11"  3 positions: "2 3"; empty: the best
--       4 for the best: how many seats each row has, in order of position: "25 25"  5 hold ttl, ms  6 most holds a user
--       7 limit  8 the name of the user's token  9 its place  10 waiting ttl, ms  11 the schedule
-- Returns: {MISSING}, load the map first | {UNOPENED}, open the queue first
--        | {WAITING} | {EXPIRED} | {COMPLETED} | {LOST, ms since Redis lost it at the latest} | {UNKNOWN}: the token may not try
--        | {NO_SEAT} | {TAKEN}, one of them, or there are not as many | {LIMIT}
--        | {HELD, when the first of them lapses, ms, ms left of the token, position, reservation...}; what the user had already
--          keeps its reservation, and an id given is unused

if not is_loaded() then return { 'MISSING' } end
if not is_open() then return { 'UNOPENED' } end

local function words(list)
  local found = {}
  for word in string.gmatch(list, '%d+') do found[#found + 1] = word end
  return found
end

local user, ids, positions = ARGV[1], words(ARGV[2]), words(ARGV[3])
local ttl, most, limit, token = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local place, waiting_ttl, schedule = ARGV[9], tonumber(ARGV[10]), ARGV[11]

-- The best: side by side in the first row that has so many, rather where no single seat is left over; else singly, from
-- the first row on.
local function best(states, many)
  local wanted, first = string.rep('F', many), 1
  -- So many free ones in a row, though perhaps over a row's end: the rows before them need no look.
  local hit = string.find(states, wanted, 1, true)
  for length in string.gmatch(ARGV[4], '%d+') do
    if not hit then break end
    local last = first + length - 1
    local row = hit <= last and string.sub(states, first, last)
    local from = row and string.find(row, wanted, 1, true)
    if from then
      local at = 1
      while true do
        local left, right = string.find(row, 'F+', at)
        if not left then break end
        local spare = right - left + 1 - many
        if spare == 0 or spare > 1 then
          from = left
          break
        end
        at = right + 1
      end
      local chosen = {}
      for i = 0, many - 1 do chosen[#chosen + 1] = string.format('%d', first + from - 2 + i) end
      return chosen
    end
    if row then hit = string.find(states, wanted, last + 1, true) end
    first = last + 1
  end
  local chosen, at = {}, 0
  while #chosen < many do
    at = string.find(states, 'F', at + 1, true)
    if not at then return nil end
    chosen[#chosen + 1] = string.format('%d', at - 1)
  end
  return chosen
end

local now = clock_ms()
local word, expires = standing(user, place, now, waiting_ttl)
if word ~= 'ACTIVE' then return { word, expires } end

free_lapsed(now, limit)
for mine in string.gmatch(list_of(user), '%d+') do free_if_lapsed(mine, now) end
for _, position in ipairs(positions) do free_if_lapsed(redis.call('HGET', by_seat, position), now) end

if #positions == 0 then
  -- A repetition, after an answer that was lost, is given what the first run chose.
  for _, reservation in ipairs(ids) do
    local hold = read_hold(reservation)
    if hold and hold.user == user then positions[#positions + 1] = hold.position end
  end
  if #positions == 0 then positions = best(redis.call('GET', seats), #ids) end
  if not positions then return { 'TAKEN' } end
end

local list = list_of(user)
local had, missing, taken, first_end, last_end = {}, 0, false, now + ttl, now
for i, position in ipairs(positions) do
  local state = redis.call('GETRANGE', seats, position, position)
  if state == '' then return { 'NO_SEAT' } end
  local holder = (state == 'H' or state == 'P') and redis.call('HGET', by_seat, position)
  local hold = holder and read_hold(holder)
  if hold and hold.user == user then
    had[i], first_end, last_end = holder, math.min(first_end, hold.deadline), math.max(last_end, hold.deadline)
  else
    missing, taken = missing + 1, taken or state ~= 'F'
  end
end
if taken then return { 'TAKEN' } end
if missing > 0 and count(list) + missing > most then return { 'LIMIT' } end

if missing > 0 then last_end = math.max(last_end, now + ttl) end
local reply = { 'HELD', first_end, keep_token(user, expires, schedule, last_end) - now }
for i, position in ipairs(positions) do
  local reservation = had[i]
  if not reservation then
    reservation = ids[i]
    local hold = { position = position, user = user, deadline = now + ttl, attempt = 0, token = token }
    write_hold(reservation, hold, 'H')
    redis.call('ZADD', lapses, hold.deadline, reservation)
    redis.call('HSET', by_seat, position, reservation)
    set_seat(position, 'H')
    list = list == '' and reservation or list .. ' ' .. reservation
  end
  reply[#reply + 1] = position
  reply[#reply + 1] = reservation
end
if missing > 0 then redis.call('HSET', by_user, user, list) end
return reply
