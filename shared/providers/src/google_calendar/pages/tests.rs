use super::*;

const AT: Timestamp = Timestamp::constant(1_795_428_000, 0);
const BASE: &str = "https://www.googleapis.com/calendar/v3";

fn turn(position: &Value, body: &Value) -> Result<StreamPage, Unreadable> {
    page(position, &Reply { status: 200, body: body.to_string().into(), ..Reply::default() }, AT)
}

fn next(position: &Value, body: &Value) -> Value {
    let Next::Page(next) = turn(position, body).unwrap().next else { panic!("no page follows") };
    next
}

fn url(position: &Value) -> String {
    request(position).unwrap().url.strip_prefix(BASE).unwrap().to_owned()
}

#[test]
fn a_full_run_reads_all_pages_of_all_calendars_and_keeps_the_token_of_each_last_page() {
    let list = begin(None).unwrap();
    assert_eq!(url(&list), "/users/me/calendarList?maxResults=250&minAccessRole=reader");
    let list = next(&list, &json!({"items": [{"id": "ada@example.com"}], "nextPageToken": "2"}));
    assert_eq!(url(&list), "/users/me/calendarList?maxResults=250&minAccessRole=reader&pageToken=2");
    let holidays = "en.usa#holiday@group.v.calendar.google.com";
    let events = next(&list, &json!({"items": [{"id": holidays}, {"id": "ada@example.com"}], "nextSyncToken": "list"}));
    assert_eq!(url(&events), "/calendars/ada%40example.com/events?maxResults=250");
    let page = turn(&events, &json!({"items": [{"id": "e1"}], "nextPageToken": "p2"})).unwrap();
    assert_eq!(page.changes[0].key().id(), "ada@example.com/e1");
    let Next::Page(events) = page.next else { panic!("more to come") };
    assert_eq!(url(&events), "/calendars/ada%40example.com/events?maxResults=250&pageToken=p2");
    let events = next(&events, &json!({"items": [], "nextSyncToken": "t1"}));
    assert_eq!(url(&events), "/calendars/en.usa%23holiday%40group.v.calendar.google.com/events?maxResults=250");
    let page = turn(&events, &json!({"items": [], "nextSyncToken": "t2"})).unwrap();
    let cursor = json!({"calendars": {"ada@example.com": "t1", holidays: "t2"}});
    assert_eq!(watched(&cursor), ["ada@example.com", holidays]);
    assert_eq!(page.next, Next::Done(cursor));
}

#[test]
fn an_incremental_run_sends_each_token_on_every_page_and_reads_new_calendars_in_full() {
    let list = begin(Some(&json!({"calendars": {"a": "t1", "gone": "t0"}}))).unwrap();
    let events = next(&list, &json!({"items": [{"id": "a"}, {"id": "new"}]}));
    assert_eq!(url(&events), "/calendars/a/events?maxResults=250&syncToken=t1");
    let events = next(&events, &json!({"items": [], "nextPageToken": "p2"}));
    assert_eq!(url(&events), "/calendars/a/events?maxResults=250&syncToken=t1&pageToken=p2");
    let page = turn(&events, &json!({"items": [{"id": "e1", "status": "cancelled"}], "nextSyncToken": "t2"})).unwrap();
    assert!(page.changes[0].is_deleted());
    let Next::Page(events) = page.next else { panic!("more to come") };
    assert_eq!(url(&events), "/calendars/new/events?maxResults=250");
    let page = turn(&events, &json!({"items": [], "nextSyncToken": "n1"})).unwrap();
    assert_eq!(page.next, Next::Done(json!({"calendars": {"a": "t2", "new": "n1"}})));
}

#[test]
fn a_calendar_that_cannot_be_read_keeps_its_token_and_one_that_is_gone_does_not() {
    let list = begin(Some(&json!({"calendars": {"closed": "t0", "open": "t1"}}))).unwrap();
    assert_eq!(about(&list), About::NOTHING);
    let items = json!([{"id": "closed", "summary": "Team"}, {"id": "open", "summary": "x", "summaryOverride": "Mine"}]);
    let events = next(&list, &json!({ "items": items }));
    let About { carries: Carries::MembersCursor(afresh), member: Some(member) } = about(&events) else {
        panic!("{:?}", about(&events))
    };
    assert_eq!((member.name.as_str(), &member.extent), ("Team", &Extent::Under("closed/".into())));
    assert_eq!(url(&afresh), "/calendars/closed/events?maxResults=250", "the same call without the token");
    assert_eq!(about(&afresh).carries, Carries::Nothing, "that is tried once");
    let (Next::Page(passed), Next::Page(gone)) = (member.passed, member.gone) else { panic!("more to come") };
    for (events, cursor) in [(passed, json!({"closed": "t0", "open": "t2"})), (gone, json!({"open": "t2"}))] {
        assert_eq!(url(&events), "/calendars/open/events?maxResults=250&syncToken=t1");
        assert_eq!(about(&events).member.unwrap().name, "Mine");
        let page = turn(&events, &json!({"items": [], "nextSyncToken": "t2"})).unwrap();
        assert_eq!((page.next, page.whole), (Next::Done(json!({ "calendars": cursor })), None));
    }
}

