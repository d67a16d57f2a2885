//! The credentials table: tokens and keys, encrypted, each with a version that every change moves.
//!
//! *Invariant:* a credential is replaced only by a write that is conditional on the version it replaces, so a late writer
//! never overwrites a newer token, and one that was deleted is not revived.

mod stored;

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    operation::delete_item::DeleteItemError,
    primitives::Blob,
    types::{AttributeValue, ReturnValue},
};
use domain::{
    IntegrationKey, Reason,
    oauth::{grant::TokenResponse, refresh::due_at},
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use self::stored::{aad, bytes, context, integration, millis, sealed, times};
use crate::{
    aws::{
        Aws, AwsError, client,
        envelope::{DataKey, Vault},
    },
    stores::{
        due::shard,
        old::{Item, conditional, malformed, n, number, s, text},
    },
};

/// How long a credential may be without an integration in use before the sweep revokes and deletes it: longer than a process takes to
/// store a grant, or to end one.
pub const GRACE: Duration = Duration::from_mins(15);

/// The table, and the keys that open what is in it.
#[derive(Debug)]
pub struct Credentials {
    client: Client,
    table: String,
    vault: Vault,
    lease: Duration,
}

/// One credential, opened.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub integration: IntegrationKey,
    /// Moves with every change.
    pub version: i64,
    /// When its user granted it.
    pub granted_at: Timestamp,
    /// The access token, or the key.
    pub access: SecretString,
    /// The refresh token.
    pub refresh: Option<SecretString>,
    /// When the access token ends; none if it does not, or nobody knows.
    pub expires_at: Option<Timestamp>,
    /// When a sweep finds it; none if it can't be refreshed, and a sweep has seen that an integration has it.
    pub due_at: Option<Timestamp>,
    /// How often in a row refreshing failed.
    pub failures: u32,
    /// Since when a refresh is under way whose end is not known.
    pub refreshing_since: Option<Timestamp>,
    key: DataKey,
    fence: i64,
}

/// The credentials of an integration.
#[derive(Debug, Default)]
pub struct Opened {
    /// Those that can be opened.
    pub credentials: Vec<Credential>,
    /// Whether there are others, which can never be opened.
    pub unreadable: bool,
}

/// What trying to lease a credential led to.
#[derive(Debug)]
pub enum Leasing {
    /// It is ours to refresh; this is how it stands.
    Won(Box<Credential>),
    /// Somebody else refreshes it, or has.
    Lost,
}

impl Credentials {
    /// The table of this name; leases end after `lease`.
    pub fn new(aws: &Aws, table: impl Into<String>, vault: Vault, lease: Duration) -> Self {
        let client = client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB");
        Self { client, table: table.into(), vault, lease }
    }

    /// One credential, read consistently.
    pub async fn get(&self, integration_id: &str, name: &str, now: Timestamp) -> Result<Option<Credential>, AwsError> {
        let call = self.client.get_item().table_name(&self.table).consistent_read(true);
        let call = call.key("integration_id", s(integration_id)).key("credential", s(name));
        let output = call.send().await.map_err(|error| AwsError::new("dynamodb:GetItem", error))?;
        match output.item() {
            Some(item) => Ok(Some(self.read(item, now).await?)),
            None => Ok(None),
        }
    }

