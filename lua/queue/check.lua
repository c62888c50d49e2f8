-- queue.check: whether a token may try now. Takes many calls at once (see each.lua).
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 waiting ttl, ms; of each call: user, place
-- Returns: {UNOPENED}, open it first | {ACTIVE, ms left} | {WAITING} | {EXPIRED} | {COMPLETED}
--        | {LOST, ms since Redis lost it at the latest} | {UNKNOWN}

if not is_open() then return { 'UNOPENED' } end
local waiting_ttl, now = tonumber(ARGV[1]), clock_ms()

return each(1, 2, function(user, place)
  local word, expires = standing(user, place, now, waiting_ttl)
  if word == 'ACTIVE' then return { word, expires - now } end
  return { word, expires }
end)
