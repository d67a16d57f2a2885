//! The controls that docs/sandbox.md lists are those that there are.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Apps,
    controls::{Control, GRANTS, SHARED},
    deliver::{Base, Outbox},
    registry::REGISTRY,
};

/// Calls as `METHOD path`, with `*` for an id.
type Calls = BTreeSet<String>;

fn calls(controls: &[Control]) -> Calls {
    controls.iter().map(|Control(method, path, _)| format!("{method} {path}")).collect()
}

/// The calls of the tables of the document, by heading.
fn documented() -> BTreeMap<String, Calls> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sandbox.md");
    let (mut heading, mut all) = (String::new(), BTreeMap::<_, Calls>::new());
    for line in std::fs::read_to_string(file).unwrap().lines() {
        if let Some(text) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            heading = text.to_lowercase();
        }
        let Some((cell, _)) = line.strip_prefix("| ").and_then(|row| row.split_once(" | ")) else { continue };
        // What stands between backquotes.
        let spans = cell.split('`').skip(1).step_by(2).filter_map(|span| span.split_once(' '));
        let calls = spans.map(|(method, path)| {
            let name = |part: &str| part.bytes().all(|byte| byte.is_ascii_uppercase());
            let parts: Vec<_> = path.split('/').map(|part| if name(part) { "*" } else { part }).collect();
            format!("{method} {}", parts.join("/"))
        });
        all.entry(heading.clone()).or_default().extend(calls);
    }
    all
}

#[tokio::test]
async fn the_document_of_the_sandbox_lists_the_controls_that_there_are() {
    let (document, apps) = (documented(), Apps::local());
    let shared = &document["every provider"] | &document["faults of a provider"];
    assert_eq!(shared, calls(SHARED));
    assert_eq!(document["tokens of slack and google"], calls(GRANTS));
    for spec in REGISTRY.iter() {
        let (outbox, _) = Outbox::new(Base::default());
        let emulator = (spec.start)(apps[spec.secret].clone(), outbox).unwrap();
        let own: Calls = emulator.controls().iter().flat_map(|controls| calls(controls)).collect();
        let with_tokens = calls(GRANTS).is_subset(&own);
        let mut listed = document[spec.secret].clone();
        listed.extend(calls(GRANTS).into_iter().filter(|_| with_tokens));
        assert_eq!(listed, own, "{}", spec.secret);
    }
}
