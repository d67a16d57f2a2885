//! The feed of changes: followers end with what the table holds, whatever delays, kills and erasures come between, and the margin is
//! what it takes.

mod pages;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::{
    Change, Integration, IntegrationId, IntegrationKey, RecordKey, Version,
    integration::{Ending, IntegrationState},
};
use jiff::{SignedDuration, Timestamp};
use local_aws::faults::{Effect, Fault};
use platform::{
    aws::Patience,
    base::clock,
    stores::{
        changes::{Changes, Cursor, Entry, Feed, MARGIN},
        claims::{Claiming, Claims},
        integrations::Integrations,
        records::{Records, Selection},
    },
};
use serde_json::{Value, json};
use tests::{Ground, start};
use tokio::task::{AbortHandle, JoinHandle};

const WRITERS: usize = 16;
const WRITING: SignedDuration = SignedDuration::from_secs(20);
/// How long the gateway holds a write up.
const HELD: u64 = 3000;
/// How far the clocks of functions may differ.
const SKEW: SignedDuration = SignedDuration::from_secs(2);
/// Longer than a write that is held up, so that it is not repeated before.
const PATIENT: Patience = Patience { attempt: Duration::from_secs(4), total: Duration::from_secs(5) };

fn key(account: usize) -> IntegrationKey {
    IntegrationKey::parse("ada", &format!("stripe#acct_{account}")).unwrap()
}

fn integrations(ground: &Ground) -> Integrations {
    Integrations::new(&ground.aws, "intertie-integrations")
}

async fn connect(ground: &Ground, account: usize) {
    let integration = Integration::connected(key(account), "Shop", clock::now());
    integrations(ground).put(&integration, clock::now()).await.unwrap();
}

/// The processes that a fault can kill, by their access keys.
#[derive(Default, Clone)]
struct Processes(Arc<Mutex<HashMap<String, AbortHandle>>>);

impl Processes {
    fn of(ground: &Ground) -> Self {
        let processes = Self::default();
        let own = processes.clone();
        ground.gateway.set_kill(move |name| {
            if let Some(process) = own.0.lock().unwrap().get(name) {
                process.abort();
            }
        });
        processes
    }

    /// Starts a process of this name. Whether it was not killed.
    async fn run(&self, name: &str, work: impl Future<Output = ()> + Send + 'static) -> bool {
        let process = start(work);
        self.0.lock().unwrap().insert(name.to_owned(), process.abort_handle());
        process.await.map_err(|error| assert!(error.is_cancelled(), "{error}")).is_ok()
    }
}

