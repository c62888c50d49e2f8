//! The program itself, as an operator runs it: its arguments, its verbs, its way up and down.

mod admin;
mod arguments;
mod identity;
mod serve;
mod top;
mod verbs;

use std::process::Stdio;

use tokio::process::Command;

use crate::support::ONSALE;

/// A key that authenticates tokens.
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Few connections, and time to make them on a busy machine.
const PATIENT: [(&str, &str); 2] = [("ONSALE_POSTGRES_CONNECTIONS", "2"), ("ONSALE_POSTGRES_TIMEOUT_MS", "20000")];

/// How a run ended, and what it said.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The program with these arguments, and nothing in its environment but this.
fn onsale(args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(ONSALE);
    command.args(args).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs it to its end.
pub async fn run(args: &[&str], variables: &[(&str, &str)]) -> Ran {
    let output = onsale(args, variables).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