    /// Stores what a new grant brought, in place of what was there. `margin` before its end a token is due.
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
            let mut item = sealed(integration, issued, None, version, &key)?;
            // Without a refresh token it is due once: if no integration in use has it by then, the sweep revokes and deletes it.
            let due_at = match &issued.refresh {
                Some(_) => due_at(&id, issued.life, refresh_ahead, now),
                None => now + GRACE,
            };
            item.extend(times(&id, issued.life.map(|life| now + life), Some(due_at)));
            let names = [
                ("user_id", s(&integration.user_id)),
                ("integration", s(integration.account())),
                ("granted_at", n(version)),
            ];
            item.extend(names.map(|(name, value)| (name.to_owned(), value)));
            let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
            let put = put.condition_expression("attribute_not_exists(version) OR version <= :version");
            let put = put.expression_attribute_values(":version", n(version));
            put.send().await.map_err(|error| AwsError::new("dynamodb:PutItem", error))?;
        }
        // What the new grant did not bring is of the old one.
        self.delete(&id, now - SignedDuration::from_millis(1)).await
    }

    /// Leases a credential that still has this version, for `owner`, and marks that a refresh is under way.
    pub async fn lease(
        &self,
        integration_id: &str,
        name: &str,
        version: i64,
        holder: &str,
        now: Timestamp,
    ) -> Result<Leasing, AwsError> {
        let call = self.update(integration_id, name).return_values(ReturnValue::AllNew).update_expression(
            "SET holder = :holder, lease_until = :until, fence = if_not_exists(fence, :zero) + :one, \
             refreshing_since = if_not_exists(refreshing_since, :now)",
        );
        let call = call
            .condition_expression(
                "version = :version AND (attribute_not_exists(lease_until) OR lease_until <= :now OR holder = :holder)",
            )
            .expression_attribute_values(":holder", s(holder))
            .expression_attribute_values(":until", n((now + self.lease).as_millisecond()))
            .expression_attribute_values(":now", n(now.as_millisecond()))
            .expression_attribute_values(":version", n(version))
            .expression_attribute_values(":zero", n(0))
            .expression_attribute_values(":one", n(1));
        match conditional(call).await? {
            Some(item) => Ok(Leasing::Won(Box::new(self.read(&item, now).await?))),
            None => Ok(Leasing::Lost),
        }
    }

    /// Stores what a refresh brought, unless the version moved meanwhile. A rotated refresh token replaces the old one, an
    /// absent one never does. The lease is not asked for: a rotated token is too precious to be dropped because it came late.
    pub async fn rotate(
        &self,
        old: &Credential,
        issued: &TokenResponse,
        margin: Duration,
        now: Timestamp,
    ) -> Result<Option<Credential>, AwsError> {
        let id = old.integration.id();
        let version = old.version + 1;
        let mut values = sealed(&old.integration, issued, old.refresh.as_ref(), version, &old.key)?;
        let refresh = issued.refresh.clone().or_else(|| old.refresh.clone());
        let due_at = refresh.as_ref().map(|_| due_at(&id, issued.life, margin, now));
        let expires_at = issued.life.map(|life| now + life);
        values.extend(times(&id, expires_at, due_at));
        values.retain(|name, _| name != "integration_id" && name != "credential");
        let removed = ["holder", "lease_until", "refreshing_since", "failures", "expires_at", "due_shard", "due_at"];
        let mut call = self.update(&id, &old.name);
        let mut set = Vec::new();
        for (index, (name, value)) in values.iter().enumerate() {
            set.push(format!("#{index} = :{index}"));
            call = call.expression_attribute_names(format!("#{index}"), name);
            call = call.expression_attribute_values(format!(":{index}"), value.clone());
        }
        let removed: Vec<_> = removed.into_iter().filter(|name| !values.contains_key(*name)).collect();
        let call = call
            .update_expression(format!("SET {} REMOVE {}", set.join(", "), removed.join(", ")))
            .condition_expression("version = :old")
            .expression_attribute_values(":old", n(old.version));
        if conditional(call).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(Credential {
            version,
            access: issued.access.clone(),
            refresh,
            expires_at,
            due_at,
            failures: 0,
            refreshing_since: None,
            ..old.clone()
        }))
    }

    /// Gives a lease back after a failure, and makes the credential due again at `due_at`; never, if none.
    ///
    /// `unknown` keeps the mark of a refresh whose end nobody knows.
    pub async fn release(&self, held: &Credential, due_at: Option<Timestamp>, unknown: bool) -> Result<(), AwsError> {
        let mut removed = vec!["holder", "lease_until"];
        removed.extend((!unknown).then_some("refreshing_since"));
        removed.extend(due_at.is_none().then_some("due_at, due_shard"));
        let mut set = String::from("SET failures = if_not_exists(failures, :zero) + :one");
        let mut call = self.update(&held.integration.id(), &held.name);
        if let Some(due_at) = due_at {
            set.push_str(", due_at = :due_at");
            call = call.expression_attribute_values(":due_at", n(due_at.as_second()));
        }
        let call = call
            .update_expression(format!("{set} REMOVE {}", removed.join(", ")))
            .condition_expression("version = :version AND fence = :fence AND attribute_exists(holder)")
            .expression_attribute_values(":version", n(held.version))
            .expression_attribute_values(":fence", n(held.fence))
            .expression_attribute_values(":zero", n(0))
            .expression_attribute_values(":one", n(1));
        conditional(call).await.map(|_| ())
    }

    /// Takes a credential that can't be opened out of the index of due ones, so that no sweep finds it again. Whose it is, if that
    /// can be read.
    pub async fn set_aside(&self, integration_id: &str, name: &str) -> Result<Option<IntegrationKey>, AwsError> {
        let call = self.update(integration_id, name).update_expression("REMOVE due_at, due_shard");
        let call = call.condition_expression("attribute_exists(version)").return_values(ReturnValue::AllNew);
        Ok(conditional(call).await?.and_then(|item| integration(&item).ok()))
    }

    /// All credentials of an integration, for revoking them. A failure that passes, or that an operator repairs, is an error: asking
    /// again revokes what it hides.
    pub async fn all(&self, integration_id: &str, now: Timestamp) -> Result<Opened, AwsError> {
        let mut opened = Opened::default();
        for item in self.items(integration_id).await? {
            match self.read(&item, now).await {
                Ok(credential) => opened.credentials.push(credential),
                Err(error) if error.reason() == Reason::Corrupt => opened.unreadable = true,
                Err(error) => return Err(error),
            }
        }
        Ok(opened)
    }

    /// Has the sweep find all credentials of an integration that is being ended, those too that are never refreshed. Those of a newer
    /// grant than `before` stay.
    pub async fn leave(&self, integration_id: &str, before: Timestamp, due_at: Timestamp) -> Result<(), AwsError> {
        for item in self.items(integration_id).await? {
            let call = self
                .update(integration_id, text(&item, "credential")?)
                .update_expression("SET due_shard = :shard, due_at = :due")
                .condition_expression("granted_at <= :before")
                .expression_attribute_values(":shard", n(shard(integration_id)))
                .expression_attribute_values(":due", n(due_at.as_second()))
                .expression_attribute_values(":before", n(before.as_millisecond()));
            conditional(call).await?;
        }
        Ok(())
    }

    /// Deletes all credentials of an integration. Those of a newer grant than `before` stay.
    pub async fn delete(&self, integration_id: &str, before: Timestamp) -> Result<(), AwsError> {
        for item in self.items(integration_id).await? {
            let call = self.client.delete_item().table_name(&self.table).key("integration_id", s(integration_id));
            let call =
                call.key("credential", s(text(&item, "credential")?)).condition_expression("granted_at <= :before");
            let deleted = call.expression_attribute_values(":before", n(before.as_millisecond())).send().await;
            if let Err(error) = deleted
                && !error.as_service_error().is_some_and(DeleteItemError::is_conditional_check_failed_exception)
            {
                return Err(AwsError::new("dynamodb:DeleteItem", error));
            }
        }
        Ok(())
    }

    /// Has the current KMS key wrap a data key that an earlier one wrapped. If that fails, it is as good as before.
    async fn rewrap(&self, owner: &IntegrationKey, id: &str, name: &str, old: DataKey) -> DataKey {
        let stored = async {
            let new = self.vault.rewrap(context(owner, id), &old).await?;
            let call = self.update(id, name).update_expression("SET data_key = :new");
            let call = call.condition_expression("data_key = :old");
            let call = call.expression_attribute_values(":new", AttributeValue::B(Blob::new(new.wrapped.clone())));
            let call = call.expression_attribute_values(":old", AttributeValue::B(Blob::new(old.wrapped.clone())));
            Ok::<_, AwsError>(conditional(call).await?.map(|_| new))
        };
        match stored.await {
            Ok(Some(new)) => {
                tracing::info!(integration.id = id, credential = name, "under the current KMS key now");
                new
            }
            // Somebody else was faster, or it is another grant's by now.
            Ok(None) => old,
            Err(error) => {
                tracing::warn!(
                    integration.id = id,
                    reason = error.reason().name(),
                    detail = error.diagnosis().detail,
                    "still under an earlier KMS key"
                );
                old
            }
        }
    }

    async fn items(&self, integration_id: &str) -> Result<Vec<Item>, AwsError> {
        let call = self.client.query().table_name(&self.table).consistent_read(true);
        let call = call.key_condition_expression("integration_id = :id");
        let call = call.expression_attribute_values(":id", s(integration_id));
        let items = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        items.map_err(|error| AwsError::new("dynamodb:Query", error))
    }

    fn update(
        &self,
        integration_id: &str,
        name: &str,
    ) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
        let call = self.client.update_item().table_name(&self.table);
        call.key("integration_id", s(integration_id)).key("credential", s(name))
    }

    async fn read(&self, item: &Item, now: Timestamp) -> Result<Credential, AwsError> {
        let owner = integration(item)?;
        let id = owner.id();
        let name = text(item, "credential")?;
        let version = number(item, "version")?;
        let key = self.vault.open(context(&owner, &id), bytes(item, "data_key")?, now).await?;
        let key = if key.outdated { self.rewrap(&owner, &id, name, key).await } else { key };
        let open = |field| key.open(&aad(&id, name, field, version), bytes(item, field)?);
        Ok(Credential {
            name: name.to_owned(),
            version,
            granted_at: millis(item, "granted_at").ok_or_else(|| malformed("granted_at"))?,
            access: open("access")?,
            refresh: item.contains_key("refresh").then(|| open("refresh")).transpose()?,
            expires_at: millis(item, "expires_at"),
            due_at: number(item, "due_at").ok().and_then(|at| Timestamp::from_second(at).ok()),
            failures: number(item, "failures").unwrap_or(0),
            refreshing_since: millis(item, "refreshing_since"),
            fence: number(item, "fence").unwrap_or(0),
            integration: owner,
            key,
        })
    }
}