/// Writes as syncs and events do, until it is told to stop. A process that is killed leaves its write to the next one.
async fn write(ground: Arc<Ground>, processes: Processes, number: usize, open: [Arc<AtomicBool>; 4]) {
    let name = format!("{number}-writer");
    let until = clock::now() + WRITING;
    let mut count = 0;
    while clock::now() < until {
        count += 1;
        let accounts: Vec<_> = (0..open.len()).filter(|account| open[*account].load(Ordering::SeqCst)).collect();
        let integration_id = key(accounts[fastrand::usize(..accounts.len())]).id();
        // Half of the objects change once, the others again and again.
        let object =
            if fastrand::bool() { format!("{number}-{count}") } else { format!("shared-{}", fastrand::u8(..30)) };
        let object = RecordKey::new("customers", &object).unwrap();
        let make = if fastrand::u8(..8) == 0 { Change::tombstone } else { Change::new };
        let now = clock::now();
        // Often equal to what is there.
        let change = make(object, Version::stored(now.as_microsecond()), now, json!({ "value": fastrand::u8(..4) }));
        let once = async || {
            let aws = ground.aws_with(&name, PATIENT);
            let records = Records::new(&aws, "intertie-records");
            let (change, integration_id) = (change.clone(), integration_id.clone());
            let work = async move {
                // What fails is repeated, as a message is.
                if number.is_multiple_of(2) {
                    let _ = records.put_page(&integration_id, &[&change]).await;
                } else {
                    let claims = Claims::new(&aws, "intertie-idempotency", Duration::from_secs(30));
                    let event = format!("stripe#a#{}", uuid::Uuid::new_v4());
                    if let Ok(Claiming::Won(claim)) = claims.claim(&event, "", "me", Timestamp::UNIX_EPOCH).await {
                        let write = records.upsert_from_event(&integration_id, &change).unwrap();
                        let _ = claims.apply(&claim, vec![write]).await;
                    }
                }
            };
            processes.run(&name, work).await
        };
        while !once().await {}
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// What the feed gives and what the table holds, by integration and record: whether it is deleted, and its data.
type State = BTreeMap<(IntegrationId, RecordKey), (bool, Value)>;

/// Follows the feed with functions whose clocks differ, until nothing is left after the writers have stopped.
async fn follow(
    ground: Arc<Ground>,
    margin: SignedDuration,
    limit: usize,
    ended: Arc<Mutex<Option<Timestamp>>>,
) -> State {
    let records = Records::new(&ground.aws, "intertie-records");
    let changes = Changes::new(integrations(&ground), records, margin);
    let user_id = key(0).user_id;
    let feed = Feed { user_id: &user_id, provider: None, stream: None };
    let (mut state, mut after) = (State::new(), None::<String>);
    // The last object of each writer that changes once, by integration.
    let mut order = BTreeMap::<(IntegrationId, String), usize>::new();
    for round in 0usize.. {
        let skew = [SignedDuration::ZERO, SKEW, -SKEW][round % 3];
        let ended = *ended.lock().unwrap();
        let is_last = ended.is_some_and(|ended| clock::now() > ended + MARGIN + SKEW);
        let now = clock::now() + if is_last { SignedDuration::ZERO } else { skew };
        let cursor = after.as_deref().and_then(|text| Cursor::parse(text, &feed, clock::now() + SKEW));
        assert_eq!(cursor.is_some(), after.is_some(), "{after:?}");
        let page = changes.page(&feed, cursor, limit, now, Timestamp::MAX).await.unwrap();
        assert!(page.entries.len() <= limit);
        after = Some(page.next.text(&feed));
        let count = page.entries.len();
        for entry in page.entries {
            match entry {
                Entry::Erased(erased) => {
                    state.retain(|(id, _), _| *id != erased);
                    order.retain(|(id, _), _| *id != erased);
                }
                Entry::Changed(integration, record) => {
                    let id = integration.key.id();
                    if let Some((writer, count)) = record.key.id().split_once('-').filter(|it| it.0 != "shared") {
                        let count = count.parse().unwrap();
                        let before = order.insert((id.clone(), writer.to_owned()), count);
                        let in_order = before.is_none_or(|before| before < count);
                        assert!(in_order || margin < MARGIN, "{}: {count} after {before:?}", record.key);
                    }
                    state.insert((id, record.key), (record.deleted, record.data));
                }
            }
        }
        if is_last && count == 0 {
            break;
        }
        if count < limit {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    state
}

/// What the table holds of the user.
async fn table(ground: &Ground) -> State {
    let records = Records::new(&ground.aws, "intertie-records");
    let mut state = State::new();
    for integration in integrations(ground).of_user(&key(0).user_id, None).await.unwrap() {
        let (id, mut after) = (integration.key.id(), None::<String>);
        loop {
            let selection = Selection { stream: None, after: after.as_deref(), limit: 1000, deleted: true };
            let page = records.list(&id, selection).await.unwrap();
            state.extend(page.records.into_iter().map(|it| ((id.clone(), it.key), (it.deleted, it.data))));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    state
}

/// Ends an integration, and deletes its records in a process that a fault may kill. Whether all were deleted.
async fn erase(ground: &Arc<Ground>, processes: &Processes, account: usize) -> bool {
    let key = key(account);
    integrations(ground).disconnect(&key, Ending::Erase, clock::now()).await.unwrap();
    let aws = ground.aws_of("eraser");
    let by = clock::now() + SignedDuration::from_secs(3);
    let done = Arc::new(AtomicBool::new(false));
    let (ground, mark) = (Arc::clone(ground), Arc::clone(&done));
    let work = async move {
        let records = Records::new(&aws, "intertie-records");
        let all = records.erase((&integrations(&ground), &key), by, || false).await.unwrap();
        mark.store(all, Ordering::SeqCst);
    };
    processes.run("eraser", work).await;
    done.load(Ordering::SeqCst)
}

async fn pause(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_ends_with_what_the_table_holds_and_without_the_margin_it_does_not() {
    let ground = Arc::new(Ground::start().await);
    let processes = Processes::of(&ground);
    let writers =
        |effect, at, every| Fault { function: Some("writer".into()), at, times: u64::MAX, every, ..Fault::new(effect) };
    ground.gateway.faults.arm(vec![
        writers(Effect::Delay(HELD), 3, 7),
        writers(Effect::KillBefore, 20, 43),
        writers(Effect::KillAfter, 30, 47),
        Fault {
            function: Some("eraser".into()),
            operation: Some("DeleteItem".into()),
            at: 20,
            ..Fault::new(Effect::KillAfter)
        },
    ]);
    // The last account is connected later.
    let open: [Arc<AtomicBool>; 4] = [true, true, true, false].map(|open| Arc::new(AtomicBool::new(open)));
    let old: Vec<_> = (0..60).map(|number| RecordKey::new("customers", &format!("old{number}")).unwrap()).collect();
    let old: Vec<_> =
        old.into_iter().map(|it| Change::new(it, Version::stored(1), clock::now(), Value::Null)).collect();
    for account in 0..3 {
        connect(&ground, account).await;
        let records = Records::new(&ground.aws, "intertie-records");
        records.put_page(&key(account).id(), &old.iter().collect::<Vec<_>>()).await.unwrap();
    }
    let all: Vec<JoinHandle<()>> =
        (0..WRITERS).map(|number| start(write(Arc::clone(&ground), processes.clone(), number, open.clone()))).collect();
    let ended = Arc::new(Mutex::new(None));
    let follower = |margin, limit| start(follow(Arc::clone(&ground), margin, limit, Arc::clone(&ended)));
    let followers = [follower(MARGIN, 500), follower(MARGIN, 7)];
    let hasty = follower(SignedDuration::ZERO, 500);

    pause(2).await;
    connect(&ground, 3).await;
    open[3].store(true, Ordering::SeqCst);
    // The followers have got what was there at first, and then it is erased.
    pause(11).await;
    // The process that erases dies amid it, and the account is connected again: what is left stays.
    open[0].store(false, Ordering::SeqCst);
    assert!(!erase(&ground, &processes, 0).await, "killed");
    connect(&ground, 0).await;
    open[0].store(true, Ordering::SeqCst);
    pause(1).await;
    // Another one is erased twice, because writes were under way, and connected again.
    open[1].store(false, Ordering::SeqCst);
    assert!(erase(&ground, &processes, 1).await);
    pause(3).await;
    assert!(erase(&ground, &processes, 1).await);
    connect(&ground, 1).await;
    open[1].store(true, Ordering::SeqCst);
    // And one stays disconnected.
    open[2].store(false, Ordering::SeqCst);
    pause(4).await;
    assert!(erase(&ground, &processes, 2).await);
    for writer in all {
        writer.await.unwrap();
    }
    *ended.lock().unwrap() = Some(clock::now());

    let found: Vec<State> = {
        let mut found = Vec::new();
        for follower in followers {
            found.push(follower.await.unwrap());
        }
        found
    };
    let expected = table(&ground).await;
    let of = |account: usize| expected.keys().filter(|(id, _)| *id == key(account).id()).count();
    assert!(of(0) > 0 && of(1) > 0 && of(2) == 0 && of(3) > 0, "{:?}", [of(0), of(1), of(2), of(3)]);
    let state = integrations(&ground).get(&key(2)).await.unwrap().unwrap().state;
    assert_eq!(state, IntegrationState::Disconnected);
    for found in found {
        let differs: Vec<_> = expected.iter().filter(|(key, value)| found.get(key) != Some(value)).collect();
        let surplus: Vec<_> = found.keys().filter(|key| !expected.contains_key(key)).collect();
        assert!(differs.is_empty() && surplus.is_empty(), "{differs:?}, {surplus:?}");
    }
    // Of an account of which nothing was erased.
    let hasty = hasty.await.unwrap();
    let missed = expected.iter().filter(|((id, _), _)| *id == key(3).id());
    let missed = missed.filter(|(key, value)| hasty.get(key) != Some(value)).count();
    assert!(missed > 0, "without the margin, what was held up is missed");
}

/// What the reader's calls of a table have consumed of read units, and how many calls there were.
fn consumed(ground: &Ground, table: &str) -> (u64, f64) {
    let all = ground.gateway.consumption();
    let of = all.iter().filter(|((function, of, _), _)| function == "reader" && of.ends_with(table));
    of.fold((0, 0.0), |(calls, read), (_, consumed)| (calls + consumed.calls, read + consumed.read))
}

#[tokio::test]
async fn a_poll_costs_one_query_for_each_integration_and_a_query_brings_hundreds_of_records() {
    const RECORDS: usize = 300;
    let ground = Ground::start().await;
    let at = clock::now();
    for account in 0..4 {
        connect(&ground, account).await;
    }
    let data = json!({ "text": "x".repeat(1000) });
    let change = |number| {
        let object = RecordKey::new("customers", &format!("cus_NffrFeUfNV2Hi{number}")).unwrap();
        Change::new(object, Version::stored(1), at, data.clone())
    };
    let all: Vec<_> = (0..RECORDS).map(change).collect();
    let records = Records::new(&ground.aws, "intertie-records");
    records.put_page(&key(2).id(), &all.iter().collect::<Vec<_>>()).await.unwrap();
    let aws = ground.aws_of("reader");
    let (integrations, records) =
        (Integrations::new(&aws, "intertie-integrations"), Records::new(&aws, "intertie-records"));
    let changes = Changes::new(integrations, records, SignedDuration::ZERO);
    let user_id = key(0).user_id;
    let feed = Feed { user_id: &user_id, provider: None, stream: None };
    ground.gateway.consumption();
    let page = changes.page(&feed, None, 1000, clock::now(), Timestamp::MAX).await.unwrap();
    assert_eq!(page.entries.len(), RECORDS);
    assert_eq!(consumed(&ground, "records").0, 3 + 2, "calls");
    let before = (consumed(&ground, "records"), consumed(&ground, "integrations"));
    let page = changes.page(&feed, Some(page.next), 1000, clock::now(), Timestamp::MAX).await.unwrap();
    assert!(page.entries.is_empty());
    let after = (consumed(&ground, "records"), consumed(&ground, "integrations"));
    assert_eq!((after.0.0 - before.0.0, after.1.0 - before.1.0), (4, 1), "calls");
    let (records, integrations) = (after.0.1 - before.0.1, after.1.1 - before.1.1);
    assert!(records <= 8.0 && (1.0..=2.0).contains(&integrations), "{records} and {integrations}");
}
