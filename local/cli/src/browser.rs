//! A minimal browser: cookies per host, forms, and redirects one at a time.

use std::{collections::BTreeMap, sync::Mutex};

use http::{HeaderMap, Method, Uri, header};
use local_base::{lock, terminal::Failed, web::Web};

#[derive(Default)]
pub struct Browser {
    web: Web,
    /// Name and value, by host.
    cookies: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
}

/// The answer of a page.
pub struct BrowserPage {
    pub status: u16,
    /// The absolute address of a redirect.
    pub location: Option<String>,
    pub headers: HeaderMap,
    pub body: String,
}

impl Browser {
    /// A browser without cookies.
    pub fn new() -> Self {
        Self { web: Web::new(), cookies: Mutex::default() }
    }

    /// Follows a link.
    pub async fn get(&self, url: &str) -> Result<BrowserPage, Failed> {
        self.send(Method::GET, url, &[], String::new()).await
    }

    /// Sends a form of a page of the same host.
    pub async fn post(&self, url: &str, fields: &[(String, String)]) -> Result<BrowserPage, Failed> {
        let origin = origin(url)?;
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin.as_str())];
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(Method::POST, url, &headers, body).await
    }

    /// Sends a request with these headers besides its cookies.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<BrowserPage, Failed> {
        let host = origin(url)?;
        let cookies = lock(&self.cookies).get(&host).cloned().unwrap_or_default();
        let cookies: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut all = vec![("accept", "text/html")];
        all.extend((!cookies.is_empty()).then_some(("cookie", cookies.as_str())));
        all.extend(headers);
        let response = self.web.call(method, url, &all, body).await.map_err(Failed::from)?;
        let set = response.headers().get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        for cookie in set {
            let pair = cookie.split(';').next().and_then(|pair| pair.split_once('='));
            let Some((name, value)) = pair else { continue };
            let mut cookies = lock(&self.cookies);
            let jar = cookies.entry(host.clone()).or_default();
            if cookie.contains("; Max-Age=0;") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let location = location.map(|to| if to.starts_with('/') { format!("{host}{to}") } else { to.to_owned() });
        Ok(BrowserPage {
            status: response.status().as_u16(),
            location,
            headers: response.headers().clone(),
            body: String::from_utf8_lossy(response.body()).into_owned(),
        })
    }
}

/// The fields of a URL's query.
pub fn query(url: &str) -> Vec<(String, String)> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn origin(url: &str) -> Result<String, Failed> {
    let parsed: Uri = url.parse().map_err(Failed::from)?;
    let (scheme, host) = (parsed.scheme_str(), parsed.authority());
    let (Some(scheme), Some(host)) = (scheme, host) else { return Err(Failed(format!("{url} is no address"))) };
    Ok(format!("{scheme}://{host}"))
}
