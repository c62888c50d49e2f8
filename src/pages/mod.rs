//! What people see: the programme, the waiting room in which one then chooses and pays, one's own tickets, the operators'
//! console, the demo. Made of the files in `web/`, which are built into the program: there is no build step, and a browser
//! loads nothing from elsewhere.
//!
//! Each page is a template in one of two languages, filled in here; the rest is the pages' own scripts, which make calls like
//! anybody. So this room has no store, and nothing that the calls do not have.

mod asset;
mod http;
mod language;
mod template;
mod waiting;

use chrono_tz::Tz;

pub use http::{nowhere, router};

/// How the pages are.
#[derive(Debug)]
pub struct Pages {
    /// Whether a visitor may make up who it is: on a developer's machine, where nobody stands in front who would know.
    demo: bool,
    /// The venue's.
    time_zone: Tz,
}

impl Pages {
    /// With or without visitors who make up who they are; times are the venue's, in this time zone.
    #[must_use]
    pub fn new(demo: bool, time_zone: Tz) -> Self {
        Self { demo, time_zone }
    }

    /// How a page's script learns who the visitor is.
    fn visitor(&self) -> &'static str {
        if self.demo { "demo" } else { "gateway" }
    }
}
