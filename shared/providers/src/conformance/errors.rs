//! Every error that a provider documents, and what it must come to: a kind, a sentence, a next step, and when the call
//! goes out again. What is expected stands here word for word, taken from none of the tables under test.

mod google;
mod slack;
mod stripe;
mod tokens;

use domain::{
    Failure,
    call::{Idempotent, retry::FailedCall},
};

use super::*;

/// An answer, and what it must come to. In what is expected `{name}` stands for the provider's name, and `{code}` for
/// its reason.
#[derive(Default)]
struct Row {
    status: u16,
    /// One a line.
    headers: &'static str,
    body: String,
    code: &'static str,
    says: &'static str,
    then: Then,
}

/// What comes of it, besides the sentence.
#[derive(Clone, Copy, Default)]
struct Then {
    kind: &'static str,
    next: &'static str,
    /// Milliseconds until the call goes out again if it is safe to repeat, and if it is not; and until its user may try
    /// again.
    again: [Option<u64>; 3],
    /// Whether a new access token is tried first.
    refresh: bool,
}

const STOP: Then = Then { kind: "", next: "", again: [None; 3], refresh: false };
const SLOW: Then =
    Then { kind: "rate_limited", next: "Wait until then.", again: [Some(500), Some(500), Some(60_000)], ..STOP };
const FOR_AN_HOUR: Then = later(3_600_000, SLOW);
const BUSY: Then =
    Then { kind: "conflict", next: "Wait a moment and try again.", again: [Some(500), Some(500), Some(5_000)], ..STOP };
const DOWN: Then =
    Then { kind: "provider_down", next: "Try again in a few minutes.", again: [Some(500), None, Some(60_000)], ..STOP };
const UNREADABLE: Then = Then { again: [Some(500), None, Some(300_000)], ..DOWN };
const RECONNECT: Then = Then { kind: "reconnect_required", next: "Connect {name} again.", ..STOP };
const REFRESH: Then = Then { refresh: true, ..RECONNECT };
const SCOPE: Then =
    Then { kind: "scope_missing", next: "Connect {name} again and allow everything that is asked for.", ..STOP };
const CONFLICT: Then = Then { kind: "conflict", next: "Check what is there.", ..STOP };
const CHANGE: Then = Then { kind: "provider_rejected", next: "Change that and try again.", ..STOP };
const UNUSABLE: Then = Then { next: "Change the request.", ..CHANGE };
/// Only the operators of the app can change it.
const OPERATORS: Then =
    Then { kind: "internal", next: "Tell the people who run it; nothing is wrong with your account.", ..STOP };
const LOOK: Then = Then { next: "Check the names and ids in the request.", ..CHANGE };
/// We have no words for the reason, so it is named.
const NAMED: Then = Then { next: "Check the request; {name} names the reason {code}.", ..CHANGE };

/// The provider names none.
const UNNAMED: Then = Then { next: "Check the request.", ..CHANGE };
const HTML: &str = "<!DOCTYPE html><html><head><title>503 Backend fetch failed</title></head></html>";

