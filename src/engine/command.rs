//! Commands: what a person asked for, whether it applies, and what it changes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::engine::{
    moment::Moment,
    observed::Revision,
    plan::Ability,
    rollback,
    stage::Stage,
    state::{Approval, Code, Hold, Run, State, Stop},
    step::Wanted,
};

/// What may be asked, in the order in which commands of one look are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Back to the stable revision.
    Abort,
    /// Everything down.
    Stop,
    /// End a run before traffic moved.
    Cancel,
    /// Hold.
    Pause,
    /// Release the hold.
    Resume,
    /// Pass the gate that waits.
    Promote,
    /// End the current hold.
    Skip,
    /// Return to a kept revision.
    Rollback,
    /// Try again.
    Retry,
    /// Up again after a stop, or with new pods.
    Restart,
}

/// What a command is about. One that is about something else than what is there now is answered as stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A run by its number.
    Run(u64),
    /// A revision.
    Revision(Revision),
}

/// A command as it stands on the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What is asked.
    pub verb: Verb,
    /// Its own name: a command is answered once.
    pub id: String,
    /// What it is about.
    pub about: About,
    /// `promote`: all that would wait; `rollback`: the kept revision.
    pub with: Option<With>,
}

/// What a command says beside its verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum With {
    /// All remaining gates.
    Full,
    /// This revision.
    To(Revision),
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The command's name.
    pub id: String,
    /// When it was answered.
    pub at: Moment,
    /// What came of it.
    pub result: Reply,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It was carried out.
    Done,
    /// It is about something that is not there any more.
    Stale,
    /// It does not apply, and what would.
    Refused(String),
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Stale => f.write_str("stale"),
            Self::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

/// Answers every command that has no answer yet, in their order. Returns a note for each.
pub fn answer(state: &mut State, wanted: &Wanted, commands: &[Command], now: Moment) -> Vec<String> {
    let mut open: Vec<&Command> = commands.iter().filter(|command| is_open(state, command)).collect();
    open.sort_by(|a, b| (a.verb, &a.id).cmp(&(b.verb, &b.id)));
    open.into_iter().map(|command| answer_one(state, wanted, command, now)).collect()
}

/// The answer to commands on an object of which nothing is remembered: whatever they name, it is not this.
pub fn answer_stale(state: &mut State, commands: &[Command], now: Moment) -> Vec<String> {
    let open: Vec<&Command> = commands.iter().filter(|command| is_open(state, command)).collect();
    open.into_iter().map(|command| record(state, command, Reply::Stale, now)).collect()
}

fn is_open(state: &State, command: &Command) -> bool {
    state.answers.get(&command.verb).is_none_or(|answer| answer.id != command.id)
}

fn answer_one(state: &mut State, wanted: &Wanted, command: &Command, now: Moment) -> String {
    let reply = if is_about(state, command) { carry_out(state, wanted, command, now) } else { Reply::Stale };
    record(state, command, reply, now)
}

fn record(state: &mut State, command: &Command, result: Reply, at: Moment) -> String {
    let note = format!("{} {}: {result}", command.verb, command.id);
    state.answers.insert(command.verb, Answer { id: command.id.clone(), at, result });
    note
}

fn is_about(state: &State, command: &Command) -> bool {
    let run = state.run.as_ref();
    match &command.about {
        About::Run(number) => run.is_some_and(|run| run.number == *number),
        About::Revision(revision) => {
            run.is_some_and(|run| run.revision == *revision)
                || (state.active().is_none() && state.stable.as_ref() == Some(revision))
        }
    }
}

fn carry_out(state: &mut State, wanted: &Wanted, command: &Command, now: Moment) -> Reply {
    match command.verb {
        Verb::Abort => moving(state, |run| abort(run, now)),
        Verb::Stop => stop(state),
        Verb::Cancel => cancel(state),
        Verb::Pause => moving(state, pause),
        Verb::Resume => moving(state, |run| resume(run, now)),
        Verb::Promote => moving(state, |run| promote(run, command.with.as_ref(), now)),
        Verb::Skip => moving(state, |run| skip(run, now)),
        Verb::Rollback => rollback::start(state, wanted, command.with.as_ref(), now),
        Verb::Retry => retry(state, now),
        Verb::Restart => rollback::restart(state, wanted, now),
    }
}

