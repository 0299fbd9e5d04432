//! What kustomize and Helm need of a commit, what is refused, and what is made of what they print.

use landfall::gitops::{
    object::Manifest,
    problem::Problem,
    renderer::{
        Program, chart,
        files::{Closure, Tree, resolve},
        kustomization::Walk,
        output::{self, Hooks, Origins, Run},
    },
    select,
    tree::{Entry, Kind, Listing},
};

/// A commit with these files.
struct Commit(Vec<(&'static str, Kind, &'static str)>);

impl Commit {
    fn of(files: &[(&'static str, &'static str)]) -> Self {
        Self(files.iter().map(|(path, content)| (*path, Kind::File, *content)).collect())
    }

    fn listing(&self) -> Listing {
        let entry = |(path, kind, content): &(&str, Kind, &str)| Entry {
            path: (*path).to_owned(),
            kind: *kind,
            id: format!("id-of-{path}"),
            size: content.len() as u64,
        };
        let mut entries: Vec<Entry> = self.0.iter().map(entry).collect();
        entries.sort();
        Listing { id: "tree".to_owned(), entries }
    }

    /// Walks the kustomization of a directory.
    fn walk(&self, directory: &str) -> Result<Vec<String>, Vec<Problem>> {
        let listing = self.listing();
        let mut walk = Walk::new(Tree::of(&listing), directory);
        loop {
            let wants = walk.wants();
            if wants.is_empty() {
                return walk.end(directory).map(|closure| paths(&closure));
            }
            for (entry, reading) in wants {
                let (.., content) = self.0.iter().find(|(path, ..)| *path == entry.path).unwrap();
                walk.read(&reading, content.as_bytes());
            }
        }
    }
}

fn paths(closure: &Closure) -> Vec<String> {
    closure.entries().map(|entry| entry.path.clone()).collect()
}

/// Where and why, in short.
fn told(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| format!("{}:{} {}", problem.file, problem.line, problem.reason)).collect()
}

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

#[test]
fn paths_are_resolved_inside_of_the_repository_only() {
    let cases = [
        (("a/b", "../c/./d"), Some("a/c/d")),
        (("", "x"), Some("x")),
        (("a", ".."), Some("")),
        (("a", "../.."), None),
        (("a", "/etc/passwd"), None),
        (("a", "b//c/"), Some("a/b/c")),
    ];
    for ((directory, text), path) in cases {
        assert_eq!(resolve(directory, text).as_deref(), path, "{directory} {text}");
    }
}

#[test]
fn a_kustomization_needs_the_files_that_it_names_and_nothing_else() {
    let commit = Commit::of(&[
        (
            "env/kustomization.yaml",
            "resources: [../base, own.yaml]\ncomponents: [../part]\npatches:\n- path: patch.yaml\n- patch: |\n    - op: add\n      path: /x\n\
             patchesStrategicMerge:\n- |\n  a: b\n- old.yaml\nopenapi: {path: schema.json}\nreplacements:\n- path: replace.yaml\n",
        ),
        ("env/own.yaml", MAP),
        ("env/patch.yaml", ""),
        ("env/old.yaml", ""),
        ("env/schema.json", ""),
        ("env/replace.yaml", ""),
        ("env/unused.yaml", ""),
        (
            "base/Kustomization",
            "configMapGenerator:\n- name: a\n  files: [key=a.txt, b.txt]\n  envs: [c.env]\nsecretGenerator:\n- name: b\n  env: d.env\ntransformers: [labels.yaml]\n",
        ),
        ("base/a.txt", ""),
        ("base/b.txt", ""),
        ("base/c.env", ""),
        ("base/d.env", ""),
        (
            "base/labels.yaml",
            "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: x}\npath: more/patch.yaml\ntarget: {kind: ConfigMap}\n",
        ),
        ("base/more/patch.yaml", ""),
        ("part/kustomization.yml", "kind: Component\ncrds: [crd.json]\nconfigurations: [names.yaml]\n"),
        ("part/crd.json", ""),
        ("part/names.yaml", ""),
        ("other/x.yaml", MAP),
    ]);
    let mut expected: Vec<&str> = commit
        .0
        .iter()
        .map(|(path, ..)| *path)
        .filter(|path| !["env/unused.yaml", "other/x.yaml"].contains(path))
        .collect();
    expected.sort_unstable();
    assert_eq!(commit.walk("env").unwrap(), expected);
}

