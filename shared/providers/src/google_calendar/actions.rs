//! Google Calendar's action.

use domain::{Problem, Reply, Request, call::Unreadable};
use jiff::Timestamp;
use serde_json::Value;

use super::{SPEC, normalise, pages::List};
use crate::{Fields, Step, action::gather};

/// The most pages that are listed: 5,000 events.
const MAX_PAGES: u64 = 20;
/// The orders that Google knows: <https://developers.google.com/workspace/calendar/api/v3/reference/events/list>, read 2026-11.
const ORDERS: &[&str] = &["startTime", "updated"];

/// The call for the page marked `page` of the events between two times.
pub(super) fn list_events(input: &Value, page: Option<&str>) -> Result<Request, Problem> {
    let mut fields = Fields::of(input);
    let calendar = fields.text("calendar_id");
    let (from, to) = (time(&mut fields, "time_min"), time(&mut fields, "time_max"));
    if let (Some(from), Some(to)) = (from, to)
        && to <= from
    {
        fields.fail("time_max", "This must be later than \"time_min\".");
    }
    let single = fields.optional_flag("single_events").unwrap_or(true);
    let order = fields.optional_text("order_by");
    if order.is_some_and(|order| !ORDERS.contains(&order)) {
        fields.fail("order_by", "This must be startTime or updated.");
    } else if order == Some("startTime") && !single {
        fields.fail("order_by", "By startTime only single events can be ordered.");
    }
    fields.check()?;
    let (from, to) = (from.unwrap_or_default().to_string(), to.unwrap_or_default().to_string());
    let single_events = if single { "true" } else { "false" };
    let query = [("timeMin", from.as_str()), ("timeMax", &to), ("singleEvents", single_events), ("maxResults", "250")];
    let order = order.or(single.then_some("startTime")).map(|order| ("orderBy", order));
    let page = page.map(|page| ("pageToken", page));
    Ok(SPEC.get("/calendars/{id}/events", calendar).query(query).query(order).query(page))
}

pub(super) fn listed(input: &Value, gathered: &mut Value, reply: &Reply) -> Result<Step, Unreadable> {
    let calendar = input.get("calendar_id").and_then(Value::as_str).unwrap_or_default();
    let (items, list) = List::of(reply)?;
    let mut events = Vec::with_capacity(items.len());
    for item in &items {
        let id = normalise::id(item).ok_or(Unreadable("an event without an id"))?;
        let mut event = normalise::fields(calendar, item);
        event.insert("id".to_owned(), id.into());
        events.push(Value::from(event));
    }
    gather(gathered, ("events", events), list.next(), MAX_PAGES, |mark| {
        list_events(input, Some(mark)).map_err(|_| Unreadable("another input than at first"))
    })
}

/// A time with its offset, as RFC 3339 has it.
fn time(fields: &mut Fields<'_>, field: &'static str) -> Option<Timestamp> {
    let text = fields.text(field);
    let time = text.parse().ok();
    if time.is_none() && !text.is_empty() {
        fields.fail(field, "This must be a time such as 2026-11-23T10:00:00Z.");
    }
    time
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(input: &Value) -> Vec<String> {
        list_events(input, None).unwrap_err().fields.into_iter().map(|it| it.field.into_owned()).collect()
    }

    #[test]
    fn events_are_listed_one_by_one_in_order_over_all_pages() {
        let input = json!({"calendar_id": "ada@example.com", "time_min": "2026-11-23T00:00:00+01:00", "time_max": "2026-11-24T00:00:00Z"});
        let first = "https://www.googleapis.com/calendar/v3/calendars/ada%40example.com/events?\
                     timeMin=2026-11-22T23%3A00%3A00Z&timeMax=2026-11-24T00%3A00%3A00Z&singleEvents=true&maxResults=250\
                     &orderBy=startTime";
        assert_eq!(list_events(&input, None).unwrap().url, first);
        let mut gathered = Value::Null;
        let mut step = |body: Value| {
            let reply = Reply { status: 200, body: body.to_string().into(), ..Reply::default() };
            listed(&input, &mut gathered, &reply).unwrap()
        };
        let Step::Call(second) =
            step(json!({"items": [{"id": "e1", "summary": "A", "etag": "x"}], "nextPageToken": "p2"}))
        else {
            panic!("no call")
        };
        assert_eq!(second.url, format!("{first}&pageToken=p2"));
        let Step::Done(result) = step(json!({"items": [{"id": "e2"}]})) else { panic!("not done") };
        let calendar = "ada@example.com";
        assert_eq!(
            result,
            json!({
                "events": [{"id": "e1", "calendar": calendar, "summary": "A"}, {"id": "e2", "calendar": calendar}],
                "complete": true
            })
        );
    }

    #[test]
    fn times_and_order_are_checked_before_google_is_asked() {
        let with = |min: &str, max: &str, single: Value, order: Value| json!({"calendar_id": "c", "time_min": min, "time_max": max, "single_events": single, "order_by": order});
        let (noon, later) = ("2026-11-23T12:00:00Z", "2026-11-23T13:00:00Z");
        assert_eq!(wrong(&json!({})), ["calendar_id", "time_min", "time_max"]);
        assert_eq!(wrong(&with("today", "2026-11-23T12:00:00", Value::Null, Value::Null)), ["time_min", "time_max"]);
        assert_eq!(wrong(&with(later, noon, Value::Null, Value::Null)), ["time_max"]);
        assert_eq!(wrong(&with(noon, later, json!("yes"), json!("summary"))), ["single_events", "order_by"]);
        assert_eq!(wrong(&with(noon, later, json!(false), json!("startTime"))), ["order_by"]);
        let unordered = list_events(&with(noon, later, json!(false), Value::Null), None).unwrap();
        assert!(!unordered.url.contains("orderBy"), "{}", unordered.url);
    }
}
