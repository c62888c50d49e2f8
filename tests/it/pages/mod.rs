//! The pages, in a real browser.

mod buy;
mod choose;
mod console;
mod demo;
mod files;
mod ground;
mod hall;
mod me;
mod picture;
mod plain;
mod programme;
mod room;
mod shop;
mod states;
mod touch;
mod width;
