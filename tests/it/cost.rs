//! What a stack costs without any traffic, computed from the template: docs/deploy.md states it.

use std::{collections::BTreeMap, fmt::Write as _};

use local_runtime::{bootstraps::root, template::Template};
use tests::{alarms::Alarm, template};

/// The most that an idle stack may cost a month, in US dollars.
const MOST: f64 = 15.0;

/// List prices of US East (N. Virginia) in US dollars, read 2026-11: <https://aws.amazon.com/cloudwatch/pricing/>,
/// <https://aws.amazon.com/secrets-manager/pricing/>, <https://aws.amazon.com/kms/pricing/>, <https://aws.amazon.com/sqs/pricing/>. All
/// but the request are for a month.
const SECRET: f64 = 0.40;
const ALARM: f64 = 0.10;
const DASHBOARD: f64 = 3.00;
const METRIC: f64 = 0.30;
const KEY: f64 = 1.00;
const REQUEST: f64 = 0.40 / 1e6;
/// Lambda polls a queue by five receives at a time, each of which waits 20 seconds for a message:
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>, read 2026-11.
const RECEIVES: f64 = 5.0 * 3.0 * 60.0 * 730.0;

/// The rows of the document: what is counted, how many there are, and what they cost.
fn costs(template: &Template) -> Vec<(&'static str, usize, f64)> {
    let of = |kind: &str| template.monitoring.iter().filter(|it| it.kind == kind).count();
    let mappings: usize = template.functions.iter().map(|function| function.mappings.len()).sum();
    let schedules: usize = template.functions.iter().map(|function| function.schedules.len()).sum();
    let resources = &template.resources;
    let rows: [(&str, usize, f64); 6] = [
        ("secrets", resources.secrets.len(), SECRET),
        ("alarms", Alarm::all(&template.monitoring).len(), ALARM),
        ("dashboard", of("AWS::CloudWatch::Dashboard"), DASHBOARD),
        // One for each schedule; all others are written when there is something to count.
        ("metrics", schedules, METRIC),
        ("queues", mappings, RECEIVES * REQUEST),
        ("token key", resources.keys.len(), KEY),
    ];
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    rows.map(|(name, count, price)| (name, count, count as f64 * price)).into()
}

#[test]
fn an_idle_stack_costs_what_the_document_states() {
    let costs = costs(&template("http://localhost", &[]));
    let document = std::fs::read_to_string(root().join("docs/deploy.md")).unwrap();
    let table = document.split("| a month, without any traffic |").nth(1).unwrap().split("\n\n").next().unwrap();
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let stated: BTreeMap<_, _> = table.lines().skip(2).map(cells).map(|row| (row[0].clone(), row[2].clone())).collect();
    let mut expected = String::new();
    for (name, count, cost) in costs {
        let (cost, row) = (format!("{cost:.2}"), stated.get(name));
        let counted = table.lines().any(|line| line.starts_with(&format!("| {name} | {count} ")));
        if row != Some(&cost) || !counted {
            let _ = writeln!(expected, "| {name} | {count} × … | {cost} |");
        }
    }
    assert!(expected.is_empty(), "docs/deploy.md lacks:\n{expected}");
    let number = |text: &String| text.trim_matches('*').parse::<f64>().unwrap();
    let sum: f64 = stated.iter().filter(|(name, _)| *name != "**sum**").map(|(_, cost)| number(cost)).sum();
    assert_eq!(format!("{sum:.2}"), format!("{:.2}", number(&stated["**sum**"])));
    assert!(sum <= MOST, "an idle stack costs {sum:.2}");
}