/// Applies to a run that goes forward.
fn moving(state: &mut State, apply: impl FnOnce(&mut Run) -> Reply) -> Reply {
    match state.active_mut() {
        None => Reply::Refused("no run is under way".to_owned()),
        Some(run) if run.retreat.is_some() => Reply::Refused("the run is rolling back".to_owned()),
        Some(run) => apply(run),
    }
}

fn abort(run: &mut Run, now: Moment) -> Reply {
    run.turn_back(Code::Aborted, format!("aborted by command at {now}"));
    Reply::Done
}

fn stop(state: &mut State) -> Reply {
    if state.stopped.is_some() {
        return Reply::Refused("it is stopped".to_owned());
    }
    state.stopped = Some(Stop::Command);
    Reply::Done
}

fn cancel(state: &mut State) -> Reply {
    let untouched = state.active().is_some_and(|run| !run.has_moved());
    moving(state, |run| {
        if !untouched {
            return Reply::Refused("traffic has moved; use abort".to_owned());
        }
        run.turn_back(Code::Cancelled, "cancelled by command before traffic moved");
        Reply::Done
    })
}

fn pause(run: &mut Run) -> Reply {
    match (&run.hold, run.plan.capabilities.pause) {
        (_, Ability::Cannot) => Reply::Refused("this kind of package cannot be paused".to_owned()),
        (Some(_), _) => Reply::Refused("the run is held".to_owned()),
        (None, Ability::Can) => {
            run.hold = Some(Hold::Person);
            Reply::Done
        }
    }
}

fn resume(run: &mut Run, now: Moment) -> Reply {
    match run.hold {
        None => Reply::Refused("nothing holds the run".to_owned()),
        Some(Hold::Spec) => Reply::Refused("spec.paused holds the run; change the spec".to_owned()),
        Some(Hold::Failed(_)) => Reply::Refused("a failure holds the run; promote, abort or retry".to_owned()),
        Some(Hold::Person | Hold::Recovered) => {
            run.release(now);
            Reply::Done
        }
    }
}

fn promote(run: &mut Run, with: Option<&With>, now: Moment) -> Reply {
    if with == Some(&With::Full) {
        run.approved = Some(Approval::Full);
        run.release(now);
        return Reply::Done;
    }
    match run.hold {
        Some(Hold::Failed(_)) => {
            run.release(now);
            run.approved = Some(Approval::Stage);
            Reply::Done
        }
        Some(_) => Reply::Refused("the run is held; use resume".to_owned()),
        None if run.waits_for_approval() => {
            run.approved = Some(Approval::Stage);
            Reply::Done
        }
        None => Reply::Refused("no gate waits".to_owned()),
    }
}

fn skip(run: &mut Run, now: Moment) -> Reply {
    if !run.stage().is_some_and(Stage::is_hold) {
        return Reply::Refused("the current step moves traffic or pods and cannot be skipped".to_owned());
    }
    run.enter(run.at + 1, now);
    Reply::Done
}

fn retry(state: &mut State, now: Moment) -> Reply {
    if let Some(run) = state.active()
        && !matches!(run.hold, Some(Hold::Failed(_)))
    {
        return Reply::Refused("a run is under way".to_owned());
    }
    if let Some(run) = state.active_mut() {
        run.measure_again(now);
        return Reply::Done;
    }
    let ended = state.run.as_ref().and_then(|run| run.outcome.as_ref()).is_some_and(|end| end.failure.is_some());
    if !ended && state.rejected.is_empty() {
        return Reply::Refused("nothing failed".to_owned());
    }
    state.rejected.clear();
    state.attempted = None;
    Reply::Done
}
