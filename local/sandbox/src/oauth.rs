//! The state of an authorization server: codes, grants, access and refresh tokens.
//!
//! The emulators with OAuth share it; what differs is in [`Rules`], and each has its own words for refusals.
//! *Invariant:* a code is redeemed once; no token of a revoked grant works.

mod controls;

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;

use super::{app::App, call::Call, form::Form, opaque::challenge};

/// What differs between providers.
pub(super) struct Rules {
    pub(super) code: fn() -> String,
    /// Makes an access token of a kind.
    pub(super) access: fn(&str) -> String,
    pub(super) refresh: fn() -> String,
    /// Seconds an access token lives.
    pub(super) life: i64,
    /// Whether a refresh brings a new refresh token and ends the old one; using that again revokes the grant.
    pub(super) single_use: bool,
}

/// Seconds a code lives: 10 minutes, which RFC 6749 (4.1.2) recommends as the most.
const CODE_LIFE: i64 = 600;

/// What a user allowed.
#[derive(Clone)]
pub(super) struct Allowed {
    pub(super) account: String,
    pub(super) scopes: Vec<String>,
    /// Of the user's own token, where the app has another.
    pub(super) user_scopes: Vec<String>,
    pub(super) redirect_uri: String,
    pub(super) challenge: Option<String>,
    /// Whether a refresh token comes with it.
    pub(super) offline: bool,
}

struct Code {
    allowed: Allowed,
    until: Timestamp,
    used: bool,
}

/// What an app may do at an account.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) account: String,
    /// For [`Rules::access`]: the kind of token, where a provider has several.
    pub(super) kind: &'static str,
    pub(super) scopes: Vec<String>,
    pub(super) revoked: bool,
    offline: bool,
    refreshes: u32,
    /// A refresh token was used a second time.
    reused: bool,
}

/// Tokens as issued.
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: Option<String>,
    /// Seconds.
    pub(super) expires_in: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BadCode {
    Unknown,
    Used,
    Expired,
    /// Not the redirect URI of the authorization.
    Redirect,
    VerifierMissing,
    VerifierWrong,
    /// A verifier, but no challenge before.
    VerifierUnasked,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BadToken {
    Unknown,
    Expired,
    Revoked,
}

/// A client does not authenticate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BadClient {
    Missing,
    Id,
    Secret,
}

pub(super) struct Grants {
    rules: Rules,
    /// Seconds tokens live that are issued from now on.
    life: i64,
    /// Whether codes bring refresh tokens from now on, where the grant is offline.
    renewable: bool,
    codes: HashMap<String, Code>,
    given: Vec<Grant>,
    /// The grant, and until when.
    access: HashMap<String, (usize, Timestamp)>,
    /// The grant, and whether it was used up.
    refresh: HashMap<String, (usize, bool)>,
}

impl Grants {
    pub(super) fn new(rules: Rules) -> Self {
        let life = rules.life;
        let (codes, given, access, refresh) = Default::default();
        Self { rules, life, renewable: true, codes, given, access, refresh }
    }

    /// A code for what the user allowed.
    pub(super) fn code(&mut self, allowed: Allowed, now: Timestamp) -> String {
        let code = (self.rules.code)();
        let until = now + SignedDuration::from_secs(CODE_LIFE);
        self.codes.insert(code.clone(), Code { allowed, until, used: false });
        code
    }

    /// What the user allowed, for its code: once, and with the authorization's redirect URI and verifier.
    pub(super) fn redeem(&mut self, form: &Form, now: Timestamp) -> Result<Allowed, BadCode> {
        let code = form.get("code").and_then(|code| self.codes.get_mut(code)).ok_or(BadCode::Unknown)?;
        if code.used {
            return Err(BadCode::Used);
        }
        if code.until <= now {
            return Err(BadCode::Expired);
        }
        if form.get("redirect_uri") != Some(&code.allowed.redirect_uri) {
            return Err(BadCode::Redirect);
        }
        match (&code.allowed.challenge, form.get("code_verifier")) {
            (None, None) => {}
            (None, Some(_)) => return Err(BadCode::VerifierUnasked),
            (Some(_), None) => return Err(BadCode::VerifierMissing),
            (Some(asked), Some(verifier)) if challenge(verifier) == *asked => {}
            (Some(_), Some(_)) => return Err(BadCode::VerifierWrong),
        }
        code.used = true;
        Ok(code.allowed.clone())
    }

