//! Refreshing a credential: the lease, the write that rotates it, and the failure that gives the lease back.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use domain::{
    CredentialName, IntegrationId,
    oauth::{grant::TokenResponse, refresh::due_at},
};
use jiff::Timestamp;

use super::{Credential, Credentials, Leasing, stored::sealed};
use crate::{
    aws::AwsError,
    stores::{
        due::shard,
        item::{bytes, millis, n, seconds},
        lease::{ACQUIRABLE, Lease},
        table::Outcome,
    },
};

impl Credentials {
    /// Leases a credential that still has this version, for `holder`, and marks that a refresh is under way.
    pub async fn lease(
        &self,
        integration_id: &IntegrationId,
        name: &CredentialName,
        version: i64,
        holder: &str,
        now: Timestamp,
    ) -> Result<Leasing, AwsError> {
        let leased = self
            .update(integration_id, name)
            .acquire(Lease { holder, now, time: self.lease })
            .set("refreshing_since = if_not_exists(refreshing_since, :now)")
            .when("version = :version")
            .when(ACQUIRABLE)
            .with([(":version", n(version))])
            .returning(ReturnValue::AllNew);
        match leased.send_once().await? {
            Outcome::Written(item) => Ok(Leasing::Won(Box::new(self.read(item, now).await?))),
            Outcome::Refused(_) => Ok(Leasing::Lost),
        }
    }

    /// Stores what a refresh brought, unless the version moved meanwhile. A rotated refresh token replaces the old one, an
    /// absent one never does. The lease is not asked for: a rotated token is too precious to be dropped because it came late.
    pub async fn rotate(
        &self,
        old: &Credential,
        issued: &TokenResponse,
        refresh_ahead: Duration,
        now: Timestamp,
    ) -> Result<Option<Credential>, AwsError> {
        let id = old.integration.id();
        let version = old.version + 1;
        let refresh = issued.refresh.as_ref().or(old.refresh.as_ref());
        let expires_at = issued.life.map(|life| now + life);
        let due_at = refresh.map(|_| due_at(&id, issued.life, refresh_ahead, now));
        let sealed = sealed(&old.key, &id, issued, refresh, version)?;
        let mut update = self
            .update(&id, &old.name)
            .set("version = :version, access = :access, data_key = :data_key")
            .remove("refreshing_since, failures")
            .release()
            .when("version = :old")
            .with([
                (":version", n(version)),
                (":access", bytes(sealed.access)),
                (":data_key", bytes(old.key.wrapped.clone())),
                (":old", n(old.version)),
            ]);
        if let Some(refresh) = sealed.refresh {
            update = update.set("refresh = :refresh").with([(":refresh", bytes(refresh.into_vec()))]);
        }
        update = match expires_at {
            Some(at) => update.set("expires_at = :expires_at").with([(":expires_at", millis(at))]),
            None => update.remove("expires_at"),
        };
        update = match due_at {
            Some(at) => {
                let values = [(":due_shard", n(shard(&id))), (":due_at", seconds(at))];
                update.set("due_shard = :due_shard, due_at = :due_at").with(values)
            }
            None => update.remove("due_shard, due_at"),
        };
        if !update.send_once().await?.is_written() {
            return Ok(None);
        }
        Ok(Some(Credential {
            version,
            access: issued.access.clone(),
            refresh: refresh.cloned(),
            expires_at,
            due_at,
            failures: 0,
            refreshing_since: None,
            ..old.clone()
        }))
    }

    /// Gives a lease back after a failure, and makes the credential due again at `due_at`; never, if none.
    ///
    /// `unknown` keeps the mark of a refresh with an unknown outcome.
    pub async fn release(&self, held: &Credential, due_at: Option<Timestamp>, unknown: bool) -> Result<(), AwsError> {
        let mut update = self
            .update(&held.integration.id(), &held.name)
            .set("failures = if_not_exists(failures, :zero) + :one")
            .release()
            .held(held.fence)
            .when("version = :version AND attribute_exists(holder)")
            .with([(":version", n(held.version)), (":zero", n(0)), (":one", n(1))]);
        if !unknown {
            update = update.remove("refreshing_since");
        }
        update = match due_at {
            Some(at) => update.set("due_at = :due_at").with([(":due_at", seconds(at))]),
            None => update.remove("due_at, due_shard"),
        };
        update.send_once().await.map(|_| ())
    }
}
