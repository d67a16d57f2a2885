//! An account as callers see and name it.

use serde::Serialize;

use crate::{
    call::Mode,
    error::{Kind, Problem},
    id::AccountId,
    integration::{Integration, IntegrationKey, IntegrationState},
};

/// The provider-side identity, as callers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The provider's id, which never changes.
    pub id: AccountId,
    /// The mode, at a provider that has two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The name for people.
    pub name: String,
}

impl Account {
    /// The account of an integration.
    pub fn of(integration: &Integration) -> Self {
        let IntegrationKey { account_id, mode, .. } = &integration.key;
        Self { id: account_id.clone(), mode: *mode, name: integration.account_name.clone() }
    }

    /// What selects it among all accounts of its user, `id` or `id:mode`.
    pub fn selector(&self) -> String {
        self.mode.map_or_else(|| self.id.to_string(), |mode| format!("{}:{}", self.id, mode.name()))
    }

    /// Whether a caller means it: by its id, with or without the mode.
    fn has_id(&self, wanted: &str) -> bool {
        self.id == wanted || self.selector() == wanted
    }

    /// Whether a caller means it by its name. Addresses are the same in any case.
    fn has_name(&self, wanted: &str) -> bool {
        self.name == wanted || (self.name.contains('@') && self.name.to_lowercase() == wanted.to_lowercase())
    }
}

/// The one of a user's integrations of a provider that a caller means; `name` is the provider's.
///
/// `wanted` is an account's id, its id and mode, or its name, and is needed only among several. Where several fit, one that is in
/// use comes before those that were ended; else the error names them all.
pub fn select(found: Vec<Integration>, name: &str, wanted: Option<&str>) -> Result<Integration, Problem> {
    if found.is_empty() {
        return Err(Problem::not_connected(name));
    }
    let mut fitting = match wanted {
        None => found,
        Some(wanted) => {
            let (by_id, others): (Vec<_>, _) = found.into_iter().partition(|it| Account::of(it).has_id(wanted));
            let by_name = || others.into_iter().filter(|it| Account::of(it).has_name(wanted)).collect();
            if by_id.is_empty() { by_name() } else { by_id }
        }
    };
    if fitting.len() > 1 && fitting.iter().any(|it| it.state != IntegrationState::Disconnected) {
        fitting.retain(|it| it.state != IntegrationState::Disconnected);
    }
    match fitting.len() {
        0 => {
            let message = format!("There is no {name} account of this id or name.");
            Err(Problem::new(Kind::NotFound, message, "Leave the account out to see which there are."))
        }
        1 => Ok(fitting.remove(0)),
        _ => {
            let label = |it: &Integration| {
                let account = Account::of(it);
                if account.id == *account.name {
                    account.name
                } else {
                    format!("{} ({})", account.selector(), account.name)
                }
            };
            let accounts: Vec<_> = fitting.iter().map(label).collect();
            let message = format!("There are several {name} accounts: {}.", accounts.join(", "));
            let next = "Choose one by its id: with ?account=, or for the proxy with the header Intertie-Account.";
            Err(Problem::new(Kind::Conflict, message, next))
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn integration(id: &str, mode: Option<Mode>, name: &str, state: IntegrationState) -> Integration {
        let key = IntegrationKey { mode, ..IntegrationKey::parse("u", &format!("p#{id}")).unwrap() };
        Integration { state, ..Integration::connected(key, name, Timestamp::UNIX_EPOCH) }
    }

    #[test]
    fn an_account_is_selected_by_its_id_its_mode_or_a_name_that_is_the_only_one() {
        use IntegrationState::{Connected, Disconnected, ReconnectRequired};
        use Mode::{Live, Test};
        let stripe = |live, test| {
            vec![integration("acct_1", Some(Live), "Shop", live), integration("acct_1", Some(Test), "Shop", test)]
        };
        let google = || {
            vec![
                integration("1", None, "Ada@Example.com", Connected),
                integration("2", None, "grace@example.com", ReconnectRequired),
                integration("3", None, "1", Connected),
            ]
        };
        let table = [
            (vec![], None, Err(Kind::NotConnected)),
            (vec![], Some("acct_1"), Err(Kind::NotConnected)),
            (stripe(Connected, Connected), None, Err(Kind::Conflict)),
            (stripe(Connected, Connected), Some("acct_1"), Err(Kind::Conflict)),
            (stripe(Connected, Connected), Some("Shop"), Err(Kind::Conflict)),
            (stripe(Connected, Connected), Some("acct_1:test"), Ok("acct_1:test")),
            (stripe(Connected, Connected), Some("acct_1:live"), Ok("acct_1:live")),
            (stripe(Connected, Disconnected), Some("acct_1"), Ok("acct_1:live")),
            (stripe(Disconnected, ReconnectRequired), Some("Shop"), Ok("acct_1:test")),
            (stripe(Disconnected, Connected), None, Ok("acct_1:test")),
            (stripe(Disconnected, Disconnected), Some("acct_1"), Err(Kind::Conflict)),
            (stripe(Connected, Disconnected), Some("acct_1:test"), Ok("acct_1:test")),
            (stripe(Connected, Connected), Some("acct_2"), Err(Kind::NotFound)),
            (stripe(Connected, Connected), Some("shop"), Err(Kind::NotFound)),
            (google(), None, Err(Kind::Conflict)),
            (google(), Some("2"), Ok("2")),
            (google(), Some("ada@example.COM"), Ok("1")),
            (google(), Some("1"), Ok("1")),
            (google(), Some(""), Err(Kind::NotFound)),
        ];
        for (found, wanted, expected) in table {
            let is = select(found, "Stripe", wanted);
            let is = is.map(|it| Account::of(&it).selector()).map_err(|problem| problem.kind);
            assert_eq!(is, expected.map(str::to_owned), "{wanted:?}");
        }
        let problem = select(stripe(Connected, Connected), "Stripe", Some("acct_1")).unwrap_err();
        assert_eq!(problem.message, "There are several Stripe accounts: acct_1:live (Shop), acct_1:test (Shop).");
    }
}
