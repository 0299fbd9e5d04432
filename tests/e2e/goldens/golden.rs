//! What a transcript tells and what a witness saw, in the same words, and where they differ.

use std::{collections::BTreeMap, fmt};

use landfall::{
    api::deployment_status::{DeploymentStatus, Phase},
    engine::state::Code,
    rollout::words::code,
};
use serde_json::json;

use crate::stage::witness::{self, Sight};

/// One thing that happened in a world, said in the same words for both.
///
/// Compared are, each change once and in this order of time: the phase together with the part of its steps that a run has
/// done, which names the step; the pods that a revision is asked to have; the weight that is written into the route; the
/// revisions that each Service is to select; and how a run ended, with the stable revision or the code of the error.
///
/// Left out, because the worlds must differ in it: times and how often somebody looked; what is waited for, which tells how
/// far pods and routers are; single measurements, which pass with time; and sentences, in which both name their own hashes
/// and addresses. Answers to commands are seen by what follows from them. A status without a run is left out too: before
/// its first decision the operator says there that it does not know the world yet. How a rolling replacement counts pods
/// depends on which of them are ready first, so no scenario of one is played here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Happening {
    of: String,
    is: String,
}

impl Happening {
    fn new(of: impl Into<String>, is: impl Into<String>) -> Self {
        Self { of: of.into(), is: is.into() }
    }

    fn stands(phase: Phase, percentage: i32) -> Self {
        Self::new("run", format!("{phase}, {percentage} % of its steps done"))
    }

    fn pods(revision: &str, pods: &str) -> Self {
        Self::new(format!("pods of {revision}"), pods)
    }

    fn selects(service: &str, mut revisions: Vec<String>) -> Self {
        revisions.sort();
        Self::new(format!("{service} Service"), revisions.join(" and "))
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.of, self.is)
    }
}

/// What was said last of everything: only a change is a happening.
#[derive(Default)]
struct Known(BTreeMap<String, String>);

impl Known {
    fn is_news(&mut self, happening: &Happening) -> bool {
        self.0.insert(happening.of.clone(), happening.is.clone()).as_ref() != Some(&happening.is)
    }
}

/// What a transcript tells.
#[derive(Default)]
pub struct Golden {
    /// In their order.
    steps: Vec<Told>,
    /// How many happenings there are before each event.
    pub events: Vec<usize>,
}

/// What stands together are the writes of one step of the engine, which are carried out side by side: no order of theirs
/// means anything.
struct Told {
    step: Vec<Happening>,
    /// The line of the transcript.
    line: String,
}

impl Told {
    /// What is missing of it where only this has happened.
    fn missing(&self, now: &[Happening]) -> Vec<Happening> {
        self.step.iter().filter(|happening| !now.contains(happening)).cloned().collect()
    }

    /// What of this is not told here.
    fn strange<'a>(&self, now: &'a [Happening]) -> Option<&'a Happening> {
        now.iter().find(|happening| !self.step.contains(happening))
    }
}

impl Golden {
    pub fn read(text: &str) -> Self {
        let (mut golden, mut known) = (Self::default(), Known::default());
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (_, told) = line.split_once(" s  ").expect("a line begins with its second");
            if told.starts_with(">>") {
                golden.events.push(golden.count());
                continue;
            }
            for mut step in steps(told) {
                step.retain(|happening| known.is_news(happening));
                golden.steps.extend((!step.is_empty()).then(|| Told { step, line: line.to_owned() }));
            }
        }
        golden
    }

    /// How many happenings it tells.
    pub fn count(&self) -> usize {
        self.steps.iter().map(|told| told.step.len()).sum()
    }

    /// The first thing that happened and cannot belong to this story, in words; none where all may go on as told.
    pub fn contradiction(&self, happened: &[Happening]) -> Option<String> {
        let mut rest = happened;
        for told in &self.steps {
            let (now, later) = rest.split_at(told.step.len().min(rest.len()));
            if let Some(strange) = told.strange(now) {
                let others: Vec<Happening> = now.iter().filter(|happening| *happening != strange).cloned().collect();
                return Some(verdict((&told.missing(&others), &told.line), &strange.to_string(), happened));
            }
            rest = later;
        }
        let more = rest.first()?;
        Some(verdict((&[], "(its end)"), &more.to_string(), happened))
    }

    /// Where what happened differs from the whole story, in words; none where it does not.
    pub fn difference(&self, happened: &[Happening]) -> Option<String> {
        self.contradiction(happened).or_else(|| {
            let mut count = 0;
            let told = self.steps.iter().find(|told| {
                count += told.step.len();
                count > happened.len()
            })?;
            let before = count - told.step.len();
            let missing = told.missing(&happened[before..]);
            Some(verdict((&missing, &told.line), "nothing more", happened))
        })
    }
}

