//! Lists by cursor, newest first: `?cursor=…&size=…`. A cursor names the last entry that was shown, so what is added at the
//! front in the meantime moves nothing.
//!
//! It is base64url without padding over 9 bytes: version 1, the entry's id 8 (big-endian). Opaque to clients.

use axum::extract::FromRequestParts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat, Utc};
use http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ApiError, Query};
use crate::ids::GREATEST;

const VERSION: u8 = 1;

const LARGEST_PAGE: i64 = 100;

/// Unless the client says otherwise.
const USUAL_PAGE: i64 = 20;

#[derive(Debug, Deserialize)]
struct Asked {
    cursor: Option<String>,
    size: Option<i64>,
}

/// Which part of a list is asked for.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "only described: it is read by hand")]
pub struct PageQuery {
    /// The `nextCursor` of the answer before; the newest entries unless said.
    #[schemars(regex(pattern = r"^AQA[A-Za-f][A-Za-z0-9_-]{7}[B-Za-z0-9_-]$"), example = &"AQAAAAAAAAAq")]
    cursor: Option<String>,
    /// How many; 20 unless said.
    #[schemars(range(min = 1, max = LARGEST_PAGE), example = 20)]
    size: Option<i64>,
}

/// Which entries of a list are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Those with lesser ids only.
    pub before: i64,
    size: i64,
}

impl Page {
    fn asked(asked: &Asked) -> Result<Self, ApiError> {
        let size = asked.size.unwrap_or(USUAL_PAGE);
        if !(1..=LARGEST_PAGE).contains(&size) {
            return Err(ApiError::invalid("size is from 1 to 100."));
        }
        let unknown = || ApiError::invalid("cursor is none that this call has given as nextCursor.");
        let before = asked.cursor.as_deref().map_or(Some(i64::MAX), read).ok_or_else(unknown)?;
        Ok(Self { before, size })
    }

    /// How many entries to read: one more than are shown tells whether there are more.
    #[must_use]
    pub fn limit(&self) -> i64 {
        self.size + 1
    }

    /// Leaves of what was read what is shown; returns the cursor for the next page, if there is one.
    pub fn cut<T>(&self, entries: &mut Vec<T>, id: impl Fn(&T) -> i64) -> Option<String> {
        let size = usize::try_from(self.size).unwrap_or_default();
        let has_more = entries.len() > size;
        entries.truncate(size);
        entries.last().filter(|_| has_more).map(|last| write(id(last)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(asked) = Query::<Asked>::from_request_parts(parts, state).await?;
        Self::asked(&asked)
    }
}

fn write(last: i64) -> String {
    let mut bytes = [VERSION; 9];
    bytes[1..].copy_from_slice(&last.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read(cursor: &str) -> Option<i64> {
    let bytes: [u8; 9] = URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
    let [VERSION, last @ ..] = bytes else { return None };
    Some(i64::from_be_bytes(last)).filter(|last| (1..=GREATEST).contains(last))
}

/// A time as the API writes it: RFC 3339 in UTC, to the millisecond.
#[must_use]
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(cursor: Option<&str>, size: Option<i64>) -> Option<Page> {
        Page::asked(&Asked { cursor: cursor.map(str::to_owned), size }).ok()
    }

    #[test]
    fn a_cursor_goes_on_after_the_last_entry_shown() {
        let first = asked(None, Some(2)).unwrap();
        assert_eq!((first.before, first.limit()), (i64::MAX, 3));
        let mut entries = vec![9, 7, 5];
        let next = first.cut(&mut entries, |id| *id).unwrap();
        assert_eq!(entries, [9, 7]);
        let second = asked(Some(&next), Some(2)).unwrap();
        assert_eq!(second.before, 7);
        let mut entries = vec![5, 3];
        assert_eq!((second.cut(&mut entries, |id| *id), entries), (None, vec![5, 3]));
        assert_eq!(first.cut(&mut Vec::<i64>::new(), |id| *id), None);
    }

    #[test]
    fn what_was_never_given_is_no_cursor() {
        for id in [1, 77, GREATEST] {
            assert_eq!(read(&write(id)), Some(id));
        }
        let other_version = URL_SAFE_NO_PAD.encode([2, 0, 0, 0, 0, 0, 0, 0, 7]);
        for bad in ["", "7", "abc", &write(0), &write(-1), &write(GREATEST + 1), &other_version, &(write(7) + "A")] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_have_limits() {
        assert_eq!(asked(None, None).map(|page| page.limit()), Some(21));
        assert_eq!(asked(None, Some(100)).map(|page| page.limit()), Some(101));
        for bad in [0, -1, 101, i64::MAX] {
            assert_eq!(asked(None, Some(bad)), None);
        }
    }
}
