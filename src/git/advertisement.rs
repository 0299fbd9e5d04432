//! What a repository says it has, and which commit of it is wanted.

use semver::Version;

use super::{mirror::Wanted, packet::Garbled};

/// A name of a repository and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its whole name, such as `refs/heads/main`.
    pub name: String,
    /// The object that it names.
    pub id: String,
    /// What a tag with a message of its own is about.
    pub peeled: Option<String>,
}

impl Reference {
    /// The commit at the end.
    pub fn commit(&self) -> &str {
        self.peeled.as_deref().unwrap_or(&self.id)
    }
}

/// What a repository has, as far as it is asked for.
#[derive(Debug, Default)]
pub struct Advertisement {
    /// What the server can do; none before the first line was read.
    capabilities: Option<String>,
    /// What is kept of it, in the order of the server.
    pub references: Vec<Reference>,
}

impl Advertisement {
    /// Adds a line, if its name is to be kept.
    ///
    /// # Errors
    /// It is no line of an advertisement.
    pub fn add(&mut self, line: &[u8], keep: impl Fn(&str) -> bool) -> Result<(), Garbled> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut parts = line.splitn(2, |byte| *byte == 0);
        let reference = parts.next().unwrap_or_default();
        if self.capabilities.is_none() {
            let capabilities = parts.next().ok_or(Garbled)?;
            self.capabilities = Some(String::from_utf8_lossy(capabilities).into_owned());
        }
        let (id, name) = split(reference).ok_or(Garbled)?;
        // A name that is no UTF-8 cannot be wanted.
        let Ok(name) = std::str::from_utf8(name) else { return Ok(()) };
        match name.strip_suffix("^{}") {
            Some("capabilities") => {}
            Some(tag) => {
                if let Some(last) = self.references.last_mut().filter(|last| last.name == tag) {
                    last.peeled = Some(id);
                }
            }
            None if keep(name) => self.references.push(Reference { name: name.to_owned(), id, peeled: None }),
            None => {}
        }
        Ok(())
    }

    /// Whether the server can do this.
    pub fn can(&self, capability: &str) -> bool {
        self.capabilities.as_deref().unwrap_or_default().split(' ').any(|has| has == capability)
    }

    /// Whether its hashes are of a kind that is not read.
    pub fn has_other_hashes(&self) -> bool {
        let all = self.capabilities.as_deref().unwrap_or_default();
        all.split(' ').filter_map(|has| has.strip_prefix("object-format=")).any(|format| format != "sha1")
    }

    /// What is wanted of it.
    pub fn choose(&self, wanted: &Wanted) -> Option<&Reference> {
        match wanted {
            Wanted::Semver(_) => {
                let versions =
                    self.references.iter().filter_map(|reference| Some((version(wanted, reference)?, reference)));
                versions
                    .max_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.name.cmp(&a.1.name)))
                    .map(|(_, reference)| reference)
            }
            Wanted::Commit(id) => self.references.iter().find(|reference| reference.commit() == id),
            Wanted::Branch(_) | Wanted::Tag(_) => {
                self.references.iter().find(|reference| wanted.may_be(&reference.name))
            }
        }
    }
}

impl Wanted {
    /// Whether a reference of this name may be what is wanted.
    pub fn may_be(&self, name: &str) -> bool {
        match self {
            Self::Branch(branch) => name.strip_prefix("refs/heads/") == Some(branch),
            Self::Tag(tag) => name.strip_prefix("refs/tags/") == Some(tag),
            Self::Semver(_) => name.starts_with("refs/tags/"),
            Self::Commit(_) => name.starts_with("refs/heads/") || name.starts_with("refs/tags/"),
        }
    }
}

/// The version that a tag names, if it is in the range. A `v` before it is no part of it.
fn version(wanted: &Wanted, reference: &Reference) -> Option<Version> {
    let Wanted::Semver(range) = wanted else { return None };
    let tag = reference.name.strip_prefix("refs/tags/")?;
    let version = Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()?;
    range.matches(&version).then_some(version)
}

