//! OAuth transactions under way: what a callback must match.
//!
//! *Invariant:* a state is used once, within ten minutes, by the browser and at the provider it was made for: one conditional
//! delete decides all of that at once. The table holds hashes only, so nobody who reads it can finish a transaction.

use aws_sdk_dynamodb::{Client, operation::delete_item::DeleteItemError, types::ReturnValue};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::{
    aws::{Aws, AwsError, client},
    item::{n, s, text},
};

/// How long the user may take.
const LIFE: SignedDuration = SignedDuration::from_mins(10);

/// The table.
#[derive(Debug, Clone)]
pub struct States {
    client: Client,
    table: String,
}

/// A transaction under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The user who began it.
    pub user_id: String,
    /// The provider it was begun for.
    pub provider: String,
    /// Where the user goes afterwards.
    pub return_to: String,
    /// The redirect URI, which the exchange must repeat.
    pub redirect_uri: String,
    /// What was asked for.
    pub scopes: String,
}

impl States {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { client: client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB"), table: table.into() }
    }

    /// Begins a transaction under this state in the browser with this cookie.
    pub async fn begin(
        &self,
        state: &str,
        browser: &str,
        transaction: &Transaction,
        now: Timestamp,
    ) -> Result<(), AwsError> {
        let call = self.client.put_item().table_name(&self.table);
        let call = call
            .item("state_hash", s(hash(state)))
            .item("browser_hash", s(hash(browser)))
            .item("user_id", s(&transaction.user_id))
            .item("provider", s(&transaction.provider))
            .item("return_to", s(&transaction.return_to))
            .item("redirect_uri", s(&transaction.redirect_uri))
            .item("scopes", s(&transaction.scopes))
            .item("expires_at", n((now + LIFE).as_second()))
            .condition_expression("attribute_not_exists(state_hash)");
        call.send().await.map_err(|error| AwsError::new("dynamodb:PutItem", error))?;
        Ok(())
    }

    /// Takes the transaction out; none if there is none for this state, browser and provider, or not any more.
    pub async fn take(
        &self,
        state: &str,
        browser: &str,
        provider: &str,
        now: Timestamp,
    ) -> Result<Option<Transaction>, AwsError> {
        let call = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("state_hash", s(hash(state)))
            .condition_expression("browser_hash = :browser AND provider = :provider AND expires_at > :now")
            .expression_attribute_values(":browser", s(hash(browser)))
            .expression_attribute_values(":provider", s(provider))
            .expression_attribute_values(":now", n(now.as_second()))
            .return_values(ReturnValue::AllOld);
        let output = match call.send().await {
            Ok(output) => output,
            Err(error)
                if error.as_service_error().is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(AwsError::new("dynamodb:DeleteItem", error)),
        };
        let Some(item) = output.attributes() else { return Ok(None) };
        let text = |name| text(item, name).map(str::to_owned);
        Ok(Some(Transaction {
            user_id: text("user_id")?,
            provider: text("provider")?,
            return_to: text("return_to")?,
            redirect_uri: text("redirect_uri")?,
            scopes: text("scopes")?,
        }))
    }
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}
