-- Shared opening of every queue script, put before it when the program is built: the keys, the clock, a token's record.
--
-- The last of ARGV, in every script, is the incarnation: which Redis this is, as the caller's connection found it. A
-- queue that was opened in another one (a restart, a replica that took over) may lack what was given last, so it is
-- opened anew before it answers.
--
-- KEYS of every queue script, all under one hash tag; of a script that takes a schedule's keys too (see seat/map.lua), they
-- come after those:
--   1 waiting  ZSET  user -> order            who waits. The order is the token's place, but for those drawn
--   2 active   ZSET  user -> expiry, ms       who may try
--   3 tokens   HASH  user -> record           STATUS:place:entered:seen, times in ms; one a user. Unless it is W,
--                    seen is when it was let in, 0 if that is not known any more
--   4 ended    ZSET  user -> end, ms          whose record may be forgotten, and since when
--   5 holding  HASH  user -> "1 5"            schedules in which an active user has held seats
--   6 state    HASH  places (the last place given or kept for a draw), level and refilled (the token bucket), reaped and
--                    reaped_early (the reaper's cursors), admitted (the greatest order let in); of the last draw: draw (its number), base (the place
--                    before its first), and once it is over closed (its number), entries and first (the order before the
--                    first drawn one); of the last opening: incarnation, opened (when, ms), before
--                    (the place before its first), window (ms in which lost places may be claimed), calm (until when
--                    nobody is let in, ms); since then: let_in (how many were), left (how many that waited have ended
--                    otherwise); origin (the place before the first that has a slot); waiting_ttl (ms that who waits may be
--                    unseen), and of when that was shortened last former_ttl (what it was, ms) and shortened (when, ms)
--   7 crowd    STRING a bit of each order given since the last opening, from before + 1 on: whether it waits
--   8 early    ZSET  user -> entry number     who came before the opening and is not drawn yet
--   9 times    STRING a slot of each place given since the last opening or draw that is its order too, from origin + 1 on:
--                    the times of its record, so that who is let in, or walked, is not looked up one by one. 18 bytes: order,
--                    or NOBODY once it has left the line, entered, seen, or once it is let in since when; a ring of SLOTS
-- An order at or below `before`, given back from a former Redis, has no bit and no slot.
-- STATUS: W waiting, or let in by its slot if the user is active; A let in by its record, C completed (it paid), E ended otherwise.

