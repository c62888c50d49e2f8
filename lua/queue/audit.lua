-- queue.audit: a page of a queue's invariants, as of one instant. Changes nothing. Its work grows with the page.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 waiting ttl, ms  2 what to go through: ACTIVE | WAITING | TOKENS, all records  3 where the page begins: 0, or
--       where the page before said  4 how many a page
-- Returns: {UNOPENED}, there is nothing to check
--        | {AUDITED, active now, where the next page begins (empty: nowhere), how many are torn, the users that
--          are..., then of each that is alive a number and a time in ms: of an active one its place and when it was let in
--          (0 if that is not known any more), of one that waits and is there its order and when it came...}.
--          Torn: what a record says its user is in, the user is not in, or the other way round

if not is_open() then return { 'UNOPENED' } end
local waiting_ttl, part, from, limit = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local now = clock_ms()
local torn, alive, following = {}, {}, ''

if part == 'ACTIVE' then
  -- From the end, where they are added: who is let in meanwhile shifts others into the next page, not out of it.
  local page = redis.call('ZREVRANGE', active, from, from + limit - 1, 'WITHSCORES')
  for i = 1, #page, 2 do
    local token = read_token(page[i])
    if not token or token.status ~= 'A' then
      torn[#torn + 1] = page[i]
    elseif tonumber(page[i + 1]) > now then
      alive[#alive + 1] = token.place
      alive[#alive + 1] = let_in_at(token)
    end
  end
  if #page == 2 * limit then following = from + limit end
elseif part == 'WAITING' then
  local places = tonumber(redis.call('HGET', state, 'places'))
  local page = redis.call('ZRANGEBYSCORE', waiting, '(' .. from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
  for i = 1, #page, 2 do
    local token = read_token(page[i])
    -- An order that was drawn, or given after a loss, is above the place, and one of those given.
    local place, order = token and tonumber(token.place), tonumber(page[i + 1])
    if not token or token.status ~= 'W' or order < place or order > places or redis.call('ZSCORE', early, page[i]) then
      torn[#torn + 1] = page[i]
    elseif not has_left(token.seen, now, waiting_ttl) then
      alive[#alive + 1] = string.format('%.0f', order)
      alive[#alive + 1] = token.entered
    end
  end
  if #page == 2 * limit then following = page[#page] end
else
  local page = redis.call('HSCAN', tokens, from, 'COUNT', limit)
  for i = 1, #page[2], 2 do
    local user, token = page[2][i], parse_token(page[2][i + 1])
    local tries = redis.call('ZSCORE', active, user)
    local waits = token.status == 'W' and redis.call('ZSCORE', waiting, user)
    local comes_early = token.status == 'W' and redis.call('ZSCORE', early, user)
    local live = token.status == 'W' or token.status == 'A'
    -- Those who wait and are in something else were found among those who wait.
    local is_torn = live and not (tries or waits or comes_early) or tries and comes_early
    if not token.status or is_torn then torn[#torn + 1] = user end
  end
  if page[1] ~= '0' then following = page[1] end
end

local live = redis.call('ZCOUNT', active, string.format('(%.0f', now), '+inf')
local reply = { 'AUDITED', live, tostring(following), #torn }
for _, user in ipairs(torn) do reply[#reply + 1] = user end
for _, number in ipairs(alive) do reply[#reply + 1] = number end
return reply
