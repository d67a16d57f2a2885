//! URL prefixes that lead elsewhere: how a sandbox stands in for a provider.

/// URL prefixes that lead elsewhere: the longest match counts. Empty in production.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrites(Vec<(String, String)>);

impl Rewrites {
    /// Reads `FROM=TO FROM=TO …`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut all = Vec::new();
        for pair in text.split_whitespace() {
            let (from, to) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is not FROM=TO"))?;
            let to = to.trim_end_matches('/');
            let scheme = |url: &str| {
                let url =
                    url.parse::<http::Uri>().ok().filter(|url| url.host().is_some_and(|host| !host.is_empty()))?;
                url.scheme_str().map(str::to_owned)
            };
            if scheme(from).as_deref() != Some("https") || !matches!(scheme(to).as_deref(), Some("http" | "https")) {
                return Err(format!("{pair:?} is not https://…=http… with a host on both sides"));
            }
            all.push((from.trim_end_matches('/').to_owned(), to.to_owned()));
        }
        all.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
        Ok(Self(all))
    }

    /// The hosts that they lead to.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let host = |to: &String| to.parse::<http::Uri>().ok()?.host().map(str::to_ascii_lowercase);
        self.0.iter().filter_map(|(_, to)| host(to)).collect()
    }

    /// Where a URL leads. A match ends where a host or path segment does.
    pub fn apply(&self, url: &str) -> Option<String> {
        self.0.iter().find_map(|(from, to)| {
            let rest = url.strip_prefix(from.as_str())?;
            (rest.is_empty() || rest.starts_with(['/', '?', '#'])).then(|| format!("{to}{rest}"))
        })
    }
}
