//! Text that whoever has it could misuse: it goes to the client or the store that it is for, and into no log line, however it
//! comes there.

use std::fmt;
use std::ops::Deref;

use serde::Serialize;

/// A token, a pass, a key, as text; shown by `Debug` as nothing.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Veiled(String);

impl From<String> for Veiled {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Veiled {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Deref for Veiled {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Veiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_text_and_shows_nothing() {
        let veiled = Veiled::from("hunter2");
        assert_eq!((&*veiled, serde_json::to_string(&veiled).unwrap().as_str()), ("hunter2", "\"hunter2\""));
        assert_eq!(
            (format!("{veiled:?}"), format!("{:#?}", Some(&veiled))),
            ("…".to_owned(), "Some(\n    …,\n)".to_owned())
        );
    }
}
