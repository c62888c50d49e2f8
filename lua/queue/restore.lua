-- queue.restore: gives back a place that Redis has lost, on the word of the token that was given for it; lets in whom it may.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 user  2 place  3 its order; 0: it is to be drawn, or if that is over, comes behind all
--       4 cap  5 rate a second  6 active ttl, ms  7 waiting ttl, ms  8 limit  9 paused 0|1
--       10 how many may try who hold nothing, for the seats that are free; -1: any number
--       11 number of the draw under way, 0: none  12 when it is over, ms since 1970
-- Returns: {UNOPENED}, open it first | {KNOWN}, it is not lost
--        | {RESTORED, expired, abandoned, wait in ms of each admitted...}

local user, place, order, terms = ARGV[1], ARGV[2], ARGV[3], terms_from(4)
if not is_open() then return { 'UNOPENED' } end

local now_us = clock_us()
local now = math.floor(now_us / 1000)
if standing(user, place, now, terms.waiting_ttl) ~= 'LOST' then return { 'KNOWN' } end
close_draw(now, terms)
-- A later token gives way, with its place or entry.
quit_waiting(user)
redis.call('ZREM', early, user)
redis.call('ZREM', ended, user)
redis.call('HSET', tokens, user, format_token('W', { place = place, entered = now }, now))
if order ~= '0' then
  join_waiting(user, order)
else
  local collecting = is_collecting(now, terms)
  if collecting then base_of(terms.draw) end
  local number = redis.call('HINCRBY', state, 'places', 1)
  if collecting then come_early(user, number, terms) else join_waiting(user, string.format('%.0f', number)) end
end
local report = admit(now_us, terms)
return { 'RESTORED', report.expired, report.abandoned, unpack(report.waits) }
