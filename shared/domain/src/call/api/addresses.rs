//! Where an API is: the addresses that calls may have.

use super::Api;

impl Api {
    /// What follows the base of this API in an address; none if the address is elsewhere.
    pub fn path<'u>(&self, url: &'u str) -> Option<&'u str> {
        url.strip_prefix(self.base).or_else(|| url.strip_prefix(self.uploads?))
    }

    /// The addresses below which this API is: that of calls, and that of uploads.
    pub fn bases(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.base), self.uploads].into_iter().flatten()
    }

    /// This API as it is at an address. A host of its own for uploads takes bytes at one-time addresses: the flag and the limits of
    /// methods are unknown there.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        let host = |base: &'static str| base.strip_suffix(Self::root(base)).unwrap_or(base);
        let apart = self.uploads.is_some_and(|uploads| url.starts_with(uploads) && host(uploads) != host(self.base));
        if apart { Self { success_flag: None, limits: &[], ..*self } } else { *self }
    }

    /// The path of a base, without the `/` that it begins with.
    pub fn root(base: &str) -> &str {
        let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
        rest.split_once('/').map_or("", |(_, path)| path)
    }

    /// The base of a call with this path, and what follows the base. The path is relative to the base of calls, or it is the whole path of
    /// one of the bases, as the provider's own SDKs build it. Neither begins with `/`.
    pub fn located<'p>(&self, path: &'p str) -> (&'static str, &'p str) {
        let whole = |base: &'static str| {
            let root = Self::root(base);
            let rest = path.strip_prefix(root)?.strip_prefix('/')?;
            (!root.is_empty()).then_some((base, rest))
        };
        self.bases().find_map(whole).unwrap_or((self.base, path))
    }
}
