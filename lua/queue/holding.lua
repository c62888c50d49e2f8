-- queue.holding: the schedules in which a user may hold seats under its token. Changes nothing.
-- KEYS: the queue's (see token.lua)
-- ARGV: 1 user
-- Returns: {HOLDING, schedules: "1 5"}; after a loss of Redis, what is left of them

return { 'HOLDING', redis.call('HGET', holding, ARGV[1]) or '' }
