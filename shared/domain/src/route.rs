//! The HTTP routes, once: which function answers which method on which path.
//!
//! template.yaml declares the same to API Gateway; a test holds the two together. `$default` uses it to tell a path that
//! does not exist from a method that is not allowed.

/// One route of the HTTP API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method, or `ANY`.
    pub method: &'static str,
    /// The path, with `{name}` for a segment and `{name+}` for the rest.
    pub path: &'static str,
    /// The function behind it.
    pub function: &'static str,
}

/// All routes but `$default`.
pub const ROUTES: &[Route] = &[
    route("GET", "/connect/{provider}", "oauth-callback"),
    route("POST", "/connect/{provider}", "oauth-callback"),
    route("GET", "/auth/{provider}/callback", "oauth-callback"),
    route("POST", "/integrations/{provider}/disconnect", "oauth-callback"),
    route("DELETE", "/users/{user_id}", "oauth-callback"),
    route("GET", "/users/{user_id}", "oauth-callback"),
    route("POST", "/webhooks/{provider}", "webhook-ingest"),
    route("POST", "/webhooks/{provider}/{integration_id}", "webhook-ingest"),
    route("GET", "/settings/integrations", "integrations-api"),
    route("GET", "/settings/assets/{file}", "integrations-api"),
    route("GET", "/integrations", "integrations-api"),
    route("GET", "/integrations/{provider}", "integrations-api"),
    route("GET", "/integrations/{provider}/records", "integrations-api"),
    route("POST", "/integrations/{provider}/sync", "integrations-api"),
    route("GET", "/health", "integrations-api"),
    route("GET", "/health/{provider}", "integrations-api"),
    route("GET", "/deliveries", "integrations-api"),
    route("POST", "/session", "integrations-api"),
    route("POST", "/actions/{provider}/{action}", "api-proxy"),
    route("ANY", "/proxy/{provider}/{path+}", "api-proxy"),
];

const fn route(method: &'static str, path: &'static str, function: &'static str) -> Route {
    Route { method, path, function }
}

/// The route of a request; none is for `$default`.
pub fn find(method: &str, path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| (route.method == method || route.method == "ANY") && matches(route.path, path))
}

/// The methods a path takes; empty if there is no such path.
pub fn methods(path: &str) -> Vec<&'static str> {
    ROUTES.iter().filter(|route| matches(route.path, path)).map(|route| route.method).collect()
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
        assert_eq!(methods("/proxy/slack/a/b"), ["ANY"]);
        assert_eq!(find("DELETE", "/proxy/slack/a").unwrap().path, "/proxy/{provider}/{path+}");
        assert_eq!(find("GET", "/integrations/stripe").unwrap().path, "/integrations/{provider}");
        assert_eq!(find("PUT", "/integrations"), None);
        for path in ["/", "", "/webhooks", "/webhooks/", "/webhooks/a/b/c", "/proxy/slack/", "/nope"] {
            assert!(methods(path).is_empty(), "{path}");
        }
    }
}
