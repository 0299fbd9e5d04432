//! Whether two addresses mean one repository.

use url::Url;

/// What is left of an address when everything is taken away that may differ: host, port if it is no usual one, path.
#[derive(PartialEq, Eq)]
struct Place {
    host: String,
    port: Option<u16>,
    path: String,
}

/// Whether two addresses mean the same repository: the scheme, the user, the usual ports, `.git`, slashes at the end and
/// the letter case of the host do not matter. An address that cannot be read is that of no repository.
pub fn same_repository(a: &str, b: &str) -> bool {
    match (place(a), place(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

fn place(text: &str) -> Option<Place> {
    let url = Url::parse(&with_scheme(text.trim())).ok()?;
    let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
    let usual = match url.scheme() {
        "ssh" => 22,
        "git" => 9418,
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let path = url.path().trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
    let port = url.port().filter(|port| *port != usual);
    (!host.is_empty() && !path.is_empty()).then(|| Place { host, port, path: path.to_owned() })
}

/// An address as scp writes it, `user@host:path`, as one of ssh.
fn with_scheme(text: &str) -> String {
    match text.split_once(':') {
        Some((host, path)) if !text.contains("://") && !host.contains('/') => {
            format!("ssh://{host}/{}", path.trim_start_matches('/'))
        }
        _ => text.to_owned(),
    }
}
