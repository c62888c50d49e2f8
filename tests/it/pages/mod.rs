//! The pages, in a real browser.

mod files;
mod ground;
mod hall;
mod plain;
mod room;
mod states;
