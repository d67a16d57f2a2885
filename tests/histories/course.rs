//! The course of a history: what happens, what is delivered, when syncs run, and what must hold in the end.

use std::{collections::BTreeMap, fmt::Write as _};

use domain::sync::SyncJob;
use fastrand::Rng;
use http::Method;
use serde_json::{Map, Value};
use tests::Ground;
use webhook_process::Process;

use crate::world::{Stored, World};

/// What a provider's histories are made of.
pub(crate) trait Course: Sized {
    /// The provider.
    const PROVIDER: &'static str;
    /// The account that is connected.
    const ACCOUNT: &'static str;
    /// Whether deliveries carry objects. Otherwise they ask for a sync.
    const CARRIES: bool;
    /// Whether two events of one second have no order, so that a list decides only when the second is over.
    const SECONDS: bool;

    /// Nothing has happened yet.
    fn new() -> Self;

    /// The name of the credential, and a token of the sandbox.
    async fn grant(world: &World<'_>) -> (&'static str, String);

    /// Something that happens next. An order that the provider refuses is none.
    fn order(&mut self, rng: &mut Rng) -> Order;

    /// An order was carried out.
    fn happened(&mut self, _order: &Order) {}

    /// The prefix of the keys of records that can't be read now: syncs must leave them as they are.
    fn unreadable(&self) -> Option<String> {
        None
    }

    /// The objects that the provider has now, by the key of their record, with fields that tell them from other states. A null is
    /// a field that the record must not have.
    async fn truth(&self, world: &World<'_>) -> Truth;
}

/// See [`Course::truth`].
pub(crate) type Truth = BTreeMap<String, Map<String, Value>>;

/// A call of the sandbox's controls.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Value,
    /// Whether the provider tells of it: in an event, or in the log that incremental syncs read.
    pub(crate) is_reported: bool,
}

impl Order {
    /// A change that the provider tells of.
    pub(crate) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), body, is_reported: true }
    }

    /// A deletion that the provider tells of.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, path: path.into(), body: Value::Object(Map::new()), is_reported: true }
    }

    /// A change that only full lists show.
    pub(crate) fn untold(self) -> Self {
        Self { is_reported: false, ..self }
    }
}

/// Runs a history; `steps` tells what happened, if it went wrong.
pub(crate) async fn run<C: Course>(
    (ground, process): (&Ground, &Process),
    seed: u64,
    steps: &mut Vec<String>,
) -> Result<(), String> {
    let mut rng = Rng::with_seed(seed);
    let mut world = World::start::<C>(ground, process, seed).await;
    let mut course = C::new();
    let mut pending: Vec<String> = Vec::new();
    let mut sent: Vec<String> = Vec::new();
    // Half of the histories lose nothing.
    let lossy = rng.bool();
    let mut untold = false;
    world.sync(SyncJob::Full).await;
    world.taken().await;
    for _ in 0..rng.usize(6..15) {
        match rng.u8(..20) {
            0..=10 => {
                let order = course.order(&mut rng);
                // Without loss all that happens is told.
                if !order.is_reported && !lossy {
                    continue;
                }
                let happened = world.happen(&order).await;
                untold |= happened && !order.is_reported;
                if happened {
                    course.happened(&order);
                }
                let refused = if happened { "" } else { " (refused)" };
                steps.push(format!("{} {} {}{refused}", order.method, order.path, order.body));
                let new: Vec<_> =
                    world.taken().await.iter().map(|it| it["body"].as_str().unwrap().to_owned()).collect();
                pending.extend(new.iter().cloned());
                sent.extend(new);
            }
            11..=16 => deliver::<C>(&mut world, &mut rng, &mut pending, &sent, lossy, steps).await,
            _ => {
                let kind = if rng.bool() { SyncJob::Incremental } else { SyncJob::Full };
                steps.push(format!("sync {kind:?}"));
                let before = kept(&course, &world).await;
                world.sync(kind).await;
                if before != kept(&course, &world).await {
                    return Err("a sync changed records whose objects can't be read".to_owned());
                }
            }
        }
    }
    let mut ways: Vec<(&str, Stored)> = Vec::new();
    if lossy {
        let lost = rng.usize(..=pending.len());
        rng.shuffle(&mut pending);
        steps.push(format!("{lost} of {} deliveries are lost", pending.len()));
        pending.truncate(pending.len() - lost);
    }
    while !pending.is_empty() {
        deliver::<C>(&mut world, &mut rng, &mut pending, &sent, false, steps).await;
    }
    if !lossy {
        if !C::CARRIES {
            steps.push("push".to_owned());
            world.push().await;
        }
        check(&mut ways, "events", &course, &world).await?;
    }
    // Whatever could not be read can be read again.
    world.admin(Method::DELETE, "faults", &Value::Object(Map::new())).await;
    if !untold && rng.bool() {
        steps.push("sync Incremental".to_owned());
        world.sync(SyncJob::Incremental).await;
        check(&mut ways, "an incremental sync", &course, &world).await?;
    } else if C::SECONDS {
        // A list and an event of one second are in no order.
        let now = platform::base::clock::now();
        tokio::time::sleep(std::time::Duration::from_nanos(
            1_000_000_000 - u64::try_from(now.subsec_nanosecond()).unwrap(),
        ))
        .await;
    }
    steps.push("sync Full".to_owned());
    world.sync(SyncJob::Full).await;
    check(&mut ways, "a full sync", &course, &world).await?;
    // What comes late changes nothing that is known. An object of which nothing was told, neither its creation nor its end, begins
    // with the late delivery; the next full sync finds out that it is gone.
    if C::CARRIES && !sent.is_empty() {
        let late: Vec<_> = (0..rng.usize(1..4)).map(|_| sent[rng.usize(..sent.len())].clone()).collect();
        steps.push(format!("{} old deliveries again", late.len()));
        let bodies: Vec<_> = late.iter().map(String::as_str).collect();
        let known = world.stored().await;
        world.deliver(&bodies).await;
        let then = world.stored().await;
        if let Some((key, was)) = known.iter().find(|(key, was)| then.get(*key) != Some(*was)) {
            return Err(format!("a late delivery changed {key} from {was:?} to {:?}", then.get(key)));
        }
        world.sync(SyncJob::Full).await;
        check(&mut ways, "a full sync after late deliveries", &course, &world).await?;
    }
    world.end().await;
    Ok(())
}

