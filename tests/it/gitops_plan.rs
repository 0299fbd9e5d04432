//! From manifests to a plan: which files, in which order, what is looked after, and what goes.

use std::collections::BTreeSet;

use landfall::{
    api::source::INVENTORY_IN_STATUS,
    gitops::{
        inventory::{CHUNK_MAX, Entry, Inventory, Kept, Mark, Stored, consent},
        object::{Id, Manifest},
        plan::{Plan, Terms, plan},
        select::select,
        stage::{is_ground, prune_stages, stages},
        tree::{self, Kind, Listing},
    },
};
use serde_json::{Value, json};

fn id(api_version: &str, kind: &str, place: &str) -> Id {
    let (namespace, name) = place.split_once('/').map_or((None, place), |(n, rest)| (Some(n.to_owned()), rest));
    Id { api_version: api_version.into(), kind: kind.into(), namespace, name: name.into() }
}

fn manifest(id: Id, content: &Value) -> Manifest {
    let object = json!({"apiVersion": id.api_version, "kind": id.kind, "metadata": {"name": id.name}, "data": content});
    Manifest::new(id, object, "a.yaml".into(), 1)
}

fn config(name: &str, content: &str) -> Manifest {
    manifest(id("v1", "ConfigMap", &format!("shop/{name}")), &json!({"x": content}))
}

/// An inventory after all of these were written.
fn applied(manifests: &[Manifest]) -> Inventory {
    let mut inventory = Inventory::default();
    for manifest in manifests {
        inventory.applied(manifest, Some(format!("uid-{}", manifest.id.name)));
    }
    inventory
}

fn names(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.id.to_string()).collect()
}

fn lines(inventory: &Inventory) -> Vec<String> {
    inventory.entries().map(Entry::to_string).collect()
}

fn listing(paths: &[(&str, Kind, u64)]) -> Listing {
    let entry = |(path, kind, size): &(&str, Kind, u64)| tree::Entry {
        path: (*path).to_owned(),
        kind: *kind,
        id: "0".into(),
        size: *size,
    };
    Listing { id: "0".into(), entries: paths.iter().map(entry).collect() }
}

fn selected(paths: &[&str], ignore: &str, patterns: &[&str]) -> Vec<String> {
    let listing = listing(&paths.iter().map(|path| (*path, Kind::File, 1)).collect::<Vec<_>>());
    let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    select(&listing, Some(ignore), &patterns).unwrap().into_iter().map(|entry| entry.path.clone()).collect()
}

#[test]
fn manifests_are_yaml_and_json_that_are_not_hidden() {
    let paths = [
        "README.md",
        ".sops.yaml",
        ".github/ci.yaml",
        "a.yaml",
        "b/c.yml",
        "b/d.json",
        "e.yaml.bak",
        "f/.g/h.yaml",
        "k/.yaml",
    ];
    assert_eq!(selected(&paths, "", &[]), ["a.yaml", "b/c.yml", "b/d.json"]);
}

#[test]
fn patterns_leave_out_what_git_would() {
    let paths = ["a.yaml", "b/a.yaml", "b/c.yaml", "b/keep.yaml", "d/e/f.yaml", "d/f.yaml", "x.json"];
    assert_eq!(selected(&paths, "# none\n\n", &[]), paths);
    assert_eq!(selected(&paths, "a.yaml\n", &[]), ["b/c.yaml", "b/keep.yaml", "d/e/f.yaml", "d/f.yaml", "x.json"]);
    assert_eq!(
        selected(&paths, "/a.yaml\r\n*.json\r\n", &[]),
        ["b/a.yaml", "b/c.yaml", "b/keep.yaml", "d/e/f.yaml", "d/f.yaml"]
    );
    assert_eq!(selected(&paths, "b/\n!b/keep.yaml\nd/**/f.yaml\n", &[]), ["a.yaml", "x.json"]);
    assert_eq!(selected(&paths, "*.yaml\n!c.yaml\n", &["x*", "!keep.yaml"]), ["b/c.yaml", "b/keep.yaml"]);
    assert_eq!(selected(&paths, "*\n!b\nb/*\n!b/c.yaml", &[]), ["b/c.yaml"]);
    let bad = select(&listing(&[]), Some("a\n{b\n"), &[]).unwrap_err();
    assert_eq!((bad[0].file.as_str(), bad[0].line, bad[0].reason), (".landfallignore", 2, "PatternNotUnderstood"));
    let bad = select(&listing(&[]), None, &["a".into(), "{b".into()]).unwrap_err();
    assert_eq!(bad[0].file, "spec.source.ignore[1]");
    assert!(select(&listing(&[]), Some(&"a\n".repeat(40_000)), &[]).is_err());
}

