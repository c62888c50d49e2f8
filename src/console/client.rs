//! The operators' calls over HTTP.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ConsoleError, Reach};

/// Longer than the server lets an operators' call take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The most that one answer lists.
pub(super) const LARGEST_PAGE: usize = 100;

/// A server, as an operator reaches it.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
}

#[derive(Deserialize)]
struct Envelope {
    result: String,
    data: Value,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
}

impl Client {
    pub(super) fn new(reach: &Reach) -> Result<Self, ConsoleError> {
        let key = reach.admin_token.as_ref().ok_or(ConsoleError::NoToken)?;
        let mut authorization = HeaderValue::try_from([b"Bearer ", key.expose()].concat())?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization)]);
        // A proxy of the environment, or wherever an answer points to, would hear the token.
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let http = http.default_headers(headers).timeout(PATIENCE).build().map_err(ConsoleError::Client)?;
        Ok(Self { http, base: reach.url.clone() })
    }

    pub(super) async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, ConsoleError> {
        self.call(Method::GET, path, query, None).await
    }

    /// Changes something; without a body there is none to send.
    pub(super) async fn change(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Vec<u8>>,
    ) -> Result<Value, ConsoleError> {
        self.call(method, path, &[], body).await
    }

    /// All of a list that is answered by the page, under its name, with how many they are.
    pub(super) async fn all(&self, path: &[&str], list: &str) -> Result<Value, ConsoleError> {
        let mut all = Vec::new();
        for page in 1_u32.. {
            let query = [("page", page.to_string()), ("size", LARGEST_PAGE.to_string())];
            let mut answer = self.get(path, &query).await?;
            let total = answer["total"].as_u64().unwrap_or_default();
            let Value::Array(some) = answer[list].take() else { return Err(self.strange()) };
            let is_last = some.len() < LARGEST_PAGE;
            all.extend(some);
            if is_last || all.len() as u64 >= total {
                break;
            }
        }
        Ok(json!({ "total": all.len(), list: all }))
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<Vec<u8>>,
    ) -> Result<Value, ConsoleError> {
        let mut url = self.base.clone();
        // A base that has a host has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(["admin", "v1"]).extend(path);
        }
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| self.not_there(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.not_there(&error))?;
        let envelope: Envelope = serde_json::from_slice(&bytes).map_err(|_| self.strange())?;
        match envelope {
            Envelope { error: Some(Refusal { code, message }), .. } => {
                Err(ConsoleError::Refused { code: one_line(&code), message: one_line(&message) })
            }
            Envelope { result, data, error: None } if status.is_success() && result == "SUCCESS" => Ok(data),
            Envelope { .. } => Err(self.strange()),
        }
    }

    pub(super) fn strange(&self) -> ConsoleError {
        ConsoleError::Strange(self.base.clone())
    }

    fn not_there(&self, error: &reqwest::Error) -> ConsoleError {
        let why = if error.is_timeout() { "it takes too long".to_owned() } else { innermost(error).to_string() };
        ConsoleError::NotThere { base: self.base.clone(), why: one_line(&why) }
    }
}

/// What happened, without all that failed because of it.
fn innermost<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error)
}

/// What comes from elsewhere, as something that a terminal can be shown.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
