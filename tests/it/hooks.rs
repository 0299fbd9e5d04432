//! Webhooks as each provider sends them: which are believed, what they say, and that nothing else gets through.

use std::{fs, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use landfall::{
    engine::moment::Moment,
    gitops::hook::{
        BODY_MAX, Change, Key, Provider, Push, Refusal, Request, Said, WINDOW,
        repository::same_repository,
        seen::{REMEMBERED, Seen},
        verify,
    },
    simulation::random::Random,
};
use sha2::Sha256;

pub const SECRET: &str = "a secret of the shop";
const NEW: &str = "8d2f5c7a9b1e3f4d6c8a0b2e4f6a8c0d2e4f6a8c";
const TIME: u64 = 1_767_225_600;
pub const NOW: Moment = Moment(TIME * 1000);

/// A body as a provider sends it.
pub fn recorded(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/hooks/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn code(key: &[u8], text: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

pub fn hex_code(secret: &str, text: &[u8]) -> String {
    code(secret.as_bytes(), text).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

pub fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs =
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
    pairs.collect()
}

/// The headers of a provider, with a signature that holds.
pub fn signed(provider: Provider, event: &str, body: &[u8]) -> HeaderMap {
    let code = hex_code(SECRET, body);
    let prefixed = format!("sha256={code}");
    match provider {
        Provider::GitHub => headers(&[
            ("x-github-event", event),
            ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            ("x-hub-signature-256", &prefixed),
        ]),
        Provider::GitLab => {
            headers(&[("x-gitlab-event", event), ("x-gitlab-event-uuid", "13792a34"), ("x-gitlab-token", SECRET)])
        }
        Provider::Gitea => headers(&[
            ("x-gitea-event", event),
            ("x-github-event", event),
            ("x-gitea-delivery", "f6266f16"),
            ("x-gitea-signature", &code),
            ("x-hub-signature-256", &prefixed),
        ]),
        Provider::Bitbucket => {
            headers(&[("x-event-key", event), ("x-request-uuid", "a7b2c1"), ("x-hub-signature", &prefixed)])
        }
        Provider::Generic => {
            let text = [TIME.to_string().as_bytes(), b".", body].concat();
            let signature = format!("sha256={}", hex_code(SECRET, &text));
            headers(&[("x-landfall-timestamp", &TIME.to_string()), ("x-landfall-signature", &signature)])
        }
    }
}

fn judge(headers: &HeaderMap, body: &[u8]) -> Result<Said, Refusal> {
    verify(Request { headers, body }, &key(SECRET), NOW)?.said()
}

fn key(secret: &str) -> Key {
    Key::new(secret.as_bytes()).unwrap()
}

fn change(reference: &str, commit: Option<&str>) -> Change {
    Change { reference: reference.to_owned(), commit: commit.map(ToOwned::to_owned) }
}

fn push(provider: Provider, event: &str, file: &str) -> Push {
    let body = recorded(file);
    match judge(&signed(provider, event, &body), &body) {
        Ok(Said::Push(push)) => push,
        other => panic!("{file}: {other:?}"),
    }
}

#[test]
fn signatures_are_those_that_the_providers_publish() {
    let secret = "It's a Secret to Everybody";
    let github = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let bitbucket = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9";
    let github = headers(&[("x-github-event", "push"), ("x-hub-signature-256", github)]);
    let bitbucket = headers(&[("x-event-key", "repo:push"), ("x-hub-signature", bitbucket)]);
    let holds = |headers: &HeaderMap, body: &[u8]| verify(Request { headers, body }, &key(secret), NOW).is_ok();
    assert!(holds(&github, b"Hello, World!") && holds(&bitbucket, b"Hello World!"));
    assert!(!holds(&github, b"Hello World!") && !holds(&bitbucket, b"Hello, World!"));
}

/// The vector of Standard Webhooks, whose form GitLab has.
#[test]
fn a_signing_token_of_gitlab_is_a_key_in_base64_and_has_a_time() {
    let body = br#"{"test": 2432232314}"#;
    let given = headers(&[
        ("x-gitlab-event", "Push Hook"),
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ]);
    let at = |seconds: u64| {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        verify(Request { headers: &given, body }, &key, Moment(seconds * 1000)).err()
    };
    assert_eq!((at(1_614_265_330), at(1_614_265_630), at(1_614_265_030)), (None, None, None));
    assert_eq!((at(1_614_265_631), at(1_614_265_029)), (Some(Refusal::OutOfTime), Some(Refusal::OutOfTime)));
}

/// Everybody could sign with an empty key.
#[test]
fn a_signing_token_without_a_key_is_a_secret_like_any_other() {
    let text = [b"1.".as_slice(), TIME.to_string().as_bytes(), b".{}"].concat();
    let holds = |secret: &str| {
        let (time, signature) =
            (TIME.to_string(), format!("v1,{}", BASE64_STANDARD.encode(code(secret.as_bytes(), &text))));
        let given = headers(&[
            ("x-gitlab-event", "Push Hook"),
            ("webhook-id", "1"),
            ("webhook-timestamp", &time),
            ("webhook-signature", &signature),
        ]);
        verify(Request { headers: &given, body: b"{}" }, &key("whsec_"), NOW).is_ok()
    };
    assert!(!holds("") && holds("whsec_"));
}

#[test]
fn a_bad_signature_of_gitlab_is_not_made_good_by_the_right_token() {
    let mut given = signed(Provider::GitLab, "Push Hook", b"{}");
    assert!(judge(&given, b"{}").is_ok());
    given.insert("webhook-signature", HeaderValue::from_static("v1,AAAA"));
    assert_eq!(judge(&given, b"{}"), Err(Refusal::Unsigned));
    let text = [b"1.".as_slice(), TIME.to_string().as_bytes(), b".{}"].concat();
    let signature = format!("v1,{}", BASE64_STANDARD.encode(code(SECRET.as_bytes(), &text)));
    given.insert("webhook-id", HeaderValue::from_static("1"));
    given.insert("webhook-timestamp", HeaderValue::from_str(&TIME.to_string()).unwrap());
    given.insert("webhook-signature", HeaderValue::from_str(&signature).unwrap());
    assert!(judge(&given, b"{}").is_ok());
}

#[test]
fn every_provider_says_which_repository_which_branch_and_which_commit() {
    let main = [change("refs/heads/main", Some(NEW))];
    let github = push(Provider::GitHub, "push", "github-push");
    assert_eq!((github.provider, github.changes.as_slice()), (Provider::GitHub, main.as_slice()));
    assert_eq!(github.delivery.as_deref(), Some("72d3162e-cc78-11e3-81ab-4c9367dc0958"));
    let expected = ["https://github.com/acme/shop.git", "git@github.com:acme/shop.git", "https://github.com/acme/shop"];
    assert_eq!(github.urls, expected);

    let gitlab = push(Provider::GitLab, "Push Hook", "gitlab-push");
    assert_eq!((gitlab.delivery.as_deref(), gitlab.changes.as_slice()), (Some("13792a34"), main.as_slice()));
    assert!(gitlab.may_be_of("ssh://git@gitlab.example.test/acme/shop"));
    assert_eq!(push(Provider::GitLab, "System Hook", "gitlab-push").changes, main);
    let deleted = push(Provider::GitLab, "Tag Push Hook", "gitlab-tag-deleted").changes;
    assert_eq!(deleted, [change("refs/tags/v1.0.0", None)]);

    let gitea = push(Provider::Gitea, "push", "gitea-push");
    assert_eq!((gitea.provider, gitea.changes.as_slice()), (Provider::Gitea, main.as_slice()));
    assert!(gitea.may_be_of("ssh://git@git.example.test:2222/acme/shop"));
    assert!(!gitea.may_be_of("https://git.example.test/acme/shop-too"));

    let generic = push(Provider::Generic, "", "generic");
    assert_eq!((generic.urls.len(), generic.changes.as_slice()), (1, main.as_slice()));
}

#[test]
fn bitbucket_in_the_cloud_and_on_a_server_says_several_changes_at_once() {
    let cloud = push(Provider::Bitbucket, "repo:push", "bitbucket-cloud-push");
    let three =
        [change("refs/heads/main", Some(NEW)), change("refs/tags/v1.2.0", Some(NEW)), change("refs/heads/try", None)];
    assert_eq!(cloud.changes, three);
    assert!(
        cloud.may_be_of("https://jane@bitbucket.org/acme/shop.git")
            && cloud.may_be_of("git@bitbucket.org:acme/shop.git")
    );
    let server = push(Provider::Bitbucket, "repo:refs_changed", "bitbucket-server-push");
    assert_eq!(server.changes, [change("refs/heads/main", Some(NEW)), change("refs/heads/try", None)]);
    assert!(server.may_be_of("ssh://git@bitbucket.example.test:7999/acme/shop.git"));
    assert!(server.may_be_of("https://bitbucket.example.test/scm/acme/shop"));
}

#[test]
fn pings_are_told_from_changes_and_from_everything_else() {
    let said = |provider, event: &str, body: &[u8]| judge(&signed(provider, event, body), body);
    assert_eq!(said(Provider::GitHub, "ping", &recorded("github-ping")), Ok(Said::Ping));
    assert_eq!(said(Provider::Bitbucket, "diagnostics:ping", br#"{"test": true}"#), Ok(Said::Ping));
    assert_eq!(said(Provider::Generic, "", br#"{"ping": true}"#), Ok(Said::Ping));
    for (provider, event) in [
        (Provider::GitHub, "issues"),
        (Provider::GitLab, "Merge Request Hook"),
        (Provider::GitLab, "System Hook"),
        (Provider::Gitea, "pull_request"),
        (Provider::Bitbucket, "pr:opened"),
    ] {
        assert_eq!(said(provider, event, b"{}"), Ok(Said::Other), "{provider:?} {event}");
    }
}

/// Where a body says nothing, the signature alone says that something changed.
#[test]
fn a_push_that_names_no_repository_may_be_of_any() {
    for body in ["", "{}", r#"{"url": 7, "ref": ["a"], "commit": "short"}"#] {
        let Ok(Said::Push(push)) = judge(&signed(Provider::Generic, "", body.as_bytes()), body.as_bytes()) else {
            panic!("{body}")
        };
        assert_eq!((push.urls.len(), push.changes.len()), (0, 0));
        assert!(push.may_be_of("https://git.example.test/acme/shop"));
    }
}

#[test]
fn github_may_send_a_form() {
    let json = recorded("github-push");
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", std::str::from_utf8(&json).unwrap())
        .finish();
    let mut given = signed(Provider::GitHub, "push", body.as_bytes());
    given.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
    assert!(
        matches!(judge(&given, body.as_bytes()), Ok(Said::Push(push)) if push.changes[0].commit.as_deref() == Some(NEW))
    );
    let mut given = signed(Provider::GitHub, "push", b"other=1");
    given.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
    assert_eq!(judge(&given, b"other=1"), Err(Refusal::Unreadable("the form has no field payload")));
}

#[test]
fn whoever_has_not_the_secret_is_refused() {
    let body = recorded("github-push");
    let wrong = hex_code("another secret", &body);
    let right = hex_code(SECRET, &body);
    let prefixed = |code: &str| format!("sha256={code}");
    let (upper, sha1, cut) = (prefixed(&right.to_uppercase()), format!("sha1={right}"), prefixed(&right[..62]));
    let (other, good) = (prefixed(&wrong), prefixed(&right));
    let at = TIME.to_string();
    let refused: &[&[(&'static str, &str)]] = &[
        &[],
        &[("x-hub-signature-256", &other)],
        &[("x-github-event", "push")],
        &[("x-github-event", "push"), ("x-hub-signature-256", "")],
        &[("x-github-event", "push"), ("x-hub-signature-256", "sha256=")],
        &[("x-github-event", "push"), ("x-hub-signature-256", &other)],
        &[("x-github-event", "push"), ("x-hub-signature-256", &upper)],
        &[("x-github-event", "push"), ("x-hub-signature-256", &cut)],
        &[("x-github-event", "push"), ("x-hub-signature-256", &right)],
        &[("x-github-event", "push"), ("x-hub-signature", &sha1)],
        &[("x-gitea-event", "push"), ("x-hub-signature-256", &good)],
        &[("x-gitea-event", "push"), ("x-gitea-signature", &wrong)],
        &[("x-event-key", "repo:push"), ("x-hub-signature-256", &good)],
        &[("x-event-key", "repo:push"), ("x-hub-signature", &other)],
        &[("x-gitlab-event", "Push Hook")],
        &[("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "")],
        &[("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "a secret of the sho")],
        &[("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "a secret of the shop2")],
        &[("x-gitlab-event", "Push Hook"), ("x-hub-signature-256", &good)],
        &[("x-landfall-signature", &good)],
        &[("x-landfall-signature", &good), ("x-landfall-timestamp", &at)],
    ];
    for pairs in refused {
        assert_eq!(judge(&headers(pairs), &body), Err(Refusal::Unsigned), "{pairs:?}");
    }
    assert_eq!((Key::new(b""), Key::new(b" \n")), (None, None));
    assert_eq!(Key::new(b"a secret of the shop\n"), Key::new(SECRET.as_bytes()));
    assert!(!format!("{:?}", key(SECRET)).contains("shop"));
}

#[test]
fn a_time_that_is_signed_may_be_five_minutes_away_and_no_more() {
    let given = signed(Provider::Generic, "", b"{}");
    let at = |now| verify(Request { headers: &given, body: b"{}" }, &key(SECRET), now).err();
    let window = u64::try_from(WINDOW.as_millis()).unwrap();
    assert_eq!((at(Moment(NOW.0 - window)), at(Moment(NOW.0 + window))), (None, None));
    let late = Some(Refusal::OutOfTime);
    assert_eq!((at(Moment(NOW.0 - window - 1)), at(Moment(NOW.0 + window + 1)), at(Moment(0))), (late, late, late));
    for time in ["", "soon", "-1", "99999999999999999999", "18446744073709551615"] {
        let signature = format!("sha256={}", hex_code(SECRET, format!("{time}.{{}}").as_bytes()));
        let given = headers(&[("x-landfall-timestamp", time), ("x-landfall-signature", &signature)]);
        assert_eq!(judge(&given, b"{}"), Err(Refusal::OutOfTime), "{time}");
    }
}

#[test]
fn a_body_is_bounded_in_length_and_depth_and_is_an_object() {
    let judged = |body: &[u8]| judge(&signed(Provider::GitHub, "push", body), body);
    assert_eq!(judged(&vec![b' '; BODY_MAX + 1]), Err(Refusal::TooLong));
    assert!(matches!(judged(&vec![b' '; BODY_MAX]), Ok(Said::Push(_))));
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(judged(nested(100).as_bytes()).is_ok());
    let unreadable = Err(Refusal::Unreadable("it is no JSON, or too deep"));
    for body in [nested(128).as_str(), &"[".repeat(BODY_MAX), "{", "no", "{\"a\":1}{}", "{\"a\":\u{1}}"] {
        assert_eq!(judged(body.as_bytes()), unreadable);
    }
    assert_eq!(judged(b"{\"ref\":\"\xff\"}"), unreadable);
    for body in ["[]", "7", "null", "\"text\""] {
        assert_eq!(judged(body.as_bytes()), Err(Refusal::Unreadable("it is JSON, but no object")));
    }
}

#[test]
fn long_texts_and_long_lists_are_not_kept() {
    let long = "x".repeat(2000);
    let clones: Vec<_> = (0..200).map(|n| format!(r#"{{"href":"https://a.test/{n}"}}"#)).collect();
    let changes: Vec<_> = (0..200).map(|n| format!(r#"{{"refId":"refs/heads/{n}"}}"#)).collect();
    let body = format!(
        r#"{{"repository":{{"links":{{"clone":[{}]}}}},"changes":[{{"refId":"{long}"}},{}]}}"#,
        clones.join(","),
        changes.join(",")
    );
    let mut given = signed(Provider::Bitbucket, "repo:refs_changed", body.as_bytes());
    given.insert("x-request-uuid", HeaderValue::from_str(&long).unwrap());
    let Ok(Said::Push(push)) = judge(&given, body.as_bytes()) else { panic!() };
    assert_eq!((push.urls.len(), push.changes.len(), push.delivery), (32, 32, None));
    assert_eq!(push.changes[0].reference, "refs/heads/0");
}

#[test]
fn what_was_accepted_is_not_accepted_again_for_ten_minutes() {
    let mut seen = Seen::default();
    let body = recorded("github-push");
    let fingerprint = |receiver: &str, given: &HeaderMap, body: &[u8]| {
        verify(Request { headers: given, body }, &key(SECRET), NOW).unwrap().fingerprint(receiver)
    };
    let mut given = signed(Provider::GitHub, "push", &body);
    let first = fingerprint("shop/production", &given, &body);
    assert!(seen.is_first(first, NOW) && !seen.is_first(first, NOW));
    given.insert("x-github-delivery", HeaderValue::from_static("another"));
    assert_eq!(fingerprint("shop/production", &given, &body), first, "the id is not signed");
    assert_ne!(fingerprint("shop/staging", &given, &body), first, "a webhook may be meant for several");
    let last = Moment(NOW.after(REMEMBERED).0 - 1);
    assert!(!seen.is_first(first, last) && seen.is_first(first, NOW.after(REMEMBERED)));
    assert_eq!(seen.len(), 1);

    let mut given = signed(Provider::GitLab, "Push Hook", b"{}");
    let first = fingerprint("a", &given, b"{}");
    given.insert("x-gitlab-event-uuid", HeaderValue::from_static("another"));
    assert_ne!(fingerprint("a", &given, b"{}"), first, "two pushes back and forth have the same body");
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut seen = Seen::default();
    for number in 0..50_000_u32 {
        let mut fingerprint = [0; 32];
        fingerprint[..4].copy_from_slice(&number.to_be_bytes());
        assert!(seen.is_first(fingerprint, NOW.after(Duration::from_millis(number.into()))));
    }
    assert_eq!(seen.len(), 12_288);
    assert!(seen.is_first([255; 32], NOW.after(Duration::from_secs(1300))));
    assert_eq!((seen.len(), seen.is_empty()), (1, false));
}

#[test]
fn an_address_may_be_written_in_many_ways() {
    let alike = [
        "https://git.example.test/acme/shop.git",
        "https://git.example.test/acme/shop",
        "https://GIT.example.test/acme/shop/",
        "https://git.example.test:443/acme/shop.git/",
        "http://git.example.test:80/acme/shop",
        "https://jane:s3cret@git.example.test/acme/shop.git",
        "ssh://git@git.example.test/acme/shop.git",
        "ssh://git@Git.Example.Test:22//acme/shop",
        "git@git.example.test:acme/shop.git",
        "git@git.example.test:/acme/shop",
        "git://git.example.test.:9418/acme/shop.git",
        " https://git.example.test/acme/shop.git\n",
    ];
    let different = [
        "https://git.example.test/acme/Shop.git",
        "https://git.example.test/acme/shop2",
        "https://git.example.test/acme",
        "https://git.example.test:8443/acme/shop.git",
        "ssh://git@git.example.test:443/acme/shop.git",
        "https://git.example.test.evil.test/acme/shop.git",
        "https://example.test/git.example.test/acme/shop.git",
        "https://git.example.test@evil.test/acme/shop.git",
        "git@evil.test:git.example.test/acme/shop.git",
    ];
    for a in alike {
        assert!(alike.iter().all(|b| same_repository(a, b)), "{a}");
        assert!(different.iter().all(|b| !same_repository(a, b) && !same_repository(b, a)), "{a}");
    }
    for none in
        ["", "https://", "https://git.example.test/", "file:///acme/shop.git", "acme/shop", ":", "@:", "https://[/x"]
    {
        assert!(!same_repository(none, none), "{none}");
    }
}

/// Bodies and headers with bits turned, parts doubled and cut: nothing panics, and nothing that was changed is believed.
#[test]
fn whatever_is_changed_in_a_signed_body_is_refused_and_nothing_panics() {
    let files =
        ["github-push", "gitlab-push", "gitea-push", "bitbucket-cloud-push", "bitbucket-server-push", "generic"];
    let kinds = [
        (Provider::GitHub, "push"),
        (Provider::GitLab, "Push Hook"),
        (Provider::Gitea, "push"),
        (Provider::Bitbucket, "repo:push"),
        (Provider::Bitbucket, "repo:refs_changed"),
        (Provider::Generic, ""),
    ];
    let mut read = 0;
    for seed in 0..6_000_u64 {
        let mut random = Random::new(seed);
        let at = usize::try_from(random.below(6)).unwrap();
        let original = recorded(files[at]);
        let changed = mutated(&mut random, original.clone());
        let (provider, event) = kinds[at];
        let stolen = judge(&signed(provider, event, &original), &changed);
        // The token of GitLab signs nothing: who has it may say anything.
        assert!(provider == Provider::GitLab || changed == original || stolen == Err(Refusal::Unsigned), "{seed}");
        let other = kinds[usize::try_from(random.below(6)).unwrap()];
        match judge(&signed(other.0, other.1, &changed), &changed) {
            Ok(Said::Push(push)) => {
                read += 1;
                let bounded = |text: &String| text.len() <= 1024;
                assert!(push.urls.iter().all(bounded) && push.urls.len() <= 32 && push.changes.len() <= 32, "{seed}");
                let shop = "https://github.com/acme/shop";
                assert!(push.urls.iter().all(|url| same_repository(url, shop) == same_repository(shop, url)), "{seed}");
            }
            Ok(_) | Err(Refusal::Unreadable(_)) => {}
            Err(other) => panic!("{seed}: {other:?}"),
        }
    }
    assert!(read > 500, "only {read} were read: the mutations are too wild to test what reads them");
}

fn mutated(random: &mut Random, mut body: Vec<u8>) -> Vec<u8> {
    for _ in 0..=random.below(3) {
        let length = u64::try_from(body.len()).unwrap();
        let at = usize::try_from(random.below(length.max(1))).unwrap();
        match random.below(5) {
            _ if body.is_empty() => body.push(b'{'),
            0 => body[at] ^= 1 << random.below(8),
            1 => body.truncate(at),
            2 => body.splice(at..at, br#"{"a":[null,1e999,"\ud800"]}"#.iter().copied()).for_each(drop),
            3 => body[at] = b"{}[]\",:0\\ "[usize::try_from(random.below(10)).unwrap()],
            _ => body.extend_from_within(at..),
        }
    }
    body
}
