//! The pages, in a real browser.

mod console;
mod demo;
mod files;
mod ground;
mod hall;
mod picture;
mod plain;
mod room;
mod states;
