//! Scenario files: what is wanted, what happens when, and how it must end.

use std::collections::BTreeMap;

use serde::{Deserialize, de::value::StrDeserializer};

use crate::{
    engine::{command::Verb, phase::Phase, state::Code},
    simulation::plan::{PlanFile, SharePercent},
};

/// One story.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows.
    pub title: String,
    /// How it is rolled out.
    pub plan: PlanFile,
    /// How many pods are desired at first.
    #[serde(default = "ten")]
    pub pods: u32,
    /// What happens, one after the other.
    pub events: Vec<Event>,
    /// How it must end.
    pub expect: Expect,
    /// Pods fail in this story, so somebody may be unserved.
    #[serde(default)]
    pub outage: bool,
}

/// The end of a story.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The phase.
    pub phase: Phase,
    /// The stable revision; none where there is none.
    pub stable: Option<String>,
    /// The seconds that the story may take without faults.
    pub after: u64,
    /// Why the last run did not arrive.
    pub code: Option<Code>,
    /// How commands were answered; the beginning of the answer is enough.
    #[serde(default)]
    pub answers: BTreeMap<Verb, String>,
    /// The weights that the last run gave, in percent.
    pub weights: Option<Vec<u32>>,
    /// How the sentence about what is waited for begins.
    pub waits: Option<String>,
}

/// What happens, when the one before it has happened and its own time has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Event {
    /// Seconds after the event before it.
    pub after: u64,
    /// What must be the case: `phase Paused`, `weight 40`, `stage 3`.
    pub when: Option<When>,
    /// This revision is wanted.
    pub want: Option<String>,
    /// `spec.requestId` becomes this.
    pub request: Option<String>,
    /// A person gives a command.
    pub command: Option<Verb>,
    /// With `promote`: all that would wait.
    pub full: bool,
    /// With `rollback`: the revision.
    pub to: Option<String>,
    /// The run that the command names; the current one if it says nothing.
    pub run: Option<u64>,
    /// Checks of this revision fail from now on.
    pub bad: Option<String>,
    /// Pods of this revision never become ready.
    pub broken: Option<String>,
    /// Pods of this revision crash again and again.
    pub crashing: Option<String>,
    /// Somebody deletes a part of this revision, and what is left is not ready.
    pub torn: Option<String>,
    /// Somebody lets one of several Services select nothing.
    pub unturned: Option<Unturned>,
    /// Nothing is wrong any more with this revision.
    pub mended: Option<String>,
    /// All pods of this revision start anew.
    pub lose: Option<String>,
    /// This many pods are desired.
    pub pods: Option<u32>,
    /// `spec.paused`.
    pub paused: Option<bool>,
    /// `spec.stopped`.
    pub stopped: Option<bool>,
    /// Only a rehearsal, or no longer one.
    pub rehearse: Option<bool>,
    /// The status is lost.
    pub wipe: bool,
    /// The routes cannot be read.
    pub unknown_route: Option<bool>,
    /// Somebody gives the routes different shares: the first and the second of them.
    pub uneven: Option<[SharePercent; 2]>,
    /// The routes are deleted and made anew with this share.
    pub remade: Option<SharePercent>,
    /// The routers refuse the routes.
    pub refusing: Option<bool>,
    /// What is asked by checks has nothing to say.
    pub silent: Option<bool>,
    /// What the package depends on and is not there.
    pub missing: Option<Vec<String>>,
}

/// Of which Services one selects nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unturned {
    /// Those that clients know.
    Stable,
    /// Those of the revision under test.
    Candidate,
    /// One of each.
    Both,
}

/// What an event waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum When {
    /// This phase.
    Phase(Phase),
    /// The candidate Service has this share in force, in percent.
    Weight(u32),
    /// The run under way is in this stage.
    Stage(usize),
}

impl TryFrom<String> for When {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("when: write `phase Paused`, `weight 40` or `stage 3`, not `{text}`");
        let (what, value) = text.split_once(' ').ok_or_else(wrong)?;
        let phase = || Phase::deserialize(StrDeserializer::<serde::de::value::Error>::new(value)).map_err(|_| wrong());
        match what {
            "phase" => phase().map(Self::Phase),
            "weight" => value.parse().map(Self::Weight).map_err(|_| wrong()),
            "stage" => value.parse().map(Self::Stage).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

fn ten() -> u32 {
    10
}
