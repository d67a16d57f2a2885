//! What a redirect to the settings page leaves for it to tell, once.
//!
//! *Invariant:* a notice travels in a cookie that only our own answers set, so no link can make the page say what did not
//! happen. It holds our own sentences and never a secret.

use std::time::Duration;

use crate::runtime::http::route::{CSRF, Names};
use ::http::header::{CONTENT_TYPE, ORIGIN};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Problem, error::Kind};
use lambda_http::{Body, Response};
use serde::{Deserialize, Serialize};

use super::{answer::see_other, call::Call};

/// The page that people come from, and go back to.
pub const SETTINGS: &str = "/settings/integrations";
/// How long a notice waits for the page that tells it.
const LIFE: Duration = Duration::from_mins(1);
/// The longest notice that is left, in bytes: browsers keep cookies of 4,096 bytes with their attributes.
const MAX: usize = 3_000;

/// The outcome of a person's action, for the next page that the person sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Whether it is what the person wanted.
    pub good: bool,
    /// A sentence or two.
    pub words: String,
    /// The provider that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The field of the provider's form that has to be corrected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Notice {
    /// It worked.
    pub fn good(words: impl Into<String>) -> Self {
        Self { good: true, words: words.into(), provider: None, field: None }
    }

    /// It did not work.
    pub fn bad(words: impl Into<String>) -> Self {
        Self { good: false, ..Self::good(words) }
    }

    /// Why a form was refused. A problem with one field is told at the field.
    fn of(problem: &Problem, provider: &str) -> Self {
        let (words, field) = match problem.fields.first() {
            Some(field) => (field.message.clone(), Some(field.field.to_string())),
            None => (problem.with_next_action(), None),
        };
        let provider = Some(provider.to_owned()).filter(|provider| !provider.is_empty());
        Self { provider, field, ..Self::bad(words) }
    }

    /// Leads back to the settings page, which tells this.
    pub fn back(&self, call: &Call<'_>, to: &str) -> Response<Body> {
        let mut response = see_other(to);
        self.leave(&mut response, call);
        response
    }

    /// Leaves it for the settings page.
    pub fn leave(&self, response: &mut Response<Body>, call: &Call<'_>) {
        // It serialises: it is text. What is too long for a cookie is not told.
        let value = serde_json::to_vec(self).map(|text| URL_SAFE_NO_PAD.encode(text)).unwrap_or_default();
        if value.len() <= MAX {
            call.set_cookie(response, cookie(call), &value, LIFE);
        }
    }

    /// What was left for this browser.
    pub fn left(call: &Call<'_>) -> Option<Self> {
        let text = URL_SAFE_NO_PAD.decode(call.cookie(cookie(call))?).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Takes it away: it was told.
    pub fn clear(response: &mut Response<Body>, call: &Call<'_>) {
        call.set_cookie(response, cookie(call), "", Duration::ZERO);
    }
}

/// The prefix makes browsers refuse it from any other host.
fn cookie(call: &Call<'_>) -> &'static str {
    if call.is_loopback() { "intertie_notice" } else { "__Host-intertie_notice" }
}

/// The answer to a form of the settings page (`own` is the page's origin) that was refused: back to the page, which tells why at
/// the right place. `None` for what is no such form, for a request that did not come from a signed-in person on that page, and
/// for what an operator must be told with the id of the request, which a page of its own shows.
pub(super) fn refused(call: &Call<'_>, problem: &Problem, own: &str) -> Option<Response<Body>> {
    let ours = matches!(call.route?.body, Names::Only(fields) if fields.contains(&CSRF));
    let is_for_users = !matches!(problem.kind, Kind::Unauthenticated | Kind::Forbidden | Kind::Internal);
    let header = |name| call.request.headers().get(name).and_then(|value| value.to_str().ok());
    let form = header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    (ours && is_for_users && form && call.by_browser() && header(ORIGIN) == Some(own))
        .then(|| Notice::of(problem, call.parameter("provider")).back(call, SETTINGS))
}
