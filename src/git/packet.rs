//! Lines as Git frames them: four hexadecimal digits of length, then as many bytes, the digits included.

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// The end of a section.
    Flush,
    /// Its bytes, whatever they are.
    Line(Vec<u8>),
}

/// The frames of a stream that arrives in pieces.
#[derive(Debug, Default)]
pub struct Packets {
    buffer: Vec<u8>,
    start: usize,
}

/// The stream is not framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbled;

impl Packets {
    /// Adds what has arrived.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// The next frame; none when more has to arrive.
    ///
    /// # Errors
    /// The stream is not framed.
    pub fn frame(&mut self) -> Result<Option<Packet>, Garbled> {
        let rest = &self.buffer[self.start..];
        let Some(digits) = rest.first_chunk::<4>() else { return Ok(None) };
        let length = length(*digits).ok_or(Garbled)?;
        if length == 0 {
            self.start += 4;
            return Ok(Some(Packet::Flush));
        }
        let Some(frame) = rest.get(..length) else { return Ok(None) };
        let line = frame.get(4..).ok_or(Garbled)?.to_vec();
        self.start += length;
        Ok(Some(Packet::Line(line)))
    }
}

/// Lengths one to three mean things that nobody asked for.
fn length(digits: [u8; 4]) -> Option<usize> {
    let mut length = 0;
    for digit in digits {
        length = length * 16 + char::from(digit).to_digit(16)?;
    }
    usize::try_from(length).ok().filter(|length| !(1..4).contains(length))
}

/// Adds a line to a message.
pub fn line(message: &mut Vec<u8>, text: &str) {
    message.extend_from_slice(format!("{:04x}{text}", text.len() + 4).as_bytes());
}

/// Ends a section of a message.
pub fn flush(message: &mut Vec<u8>) {
    message.extend_from_slice(b"0000");
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_wherever_the_stream_is_cut() {
        let mut message = Vec::new();
        line(&mut message, "one\n");
        flush(&mut message);
        line(&mut message, "");
        for size in 1..=message.len() {
            let mut packets = Packets::default();
            let mut found = Vec::new();
            for piece in message.chunks(size) {
                packets.push(piece);
                while let Some(packet) = packets.frame().unwrap() {
                    found.push(packet);
                }
            }
            assert_eq!(found, [Packet::Line(b"one\n".to_vec()), Packet::Flush, Packet::Line(Vec::new())]);
        }
    }

    #[test]
    fn what_is_not_framed_is_refused() {
        for garbage in ["<html>", "+001", "0001", "0003x", "zzzz"] {
            let mut packets = Packets::default();
            packets.push(garbage.as_bytes());
            assert_eq!(packets.frame(), Err(Garbled), "{garbage}");
        }
    }
}
