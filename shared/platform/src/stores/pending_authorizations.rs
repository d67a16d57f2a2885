//! OAuth authorization requests under way: what a callback must match.
//!
//! *Invariant:* a state is taken once, within ten minutes, by the browser and at the provider it was made for: one conditional
//! update decides all of that at once. The table holds hashes only, so a reader of it can't finish a request.
//!
//! ```text
//! pending ──take──▶ exchanging ──succeed──▶ succeeded, for 60 seconds
//!                       └──────fail──────▶ (deleted)
//! ```
//!
//! A request of a crashed function stays `exchanging` until it expires, and is not taken again: its code may be used up.

use aws_sdk_dynamodb::types::ReturnValue;
use domain::{ProviderId, UserId};
use jiff::{SignedDuration, Timestamp, fmt::serde::timestamp::second};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    aws::{Aws, AwsError},
    stores::{
        item::{Item, key, malformed, read, s, seconds, write},
        table::{Outcome, Table},
    },
};

/// How long the user may take.
const LIFE: SignedDuration = SignedDuration::from_mins(10);
/// How long a request that succeeded leads its browser to the same place: a reload, or a second opening of the link.
const REPLAY: SignedDuration = SignedDuration::from_secs(60);

const PENDING: &str = "pending";
const EXCHANGING: &str = "exchanging";
const SUCCEEDED: &str = "succeeded";

/// The table of authorization requests.
#[derive(Debug, Clone)]
pub struct PendingAuthorizations {
    table: Table,
}

/// A request under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// The user that began it.
    pub user_id: UserId,
    /// The provider it was begun for.
    pub provider: ProviderId,
    /// Where the user goes afterwards.
    pub return_to: String,
    /// The redirect URI, which the exchange must repeat.
    pub redirect_uri: String,
    /// The scopes asked for, separated by spaces (RFC 6749, 3.3).
    pub scopes: String,
}

/// The item of a request that begins.
#[derive(Debug, Serialize)]
struct Pending<'a> {
    state_hash: String,
    phase: &'static str,
    browser_hash: String,
    #[serde(with = "second::required")]
    expires_at: Timestamp,
    #[serde(flatten)]
    request: &'a AuthorizationRequest,
}

/// What the item has in every phase.
#[derive(Debug, Deserialize)]
struct Stored {
    phase: String,
    browser_hash: String,
    #[serde(with = "second::required")]
    expires_at: Timestamp,
    provider: ProviderId,
    return_to: String,
}

/// What a callback brings back, which a request must match.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// The state of the query.
    pub state: &'a str,
    /// The browser's binding cookie.
    pub browser: &'a str,
    /// The provider of the path.
    pub provider: &'a ProviderId,
}

/// Where a request stands for a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stand {
    /// This callback has taken it, and no other will.
    Taken(AuthorizationRequest),
    /// Another callback of the same browser has taken it, and has not ended yet.
    Exchanging,
    /// It succeeded within the last 60 seconds; this is where the user goes.
    Succeeded(String),
    /// There is none for this state, browser and provider, or not any more.
    Unknown,
}

impl PendingAuthorizations {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { table: Table::new(aws, table) }
    }

    /// Begins a request under this state in the browser with this cookie. Whether there was none under this state.
    pub async fn begin(
        &self,
        state: &str,
        browser: &str,
        request: &AuthorizationRequest,
        now: Timestamp,
    ) -> Result<bool, AwsError> {
        let pending = Pending {
            state_hash: hash(state),
            phase: PENDING,
            browser_hash: hash(browser),
            expires_at: now + LIFE,
            request,
        };
        self.table.create(write(&pending)?, "state_hash").await
    }

    /// Takes the request, or says where it stands.
    pub async fn take(&self, presented: Presented<'_>, now: Timestamp) -> Result<Stand, AwsError> {
        let taken = self
            .table
            .update(item_key(presented.state))
            .set("phase = :exchanging")
            .when("phase = :pending AND browser_hash = :browser AND provider = :provider AND expires_at > :now")
            .with([
                (":exchanging", s(EXCHANGING)),
                (":pending", s(PENDING)),
                (":browser", s(hash(presented.browser))),
                (":provider", s(presented.provider)),
                (":now", seconds(now)),
            ])
            .returning(ReturnValue::AllNew)
            .send_once()
            .await?;
        match taken {
            Outcome::Written(item) => Ok(Stand::Taken(read(item)?)),
            Outcome::Refused(_) => self.stand(presented, now).await,
        }
    }

    /// Where a request stands that this callback has not taken, read consistently.
    pub async fn stand(&self, presented: Presented<'_>, now: Timestamp) -> Result<Stand, AwsError> {
        let Some(item) = self.table.get(item_key(presented.state)).await? else { return Ok(Stand::Unknown) };
        let stored: Stored = read(item)?;
        let own = stored.browser_hash == hash(presented.browser) && stored.provider == *presented.provider;
        // DynamoDB deletes expired items within days.
        if !own || stored.expires_at <= now {
            return Ok(Stand::Unknown);
        }
        match stored.phase.as_str() {
            EXCHANGING => Ok(Stand::Exchanging),
            SUCCEEDED => Ok(Stand::Succeeded(stored.return_to)),
            PENDING => Ok(Stand::Unknown),
            _ => Err(malformed("phase")),
        }
    }

    /// Records that a request which this callback has taken succeeded. Of it, only where the user goes is kept.
    pub async fn succeed(&self, state: &str, now: Timestamp) -> Result<(), AwsError> {
        let update = self
            .table
            .update(item_key(state))
            .set("phase = :succeeded, expires_at = :expires_at")
            .remove("user_id, redirect_uri, scopes")
            .when("attribute_exists(state_hash)")
            .with([(":succeeded", s(SUCCEEDED)), (":expires_at", seconds(now + REPLAY))]);
        update.send().await?.or_conflict()
    }

    /// Ends a request which this callback has taken, and which came to nothing.
    pub async fn fail(&self, state: &str) -> Result<(), AwsError> {
        self.table.delete(item_key(state)).await
    }
}

fn item_key(state: &str) -> Item {
    key([("state_hash", s(hash(state)))])
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}
