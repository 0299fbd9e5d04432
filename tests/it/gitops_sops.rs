//! What SOPS encrypted: the vectors of `tests/sops`, which SOPS itself made, and what is refused.

use std::{collections::BTreeMap, fs, sync::Arc};

use landfall::gitops::{
    document::{self, Document},
    object::Manifest,
    problem::Problem,
    render::{self, Settings},
    renderer::{
        Program,
        output::{self, Hooks, Origins, Run},
    },
    sops::{self, age::Identities, made::Keys},
};
use serde_json::{Value, json};

/// Every text that is a secret in the vectors.
const SECRETS: [&str; 9] = [
    "correct-horse",
    "t0ken",
    "alpha-secret",
    "YmV0YS1zZWNyZXQ",
    "first-secret",
    "second-secret",
    "json-secret",
    "suffix-secret",
    "AGE-SECRET-KEY",
];

fn vector(name: &str) -> String {
    fs::read_to_string(format!("{}/tests/sops/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn identities(names: &[&str]) -> Identities {
    let data = names.iter().map(|name| (format!("{name}.agekey"), vector(&format!("{name}.agekey")).into_bytes()));
    Identities::read(&data.collect()).unwrap()
}

fn settings(names: &[&str]) -> Settings {
    Settings { identities: Arc::new(identities(names)), ..Settings::default() }
}

fn file(text: &str, names: &[&str]) -> Result<Vec<Manifest>, Vec<Problem>> {
    render::file("a.yaml", text.as_bytes(), &settings(names))
}

fn objects(text: &str, names: &[&str]) -> Vec<Value> {
    file(text, names).unwrap().iter().map(Manifest::object).collect()
}

/// The only problem of a text, which quotes nothing that is secret.
fn refused(text: &str, names: &[&str]) -> Problem {
    let mut problems = file(text, names).expect_err("it is refused");
    assert_eq!(problems.len(), 1, "{problems:?}");
    let shown = format!("{problems:?}");
    assert!(SECRETS.iter().all(|secret| !shown.contains(secret)) && !shown.contains("ENC["), "{shown}");
    problems.remove(0)
}

/// The text with one piece replaced, which has to be there.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

/// The line of a text that begins so, after its indentation.
fn line<'t>(text: &'t str, start: &str) -> &'t str {
    text.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_else(|| panic!("{start}"))
}

/// A line with one character of a part of its encrypted value changed.
fn damaged(line: &str, part: &str) -> String {
    let at = line.find(&format!("{part}:")).unwrap() + part.len() + 1;
    let other = if &line[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &line[..at], &line[at + 1..])
}

#[test]
fn what_sops_encrypted_is_what_it_decrypts_itself() {
    for (name, ending) in
        [("types", "yaml"), ("list", "yaml"), ("two", "yaml"), ("only", "yaml"), ("suffix", "yaml"), ("object", "json")]
    {
        let plain = document::read(&vector(&format!("{name}.plain.{ending}"))).unwrap();
        let plain: Vec<Value> = plain.into_iter().flat_map(Document::parts).map(|document| document.value).collect();
        assert_eq!(objects(&vector(&format!("{name}.{ending}")), &["one"]), plain, "{name}");
    }
    let plain = document::read(&vector("without.plain.yaml")).unwrap();
    assert_eq!(objects(&vector("without.yaml"), &["one"]), [plain[0].value.clone()]);
    let types = &objects(&vector("types.yaml"), &["one"])[0];
    assert_eq!(types["data"]["list"], json!(["one", 2, 2.5, true, {"in": "list"}, ["a", "b"]]));
    assert_eq!(types["data"]["text"], "first line\n  second: line\nthird\n");
    assert_eq!(types["data"]["empty"], "");
}

#[test]
fn any_recipient_opens_a_file_and_a_secret_may_have_several() {
    for names in [["one"].as_slice(), &["two"], &["other", "two"]] {
        let opened = objects(&vector("only.yaml"), names);
        assert_eq!(opened[1]["stringData"]["password"], "second-secret", "{names:?}");
    }
    let together = [vector("list.yaml"), vector("other.yaml")].join("---\n");
    let opened = objects(&together, &["one", "other"]);
    assert_eq!(opened.len(), 4, "files that were put one after the other are proven one by one");
    assert_eq!(opened[3]["stringData"]["password"], "second-secret");
}

