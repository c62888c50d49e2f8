//! Migrations are carried inside the program: a new one must rebuild it.
#![expect(clippy::print_stdout, reason = "this is how cargo is told")]

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
