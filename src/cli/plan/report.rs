//! A plan in words, for people. Pure; every text of the cluster is cleaned.

use std::time::Duration;

use super::outlook::{CheckLine, Named, Outlook, StepLine, StepState};
use crate::cli::{
    objects::short_span,
    terminal::{clean, lines},
};

/// The whole plan.
pub fn text(outlook: &Outlook) -> String {
    let parts = [head(outlook), problems(outlook), steps(outlook), checks(outlook), actions(outlook)];
    let said = parts.into_iter().flatten().chain([String::new(), verdict(outlook)]);
    lines(said.map(|line| clean(&line).trim_end().to_owned()))
}

fn head(outlook: &Outlook) -> Vec<String> {
    let same = || outlook.phase == outlook.next_phase;
    let phase = if same() { outlook.phase.clone() } else { format!("{} → {}", outlook.phase, outlook.next_phase) };
    let mut rows = vec![
        format!("Deployment {}/{}", outlook.namespace, outlook.name),
        row("runs", &outlook.running.as_ref().map_or_else(|| "nothing".to_owned(), revision)),
        row("wanted", &wanted(outlook)),
    ];
    rows.extend(outlook.strategy.as_ref().map(|strategy| row("strategy", strategy)));
    rows.push(row("phase", &phase));
    rows.extend(outlook.waiting_for.as_ref().map(|sentence| row("waits for", sentence)));
    rows
}

fn row(title: &str, text: &str) -> String {
    format!("  {title:<11}{text}")
}

fn revision(named: &Named) -> String {
    let version = if named.version.is_empty() { "a version that is not known" } else { &named.version };
    format!("{version} (revision {})", named.hash)
}

fn wanted(outlook: &Outlook) -> String {
    match &outlook.wanted {
        Some(wanted) if outlook.differs => revision(wanted),
        Some(wanted) => format!("{}, which is what runs", revision(wanted)),
        None => "that cannot be told".to_owned(),
    }
}

fn problems(outlook: &Outlook) -> Vec<String> {
    let rows = outlook.problems.iter().map(|problem| format!("  {}: {}", problem.reason, problem.message));
    titled("What stands against it", rows.chain(outlook.notes.iter().map(|note| format!("  {note}"))).collect())
}

fn steps(outlook: &Outlook) -> Vec<String> {
    let span = outlook.estimated_seconds.map(|seconds| short_span(i64::try_from(seconds).unwrap_or(i64::MAX)));
    let title = match span {
        Some(span) if outlook.estimated_seconds > Some(Duration::ZERO.as_secs()) => {
            format!("Steps, {span} from here beside the time of pods and people")
        }
        _ => "Steps".to_owned(),
    };
    titled(&title, outlook.steps.iter().map(step).collect())
}

fn step(step: &StepLine) -> String {
    let mark = match step.state {
        StepState::Done => '✓',
        StepState::Current => '→',
        StepState::Open => ' ',
    };
    format!("  {mark} {:>2}  {}", step.number, step.details)
}

fn checks(outlook: &Outlook) -> Vec<String> {
    titled("Checks", outlook.checks.iter().map(check).collect())
}

fn check(check: &CheckLine) -> String {
    let steps: Vec<String> = check.steps.iter().map(ToString::to_string).collect();
    let place = match steps.as_slice() {
        [] => "in no step".to_owned(),
        [one] => format!("in step {one}"),
        _ => format!("in steps {}", steps.join(", ")),
    };
    format!("  {} {place}: {}", check.name, check.asks)
}

fn actions(outlook: &Outlook) -> Vec<String> {
    titled("The next look would", outlook.actions.iter().map(|action| format!("  - {}", action.details)).collect())
}

fn titled(title: &str, rows: Vec<String>) -> Vec<String> {
    if rows.is_empty() { rows } else { [vec![String::new(), title.to_owned()], rows].concat() }
}

fn verdict(outlook: &Outlook) -> String {
    if outlook.changes { "Something would change." } else { "Nothing would change." }.to_owned()
}
