//! YAML and JSON of repositories: what scalars mean, where values stand, and what is refused.

use std::{fs, path::PathBuf};

use landfall::gitops::document::{self, Document, Unreadable};
use serde_json::{Deserializer, Value, json};

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/gitops-scalars")
}

/// The value with all numbers as the same kind, and without what kubectl adds.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_i64() => json!(number.as_i64().unwrap()),
        Value::Number(number) => json!(number.as_f64().unwrap()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(map) => {
            let own = |(key, inner): (&String, &Value)| (key.clone(), plain(inner));
            map.iter().filter(|(key, inner)| !(*key == "namespace" && *inner == "default")).map(own).collect()
        }
        other => other.clone(),
    }
}

fn objects(text: &str) -> Vec<Value> {
    document::read(text).unwrap().into_iter().flat_map(Document::parts).map(|document| plain(&document.value)).collect()
}

fn refused(text: &str) -> Unreadable {
    document::read(text).expect_err(text)
}

#[test]
fn scalars_keys_tags_and_merges_are_what_kubectl_makes_of_them() {
    let files: Vec<_> = fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let samples: Vec<_> = files.iter().filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    assert!(samples.len() >= 9, "{samples:?}");
    for path in samples {
        let text = fs::read_to_string(path.with_extension("json")).unwrap();
        let golden = Deserializer::from_str(&text).into_iter::<Value>().map(|value| plain(&value.unwrap()));
        assert_eq!(objects(&fs::read_to_string(path).unwrap()), golden.collect::<Vec<_>>(), "{}", path.display());
    }
}

#[test]
fn a_value_has_the_line_of_its_key_and_an_item_its_own() {
    let text = "# a comment\na: 1\nb:\n  c:\n    - x\n    - y: 1\n      z~/: 2\n---\nd: [1,\n 2]\n";
    let documents = document::read(text).unwrap();
    let lines = |at: usize, pointers: &[&str]| pointers.iter().map(|p| documents[at].line(p)).collect::<Vec<_>>();
    assert_eq!(lines(0, &["", "/a", "/b", "/b/c", "/b/c/0", "/b/c/1", "/b/c/1/y"]), [2, 2, 3, 4, 5, 6, 6]);
    assert_eq!(lines(0, &["/b/c/1/z~0~1", "/b/gone/c", "/b/c/1/y/deeper", "no pointer"]), [7, 3, 6, 2]);
    assert_eq!(lines(1, &["", "/d", "/d/0", "/d/1"]), [9, 9, 9, 10]);
}

#[test]
fn lists_of_objects_are_taken_apart_with_their_lines() {
    let text =
        "kind: List\nitems:\n  - kind: A\n    x: 1\n  - kind: B\n---\nkind: Allowlist\nitems: [1]\n---\nkind: AList\n";
    let parts: Vec<_> = document::read(text).unwrap().into_iter().flat_map(Document::parts).collect();
    let told: Vec<_> = parts.iter().map(|p| (p.value["kind"].as_str().unwrap(), p.line(""), p.line("/x"))).collect();
    assert_eq!(told, [("A", 3, 4), ("B", 5, 5), ("Allowlist", 7, 7), ("AList", 10, 10)]);
}

