//! Each queue, function and schedule has its alarms, and each alarm its section of docs/operate.md.

use std::collections::BTreeSet;

use local_runtime::bootstraps::root;
use tests::{alarms::Alarm, template};

/// What the alarms of the template watch, as `namespace metric value…`.
fn watched() -> BTreeSet<String> {
    let metric = |alarm: Alarm| {
        let metric = alarm.metric();
        let values = metric.dimensions.into_iter().filter(|(name, _)| name != "stack").map(|(_, value)| value);
        [metric.namespace, metric.name].into_iter().chain(values).collect::<Vec<_>>().join(" ")
    };
    Alarm::all(&template("http://localhost", &[]).monitoring).into_iter().map(metric).collect()
}

#[test]
fn every_queue_function_and_schedule_has_its_alarms() {
    let (template, watched) = (template("http://localhost", &[]), watched());
    let has = |what: String| assert!(watched.contains(&what), "there is no alarm on {what}");
    for queue in &template.resources.queues {
        let depth =
            template.functions.iter().all(|it| it.mappings.iter().all(|mapping| mapping.queue_arn != queue.arn));
        let metric = if depth { "ApproximateNumberOfMessagesVisible" } else { "ApproximateAgeOfOldestMessage" };
        has(format!("AWS/SQS {metric} {}", queue.name));
    }
    for function in &template.functions {
        for metric in ["Errors", "Throttles"] {
            has(format!("AWS/Lambda {metric} {}", function.name));
        }
        for schedule in &function.schedules {
            has(format!("Intertie SchedulesDone {}", schedule.name.strip_prefix("intertie-").unwrap()));
        }
    }
}

/// With a destination, because SQS does not know where messages come from that a function put there itself.
#[test]
fn the_alarm_on_a_dead_letter_queue_says_how_its_messages_are_sent_back() {
    let template = template("http://localhost", &[]);
    let arn = |name: &str| {
        let queue = template.resources.queues.iter().find(|queue| queue.name == name);
        queue.map_or_else(|| panic!("no queue {name}"), |queue| queue.arn.clone())
    };
    let mut count = 0;
    for alarm in Alarm::all(&template.monitoring).iter().filter(|alarm| alarm.alarm_name.ends_with("-dead")) {
        let (from, to) = (arn(&alarm.alarm_name), arn(alarm.alarm_name.strip_suffix("-dead").unwrap()));
        let command = format!("aws sqs start-message-move-task --source-arn {from} --destination-arn {to}");
        assert!(alarm.alarm_description.contains(&command), "{}", alarm.alarm_description);
        count += 1;
    }
    assert_eq!(count, template.resources.queues.iter().filter(|queue| queue.name.ends_with("-dead")).count());
}

#[test]
fn every_alarm_names_the_section_that_tells_of_it() {
    let document = std::fs::read_to_string(root().join("docs/operate.md")).unwrap();
    let anchor = |heading: &str| {
        let plain = heading.to_lowercase().replace(' ', "-");
        plain.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect::<String>()
    };
    let sections: Vec<_> = document.split("\n#").map(|section| section.trim_start_matches(['#', ' '])).collect();
    let functions: Vec<_> =
        template("http://localhost", &[]).functions.into_iter().map(|function| function.binary).collect();
    for alarm in Alarm::all(&template("http://localhost", &[]).monitoring) {
        let (_, named) =
            alarm.alarm_description.split_once("docs/operate.md#").unwrap_or_else(|| panic!("{}", alarm.alarm_name));
        let named = named.trim_end_matches([')', '.']);
        let section = sections.iter().find(|section| anchor(section.lines().next().unwrap_or_default()) == named);
        let section = section.unwrap_or_else(|| panic!("{}: there is no section {named}", alarm.alarm_name));
        // Those of functions are named once for all.
        let name = alarm.alarm_name.strip_prefix("intertie-").unwrap();
        let of_functions =
            functions.iter().find_map(|it| name.strip_prefix(it.as_str())).map(|rest| format!("{{function}}{rest}"));
        let said = |name: &str| section.contains(&format!("`{name}`"));
        assert!(said(name) || of_functions.as_deref().is_some_and(said), "{named} does not tell of {name}");
    }
}
