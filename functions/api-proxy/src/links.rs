//! Headers of a provider's answers that are addresses: `Link`, `Location`, `Content-Location`, and the provider's own.
//!
//! *Invariant:* an address that comes back leads to the proxy. A client sends its session token where it is led, so an address
//! outside the provider's API is left out, and [`REMOVED`] names the header.

use domain::call::Api;
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

/// Names the headers of an answer from which addresses were left out.
pub(crate) const REMOVED: HeaderName = HeaderName::from_static("intertie-removed");

/// The headers that hold addresses.
pub(crate) fn addresses(api: &Api) -> Vec<HeaderName> {
    let own = api.address_headers.iter().map(|name| HeaderName::from_static(name));
    [header::LINK, header::LOCATION, header::CONTENT_LOCATION].into_iter().chain(own).collect()
}

/// Where a provider's API is, and where the proxy offers it.
pub(crate) struct Ways {
    /// The API's bases, and where rewrites of them lead; and what each is at the proxy: `https://api.example.com/proxy/stripe`.
    bases: Vec<(Url, String)>,
    /// The address that was called, to which relative ones are relative.
    called: Url,
}

impl Ways {
    /// The ways of an answer from `called`. None if an address of ours can't be read, which only a wrong configuration makes.
    pub(crate) fn new(bases: impl IntoIterator<Item = (&'static str, String, String)>, called: &str) -> Option<Self> {
        let mut all = Vec::new();
        for (base, rewritten, proxy) in bases {
            for base in [base, &rewritten] {
                all.push((Url::parse(base).ok()?, proxy.clone()));
            }
        }
        Some(Self { bases: all, called: Url::parse(called).ok()? })
    }

    /// An address of an answer as an address of the proxy; none if it leads elsewhere.
    fn through_proxy(&self, reference: &str) -> Option<String> {
        let to = self.called.join(reference.trim()).ok()?;
        let (proxy, rest) = self.bases.iter().find_map(|(base, proxy)| {
            let same = to.scheme() == base.scheme() && to.host() == base.host();
            let same = same && to.port_or_known_default() == base.port_or_known_default();
            let open = to.username().is_empty() && to.password().is_none();
            let rest = to.path().strip_prefix(base.path().trim_end_matches('/'))?;
            (same && open && rest.len() > 1 && rest.starts_with('/')).then_some((proxy, rest))
        })?;
        let query = to.query().map(|query| format!("?{query}")).unwrap_or_default();
        let fragment = to.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
        Some(format!("{proxy}{rest}{query}{fragment}"))
    }

    /// The headers of an answer that hold `addresses`.
    pub(crate) fn returned(&self, from: &HeaderMap, addresses: &[HeaderName], to: &mut HeaderMap) {
        let mut removed = Vec::new();
        for name in addresses.iter().filter(|name| *name != header::LINK) {
            let Some(value) = from.get(name) else { continue };
            let address = value.to_str().ok().and_then(|it| self.through_proxy(it));
            match address.and_then(|address| HeaderValue::try_from(address).ok()) {
                Some(address) => drop(to.insert(name.clone(), address)),
                None => removed.push(name.as_str().to_owned()),
            }
        }
        let (mut links, mut left_out) = (Vec::new(), false);
        for value in from.get_all(header::LINK) {
            let Some(all) = value.to_str().ok().and_then(split) else {
                left_out = true;
                continue;
            };
            for (reference, parameters) in all {
                match self.through_proxy(reference) {
                    Some(address) => links.push(format!("<{address}>{parameters}")),
                    None => left_out = true,
                }
            }
        }
        if left_out {
            removed.push(header::LINK.as_str().to_owned());
        }
        for (name, values) in [(header::LINK, links), (REMOVED, removed)] {
            if let Some(value) = HeaderValue::try_from(values.join(", ")).ok().filter(|value| !value.is_empty()) {
                to.insert(name, value);
            }
        }
    }
}

/// The links of a `Link` header (RFC 8288 §3): each address with its parameters. None if it can't be read.
fn split(value: &str) -> Option<Vec<(&str, &str)>> {
    let mut links = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(links);
        }
        let (reference, after) = rest.strip_prefix('<')?.split_once('>')?;
        let end = end_of_parameters(after)?;
        let parameters = after[..end].trim_end();
        if !parameters.is_empty() && !parameters.trim_start().starts_with(';') {
            return None;
        }
        links.push((reference, parameters));
        rest = &after[end..];
    }
}

