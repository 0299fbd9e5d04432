//! Webhooks of every provider. The first line of an input says in one character each who sends it, which event it is, and what
//! is wrong with it; what follows on that line is a signature that somebody made up. The rest is the body.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderValue};
use landfall::{
    engine::moment::Moment,
    gitops::hook::{BODY_MAX, Key, Provider, Push, Refusal, Request, Said, same_repository, verify},
};
use sha2::Sha256;

use super::first_line;

const SECRET: &[u8] = b"a secret of the shop";
const TIME: u64 = 1_767_225_600;
const NOW: Moment = Moment(TIME * 1000);
/// The most addresses and changes of one webhook, the longest text of one, and what is put before it.
const LIST_MAX: usize = 32;
const TEXT_MAX: usize = 1024 + "refs/heads/".len();
const DELIVERY_MAX: usize = 128;

/// A form of webhook: its provider, the header of its event, its events, and where its signature stands.
struct Form {
    provider: Provider,
    event: &'static str,
    events: &'static [&'static str],
    signature: &'static str,
    delivery: &'static str,
}

const FORMS: [Form; 6] = [
    Form {
        provider: Provider::GitHub,
        event: "x-github-event",
        events: &["push", "ping", "pull_request"],
        signature: "x-hub-signature-256",
        delivery: "x-github-delivery",
    },
    Form {
        provider: Provider::GitLab,
        event: "x-gitlab-event",
        events: &["Push Hook", "Tag Push Hook", "System Hook", "Note Hook"],
        signature: "x-gitlab-token",
        delivery: "x-gitlab-event-uuid",
    },
    Form {
        provider: Provider::GitLab,
        event: "x-gitlab-event",
        events: &["Push Hook", "Tag Push Hook", "System Hook", "Note Hook"],
        signature: "webhook-signature",
        delivery: "webhook-id",
    },
    Form {
        provider: Provider::Gitea,
        event: "x-gitea-event",
        events: &["push", "ping", "create"],
        signature: "x-gitea-signature",
        delivery: "x-gitea-delivery",
    },
    Form {
        provider: Provider::Bitbucket,
        event: "x-event-key",
        events: &["repo:push", "repo:refs_changed", "diagnostics:ping", "repo:fork"],
        signature: "x-hub-signature",
        delivery: "x-request-uuid",
    },
    Form {
        provider: Provider::Generic,
        event: "x-landfall-event",
        events: &["push"],
        signature: "x-landfall-signature",
        delivery: "x-landfall-delivery",
    },
];

fn code(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let code = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().fold(code, Mac::chain_update).finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

impl Form {
    /// The signature that holds.
    fn sign(&self, key: &[u8], body: &[u8]) -> Vec<u8> {
        let time = TIME.to_string();
        match (self.provider, self.signature) {
            (Provider::GitHub | Provider::Bitbucket, _) => format!("sha256={}", hex(&code(key, &[body]))).into_bytes(),
            (Provider::Gitea, _) => hex(&code(key, &[body])).into_bytes(),
            (Provider::GitLab, "webhook-signature") => {
                let code = code(key, &[DELIVERY.as_bytes(), b".", time.as_bytes(), b".", body]);
                format!("v1,{}", BASE64_STANDARD.encode(code)).into_bytes()
            }
            (Provider::GitLab, _) => key.to_vec(),
            (Provider::Generic, _) => {
                format!("sha256={}", hex(&code(key, &[time.as_bytes(), b".", body]))).into_bytes()
            }
        }
    }

    fn headers(&self, event: u8, signature: &[u8]) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        let event = self.events[usize::from(event) % self.events.len()];
        headers.insert(self.event, HeaderValue::from_static(event));
        headers.insert(self.delivery, HeaderValue::from_static(DELIVERY));
        headers.insert(self.signature, HeaderValue::from_bytes(signature).ok()?);
        for name in ["webhook-timestamp", "x-landfall-timestamp"] {
            headers.insert(name, HeaderValue::from(TIME));
        }
        Some(headers)
    }
}

const DELIVERY: &str = "72d3162e-cc78";

