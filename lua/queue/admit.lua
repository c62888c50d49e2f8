-- Shared by enter and promote, put before them when the program is built: the one place where anybody is let in.
--
-- Ends active tokens whose time is over, passes over waiting ones that have left, and lets in the next as far as the
-- cap and the token bucket allow. At most `limit` of each, so that a call is bounded. Exact, however many call it: a
-- script runs alone.
-- Just after a loss nobody is let in, so that those who came first can claim their places first.
-- Nor is anybody before a queue's opening, nor until all who came early have been drawn: else the order is not whole.
-- The bucket holds one second's worth. It is counted in millionths of an admission, so that refilling is whole numbers:
-- `rate` a second is `rate` millionths a microsecond.

local BUCKET_UNIT = 1000000

-- How to admit, as a call's ARGV say from the `first` on.
local function terms_from(first)
  local terms = {}
  for i, name in ipairs({ 'cap', 'rate', 'active_ttl', 'waiting_ttl', 'limit', 'paused', 'stock', 'draw', 'opens_at' }) do
    terms[name] = tonumber(ARGV[first + i - 1])
  end
  return terms
end

-- Whether a draw has not been closed: the opening is not come, or it may be that those who came early and were lost are
-- still coming back. One whose users are still being moved comes before the next.
local function is_collecting(now, terms)
  if terms.draw == 0 then return false end
  local at = redis.call('HMGET', state, 'closed', 'calm', 'draw')
  if tonumber(at[1] or 0) >= terms.draw or (now >= terms.opens_at and now >= tonumber(at[2])) then return false end
  return tonumber(at[3] or 0) == terms.draw or redis.call('ZCARD', early) == 0
end

-- Where the draw's entries are counted from.
local function base_of(draw)
  local at = redis.call('HMGET', state, 'draw', 'base', 'places')
  if tonumber(at[1] or 0) == draw then return tonumber(at[2]) end
  redis.call('HSET', state, 'draw', draw, 'base', at[3])
  return tonumber(at[3])
end

-- Entry numbers are places counted from the draw's base, so that a signed place tells its entry number. Who comes back
-- after a loss takes a new one.
local function come_early(user, number, terms)
  redis.call('ZADD', early, string.format('%.0f', number - base_of(terms.draw)), user)
end

-- At the opening the number of entries is fixed, and as many orders are kept for them: who comes now comes behind.
local function close_draw(now, terms)
  if terms.draw == 0 or is_collecting(now, terms) then return end
  if tonumber(redis.call('HGET', state, 'closed') or 0) >= terms.draw then return end
  local former = tonumber(redis.call('HGET', state, 'draw') or 0)
  if former ~= terms.draw and redis.call('ZCARD', early) > 0 then return end
  local base = base_of(terms.draw)
  local first = tonumber(redis.call('HGET', state, 'places'))
  local places = 2 * first - base
  redis.call('HSET', state, 'closed', terms.draw, 'entries', string.format('%.0f', first - base),
    'first', string.format('%.0f', first), 'places', string.format('%.0f', places))
  -- Neither entries nor their orders have slots: without a new beginning they would be a gap, of 36 bytes each. Who was given
  -- a place before has its record.
  if places > first then begin_slots(places) end
end

local function end_lapsed(now, limit)
  local lapsed = redis.call('ZRANGEBYSCORE', active, '-inf', now, 'LIMIT', 0, limit)
  for _, user in ipairs(lapsed) do
    end_token(user, read_token(user), 'E', now)
  end
  return #lapsed
end

local function refilled_level(now_us, rate)
  local full = rate * BUCKET_UNIT
  local bucket = redis.call('HMGET', state, 'level', 'refilled')
  if not bucket[1] then return full end
  local elapsed = math.max(0, math.min(now_us - tonumber(bucket[2]), 1000000))
  return math.min(full, tonumber(bucket[1]) + elapsed * rate)
end