local waiting, active, tokens, ended, holding, state, crowd, early, times = unpack(KEYS, #KEYS - 8)
local incarnation = ARGV[#ARGV]
local opening = redis.call('HMGET', state, 'incarnation', 'opened', 'before', 'origin', 'waiting_ttl', 'former_ttl', 'shortened')
local opened, before, origin = tonumber(opening[2] or 0), tonumber(opening[3] or 0), tonumber(opening[4] or opening[3] or 0)
local ttl_in_force, former_ttl, shortened = tonumber(opening[5] or 0), tonumber(opening[6] or 0), tonumber(opening[7] or 0)

local function is_open()
  return opening[1] == incarnation
end

-- Redis' own clock, the only one that counts, in microseconds.
local function clock_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function clock_ms()
  return math.floor(clock_us() / 1000)
end

local function parse_token(record)
  if not record then return nil end
  local status, place, entered, seen = string.match(record, '^(%u):(%d+):(%d+):(%d+)$')
  return { status = status, place = place, entered = tonumber(entered), seen = tonumber(seen) }
end

-- A user's token, with its expiry if it is active, and whether it was let in by its slot.
local function read_token(user)
  local token = parse_token(redis.call('HGET', tokens, user))
  if token and (token.status == 'W' or token.status == 'A') then
    token.expires = tonumber(redis.call('ZSCORE', active, user))
    if token.expires then token.status, token.by_slot = 'A', token.status == 'W' end
  end
  return token
end

local function format_token(status, token, seen)
  return string.format('%s:%s:%d:%d', status, token.place, token.entered, seen)
end

local SLOT, SLOTS, MOST_SLOTS = 18, 2097152, 8000
-- The order in the slot of one who has left the line, which is nobody's.
local NOBODY = 281474976710655

-- Six bytes have room for what there is of an order below 2^48; one above is not found in its slot, and its record serves.
local function format_slot(order, entered, seen)
  return struct.pack('>I6I6I6', order, entered, seen)
end

-- The order, entered and seen of the slot that begins at this byte of a block, counted from 1.
local function parse_slot(block, at)
  return struct.unpack('>I6I6I6', block, at)
end

local function slot_of(order)
  return (order - origin - 1) % SLOTS
end

-- From here on places have slots, from the next one on; those before have none any more.
local function begin_slots(place)
  redis.call('UNLINK', times)
  redis.call('HSET', state, 'origin', string.format('%.0f', place))
  origin = place
end

-- Writes the slots of consecutive orders, from this one on.
local function write_slots(first, slots)
  if first <= origin then return end
  local at = slot_of(first)
  local fit = math.min(#slots, SLOTS - at)
  redis.call('SETRANGE', times, string.format('%d', at * SLOT), table.concat(slots, '', 1, fit))
  if fit < #slots then redis.call('SETRANGE', times, 0, table.concat(slots, '', fit + 1)) end
end

-- The slots of these orders and of all between; nothing if they are not there in one piece, are more than is worth it, or if
-- some may have gone to orders given since. A slot may be an order's from before, or nobody's.
local function read_slots(first, last)
  local at, many = slot_of(first), last - first + 1
  if many > MOST_SLOTS or tonumber(redis.call('HGET', state, 'places')) - first >= SLOTS then return nil end
  local block = redis.call('GETRANGE', times, string.format('%d', at * SLOT), string.format('%d', (at + many) * SLOT - 1))
  return #block == many * SLOT and block or nil
end

-- Says of one who waits no more that its slot is nobody's, if it has not gone to a later order: who walks the slots passes over it.
local function forget_slot(order)
  if tonumber(redis.call('HGET', state, 'places')) - order < SLOTS then
    write_slots(order, { format_slot(NOBODY, 0, 0) })
  end
end

-- When an active token was let in; 0, if that is not known any more.
local function let_in_at(token)
  if not token.by_slot then return token.seen end
  local place = tonumber(token.place)
  local slot = read_slots(place, place)
  local order, _, since = 0, 0, 0
  if slot then order, _, since = parse_slot(slot, 1) end
  return order == place and since or 0
end

-- Says of a token that waits when it was seen. The order is nothing before it is drawn.
local function keep_seen(user, token, order, seen)
  if order and order == tonumber(token.place) then write_slots(order, { format_slot(order, token.entered, seen) }) end
  redis.call('HSET', tokens, user, format_token('W', token, seen))
end

-- Whether a list of schedules, as "1 5", has this one.
local function lists(list, schedule)
  return string.find(' ' .. list .. ' ', ' ' .. schedule .. ' ', 1, true)
end

-- Keeps an active token alive at least until then, for a seat that its user has just taken in a schedule. Returns when it ends.
local function keep_token(user, expires, schedule, at_least)
  expires = math.max(expires, at_least)
  redis.call('ZADD', active, string.format('%d', expires), user)
  if redis.call('HSETNX', holding, user, schedule) == 0 then
    local schedules = redis.call('HGET', holding, user)
    if not lists(schedules, schedule) then redis.call('HSET', holding, user, schedules .. ' ' .. schedule) end
  end
  return expires
end

-- Says in the crowd whether who has this order waits.
local function mark(order, bit)
  local index = tonumber(order) - before - 1
  if index >= 0 then redis.call('SETBIT', crowd, string.format('%.0f', index), bit) end
end

-- Takes a user out of those who wait, if it is among them.
local function quit_waiting(user)
  local order = redis.call('ZSCORE', waiting, user)
  if not order then return false end
  redis.call('ZREM', waiting, user)
  mark(order, 0)
  forget_slot(tonumber(order))
  return true
end

-- Takes out the first of those who wait, so many, of whom these are the first's and the last's orders. Nobody waits before
-- them, so all bits up to the last one's are cleared.
local function first_quit_waiting(many, first, last)
  redis.call('ZREMRANGEBYRANK', waiting, 0, many - 1)
  local from, to = math.max(0, first - before - 1), last - before - 1
  if to < 0 then return end
  local byte = math.floor(to / 8)
  local whole = byte - math.floor(from / 8)
  if whole > 0 then
    redis.call('SETRANGE', crowd, string.format('%d', byte - whole), string.rep(string.char(0), whole))
  end
  local bits = {}
  for bit = byte * 8, to do
    bits[#bits + 1] = 'SET'
    bits[#bits + 1] = 'u1'
    bits[#bits + 1] = string.format('%d', bit)
    bits[#bits + 1] = '0'
  end
  redis.call('BITFIELD', crowd, unpack(bits))
end

-- Puts a user among those who wait, in its order, if it is not among them. This and those above are the only ways in and
-- out, so that the crowd tells what the sorted set tells.
local function join_waiting(user, order)
  redis.call('ZADD', waiting, order, user)
  mark(order, 1)
end

-- Frees the place or slot of a user's token; its record stays a while, to say what became of it.
local function end_token(user, token, status, now)
  if not token or token.status ~= 'A' then
    if quit_waiting(user) then redis.call('HINCRBY', state, 'left', 1) end
    redis.call('ZREM', early, user)
  end
  redis.call('ZREM', active, user)
  redis.call('HDEL', holding, user)
  if token then
    redis.call('HSET', tokens, user, format_token(status, token, let_in_at(token)))
    redis.call('ZADD', ended, now, user)
  end
end

-- For how long after the waiting time was shortened, in ms, it is the former one for those seen before: by then all instances have
-- said whom they saw, and whoever asks when it was told to, which is within 11 s (src/queue/estimate.rs), has come back.
local FORMER_FOR = 15000

-- Who was last seen up to the first of these times has left, whether it was reaped yet or not. One that was seen up to the third, when
-- the waiting time was shortened, has left if it was last seen up to the second. While Redis was away nobody could be seen: until it
-- is up for as long as the waiting time, nobody has left. A time that is shorter than the scheduler has said is not in force yet.
local function gone_since(now, waiting_ttl)
  waiting_ttl = math.max(waiting_ttl, ttl_in_force)
  local gone = now - waiting_ttl
  if gone < opened then gone = -1 end
  if now - shortened >= FORMER_FOR then return gone, gone, 0 end
  local former = now - former_ttl
  return gone, former < opened and -1 or former, shortened
end

local function has_left(seen, now, waiting_ttl)
  local gone, former, since = gone_since(now, waiting_ttl)
  return seen <= gone and (seen <= former or seen > since)
end

-- Whether places that were lost with a former Redis can be claimed still.
local function can_be_claimed(now)
  local window = redis.call('HGET', state, 'window')
  return now - opened <= tonumber(window or 0)
end

-- What a place is of which there is no record: lost with a former Redis, if it was given before this opening, the time
-- to claim it is not over, and its user has no other token that is active, that waits before it, or that came after it and
-- has ended. A token that its user got since and still waits with gives way to the earlier one.
local function unrecorded(place, token, now)
  local last = redis.call('HGET', state, 'places')
  place = tonumber(place)
  if place > tonumber(last) then return 'UNKNOWN' end
  local superseded = token and (token.status == 'A' or (token.status == 'W') ~= (tonumber(token.place) > place))
  if superseded or place > before or not can_be_claimed(now) then return 'EXPIRED' end
  return 'LOST', now - opened
end

-- What a presented token is now: WAITING, ACTIVE with its expiry, COMPLETED, EXPIRED, LOST with the ms since Redis lost
-- it at the latest, or UNKNOWN if this queue never gave that place.
local function standing(user, place, now, waiting_ttl)
  local token = read_token(user)
  if not token or token.place ~= place then return unrecorded(place, token, now) end
  if token.status == 'W' then
    if has_left(token.seen, now, waiting_ttl) then return 'EXPIRED', nil, token end
    return 'WAITING', nil, token
  end
  if token.status == 'A' then
    if not token.expires or token.expires <= now then return 'EXPIRED', nil, token end
    return 'ACTIVE', token.expires, token
  end
  return token.status == 'C' and 'COMPLETED' or 'EXPIRED', nil, token
end
