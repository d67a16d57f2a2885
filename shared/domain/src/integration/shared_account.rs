//! Which integrations share one reading of their account.
//!
//! *Invariant:* only integrations of one account, one mode and equal granted scopes do. Where the scopes are not known, nothing is shared.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::IntegrationKey;

/// An account with the scopes that were granted: two integrations of the same get the same answers from the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedAccount(String);

impl SharedAccount {
    /// That of an integration; `None` if its scopes are not known.
    pub fn of(key: &IntegrationKey, granted: &[String]) -> Option<Self> {
        let scopes: BTreeSet<_> = granted.iter().collect();
        let mut hash = Sha256::new();
        for scope in &scopes {
            hash.update(scope.len().to_be_bytes());
            hash.update(scope);
        }
        let hash = hex::encode(hash.finalize());
        (!scopes.is_empty()).then(|| Self(format!("shared#{}#{}", key.account(), &hash[..32])))
    }

    /// Its key in the table of syncs.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: &str, account: &str) -> IntegrationKey {
        IntegrationKey::parse(user, account).unwrap()
    }

    fn scopes(all: &[&str]) -> Vec<String> {
        all.iter().map(|scope| (*scope).to_owned()).collect()
    }

    #[test]
    fn users_of_one_account_and_of_equal_scopes_share_it_and_no_others() {
        let of = |account: &str, granted: &[&str]| SharedAccount::of(&key("ada", account), &scopes(granted));
        let it = of("p#a", &["read", "write"]).unwrap();
        assert_eq!(SharedAccount::of(&key("bob", "p#a"), &scopes(&["write", "read", "read"])), Some(it.clone()));
        let others = [
            of("p#b", &["read", "write"]),
            of("q#a", &["read", "write"]),
            of("p#a#test", &["read", "write"]),
            of("p#a", &["read"]),
            of("p#a", &["readwrite"]),
            of("p#a", &["read", "write", "more"]),
        ];
        assert!(others.iter().all(|other| other.as_ref().is_some_and(|other| *other != it)), "{others:?}");
        assert_eq!(of("p#a", &[]), None, "the scopes are not known");
    }
}
