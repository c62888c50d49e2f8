//! The pages, in a real browser.

mod console;
mod demo;
mod ground;
