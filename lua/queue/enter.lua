-- queue.enter: gives a user a token, or the live one it has, and lets in whom it may. Takes many calls at once (see
-- each.lua): all are given their places, in their order, before anybody is let in.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 cap  2 rate a second  3 active ttl, ms  4 waiting ttl, ms  5 limit  6 paused 0|1
--       7 how many may try who hold nothing, for the seats that are free; -1: any number
--       8 number of the draw under way, 0: none  9 when it is over, ms since 1970  10 draining 0|1
--       11 the most records; of each call: user
-- Returns: {UNOPENED}, open it first | {CLOSING}, it gives nobody a new place | {FULL}, as many as it may keep are waiting
--          or trying
--        | {WAITING|ACTIVE, place, issued 0|1, entry number of one who is to be drawn, else 0, expired, abandoned, wait in
--          ms of each admitted...}; of many calls, the first says whom the batch as a whole has admitted and ended

local terms, draining, most = terms_from(1), ARGV[10] == '1', tonumber(ARGV[11])
if not is_open() then return { 'UNOPENED' } end

local now_us = clock_us()
local now = math.floor(now_us / 1000)
close_draw(now, terms)
local collecting = is_collecting(now, terms)

-- Whether there is room for one more record. Where there is none, whose turn ended longest ago is forgotten for it: what
-- a queue keeps is bounded, and nobody who waits or tries gives way. While places that were lost can be claimed, none of
-- those is forgotten that has ended since: it would be claimed again.
local function make_room()
  if redis.call('HLEN', tokens) < most then return true end
  local oldest = redis.call('ZRANGE', ended, 0, 0)[1]
  local token = oldest and read_token(oldest)
  if not token or tonumber(token.place) <= before and can_be_claimed(now) then return false end
  redis.call('ZREM', ended, oldest)
  redis.call('HDEL', tokens, oldest)
  return true
end

local function give_place(user, token)
  local expired = token and token.status == 'A' and 1 or 0
  local abandoned = token and token.status == 'W' and 1 or 0
  if token then
    end_token(user, nil, 'E', now)
    redis.call('ZREM', ended, user)
  end
  -- Where entries are counted from is the place before this one.
  if collecting then base_of(terms.draw) end
  token = { place = string.format('%d', redis.call('HINCRBY', state, 'places', 1)), entered = now }
  redis.call('HSET', tokens, user, format_token('W', token, now))
  if collecting then come_early(user, tonumber(token.place), terms) else join_waiting(user, token.place) end
  return { user = user, place = token.place, issued = 1, expired = expired, abandoned = abandoned }
end

-- Writes down when those came who have just been given a place, before anybody is let in. Their places are a row.
local function keep_times(entered)
  local first, slots = nil, {}
  for _, it in ipairs(entered) do
    if it.issued == 1 then
      first = first or tonumber(it.place)
      slots[#slots + 1] = format_slot(tonumber(it.place), now, now)
    end
  end
  if first then write_slots(first, slots) end
end

local entered = each(11, 1, function(user)
  local token = read_token(user)
  local waits = token and token.status == 'W' and not has_left(token.seen, now, terms.waiting_ttl)
  local tries = token and token.status == 'A' and (token.expires or 0) > now
  if draining and not waits and not tries then return { 'CLOSING' } end
  if waits then keep_seen(user, token, tonumber(redis.call('ZSCORE', waiting, user)), now) end
  if waits or tries then return { user = user, place = token.place, tries = tries, issued = 0, expired = 0, abandoned = 0 } end
  if not token and not make_room() then return { 'FULL' } end
  return give_place(user, token)
end)

if not collecting then keep_times(entered) end
-- As many more as have come with the first.
terms.limit = terms.limit + #entered - 1
local report = admit(now_us, terms)
local some_early = redis.call('ZCARD', early) > 0
local nobody = #report.waits == 0

local function answer(it)
  local entry = some_early and redis.call('ZSCORE', early, it.user)
  -- While nobody is let in, who did not try before waits.
  local waits = entry or (not it.tries and (nobody or redis.call('ZSCORE', waiting, it.user)))
  local word = waits and 'WAITING' or 'ACTIVE'
  local told = report
  report = { expired = 0, abandoned = 0, waits = {} }
  return { word, it.place, it.issued, entry or '0', it.expired + told.expired, it.abandoned + told.abandoned,
    unpack(told.waits) }
end

for i, it in ipairs(entered) do
  if it.place then entered[i] = answer(it) end
end
return entered
