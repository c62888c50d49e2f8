//! The pages, in a real browser.

mod buy;
mod choose;
mod ground;
mod me;
mod shop;