#[test]
fn without_a_key_a_file_is_refused_with_the_remedy() {
    let problem = render::file("a.yaml", vector("two.yaml").as_bytes(), &Settings::default()).unwrap_err().remove(0);
    assert_eq!((problem.reason, problem.line), ("DecryptionNotConfigured", 7));
    assert!(problem.message.contains("spec.source.decryption.secretRef"), "{}", problem.message);

    let problem = refused(&vector("other.yaml"), &["one", "two"]);
    assert_eq!((problem.reason, problem.line), ("DecryptionFailed", 7));
    let recipient =
        vector("other.agekey").lines().find_map(|line| line.strip_prefix("# public key: ").map(str::to_owned));
    assert!(problem.message.contains(&recipient.unwrap()), "it says whom the file is for: {}", problem.message);
}

#[test]
fn a_damaged_value_is_refused_with_its_line() {
    let text = vector("types.yaml");
    let (number, token) = text.lines().enumerate().find(|(_, line)| line.trim_start().starts_with("token:")).unwrap();
    let cases = ["data", "iv", "tag"].map(|part| damaged(token, part));
    let others = [
        token.replace("type:str", "type:int"),
        token.replace("type:str", "type:other"),
        token.replace("type:str", "type:comment"),
        token.replace(",tag:", ",gat:"),
        token.replace("AES256_GCM", "AES128_GCM"),
        token.replacen(",iv:", ",iv:AAAA", 1),
        "            token: hunter2".to_owned(),
        "            token: 7".to_owned(),
    ];
    for case in cases.iter().chain(&others) {
        let problem = refused(&changed(&text, token, case), &["one"]);
        assert_eq!((problem.reason, problem.line), ("DecryptionFailed", number as u64 + 1), "{case}");
        assert!(!problem.message.contains("hunter2"));
    }
}

#[test]
fn a_value_in_another_place_is_refused() {
    let text = vector("types.yaml");
    let (token, letter) = (line(&text, "token:"), line(&text, "\"y\":"));
    let value = |line: &str| line.trim_start().split_once(": ").unwrap().1.to_owned();
    let moved = changed(&text, &value(token), &value(letter));
    assert!(refused(&moved, &["one"]).message.contains("moved from another place"));
    assert!(refused(&changed(&text, "token:", "nekot:"), &["one"]).message.contains("moved from another place"));
}

#[test]
fn a_file_that_was_changed_anywhere_is_refused_by_its_code() {
    let types = vector("types.yaml");
    let (one, two) = (line(&types, "- ENC[AES256_GCM,data:jWrO"), line(&types, "- ENC[AES256_GCM,data:wg=="));
    let swapped = types.replacen(one, "@", 1).replacen(two, one, 1).replacen('@', two, 1);
    let code = line(&types, "mac:");
    let modified = line(&types, "lastmodified:");
    let cases = [
        changed(&types, "kind: Sample", "kind: Simple"),
        changed(&types, "count: 7", "count: 8"),
        changed(&types, "immutable: true\n", ""),
        changed(&types, "immutable: true\n", "immutable: true\nadded: x\n"),
        changed(&types, &format!("{}\n", line(&types, "token:")), ""),
        swapped,
        changed(&types, code, &damaged(code, "data")),
        changed(&types, code, &damaged(code, "iv")),
        changed(&types, code, &damaged(code, "tag")),
        changed(&types, code, "    mac: \"\""),
        changed(&types, modified, "    lastmodified: \"2020-01-01T00:00:00Z\""),
    ];
    for text in &cases {
        let problem = refused(text, &["one"]);
        assert!(problem.message.contains("does not fit"), "{}", problem.message);
        assert!(types.lines().nth(usize::try_from(problem.line).unwrap() - 1).is_some());
    }
    // What is not encrypted is not counted where the file says so, and the other way round.
    let only = vector("only.yaml");
    assert_eq!(objects(&changed(&only, "name: first", "name: other"), &["one"])[0]["metadata"]["name"], "other");
    let counted = only.replace("    mac_only_encrypted: true\n", "");
    assert!(refused(&counted, &["one"]).message.contains("does not fit"));
    // Comments are not counted.
    let comment = line(&types, "#ENC");
    assert_eq!(objects(&changed(&types, comment, "# x"), &["one"]), objects(&types, &["one"]));
}

