-- Shared opening of every seat script, put before it when the program is built: the keys, the clock, a hold's record.
--
-- The last of ARGV, in every script, is the incarnation: which Redis this is, as the caller's connection found it. A map
-- that was opened in another one (a restart, a replica that took over) may lack what was sold last, so it is loaded anew
-- before it answers.
--
-- KEYS of every seat script, all under one hash tag:
--   1 seats    STRING  one byte a seat, at the seat's position: F free, H held, P being paid, S sold
--   2 map      HASH    generation (absent: Redis has not got the map) and incarnation, version (counts changes), loading,
--                      doubtful (until when payments may be under way that were lost with a former Redis, ms)
--   3 holds    HASH    reservation -> record STATUS:position:user:deadline:attempt:token; deadline in ms, attempts to pay, the
--                      name of the token that it was taken under (empty or none: not known)
--   4 lapses   ZSET    reservation -> deadline, ms   the holds that can lapse
--   5 by_seat  HASH    position -> reservation       whose seat it is now: held, being paid or sold
--   6 by_user  HASH    user -> "12 15"               the reservations a user holds or is paying for
--   7 paying   ZSET    reservation -> begin, ms      no time limit of their own: only a payment's outcome ends them
--   8 past     ZSET    reservation -> end, ms        whose record may be forgotten, and since when
-- STATUS: H held, P being paid, S sold, L lapsed, G given up or refused, R refunded: never sold any more.

local seats, map, holds, lapses, by_seat, by_user, paying, past = unpack(KEYS)

-- Redis' own clock, the only one that counts.
local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local incarnation = ARGV[#ARGV]

local function is_loaded()
  return redis.call('HGET', map, 'incarnation') == incarnation
end

local function read_hold(reservation)
  local record = redis.call('HGET', holds, reservation)
  if not record then return nil end
  local status, position, user, deadline, attempt, token =
    string.match(record, '^(%u):(%d+):(%d+):(%d+):(%d+):?([%d-]*)$')
  return {
    status = status, position = position, user = user, deadline = tonumber(deadline), attempt = tonumber(attempt),
    token = token
  }
end

local function write_hold(reservation, hold, status)
  redis.call('HSET', holds, reservation,
    string.format('%s:%s:%s:%d:%d:%s', status, hold.position, hold.user, hold.deadline, hold.attempt, hold.token))
end

local is_counted = false

-- A script's changes are seen all at once, so they count as one.
local function set_seat(position, state)
  redis.call('SETRANGE', seats, position, state)
  if not is_counted then redis.call('HINCRBY', map, 'version', 1) end
  is_counted = true
end

local function list_of(user)
  return redis.call('HGET', by_user, user) or ''
end

local function count(list)
  local _, n = string.gsub(list, '%d+', '')
  return n
end

-- Takes a reservation off its user's list; returns how many are left on it.
local function strike(user, reservation)
  local left = {}
  for other in string.gmatch(list_of(user), '%d+') do
    if other ~= reservation then left[#left + 1] = other end
  end
  if #left == 0 then
    redis.call('HDEL', by_user, user)
  else
    redis.call('HSET', by_user, user, table.concat(left, ' '))
  end
  return #left
end

-- A hold's end: its seat turns to `state`, unless it has passed to another reservation; its record to `status`.
local function end_hold(reservation, hold, status, state, now)
  redis.call('ZREM', lapses, reservation)
  redis.call('ZREM', paying, reservation)
  strike(hold.user, reservation)
  if redis.call('HGET', by_seat, hold.position) == reservation then
    redis.call('HDEL', by_seat, hold.position)
    set_seat(hold.position, state)
  end
  write_hold(reservation, hold, status)
  if status ~= 'S' then redis.call('ZADD', past, now, reservation) end
end

-- Frees seats whose hold's time is over, at most `limit`.
local function free_lapsed(now, limit)
  local lapsed = redis.call('ZRANGEBYSCORE', lapses, '-inf', now, 'LIMIT', 0, limit)
  for _, reservation in ipairs(lapsed) do
    local hold = read_hold(reservation)
    if hold then end_hold(reservation, hold, 'L', 'F', now) else redis.call('ZREM', lapses, reservation) end
  end
  return #lapsed
end

-- Likewise for one hold, so that nobody needs to wait for the others' turn. Returns its record as it is then.
local function free_if_lapsed(reservation, now)
  local hold = reservation and read_hold(reservation)
  if hold and hold.status == 'H' and hold.deadline <= now then
    end_hold(reservation, hold, 'L', 'F', now)
    hold.status = 'L'
  end
  return hold
end