#[test]
fn a_calendar_that_is_read_from_its_beginning_is_whole_since_its_first_page() {
    let list = begin(Some(&json!({"calendars": {}}))).unwrap();
    let events = next(&list, &json!({"items": [{"id": "new"}]}));
    let second = next(&events, &json!({"items": [{"id": "e1"}], "nextPageToken": "p2"}));
    let later = AT + std::time::Duration::from_secs(9);
    let reply = Reply { status: 200, body: br#"{"items":[],"nextSyncToken":"t"}"#.to_vec(), ..Reply::default() };
    let last = page(&second, &reply, later).unwrap();
    assert_eq!(last.whole, Some(Whole { extent: Extent::Under("new/".into()), since: AT }));
    let Carries::MembersCursor(afresh) = about(&second).carries else { panic!("a page's mark may be refused") };
    assert_eq!(url(&afresh), "/calendars/new/events?maxResults=250");
    // From its beginning once more: then a mark that is refused is no calendar that is gone.
    let second = next(&afresh, &json!({"items": [{"id": "e1"}], "nextPageToken": "p2"}));
    assert_eq!(about(&second).carries, Carries::MembersPage);
}

#[test]
fn a_full_run_sends_no_token_and_keeps_those_of_calendars_that_cannot_be_read() {
    let list = restart(Some(&json!({"calendars": {"a": "t0"}})));
    let events = next(&list, &json!({"items": [{"id": "a"}]}));
    assert_eq!(url(&events), "/calendars/a/events?maxResults=250");
    let About { carries: Carries::Nothing, member: Some(member) } = about(&events) else { panic!("no member") };
    assert_eq!(member.passed, Next::Done(json!({"calendars": {"a": "t0"}})));
}

#[test]
fn the_largest_state_of_a_stream_fits_into_an_item() {
    let at = |number: usize| format!("{number:090}");
    let tokens = |all: std::ops::Range<usize>| all.map(|it| (at(it), "t".repeat(150))).collect::<Tokens>();
    let wide = |length: usize| "\u{1f4c5}".repeat(length);
    let left = |all: std::ops::Range<usize>| all.map(|it| CalendarsLeft { id: at(it), name: wide(MAX_NAME) }).collect();
    let member = |number: usize| {
        json!({
            "extent": { "one": format!("{number:0>1024}") }, "kind": "calendar", "name": wide(MAX_NAME), "reason": "provider_conflict",
            "run": AT, "backoff": { "since": AT, "failures": 1_000_000, "next_try": AT },
        })
    };
    let members: Vec<_> = (0..domain::sync::stream::MAX_PASSED).map(member).collect();
    let again: Vec<_> = (0..25).map(|number| format!("{number:0>1024}")).collect();
    for done in [0, MAX_CALENDARS / 2, MAX_CALENDARS] {
        let position = Position {
            known: tokens(0..MAX_CALENDARS),
            reached: tokens(0..done),
            left: left(done..MAX_CALENDARS),
            page: Some("p".repeat(300)),
            ..Position::default()
        };
        let mut run = domain::sync::stream::Run::new(domain::sync::SyncJob::Full, true, AT, json!(position));
        run.again = again.clone();
        let state = domain::sync::stream::StreamState {
            cursor: Some(json!({ "calendars": tokens(0..MAX_CALENDARS) })),
            run: Some(run),
            passed: serde_json::from_value(json!({ "members": members, "beyond": 9 })).unwrap(),
            ..domain::sync::stream::StreamState::default()
        };
        let size = json!(state).to_string().len();
        // Beside it: the key, the fence and times.
        assert!(size < 400 * 1024 - 4096, "{done} of {MAX_CALENDARS} are read: {size} bytes");
    }
}

#[test]
fn loops_and_answers_without_a_list_end_the_run() {
    let list = next(&begin(None).unwrap(), &json!({"items": [], "nextPageToken": "2"}));
    assert!(turn(&list, &json!({"items": [], "nextPageToken": "2"})).is_err());
    assert!(turn(&list, &json!({})).is_err());
    assert!(turn(&list, &json!({"items": [{"summary": "no id"}]})).is_err());
    let empty = turn(&list, &json!({"nextSyncToken": "x"})).unwrap();
    assert_eq!(empty.next, Next::Done(json!({"calendars": {}})));
}

#[test]
fn a_malformed_cursor_asks_for_a_full_run_and_a_gone_token_is_reported_as_gone() {
    for cursor in [json!(null), json!([]), json!({"calendars": {"a": 1}}), json!({})] {
        assert!(begin(Some(&cursor)).is_none(), "{cursor}");
        assert!(watched(&cursor).is_empty());
    }
    let body = r#"{"error":{"errors":[{"domain":"calendar","reason":"fullSyncRequired"}],"code":410,"message":"x"}}"#;
    let reply = Reply { status: 410, body: body.into(), ..Reply::default() };
    assert_eq!(SPEC.api.meaning(&reply, AT), Err(domain::Failure::Gone));
}
