-- Shared by the scripts that take many calls at once, put before them when the program is built, after what they share
-- with others.
--
-- ARGV of such a script: first what all its calls share, then each call's own arguments, one call's after the other's,
-- and last the incarnation. It returns a list of replies, one a call in their order. A call that fails says
-- {FAILED, why}, and the others go on; a reply that is no list of replies is every call's.
--
-- A command costs more than all else that a call does, so calls that come together share their commands: what they will
-- ask for is read ahead for all of them, what they change is kept in mind, where the next call finds it, and it is written
-- once the last one is through. Their replies, and what is written, are those of the same calls one by one.

-- What is known of each key, and what of that is changed: of a hash its fields, of a sorted set its members' scores, of
-- a string of bytes or bits those at a position. `false` is what is not there.
local hashes, scores, bytes, bits = {}, {}, {}, {}

-- What the call under way has changed, and what was there before: taken back if it fails.
local changes = {}

local function text(value)
  return type(value) == 'number' and string.format('%.17g', value) or value
end

local function of(kind, key)
  local it = kind[key]
  if not it then
    it = { known = {}, changed = {} }
    kind[key] = it
  end
  return it
end

local function change(kind, key, name, value)
  local it = of(kind, key)
  name = text(name)
  changes[#changes + 1] = { it, name, it.known[name], it.changed[name] }
  it.known[name], it.changed[name] = text(value), true
end

local function take_back()
  for i = #changes, 1, -1 do
    local it, name, value, changed = unpack(changes[i], 1, 4)
    it.known[name], it.changed[name] = value, changed
  end
end

-- What is known of a key, and of these names those that are not known yet, each once.
local function unknown(kind, key, names)
  local known, found, seen = of(kind, key).known, {}, {}
  for _, name in ipairs(names) do
    if known[name] == nil and not seen[name] then
      seen[name] = true
      found[#found + 1] = name
    end
  end
  return known, found
end

local function values_of(known, names)
  local values = {}
  for i, name in ipairs(names) do values[i] = known[name] end
  return values
end

-- Reads fields of a hash ahead; returns their values.
local function ahead_in(key, fields)
  local known, missing = unknown(hashes, key, fields)
  if #missing > 0 then
    for i, value in ipairs(redis.call('HMGET', key, unpack(missing))) do known[missing[i]] = value end
  end
  return values_of(known, fields)
end

-- Reads members' scores ahead; returns them.
local function ahead_scores(key, members)
  local known, missing = unknown(scores, key, members)
  if #missing > 0 then
    for i, score in ipairs(redis.call('ZMSCORE', key, unpack(missing))) do known[missing[i]] = score end
  end
  return values_of(known, members)
end

-- Reads a string's bytes at these positions ahead; returns them. What is no position is left to the call that names it.
local function ahead_bytes(key, positions)
  local fit = {}
  for _, position in ipairs(positions) do
    if #position < 9 and string.find(position, '^[1-9]?%d+$') then fit[#fit + 1] = position end
  end
  local known, missing = unknown(bytes, key, fit)
  local gets = {}
  for _, position in ipairs(missing) do
    gets[#gets + 1] = 'GET'
    gets[#gets + 1] = 'u8'
    gets[#gets + 1] = '#' .. position
  end
  if #gets > 0 then
    for i, byte in ipairs(redis.call('BITFIELD', key, unpack(gets))) do
      known[missing[i]] = byte > 0 and string.char(byte) or ''
    end
  end
  return values_of(known, positions)
end

-- Of changed names: those that are there, each with its value, as `put` lists them; and those that are not.
local function changed_in(it, put)
  local there, gone = {}, {}
  for name in pairs(it.changed) do
    if it.known[name] then put(there, name, it.known[name]) else gone[#gone + 1] = name end
  end
  it.changed = {}
  return there, gone
end

local function write(kind, set, delete, put)
  for key, it in pairs(kind) do
    local there, gone = changed_in(it, put)
    if #there > 0 then redis.call(set, key, unpack(there)) end
    if #gone > 0 then redis.call(delete, key, unpack(gone)) end
  end
end

-- Writes all that was changed.
local function write_out()
  write(hashes, 'HSET', 'HDEL', function(list, field, value)
    list[#list + 1] = field
    list[#list + 1] = value
  end)
  write(scores, 'ZADD', 'ZREM', function(list, member, score)
    list[#list + 1] = score
    list[#list + 1] = member
  end)
  write(bytes, 'BITFIELD', nil, function(list, position, byte)
    list[#list + 1] = 'SET'
    list[#list + 1] = 'u8'
    list[#list + 1] = '#' .. position
    list[#list + 1] = string.byte(byte)
  end)
  write(bits, 'BITFIELD', nil, function(list, position, bit)
    list[#list + 1] = 'SET'
    list[#list + 1] = 'u1'
    list[#list + 1] = position
    list[#list + 1] = bit
  end)
  changes = {}
end

-- What the usual commands answer from what is known. They take the forms that the scripts use, and those only.
local answers = {}

function answers.HGET(key, field)
  return ahead_in(key, { text(field) })[1]
end

function answers.HMGET(key, ...)
  return ahead_in(key, { ... })
end

function answers.HSET(key, ...)
  local pairs_of = { ... }
  for i = 1, #pairs_of, 2 do change(hashes, key, pairs_of[i], pairs_of[i + 1]) end
end

function answers.HSETNX(key, field, value)
  if answers.HGET(key, field) then return 0 end
  change(hashes, key, field, value)
  return 1
end

function answers.HDEL(key, field)
  answers.HGET(key, field)
  change(hashes, key, field, false)
end

-- Counts at once: it is the sum that the caller wants.
function answers.HINCRBY(key, field, by)
  local sum = redis.call('HINCRBY', key, field, by)
  of(hashes, key).known[field] = text(sum)
  return sum
end

function answers.ZSCORE(key, member)
  return ahead_scores(key, { member })[1]
end

function answers.ZADD(key, score, member)
  change(scores, key, member, score)
end

function answers.ZREM(key, member)
  change(scores, key, member, false)
end

function answers.GETRANGE(key, first, last)
  return ahead_bytes(key, { first })[1] or redis.call('GETRANGE', key, first, last)
end

function answers.SETRANGE(key, position, byte)
  change(bytes, key, position, byte)
end

function answers.SETBIT(key, position, bit)
  change(bits, key, position, bit)
end

function answers.TIME()
  return redis.call('TIME')
end

-- A command of many calls: answered from what is known. Any other one finds all written, and leaves nothing known.
local function in_mind(command, ...)
  local answer = answers[command]
  if answer then return answer(...) end
  write_out()
  hashes, scores, bytes, bits = {}, {}, {}, {}
  return redis.call(command, ...)
end

-- Carries out each call; `shared` and `own` say how many arguments there are of each kind. `foresee` is given each kind of
-- the calls' own arguments, a list of all the calls', and reads ahead what they will ask for.
local function each(shared, own, carry_out, foresee)
  local last = #ARGV - 1
  if last > shared + own then
    call = in_mind
    local lists = {}
    for i = 1, own do
      lists[i] = {}
      for at = shared + i, last, own do lists[i][#lists[i] + 1] = ARGV[at] end
    end
    foresee(unpack(lists))
  end
  local replies = {}
  for at = shared + 1, last, own do
    changes = {}
    local done, reply = pcall(carry_out, unpack(ARGV, at, at + own - 1))
    if not done then
      take_back()
      reply = { 'FAILED', type(reply) == 'table' and reply.err or tostring(reply) }
    end
    replies[#replies + 1] = reply
  end
  write_out()
  call = redis.call
  return replies
end