#[test]
fn a_damaged_data_key_is_refused() {
    let text = vector("list.yaml");
    let first = text.lines().position(|line| line.contains("BEGIN AGE")).unwrap() + 1;
    let lines: Vec<&str> = text.lines().collect();
    // The version, the recipient's share, the wrapped key, the header's code, the payload.
    for (row, column) in [(0, 3), (0, 55), (1, 50), (2, 60), (4, 20)] {
        let line = lines[first + row];
        let indented = line.len() - line.trim_start().len() + column;
        let other = if &line[indented..=indented] == "A" { "B" } else { "A" };
        let mut damaged: Vec<String> = lines.iter().map(ToString::to_string).collect();
        damaged[first + row] = format!("{}{other}{}", &line[..indented], &line[indented + 1..]);
        let problem = refused(&(damaged.join("\n") + "\n"), &["one"]);
        assert_eq!(problem.reason, "DecryptionFailed", "{row} {column}");
        assert!(problem.message.contains("data key"), "{}", problem.message);
    }
    let cut = changed(&text, lines[first + 3], "");
    assert!(refused(&cut, &["one"]).message.contains("data key"));
    // One that says another recipient's name.
    let own = vector("one.agekey");
    let own = own.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    let other = vector("other.yaml");
    let foreign = line(&other, "recipient:");
    let claimed = other.replace(foreign, &format!("          recipient: {own}"));
    assert!(refused(&claimed, &["one"]).message.contains("not for the recipient"));
}

#[test]
fn what_is_not_possible_is_named() {
    let text = vector("list.yaml");
    let begin = text.find("    age:").unwrap();
    let end = text.find("    encrypted_regex").unwrap();
    let without = |instead: &str| format!("{}{instead}{}", &text[..begin], &text[end..]);
    let cases = [
        (without("    kms: [{arn: x}]\n    pgp: [{fp: x}]\n"), "kms, pgp alone"),
        (without(""), "no recipient"),
        (without("    age: [{recipient: ssh-ed25519 AAAA, enc: x}]\n"), "keys of ssh"),
        (without("    age: [{enc: x}]\n"), "sops.age is damaged"),
        (changed(&text, "    lastmodified", "    key_groups: [{age: []}]\n    lastmodified"), "key_groups"),
        (changed(&text, "    encrypted_regex", "    encrypted_comment_regex"), "encrypted_comment_regex"),
        (changed(&text, "    lastmodified", "    encrypted_suffix: x\n    lastmodified"), "only one is possible"),
        (changed(&text, "encrypted_regex: ^", "encrypted_regex: ^("), "no expression"),
        (changed(&text, "    lastmodified", "    modified"), "lastmodified is missing"),
        (changed(&text, "    mac: ENC", "    mac:\n    - ENC"), "mac is missing, or is no text"),
        (changed(&text, "    - apiVersion: v1", "    - <<: {a: b}\n      apiVersion: v1"), "`<<`"),
        (changed(&text, "apiVersion: v1", "apiVersion: &a v1\nalso: *a"), "alias"),
        (format!("# landfall: substitute\n{text}"), "gets no values"),
    ];
    for (text, word) in &cases {
        let problem = refused(text, &["one"]);
        assert!(problem.message.contains(word), "{word}: {}", problem.message);
    }
    let problem = refused(&vector("all.yaml"), &["one"]);
    assert!(problem.message.contains("--encrypted-regex"), "{}", problem.message);
    assert_eq!(problem.line, 1);
    // Whatever is hostile ends.
    let many = "{recipient: a, enc: b}, ".repeat(65);
    assert!(refused(&without(&format!("    age: [{many}]\n")), &["one"]).message.contains("more than 64"));
}

#[test]
fn a_list_item_that_was_encrypted_alone_is_refused() {
    let item = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: a}\n  data: {a: 'ENC[AES256_GCM,x]'}\n  sops: {mac: x}\n";
    let problem = refused(item, &["one"]);
    assert_eq!((problem.reason, problem.line), ("DecryptionFailed", 8));
}

#[test]
fn what_was_decrypted_is_marked_and_its_digest_says_nothing_of_it() {
    let manifests = file(&vector("two.yaml"), &["one"]).unwrap();
    assert!(manifests.iter().all(|manifest| manifest.confidential));
    assert!(manifests[0].refusal("Invalid value: first-secret").contains("not repeated"));
    let plain = file(&vector("two.plain.yaml"), &["one"]).unwrap();
    assert_eq!(manifests[0].text(), plain[0].text());
    assert_ne!(manifests[0].digest, plain[0].digest, "who reads a status cannot try out what a password may be");
    assert!(!plain[0].confidential);
    let shown = format!("{manifests:?} {:?} {:?}", settings(&["one"]), identities(&["one"]));
    assert!(SECRETS.iter().all(|secret| !shown.contains(secret)), "{shown}");
}

