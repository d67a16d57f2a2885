use super::*;

const AT: Timestamp = Timestamp::constant(1_795_428_000, 0);
const BASE: &str = "https://gmail.googleapis.com/gmail/v1";

fn turn(position: &Value, body: &Value) -> Result<StreamPage, Unreadable> {
    page(position, &Reply { status: 200, body: body.to_string().into(), ..Reply::default() }, AT)
}

fn url(position: &Value) -> String {
    request(position).unwrap().url.strip_prefix(BASE).unwrap().to_owned()
}

fn named(details: &[(Request, Change)]) -> Vec<&str> {
    details.iter().map(|(_, gone)| gone.key().id()).collect()
}

#[test]
fn a_full_run_takes_its_place_in_the_history_before_it_lists_messages() {
    let start = begin(None).unwrap();
    assert_eq!(url(&start), "/users/me/profile");
    let Next::Page(list) = turn(&start, &json!({"emailAddress": "a@b.c", "historyId": "100"})).unwrap().next else {
        panic!("no page follows")
    };
    assert_eq!(url(&list), "/users/me/messages?maxResults=500");
    let body = json!({"messages": [{"id": "m1", "threadId": "t"}], "nextPageToken": "p2", "resultSizeEstimate": 2});
    let page = turn(&list, &body).unwrap();
    assert_eq!((page.changes.len(), named(&page.details)), (0, vec!["m1"]));
    let Next::Page(list) = page.next else { panic!("no page follows") };
    assert_eq!(url(&list), "/users/me/messages?maxResults=500&pageToken=p2");
    let page = turn(&list, &json!({"resultSizeEstimate": 0})).unwrap();
    assert_eq!(page.next, Next::Done(json!({"history_id": "100"})));
}

#[test]
fn an_incremental_run_asks_for_each_message_once_and_for_none_that_is_deleted() {
    let start = begin(Some(&json!({"history_id": "100"}))).unwrap();
    let first = "/users/me/history?startHistoryId=100&historyTypes=messageAdded&historyTypes=messageDeleted\
                 &historyTypes=labelAdded&historyTypes=labelRemoved&maxResults=500";
    assert_eq!(url(&start), first);
    let about = |id: &str| json!([{"message": {"id": id, "threadId": "t"}, "labelIds": ["UNREAD"]}]);
    let body = json!({
        "history": [
            {"id": "101", "messages": [{"id": "m1"}], "messagesAdded": about("m1")},
            {"id": "102", "messagesAdded": about("m2")},
            {"id": "103", "labelsRemoved": about("m1")},
            {"id": "104", "messagesDeleted": about("m2")},
            {"id": "105", "labelsAdded": about("m3")}
        ],
        "nextPageToken": "p2", "historyId": "110"
    });
    let page = turn(&start, &body).unwrap();
    assert_eq!(named(&page.details), ["m1", "m3"]);
    assert_eq!(page.changes, [normalise::tombstone(normalise::key("m2").unwrap(), AT)]);
    let Next::Page(second) = page.next else { panic!("no page follows") };
    assert_eq!(url(&second), format!("{first}&pageToken=p2"));
    let page = turn(&second, &json!({"historyId": "120"})).unwrap();
    assert_eq!(page.next, Next::Done(json!({"history_id": "110"})), "what came between the pages is read again");
}

#[test]
fn a_place_in_the_history_of_64_bits_is_handed_on_as_it_is() {
    let [before, since] = ["18446744073709551614", "18446744073709551615"];
    let list = json!({"history_id": before});
    let Next::Done(cursor) = turn(&list, &json!({"messages": [{"id": "m1"}], "resultSizeEstimate": 1})).unwrap().next
    else {
        panic!("a page follows")
    };
    assert_eq!(cursor, list);
    let start = begin(Some(&cursor)).unwrap();
    assert!(url(&start).starts_with("/users/me/history?startHistoryId=18446744073709551614&"));
    let deleted = json!({"id": since, "messagesDeleted": [{"message": {"id": "m1"}}]});
    let page = turn(&start, &json!({"history": [deleted], "historyId": since})).unwrap();
    assert_eq!(page.next, Next::Done(json!({"history_id": since})));
}

#[test]
fn a_history_carries_its_place_and_the_beginning_of_a_full_run_carries_nothing() {
    assert_eq!(about(&begin(Some(&json!({"history_id": "100"}))).unwrap()), About::list(true));
    assert_eq!(about(&begin(None).unwrap()), About::NOTHING);
    assert_eq!(about(&json!({"history_id": "100"})), About::NOTHING);
}

#[test]
fn malformed_cursors_ask_for_a_full_run() {
    for cursor in
        [json!(null), json!({}), json!({"history_id": 100}), json!({"history_id": "x"}), json!({"history_id": "-1"})]
    {
        assert!(begin(Some(&cursor)).is_none(), "{cursor}");
    }
}

#[test]
fn loops_and_answers_that_are_not_documented_end_the_run() {
    let list = json!({"history_id": "100", "page": "p"});
    assert!(turn(&list, &json!({"messages": [], "nextPageToken": "p"})).is_err());
    assert!(turn(&list, &json!({})).is_err());
    assert!(turn(&list, &json!({"messages": [{"id": "a/b"}]})).is_err());
    let history = json!({"since": "100"});
    assert!(turn(&history, &json!({})).is_err());
    assert!(turn(&history, &json!({"historyId": "101", "history": [{"messagesAdded": [{}]}]})).is_err());
    assert!(turn(&Value::Null, &json!({"historyId": "1".repeat(65)})).is_err());
}
