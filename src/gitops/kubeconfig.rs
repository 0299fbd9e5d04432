//! A kubeconfig of a tenant: the one cluster that it leads to, and who one is there.
//!
//! What clients make of a kubeconfig may start programs, open files and go by proxies, all of them with the rights of whoever
//! reads it. So it is read here, by a list of what is taken; whatever else stands in it is refused by its name. Nothing of what it
//! contains is ever shown.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, Uri};
use serde_json::{Map, Value};

use super::document;

/// The most bytes of a kubeconfig.
const SIZE_MAX: usize = 256 << 10;
/// The longest name of a field that is repeated.
const NAME_MAX: usize = 40;

/// Why a kubeconfig is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Refused {
    /// The field, from the root of the file.
    pub field: String,
    /// Why, with the remedy.
    pub why: String,
}

fn refused(field: impl Into<String>, why: impl Into<String>) -> Refused {
    Refused { field: field.into(), why: why.into() }
}

/// Where a kubeconfig leads, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub struct Kubeconfig {
    /// The API server: https, with a host, and perhaps a port and a path.
    pub server: Uri,
    /// The certificates that are trusted, in PEM form; none for those of the machine.
    pub authorities: Option<Vec<u8>>,
    /// Who one is.
    pub identity: Identity,
}

/// Who one is.
#[derive(Clone, PartialEq, Eq)]
pub enum Identity {
    /// A bearer token, as the header that it is sent in.
    Token(HeaderValue),
    /// A client certificate.
    Certificate {
        /// The certificates in PEM form.
        chain: Vec<u8>,
        /// The private key in PEM form.
        key: Vec<u8>,
    },
}

impl fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kubeconfig")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token",
            Self::Certificate { .. } => "Certificate",
        })
    }
}

/// What a field that is not taken would do.
const REFUSED: [(&str, &str); 17] = [
    ("exec", "would start a program: put a token, or a client certificate with its key, into the kubeconfig"),
    ("auth-provider", "would start a program: put a token, or a client certificate with its key, into the kubeconfig"),
    ("tokenFile", "names a file of the operator: put its content into `token`"),
    ("client-certificate", "names a file of the operator: put its content into `client-certificate-data`"),
    ("client-key", "names a file of the operator: put its content into `client-key-data`"),
    ("certificate-authority", "names a file of the operator: put its content into `certificate-authority-data`"),
    ("proxy-url", "leads elsewhere than to the API server: name an address that is reached without a proxy"),
    (
        "insecure-skip-tls-verify",
        "trusts whoever answers: put the server's authority into `certificate-authority-data`",
    ),
    (
        "tls-server-name",
        "has the certificate judged by another name: use one of the names in the certificate as `server`",
    ),
    ("username", "is a password, which is not taken: use a token or a client certificate"),
    ("password", "is a password, which is not taken: use a token or a client certificate"),
    ("as", ACT_AS),
    ("as-uid", ACT_AS),
    ("as-groups", ACT_AS),
    ("as-user-extra", ACT_AS),
    ("extensions", "is not read: remove it"),
    ("disable-compression", "is not read: remove it"),
];

const ACT_AS: &str = "would act as somebody else: use credentials of whoever is to write";
const MINIFY: &str = "make a file of one context by `kubectl config view --minify --flatten --raw`";

/// Reads a kubeconfig.
///
/// # Errors
/// The field that is missing, is wrong, or is not taken.
pub fn read(file: &[u8]) -> Result<Kubeconfig, Refused> {
    if file.len() > SIZE_MAX {
        return Err(refused("the file", format!("it has more than {} kB: {MINIFY}", SIZE_MAX >> 10)));
    }
    let unreadable = |error: document::Unreadable| refused("the file", error.to_string());
    let mut documents = document::read(document::text(file).map_err(unreadable)?).map_err(unreadable)?;
    let root = match (documents.pop(), documents.is_empty()) {
        (Some(document), true) => document.value,
        (None, _) => return Err(refused("the file", "it is empty")),
        (Some(_), false) => return Err(refused("the file", "it has several documents: leave one of them")),
    };
    let root = Fields::of("", &root)?;
    root.only(&["apiVersion", "kind", "preferences", "current-context", "contexts", "clusters", "users"])?;
    root.is("apiVersion", "v1")?;
    root.is("kind", "Config")?;
    if root.get("preferences").is_some_and(|value| value.as_object().is_none_or(|map| !map.is_empty())) {
        return Err(refused("preferences", "is not read: remove it"));
    }
    let current = root.text("current-context")?;
    let context = root.only_one("contexts", "context", current)?;
    context.only(&["cluster", "user", "namespace"])?;
    let cluster = root.only_one("clusters", "cluster", context.text("cluster")?)?;
    cluster.only(&["server", "certificate-authority-data"])?;
    let user = root.only_one("users", "user", context.text("user")?)?;
    user.only(&["token", "client-certificate-data", "client-key-data"])?;
    Ok(Kubeconfig { server: server(&cluster)?, authorities: authorities(&cluster)?, identity: identity(&user)? })
}