fn split(reference: &[u8]) -> Option<(String, &[u8])> {
    let at = reference.iter().position(|byte| *byte == b' ')?;
    let (id, name) = reference.split_at(at);
    let id = std::str::from_utf8(id).ok().filter(|id| is_id(id))?;
    Some((id.to_owned(), name.get(1..)?))
}

/// Whether a text is a whole hash: 40 digits, or 64 of a repository with longer ones.
pub fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn id(digit: char) -> String {
        digit.to_string().repeat(40)
    }

    fn advertisement(lines: &[(char, &str)]) -> Advertisement {
        let mut all = Advertisement::default();
        all.add(format!("{} HEAD\0shallow side-band-64k object-format=sha1\n", id('0')).as_bytes(), |_| true).unwrap();
        for (digit, name) in lines {
            all.add(format!("{} {name}\n", id(*digit)).as_bytes(), |_| true).unwrap();
        }
        all
    }

    fn chosen(all: &Advertisement, wanted: &Wanted) -> Option<String> {
        all.choose(wanted).map(|reference| reference.commit().to_owned())
    }

    #[test]
    fn a_branch_and_a_tag_are_taken_by_their_whole_names_and_a_tag_leads_to_its_commit() {
        let all = advertisement(&[
            ('1', "refs/heads/main"),
            ('2', "refs/heads/x/main"),
            ('3', "refs/tags/main"),
            ('4', "refs/tags/main^{}"),
            ('5', "refs/pull/1/head"),
        ]);
        assert_eq!(chosen(&all, &Wanted::Branch("main".into())), Some(id('1')));
        assert_eq!(chosen(&all, &Wanted::Tag("main".into())), Some(id('4')));
        assert_eq!(chosen(&all, &Wanted::Branch("x".into())), None);
        assert!(all.can("shallow") && !all.can("shall") && !all.has_other_hashes());
    }

    #[test]
    fn of_a_range_the_newest_version_is_taken_and_not_the_last_in_the_alphabet() {
        let tags = ["v1.2.0", "1.10.0", "v1.9.0", "v2.0.0", "1.11.0-rc.1", "latest", "v1.10"];
        let lines: Vec<_> = tags.iter().map(|tag| format!("refs/tags/{tag}")).collect();
        let lines: Vec<_> = lines.iter().zip('1'..).map(|(name, digit)| (digit, name.as_str())).collect();
        let all = advertisement(&lines);
        let newest = |range: &str| chosen(&all, &Wanted::Semver(range.parse().unwrap()));
        assert_eq!(newest(">=1.0.0, <2"), Some(id('2')));
        assert_eq!(newest("1.9"), Some(id('2')));
        assert_eq!(newest("~1.9"), Some(id('3')));
        assert_eq!(newest(">=1.11.0-rc.0, <1.12"), Some(id('5')));
        assert_eq!(newest("*"), Some(id('4')));
        assert_eq!(newest(">=3"), None);
    }

    #[test]
    fn a_repository_without_commits_has_nothing_and_garbage_is_refused() {
        let mut empty = Advertisement::default();
        empty.add(format!("{} capabilities^{{}}\0shallow\n", id('0')).as_bytes(), |_| true).unwrap();
        assert!(empty.references.is_empty() && empty.can("shallow"));
        for line in ["", "no", "x refs/heads/main\0", &format!("{} refs/heads/main\n", id('1'))] {
            assert_eq!(Advertisement::default().add(line.as_bytes(), |_| true), Err(Garbled), "{line}");
        }
    }

    #[test]
    fn what_is_not_asked_for_is_not_kept_and_no_tag_gets_the_commit_of_another() {
        let mut all = Advertisement::default();
        let wanted = Wanted::Tag("a".into());
        for line in [
            format!("{} refs/tags/a\0\n", id('1')),
            format!("{} refs/tags/b\n", id('2')),
            format!("{} refs/tags/b^{{}}", id('3')),
        ] {
            all.add(line.as_bytes(), |name| wanted.may_be(name)).unwrap();
        }
        assert_eq!(all.references, [Reference { name: "refs/tags/a".into(), id: id('1'), peeled: None }]);
    }
}
