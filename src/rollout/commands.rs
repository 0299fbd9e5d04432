//! Annotations as commands.
//!
//! The value of `command.landfall.dev/<verb>` is `<run id or revision>[ full][ to=<revision>][ at=<text without
//! blanks>]`. All of it is the command's id: the same text is answered once, and `at=` makes the same wish a new command.
//! What is no command is answered too, with what one looks like: a wish is never dropped.

use std::collections::BTreeMap;

use crate::{
    api::{
        command::{ACTOR_ANNOTATION, COMMAND_PREFIX, CommandResult, Verb as ApiVerb},
        run::CommandAnswer,
    },
    engine::{
        command::{About, Answer, Command, Reply, Verb, With},
        moment::Moment,
        observed::Revision,
        phase::Phase,
        state::{Code, Purpose, State},
    },
    rollout::{
        record::{RUN_PREFIX, Record},
        words::{cut, time, verb, verb_of},
    },
};

/// The longest command, in characters.
const ID_MAX: usize = 128;

/// The longest name of a person, in characters.
const ACTOR_MAX: usize = 253;

/// The longest message of an answer, in characters.
const MESSAGE_MAX: usize = 1024;

/// The annotations that are no command and are answered nevertheless; with the verbs they fill the status's map.
const STRANGERS_MAX: usize = 6;

/// Who gave a command, where nobody vouches for it.
const UNVERIFIED: &str = "unverified";

/// What the value of a command looks like.
const GRAMMAR: &str = "<run id or revision>[ full][ to=<revision>][ at=<text without blanks>]";

/// Whether an admission policy sees to it that the actor annotation is true.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Actors {
    /// One does.
    Verified,
    /// None does: anybody can have written it.
    #[default]
    Unverified,
}

/// The run under way, or the last one, as commands name it and as the engine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current<'a> {
    /// `status.run.id`.
    pub id: &'a str,
    /// Its number in the engine's memory.
    pub number: u64,
}

/// What the annotations of an object ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The commands.
    pub commands: Vec<Command>,
    /// What is no command.
    pub refused: Vec<Refused>,
    /// Who gave them.
    pub by: String,
}

/// An annotation that is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The word after the prefix: a verb, or what was taken for one.
    pub word: String,
    /// Its value.
    pub id: String,
    /// What is wrong with it, and the remedy.
    pub message: String,
}

/// Reads the annotations of an object.
pub fn read(annotations: &BTreeMap<String, String>, actors: Actors, current: Option<Current<'_>>) -> Asked {
    let mut asked = Asked { by: actor(annotations, actors), ..Asked::default() };
    for (name, value) in annotations.iter().filter(|(name, _)| *name != ACTOR_ANNOTATION) {
        let Some(word) = name.strip_prefix(COMMAND_PREFIX) else { continue };
        match parse(word, value, current) {
            Ok(command) => asked.commands.push(command),
            Err(message) => asked.refused.push(Refused { word: word.to_owned(), id: cut(value, ID_MAX), message }),
        }
    }
    let is_verb = |refused: &Refused| ApiVerb::from_word(&refused.word).is_some();
    let mut strangers = 0;
    asked.refused.retain(|refused| {
        strangers += usize::from(!is_verb(refused));
        is_verb(refused) || strangers <= STRANGERS_MAX
    });
    asked
}

fn actor(annotations: &BTreeMap<String, String>, actors: Actors) -> String {
    let named = annotations.get(ACTOR_ANNOTATION).filter(|name| actors == Actors::Verified && !name.is_empty());
    named.map_or_else(|| UNVERIFIED.to_owned(), |name| cut(name, ACTOR_MAX))
}

fn parse(word: &str, value: &str, current: Option<Current<'_>>) -> Result<Command, String> {
    let verb = ApiVerb::from_word(word).and_then(verb_of).ok_or_else(|| no_verb(word))?;
    if value.chars().count() > ID_MAX {
        return Err(format!("the value has more than {ID_MAX} characters: write {GRAMMAR}"));
    }
    let mut words = value.split_whitespace();
    let subject = words.next().ok_or_else(|| format!("the value is empty: write {GRAMMAR}"))?;
    let mut options = Options::default();
    for option in words {
        options.take(verb, option)?;
    }
    if subject == "full" || subject.contains('=') {
        return Err(format!("the value names no run and no revision: write {GRAMMAR}"));
    }
    Ok(Command { verb, id: value.to_owned(), about: about(subject, current), with: options.with })
}

fn no_verb(word: &str) -> String {
    let verbs: Vec<_> = ApiVerb::ALL.iter().map(|verb| verb.word()).collect();
    cut(&format!("{word} is no command: use one of {}", verbs.join(", ")), MESSAGE_MAX)
}