/// What statuses say where the body says nothing, at every provider.
const STATUSES: &[(u16, &str, &str, Then)] = &[
    (300, "", "The answer leads to another address, which is not followed.", UNUSABLE),
    (301, "location: /v2", "The answer leads to another address, which is not followed.", UNUSABLE),
    (302, "location: https://evil.example/", "The answer leads to another address, which is not followed.", UNUSABLE),
    (307, "location: //evil.example/", "The answer leads to another address, which is not followed.", UNUSABLE),
    (308, "location: /elsewhere", "The answer leads to another address, which is not followed.", UNUSABLE),
    (400, "", "{name} did not accept this.", UNNAMED),
    (401, "", "{name} has ended our access.", REFRESH),
    (402, "", "{name} did not accept this.", UNNAMED),
    (404, "", "{name} does not find what was asked for.", LOOK),
    (405, "", "{name} did not accept this.", UNNAMED),
    (408, "", "{name} has trouble answering.", DOWN),
    (409, "", "{name} says that this contradicts something that exists.", CONFLICT),
    (410, "", "What was asked for is gone at {name}.", LOOK),
    (412, "", "{name} says that this contradicts something that exists.", CONFLICT),
    (413, "", "{name} did not accept this.", UNNAMED),
    (422, "", "{name} did not accept this.", UNNAMED),
    (424, "", "{name} has trouble answering.", DOWN),
    (425, "", "{name} has trouble answering.", DOWN),
    (429, "", "{name} asked us to slow down. We continue at 10:01 UTC.", SLOW),
    (429, "retry-after: soon", "{name} asked us to slow down. We continue at 10:01 UTC.", SLOW),
    (429, "retry-after: 0", "{name} asked us to slow down. We continue at 10:00 UTC.", waits(500, 0)),
    (429, "retry-after: 3", "{name} asked us to slow down. We continue at 10:00 UTC.", waits(3_000, 3_000)),
    (429, "retry-after: 90", "{name} asked us to slow down. We continue at 10:01 UTC.", later(90_000, SLOW)),
    (
        429,
        "retry-after: Mon, 23 Nov 2026 10:02:00 GMT",
        "{name} asked us to slow down. We continue at 10:02 UTC.",
        later(120_000, SLOW),
    ),
    (500, "", "{name} has trouble answering.", DOWN),
    (501, "", "{name} has trouble answering.", DOWN),
    (502, "", "{name} has trouble answering.", DOWN),
    (503, "", "{name} has trouble answering.", DOWN),
    (503, "retry-after: 120", "{name} has trouble answering.", later(120_000, DOWN)),
    (504, "", "{name} has trouble answering.", DOWN),
    (529, "", "{name} has trouble answering.", DOWN),
];

/// Too many calls, and a wait that is short enough to be kept.
const fn waits(pause: u64, until: u64) -> Then {
    Then { again: [Some(pause), Some(pause), Some(until)], ..SLOW }
}

/// A wait that is too long for an invocation, so that it is the caller's.
const fn later(until: u64, then: Then) -> Then {
    Then { again: [None, None, Some(until)], ..then }
}

type Rows = fn() -> Vec<Row>;

const TABLES: &[(&str, Rows)] = &[
    ("slack", slack::rows),
    ("stripe", stripe::rows),
    ("google-calendar", google::calendar),
    ("gmail", google::gmail),
];

fn statuses() -> impl Iterator<Item = Row> {
    let row = |body: &str, (status, headers, says, then): &(u16, &'static str, &'static str, Then)| Row {
        status: *status,
        headers,
        body: body.to_owned(),
        code: "",
        says,
        then: *then,
    };
    ["", HTML].into_iter().flat_map(move |body| STATUSES.iter().map(move |it| row(body, it)))
}

/// All rows of each provider.
fn all() -> impl Iterator<Item = (&'static Spec, Row)> {
    REGISTRY.iter().map(Provider::spec).flat_map(|spec| {
        let own = TABLES.iter().filter(|(id, _)| spec.id == *id).flat_map(|(_, rows)| rows());
        statuses().chain(own).map(move |row| (spec, row))
    })
}

impl Row {
    fn reply(&self) -> Reply {
        let mut reply = Reply { status: self.status, body: self.body.clone().into(), ..Reply::default() };
        for (name, value) in self.headers.lines().map(|line| line.split_once(": ").unwrap()) {
            reply.headers.insert(name, value.parse().unwrap());
        }
        reply
    }

    fn failure(&self, spec: &Spec) -> Failure {
        let meaning = spec.api.meaning(&self.reply(), NOW);
        meaning.expect_err(&format!("{} takes {} {} for a success", spec.id, self.status, self.body))
    }

    fn codes(&self, spec: &Spec) -> Vec<String> {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        spec.api.codes.iter().filter_map(|pointer| body.pointer(pointer)?.as_str().map(str::to_owned)).collect()
    }
}

