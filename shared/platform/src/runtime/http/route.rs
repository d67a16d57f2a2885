//! The HTTP routes, once: which function answers which method on which path, and which names a caller may use there.
//!
//! template.yaml declares the same paths to API Gateway; a test holds the two together. `$default` uses the table to tell a
//! path that does not exist from a method that is not allowed.
//! *Invariant:* a name that is not declared here is refused, so a misspelt parameter or field never passes for success.

/// One route of the HTTP API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method, or `ANY`: one of [`ANY`].
    pub method: &'static str,
    /// The path, with `{name}` for a segment and `{name+}` for the rest.
    pub path: &'static str,
    /// The function behind it.
    pub function: &'static str,
    /// The parameters of its query.
    pub query: Names,
    /// The fields of its body.
    pub body: Names,
}

/// The names that may stand in one part of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// These, each at most once; any other is refused by name.
    Only(&'static [&'static str]),
    /// The provider's action knows them, and refuses others by name.
    OfAction,
    /// Any: this part is not a caller's input to the API. An unknown name changes nothing.
    Any(Exempt),
}

/// Why unknown names are not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exempt {
    /// An authorization response: unrecognised parameters must be ignored (RFC 6749 §4.1.2). Google sends `scope`, `authuser`
    /// and `prompt`.
    Authorization,
    /// A delivery in the provider's format. Its signature decides, and the provider adds fields at any time.
    Delivery,
    /// The proxy passes it on to the provider as it is.
    PassedOn,
    /// A page for people. Links to it gather parameters on their way, such as `utm_source`.
    Page,
}

/// The methods of a route that takes any: those of the providers' APIs (RFC 9110 §9.3, RFC 5789). Not TRACE, whose answer repeats the
/// request with the token that was added to it, nor CONNECT.
pub const ANY: [&str; 6] = ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"];
/// No names at all.
const NONE: Names = Names::Only(&[]);
/// Which of several accounts of a provider is meant.
const ACCOUNT: &str = "account";
/// What the forms of the status page carry, so that no other page can send them.
pub const CSRF: &str = "csrf";

/// All routes but `$default`.
pub const ROUTES: &[Route] = &[
    route("GET", "/connect/{provider}", "oauth-callback", Names::Only(&[ACCOUNT, "return_to", "scopes"]), NONE),
    route(
        "POST",
        "/connect/{provider}",
        "oauth-callback",
        NONE,
        Names::Only(&["api_key", "api_secret", "webhook_secret", CSRF]),
    ),
    exempt("GET", "/auth/{provider}/callback", "oauth-callback", Exempt::Authorization),
    route(
        "POST",
        "/integrations/{provider}/disconnect",
        "oauth-callback",
        Names::Only(&[ACCOUNT, "keep_records"]),
        Names::Only(&[ACCOUNT, "keep_records", CSRF]),
    ),
    route("DELETE", "/users/{user_id}", "oauth-callback", NONE, NONE),
    route("GET", "/users/{user_id}", "oauth-callback", NONE, NONE),
    exempt("POST", "/webhooks/{provider}", "webhook-ingest", Exempt::Delivery),
    exempt("POST", "/webhooks/{provider}/{integration_id}", "webhook-ingest", Exempt::Delivery),
    exempt("GET", "/settings/integrations", "integrations-api", Exempt::Page),
    exempt("GET", "/settings/assets/{file}", "integrations-api", Exempt::Page),
    route("GET", "/integrations", "integrations-api", NONE, NONE),
    route("GET", "/integrations/{provider}", "integrations-api", Names::Only(&[ACCOUNT]), NONE),
    route(
        "GET",
        "/integrations/{provider}/records",
        "integrations-api",
        Names::Only(&[ACCOUNT, "stream", "after", "limit", "include_deleted"]),
        NONE,
    ),
    route("GET", "/changes", "integrations-api", Names::Only(&["after", "limit", "provider", "stream"]), NONE),
    route(
        "POST",
        "/integrations/{provider}/sync",
        "integrations-api",
        Names::Only(&[ACCOUNT]),
        Names::Only(&[ACCOUNT, "type", CSRF]),
    ),
    route("GET", "/livez", "integrations-api", NONE, NONE),
    route("GET", "/openapi.json", "integrations-api", NONE, NONE),
    route("GET", "/providers", "integrations-api", NONE, NONE),
    route("GET", "/health", "integrations-api", NONE, NONE),
    route("GET", "/health/{provider}", "integrations-api", NONE, NONE),
    route(
        "GET",
        "/deliveries",
        "operator-api",
        Names::Only(&["provider", "state", "since", "until", "after", "limit"]),
        NONE,
    ),
    route("GET", "/deliveries/{id}", "operator-api", NONE, NONE),
    route("POST", "/deliveries/{id}/replay", "operator-api", NONE, NONE),
    route(
        "POST",
        "/deliveries/replay",
        "operator-api",
        NONE,
        Names::Only(&["state", "provider", "since", "until", "after"]),
    ),
    route("POST", "/session", "integrations-api", NONE, Names::Only(&["code", "token", "return_to"])),
    route("POST", "/session/code", "integrations-api", NONE, Names::Only(&["origin"])),
    route("POST", "/session/end", "integrations-api", NONE, Names::Only(&[CSRF])),
    route("POST", "/actions/{provider}/{action}", "api-proxy", Names::Only(&[ACCOUNT]), Names::OfAction),
    exempt("ANY", "/proxy/{provider}/{proxy+}", "api-proxy", Exempt::PassedOn),
    route("POST", "/tokens/{provider}", "api-proxy", NONE, Names::Only(&[ACCOUNT, "minimum_seconds"])),
];

impl Route {
    /// The methods that it takes.
    pub fn methods(&self) -> &[&'static str] {
        if self.method == "ANY" { &ANY } else { std::slice::from_ref(&self.method) }
    }
}

const fn route(method: &'static str, path: &'static str, function: &'static str, query: Names, body: Names) -> Route {
    Route { method, path, function, query, body }
}

const fn exempt(method: &'static str, path: &'static str, function: &'static str, why: Exempt) -> Route {
    route(method, path, function, Names::Any(why), Names::Any(why))
}

/// The route of a request; none is for `$default`.
pub fn find(method: &str, path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.methods().contains(&method) && matches(route.path, path))
}

/// The methods a path takes; empty if there is no such path.
pub fn methods(path: &str) -> Vec<&'static str> {
    ROUTES.iter().filter(|route| matches(route.path, path)).flat_map(Route::methods).copied().collect()
}

fn matches(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some(rest), Some(segment)) if rest.ends_with("+}") => return !segment.is_empty(),
            (Some(name), Some(segment)) if name.starts_with('{') && !segment.is_empty() => {}
            (Some(literal), Some(segment)) if literal == segment => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_by_its_methods() {
        assert_eq!(methods("/webhooks/stripe"), ["POST"]);
        assert_eq!(methods("/connect/slack"), ["GET", "POST"]);
        assert_eq!(methods("/proxy/slack/a/b"), ANY);
        assert_eq!(find("DELETE", "/proxy/slack/a").unwrap().path, "/proxy/{provider}/{proxy+}");
        assert_eq!(find("GET", "/integrations/stripe").unwrap().path, "/integrations/{provider}");
        assert_eq!(find("PUT", "/integrations"), None);
        assert_eq!(find("TRACE", "/proxy/slack/a"), None);
        for path in ["/", "", "/webhooks", "/webhooks/", "/webhooks/a/b/c", "/proxy/slack/", "/nope"] {
            assert!(methods(path).is_empty(), "{path}");
        }
    }
}