pub fn judge(input: &[u8]) {
    let (head, body) = first_line(input);
    let [form, event, made_up @ ..] = head else { return };
    let form = &FORMS[usize::from(*form) % FORMS.len()];
    let (right, wrong) = (Key::new(SECRET).unwrap(), Key::new(b"another secret").unwrap());
    let signature = form.sign(SECRET, body);
    let headers = form.headers(*event, &signature).unwrap();
    let request = Request { headers: &headers, body };
    if body.len() > BODY_MAX {
        assert_eq!(verify(request, &right, NOW).err(), Some(Refusal::TooLong));
        return;
    }
    for key in [&wrong, &Key::of_nobody()] {
        assert_eq!(verify(request, key, NOW).err(), Some(Refusal::Unsigned), "a wrong key is accepted");
    }
    forged(form, (*event, made_up, &signature), body);
    let verified = verify(request, &right, NOW).unwrap();
    assert_eq!(verified.provider(), form.provider);
    assert_eq!(verified.fingerprint("a"), verify(request, &right, NOW).unwrap().fingerprint("a"));
    assert_ne!(verified.fingerprint("a"), verified.fingerprint("b"));
    let said = verified.said();
    if let Ok(Said::Push(push)) = &said {
        is_bounded(push);
    }
    if let Ok(text) = std::str::from_utf8(body) {
        same_as_a_form(form, *event, (text, &said));
    }
}

/// No signature holds but the right one, and the right one for no other body.
fn forged(form: &Form, (event, made_up, signature): (u8, &[u8], &[u8]), body: &[u8]) {
    let key = Key::new(SECRET).unwrap();
    let judged = |headers: &HeaderMap, body: &[u8]| verify(Request { headers, body }, &key, NOW).err();
    let alike = made_up.trim_ascii() == signature || made_up.split(|byte| *byte == b' ').any(|one| one == signature);
    if let Some(headers) = form.headers(event, made_up).filter(|_| !alike) {
        assert_eq!(judged(&headers, body), Some(Refusal::Unsigned), "a signature that was made up is accepted");
    }
    let headers = form.headers(event, signature).unwrap();
    let mut other = body.to_vec();
    other.push(b' ');
    if form.signature != "x-gitlab-token" {
        assert_eq!(judged(&headers, &other), Some(Refusal::Unsigned), "a body that was changed is accepted");
    }
    let mut unsigned = headers;
    unsigned.remove(form.signature);
    assert_eq!(judged(&unsigned, body), Some(Refusal::Unsigned), "no signature is accepted");
}

fn is_bounded(push: &Push) {
    assert!(push.urls.len() <= LIST_MAX && push.changes.len() <= LIST_MAX, "{push:?}");
    assert!(push.delivery.as_ref().is_none_or(|delivery| delivery.len() <= DELIVERY_MAX));
    for change in &push.changes {
        assert!(!change.reference.is_empty() && change.reference.len() <= TEXT_MAX, "{push:?}");
        let Some(commit) = &change.commit else { continue };
        let whole = matches!(commit.len(), 40 | 64) && commit.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        assert!(whole && commit.bytes().any(|byte| byte != b'0'), "{commit}");
    }
    for url in &push.urls {
        assert!(!url.is_empty() && url.len() <= TEXT_MAX);
        for other in push.urls.iter().map(String::as_str).chain(["https://git.test/shop", ""]) {
            assert_eq!(same_repository(url, other), same_repository(other, url), "{url} {other}");
            assert!(!same_repository(url, other) || same_repository(url, url), "{url} {other}");
        }
        // The same, without what does not matter.
        if same_repository(url, url) {
            assert!(push.may_be_of(url));
            assert!(same_repository(url, &format!(" {url} ")), "{url}");
        }
    }
    assert!(!push.urls.is_empty() || push.may_be_of("https://git.test/shop"));
}

/// GitHub may send the same as a form.
fn same_as_a_form(form: &Form, event: u8, (body, said): (&str, &Result<Said, Refusal>)) {
    let mut encoded = b"payload=".to_vec();
    encoded.extend(body.bytes().flat_map(|byte| format!("%{byte:02X}").into_bytes()));
    if form.provider != Provider::GitHub || encoded.len() > BODY_MAX {
        return;
    }
    let mut headers = form.headers(event, &form.sign(SECRET, &encoded)).unwrap();
    headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
    let request = Request { headers: &headers, body: &encoded };
    assert_eq!(&verify(request, &Key::new(SECRET).unwrap(), NOW).unwrap().said(), said, "a form says something else");
}
