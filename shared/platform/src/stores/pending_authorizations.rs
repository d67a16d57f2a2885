//! OAuth transactions under way: what a callback must match.
//!
//! *Invariant:* a state is taken once, within ten minutes, by the browser and at the provider it was made for: one conditional
//! update decides all of that at once. The table holds hashes only, so nobody who reads it can finish a transaction.
//!
//! ```text
//! pending ──take──▶ exchanging ──succeed──▶ succeeded, for 60 seconds
//!                       └──────fail──────▶ (deleted)
//! ```
//!
//! A transaction whose function died stays `exchanging` until it expires, and nobody takes it again: its code may be used up.

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, ReturnValue},
};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::{
    aws::{Aws, AwsError, client},
    stores::item::{Item, conditional, create, malformed, n, number, s, text},
};

use domain::UserId;

/// How long the user may take.
const LIFE: SignedDuration = SignedDuration::from_mins(10);
/// How long a transaction that succeeded leads its browser to the same place: a reload, or a second opening of the link.
const REPLAY: SignedDuration = SignedDuration::from_secs(60);

const PENDING: &str = "pending";
const EXCHANGING: &str = "exchanging";
const SUCCEEDED: &str = "succeeded";

/// The table.
#[derive(Debug, Clone)]
pub struct PendingAuthorizations {
    client: Client,
    table: String,
}

/// A transaction under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationRequest {
    /// The user who began it.
    pub user_id: UserId,
    /// The provider it was begun for.
    pub provider: String,
    /// Where the user goes afterwards.
    pub return_to: String,
    /// The redirect URI, which the exchange must repeat.
    pub redirect_uri: String,
    /// What was asked for.
    pub scopes: String,
}

/// What a callback brings back, which a transaction must match.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// The state of the query.
    pub state: &'a str,
    /// The browser's binding cookie.
    pub browser: &'a str,
    /// The provider of the path.
    pub provider: &'a str,
}

/// Where a transaction stands for a callback.
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
        Self { client: client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB"), table: table.into() }
    }

    /// Begins a transaction under this state in the browser with this cookie. Whether there was none under this state.
    pub async fn begin(
        &self,
        state: &str,
        browser: &str,
        transaction: &AuthorizationRequest,
        now: Timestamp,
    ) -> Result<bool, AwsError> {
        let call = self.client.put_item().table_name(&self.table);
        let call = call
            .item("state_hash", s(hash(state)))
            .item("phase", s(PENDING))
            .item("browser_hash", s(hash(browser)))
            .item("user_id", s(&transaction.user_id))
            .item("provider", s(&transaction.provider))
            .item("return_to", s(&transaction.return_to))
            .item("redirect_uri", s(&transaction.redirect_uri))
            .item("scopes", s(&transaction.scopes))
            .item("expires_at", n((now + LIFE).as_second()));
        create(call, "state_hash").await
    }

    /// Takes the transaction, or says where it stands.
    pub async fn take(&self, presented: Presented<'_>, now: Timestamp) -> Result<Stand, AwsError> {
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(presented.state)))
            .update_expression("SET phase = :exchanging")
            .condition_expression(
                "phase = :pending AND browser_hash = :browser AND provider = :provider AND expires_at > :now",
            )
            .expression_attribute_values(":exchanging", s(EXCHANGING))
            .expression_attribute_values(":pending", s(PENDING))
            .expression_attribute_values(":browser", s(hash(presented.browser)))
            .expression_attribute_values(":provider", s(presented.provider))
            .expression_attribute_values(":now", n(now.as_second()))
            .return_values(ReturnValue::AllNew);
        let Some(item) = conditional(call).await? else { return self.stand(presented, now).await };
        let text = |name| text(&item, name).map(str::to_owned);
        Ok(Stand::Taken(AuthorizationRequest {
            user_id: UserId::parse(text("user_id")?).map_err(|_| malformed("user_id"))?,
            provider: text("provider")?,
            return_to: text("return_to")?,
            redirect_uri: text("redirect_uri")?,
            scopes: text("scopes")?,
        }))
    }

    /// Where a transaction stands that this callback has not taken, read consistently.
    pub async fn stand(&self, presented: Presented<'_>, now: Timestamp) -> Result<Stand, AwsError> {
        let call = self.client.get_item().table_name(&self.table).set_key(Some(key(presented.state)));
        let output = call.consistent_read(true).send().await;
        let output = output.map_err(|error| AwsError::new("dynamodb:GetItem", error))?;
        let Some(item) = output.item() else { return Ok(Stand::Unknown) };
        let own =
            text(item, "browser_hash")? == hash(presented.browser) && text(item, "provider")? == presented.provider;
        // DynamoDB deletes expired items within days.
        if !own || number::<i64>(item, "expires_at")? <= now.as_second() {
            return Ok(Stand::Unknown);
        }
        match text(item, "phase")? {
            EXCHANGING => Ok(Stand::Exchanging),
            SUCCEEDED => Ok(Stand::Succeeded(text(item, "return_to")?.to_owned())),
            PENDING => Ok(Stand::Unknown),
            _ => Err(malformed("phase")),
        }
    }

    /// Records that a transaction which this callback has taken succeeded. Of it, only where the user goes is kept.
    pub async fn succeed(&self, state: &str, now: Timestamp) -> Result<(), AwsError> {
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(state)))
            .update_expression("SET phase = :succeeded, expires_at = :expires_at REMOVE user_id, redirect_uri, scopes")
            .condition_expression("attribute_exists(state_hash)")
            .expression_attribute_values(":succeeded", s(SUCCEEDED))
            .expression_attribute_values(":expires_at", n((now + REPLAY).as_second()));
        call.send().await.map_err(|error| AwsError::new("dynamodb:UpdateItem", error))?;
        Ok(())
    }

    /// Ends a transaction which this callback has taken, and which came to nothing.
    pub async fn fail(&self, state: &str) -> Result<(), AwsError> {
        let call = self.client.delete_item().table_name(&self.table).set_key(Some(key(state)));
        call.send().await.map_err(|error| AwsError::new("dynamodb:DeleteItem", error))?;
        Ok(())
    }
}

fn key(state: &str) -> Item {
    Item::from([("state_hash".to_owned(), AttributeValue::S(hash(state)))])
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}
