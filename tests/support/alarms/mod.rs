//! What CloudWatch would see of a stack: its metrics by minute, and the alarms of template.yaml over them.
//!
//! *Invariant:* time is a parameter. A test says when a minute ends; what was counted since the last one belongs to it, and what AWS
//! samples is sampled then.

mod alarm;
mod named;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::PathBuf,
    time::Duration,
};

use local_base::web::Web;
use local_cli::bundle::Bundle;
use local_runtime::schedule::Timer;
use serde::Deserialize;
use serde_json::Value;

pub use self::{
    alarm::Alarm,
    named::{Named, Query},
};
use crate::PATIENCE;

/// A metric of CloudWatch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub struct Metric {
    pub namespace: String,
    pub name: String,
    pub dimensions: BTreeMap<String, String>,
}

/// The values of a metric by the minute in which they came.
pub type Minutes = BTreeMap<u64, Vec<f64>>;

/// One of the metrics that the stack keeps for AWS.
#[derive(Deserialize)]
struct Measured {
    #[serde(flatten)]
    metric: Metric,
    total: Option<f64>,
    now: Option<f64>,
}

pub struct Watch<'s> {
    stack: &'s Bundle,
    pub alarms: Vec<Alarm>,
    /// Schedules that fire whenever they are due.
    pub timers: Vec<&'s Timer>,
    /// All that was seen so far.
    pub seen: BTreeMap<Metric, Minutes>,
    /// The minutes that have ended.
    now: u64,
    /// The alarms that rang since this was last taken.
    rung: BTreeSet<String>,
    totals: HashMap<Metric, f64>,
    /// How far each log was read.
    read: HashMap<PathBuf, usize>,
    web: Web,
}

impl<'s> Watch<'s> {
    /// Begins to watch; what was counted before does not count. All schedules fire.
    pub async fn new(stack: &'s Bundle) -> Self {
        let alarms = Alarm::all(&stack.template.monitoring);
        let (timers, seen) = (stack.timers.iter().collect(), BTreeMap::new());
        let (totals, read, web) = (HashMap::new(), HashMap::new(), Web::new());
        let mut watch = Self { stack, alarms, timers, seen, now: 0, rung: BTreeSet::new(), totals, read, web };
        watch.collect().await;
        watch.seen.clear();
        watch
    }

    /// The alarm of this name without prefix.
    pub fn alarm(&self, name: &str) -> Alarm {
        let full = format!("{}-{name}", self.stack.prefix());
        self.alarms.iter().find(|alarm| alarm.alarm_name == full).unwrap_or_else(|| panic!("no alarm {name}")).clone()
    }

    /// The names of the alarms that ring, without prefix.
    pub fn ringing(&self) -> BTreeSet<&str> {
        let (none, prefix) = (Minutes::new(), format!("{}-", self.stack.prefix()));
        let rings = |alarm: &&Alarm| alarm.rings(self.seen.get(&alarm.metric()).unwrap_or(&none), self.now);
        let names = self.alarms.iter().filter(rings).map(|alarm| alarm.alarm_name.as_str());
        names.map(|name| name.strip_prefix(&prefix).unwrap_or(name)).collect()
    }

    /// Waits until what came in the present minute breaches the threshold of an alarm.
    pub async fn breach(&mut self, name: &str) {
        let (alarm, stack) = (self.alarm(name), self.stack);
        let metric = alarm.metric();
        let breaching = async || {
            self.collect().await;
            let values = self.seen.get(&metric).and_then(|minutes| minutes.get(&self.now));
            values.is_some_and(|values| alarm.breaches(values)).then_some(())
        };
        stack.until(PATIENCE, breaching).await.unwrap_or_else(|waited| panic!("{name} is not breached: {waited}"));
    }

    /// Lets minutes end. Every five of them, and every hour, the schedules fire that are due.
    pub async fn pass(&mut self, minutes: u64) {
        for _ in 0..minutes {
            for timer in self.timers.clone() {
                let every = if timer.schedule.expression == "rate(1 hour)" { 60 } else { 5 };
                if self.now.is_multiple_of(every) {
                    self.fire(timer).await;
                }
            }
            self.collect().await;
            self.now += 1;
            let ringing: Vec<_> = self.ringing().into_iter().map(str::to_owned).collect();
            self.rung.extend(ringing);
        }
    }

    /// The alarms that rang at the end of any minute since this was last asked for.
    pub fn rung(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.rung)
    }

    /// Fires a schedule, and lets the queues' time run meanwhile: one of them waits a second for messages. Its failure is what alarms
    /// are for.
    async fn fire(&self, timer: &Timer) {
        const TICK: Duration = Duration::from_millis(5);
        let sqs = &self.stack.embedded.as_ref().expect("tests use the embedded AWS").sqs;
        let run = async {
            loop {
                tokio::time::sleep(TICK).await;
                sqs.advance(TICK * 20);
            }
        };
        tokio::select! {
            _ = timer.fire() => {}
            () = run => {}
        }
    }

    /// Adds to the present minute what was counted since the last time, and what AWS samples.
    async fn collect(&mut self) {
        let url = format!("{}/metrics", self.stack.control_url);
        let answer = self.web.call(http::Method::GET, &url, &[], String::new()).await.expect("the controls answer");
        let measured: Vec<Measured> = serde_json::from_slice(answer.body()).expect("metrics");
        for Measured { metric, total, now } in measured {
            let value = match (total, now) {
                (Some(total), _) => total - self.totals.insert(metric.clone(), total).unwrap_or_default(),
                (None, now) => now.expect("a total or a value"),
            };
            self.add(metric, value);
        }
        for (metric, value) in self.written() {
            self.add(metric, value);
        }
    }

    fn add(&mut self, metric: Metric, value: f64) {
        self.seen.entry(metric).or_default().entry(self.now).or_default().push(value);
    }

    /// What the functions wrote in the embedded metric format since the last time.
    fn written(&mut self) -> Vec<(Metric, f64)> {
        let mut all = Vec::new();
        for file in fs::read_dir(self.stack.folder.logs()).expect("the folder of logs").flatten() {
            let read = self.read.entry(file.path()).or_default();
            if file.metadata().is_ok_and(|it| usize::try_from(it.len()) == Ok(*read)) {
                continue;
            }
            let text = fs::read_to_string(file.path()).expect("a log");
            let end = text.rfind('\n').map_or(*read, |end| end + 1);
            let lines = text[*read..end].lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            all.extend(lines.flat_map(|line| metrics(&line)));
            *read = end;
        }
        all
    }
}

/// The metrics of a line in the embedded metric format; none of another line.
fn metrics(line: &Value) -> Vec<(Metric, f64)> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let mut all = Vec::new();
    for directive in list(&line["_aws"]["CloudWatchMetrics"]) {
        for (set, metric) in list(&directive["Dimensions"])
            .iter()
            .flat_map(|set| list(&directive["Metrics"]).into_iter().map(move |metric| (set, metric)))
        {
            let dimensions = list(set).iter().map(|name| (text(name), text(&line[text(name)]))).collect();
            let (namespace, name) = (text(&directive["Namespace"]), text(&metric["Name"]));
            let values = list(&line[&name]);
            let metric = Metric { namespace, name, dimensions };
            all.extend(values.iter().filter_map(Value::as_f64).map(|value| (metric.clone(), value)));
        }
    }
    all
}
