//! What every call has in common: the envelope, the errors, the extractors, the layers around the router. Knows nothing
//! of concerts.

mod bearer;
mod call;
mod cookie;
mod described;
mod envelope;
mod error;
mod events;
mod extract;
mod front;
mod layers;
mod not_modified;
mod page;
mod rate;
mod rendered;
mod span;
mod tally;

pub(crate) use bearer::bearer;
pub use call::{CallFields, with_call};
pub use cookie::cookies;
pub use described::{Access, Body, Date, Described, Gives, Parameter, SchemaOf, Time, schema};
pub use envelope::{Success, success_around, success_body};
pub use error::{ApiError, ErrorCode};
pub use events::{COMMENT, EventSink, EventStream, MAX_STREAMS, event, event_stream, retry, silence};
pub(crate) use extract::single_header;
pub use extract::{AllHeaders, BODY_LIMIT, Form, IdPath, Json, LargeJson, Query, TextPath};
pub use front::{Asked, Front, Shortcut};
pub use layers::{Pulse, method_fallback, no_such_route, wrap};
pub use not_modified::matches_etag;
pub use page::{Page, PageQuery, rfc3339};
pub(crate) use rate::too_fast;
pub use rate::{RateLimits, RateSettings};
pub use rendered::{Rendered, takes_gzip};
pub use span::{CALL_SPAN, carried};