#[test]
fn what_cannot_be_read_is_named_unless_it_is_left_out() {
    let paths = [
        ("big.yaml", Kind::File, 5 << 20),
        ("big.txt", Kind::File, 5 << 30),
        ("chart/Chart.yaml", Kind::File, 1),
        ("kust/kustomization.yaml", Kind::File, 1),
        ("link", Kind::Link, 1),
        ("module", Kind::Submodule, 0),
    ];
    let problems = select(&listing(&paths), None, &[]).unwrap_err();
    let told: Vec<_> = problems.iter().map(|p| format!("{} {}", p.file, p.reason)).collect();
    let expected =
        ["big.yaml TooLarge", "chart/Chart.yaml RendererNotSupported", "kust/kustomization.yaml RendererNotSupported"];
    assert_eq!(told, [&expected[..], &["link NotAFile", "module NotAFile"]].concat());
    assert!(
        problems[2].message.contains("spec.source.git.path") && problems[1].message.contains("spec.source.git.path")
    );
    let out = ["big*", "chart", "kust/", "link", "module"].map(str::to_owned);
    assert_eq!(select(&listing(&paths), None, &out), Ok(vec![]));
    let many: Vec<_> = (0..40).map(|_| ("a.yaml", Kind::File, 4 << 20)).collect();
    assert_eq!(select(&listing(&many), None, &[]).unwrap_err()[0].reason, "TooLarge");
}

#[test]
fn what_others_refer_to_is_written_first_and_deleted_last() {
    let ids = [
        id("networking.k8s.io/v1", "Ingress", "shop/a"),
        id("landfall.dev/v1alpha1", "Deployment", "shop/a"),
        id("landfall.dev/v1alpha1", "Profile", "shop/a"),
        id("landfall.dev/v1alpha1", "Package", "shop/a"),
        id("apps/v1", "Deployment", "shop/a"),
        id("example.test/v1", "Sample", "shop/a"),
        id("v1", "Service", "shop/a"),
        id("v1", "ConfigMap", "shop/a"),
        id("rbac.authorization.k8s.io/v1", "RoleBinding", "shop/a"),
        id("rbac.authorization.k8s.io/v1", "Role", "shop/a"),
        id("v1", "ServiceAccount", "shop/a"),
        id("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "a"),
        id("example.test/v1", "Sample", "a"),
        id("rbac.authorization.k8s.io/v1", "ClusterRole", "a"),
        id("apiextensions.k8s.io/v1", "CustomResourceDefinition", "a"),
        id("v1", "Namespace", "a"),
        id("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "a"),
    ];
    let manifests: Vec<_> = ids.iter().map(|id| manifest(id.clone(), &json!(1))).collect();
    let expected: [&[usize]; 10] = [&[15], &[14], &[12, 13], &[10], &[9], &[8, 11], &[7], &[6, 3, 2, 4, 5], &[1], &[0]];
    let mut expected: Vec<Vec<usize>> = expected.iter().map(|stage| stage.to_vec()).collect();
    expected.push(vec![16]);
    assert_eq!(stages(&manifests), expected);
    let entries: Vec<_> = applied(&manifests).entries().cloned().collect();
    let deleted: Vec<_> = prune_stages(&entries).into_iter().flatten().map(|at| entries[at].id.kind.clone()).collect();
    assert_eq!(
        (deleted.len(), deleted[0].as_str(), deleted[16].as_str()),
        (17, "ValidatingWebhookConfiguration", "Namespace")
    );
    assert_eq!(ids.iter().filter(|id| is_ground(id)).count(), 2);
    assert!(stages(&[]).is_empty());
}

#[test]
fn an_inventory_is_read_as_it_was_written() {
    let all = [config("b", "1"), config("a", "1"), manifest(id("v1", "Namespace", "n"), &json!(1))];
    let mut inventory = applied(&all[..1]);
    inventory = inventory.union(&all);
    let Stored::Entries(entries) = inventory.store() else { panic!("there are three") };
    let digest = &all[0].digest;
    let expected = [
        "v1 ConfigMap shop/a - -".to_owned(),
        format!("v1 ConfigMap shop/b {digest} uid-b"),
        "v1 Namespace -/n - -".to_owned(),
    ];
    assert_eq!(entries, expected);
    assert_eq!(Inventory::read(entries.iter().map(String::as_str)).unwrap(), inventory);
    assert_eq!((inventory.len(), Inventory::default().is_empty()), (3, true));
}

#[test]
fn an_inventory_that_cannot_be_read_is_an_error_and_never_a_smaller_one() {
    let good = "v1 ConfigMap shop/a - -";
    for bad in [
        "",
        "v1",
        "v1 ConfigMap a - -",
        "v1 ConfigMap /a - -",
        "v1 ConfigMap a/ - -",
        "v1  shop/a - -",
        "v1 ConfigMap shop/b - - -",
        good,
    ] {
        assert_eq!(Inventory::read([good, bad]).unwrap_err().number, 2, "{bad}");
    }
    // The same object in another version.
    assert!(Inventory::read(["a/v1 A n/a - -", "a/v2 A n/a - -"]).is_err());
    assert!(Inventory::read(["a/v1 A n/a - -", "b/v1 A n/a - -"]).is_ok());
}

#[test]
fn a_large_inventory_is_kept_in_chunks() {
    let many = |count: usize| {
        applied(&(0..count).map(|n| config(&format!("{n:05}-{}", "x".repeat(150)), "1")).collect::<Vec<_>>())
    };
    assert!(matches!(many(INVENTORY_IN_STATUS).store(), Stored::Entries(lines) if lines.len() == INVENTORY_IN_STATUS));
    let inventory = many(4000);
    let Stored::Chunks(chunks) = inventory.store() else { panic!("too many for a status") };
    assert_eq!(chunks.len(), 2);
    assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_MAX));
    assert_eq!(Inventory::read(chunks.iter().flat_map(|chunk| chunk.lines())).unwrap(), inventory);
    assert!(matches!(many(INVENTORY_IN_STATUS + 1).store(), Stored::Chunks(chunks) if chunks.len() == 1));
}

