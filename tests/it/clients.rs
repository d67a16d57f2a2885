//! What clients say of the providers is what the definitions say.

use std::collections::BTreeMap;

use domain::call::Api;
use local_runtime::bootstraps::root;
use providers::REGISTRY;

#[test]
fn the_fetch_adapter_leads_to_the_addresses_that_the_definitions_list() {
    let source = std::fs::read_to_string(root().join("clients/fetch/intertie-fetch.js")).unwrap();
    let (_, rest) = source.split_once("export const BASES = ").unwrap();
    let listed: BTreeMap<String, Vec<String>> = serde_json::from_str(rest.split_once(";\n").unwrap().0).unwrap();
    let bases = |api: &Api| api.bases().map(str::to_owned).collect::<Vec<_>>();
    let defined = REGISTRY.iter().map(|it| (it.spec().id.to_string(), bases(&it.spec().api)));
    assert_eq!(listed, defined.collect());
}