#[test]
fn a_base_that_names_itself_ends_the_walk() {
    let commit =
        Commit::of(&[("a/kustomization.yaml", "resources: [../b]\n"), ("b/kustomization.yaml", "resources: [../a]\n")]);
    assert_eq!(commit.walk("a").unwrap().len(), 2, "kustomize says what is wrong with it");
}

#[test]
fn whatever_leads_out_is_refused_with_its_line() {
    let cases = [
        ("resources:\n- ssh://git@example.test/x\n", "RemoteNotAllowed", 2),
        ("resources:\n- git@github.com:a/b.git\n", "RemoteNotAllowed", 2),
        ("bases:\n- ../x\n- github.com/a/b?ref=main\n", "FileMissing", 2),
        ("components: ['https://example.test/x']\n", "RemoteNotAllowed", 1),
        ("resources: [gone.yaml]\n", "FileMissing", 1),
        ("resources: [empty]\n", "FileMissing", 1),
        ("resources: [/etc/passwd]\n", "FileMissing", 1),
        ("resources: [link.yaml]\n", "NotAFile", 1),
        ("resources: [linked/x.yaml]\n", "NotAFile", 1),
        ("configMapGenerator:\n- name: a\n  files:\n  - k=../../../../proc/self/environ\n", "FileMissing", 4),
        ("openapi: {path: 'https://example.test/x'}\n", "RemoteNotAllowed", 1),
        ("helmCharts: []\n", "PluginNotAllowed", 1),
        ("generators:\n- |\n  apiVersion: example.test/v1\n  kind: Run\n", "PluginNotAllowed", 3),
        ("transformers:\n- |\n  apiVersion: builtin\n  kind: HelmChartInflationGenerator\n", "PluginNotAllowed", 3),
        (
            "validators:\n- |\n  apiVersion: builtin\n  kind: X\n  metadata:\n    annotations: {config.kubernetes.io/function: x}\n",
            "PluginNotAllowed",
            3,
        ),
        ("resources: [\n", "NotYaml", 1),
    ];
    for (text, reason, line) in cases {
        let mut commit = Commit::of(&[("k/empty/readme.md", ""), ("k/file.yaml", MAP)]);
        commit.0.push(("k/kustomization.yaml", Kind::File, text));
        commit.0.push(("k/link.yaml", Kind::Link, "file.yaml"));
        commit.0.push(("k/linked", Kind::Link, "/etc"));
        let problems = commit.walk("k").expect_err(text);
        assert_eq!(told(&problems)[0], format!("k/kustomization.yaml:{line} {reason}"), "{text}");
    }
}

#[test]
fn a_chart_needs_its_directory_and_its_values_and_has_its_dependencies_with_it() {
    let mut commit = Commit::of(&[
        (
            "c/Chart.yaml",
            "name: shop\ndependencies:\n- name: db\n  repository: https://charts.example.test\n- name: cache\n",
        ),
        ("c/templates/a.yaml", ""),
        ("c/charts/db-1.2.3.tgz", ""),
        ("values/x.yaml", ""),
        ("other/y.yaml", ""),
    ]);
    let (listing, content) = (commit.listing(), commit.0[0].2.as_bytes());
    let tree = Tree::of(&listing);
    let (closure, named) = chart::closure(&tree, "c", &["../values/x.yaml".to_owned()]).unwrap();
    assert_eq!(paths(&closure), ["c/Chart.yaml", "c/charts/db-1.2.3.tgz", "c/templates/a.yaml", "values/x.yaml"]);
    assert_eq!(named, ["values/x.yaml"]);
    let problems = chart::judge(&tree, "c", ("c/Chart.yaml", content)).unwrap_err();
    assert_eq!(told(&problems), ["c/Chart.yaml:5 RemoteNotAllowed"]);
    for bad in ["https://example.test/values.yaml", "../../out.yaml", "/etc/passwd", "gone.yaml", "templates"] {
        let problems = chart::closure(&tree, "c", &[bad.to_owned()]).expect_err(bad);
        assert_eq!(problems[0].file, "spec.source.helm.valuesFiles[0]");
    }
    commit.0.push(("c/charts/cache/Chart.yaml", Kind::File, ""));
    let listing = commit.listing();
    let name = chart::judge(&Tree::of(&listing), "c", ("c/Chart.yaml", content)).unwrap();
    assert_eq!(name.as_deref(), Some("shop"));
    assert!(chart::release("shop").is_none() && chart::release("Shop").is_some());
    assert!(chart::release(&"s".repeat(54)).is_some());
}

