-- queue.enter: gives a user a token, or the live one it has, and lets in whom it may.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 user  2 cap  3 rate a second  4 active ttl, ms  5 waiting ttl, ms  6 limit  7 paused 0|1
--       8 how many may try who hold nothing, for the seats that are free; -1: any number
--       9 number of the draw under way, 0: none  10 when it is over, ms since 1970  11 draining 0|1
-- Returns: {UNOPENED}, open it first | {CLOSING}, it gives nobody a new place
--        | {WAITING|ACTIVE, place, issued 0|1, entry number of one who is to be drawn, else 0, expired, abandoned, wait in
--          ms of each admitted...}

local user, terms, draining = ARGV[1], terms_from(2), ARGV[11] == '1'
if not is_open() then return { 'UNOPENED' } end

local now_us = clock_us()
local now = math.floor(now_us / 1000)
local token = read_token(user)
local waits = token and token.status == 'W' and not has_left(token, now, terms.waiting_ttl)
local tries = token and token.status == 'A' and tonumber(redis.call('ZSCORE', active, user) or 0) > now
if draining and not waits and not tries then return { 'CLOSING' } end

close_draw(now, terms)
local issued, expired, abandoned = 0, 0, 0
if waits then
  redis.call('HSET', tokens, user, format_token('W', token, now))
elseif not tries then
  if token and token.status == 'A' then expired = 1 end
  if token and token.status == 'W' then abandoned = 1 end
  end_token(user, nil, 'E', now)
  redis.call('ZREM', ended, user)
  local collecting = is_collecting(now, terms)
  -- Where entries are counted from is the place before this one.
  if collecting then base_of(terms.draw) end
  token = { place = string.format('%.0f', redis.call('HINCRBY', state, 'places', 1)), entered = now }
  redis.call('HSET', tokens, user, format_token('W', token, now))
  if collecting then come_early(user, tonumber(token.place), terms) else join_waiting(user, token.place) end
  issued = 1
end

local report = admit(now_us, terms)
local entry = redis.call('ZSCORE', early, user)
local word = (entry or redis.call('ZSCORE', waiting, user)) and 'WAITING' or 'ACTIVE'
expired, abandoned = expired + report.expired, abandoned + report.abandoned
return { word, token.place, issued, entry or '0', expired, abandoned, unpack(report.waits) }
