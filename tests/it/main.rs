//! All integration tests, in one binary, against a real Redis and a real PostgreSQL that the binary itself starts on free
//! ports. Each test has a database and a key prefix of its own.

mod journey;
mod support;