#[derive(Default)]
struct Options {
    with: Option<With>,
    nonce: Option<()>,
}

impl Options {
    fn take(&mut self, verb: Verb, option: &str) -> Result<(), String> {
        match (option.split_once('='), verb) {
            (None, Verb::Promote) if option == "full" => once(&mut self.with, With::Full, option),
            (Some(("to", revision)), Verb::Rollback) if !revision.is_empty() => {
                once(&mut self.with, With::To(Revision(revision.to_owned())), option)
            }
            (Some(("at", _)), _) => once(&mut self.nonce, (), option),
            (None, _) if option == "full" => Err("`full` belongs to promote: leave it out".to_owned()),
            (Some(("to", _)), _) => Err("`to=<revision>` belongs to rollback: leave it out, or name one".to_owned()),
            _ => Err(format!("`{option}` is not understood: write {GRAMMAR}")),
        }
    }
}

fn once<T>(slot: &mut Option<T>, value: T, option: &str) -> Result<(), String> {
    if slot.replace(value).is_some() {
        return Err(format!("`{option}` is one too many: write {GRAMMAR}"));
    }
    Ok(())
}

/// A run that is not the current one has a number that no run ever has, so the engine answers that it is stale.
fn about(subject: &str, current: Option<Current<'_>>) -> About {
    match current {
        Some(current) if current.id == subject => About::Run(current.number),
        _ if subject.starts_with(RUN_PREFIX) => About::Run(0),
        _ => About::Revision(Revision(subject.to_owned())),
    }
}

/// The answers as the status has them, by verb.
pub fn answers(
    asked: &Asked,
    record: &Record,
    prior: &BTreeMap<String, CommandAnswer>,
    now: Moment,
) -> BTreeMap<String, CommandAnswer> {
    let mut answers = BTreeMap::new();
    for (verb_of_engine, answer) in &record.state.answers {
        let word = verb(*verb_of_engine).word();
        let said = tell(asked, record, (*verb_of_engine, answer), prior.get(word));
        answers.insert(word.to_owned(), said);
    }
    for refused in &asked.refused {
        answers.insert(refused.word.clone(), refuse(asked, refused, prior.get(&refused.word), now));
    }
    answers
}

fn tell(asked: &Asked, record: &Record, said: (Verb, &Answer), prior: Option<&CommandAnswer>) -> CommandAnswer {
    let (verb, answer) = said;
    let prior = prior.filter(|prior| prior.id == answer.id);
    let (result, message) = match &answer.result {
        Reply::Done if is_under_way(record, verb, answer) => (CommandResult::Accepted, None),
        Reply::Done => (CommandResult::Done, None),
        Reply::Stale => (CommandResult::Stale, Some(stale(&record.state))),
        Reply::Refused(why) => (CommandResult::Refused, Some(cut(why, MESSAGE_MAX))),
    };
    CommandAnswer {
        id: cut(&answer.id, ID_MAX),
        at: time(answer.at),
        by: prior.map_or_else(|| asked.by.clone(), |prior| prior.by.clone()),
        result,
        // What was there at the time is said once: later runs come and go.
        message: prior.filter(|_| result == CommandResult::Stale).map_or(message, |prior| prior.message.clone()),
    }
}

fn stale(state: &State) -> String {
    match &state.run {
        Some(run) => format!("it names another run or revision than the one that is there, {}", run.revision),
        None => "it names a run or revision, and there is none yet".to_owned(),
    }
}

/// Whether what a command began is not over yet.
fn is_under_way(record: &Record, verb: Verb, answer: &Answer) -> bool {
    let state = &record.state;
    let run = state.active();
    let back = |code| run.is_some_and(|run| run.retreat.as_ref().is_some_and(|failure| failure.code == code));
    // A run that a command started began at the moment of its answer.
    let at_its_answer = record.started.is_some_and(|started| started.at == answer.at);
    let started = |purpose| at_its_answer && run.is_some_and(|run| run.purpose == purpose);
    match verb {
        Verb::Abort => back(Code::Aborted),
        Verb::Cancel => back(Code::Cancelled),
        Verb::Stop => state.stopped.is_some() && state.phase != Phase::Stopped,
        Verb::Rollback => started(Purpose::Rollback),
        Verb::Restart => started(Purpose::Restart),
        Verb::Pause | Verb::Resume | Verb::Promote | Verb::Skip | Verb::Retry => false,
    }
}

