//! Faults on the way from a function to AWS: at the k-th call, something goes wrong.

use std::sync::Mutex;

use local_base::lock;
use serde::{Deserialize, Serialize};

use super::Service;

/// What goes wrong, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Calls of this function; of any if absent. With or without the stack's prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Calls to this service; to any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// Calls of this operation, e.g. `UpdateItem`; of any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The first matching call it strikes, from 1.
    #[serde(default = "one")]
    pub at: u64,
    /// How many matching calls it strikes from there.
    #[serde(default = "one")]
    pub times: u64,
    /// It strikes every `every`-th of them: with 2, each call of a caller that repeats what failed, and lets the repeat pass.
    #[serde(default = "one")]
    pub every: u64,
    /// What happens to them.
    pub effect: Effect,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NeverStrikes {
    #[error("there is no function {name:?}; there are: {known}")]
    Function { name: String, known: String },
    /// No operation of this name, of the service if one is given.
    #[error("there is no operation {name:?}; there are: {known}")]
    Operation { name: String, known: String },
    /// `at`, `times` and `every` count from 1.
    #[error("\"at\", \"times\" and \"every\" count from 1")]
    Zero,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The connection closes; AWS never sees the call.
    Refuse,
    /// AWS carries the call out; the connection closes before the reply.
    DropReply,
    /// The call waits this many milliseconds first.
    Delay(u64),
    /// AWS answers that it is called too often.
    Throttle,
    /// AWS answers that the caller may not do this.
    Deny,
    /// DynamoDB answers that another transaction is at the same item.
    Conflict,
    /// The calling environment is killed; AWS never sees the call.
    KillBefore,
    /// AWS carries the call out; the calling environment is killed before the reply.
    KillAfter,
}

/// A call as faults see it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The caller's `FunctionName`.
    pub function: &'a str,
    pub service: Service,
    pub operation: &'a str,
}

/// The faults in force, with how many calls each has seen.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Armed>>);

#[derive(Debug, Clone, Serialize)]
pub struct Armed {
    pub fault: Fault,
    pub seen: u64,
}

impl Faults {
    /// Puts these faults in force, in place of all others.
    pub fn arm(&self, faults: Vec<Fault>) {
        *lock(&self.0) = faults.into_iter().map(|fault| Armed { fault, seen: 0 }).collect();
    }

    pub fn armed(&self) -> Vec<Armed> {
        lock(&self.0).clone()
    }

    /// What strikes this call: every matching fault counts it, the first that is due strikes.
    pub(super) fn strike(&self, call: Call<'_>) -> Option<Effect> {
        let mut effect = None;
        for armed in lock(&self.0).iter_mut().filter(|armed| armed.fault.matches(call)) {
            armed.seen += 1;
            if armed.is_due() && effect.is_none() {
                effect = Some(armed.fault.effect);
            }
        }
        effect
    }
}

impl Armed {
    /// Whether the latest call that it has seen is one that it strikes.
    fn is_due(&self) -> bool {
        let Fault { at, times, every, .. } = self.fault;
        let since = self.seen.checked_sub(at);
        since.is_some_and(|since| since.is_multiple_of(every) && since / every < times)
    }
}

impl Fault {
    /// Strikes the first call it matches; narrow it with struct update syntax.
    pub fn new(effect: Effect) -> Self {
        Self { function: None, service: None, operation: None, at: 1, times: 1, every: 1, effect }
    }

    /// Whether there is anything that it can strike, among these functions.
    pub fn check(&self, functions: &[&str]) -> Result<(), NeverStrikes> {
        let known = |name: &str| functions.iter().any(|function| is_named(function, name));
        if let Some(name) = self.function.as_deref().filter(|name| !known(name)) {
            return Err(NeverStrikes::Function { name: name.to_owned(), known: functions.join(", ") });
        }
        let services = Service::ALL.into_iter().filter(|service| self.service.is_none_or(|only| only == *service));
        let operations: Vec<_> = services.flat_map(Service::operations).copied().collect();
        if let Some(name) = self.operation.as_deref().filter(|name| !operations.contains(name)) {
            return Err(NeverStrikes::Operation { name: name.to_owned(), known: operations.join(", ") });
        }
        if self.at == 0 || self.times == 0 || self.every == 0 { Err(NeverStrikes::Zero) } else { Ok(()) }
    }

    fn matches(&self, call: Call<'_>) -> bool {
        self.function.as_deref().is_none_or(|name| is_named(call.function, name))
            && self.service.is_none_or(|service| service == call.service)
            && self.operation.as_deref().is_none_or(|operation| operation == call.operation)
    }
}

/// Whether this is the function's name, with or without the stack's prefix.
fn is_named(function: &str, name: &str) -> bool {
    function == name || function.strip_suffix(name).is_some_and(|prefix| prefix.ends_with('-'))
}

const fn one() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_can_strike_nothing_is_refused_by_the_name_that_is_unknown() {
        let functions = ["intertie-webhook-process", "intertie-webhook-ingest"];
        let fault = |text: &str| serde_json::from_str::<Fault>(text);
        for good in [
            r#"{"effect":"refuse"}"#,
            r#"{"function":"webhook-process","service":"dynamodb","operation":"UpdateItem","effect":{"delay":5}}"#,
            r#"{"function":"intertie-webhook-ingest","operation":"SendMessage","at":2,"times":3,"effect":"kill_after"}"#,
        ] {
            assert_eq!(fault(good).unwrap().check(&functions), Ok(()), "{good}");
        }
        for (bad, name) in [
            (r#"{"function":"webhook-proces","effect":"refuse"}"#, "webhook-proces"),
            (r#"{"function":"","effect":"refuse"}"#, "function"),
            (r#"{"operation":"Updateitem","effect":"refuse"}"#, "Updateitem"),
            (r#"{"service":"sqs","operation":"UpdateItem","effect":"refuse"}"#, "UpdateItem"),
            (r#"{"at":0,"effect":"refuse"}"#, "at"),
            (r#"{"every":0,"effect":"refuse"}"#, "every"),
        ] {
            let error = fault(bad).unwrap().check(&functions).unwrap_err().to_string();
            assert!(error.contains(name), "{bad}: {error}");
        }
        for (bad, name) in [
            (r#"{"effect":"refus"}"#, "refus"),
            (r#"{"service":"dynamo","effect":"refuse"}"#, "dynamo"),
            (r#"{"efect":"refuse"}"#, "efect"),
            (r#"{"at":"1","effect":"refuse"}"#, "string"),
        ] {
            let error = fault(bad).unwrap_err().to_string();
            assert!(error.contains(name), "{bad}: {error}");
        }
    }

    #[test]
    fn a_fault_strikes_from_the_kth_matching_call_as_often_as_told() {
        let faults = Faults::default();
        let operation = Some("UpdateItem".to_owned());
        faults.arm(vec![Fault { operation, at: 2, times: 2, ..Fault::new(Effect::Throttle) }]);
        let call = |operation| Call { function: "intertie-webhook-process", service: Service::Dynamodb, operation };
        let struck: Vec<_> = (0..5).map(|_| faults.strike(call("UpdateItem")).is_some()).collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert_eq!(faults.strike(call("PutItem")), None);
        assert_eq!(faults.armed()[0].seen, 5);
        faults.arm(vec![Fault { at: 2, times: 2, every: 3, ..Fault::new(Effect::Throttle) }]);
        let struck: Vec<_> = (1..=9).filter(|_| faults.strike(call("UpdateItem")).is_some()).collect();
        assert_eq!(struck, [2, 5]);
    }
}