#[test]
fn the_root_of_what_is_named_decides_and_only_that() {
    let listing = |paths: &[&'static str]| Commit(paths.iter().map(|path| (*path, Kind::File, "")).collect()).listing();
    let of = |paths: &[&'static str], ignore: &str| {
        let listing = listing(paths);
        let root = select::root(&listing, Some(ignore), &[]);
        root.map(|root| root.map(|(entry, program)| (entry.path.clone(), program)))
    };
    assert_eq!(of(&["a.yaml", "k/kustomization.yaml"], ""), Ok(None));
    assert_eq!(of(&["Chart.yaml", "a.yaml"], ""), Ok(Some(("Chart.yaml".to_owned(), Program::Helm))));
    assert_eq!(of(&["Kustomization", "x/Chart.yaml"], ""), Ok(Some(("Kustomization".to_owned(), Program::Kustomize))));
    assert_eq!(of(&["Chart.yaml", "a.yaml"], "Chart.yaml\n"), Ok(None));
    assert_eq!(
        told(&of(&["Chart.yaml", "kustomization.yml"], "").unwrap_err()),
        ["kustomization.yml:1 RendererNotSupported"]
    );
}

fn run(program: Program) -> Run<'static> {
    let (root, chart) = match program {
        Program::Kustomize => ("env/kustomization.yaml", None),
        Program::Helm => ("env/Chart.yaml", Some("shop")),
    };
    Run { program, directory: "env", root, chart, origins: Origins::Removed, hooks: Hooks::Refused }
}

fn made(manifests: &[Manifest]) -> Vec<String> {
    manifests.iter().map(|manifest| format!("{} {}:{}", manifest.id, manifest.file, manifest.line)).collect()
}

#[test]
fn objects_of_kustomize_are_known_by_their_files() {
    let (text, origins) = output::with_origins("resources: [a.yaml]\n");
    assert_eq!((text.contains("originAnnotations"), origins), (true, Origins::Removed));
    for own in ["buildMetadata: []\n", "{resources: [a.yaml]}\n", "- a\n", "a: 1\n---\nb: 1\n"] {
        assert_eq!(output::with_origins(own), (own.into(), Origins::Kept), "{own}");
    }
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  annotations:\n    config.kubernetes.io/origin: |\n      path: ../base/a.yaml\n  name: a\n\
                ---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  annotations:\n    config.kubernetes.io/origin: |\n      configuredIn: kustomization.yaml\n      configuredBy:\n        kind: X\n    own: kept\n  name: b\n\
                ---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n";
    let manifests = output::manifests(text, &run(Program::Kustomize)).unwrap();
    assert_eq!(
        made(&manifests),
        ["ConfigMap a base/a.yaml:0", "ConfigMap b env/kustomization.yaml:0", "ConfigMap c env/kustomization.yaml:0"]
    );
    assert!(!manifests[0].text().contains("annotations"), "{}", manifests[0].text());
    assert!(manifests[1].text().contains("kept") && !manifests[1].text().contains("origin"));
    let kept = Run { origins: Origins::Kept, ..run(Program::Kustomize) };
    assert!(output::manifests(text, &kept).unwrap()[0].text().contains("origin"));
}

