//! What operators have in a terminal: `onsale admin` makes their calls, `onsale top` shows the sale live. Both know nothing but
//! the documented calls, and never show the token that they make them with.

mod answers;
mod client;
mod rates;
mod screen;
mod settings;
mod shown;
mod table;
mod top;
mod verbs;

use std::path::PathBuf;

use reqwest::Url;

pub use settings::{AdminSettings, ConcertVerb, QueueVerb, Reach, TopSettings, Verb};
pub use top::top;
pub use verbs::admin;

/// Why an operator is not served.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// There is nothing to show the server.
    #[error("ONSALE_ADMIN_TOKEN (--admin-token) is required: the operator's token")]
    NoToken,
    /// The server's own word.
    #[error("{code}: {message}")]
    Refused {
        /// The contract's code.
        code: String,
        /// For people.
        message: String,
    },
    /// Nothing answers.
    #[error("nothing answers at {base} (ONSALE_URL): {why}")]
    NotThere {
        /// Where.
        base: Url,
        /// What happened.
        why: String,
    },
    /// Something answers that is not what we know.
    #[error("what answers at {0} (ONSALE_URL) is no onsale of this version")]
    Strange(Url),
    /// The plan cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The token cannot be sent.
    #[error("ONSALE_ADMIN_TOKEN (--admin-token) cannot be sent: {0}")]
    Token(#[from] http::header::InvalidHeaderValue),
    /// The client could not be made.
    #[error("the client cannot be made: {0}")]
    Client(reqwest::Error),
    /// Standard output cannot be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