/// The records of what can't be read.
async fn kept<C: Course>(course: &C, world: &World<'_>) -> Stored {
    let Some(prefix) = course.unreadable() else { return Stored::new() };
    let mut stored = world.stored().await;
    stored.retain(|key, _| key.starts_with(&prefix));
    stored
}

/// Some of the deliveries arrive, in any order, and some again.
async fn deliver<C: Course>(
    world: &mut World<'_>,
    rng: &mut Rng,
    pending: &mut Vec<String>,
    sent: &[String],
    lossy: bool,
    steps: &mut Vec<String>,
) {
    if !C::CARRIES {
        let lost = lossy && rng.bool();
        if !std::mem::take(pending).is_empty() && !lost {
            steps.push("push".to_owned());
            world.push().await;
        }
        return;
    }
    if pending.is_empty() {
        return;
    }
    rng.shuffle(pending);
    let mut bodies: Vec<_> = pending.drain(..rng.usize(1..=pending.len().min(8))).collect();
    if lossy && rng.u8(..4) == 0 {
        bodies.pop();
    }
    if rng.u8(..3) == 0 {
        bodies.push(sent[rng.usize(..sent.len())].clone());
    }
    let name = |body: &String| {
        let body: Value = serde_json::from_str(body).unwrap();
        let kind = body.pointer("/event/type").or_else(|| body.get("type")).cloned().unwrap_or_default();
        format!("{} {}", kind, body.get("id").or_else(|| body.get("event_id")).cloned().unwrap_or_default())
    };
    steps.push(format!("deliver {:?}", bodies.iter().map(name).collect::<Vec<_>>()));
    world.deliver(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// What is stored is the truth, and the same as after the ways before.
async fn check<C: Course>(
    ways: &mut Vec<(&'static str, Stored)>,
    way: &'static str,
    course: &C,
    world: &World<'_>,
) -> Result<(), String> {
    let (truth, stored) = (course.truth(world).await, world.stored().await);
    let mut wrong = String::new();
    for (key, fields) in &truth {
        match stored.get(key) {
            None => writeln!(wrong, "{key} is missing").unwrap(),
            Some((true, _)) => writeln!(wrong, "{key} is deleted, and is there").unwrap(),
            Some((false, data)) => {
                for (name, value) in fields.iter().filter(|(name, value)| data[name.as_str()] != **value) {
                    writeln!(wrong, "{key}: {name} is {}, and {value} there", data[name.as_str()]).unwrap();
                }
            }
        }
    }
    for (key, _) in stored.iter().filter(|(key, (deleted, _))| !deleted && !truth.contains_key(*key)) {
        writeln!(wrong, "{key} is not deleted, and is not there").unwrap();
    }
    for (before, earlier) in ways.iter() {
        for (key, is) in stored.iter().filter(|(key, is)| earlier.get(*key).is_some_and(|was| was != *is)) {
            writeln!(wrong, "{key} differs from what {before} told: {is:?}, was {:?}", earlier[key]).unwrap();
        }
    }
    ways.push((way, stored));
    if wrong.is_empty() { Ok(()) } else { Err(format!("after {way}:\n{wrong}")) }
}
