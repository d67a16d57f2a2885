//! Google accounts: what identifies one for ever, its address, which can change, and the services that it has.
//!
//! <https://developers.google.com/identity/openid-connect/openid-connect#an-id-tokens-payload>

use http::StatusCode;
use local_base::now;
use serde_json::{Value, json};

use super::{refusal::Refusal, signer::Signer};
use crate::controls::{Control, Refused};

/// The accounts there are, by the address that each had first; the first is the one with something in it.
pub(super) const ACCOUNTS: [&str; 2] = ["ada@example.com", "grace@example.com"];

/// `POST mailbox` `{"account"?,"messages","seed"?}`: the account, which is made if there is none, has so many messages and no others. They
/// are made on demand. `POST account`: `{"account"?,"address"?,"mail"?,"calendar"?,"blocked"?}`: the account gets another address, has a service or not, or
/// its administrators do not allow the app.
pub(super) const CONTROLS: &[Control] = &[
    Control("POST", "account", &[&["account", "address", "mail", "calendar", "blocked"]]),
    Control("POST", "mailbox", &[&["account", "messages", "seed"]]),
];

/// The scopes of identity under their short names, and as Google's answers have them. No user can leave them out.
const IDENTITY: [(&str, &str); 3] = [
    ("openid", "openid"),
    ("email", "https://www.googleapis.com/auth/userinfo.email"),
    ("profile", "https://www.googleapis.com/auth/userinfo.profile"),
];

pub(super) struct Person {
    /// What the sandbox knows it by: its first address.
    pub(super) account: String,
    sub: String,
    pub(super) address: String,
    mail: bool,
    calendar: bool,
    /// Whether the administrators of its domain do not allow the app.
    blocked: bool,
}

pub(super) fn people() -> Vec<Person> {
    ACCOUNTS
        .iter()
        .zip(1..)
        .map(|(account, number)| Person { calendar: true, ..Person::with_mail(account, number) })
        .collect()
}

impl Person {
    /// An account with mail alone; `number` tells it from all others.
    pub(super) fn with_mail(account: &str, number: usize) -> Self {
        let sub = format!("{:021}", 100_000_000_000_000_000_000_u128 + number as u128);
        Self {
            account: account.to_owned(),
            sub,
            address: account.to_owned(),
            mail: true,
            calendar: false,
            blocked: false,
        }
    }

    /// Refuses calls of a service that the account does not have.
    pub(super) fn has(&self, service: &str) -> Result<(), Refusal> {
        match service {
            // https://developers.google.com/workspace/gmail/api/guides/handle-errors, read 2026-11.
            _ if self.blocked => Err(Refusal {
                status: StatusCode::FORBIDDEN,
                reason: "domainPolicy",
                message: "The domain administrators have disabled this app.".to_owned(),
            }),
            "gmail" if !self.mail => Err(Refusal::bad("failedPrecondition", "Mail service not enabled")),
            "calendar" if !self.calendar => Err(Refusal {
                status: StatusCode::FORBIDDEN,
                reason: "notACalendarUser",
                message: "The user must be signed up for Google Calendar.".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// The ID token for an app, if `openid` was granted.
    pub(super) fn id_token(&self, client_id: &str, scopes: &[String], signer: &Signer) -> Option<String> {
        let granted = |scope| scopes.iter().any(|granted| granted == scope);
        let now = now().as_second();
        let mut claims = json!({
            "iss": "https://accounts.google.com", "azp": client_id, "aud": client_id, "sub": self.sub,
            "iat": now, "exp": now + 3600,
        });
        if granted(IDENTITY[1].1) {
            claims["email"] = self.address.clone().into();
            claims["email_verified"] = true.into();
        }
        granted(IDENTITY[0].1).then(|| signer.jwt(&claims))
    }

    pub(super) fn change(&mut self, order: &Value) -> Result<Value, Refused> {
        if !order["address"].is_null() {
            let Some(address) = order["address"].as_str().filter(|address| address.contains('@')) else {
                return Err((StatusCode::UNPROCESSABLE_ENTITY, "\"address\" must be a mail address".to_owned()));
            };
            address.clone_into(&mut self.address);
        }
        self.mail = order["mail"].as_bool().unwrap_or(self.mail);
        self.calendar = order["calendar"].as_bool().unwrap_or(self.calendar);
        self.blocked = order["blocked"].as_bool().unwrap_or(self.blocked);
        let Self { sub, address, mail, calendar, blocked, .. } = self;
        Ok(json!({ "sub": sub, "address": address, "mail": mail, "calendar": calendar, "blocked": blocked }))
    }
}

/// A scope as Google's answers have it.
pub(super) fn canonical(scope: &str) -> String {
    IDENTITY.iter().find(|(short, _)| *short == scope).map_or(scope, |(_, long)| long).to_owned()
}

/// Whether a scope is no choice of the user's.
pub(super) fn is_identity(scope: &str) -> bool {
    IDENTITY.iter().any(|(_, long)| *long == scope)
}
