//! The credentials table: tokens and keys, encrypted, each with a version that every change moves.
//!
//! *Invariant:* a credential is replaced only by a write that is conditional on the version it replaces, so a late writer
//! never overwrites a newer token, and one that was deleted is not revived.

mod refresh;
mod stored;

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use domain::{
    CredentialName, Fence, IntegrationId, IntegrationKey, Reason,
    oauth::{grant::TokenResponse, refresh::due_at},
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use self::stored::{Stored, context, integration, sealed};
use crate::{
    aws::{
        Aws, AwsError,
        envelope::{DataKey, Vault},
    },
    stores::{
        due::shard,
        item::{Item, key, millis, n, s, seconds, text, write},
        table::{self, Table, Update},
    },
};

/// How long a credential may be without an integration in use before the sweep revokes and deletes it: longer than a process takes to
/// store a grant, or to end one.
pub const GRACE: Duration = Duration::from_mins(15);

/// The table of credentials, and the keys that open them.
#[derive(Debug)]
pub struct Credentials {
    table: Table,
    vault: Vault,
    lease: Duration,
}

/// A credential, decrypted.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Tells it from the other credentials of its integration.
    pub name: CredentialName,
    /// The integration that it belongs to.
    pub integration: IntegrationKey,
    /// Counts changes, from the time of the grant in milliseconds.
    pub version: i64,
    /// When the user granted it.
    pub granted_at: Timestamp,
    /// The access token, or the key.
    pub access: SecretString,
    /// The refresh token, where the provider issues one.
    pub refresh: Option<SecretString>,
    /// When the access token ends; none if it does not, or the provider does not say.
    pub expires_at: Option<Timestamp>,
    /// When a sweep finds it; none if it can't be refreshed, and a sweep has seen that an integration has it.
    pub due_at: Option<Timestamp>,
    /// How often in a row refreshing failed.
    pub failures: u32,
    /// Since when a refresh with an unknown outcome is under way.
    pub refreshing_since: Option<Timestamp>,
    key: DataKey,
    fence: Fence,
}

/// All credentials of an integration.
#[derive(Debug, Default)]
pub struct Opened {
    /// The credentials that can be opened.
    pub credentials: Vec<Credential>,
    /// Whether there are others, which are damaged.
    pub unreadable: bool,
}

/// What trying to lease a credential led to.
#[derive(Debug)]
pub enum Leasing {
    /// The caller is to refresh it; this is how it stands.
    Won(Box<Credential>),
    /// Another process refreshes it, or has.
    Lost,
}

impl Credentials {
    /// The table of this name; leases end after `lease`.
    pub fn new(aws: &Aws, table: impl Into<String>, vault: Vault, lease: Duration) -> Self {
        Self { table: Table::new(aws, table), vault, lease }
    }

    /// One credential, read consistently.
    pub async fn get(
        &self,
        integration_id: &IntegrationId,
        name: &CredentialName,
        now: Timestamp,
    ) -> Result<Option<Credential>, AwsError> {
        match self.table.get(item_key(integration_id, name)).await? {
            Some(item) => Ok(Some(self.read(item, now).await?)),
            None => Ok(None),
        }
    }

