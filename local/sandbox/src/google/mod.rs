//! Google: accounts, and the APIs of Calendar and Gmail.

mod auth;
mod calendar;
mod caller;
mod fields;
mod gmail;
mod person;
mod refusal;
mod signer;

use http::{Method, StatusCode};
use hyper::body::Bytes;
use local_base::now;
use serde_json::{Value, json};

pub use self::gmail::push_token;
use self::{
    calendar::Calendar,
    caller::Caller,
    gmail::Gmail,
    person::{ACCOUNTS, Person},
    refusal::Refusal,
    signer::Signer,
};
use crate::{
    app::App,
    call::{Call, Reply},
    consent::Authorizes as _,
    controls::{Control, GRANTS},
    deliver::Outbox,
    emulator::{Emulator, Outcome, Spec, refusal},
    oauth::{Grants, Rules},
    opaque::random,
};

pub(super) const SPEC: Spec = Spec {
    secret: "google",
    providers: &["google-calendar", "gmail"],
    origins: &[
        "https://accounts.google.com",
        "https://oauth2.googleapis.com",
        "https://www.googleapis.com",
        "https://gmail.googleapis.com",
    ],
    settings: &[
        ("pubsub_topic", "projects/local/topics/gmail"),
        ("push_service_account", "push@local.iam.gserviceaccount.com"),
        ("push_audience", "https://intertie.local/webhooks/gmail"),
    ],
    start: |app, outbox| Ok(Box::new(Google::new(app, outbox)?)),
};

/// Seconds that a watch lives, by Calendar's and by Gmail's documentation.
const WATCH_LIFE: i64 = 604_800;

/// The control of both services' watches: `POST watches/life` `{"seconds"?}`, how long new ones live.
const CONTROLS: &[Control] = &[Control("POST", "watches/life", &[&["seconds"]])];

struct Google {
    app: App,
    grants: Grants,
    signer: Signer,
    people: Vec<Person>,
    calendar: Calendar,
    gmail: Gmail,
}

/// Refresh tokens stay as they are, and live until revoked.
const RULES: Rules = Rules {
    code: || format!("4/0A{}", random(62)),
    access: |_| format!("ya29.a0{}", random(64)),
    refresh: || format!("1//0{}", random(60)),
    life: 3599,
    single_use: false,
};

impl Google {
    /// An error says that the signing key is none.
    fn new(app: App, outbox: Outbox) -> Result<Self, std::io::Error> {
        let signer = Signer::new()?;
        let gmail = Gmail::new(signer.clone(), &app, outbox.clone());
        Ok(Self {
            app,
            grants: Grants::new(RULES),
            signer,
            people: person::people(),
            calendar: Calendar::new(outbox),
            gmail,
        })
    }

    /// Changes an account, here and where its address shows.
    fn change(&mut self, order: &Value) -> Outcome {
        let account = order["account"].as_str().unwrap_or(ACCOUNTS[0]);
        let Some(person) = self.people.iter_mut().find(|person| person.account == account) else {
            return Outcome::Done(refusal(StatusCode::NOT_FOUND, "there is no such account"));
        };
        match person.change(order) {
            Ok(done) => {
                self.gmail.rename(&person.account, &person.address);
                done.into()
            }
            Err((status, words)) => Outcome::Done(refusal(status, &words)),
        }
    }

    /// Fills a mailbox with messages that are made on demand.
    fn fill(&mut self, order: &Value) -> Outcome {
        let account = order["account"].as_str().unwrap_or(ACCOUNTS[0]);
        let number = |name: &str| order[name].as_u64().and_then(|number| u32::try_from(number).ok());
        let Some(messages) = number("messages").filter(|_| account.contains('@')) else {
            let words = "\"messages\" must be a number, and \"account\" a mail address";
            return Outcome::Done(refusal(StatusCode::UNPROCESSABLE_ENTITY, words));
        };
        if !self.people.iter().any(|person| person.account == account) {
            self.people.push(Person::with_mail(account, self.people.len() + 1));
        }
        self.gmail.fill(account, number("seed").unwrap_or_default(), messages);
        json!({ "account": account, "messages": messages }).into()
    }

