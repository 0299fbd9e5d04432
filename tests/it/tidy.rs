//! The rules of the house that a compiler does not check.
//!
//! Each check is a function from text to complaints, and is itself tested on text that breaks the rule: a check that
//! finds nothing because it looks at nothing would pass for ever.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every module at the root of the crate, and its ring. Modules of the design that do not exist yet are listed, so
/// that the rules hold from their first line.
const RINGS: [(&str, usize); 18] = [
    ("api", 0),
    ("engine", 1),
    ("kinds", 1),
    ("traffic", 1),
    ("analysis", 1),
    ("gitops", 1),
    ("rollout", 1),
    ("simulation", 1),
    ("cluster", 2),
    ("git", 2),
    ("program", 2),
    ("renderer", 2),
    ("artifact", 2),
    ("journal", 2),
    ("controller", 3),
    ("server", 3),
    ("cli", 3),
    ("telemetry", 3),
];

/// Ring 0 and 1 are pure, and so is this judgement, although it lives beside the IO that asks it.
const ALSO_PURE: [&str; 1] = ["src/cluster/lease/decide.rs"];

/// What pure code does without: clients, clocks, files, sockets, threads, randomness, the environment, and the log.
const IMPURE: [&str; 24] = [
    "kube::Client",
    "kube::Api",
    "kube::client",
    "kube::runtime",
    "Client::",
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "Utc::now",
    "Local::now",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "std::io",
    "tokio",
    "hyper",
    "axum",
    "fastrand",
    "rand::",
    "backon",
    "tracing",
];

const LINES_MAX: usize = 800;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files under `directory` with this extension, sorted, as paths from the root.
fn files(directory: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The lines of a source file without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or_default())
}

/// Applies one check to many files and fails with all complaints at once.
fn check(paths: &[String], complaints: impl Fn(&str, &str) -> Vec<String>) {
    assert!(!paths.is_empty(), "there is nothing to check");
    let all: Vec<String> = paths
        .iter()
        .flat_map(|path| complaints(path, &read(path)).into_iter().map(move |text| format!("{path}: {text}")))
        .collect();
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

fn ring(module: &str) -> Option<usize> {
    RINGS.iter().find(|(name, _)| *name == module).map(|(_, ring)| *ring)
}

/// The module of the crate's root that a file belongs to; none for `lib.rs` and `main.rs`.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let module = inside.split('/').next()?.trim_end_matches(".rs");
    (module != "lib" && module != "main").then_some(module)
}

/// The modules that a text names as `crate::…`, or inside `crate::{…}`.
fn imports(text: &str) -> Vec<String> {
    let code: String = code(text).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (_, rest) in code.match_indices("crate::").map(|(at, word)| code.split_at(at + word.len())) {
        match rest.strip_prefix('{') {
            Some(group) => found.extend(heads_of_group(group)),
            None => found.push(head(rest)),
        }
    }
    found
}