/// Where the parameters of a link end: at a comma outside quotes. None if a quote is not closed.
fn end_of_parameters(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return Some(at),
            _ => {}
        }
    }
    (!quoted).then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "https://intertie.example/proxy/google-calendar";

    fn ways() -> Ways {
        let calls = ("https://www.googleapis.com/calendar/v3", "http://127.0.0.1:4003/calendar/v3".to_owned());
        let uploads =
            ("https://www.googleapis.com/upload/calendar/v3", "http://127.0.0.1:4003/upload/calendar/v3".to_owned());
        let bases =
            [(calls.0, calls.1, PROXY.to_owned()), (uploads.0, uploads.1, format!("{PROXY}/upload/calendar/v3"))];
        Ways::new(bases, "https://www.googleapis.com/calendar/v3/calendars/a/events?page=1").unwrap()
    }

    #[test]
    fn an_address_of_the_api_leads_through_the_proxy_and_no_other_comes_back() {
        for (reference, expected) in [
            ("https://www.googleapis.com/calendar/v3/users/me?x=a%26b#f", Some("/users/me?x=a%26b#f")),
            ("https://WWW.googleapis.com:443/calendar/v3/x", Some("/x")),
            ("/calendar/v3/x", Some("/x")),
            ("//www.googleapis.com/calendar/v3/x", Some("/x")),
            ("?page=2", Some("/calendars/a/events?page=2")),
            ("../b/events", Some("/calendars/b/events")),
            ("", Some("/calendars/a/events?page=1")),
            ("http://127.0.0.1:4003/calendar/v3/x", Some("/x")),
            ("https://www.googleapis.com/upload/calendar/v3/x?upload_id=1", Some("/upload/calendar/v3/x?upload_id=1")),
            ("http://127.0.0.1:4003/upload/calendar/v3/x", Some("/upload/calendar/v3/x")),
            ("https://www.googleapis.com/upload/drive/v3/x", None),
            ("https://www.googleapis.com/calendar/v3", None),
            ("https://www.googleapis.com/calendar/v3/../admin", None),
            ("https://www.googleapis.com/calendar/v3x/y", None),
            ("https://www.googleapis.com/drive/v3/x", None),
            ("https://www.googleapis.com:444/calendar/v3/x", None),
            ("http://www.googleapis.com/calendar/v3/x", None),
            ("https://ada@www.googleapis.com/calendar/v3/x", None),
            ("https://www.googleapis.com.evil.example/calendar/v3/x", None),
            ("https://evil.example/calendar/v3/x", None),
            ("//evil.example/calendar/v3/x", None),
            ("\\\\evil.example/calendar/v3/x", None),
            ("javascript:alert(1)", None),
            ("http://169.254.169.254/latest/meta-data", None),
        ] {
            let expected = expected.map(|rest| format!("{PROXY}{rest}"));
            assert_eq!(ways().through_proxy(reference), expected, "{reference}");
        }
    }

    #[test]
    fn links_are_split_outside_quotes_only() {
        let value = r#"<https://a/?x=1,2>; rel="next", <b>;title="a, \"b\", <c>";rel=prev , <d>"#;
        let links = [("https://a/?x=1,2", r#"; rel="next""#), ("b", r#";title="a, \"b\", <c>";rel=prev"#), ("d", "")];
        assert_eq!(split(value).unwrap(), links);
        for broken in ["a", "<a", "<a>; rel=\"x", "<a> x, <b>", "<a>b"] {
            assert_eq!(split(broken), None, "{broken}");
        }
        assert_eq!(split(" , ").unwrap(), []);
    }

    #[test]
    fn what_is_left_out_is_named() {
        let mut from = HeaderMap::new();
        from.append("location", "https://evil.example/".parse().unwrap());
        from.append(
            "link",
            "</calendar/v3/x?page=2>; rel=\"next\", <https://docs.example/>; rel=help".parse().unwrap(),
        );
        from.append("link", "</calendar/v3/x?page=9>; rel=\"last\"".parse().unwrap());
        let mut to = HeaderMap::new();
        ways().returned(&from, &addresses(&Api::new("https://www.googleapis.com/calendar/v3")), &mut to);
        let links = format!("<{PROXY}/x?page=2>; rel=\"next\", <{PROXY}/x?page=9>; rel=\"last\"");
        assert_eq!(to["link"].to_str().unwrap(), links);
        assert_eq!(to["intertie-removed"], "location, link");
        assert!(!to.contains_key("location"));
    }
}
