//! One number for many texts, the same in every process and every version of this program.

use sha2::{Digest, Sha256};

/// A hash over texts in this order. Each is preceded by its length, so that no two lists are the same bytes.
pub(super) fn over<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut sha = Sha256::new();
    for text in texts {
        sha.update((text.len() as u64).to_be_bytes());
        sha.update(text.as_bytes());
    }
    sha.finalize().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::over;

    #[test]
    fn the_number_depends_on_every_text_and_on_where_one_ends() {
        assert_eq!(over(["a", "b"]), 0x3c9d_5910_45bc_8876, "pinned: a new number would look like a new object");
        assert_ne!(over(["a", "b"]), over(["ab", ""]));
        assert_ne!(over(["a", "b"]), over(["b", "a"]));
        assert_ne!(over([]), over([""]));
    }
}
