//! Where the run is: progress, the step under way, and what a dry run would do.

use std::time::Duration;

use super::{GATE, SENTENCE_MAX, Scene};
use crate::{
    api::{
        deployment_status::{CurrentStep, Progress, StepAction},
        run::Plan,
    },
    engine::{
        moment::Moment,
        plan::{Reach, Strategy},
        share::Share,
        stage::Stage,
        state::Run,
    },
    rollout::words::{cut, number, time},
};

/// The most steps that a plan of a status shows.
const STEPS_MAX: usize = 100;

impl Scene<'_> {
    /// Whether the run only said what it would do.
    pub(super) fn is_dry_run(&self) -> bool {
        self.state().run.as_ref().is_some_and(|run| run.plan.reach != Reach::Deploy)
    }
}

/// How much of the run is done.
pub(super) fn progress(scene: &Scene<'_>) -> Option<Progress> {
    let run = scene.state().run.as_ref()?;
    let before = scene.before().and_then(|before| before.progress.clone()).unwrap_or_default();
    Some(Progress {
        percentage: number::<usize>(run.percentage()).max(before.percentage),
        completed_steps: number::<usize>(run.completed).max(before.completed_steps),
        total_steps: number(run.stages.len()),
    })
}

/// The step under way.
pub(super) fn current(scene: &Scene<'_>) -> Option<CurrentStep> {
    let run = scene.active()?;
    let stage = run.stage()?;
    let (action, details) = match &run.retreat {
        Some(_) => (StepAction::Rollback, back(scene)),
        None => (action(run, stage), details(run, stage, &scene.name(&run.revision))),
    };
    let began = if stage.is_hold() { run.reached.unwrap_or(run.entered) } else { run.entered };
    Some(CurrentStep {
        number: number(run.at + 1),
        action,
        details: Some(cut(&details, SENTENCE_MAX)),
        started_at: Some(time(began)),
    })
}

fn back(scene: &Scene<'_>) -> String {
    match &scene.state().stable {
        Some(stable) => format!("all traffic back to {}", scene.name(stable)),
        None => "the run ends; there is nothing to go back to".to_owned(),
    }
}

fn action(run: &Run, stage: &Stage) -> StepAction {
    let at_once = matches!(run.plan.strategy, Strategy::BlueGreen(_));
    match stage {
        Stage::Admit | Stage::Prepare(_) | Stage::Scale(_) => StepAction::Prepare,
        Stage::Weight(_) if at_once => StepAction::Switch,
        Stage::Turn if at_once && !run.plan.splits() => StepAction::Switch,
        Stage::Weight(_) => StepAction::SetWeight,
        Stage::Hold { .. } if checks_of(stage).is_empty() => StepAction::Pause,
        Stage::Hold { .. } => StepAction::Check,
        Stage::Approve => StepAction::Pause,
        Stage::Roll { .. } | Stage::Renew(_) => StepAction::Replace,
        Stage::Turn | Stage::Return => StepAction::Promote,
        Stage::Drain(_) | Stage::Retire => StepAction::ScaleDown,
    }
}

/// The names of the checks that a stage makes.
fn checks_of(stage: &Stage) -> &[String] {
    match stage {
        Stage::Hold { checks, .. } => checks,
        _ => &[],
    }
}

fn details(run: &Run, stage: &Stage, who: &str) -> String {
    match stage {
        Stage::Admit => format!("{who}: time and dependencies"),
        Stage::Prepare(share) | Stage::Scale(share) => format!("instances of {who} for {share} of the traffic"),
        Stage::Weight(share) => format!("{share} to {who}"),
        Stage::Hold { at_least, .. } => hold(run, stage, who, *at_least),
        Stage::Approve => format!("{}, {GATE}", stands(run, who)),
        Stage::Roll { .. } => format!("instances are replaced by those of {who}"),
        Stage::Turn => format!("the Service turns to {who}"),
        Stage::Return => format!("{who} is behind the Service, to which the traffic returns"),
        Stage::Drain(delay) => format!("the former revision keeps its instances{}", until(run, *delay, ", until ")),
        Stage::Retire => "the former revision gives up its instances".to_owned(),
        Stage::Renew(_) => format!("instances of {who} are replaced by new ones"),
    }
}

fn hold(run: &Run, stage: &Stage, who: &str, at_least: Duration) -> String {
    let checks = checks_of(stage);
    let mut parts = vec![stands(run, who)];
    if !checks.is_empty() {
        parts.push(format!("checks {}", checks.join(" and ")));
    }
    let next = if at_least > Duration::ZERO { until(run, at_least, "next step at ") } else { String::new() };
    parts.extend((!next.is_empty()).then_some(next));
    parts.join(", ")
}

/// The share that the candidate has been given so far.
fn stands(run: &Run, who: &str) -> String {
    let weight = |stage: &Stage| if let Stage::Weight(share) = stage { Some(*share) } else { None };
    let given = run.stages.iter().take(run.at + 1).rev().find_map(weight).unwrap_or(Share::NONE);
    format!("{given} to {who}")
}

fn until(run: &Run, time: Duration, words: &str) -> String {
    run.reached.map_or_else(String::new, |reached: Moment| format!("{words}{}", reached.after(time)))
}

/// What a dry run would do; none for a run that does it, and for a mere validation.
pub(super) fn plan(scene: &Scene<'_>) -> Option<Plan> {
    let run = scene.state().run.as_ref().filter(|run| run.plan.reach == Reach::DryRun)?;
    let mut steps: Vec<String> = run.stages.iter().map(|stage| cut(&stage.to_string(), SENTENCE_MAX)).collect();
    if steps.len() > STEPS_MAX {
        let more = steps.len() - STEPS_MAX + 1;
        steps.truncate(STEPS_MAX - 1);
        steps.push(format!("and {more} more"));
    }
    let seconds = run.stages.iter().map(|stage| run.plan.time_of(stage).as_secs()).sum::<u64>();
    Some(Plan { steps, estimated_seconds: i64::try_from(seconds).ok() })
}