/// What both worlds say where they part, and what happened before.
fn verdict((missing, line): (&[Happening], &str), real: &str, happened: &[Happening]) -> String {
    let list = |happenings: &[Happening], end: &str| {
        happenings.iter().map(|happening| format!("{happening}{end}")).collect::<Vec<_>>()
    };
    let golden = if missing.is_empty() { "nothing more".to_owned() } else { list(missing, "").join(", or ") };
    let all = list(happened, "\n").concat();
    format!(
        "the golden:       {golden}\n  in its line:    {}\nthe real cluster: {real}\n\nAll that happened:\n{all}",
        line.trim()
    )
}

/// What a line tells after its second.
fn steps(told: &str) -> [Vec<Happening>; 3] {
    let (stands, rest) = told.split_once(" %  ").expect("a line says how much is done");
    let (phase, percentage) = stands.split_once(' ').expect("a line begins with the phase");
    let phase: Phase = serde_json::from_value(json!(phase)).unwrap();
    let (actions, sentence) = rest.split_once(" | ").unwrap_or(("", rest));
    let said = Happening::stands(phase, percentage.trim().parse().unwrap());
    let end = phase.is_terminal().then(|| Happening::new("end", ending(sentence)));
    let mut written: Vec<Happening> = actions.split(", ").filter_map(action).collect();
    written.sort();
    [vec![said], Vec::from_iter(end), written]
}

/// How a run ended, from the sentence about it.
fn ending(sentence: &str) -> String {
    let code_of = |word: &str| code(serde_json::from_value::<Code>(json!(word)).unwrap()).to_owned();
    match sentence.split_once(" is stable") {
        Some((revision, _)) => format!("{revision} is stable"),
        None => code_of(sentence.split_once(": ").expect("a run that did not arrive says why").0),
    }
}

/// An action of a transcript; none for one that writes nothing.
fn action(text: &str) -> Option<Happening> {
    let words: Vec<&str> = text.split(' ').collect();
    Some(match words[..] {
        [""] | ["measure", _] => return None,
        ["create", revision, "with", pods, "pods"] | ["scale", revision, "from", _, "to", pods] => {
            Happening::pods(revision, pods)
        }
        ["candidate", "weight", share, "%"] => Happening::new("weight", share),
        [service, "Service", "selects", ref revisions @ ..] => {
            let revisions = revisions.iter().filter(|word| **word != "and");
            Happening::selects(service, revisions.map(|word| (*word).to_owned()).collect())
        }
        _ => panic!("`{text}` cannot be compared yet"),
    })
}

/// What happened on the real cluster, from the log of its witness.
pub fn happenings(log: &[witness::Event]) -> Vec<Happening> {
    let names = names(log);
    let name = |hash: &String| names.get(hash).unwrap_or(hash).clone();
    let mut known = Known::default();
    let said = log.iter().flat_map(|event| match &event.sight {
        Sight::Weight(percent) => vec![Happening::new("weight", percent.to_string())],
        Sight::Scale { revision, pods } => vec![Happening::pods(&name(revision), &pods.to_string())],
        Sight::Selects { role, revisions } => {
            vec![Happening::selects(role.as_str(), revisions.iter().map(name).collect())]
        }
        Sight::Status(status) => of_status(status),
    });
    said.filter(|happening| known.is_news(happening)).collect()
}

fn of_status(status: &DeploymentStatus) -> Vec<Happening> {
    let (Some(phase), Some(progress), Some(_)) = (status.phase, &status.progress, &status.run) else {
        return Vec::new();
    };
    let stable = || status.revision.as_ref().and_then(|revisions| revisions.stable.as_ref());
    let ending = match &status.error {
        Some(error) => error.code.clone(),
        None => format!("{} is stable", stable().map_or("none".to_owned(), |stable| named(&stable.version))),
    };
    let end = phase.is_terminal().then(|| Happening::new("end", ending));
    [Happening::stands(phase, progress.percentage)].into_iter().chain(end).collect()
}

/// The revisions of all statuses as scenarios name them, by hash.
pub fn names(log: &[witness::Event]) -> BTreeMap<String, String> {
    let revisions = log.iter().filter_map(|event| match &event.sight {
        Sight::Status(status) => status.revision.as_ref(),
        _ => None,
    });
    let all = revisions.flat_map(|revisions| revisions.stable.iter().chain(&revisions.candidate));
    all.map(|revision| (revision.hash.clone(), named(&revision.version))).collect()
}

pub fn named(version: &str) -> String {
    format!("v{}", version.trim_end_matches(".0.0"))
}
