//! Looks into a pack on its way to the disk, and counts.
//!
//! libgit2 holds whole objects in memory where one is told as the difference to another one, and a megabyte of zeros can
//! be a gigabyte of them. So sizes are read from the pack as it passes, before anything is made of it: what each object
//! says of itself, what its difference says, and what really comes out of it.

use flate2::{Decompress, FlushDecompress, Status};

/// The digest at the end, and the hash that names what a difference is to.
const HASH: usize = 20;
/// Two sizes at the beginning of a difference, with seven bits in each byte.
const SIZES_MAX: usize = 20;
/// The most of an object's head: its kind and size, and what it is a difference to.
const HEAD_MAX: usize = 10 + HASH;

/// Why a pack is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// It has too many objects.
    Many,
    /// One object is too large.
    Large,
    /// It is no pack.
    Garbage,
}

/// Reads a pack that arrives in pieces.
pub struct Inspector {
    state: State,
    objects: u32,
    objects_left: u32,
    objects_max: u64,
    size_max: u64,
    inflate: Decompress,
    output: Vec<u8>,
}

enum State {
    /// The beginning of the pack, as far as it has arrived.
    Start(Vec<u8>),
    /// The head of an object, as far as it has arrived.
    Head(Vec<u8>),
    /// What an object consists of.
    Content(Content),
    /// All objects have passed.
    End,
}

struct Content {
    size: u64,
    came_out: u64,
    /// The first bytes of a difference.
    sizes: Option<Vec<u8>>,
}

impl Inspector {
    /// Of a pack of at most so many objects, each of at most so many bytes.
    pub fn new(objects_max: u64, size_max: u64) -> Self {
        let output = vec![0; 32 * 1024];
        let state = State::Start(Vec::new());
        Self { state, objects: 0, objects_left: 0, objects_max, size_max, inflate: Decompress::new(true), output }
    }

    /// How many objects the pack says that it has.
    pub fn objects(&self) -> u64 {
        self.objects.into()
    }

    /// Looks at the next piece.
    ///
    /// # Errors
    /// The pack is not taken.
    pub fn pass(&mut self, mut piece: &[u8]) -> Result<(), Objection> {
        while let Some((first, rest)) = piece.split_first() {
            match &mut self.state {
                State::Start(bytes) => {
                    bytes.push(*first);
                    piece = rest;
                    if let Some(start) = bytes.first_chunk::<12>().copied() {
                        self.start(start)?;
                    }
                }
                State::Head(bytes) => {
                    bytes.push(*first);
                    piece = rest;
                    if let Some(content) = head(bytes)? {
                        self.check(content.size)?;
                        self.state = State::Content(content);
                    }
                }
                State::Content(_) => piece = self.content(piece)?,
                State::End => return Ok(()),
            }
        }
        Ok(())
    }

    fn start(&mut self, start: [u8; 12]) -> Result<(), Objection> {
        let [b'P', b'A', b'C', b'K', 0, 0, 0, 2 | 3, count @ ..] = start else { return Err(Objection::Garbage) };
        self.objects = u32::from_be_bytes(count);
        self.objects_left = self.objects;
        if u64::from(self.objects_left) > self.objects_max {
            return Err(Objection::Many);
        }
        self.next();
        Ok(())
    }

    fn next(&mut self) {
        self.inflate.reset(true);
        self.state = if self.objects_left == 0 { State::End } else { State::Head(Vec::new()) };
        self.objects_left = self.objects_left.saturating_sub(1);
    }

    /// Reads of an object what is there of it, and returns the rest.
    fn content<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], Objection> {
        let State::Content(content) = &mut self.state else { return Ok(piece) };
        let (read, out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(piece, &mut self.output, FlushDecompress::None);
        let status = status.map_err(|_| Objection::Garbage)?;
        let [read, out] = [self.inflate.total_in() - read, self.inflate.total_out() - out];
        let [read, out] = [read, out].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        if let Some(sizes) = &mut content.sizes {
            sizes.extend(self.output.iter().take(out).take(SIZES_MAX - sizes.len()));
        }
        content.came_out += out as u64;
        if content.came_out > content.size || (read == 0 && out == 0 && status != Status::StreamEnd) {
            return Err(Objection::Garbage);
        }
        if status == Status::StreamEnd {
            self.end()?;
        }
        piece.get(read..).ok_or(Objection::Garbage)
    }

    fn end(&mut self) -> Result<(), Objection> {
        if let State::Content(Content { sizes: Some(bytes), .. }) = &self.state {
            let (of_base, rest) = varint(bytes, 0, 0).ok_or(Objection::Garbage)?;
            let (of_result, _) = varint(rest, 0, 0).ok_or(Objection::Garbage)?;
            self.check(of_base)?;
            self.check(of_result)?;
        }
        self.next();
        Ok(())
    }

    fn check(&self, size: u64) -> Result<(), Objection> {
        if size > self.size_max { Err(Objection::Large) } else { Ok(()) }
    }
}

