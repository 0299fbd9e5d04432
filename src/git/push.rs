//! How a branch is moved, and how the answer is read.
//!
//! One command: the branch, what it leads to and what it is to lead to. The server carries it out only if the first is still so.
//! The pack has what is new; whatever else it rests on, the server has. What the server says of a refusal is for people: it
//! is cut, and what looks like a credential of ours is not repeated.

use super::{
    error::GitError,
    packet::{Packet, Packets, flush, line},
    secret::Credentials,
    wire::Wire,
};

/// The most that is read of what a server says about a push.
pub(super) const REPORT_MAX: u64 = 1024 * 1024;
/// The most that is kept of what it says to people.
const TALK_MAX: usize = 4096;
/// The most letters of a refusal that are handed on.
const REFUSAL_MAX: usize = 500;
/// What a branch that is not there leads to.
const NOTHING: &str = "0000000000000000000000000000000000000000";

/// A branch that is to be moved.
#[derive(Debug, Clone)]
pub struct Push {
    /// Its name.
    pub branch: String,
    /// What it leads to now; none where it is not there.
    pub from: Option<String>,
    /// What it is to lead to.
    pub to: String,
    /// Another branch, and what it has to lead to.
    pub provided: Option<(String, String)>,
    /// What of it is new.
    pub pack: Vec<u8>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It leads there.
    Moved,
    /// It, or the other branch, leads to something else than was thought. Nothing was changed.
    Elsewhere,
    /// The server refuses: why, in its own words.
    Refused(String),
}

/// What the server says.
#[derive(Debug, Default)]
struct Report {
    unpacked: bool,
    outcome: Option<Result<(), String>>,
    trouble: Option<String>,
    talk: Vec<u8>,
}

/// The request, to a server that can do these things.
pub(super) fn request(push: &Push, can: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut message = Vec::new();
    let common: Vec<&str> = CAPABILITIES.into_iter().filter(|capability| can(capability)).collect();
    let from = push.from.as_deref().unwrap_or(NOTHING);
    let Push { to, branch, .. } = push;
    line(&mut message, &format!("{from} {to} refs/heads/{branch}\0 {}", common.join(" ")));
    flush(&mut message);
    message.extend_from_slice(&push.pack);
    message
}

const CAPABILITIES: [&str; 2] = ["report-status", "side-band-64k"];

/// Whether the answer comes in bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Bands,
    Plain,
}

/// Reads the answer.
pub(super) async fn receive(
    wire: &mut Wire<'_, '_>,
    (push, form): (&Push, Form),
    credentials: &Credentials,
) -> Result<Answer, GitError> {
    let mut report = Report::default();
    let name = format!("refs/heads/{}", push.branch);
    match form {
        Form::Plain => {
            while let Packet::Line(line) = wire.packet().await? {
                report.line(&line, &name);
            }
        }
        Form::Bands => bands(wire, &mut report, &name).await?,
    }
    match report {
        Report { unpacked: true, outcome: Some(Ok(())), .. } => Ok(Answer::Moved),
        Report { outcome: Some(Err(why)), talk, .. } | Report { trouble: Some(why), talk, .. } => {
            Ok(Answer::Refused(words(&why, &talk, credentials)))
        }
        _ => Err(wire.strange("it does not say what became of the push")),
    }
}

async fn bands(wire: &mut Wire<'_, '_>, report: &mut Report, name: &str) -> Result<(), GitError> {
    let mut inner = Packets::default();
    while let Packet::Line(line) = wire.packet().await? {
        match line.split_first() {
            Some((1, data)) => {
                inner.push(data);
                while let Some(packet) = inner.frame().map_err(|_| wire.strange("the answer is not in frames"))? {
                    if let Packet::Line(line) = packet {
                        report.line(&line, name);
                    }
                }
            }
            Some((2, data)) => {
                let room = TALK_MAX.saturating_sub(report.talk.len());
                report.talk.extend_from_slice(&data[..data.len().min(room)]);
            }
            Some((3, data)) => {
                report.trouble = Some("it gave up".to_owned());
                report.talk.extend_from_slice(&data[..data.len().min(TALK_MAX)]);
                return Ok(());
            }
            _ => return Err(wire.strange("the answer is not in bands")),
        }
    }
    Ok(())
}