#[test]
fn objects_of_helm_are_known_by_their_templates_and_hooks_are_judged() {
    let text = "---\n# Source: shop/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {mode: 0644, text: \"x\\n---\"}\n\
                ---\n# Source: shop/charts/db/templates/b.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, annotations: {helm.sh/hook: crd-install}}\n\
                ---\n# Source: shop/templates/none.yaml\n# nothing\n\
                ---\n# Source: shop/templates/t.yaml\napiVersion: v1\nkind: Pod\nmetadata: {name: t, annotations: {helm.sh/hook: \"test-success, test\"}}\n";
    let manifests = output::manifests(text, &run(Program::Helm)).unwrap();
    assert_eq!(
        made(&manifests),
        ["ConfigMap a env/templates/a.yaml:0", "ConfigMap b env/charts/db/templates/b.yaml:0"]
    );
    assert!(manifests[0].text().contains("420"), "YAML 1.1 as everywhere: {}", manifests[0].text());
    for hook in ["pre-install", "pre-upgrade,post-install", "test, pre-delete"] {
        let text = format!(
            "---\n# Source: shop/templates/h.yaml\napiVersion: batch/v1\nkind: Job\nmetadata: {{name: h, annotations: {{helm.sh/hook: '{hook}'}}}}\n"
        );
        let problems = output::manifests(&text, &run(Program::Helm)).unwrap_err();
        assert_eq!(told(&problems), ["env/templates/h.yaml:0 HookNotSupported"]);
        assert_eq!(problems[0].object.as_deref(), Some("Job h"));
    }
    let bad = "---\n# Source: shop/templates/x.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {}\n";
    assert_eq!(told(&output::manifests(bad, &run(Program::Helm)).unwrap_err()), ["env/templates/x.yaml:0 NotAnObject"]);
}

#[test]
fn what_a_program_complains_of_is_told_with_its_place() {
    let files = ["env/Chart.yaml", "env/templates/a.yaml", "base/a.yaml", "base/kustomization.yaml"];
    let of = |program, said: &str| output::failure(said, &run(program), files.iter().copied());
    let helm = of(
        Program::Helm,
        "noise\nError: template: shop/templates/a.yaml:3:5: executing \"shop/templates/a.yaml\" at <.Values.x>:\n  nil pointer\n",
    );
    assert_eq!((helm.file.as_str(), helm.line), ("env/templates/a.yaml", 3));
    assert!(helm.message.starts_with("helm: template: shop/templates/a.yaml:3:5: executing"), "{}", helm.message);
    let kustomize = of(Program::Kustomize, "Error: accumulating resources from base/a.yaml: bad thing");
    assert_eq!((kustomize.file.as_str(), kustomize.line), ("base/a.yaml", 0));
    let silent = of(Program::Kustomize, "");
    assert_eq!(
        (silent.file.as_str(), silent.message.as_str()),
        ("env/kustomization.yaml", "kustomize: it ended without a word")
    );
    assert!(of(Program::Helm, &"x ".repeat(10_000)).message.len() < 1000);
}

#[test]
fn hooks_that_a_revision_stands_for_are_jobs_of_it_and_all_others_are_refused_by_name() {
    let object = |kind: &str, version: &str, hook: &str| {
        format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: a\n  annotations:\n    helm.sh/hook: {hook}\n    \
             helm.sh/hook-weight: \"1\"\n    team: shop\n"
        )
    };
    let jobs = Run { hooks: Hooks::Jobs, ..run(Program::Helm) };
    for hook in ["pre-install", "post-install,post-upgrade", "pre-install, pre-upgrade"] {
        let made = output::manifests(&object("Job", "batch/v1", hook), &jobs).unwrap();
        assert_eq!(made[0].object()["metadata"]["annotations"], serde_json::json!({"team": "shop"}), "{hook}");
        let refused = output::manifests(&object("Job", "batch/v1", hook), &run(Program::Helm)).unwrap_err();
        assert_eq!(refused[0].reason, "HookNotSupported", "a source has nothing that runs it");
    }
    for (kind, version, hook, named) in [
        ("Job", "batch/v1", "pre-delete", "pre-delete"),
        ("Job", "batch/v1", "pre-install,pre-rollback", "pre-install"),
        ("ConfigMap", "v1", "pre-install", "pre-install"),
        ("Job", "other.test/v1", "post-upgrade", "post-upgrade"),
    ] {
        let refused = output::manifests(&object(kind, version, hook), &jobs).unwrap_err();
        assert!(refused[0].message.contains(&format!("this hook ({named})")), "{}", refused[0].message);
    }
    assert_eq!(output::manifests(&object("Pod", "v1", "test"), &jobs).unwrap(), []);
}