    /// Stores what a new grant brought, in place of what was there. `refresh_ahead` of its end a token is due.
    pub async fn put(
        &self,
        integration: &IntegrationKey,
        issued: &[TokenResponse],
        refresh_ahead: Duration,
        now: Timestamp,
    ) -> Result<(), AwsError> {
        let id = integration.id();
        let key = self.vault.make(context(integration, &id)).await?;
        // Times count up over disconnections too, so that what an earlier grant's refresh still writes is refused.
        let version = now.as_millisecond();
        for issued in issued {
            let refresh = issued.refresh.as_ref();
            // Without a refresh token it is due once: if no integration in use has it by then, the sweep revokes and deletes it.
            let due_at = match refresh {
                Some(_) => due_at(&id, issued.life, refresh_ahead, now),
                None => now + GRACE,
            };
            let sealed = sealed(&key, &id, issued, refresh, version)?;
            let stored = Stored {
                integration_id: id.clone(),
                credential: issued.name.clone(),
                user_id: integration.user_id.clone(),
                integration: integration.account(),
                version,
                granted_at: now,
                data_key: key.wrapped.clone(),
                access: sealed.access,
                refresh: sealed.refresh,
                expires_at: issued.life.map(|life| now + life),
                due_shard: Some(shard(&id)),
                due_at: Some(due_at),
                failures: None,
                refreshing_since: None,
                fence: None,
            };
            let values = [(":version", n(version))];
            let condition = "attribute_not_exists(version) OR version <= :version";
            self.table.put_when(write(&stored)?, condition, values).await?;
        }
        // What the new grant did not bring is of the old one.
        self.delete(&id, now - SignedDuration::from_millis(1)).await
    }

    /// Takes a credential that can't be opened out of the index of due ones, so that no sweep finds it again. The integration that it
    /// belongs to, if that can be read.
    pub async fn set_aside(
        &self,
        integration_id: &IntegrationId,
        name: &CredentialName,
    ) -> Result<Option<IntegrationKey>, AwsError> {
        let update = self.update(integration_id, name).remove("due_at, due_shard").when("attribute_exists(version)");
        let outcome = update.returning(ReturnValue::AllNew).send_once().await?;
        Ok(outcome.written().and_then(|item| integration(&item).ok()))
    }

    /// All credentials of an integration, for revoking them. A failure that passes, or that an operator repairs, is an error: asking
    /// again revokes what it hides.
    pub async fn all(&self, integration_id: &IntegrationId, now: Timestamp) -> Result<Opened, AwsError> {
        let mut opened = Opened::default();
        for item in self.items(integration_id).await? {
            match self.read(item, now).await {
                Ok(credential) => opened.credentials.push(credential),
                Err(error) if error.reason() == Reason::Corrupt => opened.unreadable = true,
                Err(error) => return Err(error),
            }
        }
        Ok(opened)
    }

    /// Has the sweep find all credentials of an integration that is being ended, those too that are never refreshed. Those of a newer
    /// grant than `before` stay.
    pub async fn leave(
        &self,
        integration_id: &IntegrationId,
        before: Timestamp,
        due_at: Timestamp,
    ) -> Result<(), AwsError> {
        for item in self.items(integration_id).await? {
            let update = self
                .update(integration_id, text(&item, "credential")?)
                .set("due_shard = :shard, due_at = :due")
                .when("granted_at <= :before")
                .with([(":shard", n(shard(integration_id))), (":due", seconds(due_at)), (":before", millis(before))]);
            // A newer grant has another credential by now.
            let _ = update.send_once().await?;
        }
        Ok(())
    }

    /// Deletes all credentials of an integration. Those of a newer grant than `before` stay.
    pub async fn delete(&self, integration_id: &IntegrationId, before: Timestamp) -> Result<(), AwsError> {
        for item in self.items(integration_id).await? {
            let key = item_key(integration_id, text(&item, "credential")?);
            self.table.delete_when(key, "granted_at <= :before", [(":before", millis(before))]).await?;
        }
        Ok(())
    }

    async fn items(&self, integration_id: &IntegrationId) -> Result<Vec<Item>, AwsError> {
        let query = self.table.query("integration_id = :id", [(":id", s(integration_id))]);
        table::items(query.call().consistent_read(true)).await
    }

    fn update(&self, integration_id: &IntegrationId, name: impl Into<String>) -> Update {
        self.table.update(item_key(integration_id, name))
    }
}

fn item_key(integration_id: &IntegrationId, name: impl Into<String>) -> Item {
    key([("integration_id", s(integration_id)), ("credential", s(name))])
}
