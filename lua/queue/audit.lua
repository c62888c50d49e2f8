-- queue.audit: the queue's invariants at one instant. Changes nothing. Its work grows with the number of active tokens.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 waiting ttl, ms  2 how many of those who wait to look at
-- Returns: {AUDITED, active now, greatest place among them (0: none), least place of who waits and is there (0: none
--           seen), users with two live tokens or a token that is not what its place says}

local waiting_ttl, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = clock_ms()
local live, latest, torn = 0, 0, 0
local entries = redis.call('ZRANGE', active, 0, -1, 'WITHSCORES')
for i = 1, #entries, 2 do
  local user, token = entries[i], read_token(entries[i])
  if not token or token.status ~= 'A' or redis.call('ZSCORE', waiting, user) then torn = torn + 1 end
  if tonumber(entries[i + 1]) > now then
    live = live + 1
    if token then latest = math.max(latest, tonumber(token.place)) end
  end
end
local first = 0
local heads = redis.call('ZRANGE', waiting, 0, limit - 1, 'WITHSCORES')
for i = 1, #heads, 2 do
  local token = read_token(heads[i])
  if not token or token.status ~= 'W' or tonumber(token.place) ~= tonumber(heads[i + 1]) then
    torn = torn + 1
  elseif first == 0 and not has_left(token, now, waiting_ttl) then
    first = tonumber(heads[i + 1])
  end
end
return { 'AUDITED', live, string.format('%.0f', latest), string.format('%.0f', first), torn }
