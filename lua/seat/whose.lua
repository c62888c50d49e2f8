-- seat.whose: of some of the seats, what each is and which reservation has it. Changes nothing.
-- KEYS: the schedule's (see map.lua)
-- ARGV: 1... positions
-- Returns: {MISSING}, there is nothing to tell | {WHOSE, a seat's byte, its reservation or empty...}

if not is_loaded() then return { 'MISSING' } end
local reply = { 'WHOSE' }
for i = 1, #ARGV - 1 do
  reply[#reply + 1] = redis.call('GETRANGE', seats, ARGV[i], ARGV[i])
  reply[#reply + 1] = redis.call('HGET', by_seat, ARGV[i]) or ''
end
return reply
