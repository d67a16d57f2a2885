//! Envelope encryption: one data key of KMS per integration, AES-256-GCM under it.
//!
//! A data key that an earlier KMS key wrapped still opens, and the current one re-encrypts it ([`Vault::rewrap`]): what the data
//! key encrypted stays as it is.
//!
//! *Invariant:* a ciphertext opens only where it was sealed: KMS binds the data key to user and integration, the AAD binds the
//! ciphertext to credential, field and version. Without KMS and without a cached key there is a failure, never plaintext.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use aws_sdk_kms::{Client, primitives::Blob, types::DataKeySpec};
use domain::{IntegrationId, UserId};
use futures_util::future::join;
use jiff::{SignedDuration, Timestamp};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::{
    aws::{Aws, AwsError, Call, client},
    base::{lock::lock, ttl_cache::TtlCache},
};

/// How long a data key stays in memory.
const KEEP: SignedDuration = SignedDuration::from_mins(5);
/// For how long a data key that was opened proves that the KMS key and the prefix are right.
const RECENT: SignedDuration = SignedDuration::from_hours(1);
/// Data keys in memory.
const MAX_KEYS: usize = 1000;

/// Makes and opens data keys.
#[derive(Debug)]
pub struct Vault {
    client: Client,
    key_id: String,
    app: String,
    cache: TtlCache<Vec<u8>, DataKey>,
    /// The ARN of the key that the alias names.
    current: TtlCache<(), String>,
    rewraps: bool,
    /// When KMS last opened a data key of this stack.
    opened_at: Mutex<Option<Timestamp>>,
}

/// What a data key is bound to: the encryption context. Its `purpose` is what the roles of functions tell apart.
#[derive(Debug, Clone, Copy)]
pub enum Context<'a> {
    /// A secret of one integration.
    Integration {
        /// What the key protects: `credential` or `webhook_secret`.
        purpose: &'static str,
        /// The user of the integration.
        user_id: &'a UserId,
        /// See [`domain::IntegrationKey::id`].
        integration_id: &'a IntegrationId,
    },
    /// What belongs to no single integration.
    Stack {
        /// What the key protects: `delivery_body`.
        purpose: &'static str,
    },
}

impl<'a> Context<'a> {
    fn pairs(self) -> Vec<(&'static str, &'a str)> {
        match self {
            Self::Integration { purpose, user_id, integration_id } => {
                vec![("purpose", purpose), ("user", user_id.as_str()), ("integration", integration_id.as_str())]
            }
            Self::Stack { purpose } => vec![("purpose", purpose)],
        }
    }
}

/// A data key, and how KMS wrapped it.
#[derive(Debug, Clone)]
pub struct DataKey {
    /// What is stored beside the ciphertexts.
    pub wrapped: Vec<u8>,
    /// Whether another KMS key than the current one wrapped it.
    pub outdated: bool,
    key: Arc<LessSafeKey>,
}

impl Vault {
    /// Keys under the KMS key of this alias. `app` is the prefix of the stack.
    pub fn new(aws: &Aws, key_id: impl Into<String>, app: impl Into<String>) -> Self {
        let client = client!(aws, aws_sdk_kms, "AWS_ENDPOINT_URL_KMS");
        Self {
            client,
            key_id: key_id.into(),
            app: app.into(),
            cache: TtlCache::new(MAX_KEYS),
            current: TtlCache::new(1),
            rewraps: true,
            opened_at: Mutex::default(),
        }
    }

    /// Without asking which KMS key is the current one: nothing is ever outdated.
    #[must_use]
    pub fn without_rewrap(self) -> Self {
        Self { rewraps: false, ..self }
    }

    /// Has KMS generate a data key.
    pub async fn make(&self, owner: Context<'_>) -> Result<DataKey, AwsError> {
        const ACTION: &str = "kms:GenerateDataKey";
        let call = self.client.generate_data_key().key_id(&self.key_id).key_spec(DataKeySpec::Aes256);
        let call = call.set_encryption_context(Some(self.context(owner)));
        let output = call.send().await.map_err(|error| AwsError::new(ACTION, error))?;
        let wrapped = output.ciphertext_blob.map(Blob::into_inner).unwrap_or_default();
        key(ACTION, wrapped, output.plaintext, false)
    }

    /// The same data key, re-encrypted by the current KMS key. It does not leave KMS for that.
    pub async fn rewrap(&self, owner: Context<'_>, old: &DataKey) -> Result<DataKey, AwsError> {
        const ACTION: &str = "kms:ReEncrypt";
        let context = self.context(owner);
        let call = self.client.re_encrypt().ciphertext_blob(Blob::new(old.wrapped.clone()));
        let call = call.destination_key_id(&self.key_id).set_source_encryption_context(Some(context.clone()));
        let output = call.set_destination_encryption_context(Some(context)).send().await;
        let output = output.map_err(|error| AwsError::new(ACTION, error))?;
        let wrapped = output.ciphertext_blob.map(Blob::into_inner).filter(|wrapped| !wrapped.is_empty());
        let wrapped =
            wrapped.ok_or_else(|| AwsError::Answer { action: ACTION, lack: "the answer has no ciphertext" })?;
        Ok(DataKey { wrapped, outdated: false, key: Arc::clone(&old.key) })
    }

