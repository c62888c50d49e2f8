//! All integration tests, in one binary, against a real Redis and a real PostgreSQL that the binary itself starts on free
//! ports. Each test has a database and a key prefix of its own.
#![expect(unreachable_pub, reason = "nothing in a test binary is reachable from outside")]

mod journey;
mod sql_cache;
mod support;
