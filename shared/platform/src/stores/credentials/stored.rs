//! The item of a credential: which attribute holds what, and what each ciphertext is bound to.

use domain::{CredentialName, Fence, IntegrationId, IntegrationKey, UserId, oauth::grant::TokenResponse};
use jiff::{
    Timestamp,
    fmt::serde::timestamp::{millisecond, second},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{Credential, Credentials};
use crate::{
    aws::{
        AwsError,
        envelope::{Context, DataKey},
    },
    stores::item::{Item, bytes, malformed, read, text},
};

/// The item of a credential. A lease adds its holder and its end.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) integration_id: IntegrationId,
    pub(super) credential: CredentialName,
    pub(super) user_id: UserId,
    /// See [`IntegrationKey::account`].
    pub(super) integration: String,
    pub(super) version: i64,
    #[serde(with = "millisecond::required")]
    pub(super) granted_at: Timestamp,
    #[serde(with = "serde_bytes")]
    pub(super) data_key: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub(super) access: Vec<u8>,
    pub(super) refresh: Option<ByteBuf>,
    #[serde(default, with = "millisecond::optional")]
    pub(super) expires_at: Option<Timestamp>,
    #[serde(skip_deserializing)]
    pub(super) due_shard: Option<u32>,
    #[serde(default, with = "second::optional")]
    pub(super) due_at: Option<Timestamp>,
    pub(super) failures: Option<u32>,
    #[serde(default, with = "millisecond::optional")]
    pub(super) refreshing_since: Option<Timestamp>,
    pub(super) fence: Option<Fence>,
}

/// What a token response brought, encrypted.
pub(super) struct Sealed {
    pub(super) access: Vec<u8>,
    pub(super) refresh: Option<ByteBuf>,
}

/// Encrypts a token response for the item of this version; `refresh` is the refresh token that is stored with it.
pub(super) fn sealed(
    key: &DataKey,
    integration_id: &IntegrationId,
    issued: &TokenResponse,
    refresh: Option<&SecretString>,
    version: i64,
) -> Result<Sealed, AwsError> {
    let seal = |field, secret| key.seal(&aad(integration_id, &issued.name, field, version), secret);
    Ok(Sealed {
        access: seal("access", &issued.access)?,
        refresh: refresh.map(|refresh| seal("refresh", refresh)).transpose()?.map(ByteBuf::from),
    })
}

impl Credentials {
    pub(super) async fn read(&self, item: Item, now: Timestamp) -> Result<Credential, AwsError> {
        let stored: Stored = read(item)?;
        let integration = IntegrationKey::of_user(stored.user_id, &stored.integration);
        let integration = integration.map_err(|_| malformed("integration"))?;
        let id = integration.id();
        let (name, version) = (stored.credential, stored.version);
        let key = self.vault.open(context(&integration, &id), &stored.data_key, now).await?;
        let key = if key.outdated { self.rewrap(&integration, &id, &name, key).await } else { key };
        let open = |field, sealed: &[u8]| key.open(&aad(&id, &name, field, version), sealed);
        Ok(Credential {
            version,
            granted_at: stored.granted_at,
            access: open("access", &stored.access)?,
            refresh: stored.refresh.map(|sealed| open("refresh", &sealed)).transpose()?,
            expires_at: stored.expires_at,
            due_at: stored.due_at,
            failures: stored.failures.unwrap_or(0),
            refreshing_since: stored.refreshing_since,
            fence: stored.fence.unwrap_or_default(),
            name,
            integration,
            key,
        })
    }

    /// Has the current KMS key re-encrypt a data key that an earlier one wrapped. If that fails, the old one is as good as before.
    async fn rewrap(
        &self,
        integration: &IntegrationKey,
        id: &IntegrationId,
        name: &CredentialName,
        old: DataKey,
    ) -> DataKey {
        let stored = async {
            let new = self.vault.rewrap(context(integration, id), &old).await?;
            let update = self.update(id, name).set("data_key = :new").when("data_key = :old");
            let values = [(":new", bytes(new.wrapped.clone())), (":old", bytes(old.wrapped.clone()))];
            Ok::<_, AwsError>(update.with(values).send_once().await?.written().map(|_| new))
        };
        match stored.await {
            Ok(Some(new)) => {
                tracing::info!(integration.id = %id, credential = %name, "under the current KMS key now");
                new
            }
            // Another process was faster, or it is another grant's by now.
            Ok(None) => old,
            Err(error) => {
                tracing::warn!(
                    integration.id = %id,
                    reason = error.reason().name(),
                    detail = error.diagnosis().detail(),
                    "still under an earlier KMS key"
                );
                old
            }
        }
    }
}

/// The integration of an item of which nothing else need be readable.
pub(super) fn integration(item: &Item) -> Result<IntegrationKey, AwsError> {
    IntegrationKey::parse(text(item, "user_id")?, text(item, "integration")?).map_err(|_| malformed("integration"))
}

pub(super) fn context<'a>(integration: &'a IntegrationKey, id: &'a IntegrationId) -> Context<'a> {
    Context::Integration { purpose: "credential", user_id: &integration.user_id, integration_id: id }
}

fn aad(integration_id: &IntegrationId, name: &CredentialName, field: &str, version: i64) -> String {
    format!("credentials|{integration_id}|{name}|{field}|{version}")
}