    /// Has KMS decrypt a data key, unless it is in memory.
    pub async fn open(&self, owner: Context<'_>, wrapped: &[u8], now: Timestamp) -> Result<DataKey, AwsError> {
        const ACTION: &str = "kms:Decrypt";
        // Bound to the owner in the cache as it is in KMS.
        let id = Self::cache_id(owner, wrapped);
        if let Some(key) = self.cache.get(&id, KEEP, now) {
            return Ok(key);
        }
        // The ciphertext names the KMS key; the function's role says which ones may be.
        let call = self.client.decrypt().ciphertext_blob(Blob::new(wrapped));
        let call = call.set_encryption_context(Some(self.context(owner)));
        let (output, current) = join(call.send(), self.current(now)).await;
        let output = output.map_err(|error| self.not_opened(AwsError::new(ACTION, error), now))?;
        *lock(&self.opened_at) = Some(now);
        let outdated = current.is_some_and(|current| output.key_id.as_ref().is_some_and(|key| *key != current));
        let key = key(ACTION, wrapped.to_vec(), output.plaintext, outdated)?;
        // Told once: a caller that fails to re-encrypt it tries again when the key is read again from KMS.
        self.cache.insert(id, DataKey { outdated: false, ..key.clone() }, now);
        Ok(key)
    }

    /// A data key that KMS calls invalid is damaged if others open, and the operator's concern if none does.
    fn not_opened(&self, error: AwsError, now: Timestamp) -> AwsError {
        // KMS answers ValidationException to a ciphertext that is empty or too long.
        let invalid = |call: &Call| call.is("InvalidCiphertextException") || call.is("ValidationException");
        if let AwsError::Misconfigured(call) | AwsError::Refused(call) = &error
            && invalid(call)
        {
            let opened_at = *lock(&self.opened_at);
            let others_open = opened_at.is_some_and(|at| now.duration_since(at) < RECENT);
            return AwsError::DataKey { call: call.clone(), others_open };
        }
        error
    }

    /// The ARN of the KMS key that wraps now; none if KMS can't be asked, or may not.
    async fn current(&self, now: Timestamp) -> Option<String> {
        if !self.rewraps {
            return None;
        }
        if let Some(arn) = self.current.get(&(), KEEP, now) {
            return Some(arn);
        }
        let output = self.client.describe_key().key_id(&self.key_id).send().await;
        let arn = output.ok()?.key_metadata?.arn?;
        self.current.insert((), arn.clone(), now);
        Some(arn)
    }

    fn context(&self, owner: Context<'_>) -> HashMap<String, String> {
        let pairs = [("app", self.app.as_str())].into_iter().chain(owner.pairs());
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn cache_id(owner: Context<'_>, wrapped: &[u8]) -> Vec<u8> {
        let mut id = wrapped.to_vec();
        for (_, part) in owner.pairs() {
            id.push(0);
            id.extend_from_slice(part.as_bytes());
        }
        id
    }
}

fn key(action: &'static str, wrapped: Vec<u8>, plaintext: Option<Blob>, outdated: bool) -> Result<DataKey, AwsError> {
    let plaintext = Zeroizing::new(plaintext.map(Blob::into_inner).unwrap_or_default());
    let key = UnboundKey::new(&AES_256_GCM, &plaintext)
        .map_err(|_| AwsError::Answer { action, lack: "the answer has no key of 256 bits" })?;
    Ok(DataKey { wrapped, outdated, key: Arc::new(LessSafeKey::new(key)) })
}

impl DataKey {
    /// Encrypts with AES-256-GCM under a random nonce. `aad` names where the ciphertext belongs.
    pub fn seal(&self, aad: &str, secret: &SecretString) -> Result<Vec<u8>, AwsError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| AwsError::Answer { action: "getrandom", lack: "the system gives no randomness" })?;
        let mut sealed = nonce.to_vec();
        let mut text = secret.expose_secret().as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut text)
            .map_err(|_| AwsError::Answer { action: "AES-256-GCM", lack: "the secret is too long" })?;
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// Decrypts what was sealed under this key for the same place.
    pub fn open(&self, aad: &str, sealed: &[u8]) -> Result<SecretString, AwsError> {
        let wrong = || AwsError::Altered;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or_else(wrong)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut buffer = Zeroizing::new(sealed.to_vec());
        let text = self.key.open_in_place(nonce, Aad::from(aad), &mut buffer).map_err(|_| wrong())?;
        std::str::from_utf8(text).map(SecretString::from).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> DataKey {
        let key = UnboundKey::new(&AES_256_GCM, &[byte; 32]).unwrap();
        DataKey { wrapped: Vec::new(), outdated: false, key: Arc::new(LessSafeKey::new(key)) }
    }

    #[test]
    fn a_ciphertext_opens_only_where_it_was_sealed() {
        let long = "t".repeat(9000);
        let sealed = key(1).seal("a|1", &long.as_str().into()).unwrap();
        assert_eq!(key(1).open("a|1", &sealed).unwrap().expose_secret(), long);
        assert!(key(1).open("a|2", &sealed).is_err(), "another version");
        assert!(key(2).open("a|1", &sealed).is_err(), "another key");
        for length in [0, 5, NONCE_LEN, sealed.len() - 1] {
            assert!(key(1).open("a|1", &sealed[..length]).is_err(), "truncated to {length}");
        }
        let mut altered = sealed.clone();
        altered[NONCE_LEN] ^= 1;
        assert!(key(1).open("a|1", &altered).is_err(), "altered");
        assert_ne!(sealed, key(1).seal("a|1", &long.as_str().into()).unwrap(), "a nonce is used once");
    }
}
