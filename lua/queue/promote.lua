-- queue.promote: one bounded step of the scheduler: lets in whom it may, reaps who has left, forgets who ended long
-- ago.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 cap  2 rate a second  3 active ttl, ms  4 waiting ttl, ms  5 limit  6 paused 0|1
--       7 how many may try who hold nothing, for the seats that are free; -1: any number
--       8 number of the draw under way, 0: none  9 when it is over, ms since 1970
--       10 how long an ended record is kept, ms  11 whether the crowd is wanted 0|1
-- Returns: {UNOPENED}, nobody is there
--        | {STEPPED, waiting, active, expired, abandoned, more 0|1, greatest order let in so far,
--          Redis' clock in ms, the place before this opening's first, how many wait with an order up to that, how many
--          were let in, and have left, since the opening, the byte of the crowd that the next begins with, those bytes
--          (empty: not wanted, or nobody waits there), wait in ms of each admitted...}

local terms, retention = terms_from(1), tonumber(ARGV[10])
if not is_open() then return { 'UNOPENED' } end

-- Says to all scripts how long who waits may be unseen. That is said here alone, since this job never rests.
local function keep_waiting_ttl(now, waiting_ttl)
  if waiting_ttl == ttl_in_force then return end
  if waiting_ttl < ttl_in_force then
    local former = now - shortened < FORMER_FOR and former_ttl or 0
    former_ttl, shortened = math.max(former, ttl_in_force), now
    redis.call('HSET', state, 'former_ttl', string.format('%d', former_ttl), 'shortened', string.format('%.0f', now))
  end
  ttl_in_force = waiting_ttl
  redis.call('HSET', state, 'waiting_ttl', string.format('%d', waiting_ttl))
end

-- Who of the next `limit` who wait have left, by their slots, and where to walk on from. Nothing, if some have no slot or they are
-- far apart: then looking at each takes less.
local function left_by_slots(cursor, now, limit)
  local head = redis.call('ZRANGEBYSCORE', waiting, '(' .. cursor, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if not head[1] then return {}, '-inf' end
  local rank = redis.call('ZRANK', waiting, head[1]) + limit - 1
  local tail = redis.call('ZRANGE', waiting, rank, rank, 'WITHSCORES')
  local next = tail[2] or '-inf'
  if not tail[2] then tail = redis.call('ZRANGE', waiting, -1, -1, 'WITHSCORES') end
  local first, last = tonumber(head[2]), tonumber(tail[2])
  local slots = last - first < 2 * limit and read_slots(first, last)
  if not slots then return nil end
  local gone, former, since = gone_since(now, terms.waiting_ttl)
  local left, at = {}, 1
  for order = first, last do
    local whose, _, seen = parse_slot(slots, at)
    if whose ~= NOBODY then
      if whose ~= order then return nil end
      -- As has_left.
      if seen <= gone and (seen <= former or seen > since) then
        local number = string.format('%.0f', order)
        left[#left + 1] = redis.call('ZRANGEBYSCORE', waiting, number, number)[1]
      end
    end
    at = at + SLOT
  end
  return left, next
end

-- Likewise, or who of those who came early, looking at each.
local function left_one_by_one(early_ones, cursor, now, limit)
  local window = redis.call('ZRANGEBYSCORE', early_ones and early or waiting, '(' .. cursor, '+inf', 'WITHSCORES',
    'LIMIT', 0, limit)
  local entered, seen, left = {}, {}, {}
  if #window > 0 then entered, seen = read_times(window, not early_ones) end
  for i = 1, #window / 2 do
    if not entered[i] or has_left(seen[i], now, terms.waiting_ttl) then left[#left + 1] = window[2 * i - 1] end
  end
  return left, #window == 2 * limit and window[#window] or '-inf'
end

-- Walks all who wait, or all who came early, at most `limit` of them a step, from where the last step stopped.
local function reap(early_ones, now, limit)
  if limit == 0 then return 0 end
  local place = early_ones and 'reaped_early' or 'reaped'
  local cursor = redis.call('HGET', state, place) or '-inf'
  local left, next
  if not early_ones then left, next = left_by_slots(cursor, now, limit) end
  if not left then left, next = left_one_by_one(early_ones, cursor, now, limit) end
  for _, user in ipairs(left) do end_token(user, read_token(user), 'E', now) end
  redis.call('HSET', state, place, next)
  return #left
end

local function forget_ended(now)
  local old = redis.call('ZRANGEBYSCORE', ended, '-inf', now - retention, 'LIMIT', 0, terms.limit)
  for _, user in ipairs(old) do
    redis.call('HDEL', tokens, user)
    redis.call('ZREM', ended, user)
  end
end

-- The crowd from the byte on in which the first of those who wait is.
local function read_crowd()
  local first = redis.call('ZRANGEBYSCORE', waiting, '(' .. string.format('%.0f', before), '+inf', 'WITHSCORES',
    'LIMIT', 0, 1)
  if not first[2] then return 0, '' end
  local byte = math.floor((tonumber(first[2]) - before - 1) / 8)
  return byte, redis.call('GETRANGE', crowd, string.format('%.0f', byte), -1)
end

local now_us = clock_us()
local now = math.floor(now_us / 1000)
keep_waiting_ttl(now, terms.waiting_ttl)
local report = admit(now_us, terms)
-- A step that lets in many walks the fewer: it keeps Redis no longer. Nobody is let in unlooked at, and while a step lets in as
-- many as it may, all who wait are let in as soon as they could be walked.
local walk = terms.limit - report.passed
local reaped = reap(false, now, walk)
local waits = redis.call('ZCARD', waiting)
if redis.call('ZCARD', early) > 0 then
  reaped = reaped + reap(true, now, walk)
  waits = waits + redis.call('ZCARD', early)
end
forget_ended(now)
local returned = redis.call('ZCOUNT', waiting, '-inf', string.format('%.0f', before))
local counts = redis.call('HMGET', state, 'let_in', 'left')
local byte, bytes = 0, ''
if ARGV[11] == '1' then byte, bytes = read_crowd() end
return {
  'STEPPED', waits, redis.call('ZCARD', active), report.expired, report.abandoned + reaped, report.more and 1 or 0,
  string.format('%.0f', report.admitted), now, string.format('%.0f', before), returned, tonumber(counts[1] or 0),
  tonumber(counts[2] or 0), byte, bytes, unpack(report.waits)
}