#[test]
fn a_key_that_stands_twice_is_refused_with_both_lines() {
    let error = refused("a:\n  b: 1\n  c: 2\n  b: 3\n");
    assert_eq!((error.line, error.message.as_str()), (4, "the key of line 2 stands here again: remove one of them"));
    assert_eq!(refused("{\"a\": 1,\n \"a\": 2}").line, 2);
    assert_eq!(refused("1: a\n\"1\": b\n").line, 2);
    assert_eq!(refused("x: &x {a: 1}\ny:\n  a: 2\n  <<: *x\n").line, 4);
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let bomb = |of: &str| {
        let level = |n: usize| format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 10].join(", "));
        format!("l0: &l0 {of}\n{}", (1..12).map(level).collect::<String>())
    };
    for text in [bomb("x"), bomb(&"x".repeat(100_000)), bomb("{a: 1}")] {
        assert!(refused(&text).message.starts_with("the "), "{}", refused(&text));
    }
    let slow = "---\na: &a [x, x, x, x, x, x, x, x]\nb: [*a, *a, *a, *a, *a, *a, *a, *a]\n".repeat(5000);
    assert!(refused(&slow).message.starts_with("the aliases stand for more"), "{}", refused(&slow));
    for wide in ["- 1\n".repeat(400_000), "- {a: 1}\n".repeat(40_000)] {
        assert!(refused(&wide).message.starts_with("the document has more"), "{}", refused(&wide));
    }
    assert_eq!(document::read(&"---\na: {b: 1}\n".repeat(40_000)).unwrap().len(), 40_000);
    let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    assert!(document::read(&deep(100)).is_ok());
    assert!(refused(&deep(101)).message.contains("inside of each other"));
    assert!(!refused(&deep(5000)).message.is_empty());
    assert!(!refused(&"- ".repeat(5000)).message.is_empty());
    let nested = format!("a: &a {}\nb: {}*a{}\n", deep(60), "[".repeat(60), "]".repeat(60));
    assert!(refused(&nested).message.contains("inside of each other"), "{nested}");
    assert!(refused("a: &a [1, *a]\n").message.contains("alias"));
}

#[test]
fn what_is_no_text_or_too_much_of_it_is_refused() {
    assert_eq!(document::text(b"a: 1\nb: \xff\n").unwrap_err().line, 2);
    assert!(document::text(&vec![b'#'; document::SIZE_MAX]).is_ok());
    assert!(document::text(&vec![b'#'; document::SIZE_MAX + 1]).unwrap_err().message.contains("4 MiB"));
    for text in [
        "a: [1",
        "a: 1\n b: 2",
        "a: .nan",
        "? [1]\n: 2",
        "~: 1",
        "a: !!int x",
        "a: *gone",
        "%YAML 3.0\n---\na",
        "<<: 1",
    ] {
        assert!(refused(text).line > 0, "{text}");
    }
}

#[test]
fn a_character_that_is_not_printable_is_refused_with_the_remedy_for_it() {
    for c in ['\u{7f}', '\u{1}', '\u{9f}'] {
        let Unreadable { line, message } = refused(&format!("a: b\nc: \"x{c}\"\n"));
        assert_eq!(line, 2);
        assert!(message.contains("not printable") && message.contains("\\u"), "{message}");
        let escaped = format!("a: b\nc: \"x\\u{:04x}\"\n", u32::from(c));
        assert_eq!(objects(&escaped), [json!({"a": "b", "c": format!("x{c}")})]);
    }
    assert!(refused("a: @b").message.contains("into quotes"));
}

#[test]
fn no_refusal_quotes_what_may_be_a_secret() {
    for text in [
        "password: *hunter2",
        "password: @hunter2",
        "password: `hunter2",
        "password: %hunter2",
        "password: \"hunter2",
        "password: !!int hunter2",
        "password: !hunter2! x",
        "password: 'a' hunter2",
        "hunter2: 1\nhunter2: 1",
        "password: hunter2: x",
        "password: {hunter2",
        "? {hunter2: 1}\n: 2",
        "password: !!hunter2 x",
    ] {
        let error = refused(text).to_string();
        assert!(!error.contains("unter"), "{text}: {error}");
    }
    let shown = format!("{:?}", document::read("password: hunter2").unwrap());
    assert_eq!(shown, "[Document(line 1)]");
}

#[test]
fn empty_documents_are_left_out_and_a_byte_order_mark_is_no_content() {
    assert_eq!(objects("---\n---\n# nothing\n---\na: 1\n---\n~\n"), [json!({"a": 1})]);
    assert!(objects("").is_empty() && objects("# nothing\n").is_empty() && objects("null").is_empty());
    assert_eq!(objects("\u{feff}a: 1\n"), [json!({"a": 1})]);
    assert_eq!(objects("a: 1\r\nb: |\r\n  x\r\n"), [json!({"a": 1, "b": "x\n"})]);
}
