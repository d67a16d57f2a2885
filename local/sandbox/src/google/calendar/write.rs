//! Events are made, changed and deleted; every change is pushed to the calendar's channels.

use http::StatusCode;
use serde_json::{Value, json};

use super::Calendar;
use crate::{call::Reply, google::refusal::Refusal, opaque::random};

impl Calendar {
    /// `events.insert`. A client may choose the id: then a repetition is refused, not doubled.
    pub(super) fn insert(&mut self, calendar: usize, fields: &Value) -> Result<Reply, Refusal> {
        for (name, words) in [("start", "Missing start time."), ("end", "Missing end time.")] {
            if !(fields[name]["dateTime"].is_string() || fields[name]["date"].is_string()) {
                return Err(Refusal::bad("required", words));
            }
        }
        let id = fields["id"].as_str().map_or_else(|| random(26), str::to_owned);
        let shape = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'v').contains(&byte);
        if !(5..=1024).contains(&id.len()) || !id.bytes().all(shape) {
            return Err(Refusal::bad("invalid", "Invalid resource id value."));
        }
        if self.calendars[calendar].event(&id).is_some() {
            let message = "The requested identifier already exists.".to_owned();
            return Err(Refusal { status: StatusCode::CONFLICT, reason: "duplicate", message });
        }
        Ok(Reply::json(StatusCode::OK, &self.write(calendar, &id, fields, true)))
    }

    /// `events.patch`.
    pub(super) fn patch(&mut self, calendar: usize, id: &str, fields: &Value) -> Result<Reply, Refusal> {
        self.calendars[calendar].event(id).ok_or_else(Refusal::not_found)?;
        Ok(Reply::json(StatusCode::OK, &self.write(calendar, id, fields, true)))
    }

    /// `events.delete`.
    pub(super) fn delete(&mut self, calendar: usize, id: &str) -> Result<Reply, Refusal> {
        let event = self.calendars[calendar].event(id).ok_or_else(Refusal::not_found)?;
        if event.object["status"] == "cancelled" {
            let message = "Resource has been deleted".to_owned();
            return Err(Refusal { status: StatusCode::GONE, reason: "deleted", message });
        }
        self.write(calendar, id, &json!({ "status": "cancelled" }), true);
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    /// Takes a cancelled event out of the trash.
    pub(super) fn restore(&mut self, calendar: usize, id: &str, loud: bool) -> Option<Value> {
        self.changes += 1;
        let event = self.calendars[calendar].restore(id, self.changes)?;
        if loud {
            self.push(calendar);
        }
        Some(event)
    }

    /// `events.move`: the event has the same id in the other calendar, and is cancelled in this one.
    pub(super) fn transfer(&mut self, calendar: usize, id: &str, to: usize, loud: bool) -> Option<Value> {
        let event = self.calendars[calendar].event(id).filter(|event| event.object["status"] != "cancelled")?;
        let mut fields = event.object.clone();
        fields["organizer"] = json!({ "email": self.calendars[to].id, "self": true });
        self.write(calendar, id, &json!({ "status": "cancelled" }), loud);
        Some(self.write(to, id, &fields, loud))
    }

    /// Stores an event's state; `loud` changes are pushed.
    pub(super) fn write(&mut self, calendar: usize, id: &str, fields: &Value, loud: bool) -> Value {
        self.changes += 1;
        let event = self.calendars[calendar].write(id, fields, self.changes);
        if loud {
            self.push(calendar);
        }
        event
    }
}