#[test]
fn identities_are_read_with_their_comments_and_no_error_shows_them() {
    let own = vector("one.agekey");
    let secret = own.lines().last().unwrap();
    let read =
        |content: &str| Identities::read(&BTreeMap::from([("a.agekey".to_owned(), content.as_bytes().to_vec())]));
    assert_eq!(read(&format!("# a comment\r\n\r\n  {secret}\r\n")).unwrap(), identities(&["one"]));
    assert_ne!(identities(&["one"]).fingerprint(), identities(&["two"]).fingerprint());
    assert_eq!(Identities::default().fingerprint(), "");
    assert!(!identities(&["one"]).fingerprint().contains(secret));
    let cases = [
        ("", "no identity of age"),
        ("# nothing", "no identity of age"),
        ("hunter2", "line 1: this is no identity"),
        ("AGE-PLUGIN-YUBIKEY-1HUNTER2", "plugins"),
        ("AGE-SECRET-KEY-PQ-1HUNTER2", "post-quantum"),
        ("# x\nAGE-SECRET-KEY-1HUNTER2", "line 2: the identity is damaged"),
        (&secret[..secret.len() - 1], "damaged"),
        (&secret.to_ascii_lowercase(), "this is no identity"),
    ];
    for (content, word) in cases {
        let error = read(content).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(word), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("HUNTER2") && !shown.contains(&secret[20..]), "{shown}");
    }
    let elsewhere = BTreeMap::from([("a.txt".to_owned(), own.clone().into_bytes())]);
    assert!(Identities::read(&elsewhere).is_err());
    assert!(read(&"# x\n".repeat(20_000)).is_err(), "there is a bound");
}

const RUN: Run<'_> = Run {
    program: Program::Kustomize,
    directory: "",
    root: "kustomization.yaml",
    chart: None,
    origins: Origins::Kept,
    hooks: Hooks::Refused,
};

fn keys(files: &[(&str, &str)]) -> Keys {
    let mut keys = Keys::new(Arc::new(identities(&["one"])));
    for (path, text) in files {
        keys.add(path, text.as_bytes()).unwrap();
    }
    keys
}

/// As kustomize writes objects: sorted, and with what it was told to add.
fn made(text: &str) -> String {
    let documents = document::read(text).unwrap().into_iter().map(|mut document| {
        document.value["metadata"]["labels"] = json!({"added": "yes"});
        document.value["metadata"]["name"] = json!("prefix-a");
        document.value.to_string()
    });
    documents.collect::<Vec<_>>().join("\n---\n")
}

#[test]
fn objects_that_a_program_made_of_encrypted_files_are_decrypted_value_by_value() {
    let types = vector("types.yaml");
    let manifests = output::opened(&made(&types), &RUN, &keys(&[("types.yaml", &types)])).unwrap();
    let object = manifests[0].object();
    assert_eq!(object["data"], objects(&types, &["one"])[0]["data"]);
    assert_eq!(object["metadata"]["name"], "prefix-a");
    assert!(object.get("sops").is_none() && manifests[0].confidential);
    let digest = manifests[0].digest.clone();
    let again = output::opened(&made(&types), &RUN, &keys(&[("types.yaml", &types)])).unwrap();
    assert_eq!(again[0].digest, digest);
}

#[test]
fn what_a_program_made_is_refused_where_it_cannot_be_proven() {
    let (list, two) = (vector("two.yaml"), vector("suffix.yaml"));
    let one = |text: &str, keys: &Keys| {
        let problems = output::opened(text, &RUN, keys).unwrap_err();
        let shown = format!("{problems:?}");
        assert!(SECRETS.iter().all(|secret| !shown.contains(secret)), "{shown}");
        problems.into_iter().next().unwrap()
    };
    // No key, another file, a value that was moved, a file that a generator took.
    let problem = one(&made(&list), &Keys::default());
    assert_eq!((problem.reason, problem.object.as_deref()), ("DecryptionNotConfigured", Some("Secret prefix-a")));
    assert!(one(&made(&list), &keys(&[("two.yaml", &two)])).message.contains("cannot be proven"));
    let moved = made(&two).replace("password_secret", "other_secret");
    assert!(one(&moved, &keys(&[("two.yaml", &two)])).message.contains("for another place"));
    let generated = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {file: eA==}\n";
    let problem = one(generated, &keys(&[("two.yaml", &two)]));
    assert!(problem.file == "two.yaml" && problem.message.contains("generator"), "{problem:?}");
    let dotenv = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {sops_mac: eA==}\n";
    assert!(one(dotenv, &Keys::default()).message.contains("generator"));
    // The file itself was changed.
    let mut changed_file = Keys::new(Arc::new(identities(&["one"])));
    let text = changed(&two, "open: not-secret", "open: other");
    assert!(changed_file.add("two.yaml", text.as_bytes()).unwrap_err().message.contains("does not fit"));
    assert!(!sops::may_be_encrypted("sops: none"));
}