fn head(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first segment of every path of a `{…}` group, of which the opening brace is gone.
fn heads_of_group(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut heads = vec![head(group)];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(head(&group[at + 1..])),
            _ => {}
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

fn ring_complaints(path: &str, text: &str) -> Vec<String> {
    let Some(module) = module_of(path) else { return Vec::new() };
    let Some(own) = ring(module) else { return vec![format!("{module} belongs to no ring")] };
    let mut complaints = Vec::new();
    for target in imports(text) {
        match ring(&target) {
            None => complaints.push(format!("imports {target}, which belongs to no ring")),
            Some(other) if other > own => complaints.push(format!("ring {own} imports {target} of ring {other}")),
            Some(_) if target == "controller" && module != "controller" => {
                complaints.push(format!("{module} calls the controller"));
            }
            Some(_) => {}
        }
    }
    if code(text).any(|line| line.contains("super::super")) {
        complaints.push("super::super hides which module is meant; write crate::".to_owned());
    }
    complaints
}

fn purity_complaints(path: &str, text: &str) -> Vec<String> {
    let pure = module_of(path).and_then(ring).is_some_and(|ring| ring <= 1) || ALSO_PURE.contains(&path);
    if !pure {
        return Vec::new();
    }
    let flat = code(text).collect::<Vec<_>>().join("\n");
    IMPURE.iter().filter(|word| names(&flat, word)).map(|word| format!("pure code names {word}")).collect()
}

/// Whether a text has this path at the start of a word, also inside `std::{…}`.
fn names(text: &str, word: &str) -> bool {
    let starts = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let plain = text.match_indices(word).any(|(at, _)| starts(at));
    let grouped = word.split_once("::").is_some_and(|(outer, inner)| {
        let open = format!("{outer}::{{");
        text.match_indices(&open).any(|(at, _)| {
            starts(at) && heads_of_group(&text[at + open.len()..]).iter().any(|head| !inner.is_empty() && head == inner)
        })
    });
    plain || grouped
}

fn header_complaints(_: &str, text: &str) -> Vec<String> {
    if text.starts_with("//! ") { Vec::new() } else { vec!["starts without a //! header".to_owned()] }
}

fn length_complaints(_: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    if lines <= LINES_MAX { Vec::new() } else { vec![format!("has {lines} lines, more than {LINES_MAX}")] }
}

/// Addresses of package registries, and paths of one person's machine. The words are put together here, so that this
/// file does not have them.
fn place_complaints(_: &str, text: &str) -> Vec<String> {
    let machines = ["/ro-ot/", "/wo-rk/", "/ho-me/", "/Us-ers/"];
    let registries = [
        "crates-.io",
        "docker-.io",
        "gcr-.io",
        "ghcr-.io",
        "quay-.io",
        "npmjs-.org",
        "pypi-.org",
        "golang-.org",
        "registry-.k8s",
        "deb.debian-.org",
    ];
    let mut found = Vec::new();
    for word in machines.map(|word| word.replace('-', "")) {
        if text.contains(&word) {
            found.push(format!("names the machine's path {word}"));
        }
    }
    for word in registries.map(|word| word.replace('-', "")) {
        if text.contains(&word) {
            found.push(format!("names the registry {word}"));
        }
    }
    found
}

/// Local links of a Markdown file that lead nowhere.
fn link_complaints(path: &str, text: &str) -> Vec<String> {
    let directory = Path::new(path).parent().map(Path::to_path_buf).unwrap_or_default();
    links(text)
        .into_iter()
        .filter(|link| !link.contains("://") && !link.starts_with('#') && !link.starts_with("mailto:"))
        .map(|link| link.split('#').next().unwrap_or_default().to_owned())
        .filter(|link| !root().join(&directory).join(link).exists())
        .map(|link| format!("links to {link}, which does not exist"))
        .collect()
}

fn links(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let prose = text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    });
    prose.flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next()).collect()
}

/// The names of a manifest's dependency tables.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if let (true, Some((name, _))) = (inside, line.split_once('=')) {
            names.push(name.trim().to_owned());
        }
    }
    names
}

fn sources() -> Vec<String> {
    files("src", "rs")
}

#[test]
fn imports_point_to_the_same_ring_or_down_and_only_the_binary_calls_the_controller() {
    check(&sources(), ring_complaints);
    let bad = |path, text| assert_eq!(ring_complaints(path, text).len(), 1, "{path}: {text}");
    bad("src/api/mod.rs", "use crate::cluster::call;");
    bad("src/engine/step.rs", "use crate::{\n    api::X,\n    cluster::{a, b},\n};");
    bad("src/cluster/mod.rs", "fn f() { crate::server::g() }");
    bad("src/server/mod.rs", "use crate::controller::X;");
    bad("src/cli/mod.rs", "use super::super::telemetry;");
    bad("src/cli/mod.rs", "use crate::nowhere::X;");
    bad("src/nowhere.rs", "");
    assert_eq!(ring_complaints("src/cluster/a.rs", "use crate::{api::A, cluster::b}; // crate::cli"), [""; 0]);
}