#[test]
fn nothing_is_forgotten_and_nothing_counts_as_in_force_before_it_was_written() {
    let old = [config("a", "1"), config("b", "1"), config("c", "1")];
    let new = [config("a", "1"), config("b", "2"), config("d", "1")];
    let union = applied(&old).union(&new);
    let known: Vec<_> = union.entries().map(|e| (e.id.name.as_str(), e.digest.is_some(), e.uid.is_some())).collect();
    assert_eq!(known, [("a", true, true), ("b", false, true), ("c", true, true), ("d", false, false)]);
    // The process ends after the first write, and the commit is taken back: b is written again.
    let reverted = plan(&old, &union, &Terms { prune: true, ..Terms::default() }).unwrap();
    assert_eq!(
        (reverted.apply, reverted.unchanged, names(&reverted.prune)),
        (vec![1], vec![0, 2], vec!["ConfigMap shop/d".into()])
    );
    assert_eq!(union.cut([&old[2].id]).len(), 3);
    assert_eq!(lines(&union.cut(new.iter().map(|m| &m.id))), lines(&applied(&old[2..])));
}

#[test]
fn a_plan_writes_what_changed_and_deletes_what_left() {
    let old = [config("a", "1"), config("b", "1"), config("c", "1")];
    let new = [config("d", "1"), config("b", "2"), config("a", "1")];
    let inventory = applied(&old);
    let planned = plan(&new, &inventory, &Terms { prune: true, ..Terms::default() }).unwrap();
    assert_eq!((&planned.apply, &planned.unchanged), (&vec![0, 1], &vec![2]));
    assert_eq!((names(&planned.prune), planned.forget.len()), (vec!["ConfigMap shop/c".to_owned()], 0));
    let kept = plan(&new, &inventory, &Terms::default()).unwrap();
    assert_eq!((kept.prune.len(), names(&kept.forget)), (0, vec!["ConfigMap shop/c".to_owned()]));
    let again = Terms { again: BTreeSet::from([new[2].id.clone()]), ..Terms::default() };
    assert_eq!(plan(&new, &inventory, &again).unwrap().apply, [0, 1, 2]);
    let idle = plan(&old, &inventory, &Terms::default()).unwrap();
    assert_eq!(idle, Plan { unchanged: vec![0, 1, 2], ..Plan::default() });
    assert!(idle.is_idle() && !kept.is_idle() && !planned.is_idle());
}

#[test]
fn profiles_are_deleted_only_where_they_may_be() {
    let inventory = applied(&[config("a", "1"), manifest(id("landfall.dev/v1alpha1", "Profile", "shop/a"), &json!(1))]);
    let wanted = [config("b", "1")];
    for (allow_profiles, pruned, forgotten) in [(false, 1, 1), (true, 2, 0)] {
        let planned = plan(&wanted, &inventory, &Terms { prune: true, allow_profiles, ..Terms::default() }).unwrap();
        assert_eq!((planned.prune.len(), planned.forget.len()), (pruned, forgotten));
    }
}

