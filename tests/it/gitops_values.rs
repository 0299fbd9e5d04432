//! Values for files from several objects: which one counts, what changes the digest, and what is never said.

use std::collections::BTreeMap;

use landfall::{
    api::source::ValuesKind,
    gitops::{
        render::{NOT_YAML, VALUE_MISSING, file},
        values::{Brought, TooLarge, Values},
    },
};

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn map(pairs: &[(&str, &str)]) -> Brought {
    Brought { kind: ValuesKind::ConfigMap, uid: "map".to_owned(), data: texts(pairs) }
}

fn secret(pairs: &[(&str, &str)]) -> Brought {
    Brought { kind: ValuesKind::Secret, uid: "secret".to_owned(), data: texts(pairs) }
}

#[test]
fn later_objects_win_and_the_profile_over_all() {
    let brought = [Some(map(&[("A", "1"), ("B", "1"), ("C", "1")])), None, Some(secret(&[("B", "2"), ("C", "2")]))];
    let values = Values::of(&brought, &texts(&[("C", "3")])).unwrap();
    assert_eq!(values.settings.substitute, texts(&[("A", "1"), ("B", "2"), ("C", "3")]));
    assert_eq!(
        values.settings.secret.into_iter().collect::<Vec<_>>(),
        ["B"],
        "only what comes from a Secret in the end"
    );
    let values = Values::of(&[Some(secret(&[("B", "2")])), Some(map(&[("B", "1")]))], &BTreeMap::new()).unwrap();
    assert!(values.settings.secret.is_empty() && values.settings.substitute["B"] == "1");
}

#[test]
fn keys_that_nobody_can_ask_for_are_left_out() {
    let values =
        Values::of(&[Some(map(&[("tls.crt", "x"), ("2", "x"), ("", "x"), ("_a9", "x")]))], &BTreeMap::new()).unwrap();
    assert_eq!(values.settings.substitute, texts(&[("_a9", "x")]));
}

#[test]
fn a_digest_is_of_exactly_these_values_and_objects() {
    let digest = |brought: &[Option<Brought>]| Values::of(brought, &BTreeMap::new()).unwrap().digest;
    assert_eq!(digest(&[]), "", "who names no object has the same digest as before there were any");
    let all = [
        digest(&[None]),
        digest(&[None, None]),
        digest(&[Some(map(&[]))]),
        digest(&[Some(map(&[("A", "1")]))]),
        digest(&[Some(map(&[("A", "2")]))]),
        digest(&[Some(secret(&[("A", "2")]))]),
        digest(&[Some(map(&[("A", "2")])), None]),
    ];
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len(), "{all:?}");
    assert_eq!(digest(&[Some(map(&[("A", "1")]))]), digest(&[Some(map(&[("A", "1")]))]));
}

#[test]
fn there_is_a_most_of_values() {
    let long = "x".repeat(256 << 10);
    assert_eq!(Values::of(&[Some(map(&[("A", &long)]))], &BTreeMap::new()), Err(TooLarge));
    assert!(Values::of(&[Some(map(&[("A", &long[1..])]))], &BTreeMap::new()).is_ok());
    assert!(TooLarge.to_string().contains("spec.source.substituteFrom"));
}

#[test]
fn what_may_hold_the_value_of_a_secret_is_known_and_nothing_quotes_it() {
    let brought =
        [Some(secret(&[("PASSWORD", "hunter2: [x"), ("LINES", "hunter2\nx")])), Some(map(&[("COLOUR", "green")]))];
    let values = Values::of(&brought, &BTreeMap::new()).unwrap();
    assert!(!format!("{values:?}").contains("hunter2"), "{values:?}");
    let text = |value: &str| {
        format!(
            "# landfall: substitute\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: one}}\ndata:\n  a: {value}\n"
        )
    };
    let read = |value: &str| file("one.yaml", text(value).as_bytes(), &values.settings);
    let one = |value: &str| read(value).unwrap().remove(0);
    let words = "ConfigMap one: Invalid value: hunter2";
    assert_eq!(one("'${COLOUR}'").refusal(words), words);
    let hidden = one("'${PASSWORD}'");
    assert!(!hidden.refusal(words).contains("hunter2") && !format!("{hidden:?}").contains("hunter2"));
    let rights = "configmaps \"one\" is forbidden: User \"ann\" cannot patch resource";
    assert_eq!(hidden.refusal(rights), rights, "what an account may not do is worth knowing");
    assert!(one("'${PASSWORD:=x}'").confidential);
    for (value, reason) in [("${PASSWORD}", NOT_YAML), ("${LINES}", VALUE_MISSING), ("${OTHER}", VALUE_MISSING)] {
        let problems = read(value).unwrap_err();
        assert_eq!(problems[0].reason, reason, "{problems:?}");
        assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
    }
}
