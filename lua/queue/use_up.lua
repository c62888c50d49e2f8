-- queue.use_up: of tokens that Postgres knows to have paid, ends those that a former Redis left waiting, and names those
-- that it left active: whether they end depends on what else is held under them.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1... user:place of each
-- Returns: {UNOPENED}, there is nothing to end | {USED, user:place of each that is active...}

if not is_open() then return { 'UNOPENED' } end
local now = clock_ms()
local reply = { 'USED' }
for i = 1, #ARGV - 1 do
  local user, place = string.match(ARGV[i], '^(%d+):(%d+)$')
  local token = read_token(user)
  if token and token.place == place then
    if token.status == 'W' then
      -- When it was let in is not known any more.
      token.seen = 0
      end_token(user, token, 'C', now)
    elseif token.status == 'A' then
      reply[#reply + 1] = ARGV[i]
    end
  end
end
return reply