#[test]
fn a_commit_without_objects_takes_nothing_away_unless_it_may() {
    let inventory = applied(&[config("a", "1")]);
    for prune in [false, true] {
        let refused = plan(&[], &inventory, &Terms { prune, ..Terms::default() }).unwrap_err();
        assert_eq!(refused.count, 1);
        assert!(refused.to_string().contains("allowEmpty"));
    }
    let terms = Terms { prune: true, allow_empty: true, ..Terms::default() };
    assert_eq!(plan(&[], &inventory, &terms).unwrap().prune.len(), 1);
    assert!(plan(&[], &Inventory::default(), &Terms::default()).unwrap().is_idle());
}

#[test]
fn another_version_of_a_kind_is_no_other_object() {
    let of = |api_version: &str| manifest(id(api_version, "Ingress", "shop/a"), &json!(1));
    let inventory = applied(&[of("networking.k8s.io/v1beta1")]);
    let planned = plan(&[of("networking.k8s.io/v1")], &inventory, &Terms { prune: true, ..Terms::default() }).unwrap();
    assert_eq!((planned.apply.len(), planned.prune.len()), (1, 0));
    // A kind that moved to another group: once its new name is written, both have one uid.
    let mut moved = applied(&[of("extensions/v1beta1")]);
    moved.applied(&of("networking.k8s.io/v1"), Some("uid-a".into()));
    assert_eq!((moved.len(), moved.to_prune(&[of("networking.k8s.io/v1")]).len()), (2, 0));
    let planned = plan(&[of("networking.k8s.io/v1")], &moved, &Terms { prune: true, ..Terms::default() }).unwrap();
    assert_eq!((planned.prune.len(), names(&planned.forget)), (0, vec!["Ingress shop/a".to_owned()]));
    assert_eq!(applied(&[of("extensions/v1beta1")]).to_prune(&[of("networking.k8s.io/v1")]).len(), 1);
}

#[test]
fn an_object_goes_only_when_it_is_ours_and_lets_us() {
    let entry = |kind: &str, uid: Option<&str>| Entry {
        id: id("v1", kind, "shop/a"),
        digest: None,
        uid: uid.map(str::to_owned),
    };
    let live = |more: Value| {
        let mut metadata = json!({"name": "a", "uid": "u", "labels": {"owner": "me"}});
        json_patch::merge(&mut metadata, &more);
        json!({"metadata": metadata})
    };
    let ask = |entry: &Entry, more: Value| consent(entry, &live(more), Mark { key: "owner", value: "me" });
    let prune = |value: &str| json!({"annotations": {"landfall.dev/prune": value}});
    let config = entry("ConfigMap", Some("u"));
    assert_eq!(ask(&config, json!({})), Ok(()));
    assert_eq!(ask(&config, prune("Enabled")), Ok(()));
    assert_eq!(ask(&config, prune("Disabled")), Err(Kept::Asked));
    assert_eq!(ask(&config, json!({"uid": "other", "labels": {"owner": null}})), Err(Kept::Replaced));
    assert_eq!(ask(&config, json!({"uid": "made anew by us"})), Ok(()));
    assert_eq!(ask(&config, json!({"uid": "other", "labels": {"owner": "another"}})), Err(Kept::Owned));
    assert_eq!(ask(&config, json!({"labels": {"owner": "another"}})), Err(Kept::Owned));
    assert_eq!(ask(&config, json!({"labels": {"owner": null}})), Ok(()));
    assert_eq!(ask(&config, json!({"labels": {"landfall.dev/deployment": "a"}})), Err(Kept::Owned));
    assert_eq!(ask(&config, json!({"ownerReferences": [{"uid": "x", "controller": true}]})), Err(Kept::Owned));
    assert_eq!(ask(&config, json!({"ownerReferences": [{"uid": "x"}]})), Ok(()));
    let unwritten = entry("ConfigMap", None);
    assert_eq!(ask(&unwritten, json!({})), Ok(()));
    assert_eq!(ask(&unwritten, json!({"labels": {"owner": null}})), Err(Kept::Owned));
    assert_eq!(ask(&unwritten, json!({"labels": {"owner": null}, "annotations": {"owner": "me"}})), Ok(()));
    let crd = Entry { id: id("apiextensions.k8s.io/v1", "CustomResourceDefinition", "a"), ..config.clone() };
    for precious in [entry("PersistentVolumeClaim", Some("u")), entry("Namespace", Some("u")), crd] {
        assert_eq!(ask(&precious, json!({})), Err(Kept::Precious), "{}", precious.id);
        assert_eq!(ask(&precious, prune("Enabled")), Ok(()), "{}", precious.id);
    }
}
