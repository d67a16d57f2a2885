//! The set of providers that a function knows.

use domain::{Offered, ProviderId, UnknownProviders};

use crate::{Auth, Provider, Spec};

/// A set of providers. The functions take it as an argument, so that a test can add its own.
#[derive(Clone, Copy)]
pub struct Registry(pub &'static [&'static dyn Provider]);

impl Registry {
    /// Those that a deployment offers. It is made once in a process, and kept.
    pub fn offering(self, offered: &Offered) -> Result<Self, UnknownProviders> {
        offered.check(&self.ids())?;
        Ok(Self(self.iter().filter(|it| offered.has(&it.spec().id)).collect::<Vec<_>>().leak()))
    }

    /// The provider of this id.
    pub fn find(self, id: impl AsRef<str>) -> Option<&'static dyn Provider> {
        self.0.iter().copied().find(|provider| provider.spec().id == id.as_ref())
    }

    /// The ids of all providers.
    pub fn ids(self) -> Vec<&'static ProviderId> {
        self.0.iter().map(|provider| &provider.spec().id).collect()
    }

    /// The providers in the order in which people see them.
    pub fn iter(self) -> impl Iterator<Item = &'static dyn Provider> {
        self.0.iter().copied()
    }

    /// All limits: provider and limit, which a rate is set for as `provider/limit`.
    pub fn limits(self) -> impl Iterator<Item = (&'static ProviderId, &'static str)> {
        self.iter().map(Provider::spec).flat_map(|spec| spec.api.limits.iter().map(move |it| (&spec.id, it.name)))
    }

    /// Whether there is a limit of this name: `provider/limit`.
    pub fn has_limit(self, name: &str) -> bool {
        name.split_once('/')
            .is_some_and(|name| self.limits().any(|(provider, limit)| (provider.as_str(), limit) == name))
    }

    /// The other providers whose grants end when `spec`'s is revoked, because they share app and account.
    pub fn sharing(self, spec: &Spec) -> impl Iterator<Item = &'static Spec> {
        let whole = matches!(&spec.auth, Auth::OAuth(oauth) if oauth.revoke.is_some_and(|revoke| revoke.whole_account));
        let (id, secret) = (spec.id.clone(), spec.secret);
        self.iter().map(Provider::spec).filter(move |other| whole && other.secret == secret && other.id != id)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}
