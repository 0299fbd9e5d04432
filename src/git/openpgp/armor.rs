//! Armour: bytes of OpenPGP as text.

use base64::{Engine, prelude::BASE64_STANDARD};

const BEGIN: &str = "-----BEGIN PGP ";
const END: &str = "-----END PGP ";
const DASHES: &str = "-----";

/// Bytes in armour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it says that it is, such as `SIGNATURE`.
    pub kind: String,
    /// The bytes.
    pub content: Vec<u8>,
}

/// All blocks of a text, whatever stands between them; none where one of them cannot be read. The code over a block has no meaning:
/// it is no protection, and it may be missing.
pub fn blocks(text: &str) -> Option<Vec<Block>> {
    let mut lines = text.lines().map(str::trim);
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        let Some(kind) = between(line, BEGIN) else { continue };
        let mut body = String::new();
        loop {
            let line = lines.next()?;
            if let Some(end) = between(line, END) {
                if end != kind {
                    return None;
                }
                break;
            }
            // Headers have a colon, which bytes never have.
            if !line.contains(':') && !is_code(line) {
                body.push_str(line);
            }
        }
        blocks.push(Block { kind: kind.to_owned(), content: BASE64_STANDARD.decode(body).ok()? });
    }
    Some(blocks)
}

fn between<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix(DASHES)
}

fn is_code(line: &str) -> bool {
    line.len() == 5 && line.starts_with('=')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_with_headers_codes_and_other_text_around_them() {
        let one =
            "-----BEGIN PGP SIGNATURE-----\nVersion: x\nComment: a: b\n\nAQI=\n=AbCd\n-----END PGP SIGNATURE-----\n";
        let text = format!("of Ann\n{one}\nof Bob\r\n{}", one.replace('\n', "\r\n").replace("AQI=", "\r\nAQ\r\nID"));
        let blocks = blocks(&text).unwrap();
        assert_eq!(blocks[0], Block { kind: "SIGNATURE".to_owned(), content: vec![1, 2] });
        assert_eq!(blocks[1].content, [1, 2, 3]);
        assert_eq!(super::blocks("no armour"), Some(Vec::new()));
    }

    #[test]
    fn a_block_that_does_not_end_or_is_no_base64_is_none() {
        for text in [
            "-----BEGIN PGP SIGNATURE-----\n\nAQI=\n",
            "-----BEGIN PGP SIGNATURE-----\n\nAQI=\n-----END PGP MESSAGE-----\n",
            "-----BEGIN PGP SIGNATURE-----\n\n?\n-----END PGP SIGNATURE-----\n",
        ] {
            assert_eq!(blocks(text), None, "{text}");
        }
    }
}