/// The head of an object, when all of it has arrived: kind and size in one number, then what it is a difference to.
fn head(bytes: &[u8]) -> Result<Option<Content>, Objection> {
    if bytes.len() > HEAD_MAX {
        return Err(Objection::Garbage);
    }
    let Some((first, more)) = bytes.split_first() else { return Ok(None) };
    let low = u64::from(first & 15);
    let (size, rest) = if first & 0x80 == 0 {
        (low, more)
    } else {
        let Some(found) = varint(more, low, 4) else { return Ok(None) };
        found
    };
    let difference = Content { size, came_out: 0, sizes: Some(Vec::new()) };
    Ok(match (first >> 4) & 7 {
        1..=4 => Some(Content { size, came_out: 0, sizes: None }),
        6 => rest.iter().any(|byte| byte & 0x80 == 0).then_some(difference),
        7 => (rest.len() == HASH).then_some(difference),
        _ => return Err(Objection::Garbage),
    })
}

/// A number of seven bits in each byte, the lowest first, added to what is known of it; none when it is not whole. One that
/// is too large for anything is the largest.
fn varint(bytes: &[u8], known: u64, mut shift: u32) -> Option<(u64, &[u8])> {
    let mut number = known;
    for (at, byte) in bytes.iter().enumerate() {
        let bits = u64::from(byte & 0x7f);
        let fits = bits == 0 || shift + (64 - bits.leading_zeros()) <= 64;
        number = if fits { number | bits.checked_shl(shift).unwrap_or(0) } else { u64::MAX };
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(at + 1..)?));
        }
        shift += 7;
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::ZlibEncoder};

    use super::*;

    fn deflated(content: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn start(count: u32) -> Vec<u8> {
        [b"PACK\0\0\0\x02".as_slice(), &count.to_be_bytes()].concat()
    }

    fn number(mut value: u64, mut first: u8, bits: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        first |= u8::try_from(value & ((1 << bits) - 1)).unwrap();
        value >>= bits;
        while value > 0 {
            bytes.push(first | 0x80);
            first = u8::try_from(value & 0x7f).unwrap();
            value >>= 7;
        }
        bytes.push(first);
        bytes
    }

    fn object(kind: u8, says: u64, base: &[u8], content: &[u8]) -> Vec<u8> {
        [number(says, kind << 4, 4), base.to_vec(), deflated(content)].concat()
    }

    fn difference(of_base: u64, of_result: u64) -> Vec<u8> {
        [number(of_base, 0, 7), number(of_result, 0, 7), b"\x01x".to_vec()].concat()
    }

    /// What is objected to, however the pack is cut.
    fn judged(pack: &[u8]) -> Result<(), Objection> {
        let mut outcomes: Vec<_> = [1, 2, 7, 4096]
            .into_iter()
            .map(|size| {
                let mut inspector = Inspector::new(3, 1000);
                pack.chunks(size).try_for_each(|piece| inspector.pass(piece))
            })
            .collect();
        outcomes.dedup();
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        outcomes[0]
    }

    #[test]
    fn a_pack_of_whole_objects_and_differences_passes() {
        let content = vec![b'x'; 1000];
        let small = difference(900, 1000);
        let says = small.len() as u64;
        let pack = [
            start(3),
            object(3, 1000, b"", &content),
            object(6, says, b"\x81\x01", &small),
            object(7, says, &[0x80; 20], &small),
            vec![0; 20],
        ];
        assert_eq!(judged(&pack.concat()), Ok(()));
        assert_eq!(judged(&[start(0), vec![0; 20]].concat()), Ok(()));
        assert_eq!(judged(&[start(1), object(2, 0, b"", b""), vec![0; 20]].concat()), Ok(()));
    }

    #[test]
    fn what_is_large_or_says_so_is_refused_before_it_is_made() {
        let content = vec![0; 1001];
        assert_eq!(judged(&[start(1), object(3, 1001, b"", &content)].concat()), Err(Objection::Large));
        assert_eq!(judged(&[start(1), object(3, u64::MAX, b"", b"x")].concat()), Err(Objection::Large));
        for (of_base, of_result) in [(1001, 1), (1, 1001), (1, u64::MAX)] {
            let large = difference(of_base, of_result);
            let pack = [start(1), object(7, large.len() as u64, &[1; 20], &large)].concat();
            assert_eq!(judged(&pack), Err(Objection::Large), "{of_base} {of_result}");
        }
        assert_eq!(judged(&start(4)), Err(Objection::Many));
        let endless = [start(1), vec![0xb0 | 15], vec![0xff; 9], vec![0x7f]].concat();
        assert_eq!(judged(&endless), Err(Objection::Large));
    }

    #[test]
    fn an_object_that_is_more_than_it_says_is_garbage() {
        let content = vec![0; 900];
        assert_eq!(judged(&[start(1), object(3, 899, b"", &content)].concat()), Err(Objection::Garbage));
        assert_eq!(judged(b"no pack at all"), Err(Objection::Garbage));
        assert_eq!(judged(&[start(1), object(5, 1, b"", b"x")].concat()), Err(Objection::Garbage));
        assert_eq!(judged(&[start(1), vec![0x31], b"no zlib".to_vec()].concat()), Err(Objection::Garbage));
    }
}
