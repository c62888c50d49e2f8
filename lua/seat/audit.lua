-- seat.audit: a range of a seat map's invariants, as of one instant. Changes nothing. Its work grows with the range.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1 age from which a payment under way is stuck, and a lapsed hold forgotten, ms  2 first position, and first hold
--       in the order of their ends  3 how many of each
-- Returns: {MISSING}, there is nothing to check
--        | {AUDITED, generation, one byte a seat of the range, then what is wrong, in pairs: ENDLESS position, the seat
--          is not free and nothing will free it; LOST reservation, it is live and its seat is not its own; OVERDUE
--          reservation, it has lapsed long ago; STUCK reservation, it has been paying for long...}

if not is_loaded() then return { 'MISSING' } end
local age, first, last = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[2] + ARGV[3] - 1
local now = clock_ms()
local states = redis.call('GETRANGE', seats, first, last)
local reply = { 'AUDITED', redis.call('HGET', map, 'generation'), states }

local function wrong(what, id)
  reply[#reply + 1] = what
  reply[#reply + 1] = id
end

for position = first, first + #states - 1 do
  local state = string.sub(states, position - first + 1, position - first + 1)
  local reservation = redis.call('HGET', by_seat, position)
  local hold = reservation and read_hold(reservation)
  local live = hold and (hold.status == 'H' or hold.status == 'P')
  if state == 'H' or state == 'P' then
    local ends = live and hold.status == state
      and redis.call('ZSCORE', state == 'H' and lapses or paying, reservation)
    if not ends then wrong('ENDLESS', position) end
  elseif live then
    wrong('LOST', reservation)
  end
end

local function look_at(page, status, late)
  for i = 1, #page, 2 do
    local reservation, hold = page[i], read_hold(page[i])
    local live = hold and hold.status == status
    if live and redis.call('HGET', by_seat, hold.position) ~= reservation then wrong('LOST', reservation) end
    if tonumber(page[i + 1]) <= now - age then wrong(late, reservation) end
  end
end

look_at(redis.call('ZRANGE', lapses, first, last, 'WITHSCORES'), 'H', 'OVERDUE')
look_at(redis.call('ZRANGE', paying, first, last, 'WITHSCORES'), 'P', 'STUCK')
return reply
