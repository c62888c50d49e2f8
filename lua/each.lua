-- Shared by the scripts that take many calls at once, put before them when the program is built.
--
-- ARGV of such a script: first what all its calls share, then each call's own arguments, one call's after the other's,
-- and last the incarnation. It returns a list of replies, one a call in their order. A call that fails says
-- {FAILED, why}, and the others go on; a reply that is no list of replies is every call's.

-- Carries out each call; `shared` and `own` say how many arguments there are of each kind.
local function each(shared, own, call)
  local replies = {}
  for at = shared + 1, #ARGV - 1, own do
    local done, reply = pcall(call, unpack(ARGV, at, at + own - 1))
    if not done then reply = { 'FAILED', type(reply) == 'table' and reply.err or tostring(reply) } end
    replies[#replies + 1] = reply
  end
  return replies
end