impl Report {
    fn line(&mut self, line: &[u8], name: &str) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches('\n');
        if let Some(unpack) = line.strip_prefix("unpack ") {
            self.unpacked = unpack == "ok";
            if !self.unpacked {
                self.trouble = Some(format!("it cannot use the pack: {unpack}"));
            }
        } else if line.strip_prefix("ok ") == Some(name) {
            self.outcome = Some(Ok(()));
        } else if let Some(rest) = line.strip_prefix("ng ").and_then(|rest| rest.strip_prefix(name)) {
            self.outcome = Some(Err(rest.trim().to_owned()));
        }
    }
}

/// A refusal for people: one line, of a bounded length, and nothing that was shown to the server.
fn words(why: &str, talk: &[u8], credentials: &Credentials) -> String {
    let talk = String::from_utf8_lossy(talk);
    let lines = [why].into_iter().chain(talk.split(['\n', '\r'])).map(plain).filter(|line| !line.is_empty());
    let whole = lines.collect::<Vec<_>>().join("; ");
    if credentials.stand_in(&whole) {
        return "its reason has credentials in it, and is not repeated".to_owned();
    }
    whole.chars().take(REFUSAL_MAX).collect()
}

/// A line without what a terminal would obey, and without what would turn or hide letters.
fn plain(line: &str) -> String {
    let is_hidden = |letter: char| matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let shown = line.chars().map(|letter| if letter.is_control() || is_hidden(letter) { ' ' } else { letter });
    shown.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn push() -> Push {
        Push { branch: "x".to_owned(), from: None, to: "1".repeat(40), provided: None, pack: b"PACK".to_vec() }
    }

    #[test]
    fn a_request_is_one_command_with_what_was_there_and_the_pack() {
        let text = String::from_utf8_lossy(&request(&push(), |can| can == "report-status")).into_owned();
        let expected = format!("{} {} refs/heads/x\0 report-status0000PACK", "0".repeat(40), "1".repeat(40));
        assert_eq!(text.get(4..), Some(expected.as_str()));
        let moved = request(&Push { from: Some("2".repeat(40)), ..push() }, |_| true);
        let text = String::from_utf8_lossy(&moved).into_owned();
        assert!(text.contains(&"2".repeat(40)) && text.contains("report-status side-band-64k"), "{text}");
    }

    #[test]
    fn a_report_is_about_the_branch_that_was_asked_for() {
        let of = |lines: &[&str]| {
            let mut report = Report::default();
            for line in lines {
                report.line(line.as_bytes(), "refs/heads/x");
            }
            (report.unpacked, report.outcome)
        };
        assert_eq!(of(&["unpack ok\n", "ok refs/heads/x\n"]), (true, Some(Ok(()))));
        assert_eq!(of(&["unpack ok", "ok refs/heads/xy"]), (true, None));
        let refused = Some(Err("pre-receive hook declined".to_owned()));
        assert_eq!(of(&["unpack ok", "ng refs/heads/x pre-receive hook declined\n"]), (true, refused));
        assert_eq!(of(&["unpack index-pack failed"]), (false, None));
    }

    #[test]
    fn a_refusal_is_one_line_without_control_characters_or_what_was_shown() {
        let data = [("username", "ann"), ("password", "hush-password")];
        let data: BTreeMap<_, _> =
            data.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        let credentials = Credentials::read(&data).unwrap_or_default();
        let said = words("declined", b"no\x1b[2J way\n\n\xe2\x80\xae really\r\n", &credentials);
        assert_eq!(said, "declined; no [2J way; really");
        assert!(words(&"x".repeat(9000), b"", &credentials).len() <= REFUSAL_MAX);
        for told in ["it was hush-password", "Basic YW5uOmh1c2gtcGFzc3dvcmQ="] {
            assert!(!words(told, b"", &credentials).contains(told), "{told}");
        }
    }
}