fn server(cluster: &Fields<'_>) -> Result<Uri, Refused> {
    let wrong = |why: &str| refused(cluster.path("server"), why);
    let text = cluster.text("server")?;
    let uri: Uri = text.parse().map_err(|_| wrong("is no address, such as https://api.example.test:6443"))?;
    if uri.scheme_str() != Some("https") {
        return Err(wrong("is not https: anybody on the way could read the credentials, and write objects"));
    }
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    if authority.contains('@') || uri.host().unwrap_or_default().is_empty() {
        return Err(wrong("is to have a host, and no name or password before it"));
    }
    if uri.query().is_some() || text.contains('#') {
        return Err(wrong("is to have no `?` and no `#`"));
    }
    Ok(uri)
}

fn authorities(cluster: &Fields<'_>) -> Result<Option<Vec<u8>>, Refused> {
    cluster.data("certificate-authority-data")
}

fn identity(user: &Fields<'_>) -> Result<Identity, Refused> {
    let certificate = (user.data("client-certificate-data")?, user.data("client-key-data")?);
    match (user.get("token"), certificate) {
        (Some(_), (None, None)) => token(user).map(Identity::Token),
        (None, (Some(chain), Some(key))) => Ok(Identity::Certificate { chain, key }),
        (None, (Some(_), None)) => Err(refused(user.path("client-key-data"), "is missing beside the certificate")),
        (None, (None, Some(_))) => Err(refused(user.path("client-certificate-data"), "is missing beside the key")),
        (None, (None, None)) => Err(refused(
            user.path("token"),
            "is missing, and so is a client certificate with its key: give one of both",
        )),
        (Some(_), _) => Err(refused(user.path("token"), "stands beside a client certificate: leave one of both")),
    }
}

fn token(user: &Fields<'_>) -> Result<HeaderValue, Refused> {
    let wrong = || refused(user.path("token"), "is to be one line of visible characters");
    let text = user.text("token")?.trim();
    if text.is_empty() || text.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(wrong());
    }
    let mut value = HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The fields of one map.
struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn of(path: &str, value: &'a Value) -> Result<Self, Refused> {
        let field = if path.is_empty() { "the file" } else { path };
        let map = value.as_object().ok_or_else(|| refused(field, "is to be a map of fields"))?;
        Ok(Self { path: path.to_owned(), map })
    }

    fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A field that says something.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Fails where there is another field than these.
    fn only(&self, taken: &[&str]) -> Result<(), Refused> {
        for (name, value) in self.map {
            if value.is_null() || taken.contains(&name.as_str()) {
                continue;
            }
            // It says what holds anyway.
            if name == "insecure-skip-tls-verify" && *value == Value::Bool(false) {
                continue;
            }
            let known = REFUSED.iter().find(|(refused, _)| refused == name);
            let why = known.map_or("is not known: remove it", |(_, why)| why);
            return Err(refused(self.path(&shown(name)), why));
        }
        Ok(())
    }

    fn text(&self, name: &str) -> Result<&'a str, Refused> {
        let value = self.get(name).ok_or_else(|| refused(self.path(name), "is missing"))?;
        value.as_str().ok_or_else(|| refused(self.path(name), "is to be a text"))
    }

    fn is(&self, name: &str, wanted: &str) -> Result<(), Refused> {
        if self.text(name)? == wanted {
            return Ok(());
        }
        Err(refused(self.path(name), format!("is to be {wanted}")))
    }

    /// What is written in base64.
    fn data(&self, name: &str) -> Result<Option<Vec<u8>>, Refused> {
        if self.get(name).is_none() {
            return Ok(None);
        }
        let text: String = self.text(name)?.split_ascii_whitespace().collect();
        let data = BASE64_STANDARD.decode(text).ok().filter(|data| !data.is_empty());
        data.map(Some).ok_or_else(|| refused(self.path(name), "is to be base64 of what stands in the file"))
    }

    /// The only entry of a list, which has to have this name.
    fn only_one(&self, list: &str, inner: &str, name: &str) -> Result<Self, Refused> {
        let entries = self.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let [entry] = entries else {
            return Err(refused(list, format!("has {} entries, and is to have one: {MINIFY}", entries.len())));
        };
        let path = format!("{list}[0]");
        let entry = Fields::of(&path, entry)?;
        entry.only(&["name", inner])?;
        if entry.text("name")? != name {
            return Err(refused(entry.path("name"), "is not the one that is meant: the names do not fit together"));
        }
        let missing = || refused(entry.path(inner), "is missing");
        Fields::of(&entry.path(inner), entry.get(inner).ok_or_else(missing)?)
    }
}

