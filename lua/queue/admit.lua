-- Shared by enter and promote, put before them when the program is built: the one place where anybody is let in.
--
-- Ends active tokens whose time is over, passes over waiting ones that have left, and lets in the next as far as the
-- cap and the token bucket allow. At most `limit` of each, so that a call is bounded. Exact, however many call it: a
-- script runs alone.
-- Just after a loss nobody is let in, so that those who came first can claim their places first.
-- The bucket holds one second's worth. It is counted in millionths of an admission, so that refilling is whole numbers:
-- `rate` a second is `rate` millionths a microsecond.

local BUCKET_UNIT = 1000000

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

-- Lets in `heads`, the first of those waiting, in order, but for those who have left. Returns how many were let in.
local function let_in(heads, now, active_ttl, waiting_ttl, report)
  local records = redis.call('HMGET', tokens, unpack(heads))
  local expiries, changed = {}, {}
  for i, user in ipairs(heads) do
    local token = parse_token(records[i])
    if not token or has_left(token, now, waiting_ttl) then
      end_token(user, token, 'E', now)
      report.abandoned = report.abandoned + 1
    else
      expiries[#expiries + 1] = now + active_ttl
      expiries[#expiries + 1] = user
      changed[#changed + 1] = user
      changed[#changed + 1] = format_token('A', token, now)
      report.admitted = math.max(report.admitted, tonumber(token.place))
      report.waits[#report.waits + 1] = now - token.entered
    end
  end
  if #changed > 0 then
    redis.call('ZADD', active, unpack(expiries))
    redis.call('HSET', tokens, unpack(changed))
    redis.call('HINCRBY', state, 'let_in', #changed / 2)
    for i = 1, #changed, 2 do quit_waiting(changed[i]) end
  end
  return #changed / 2
end

local function admit(now_us, cap, rate, active_ttl, waiting_ttl, limit)
  local now = math.floor(now_us / 1000)
  local at = redis.call('HMGET', state, 'calm', 'admitted')
  local report = { expired = end_lapsed(now, limit), abandoned = 0, waits = {}, admitted = tonumber(at[2]) }
  local level = refilled_level(now_us, rate)
  local room = math.min(cap - redis.call('ZCARD', active), math.floor(level / BUCKET_UNIT))
  if now < tonumber(at[1]) then room = 0 end
  local passed = 0
  while room > 0 and passed < limit do
    local heads = redis.call('ZRANGE', waiting, 0, math.min(room, limit - passed, 500) - 1)
    if #heads == 0 then break end
    local admitted = let_in(heads, now, active_ttl, waiting_ttl, report)
    passed = passed + #heads
    room = room - admitted
    level = level - admitted * BUCKET_UNIT
  end
  redis.call('HSET', state, 'level', string.format('%.0f', level), 'refilled', string.format('%.0f', now_us),
    'admitted', string.format('%.0f', report.admitted))
  report.more = passed >= limit or report.expired >= limit
  return report
end
