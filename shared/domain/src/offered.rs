//! Which providers a deployment offers.

use crate::id::ProviderId;

/// The providers that a deployment offers: those that the parameter `Providers` lists, or all that its functions have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offered(Vec<ProviderId>);

/// Providers are listed that no function has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Providers lists {unknown}, which is no provider; there are {known}")]
pub struct UnknownProviders {
    unknown: String,
    known: String,
}

impl Offered {
    /// Reads ids with commas between them. Nothing at all is all.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rule = || "it must be ids of providers, each once, with commas between them".to_owned();
        let ids = text.split(',').filter(|_| !text.is_empty()).map(ProviderId::parse);
        let ids = ids.collect::<Result<Vec<_>, _>>().map_err(|_| rule())?;
        let twice = ids.iter().enumerate().any(|(index, id)| ids.iter().take(index).any(|earlier| earlier == id));
        if twice { Err(rule()) } else { Ok(Self(ids)) }
    }

    /// Whether this one is offered.
    pub fn has(&self, id: &ProviderId) -> bool {
        self.0.is_empty() || self.0.contains(id)
    }

    /// Refuses what is not among the known ones.
    pub fn check(&self, known: &[&ProviderId]) -> Result<(), UnknownProviders> {
        let names = |ids: &[&ProviderId]| ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
        let unknown: Vec<_> = self.0.iter().filter(|id| !known.contains(id)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(UnknownProviders { unknown: names(&unknown), known: names(known) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ProviderId {
        ProviderId::parse(text).unwrap()
    }

    #[test]
    fn what_is_listed_is_offered_and_nothing_listed_is_all() {
        let all = Offered::parse("").unwrap();
        assert!(all == Offered::default() && all.has(&id("slack")));
        let some = Offered::parse("slack,google-calendar").unwrap();
        assert_eq!(["slack", "google-calendar", "gmail"].map(|it| some.has(&id(it))), [true, true, false]);
        for wrong in [",", "slack,", ",slack", "slack, stripe", "slack,slack", "a#b"] {
            assert!(Offered::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_no_function_has_is_named_beside_what_there_is() {
        let (slack, stripe) = (id("slack"), id("stripe"));
        let check = |text: &str| Offered::parse(text).unwrap().check(&[&slack, &stripe]);
        assert!(check("").is_ok() && check("stripe").is_ok());
        let error = check("slack,strip,acme").unwrap_err().to_string();
        assert_eq!(error, "Providers lists strip, acme, which is no provider; there are slack, stripe");
    }
}
