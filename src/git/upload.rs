//! How objects are asked for, and how the answer is read.
//!
//! The oldest form of the protocol is spoken, which every server understands: one request has all of it, and the answer
//! is what is cut off, one line about what is in common, and the pack in bands. A thin pack is asked for: without it, a
//! server sends everything again to somebody who has a commit without its history.

use tokio::sync::mpsc;

use super::{
    error::GitError,
    packet::{Packet, flush, line},
    wire::Wire,
};

/// How much of the history is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// The commit alone.
    One,
    /// All of it.
    All,
}

/// A piece of a pack on its way to the disk.
#[derive(Debug)]
pub(super) enum Piece {
    Data(Vec<u8>),
    /// The pack is whole. A stream that ends without this was cut.
    End,
}

/// What came of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The pack was handed on.
    Pack,
    /// The server does not give these objects to anybody who asks for them by hash.
    NotGiven,
}

/// What is asked for, by somebody who has some commits without their history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub wants: &'a [String],
    pub has: &'a [String],
    pub depth: Depth,
}

/// The request, to a server that can do these things.
pub(super) fn request(ask: &Ask<'_>, can: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut message = Vec::new();
    let common: Vec<&str> = CAPABILITIES.into_iter().filter(|capability| can(capability)).collect();
    for (at, want) in ask.wants.iter().enumerate() {
        let capabilities = if at == 0 { format!(" {}", common.join(" ")) } else { String::new() };
        line(&mut message, &format!("want {want}{capabilities}\n"));
    }
    for commit in ask.has {
        line(&mut message, &format!("shallow {commit}\n"));
    }
    if ask.depth == Depth::One {
        line(&mut message, "deepen 1\n");
    }
    flush(&mut message);
    for commit in ask.has {
        line(&mut message, &format!("have {commit}\n"));
    }
    line(&mut message, "done\n");
    message
}

const CAPABILITIES: [&str; 4] = ["side-band-64k", "thin-pack", "ofs-delta", "no-progress"];

/// Reads the answer and hands the pack on.
pub(super) async fn receive(
    wire: &mut Wire<'_, '_>,
    depth: Depth,
    sink: mpsc::Sender<Piece>,
) -> Result<Answer, GitError> {
    let mut in_head = depth == Depth::One;
    let mut in_pack = false;
    loop {
        let Packet::Line(line) = wire.packet().await? else {
            if in_head {
                in_head = false;
                continue;
            }
            // A receiver that is gone has its own error to tell.
            let _ = sink.send(Piece::End).await;
            return Ok(Answer::Pack);
        };
        match line.split_first() {
            Some((1, data)) if !in_head => {
                in_pack = true;
                if sink.send(Piece::Data(data.to_vec())).await.is_err() {
                    return Ok(Answer::Pack);
                }
            }
            // Progress is for people who wait at a terminal.
            Some((2, _)) if !in_head => {}
            Some((3, _)) if !in_head => return Err(wire.strange("it gave up in the middle of the answer")),
            _ if line.starts_with(b"ERR ") && !in_pack => return refusal(wire, &line),
            _ if is_head(&line) && !in_pack => {}
            _ => return Err(wire.strange("the answer is not in bands")),
        }
    }
}

fn is_head(line: &[u8]) -> bool {
    line.starts_with(b"NAK")
        || [b"ACK ".as_slice(), b"shallow ", b"unshallow "].iter().any(|word| line.starts_with(word))
}

fn refusal(wire: &Wire<'_, '_>, line: &[u8]) -> Result<Answer, GitError> {
    let text = String::from_utf8_lossy(line);
    if text.contains("not our ref") || text.contains("want ") || text.contains("not valid") {
        return Ok(Answer::NotGiven);
    }
    Err(wire.strange("it refuses to send the objects"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_what_is_wanted_what_is_there_and_that_no_history_is() {
        let (wants, has) = (["a".repeat(40), "c".repeat(40)], ["b".repeat(40)]);
        let ask = Ask { wants: &wants, has: &has, depth: Depth::One };
        let message = request(&ask, |capability| capability != "no-progress");
        let text = String::from_utf8_lossy(&message).into_owned();
        let lines: Vec<_> = text.lines().map(|line| line.get(4..).unwrap_or_default()).collect();
        assert_eq!(lines[0], format!("want {} side-band-64k thin-pack ofs-delta", "a".repeat(40)));
        assert_eq!(lines[1], format!("want {}", "c".repeat(40)));
        assert_eq!(lines[2], format!("shallow {}", "b".repeat(40)));
        assert_eq!(lines[3], "deepen 1");
        assert_eq!(lines[4], format!("0032have {}", "b".repeat(40)));
        assert_eq!(lines[5], "done");
        let all = request(&Ask { depth: Depth::All, ..ask }, |_| true);
        assert!(!String::from_utf8_lossy(&all).contains("deepen"));
    }
}