-- When each of some came and was last seen; they are as a sorted set gives them: user, score, user, score... Of one that has no
-- record, neither. Returns the two lists, and what it has read them from: the slots from the first's to the last's, or,
-- where some have no slot or scores are no orders, records.
local function read_times(members, are_orders)
  local entered, seen, many = {}, {}, #members / 2
  local first, last = tonumber(members[2]), tonumber(members[2 * many])
  local slots = are_orders and read_slots(first, last)
  for i = 1, slots and many or 0 do
    local order, whose = tonumber(members[2 * i])
    whose, entered[i], seen[i] = parse_slot(slots, (order - first) * SLOT + 1)
    if whose ~= order then
      slots = nil
      break
    end
  end
  if slots then return entered, seen, slots end
  local users = {}
  for i = 1, many do users[i] = members[2 * i - 1] end
  local records = redis.call('HMGET', tokens, unpack(users))
  for i = 1, many do
    local came, at = string.match(records[i] or '', '^W:%d+:(%d+):(%d+)$')
    entered[i], seen[i] = tonumber(came), tonumber(at)
  end
  return entered, seen, nil, records
end

-- Writes into these slots, the first of which is this order's, that all are let in now. Whose slot is between and is not let in
-- has left before; none of them has gone to a later order, or read_slots had not given them.
local function keep_let_in(slots, first, now)
  local since = string.gsub(string.sub(format_slot(0, 0, now), 13), '%%', '%%%%')
  local kept = string.gsub(slots, '(............)......', '%1' .. since)
  redis.call('SETRANGE', times, string.format('%d', slot_of(first) * SLOT), kept)
end

-- Lets in the first of those waiting, `heads`, but for those who have left. Returns how many were let in.
local function let_in(heads, now, terms, report)
  local entered, seen, slots, records = read_times(heads, true)
  local expiry, let_in_now = string.format('%d', now + terms.active_ttl), string.format('%d', now)
  local gone, former, since = gone_since(now, terms.waiting_ttl)
  local expiries, changed, waits, first, last = {}, {}, report.waits
  local many, waited = 0, #waits
  for i = 1, #heads / 2 do
    local user = heads[2 * i - 1]
    -- As has_left.
    if not entered[i] or seen[i] <= gone and (seen[i] <= former or seen[i] > since) then
      end_token(user, read_token(user), 'E', now)
      report.abandoned = report.abandoned + 1
    else
      local at = 2 * many
      many = many + 1
      expiries[at + 1], expiries[at + 2] = expiry, user
      first, last = first or heads[2 * i], heads[2 * i]
      waits[waited + many] = now - entered[i]
      if records then
        -- All but the status and the time stays as it is written.
        changed[at + 1], changed[at + 2] = user, 'A' .. string.match(records[i], '^W(:%d+:%d+:)') .. let_in_now
      end
    end
  end
  if many > 0 then
    redis.call('ZADD', active, unpack(expiries))
    if slots then keep_let_in(slots, tonumber(heads[2]), now) else redis.call('HSET', tokens, unpack(changed)) end
    -- Those who have left are out already, so these are the first.
    first_quit_waiting(many, tonumber(first), tonumber(last))
    report.admitted = math.max(report.admitted, tonumber(last))
    redis.call('HINCRBY', state, 'let_in', many)
  end
  return many
end

-- How many may be let in now by all that bounds it but the bucket.
local function room_for(now, terms)
  if terms.paused == 1 or now < tonumber(redis.call('HGET', state, 'calm')) then return 0 end
  if redis.call('ZCARD', early) > 0 or is_collecting(now, terms) then return 0 end
  local trying = redis.call('ZCARD', active)
  local room = terms.cap - trying
  -- Who holds seats has what it came for; the others could each take one yet.
  if terms.stock >= 0 then room = math.min(room, terms.stock - (trying - redis.call('HLEN', holding))) end
  return room
end

local function admit(now_us, terms)
  local now = math.floor(now_us / 1000)
  close_draw(now, terms)
  local report = {
    expired = end_lapsed(now, terms.limit), abandoned = 0, waits = {}, admitted = tonumber(redis.call('HGET', state, 'admitted'))
  }
  local level = refilled_level(now_us, terms.rate)
  local room = math.min(room_for(now, terms), math.floor(level / BUCKET_UNIT))
  local passed = 0
  while room > 0 and passed < terms.limit do
    local heads = redis.call('ZRANGE', waiting, 0, math.min(room, terms.limit - passed, 500) - 1, 'WITHSCORES')
    if #heads == 0 then break end
    local admitted = let_in(heads, now, terms, report)
    passed = passed + #heads / 2
    room = room - admitted
    level = level - admitted * BUCKET_UNIT
  end
  redis.call('HSET', state, 'level', string.format('%.0f', level), 'refilled', string.format('%.0f', now_us),
    'admitted', string.format('%.0f', report.admitted))
  report.passed = passed
  report.more = passed >= terms.limit or report.expired >= terms.limit
  return report
end