    /// A new grant and its first tokens.
    pub(super) fn grant(
        &mut self,
        account: &str,
        kind: &'static str,
        scopes: Vec<String>,
        offline: bool,
        now: Timestamp,
    ) -> Tokens {
        let (account, offline) = (account.to_owned(), offline && self.renewable);
        self.given.push(Grant { account, kind, scopes, revoked: false, offline, refreshes: 0, reused: false });
        self.issue(self.given.len() - 1, offline, now)
    }

    /// New tokens for a refresh token, with the grant.
    pub(super) fn refresh(&mut self, token: &str, now: Timestamp) -> Result<(Grant, Tokens), BadToken> {
        let (index, used) = self.refresh.get_mut(token).ok_or(BadToken::Unknown)?;
        let (index, reused) = (*index, *used);
        let grant = &mut self.given[index];
        if reused {
            grant.reused = true;
            grant.revoked = true;
        }
        if grant.revoked {
            return Err(BadToken::Revoked);
        }
        *used = self.rules.single_use;
        grant.refreshes += 1;
        let tokens = self.issue(index, self.rules.single_use, now);
        Ok((self.given[index].clone(), tokens))
    }

    fn issue(&mut self, grant: usize, offline: bool, now: Timestamp) -> Tokens {
        let access = (self.rules.access)(self.given[grant].kind);
        self.access.insert(access.clone(), (grant, now + SignedDuration::from_secs(self.life)));
        let refresh = offline.then(self.rules.refresh);
        self.refresh.extend(refresh.clone().map(|token| (token, (grant, false))));
        Tokens { access, refresh, expires_in: self.life }
    }

    /// The grant of an access token.
    pub(super) fn check(&self, token: &str, now: Timestamp) -> Result<&Grant, BadToken> {
        let (index, until) = self.access.get(token).ok_or(BadToken::Unknown)?;
        let grant = &self.given[*index];
        match (grant.revoked, *until <= now) {
            (true, _) => Err(BadToken::Revoked),
            (false, true) => Err(BadToken::Expired),
            (false, false) => Ok(grant),
        }
    }

    /// The account of a token of either kind, if it is not revoked.
    pub(super) fn account_of(&self, token: &str) -> Option<&str> {
        let access = self.access.get(token).map(|(index, _)| *index);
        let index = access.or_else(|| self.refresh.get(token).map(|(index, _)| *index))?;
        Some(&self.given[index]).filter(|grant| !grant.revoked).map(|grant| grant.account.as_str())
    }

    /// Revokes the grant of one access token.
    pub(super) fn revoke_token(&mut self, token: &str) {
        if let Some((index, _)) = self.access.get(token) {
            self.given[*index].revoked = true;
        }
    }

    /// Revokes all grants at an account, and returns them.
    pub(super) fn revoke_account(&mut self, account: &str) -> Vec<Grant> {
        let live = self.given.iter_mut().filter(|grant| grant.account == account && !grant.revoked);
        live.map(|grant| {
            grant.revoked = true;
            grant.clone()
        })
        .collect()
    }

    /// The live grants at an account.
    pub(super) fn live(&self, account: &str) -> impl Iterator<Item = &Grant> {
        self.given.iter().filter(move |grant| grant.account == account && !grant.revoked)
    }

    /// Whether a live grant at an account has a refresh token.
    pub(super) fn is_offline(&self, account: &str) -> bool {
        self.live(account).any(|grant| grant.offline)
    }
}

/// Whether the client is the app, by the body or by Basic.
pub(super) fn authenticate(call: &Call, form: &Form, app: &App) -> Result<(), BadClient> {
    let (id, secret) = match call.basic() {
        Some(both) => both,
        None => {
            let id = form.get("client_id").ok_or(BadClient::Missing)?;
            (id.to_owned(), form.get("client_secret").unwrap_or_default().to_owned())
        }
    };
    match (id == app.client_id, secret == app.client_secret.expose_secret()) {
        (false, _) => Err(BadClient::Id),
        (true, false) => Err(BadClient::Secret),
        (true, true) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
