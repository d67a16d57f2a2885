//! The settings of a stack, checked before it starts or is deployed: what the template itself says of its parameters, and what the
//! functions would say of them at init.
//!
//! *Invariant:* all problems are reported together, each once.

use std::path::Path;

use domain::{Offered, call::limit::Rates};
use local_runtime::template::{Context, ParameterProblem, Template, TemplateError};
use platform::base::{rewrites::Rewrites, settings};
use providers::REGISTRY;

/// All that is wrong, one sentence each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct WrongSettings(pub Vec<String>);

/// Checks a template with these parameters. `rewrites` is what the environment has as `INTERTIE_URL_REWRITES`.
pub fn check(template: &Path, overrides: &[(String, String)], rewrites: &str) -> Result<(), WrongSettings> {
    let mut problems: Vec<_> = Rewrites::parse(rewrites)
        .err()
        .map(|problem| format!("INTERTIE_URL_REWRITES: {problem}"))
        .into_iter()
        .collect();
    match of_template(template, overrides) {
        Ok(found) => problems.extend(found),
        Err(error) => problems.push(error.to_string()),
    }
    if problems.is_empty() { Ok(()) } else { Err(WrongSettings(problems)) }
}

fn of_template(path: &Path, overrides: &[(String, String)]) -> Result<Vec<String>, TemplateError> {
    let unreadable = |source| TemplateError::Unreadable { file: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let (values, found) = Template::parameters(&text, overrides, &Context::nowhere())?;
    let refused: Vec<_> = found.iter().filter_map(name).collect();
    let mut problems: Vec<_> = found.iter().map(ToString::to_string).collect();
    // What the template refuses already is not reported again in other words.
    let of_values = settings::problems(|setting| {
        values.get(setting.parameter).filter(|_| !refused.contains(&setting.parameter)).cloned()
    });
    problems.extend(of_values.iter().map(ToString::to_string));
    problems.extend(values.iter().filter(|(name, _)| !refused.contains(&name.as_str())).filter_map(fraction));
    let offered = Offered::parse(values.get("Providers").map_or("", String::as_str)).unwrap_or_default();
    problems.extend(offered.check(&REGISTRY.ids()).err().map(|problem| problem.to_string()));
    problems.extend(unknown_limits(values.get("RateLimits").map_or("", String::as_str)));
    Ok(problems)
}

/// The parameter that a problem is about, if it is about the value of one.
fn name(problem: &ParameterProblem) -> Option<&str> {
    match problem {
        ParameterProblem::Value { name, .. } => Some(name),
        ParameterProblem::Unknown { .. } | ParameterProblem::Missing { .. } | ParameterProblem::Rule { .. } => None,
    }
}

/// CloudFormation's numbers may have fractions, and seconds and counts may not.
fn fraction((name, value): (&String, &String)) -> Option<String> {
    let of = if name.ends_with("Seconds") { " of seconds" } else { "" };
    let counts = ["Concurrency", "Count"].iter().any(|end| name.ends_with(end));
    let whole = (of.is_empty() && !counts) || value.parse::<u64>().is_ok();
    (!whole).then(|| format!("{name} is `{value}` and must be a whole number{of}"))
}

fn unknown_limits(rates: &str) -> Option<String> {
    let rates = Rates::parse(rates).ok()?;
    let unknown = rates.unknown(|name| REGISTRY.has_limit(name)).join(", ");
    let known: Vec<_> = REGISTRY.limits().map(|(provider, limit)| format!("{provider}/{limit}")).collect();
    let problem = || format!("RateLimits sets {unknown}, which is no provider's limit; there are {}", known.join(", "));
    (!unknown.is_empty()).then(problem)
}
