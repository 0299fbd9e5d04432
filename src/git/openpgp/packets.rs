//! Packets, of which everything in OpenPGP consists.

/// A signature.
pub const SIGNATURE: u8 = 2;
/// A private key.
pub const SECRET_KEY: u8 = 5;
/// A public key, with which a certificate begins.
pub const PUBLIC_KEY: u8 = 6;
/// A private key below another one.
pub const SECRET_SUBKEY: u8 = 7;
/// A mark without a meaning.
pub const MARKER: u8 = 10;
/// What GnuPG notes for itself.
pub const TRUST: u8 = 12;
/// A name.
pub const USER_ID: u8 = 13;
/// A public key below another one.
pub const PUBLIC_SUBKEY: u8 = 14;
/// A picture.
pub const USER_ATTRIBUTE: u8 = 17;
/// Nothing.
pub const PADDING: u8 = 21;

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub tag: u8,
    /// What is in it.
    pub body: &'a [u8],
    /// The same with what stands before it.
    pub whole: &'a [u8],
}

/// All packets; none where something else is there, or the length of one is not told: only data may be that long.
pub fn read(mut bytes: &[u8]) -> Option<Vec<Packet<'_>>> {
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let (tag, start, length) = head(bytes)?;
        let end = start.checked_add(length)?;
        packets.push(Packet { tag, body: bytes.get(start..end)?, whole: bytes.get(..end)? });
        bytes = bytes.get(end..)?;
    }
    Some(packets)
}

/// What a packet is, where its body begins, and how long that is.
fn head(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let number = |digits: &[u8]| digits.iter().fold(0_usize, |all, digit| all << 8 | usize::from(*digit));
    let first = *bytes.first().filter(|first| **first & 0x80 != 0)?;
    if first & 0x40 == 0 {
        let size = match first & 3 {
            0 => 1,
            1 => 2,
            2 => 4,
            _ => return None,
        };
        return Some((first >> 2 & 0x0f, 1 + size, number(bytes.get(1..1 + size)?)));
    }
    let (start, length) = match *bytes.get(1)? {
        short @ 0..192 => (2, usize::from(short)),
        high @ 192..224 => (3, (usize::from(high - 192) << 8) + usize::from(*bytes.get(2)?) + 192),
        255 => (6, number(bytes.get(2..6)?)),
        _ => return None,
    };
    Some((first & 0x3f, start, length))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_in_both_forms_and_in_every_length() {
        let long = vec![7; 300];
        let cases: [(&[u8], u8, usize); 6] = [
            (&[0xc6, 3], 6, 3),
            (&[0xc6, 192, 108], 6, 300),
            (&[0xc6, 255, 0, 0, 1, 44], 6, 300),
            (&[0x98, 3], 6, 3),
            (&[0x99, 1, 44], 6, 300),
            (&[0x8a, 0, 0, 0, 3], 2, 3),
        ];
        for (head, tag, length) in cases {
            let one = [head, &long[..length]].concat();
            let two = [&one[..], &one].concat();
            let packets = read(&two).unwrap();
            assert_eq!(packets, [Packet { tag, body: &long[..length], whole: &one }; 2], "{head:?}");
            assert_eq!(read(&two[..two.len() - 1]), None, "{head:?}");
        }
        assert_eq!(read(&[]), Some(Vec::new()));
    }

    #[test]
    fn what_is_no_packet_or_has_no_length_is_none() {
        for bytes in [&b"hush"[..], &[0x9b, 1, 2], &[0xc6, 224, 1], &[0xc6], &[0xc6, 255, 255, 255, 255, 255]] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }
}