    fn api(&mut self, call: &Call) -> Result<Reply, Refusal> {
        let segments = call.segments();
        let path: Vec<_> = segments.iter().map(String::as_str).collect();
        let caller = call.bearer().and_then(|token| self.grants.check(token, now()).ok());
        let caller = caller.map(|grant| Caller { account: grant.account.clone(), scopes: grant.scopes.clone() });
        let caller = caller.ok_or_else(|| {
            let words = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                         other valid authentication credential. See \
                         https://developers.google.com/identity/sign-in/web/devconsole-project.";
            Refusal { status: StatusCode::UNAUTHORIZED, reason: "authError", message: words.to_owned() }
        })?;
        let person =
            self.people.iter().find(|person| person.account == caller.account).ok_or_else(Refusal::not_found)?;
        let own = |user: &str| user == "me" || user == person.address;
        match path.as_slice() {
            ["calendar", "v3", path @ ..] => {
                person.has("calendar")?;
                self.calendar.answer(&caller, path, call)
            }
            ["gmail", "v1", "users", user, path @ ..] if own(user) => {
                person.has("gmail")?;
                self.gmail.answer(&caller, path, call)
            }
            ["upload", "gmail", "v1", "users", user, path @ ..] if own(user) => {
                person.has("gmail")?;
                self.gmail.upload(&caller, path, call)
            }
            ["gmail", "v1", "users", ..] | ["upload", "gmail", "v1", "users", ..] => {
                let message = "Delegation denied for the authenticated user".to_owned();
                Err(Refusal { status: StatusCode::FORBIDDEN, reason: "forbidden", message })
            }
            _ => Err(Refusal::not_found()),
        }
    }
}

/// The call that `X-HTTP-Method-Override` makes of a POST. A form of a GET is its query:
/// <https://github.com/googleapis/google-api-python-client> sends long ones so, read 2026-11.
fn overridden(call: &Call) -> Option<Call> {
    let named = call.header("x-http-method-override").filter(|_| call.method == Method::POST)?;
    let method = Method::from_bytes(named.to_ascii_uppercase().as_bytes()).ok()?;
    let form = call.form().filter(|_| method == Method::GET);
    let body = if form.is_some() { Bytes::new() } else { call.body.clone() };
    let query = form.unwrap_or_else(|| call.query.clone());
    Some(Call { method, query, body, path: call.path.clone(), headers: call.headers.clone() })
}

impl Emulator for Google {
    fn answer(&mut self, call: &Call) -> Reply {
        let overridden = overridden(call);
        let call = overridden.as_ref().unwrap_or(call);
        match (call.method.as_str(), call.path.as_str()) {
            ("GET", "/o/oauth2/v2/auth") => self.ask(call),
            ("POST", "/o/oauth2/v2/auth") => self.decide(call),
            ("POST", "/token") => self.token(call),
            ("POST", "/revoke") => self.revoke(call),
            ("GET", "/oauth2/v3/certs") => {
                Reply::json(StatusCode::OK, &self.signer.keys()).with("cache-control", "public, max-age=20000")
            }
            _ => self.api(call).unwrap_or_else(Reply::from),
        }
    }

    /// Calendar answers 403, the others 429; none says when to come back in a header.
    /// <https://developers.google.com/workspace/calendar/api/guides/errors>
    fn limited(&self, call: &Call, _wait: u64) -> Reply {
        if call.path.starts_with("/calendar/") {
            let message = "Rate Limit Exceeded".to_owned();
            return Refusal { status: StatusCode::FORBIDDEN, reason: "rateLimitExceeded", message }.into();
        }
        let message = "User-rate limit exceeded.".to_owned();
        Refusal { status: StatusCode::TOO_MANY_REQUESTS, reason: "rateLimitExceeded", message }.into()
    }

    fn controls(&self) -> &'static [&'static [Control]] {
        &[GRANTS, CONTROLS, person::CONTROLS, calendar::CONTROLS, gmail::CONTROLS]
    }

    fn administer(&mut self, method: &Method, path: &[&str], body: &Value) -> Option<Outcome> {
        if (method, path) == (&Method::POST, &["account"][..]) {
            return Some(self.change(body));
        }
        if (method, path) == (&Method::POST, &["watches", "life"][..]) {
            let seconds = body["seconds"].as_i64().unwrap_or(WATCH_LIFE);
            self.calendar.watch_life = seconds;
            self.gmail.watch_life = seconds;
            return Some(json!({ "seconds": seconds }).into());
        }
        if (method, path) == (&Method::POST, &["mailbox"][..]) {
            return Some(self.fill(body));
        }
        let tokens = self.grants.administer(method, path, body).map(Outcome::Done);
        tokens.or_else(|| self.calendar.control(method, path, body)).or_else(|| self.gmail.control(method, path, body))
    }
}
