//! What a Git server sends: frames, an advertisement, a pack.

use landfall::git::{
    advertisement::{Advertisement, is_id},
    inspect::{Inspector, Objection},
    mirror::Wanted,
    packet::{Garbled, Packet, Packets},
};

use super::first_line;

/// The sizes of pieces in which a stream may arrive.
const PIECES: [usize; 4] = [1, 7, 100, 65536];

/// The frames of a stream, and whether it ended in something else.
fn frames(stream: &[u8], size: usize) -> (Vec<Packet>, Option<Garbled>) {
    let (mut packets, mut found) = (Packets::default(), Vec::new());
    for piece in stream.chunks(size) {
        packets.push(piece);
        loop {
            match packets.frame() {
                Ok(Some(packet)) => found.push(packet),
                Ok(None) => break,
                Err(garbled) => return (found, Some(garbled)),
            }
        }
    }
    (found, None)
}

/// Frames are the same however the stream is cut, and written again they are its beginning.
pub fn packet(input: &[u8]) {
    let whole = frames(input, PIECES[3]);
    for size in PIECES {
        assert_eq!(frames(input, size), whole, "pieces of {size}");
    }
    let mut again = Vec::new();
    for packet in &whole.0 {
        match packet {
            Packet::Flush => again.extend_from_slice(b"0000"),
            Packet::Line(line) => {
                again.extend_from_slice(format!("{:04x}", line.len() + 4).as_bytes());
                again.extend_from_slice(line);
            }
        }
    }
    let start = input.get(..again.len()).unwrap();
    assert!(start.eq_ignore_ascii_case(&again), "frames are not what arrived");
    if whole.1.is_none() {
        // What is left is less than a frame.
        assert!(input.len() - again.len() < 0x10000, "frames are held back");
    }
}

/// An advertisement. The first line says what is wanted, with a letter before it: a branch, a tag, a range or a commit.
pub fn advertisement(input: &[u8]) {
    let (head, stream) = first_line(input);
    let Ok(head) = std::str::from_utf8(head) else { return };
    let Some(wanted) = wanted(head) else { return };
    let mut all = Advertisement::default();
    for packet in frames(stream, PIECES[3]).0 {
        let Packet::Line(line) = packet else { break };
        if all.add(&line, |name| wanted.may_be(name)).is_err() {
            break;
        }
    }
    for reference in &all.references {
        assert!(wanted.may_be(&reference.name), "{reference:?} is kept");
        assert!(is_id(&reference.id) && is_id(reference.commit()), "{reference:?}");
    }
    let Some(chosen) = all.choose(&wanted) else {
        let has = |reference: &landfall::git::advertisement::Reference| match &wanted {
            Wanted::Commit(id) => reference.commit() == id,
            Wanted::Semver(_) => false,
            Wanted::Branch(_) | Wanted::Tag(_) => true,
        };
        assert!(!all.references.iter().any(has), "what is there is not chosen");
        return;
    };
    match &wanted {
        Wanted::Branch(name) => assert_eq!(chosen.name, format!("refs/heads/{name}")),
        Wanted::Tag(name) => assert_eq!(chosen.name, format!("refs/tags/{name}")),
        Wanted::Commit(id) => assert_eq!(chosen.commit(), id),
        Wanted::Semver(range) => {
            let version = chosen.name.strip_prefix("refs/tags/").unwrap();
            let version = semver::Version::parse(version.strip_prefix('v').unwrap_or(version)).unwrap();
            assert!(range.matches(&version), "{version}");
        }
    }
}

fn wanted(head: &str) -> Option<Wanted> {
    let name = head.get(1..)?.to_owned();
    Some(match head.get(..1)? {
        "b" => Wanted::Branch(name),
        "t" => Wanted::Tag(name),
        "r" => Wanted::Semver(name.parse().ok()?),
        "c" => Wanted::Commit(name),
        _ => return None,
    })
}

/// A pack is judged alike however it is cut, and none passes with more objects than are allowed.
pub fn pack(input: &[u8]) {
    let judged = |size: usize| -> Result<(), Objection> {
        let mut inspector = Inspector::new(3, 1000);
        input.chunks(size).try_for_each(|piece| inspector.pass(piece))
    };
    let whole = judged(PIECES[3]);
    for size in PIECES {
        assert_eq!(judged(size), whole, "pieces of {size}");
    }
    if let (Ok(()), Some(start)) = (whole, input.first_chunk::<12>()) {
        assert!(start.starts_with(b"PACK"), "this is no pack");
        let [.., a, b, c, d] = *start;
        assert!(u32::from_be_bytes([a, b, c, d]) <= 3, "it has too many objects");
    }
}