fn refuse(asked: &Asked, refused: &Refused, prior: Option<&CommandAnswer>, now: Moment) -> CommandAnswer {
    let fresh = CommandAnswer {
        id: refused.id.clone(),
        at: time(now),
        by: asked.by.clone(),
        result: CommandResult::Refused,
        message: Some(cut(&refused.message, MESSAGE_MAX)),
    };
    match prior.filter(|prior| prior.id == fresh.id && prior.message == fresh.message) {
        Some(prior) => prior.clone(),
        None => fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURRENT: Current<'_> = Current { id: "deploy-0123456789", number: 7 };

    fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(word, value)| (format!("{COMMAND_PREFIX}{word}"), (*value).to_owned())).collect()
    }

    fn one(word: &str, value: &str) -> Asked {
        read(&annotations(&[(word, value)]), Actors::Unverified, Some(CURRENT))
    }

    fn command(word: &str, value: &str) -> Command {
        let mut asked = one(word, value);
        assert_eq!(asked.refused, []);
        asked.commands.remove(0)
    }

    #[test]
    fn a_command_names_the_current_run_another_one_or_a_revision() {
        assert_eq!(command("abort", CURRENT.id).about, About::Run(7));
        assert_eq!(command("abort", "deploy-9876543210").about, About::Run(0));
        assert_eq!(command("abort", "7c9fbd2468").about, About::Revision(Revision("7c9fbd2468".to_owned())));
        assert_eq!(
            read(&annotations(&[("abort", CURRENT.id)]), Actors::Verified, None).commands[0].about,
            About::Run(0)
        );
    }

    #[test]
    fn the_whole_text_is_the_commands_name() {
        let text = "deploy-0123456789 full at=4711";
        let promote = command("promote", text);
        assert_eq!((promote.id.as_str(), promote.with, promote.verb), (text, Some(With::Full), Verb::Promote));
        let back = command("rollback", "abc to=def at=x=y");
        assert_eq!(back.with, Some(With::To(Revision("def".to_owned()))));
        assert_eq!(command("skip", "  abc  ").id, "  abc  ");
    }

    #[test]
    fn what_is_no_command_is_answered_with_what_one_looks_like() {
        let long = "x".repeat(200);
        for (word, value) in [
            ("abort", ""),
            ("abort", "  "),
            ("abort", "abc full"),
            ("abort", "abc to=def"),
            ("rollback", "abc to="),
            ("promote", "full"),
            ("promote", "abc full full"),
            ("promote", "abc at=1 at=2"),
            ("promote", "abc now"),
            ("pause", long.as_str()),
            ("promte", "abc"),
            ("unknown", "abc"),
        ] {
            let asked = one(word, value);
            assert_eq!((asked.commands.len(), asked.refused.len()), (0, 1), "{word}: {value}");
            let refused = &asked.refused[0];
            assert!(refused.message.contains(": "), "{}", refused.message);
            assert_eq!((refused.word.as_str(), refused.id.chars().count() <= ID_MAX), (word, true));
        }
    }

    #[test]
    fn strangers_leave_room_for_every_verb() {
        let mut many: BTreeMap<String, String> =
            ApiVerb::ALL.iter().map(|verb| (verb.annotation(), String::new())).collect();
        many.extend((0..20).map(|n| (format!("{COMMAND_PREFIX}a{n}"), "abc".to_owned())));
        let asked = read(&many, Actors::Unverified, None);
        assert_eq!(asked.refused.len(), 16);
        assert!(ApiVerb::ALL.iter().all(|verb| asked.refused.iter().any(|refused| refused.word == verb.word())));
        assert_eq!(answers(&asked, &Record::default(), &BTreeMap::new(), Moment(0)).len(), 16);
    }

    #[test]
    fn who_gave_it_is_said_only_where_somebody_vouches_for_it() {
        let both = annotations(&[("abort", "abc"), ("actor", "jane")]);
        assert_eq!(read(&both, Actors::Verified, None).by, "jane");
        assert_eq!(read(&both, Actors::Unverified, None).by, "unverified");
        assert_eq!(read(&annotations(&[("abort", "abc")]), Actors::Verified, None).by, "unverified");
        assert_eq!(read(&both, Actors::Verified, None).refused, []);
    }

    #[test]
    fn an_answer_keeps_its_time_and_its_giver() {
        let mut record = Record::default();
        let reply = Reply::Refused("no gate waits".to_owned());
        record.state.answers.insert(Verb::Promote, Answer { id: "abc".to_owned(), at: Moment(5_000), result: reply });
        let asked = Asked { by: "jane".to_owned(), ..one("skip", "") };
        let first = answers(&asked, &record, &BTreeMap::new(), Moment(9_000));
        let later = answers(&Asked { by: "joe".to_owned(), ..asked }, &record, &first, Moment(20_000));
        assert_eq!(first, later);
        assert_eq!(first["promote"].message.as_deref(), Some("no gate waits"));
        assert_eq!((first["promote"].at.clone(), first["skip"].at.clone()), (time(Moment(5_000)), time(Moment(9_000))));
        assert!(first.values().all(|answer| answer.by == "jane" && answer.result == CommandResult::Refused));
    }
}
