//! What `.gitmodules` of a commit says: which repository each submodule is of.
//!
//! The reader knows less than git does: no file is included, and what it does not understand is refused with its line.

use super::{address::Address, error::GitError, listing::shown};

/// The file, at the root of a repository.
pub(super) const FILE: &str = ".gitmodules";
/// The most bytes of it.
pub(super) const SIZE_MAX: u64 = 64 * 1024;

/// A submodule as it is declared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Declared {
    /// Its name, for people.
    pub name: String,
    /// Its path below the root of the repository that declares it.
    pub path: String,
    /// The address of its repository.
    pub url: String,
    /// The line where it begins.
    pub line: u64,
}

/// Reads the file. `file` is its path for errors, and `parent` the address of the repository that it is in.
///
/// # Errors
/// [`GitError::Modules`], with the line.
pub(super) fn read(file: &str, content: &[u8], parent: &str) -> Result<Vec<Declared>, GitError> {
    let reader = Reader { file, parent };
    let text = std::str::from_utf8(content).map_err(|_| reader.wrong(1, "it is not UTF-8: write it anew"))?;
    let (mut all, mut open) = (Vec::new(), None);
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let mut line = line.trim();
        if let Some(rest) = line.strip_prefix('[') {
            all.extend(open.take());
            let (header, rest) = reader.header(number, rest)?;
            open = header.map(|name| Section { name, line: number, path: None, url: None });
            line = rest.trim();
        }
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = &mut open {
            reader.entry(number, line, section)?;
        }
    }
    all.extend(open);
    let mut declared: Vec<Declared> = Vec::new();
    for section in all {
        let one = reader.declared(section)?;
        if let Some(other) = declared.iter().find(|other| other.path == one.path) {
            let why = format!("the path {} is that of line {} too: remove one of them", shown(&one.path), other.line);
            return Err(reader.wrong(one.line, &why));
        }
        declared.push(one);
    }
    Ok(declared)
}

/// A section while it is read. Values have the line where they stand.
struct Section {
    name: String,
    line: u64,
    path: Option<(u64, String)>,
    url: Option<(u64, String)>,
}

struct Reader<'a> {
    file: &'a str,
    parent: &'a str,
}

impl Reader<'_> {
    fn wrong(&self, line: u64, why: &str) -> GitError {
        GitError::Modules { file: self.file.to_owned(), line, why: why.to_owned() }
    }

    /// The name of a submodule, none for other sections, and what stands behind the header.
    fn header<'t>(&self, line: u64, text: &'t str) -> Result<(Option<String>, &'t str), GitError> {
        let unread = || self.wrong(line, "this is no header: write [submodule \"NAME\"]");
        let plain = text.find([' ', '\t', '"', ']']).ok_or_else(unread)?;
        let (section, rest) = text.split_at(plain);
        let rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix(']') {
            return Ok((None, rest));
        }
        let (name, rest) = quoted(rest.strip_prefix('"').ok_or_else(unread)?).ok_or_else(unread)?;
        let rest = rest.strip_prefix(']').ok_or_else(unread)?;
        Ok((section.eq_ignore_ascii_case("submodule").then(|| shown(&name)), rest))
    }

    fn entry(&self, line: u64, text: &str, section: &mut Section) -> Result<(), GitError> {
        let Some((key, value)) = text.split_once('=') else { return Ok(()) };
        let (key, place) = match key.trim().to_ascii_lowercase().as_str() {
            "path" => ("path", &mut section.path),
            "url" => ("url", &mut section.url),
            _ => return Ok(()),
        };
        if place.is_some() {
            return Err(self.wrong(line, &format!("{key} stands here twice: remove one of them")));
        }
        let unread = || self.wrong(line, &format!("the value of {key} is not understood: write it in one line"));
        *place = Some((line, value_of(value).ok_or_else(unread)?));
        Ok(())
    }

    fn declared(&self, section: Section) -> Result<Declared, GitError> {
        let Section { name, line, path, url } = section;
        let missing = |key| self.wrong(line, &format!("the submodule {name} has no {key}: add it"));
        let (at, path) = path.ok_or_else(|| missing("path"))?;
        let leads_out =
            path.split('/').any(|part| matches!(part, "" | "." | "..") || part.eq_ignore_ascii_case(".git"));
        if leads_out {
            let why =
                format!("the path \"{}\" is refused: name a directory from the root of the repository", shown(&path));
            return Err(self.wrong(at, &why));
        }
        let (at, url) = url.ok_or_else(|| missing("url"))?;
        let refused = |why: &str| self.wrong(at, &format!("the url of the submodule {name} is refused: {why}"));
        let url = resolve(self.parent, &url).map_err(refused)?;
        match Address::parse(&url) {
            Ok(_) => Ok(Declared { name, path, url, line }),
            Err(GitError::BadAddress { why }) => Err(refused(&why)),
            Err(error) => Err(error),
        }
    }
}

/// What stands before the closing quote, and what behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next()? {
            '"' => return Some((out, rest.as_str())),
            '\\' => out.push(rest.next().filter(|next| matches!(next, '"' | '\\'))?),
            other => out.push(other),
        }
    }
}

