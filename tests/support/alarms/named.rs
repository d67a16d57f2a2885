//! The metrics and fields that a dashboard and saved queries name.

use std::collections::BTreeSet;

use local_runtime::template::Monitoring;
use serde_json::Value;

use super::Metric;

/// What a dashboard names: one metric, or all that a search finds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    One(Metric),
    /// Metrics of this name that have exactly these dimensions, and this value of `stack`.
    Search {
        namespace: String,
        name: String,
        dimensions: BTreeSet<String>,
        stack: String,
    },
}

impl Named {
    /// All that the dashboards of a template name.
    pub fn of_dashboards(monitoring: &[Monitoring]) -> BTreeSet<Self> {
        let rows = widgets(monitoring, "metric").into_iter().flat_map(|widget| {
            let mut before = Vec::new();
            let rows = widget["metrics"].as_array().cloned().unwrap_or_default();
            rows.iter().map(|row| Self::read(row, &mut before)).collect::<Vec<_>>()
        });
        rows.collect()
    }

    /// Whether this metric is named.
    pub fn is(&self, metric: &Metric) -> bool {
        match self {
            Self::One(named) => named == metric,
            Self::Search { namespace, name, dimensions, stack } => {
                (namespace, name) == (&metric.namespace, &metric.name)
                    && metric.dimensions.keys().eq(dimensions)
                    && metric.dimensions.get("stack") == Some(stack)
            }
        }
    }

    /// A row of a widget. `...` stands for the beginning of the row before.
    fn read(row: &Value, before: &mut Vec<String>) -> Self {
        let cells = row.as_array().expect("a row");
        if let Some(expression) = cells[0]["expression"].as_str() {
            return Self::search(expression).unwrap_or_else(|| panic!("not understood: {expression}"));
        }
        let texts = cells.iter().filter_map(Value::as_str).map(str::to_owned);
        let texts: Vec<_> = texts.collect();
        let full = match texts.split_first() {
            Some((first, rest)) if first == "..." => [&before[..before.len() - rest.len()], rest].concat(),
            _ => texts,
        };
        before.clone_from(&full);
        let (named, dimensions) = full.split_at(2);
        let dimensions = dimensions.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        Self::One(Metric { namespace: named[0].clone(), name: named[1].clone(), dimensions })
    }

    /// `SEARCH('{Namespace,dimension,…} stack="…" MetricName="…"', 'Statistic')`.
    fn search(expression: &str) -> Option<Self> {
        let (schema, terms) = expression.strip_prefix("SEARCH('{")?.split_once("} ")?;
        let (terms, _statistic) = terms.strip_suffix("')")?.split_once("', '")?;
        let term =
            |name: &str| terms.split(' ').find_map(|it| it.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'));
        let (namespace, dimensions) = schema.split_once(',')?;
        Some(Self::Search {
            namespace: namespace.to_owned(),
            name: term("MetricName")?.to_owned(),
            dimensions: dimensions.split(',').map(str::to_owned).collect(),
            stack: term("stack")?.to_owned(),
        })
    }
}

/// The properties of the widgets of this type, of all dashboards of a template.
fn widgets(monitoring: &[Monitoring], kind: &str) -> Vec<Value> {
    let dashboards = monitoring.iter().filter(|it| it.kind == "AWS::CloudWatch::Dashboard");
    let widgets = dashboards.flat_map(|it| {
        let body: Value = serde_json::from_str(it.properties["DashboardBody"].as_str().expect("text")).expect("JSON");
        body["widgets"].as_array().expect("widgets").clone()
    });
    widgets.filter(|widget| widget["type"] == kind).map(|widget| widget["properties"].clone()).collect()
}

/// A saved query, or one that a dashboard shows.
#[derive(Debug)]
pub struct Query {
    pub groups: Vec<String>,
    pub fields: BTreeSet<String>,
    /// The only `message` that it looks for.
    pub message: Option<String>,
}

impl Query {
    /// All of a template.
    pub fn all(monitoring: &[Monitoring]) -> Vec<Self> {
        let saved = monitoring.iter().filter(|it| it.kind == "AWS::Logs::QueryDefinition").map(|it| {
            let groups = it.properties["LogGroupNames"].as_array().expect("groups");
            let groups = groups.iter().map(|name| name.as_str().expect("text").to_owned()).collect();
            Self::of(groups, it.properties["QueryString"].as_str().expect("text"))
        });
        let shown = widgets(monitoring, "log").into_iter().map(|widget| {
            let query = widget["query"].as_str().expect("text").to_owned();
            let (source, query) = query.split_once(" | ").expect("a source");
            let group = source.strip_prefix("SOURCE '").and_then(|it| it.strip_suffix('\'')).expect("a group");
            Self::of(vec![group.to_owned()], query)
        });
        saved.chain(shown).collect()
    }

    fn of(groups: Vec<String>, query: &str) -> Self {
        let message = query.split_once("message = ").and_then(|(_, rest)| rest.split(['"', '\'']).nth(1));
        Self { groups, fields: named(query), message: message.map(str::to_owned) }
    }
}

/// The fields of a query: its words but those of the language, texts, names that it gives itself, and what CloudWatch adds (`@…`).
fn named(query: &str) -> BTreeSet<String> {
    const LANGUAGE: [&str; 20] = [
        "fields",
        "filter",
        "stats",
        "sort",
        "by",
        "as",
        "and",
        "or",
        "in",
        "like",
        "asc",
        "desc",
        "count",
        "sum",
        "max",
        "min",
        "pct",
        "latest",
        "ispresent",
        "limit",
    ];
    let texts = query.split(['"', '\'']).step_by(2).collect::<Vec<_>>().join(" ");
    let quoted = texts.split('`').skip(1).step_by(2).map(str::to_owned);
    let plain = texts.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let words: Vec<_> =
        plain.split(|c: char| !(c.is_alphanumeric() || "_@.".contains(c))).filter(|it| !it.is_empty()).collect();
    let own: BTreeSet<_> =
        words.iter().zip(words.iter().skip(1)).filter(|(as_, _)| **as_ == "as").map(|(_, name)| *name).collect();
    let field = |word: &&&str| {
        let number = word.chars().all(|c| c.is_ascii_digit());
        !(number || word.starts_with('@') || LANGUAGE.contains(word) || own.contains(**word))
    };
    words.iter().filter(field).map(|word| (**word).to_owned()).chain(quoted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_query_are_its_words_but_those_of_the_language() {
        let query = "filter message = 'called' and ispresent(`entry.changes`)\n| stats count(*) as calls, pct(duration_ms, 50) by service, @log\n| sort calls desc";
        let fields = ["duration_ms", "entry.changes", "message", "service"].map(str::to_owned);
        assert_eq!(named(query), fields.into());
    }
}
