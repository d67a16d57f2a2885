//! What tests see and change of an authorization server's state, beside OAuth.

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Grant, Grants};
use crate::{call::Reply, emulator::refusal};

impl Grants {
    /// The part of the controls that is about tokens.
    pub(crate) fn administer(&mut self, method: &Method, path: &[&str], body: &Value) -> Option<Reply> {
        let done = match (method.as_str(), path) {
            ("GET", ["grants"]) => json!(self.given.iter().map(Grant::seen).collect::<Vec<_>>()),
            ("GET", ["secrets"]) => {
                json!(self.codes.keys().chain(self.access.keys()).chain(self.refresh.keys()).collect::<Vec<_>>())
            }
            ("POST", ["grants", "revoke"]) => {
                let all: Vec<_> = self.given.iter().map(|grant| grant.account.clone()).collect();
                let wanted = |account: &&String| body["account"].is_null() || body["account"] == **account;
                let revoked = all.iter().filter(wanted).map(|account| self.revoke_account(account).len());
                json!({ "revoked": revoked.sum::<usize>() })
            }
            ("POST", ["tokens", "expire"]) => {
                let account = body["account"].as_str();
                if account.is_some_and(|account| self.given.iter().all(|grant| grant.account != account)) {
                    return Some(refusal(StatusCode::NOT_FOUND, "there is no grant of this account"));
                }
                for (index, until) in self.access.values_mut() {
                    if account.is_none_or(|account| self.given[*index].account == account) {
                        *until = Timestamp::MIN;
                    }
                }
                json!({ "expired": true })
            }
            ("POST", ["tokens", "life"]) => {
                self.life = body["seconds"].as_i64().unwrap_or(self.rules.life);
                json!({ "seconds": self.life })
            }
            ("POST", ["tokens", "renewable"]) => {
                self.renewable = body["renewable"].as_bool().unwrap_or(true);
                json!({ "renewable": self.renewable })
            }
            _ => return None,
        };
        Some(Reply::json(StatusCode::OK, &done))
    }
}

impl Grant {
    fn seen(&self) -> Value {
        json!({
            "account": self.account, "scopes": self.scopes, "state": if self.revoked { "revoked" } else { "active" },
            "refreshes": self.refreshes, "reused": self.reused,
        })
    }
}
