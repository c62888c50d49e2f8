//! The pages, in a real browser.

mod buy;
mod choose;
mod files;
mod ground;
mod hall;
mod me;
mod plain;
mod room;
mod shop;
mod states;