#[test]
fn every_error_becomes_its_kind_its_sentence_its_next_step_and_its_retry() {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap();
    for (spec, row) in all() {
        let (reply, failure) = (row.reply(), row.failure(spec));
        let retry_hint = spec.api.retry_hint(&reply);
        let again =
            |repeat| FailedCall { number: 1, failure: &failure, retry_hint, idempotent: repeat }.next(1.0).map(millis);
        let problem = failure.problem(spec.name, NOW);
        let until = problem.retry_at.map(|at| millis(at.duration_since(NOW).unsigned_abs()));
        let fill = |text: &str| text.replace("{name}", spec.name).replace("{code}", row.code);
        assert_eq!(
            (problem.kind.name(), problem.message, problem.next_action),
            (row.then.kind, fill(row.says).into(), fill(row.then.next).into()),
            "{} {} {} {}",
            spec.id,
            row.status,
            row.headers,
            row.body
        );
        assert_eq!(
            ([again(Idempotent::Yes), again(Idempotent::No), until], failure == Failure::TokenRefused),
            (row.then.again, row.then.refresh),
            "{} {} {} {}",
            spec.id,
            row.status,
            row.headers,
            row.body
        );
    }
}

#[test]
fn every_code_that_a_provider_lists_has_a_row_that_it_decides() {
    for spec in REGISTRY.iter().map(Provider::spec) {
        let listed = |code: &String| spec.api.classes.iter().any(|(known, _)| known == code);
        let rows = all().filter(|(other, _)| other.id == spec.id);
        let decided: HashSet<_> = rows.filter_map(|(_, row)| row.codes(spec).into_iter().find(listed)).collect();
        for (code, _) in spec.api.classes {
            assert!(decided.contains(*code), "{}: {code} has no row in conformance/errors/", spec.id);
        }
    }
}

#[test]
fn no_sentence_shows_a_status_or_the_providers_jargon() {
    let is_status = |digits: &str| digits.len() == 3 && digits.parse().is_ok_and(|n: u16| (100..600).contains(&n));
    for (spec, row) in all() {
        let failure = row.failure(spec);
        let problem = failure.problem(spec.name, NOW);
        let named = matches!(failure, Failure::Rejected { words: None, .. });
        let code = if let Failure::Rejected { code, .. } | Failure::AppRefused { code } = &failure { code } else { "" };
        // Operators always read the reason, and others where there are no words for it.
        let operator = failure.operator(spec.name).replacen(code, "", 1);
        let next = problem.next_action.replacen(code, "", usize::from(named));
        for text in [&*problem.message, &next, &operator] {
            assert!(text.ends_with('.') && !text.contains('_'), "{}: {text}", spec.id);
            assert!(!text.split(|c: char| !c.is_ascii_digit()).any(is_status), "{}: {text}", spec.id);
        }
        for code in row.codes(spec) {
            assert!(!problem.message.contains(&code) && !next.contains(&code), "{}: {code} shows", spec.id);
        }
    }
}

#[test]
fn what_did_not_change_is_no_failure() {
    for spec in REGISTRY.iter().map(Provider::spec) {
        assert_eq!(spec.api.meaning(&Reply { status: 304, ..Reply::default() }, NOW), Ok(()), "{}", spec.id);
    }
}

#[test]
fn a_page_of_some_proxy_is_never_taken_for_an_answer() {
    for provider in REGISTRY.iter() {
        let spec = provider.spec();
        for answer in ["", HTML].map(reply) {
            if spec.api.meaning(&answer, NOW) == Err(Failure::Unreadable) {
                continue;
            }
            for stream in spec.streams {
                let first = provider.begin(stream.name, None, NOW).unwrap();
                assert!(provider.page(stream.name, &first, &answer, NOW).is_err(), "{} {}", spec.id, stream.name);
            }
            for action in spec.actions {
                let step = provider.action_step(action, &json!({}), &mut Value::Null, &answer);
                assert!(step.is_err(), "{} {action}", spec.id);
            }
        }
    }
}
