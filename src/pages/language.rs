//! The languages that pages speak. Their words are in `web/words/`, one file a language and room, for scripts and templates
//! alike.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use http::header::{ACCEPT_LANGUAGE, HeaderMap};
use serde::Deserialize;

use crate::http::cookies;

/// What a visitor has chosen is remembered in it.
pub(super) const COOKIE: &str = "onsale_language";

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Korean,
}

/// A text, or one that depends on how many there are.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    Plain(String),
    Counted { one: String, other: String },
}

type Dictionary = HashMap<String, Words>;

static ENGLISH: LazyLock<Dictionary> = LazyLock::new(|| read(include_str!("../../web/words/en.json")));
static KOREAN: LazyLock<Dictionary> = LazyLock::new(|| read(include_str!("../../web/words/ko.json")));

/// A file that cannot be read leaves pages without words; a test reads them all.
fn read(text: &str) -> Dictionary {
    serde_json::from_str(text).unwrap_or_default()
}

impl Language {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::English, Self::Korean];

    /// As it is written in HTML.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }

    /// The language of this code.
    pub(super) fn named(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// The one that a visitor has chosen, else the one that its browser likes best.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        cookies(headers, COOKIE).find_map(Self::named).unwrap_or_else(|| Self::liked(headers))
    }

    fn liked(headers: &HeaderMap) -> Self {
        let said = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let liking = |part: &str| {
            let mut parts = part.split(';').map(str::trim);
            let language = Self::named(&parts.next()?.get(..2)?.to_ascii_lowercase())?;
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |weight| weight.parse().ok());
            weight.filter(|weight: &f32| *weight > 0.0).map(|weight| (language, weight))
        };
        let best = said.split(',').filter_map(liking).reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map_or(Self::English, |(language, _)| language)
    }

    /// A date as people write it.
    pub(super) fn date(self, date: NaiveDate) -> String {
        let form = match self {
            Self::English => "%A, %B %-d, %Y",
            Self::Korean => "%Y년 %-m월 %-d일",
        };
        date.format(form).to_string()
    }

    /// A moment as people at the venue write it.
    pub(super) fn moment(self, at: DateTime<Utc>, zone: Tz) -> String {
        let at = at.with_timezone(&zone);
        format!("{}, {}", self.date(at.date_naive()), at.format("%H:%M (%Z)"))
    }

    /// So many seconds, in the unit that people would say them in.
    pub(super) fn duration(self, seconds: u64) -> String {
        let (unit, size) = match seconds {
            ..90 => ("seconds", 1),
            90..5400 => ("minutes", 60),
            5400..172_800 => ("hours", 3600),
            _ => ("days", 86_400),
        };
        self.words(&format!("plain.{unit}"), Some((seconds + size / 2) / size))
    }

    fn dictionary(self) -> &'static Dictionary {
        match self {
            Self::English => &ENGLISH,
            Self::Korean => &KOREAN,
        }
    }

    /// What is said under this name, its `{count}` filled in; nothing if there are no such words.
    pub(super) fn words(self, name: &str, count: Option<u64>) -> String {
        let text = match self.dictionary().get(name) {
            Some(Words::Plain(text)) => text,
            Some(Words::Counted { one, .. }) if count == Some(1) => one,
            Some(Words::Counted { other, .. }) => other,
            None => return String::new(),
        };
        count.map_or_else(|| text.clone(), |count| text.replace("{count}", &grouped(count)))
    }
}

/// A number as both languages write it: 12,400.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at % 3 == first {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_language_that_is_liked_best_is_spoken() {
        let with = |value: &'static str| HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static(value))]);
        for (said, language) in [
            ("ko-KR,ko;q=0.9,en-US;q=0.8", Language::Korean),
            ("en-US,en;q=0.9,ko;q=0.8", Language::English),
            ("fr, ko;q=0.5, en;q=0.4", Language::Korean),
            ("en;q=0, KO", Language::Korean),
            ("fr", Language::English),
            ("", Language::English),
            ("ko;q=x", Language::English),
        ] {
            assert_eq!(Language::of(&with(said)), language, "{said}");
        }
        let mut chosen = with("ko");
        chosen.insert(http::header::COOKIE, HeaderValue::from_static("a=b; onsale_language=en"));
        assert_eq!(Language::of(&chosen), Language::English);
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!([0, 12, 999, 1000, 12_400, 1_000_000].map(grouped).join(" "), "0 12 999 1,000 12,400 1,000,000");
    }
}