/// A name of a field as it is repeated: what does not look like one may be a value that went astray.
fn shown(name: &str) -> String {
    let is_name = name.len() <= NAME_MAX && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    if is_name { name.to_owned() } else { "(a field)".to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "shop", "preferences": {},
            "contexts": [{"name": "shop", "context": {"cluster": "far", "user": "ann", "namespace": "x"}}],
            "clusters": [{"name": "far", "cluster": {
                "server": "https://api.example.test:6443/k8s/far", "certificate-authority-data": BASE64_STANDARD.encode("PEM"),
            }}],
            "users": [{"name": "ann", "user": {"token": "hush-hush"}}],
        })
    }

    fn with(pointer: &str, value: Value) -> Value {
        let mut config = plain();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[name] = value;
        config
    }

    fn of(config: &Value) -> Result<Kubeconfig, Refused> {
        read(config.to_string().as_bytes())
    }

    const USER: &str = "/users/0/user";
    const CLUSTER: &str = "/clusters/0/cluster";

    #[test]
    fn a_token_or_a_client_certificate_and_an_authority_are_taken_from_the_file_itself() {
        let read = of(&plain()).unwrap();
        assert_eq!(read.server, "https://api.example.test:6443/k8s/far");
        assert_eq!(read.authorities.as_deref(), Some(b"PEM".as_slice()));
        assert_eq!(read.identity, Identity::Token(HeaderValue::from_static("Bearer hush-hush")));
        assert!(matches!(&read.identity, Identity::Token(header) if header.is_sensitive()));

        let certificate = json!({"client-certificate-data": BASE64_STANDARD.encode("CERT"), "client-key-data": BASE64_STANDARD.encode("KEY")});
        let mut config = with(USER, certificate);
        config["clusters"][0]["cluster"] =
            json!({"server": "https://10.1.2.3", "insecure-skip-tls-verify": false, "proxy-url": null});
        let read = of(&config).unwrap();
        assert_eq!(read.authorities, None, "those of the machine");
        assert_eq!(read.identity, Identity::Certificate { chain: b"CERT".to_vec(), key: b"KEY".to_vec() });
    }

    #[test]
    fn as_yaml_it_is_the_same() {
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- name: a\n  context: {cluster: a, user: a}\n\
                    clusters:\n- name: a\n  cluster: {server: 'https://a.test'}\nusers:\n- name: a\n  user:\n    token: t\n";
        assert_eq!(read(text.as_bytes()).unwrap().server.host(), Some("a.test"));
    }

    /// Everything that names code or files, or weakens trust.
    #[test]
    fn what_is_not_taken_is_refused_by_its_name() {
        let program = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/hush"});
        let refused = [
            (USER, "exec", program.clone()),
            (USER, "auth-provider", json!({"name": "gcp", "config": {"cmd-path": "/bin/hush"}})),
            (USER, "tokenFile", json!("/hush")),
            (USER, "client-certificate", json!("/hush")),
            (USER, "client-key", json!("/hush")),
            (USER, "username", json!("hush")),
            (USER, "password", json!("hush")),
            (USER, "as", json!("hush")),
            (USER, "as-uid", json!("hush")),
            (USER, "as-groups", json!(["hush"])),
            (USER, "as-user-extra", json!({"hush": ["hush"]})),
            (USER, "extensions", json!([])),
            (USER, "surprise", json!("hush")),
            (CLUSTER, "certificate-authority", json!("/hush")),
            (CLUSTER, "insecure-skip-tls-verify", json!(true)),
            (CLUSTER, "insecure-skip-tls-verify", json!("false")),
            (CLUSTER, "proxy-url", json!("http://hush")),
            (CLUSTER, "tls-server-name", json!("hush")),
            (CLUSTER, "disable-compression", json!(true)),
            (CLUSTER, "extensions", json!([])),
            ("/contexts/0/context", "extensions", json!([])),
            ("/contexts/0", "exec", program.clone()),
            ("", "extensions", json!([])),
            ("", "exec", program),
        ];
        for (parent, name, value) in refused {
            let error = of(&with(&format!("{parent}/{name}"), value)).unwrap_err();
            let path = parent.trim_start_matches('/').replace("/0", "[0]").replace('/', ".");
            let field = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            assert_eq!(error.field, field, "{error}");
            assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let wrong: [(&str, Value, &str); 24] = [
            ("/apiVersion", json!("v2"), "apiVersion"),
            ("/kind", json!("List"), "kind"),
            ("/preferences", json!({"colors": true}), "preferences"),
            ("/current-context", json!(null), "current-context"),
            ("/current-context", json!("other"), "contexts[0].name"),
            ("/contexts", json!([]), "contexts"),
            ("/contexts", json!([{"name": "shop"}, {"name": "b"}]), "contexts"),
            ("/contexts/0/context", json!(null), "contexts[0].context"),
            ("/contexts/0/context/cluster", json!("other"), "clusters[0].name"),
            ("/contexts/0/context/user", json!(null), "contexts[0].context.user"),
            ("/clusters", json!({}), "clusters"),
            ("/users", json!([{"name": "ann"}, {"name": "bob"}]), "users"),
            ("/clusters/0/cluster/server", json!(null), "clusters[0].cluster.server"),
            ("/clusters/0/cluster/server", json!("http://api.example.test"), "clusters[0].cluster.server"),
            ("/clusters/0/cluster/server", json!("api.example.test:6443"), "clusters[0].cluster.server"),
            ("/clusters/0/cluster/server", json!("https://ann:hush@api.example.test"), "clusters[0].cluster.server"),
            ("/clusters/0/cluster/server", json!("https://api.example.test/?a=hush"), "clusters[0].cluster.server"),
            ("/clusters/0/cluster/server", json!("https:///hush"), "clusters[0].cluster.server"),
            (
                "/clusters/0/cluster/certificate-authority-data",
                json!("hush!"),
                "clusters[0].cluster.certificate-authority-data",
            ),
            ("/users/0/user/token", json!("hush\nX-Other: hush"), "users[0].user.token"),
            ("/users/0/user/token", json!(null), "users[0].user.token"),
            ("/users/0/user/client-key-data", json!("aHVzaA=="), "users[0].user.token"),
            ("/users/0/user", json!({"client-key-data": "aHVzaA=="}), "users[0].user.client-certificate-data"),
            ("/users/0/user", json!({"client-certificate-data": "aHVzaA=="}), "users[0].user.client-key-data"),
        ];
        for (pointer, value, field) in wrong {
            let error = of(&with(pointer, value)).unwrap_err();
            assert_eq!(error.field, field, "{error}");
            assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_refused_and_not_quoted() {
        let large = format!("{}# {}", plain(), "x".repeat(SIZE_MAX));
        let twice = format!("{}\n---\n{}", plain(), plain());
        let texts =
            ["", "hush", "- hush", "a: [hush", "{\"users\": 1, \"users\": 2}", &large, &twice, "{? [hush] : 1}"];
        for text in texts {
            let error = read(text.as_bytes()).unwrap_err();
            assert_eq!(error.field, "the file", "{error}");
            assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
        }
        assert!(read(b"\xff").is_err());
        let astray = read(b"{eyJhbGciOiJSUzI1NiJ9.hush: 1}").unwrap_err();
        assert!(!astray.to_string().contains("hush"), "{astray}");
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let read = of(&plain()).unwrap();
        assert_eq!(format!("{read:?} {:?}", read.identity), "Kubeconfig Token");
    }
}
