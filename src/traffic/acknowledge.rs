//! Whether the routers of a route act on it as it is now.
//!
//! A router says so in the route's status, for each parent: that it accepted the route and found everything the route
//! names, at the generation that it read. There is no word about the data plane; settling is the engine's.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    engine::observed::Acknowledged,
    traffic::{
        list, metadata,
        parent::{ParentKey, parents},
        text,
    },
};

/// The longest sentence about a refusal, in characters.
const SENTENCE_MAX: usize = 300;

/// Who acts on what is attached to a parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Controller {
    /// The controller of this name, and no other one.
    Known(String),
    /// It cannot be told, because the parent or its class may not be read, or is of a kind that names none. Then the
    /// word of whoever wrote one counts; and where several did, each may be the one that acts, so all must agree.
    Unknown,
    /// The parent does not exist, and why that is known.
    Missing(String),
}

/// What routers say, with the sentence about what is still waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They act on the route at its generation.
    Accepted,
    /// One refused it at its generation, and why.
    Refused(String),
    /// One has said nothing about this generation, and which.
    Silent(String),
}

/// Whether all routers of a route act on it as it is now. A parent that `controllers` does not name is
/// [`Controller::Unknown`].
pub fn acknowledged(live: &Value, controllers: &BTreeMap<ParentKey, Controller>) -> Acknowledged {
    match judged(live, controllers) {
        Verdict::Accepted => generation(live).map_or(Acknowledged::Silent, Acknowledged::At),
        Verdict::Refused(why) => Acknowledged::Refused(why),
        Verdict::Silent(_) => Acknowledged::Silent,
    }
}

/// As [`acknowledged`], with the sentence about who is silent.
pub fn judged(live: &Value, controllers: &BTreeMap<ParentKey, Controller>) -> Verdict {
    let Some(generation) = generation(live) else { return Verdict::Silent("the route has no generation".to_owned()) };
    let parents = parents(live);
    if parents.is_empty() {
        return Verdict::Silent("the route is attached to nothing".to_owned());
    }
    let verdicts = parents.iter().map(|parent| {
        let controller = controllers.get(parent).unwrap_or(&Controller::Unknown);
        about(live, parent, controller, generation).of(parent)
    });
    together(verdicts)
}

/// The generation of an object; none where it has none.
pub fn generation(live: &Value) -> Option<u64> {
    live.get("metadata")?.get("generation")?.as_u64()
}

fn about(live: &Value, parent: &ParentKey, controller: &Controller, generation: u64) -> Verdict {
    let namespace = metadata(live, "namespace").unwrap_or_default();
    let name = match controller {
        Controller::Missing(reason) => return Verdict::Silent(reason.clone()),
        Controller::Known(name) => Some(name.as_str()),
        Controller::Unknown => None,
    };
    let mut entries = live
        .get("status")
        .map_or(&[][..], |status| list(status, "parents"))
        .iter()
        .filter(|entry| entry.get("parentRef").is_some_and(|it| ParentKey::read(it, namespace) == *parent))
        .filter(|entry| name.is_none() || text(entry, "controllerName") == name)
        .peekable();
    if entries.peek().is_none() {
        let who = name.unwrap_or("its controller");
        return Verdict::Silent(format!("{who} has said nothing yet"));
    }
    together(entries.map(|entry| verdict(generation, list(entry, "conditions"))))
}

/// What the conditions of one router about one parent say of this generation.
pub fn verdict(generation: u64, conditions: &[Value]) -> Verdict {
    let yes = ["Accepted", "ResolvedRefs"].map(|kind| affirmed(generation, conditions, kind));
    let partly = conditions.iter().filter(|condition| text(condition, "type") == Some("PartiallyInvalid"));
    let partly = partly.filter(|condition| text(condition, "status") == Some("True"));
    let no =
        partly.map(
            |condition| {
                if is_current(generation, condition) { Verdict::Refused(sentence(condition)) } else { outdated() }
            },
        );
    together(yes.into_iter().chain(no))
}

/// Whether a condition that must be true is.
fn affirmed(generation: u64, conditions: &[Value], kind: &str) -> Verdict {
    let Some(condition) = conditions.iter().find(|condition| text(condition, "type") == Some(kind)) else {
        return Verdict::Silent(format!("it has not said {kind} yet"));
    };
    if !is_current(generation, condition) {
        return outdated();
    }
    match text(condition, "status") {
        Some("True") => Verdict::Accepted,
        Some("False") => Verdict::Refused(sentence(condition)),
        _ => Verdict::Silent(format!("it does not know {kind} yet")),
    }
}

fn outdated() -> Verdict {
    Verdict::Silent("what it says is not about this generation".to_owned())
}

/// Whether a condition is about this generation; one that does not say is not.
fn is_current(generation: u64, condition: &Value) -> bool {
    condition.get("observedGeneration").and_then(Value::as_u64) == Some(generation)
}

fn sentence(condition: &Value) -> String {
    let of = |field| text(condition, field).unwrap_or_default();
    format!("{} is {}: {}: {}", of("type"), of("status"), of("reason"), of("message"))
}

/// One refusal outweighs every silence, and one silence every yes; the first of each is told.
fn together(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.fold(Verdict::Accepted, |all, one| match (&all, &one) {
        (Verdict::Refused(_), _) | (Verdict::Silent(_), Verdict::Accepted | Verdict::Silent(_)) => all,
        _ => one,
    })
}

impl Verdict {
    fn of(self, parent: &ParentKey) -> Self {
        match self {
            Self::Accepted => Self::Accepted,
            Self::Refused(why) => Self::Refused(cut(&format!("{parent}: {why}"))),
            Self::Silent(why) => Self::Silent(cut(&format!("{parent}: {why}"))),
        }
    }
}

/// A text of others on one line, not longer than it may be.
fn cut(text: &str) -> String {
    let line = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SENTENCE_MAX {
        return line;
    }
    line.chars().take(SENTENCE_MAX - 1).chain(['…']).collect()
}