#[test]
fn pure_code_has_no_client_no_clock_no_files_and_no_randomness() {
    check(&sources(), purity_complaints);
    for path in ["src/api/x.rs", "src/engine/x.rs", "src/gitops/plan.rs", ALSO_PURE[0]] {
        for text in ["use tokio::time;", "let t = Instant::now();", "use std::{fmt, fs};", "fn f(c: kube::Client) {}"] {
            assert_eq!(purity_complaints(path, text).len(), 1, "{path}: {text}");
        }
        let fine = "use std::{fmt, time::{Duration, Instant}}; fn operand(known: Instant) {} // tokio";
        assert_eq!(purity_complaints(path, fine), [""; 0]);
    }
    assert_eq!(purity_complaints("src/cluster/x.rs", "use tokio::time;"), [""; 0]);
    assert!(ALSO_PURE.iter().all(|path| root().join(path).exists()));
}

/// The engine's types are its own: whoever drives it translates.
fn engine_complaints(path: &str, text: &str) -> Vec<String> {
    let inside = path.starts_with("src/engine/");
    let foreign = imports(text).into_iter().filter(|target| inside && target != "engine");
    let mut complaints: Vec<String> = foreign.map(|target| format!("the engine imports {target}")).collect();
    let mapped = inside
        && !path.starts_with("src/engine/strategy/")
        && !path.ends_with("/plan.rs")
        && !path.ends_with("/target.rs");
    if mapped && code(text).any(|line| line.contains("Canary") || line.contains("BlueGreen")) {
        complaints.push("names a strategy; only plan and target may".to_owned());
    }
    let lines = text.lines().count();
    if inside && lines > 400 {
        complaints.push(format!("has {lines} lines, more than 400"));
    }
    complaints
}

#[test]
fn the_engine_knows_neither_custom_resources_nor_by_name_its_strategies() {
    check(&sources(), engine_complaints);
    let path = "src/engine/step.rs";
    for text in ["use crate::api::package::Package;", "fn f(c: &Canary) {}", &"\n".repeat(401)] {
        assert_eq!(engine_complaints(path, text).len(), 1, "{text}");
    }
    assert_eq!(engine_complaints("src/cli/mod.rs", "use crate::api::X;"), [""; 0]);
}

#[test]
fn every_source_file_says_what_it_is_for() {
    check(&[sources(), files("tests", "rs")].concat(), header_complaints);
    assert_eq!(header_complaints("", "use std::fmt;\n//! late").len(), 1);
}

#[test]
fn no_source_file_is_too_long_to_read() {
    check(&[sources(), files("tests", "rs")].concat(), length_complaints);
    assert_eq!(length_complaints("", &"\n".repeat(LINES_MAX + 1)).len(), 1);
}

#[test]
fn nothing_names_a_registry_or_somebodys_machine() {
    let mut paths = [sources(), files("tests", "rs"), files("docs", "md")].concat();
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: &PathBuf| path.extension().is_some_and(|e| e == "md" || e == "toml");
    paths.extend(top.filter(text).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()));
    check(&paths, place_complaints);
    assert_eq!(
        place_complaints("", &"https://cra tes.io/home /ho me/me".replace("a t", "at").replace("o m", "om")).len(),
        2
    );
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut paths = files("docs", "md");
    let top = ["ARCHITECTURE.md", "CHANGELOG.md", "README.md"].map(str::to_owned);
    paths.extend(top.into_iter().filter(|path| root().join(path).exists()));
    check(&paths, link_complaints);
    assert_eq!(link_complaints("docs/x.md", "[a](../Cargo.toml#a) [b](gone.md)\n```\n[c](gone.md)\n```\n").len(), 1);
}

#[test]
fn every_dependency_is_used() {
    let all: String = [sources(), files("tests", "rs")].concat().iter().map(|path| read(path)).collect();
    let names = dependencies(&read("Cargo.toml"));
    assert!(names.len() > 5, "the manifest was not understood: {names:?}");
    let unused: Vec<_> = names.iter().filter(|name| !all.contains(&format!("{}::", name.replace('-', "_")))).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn the_entry_points_stay_short() {
    for path in ["src/main.rs", "src/lib.rs"] {
        let lines = read(path).lines().count();
        assert!(lines <= 60, "{path} has {lines} lines");
    }
}