/// A value without its quotes and the comment behind it.
fn value_of(text: &str) -> Option<String> {
    let (mut out, mut rest) = (String::new(), text.trim());
    while let Some(next) = rest.chars().next() {
        match next {
            '#' | ';' => break,
            '\\' => return None,
            '"' => {
                let (part, behind) = quoted(&rest[1..])?;
                out.push_str(&part);
                rest = behind;
            }
            next => {
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    let value = out.trim();
    let is_plain = !value.is_empty() && !value.chars().any(char::is_control);
    is_plain.then(|| value.to_owned())
}

/// The address that is meant: one that begins with `./` or `../` is beside the repository that names it.
fn resolve(parent: &str, url: &str) -> Result<String, &'static str> {
    if !url.starts_with("./") && !url.starts_with("../") {
        return Ok(short(url).unwrap_or_else(|| url.to_owned()));
    }
    let (scheme, rest) = parent.split_once("://").ok_or("it is beside a repository without an address")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    for part in url.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or("it leads out of the server: use fewer `..`, or write the whole address")?),
            part => parts.push(part),
        }
    }
    Ok(format!("{scheme}://{host}/{}", parts.join("/")))
}

/// `user@host:path` as a URL; none for what is something else.
fn short(url: &str) -> Option<String> {
    let (authority, path) = url.split_once(':')?;
    let (user, host) = authority.split_once('@')?;
    let is_word = |text: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        !text.is_empty() && !text.starts_with('-') && text.bytes().all(is_plain)
    };
    let is_short = is_word(user) && is_word(host) && !path.is_empty() && !path.contains("://");
    is_short.then(|| format!("ssh://{user}@{host}/{}", path.trim_start_matches('/')))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const PARENT: &str = "https://git.test:8443/acme/shop.git";

    fn one(path: &str, url: &str) -> Result<Declared, String> {
        let text = format!("[submodule \"x\"]\n\tpath = {path}\n\turl = {url}\n");
        match read(FILE, text.as_bytes(), PARENT) {
            Ok(mut all) => Ok(all.remove(0)),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn what_git_writes_is_read() {
        let text = "# x\n[core]\n\tpath = y\n[submodule \"a \\\"b\"] ; x\n\tpath = \"vendor/a b\" # x\n\tURL = ../b.git\n\
                    \tbranch = main\n[submodule \"c\"] path = c\nurl = git@git.test:acme/c.git\n";
        let all = read(FILE, text.as_bytes(), PARENT).unwrap();
        let told: Vec<_> = all.iter().map(|one| (one.path.as_str(), one.url.as_str(), one.line)).collect();
        let first = ("vendor/a b", "https://git.test:8443/acme/b.git", 4);
        assert_eq!(told, [first, ("c", "ssh://git@git.test/acme/c.git", 8)]);
        assert_eq!(read(FILE, b"", PARENT).unwrap(), []);
    }

    #[test]
    fn addresses_are_beside_the_parent_or_whole() {
        for (url, whole) in [
            ("../b.git", "https://git.test:8443/acme/b.git"),
            ("./b", "https://git.test:8443/acme/shop.git/b"),
            ("../../other/b.git", "https://git.test:8443/other/b.git"),
            ("https://other.test/b", "https://other.test/b"),
            ("ssh://git@other.test:2222/b", "ssh://git@other.test:2222/b"),
        ] {
            assert_eq!(one("a", url).unwrap().url, whole);
        }
    }

    #[test]
    fn what_git_could_be_told_by_an_address_is_refused_with_its_line() {
        for url in [
            "file:///etc",
            "/etc",
            "ext::sh -c hush",
            "--upload-pack=hush",
            "-oProxyCommand=hush@x:y",
            "http://git.test/b",
            "https://ann:hush@git.test/b",
            "git://git.test/b",
            "../../../b",
            "../../../../git.test/b",
            "fd::17/hush",
            "https://git.test/b?hush",
        ] {
            let error = one("a", url).unwrap_err();
            assert!(error.starts_with(".gitmodules, line 3: "), "{url}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
        for path in ["..", "../a", "/a", "a/../b", "a//b", "a/.git", ".GIT/hooks", "a/"] {
            let error = one(path, "../b.git").unwrap_err();
            assert!(error.starts_with(".gitmodules, line 2: the path"), "{path}: {error}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        for (text, line) in [
            ("[submodule \"a\"]\npath = a\n", 1),
            ("[submodule \"a\"]\nurl = ../a\n", 1),
            ("\n[submodule \"a\n", 2),
            ("[submodule \"a\"]\npath = a\npath = b\nurl = ../a\n", 3),
            ("[submodule \"a\"]\npath = a\\\nurl = ../a\n", 2),
            ("[submodule \"a\"]\npath = \"a\nurl = ../a\n", 2),
            ("[submodule \"a\"]\npath = a\nurl = ../a\n[submodule \"b\"]\npath = a\nurl = ../b\n", 4),
        ] {
            let error = read(FILE, text.as_bytes(), PARENT).unwrap_err();
            assert!(matches!(error, GitError::Modules { line: at, .. } if at == line), "{text}: {error}");
        }
        assert!(read(FILE, b"\xff", PARENT).is_err());
    }
}
