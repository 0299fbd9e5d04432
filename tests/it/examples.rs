//! Every file under `examples/` is what it claims to be: read, held against schema and rules, and complete.

use std::{collections::BTreeMap, fs, path::Path};

use landfall::{
    api::profile::ProfileSpec,
    cli::lint::lint,
    gitops::{
        object::Manifest,
        render::{self, Bounds, Settings},
        scope::{Scope, Scopes},
        select::{IGNORE_FILE, select},
        tree::{Entry, Kind, Listing},
    },
};

fn examples() -> Vec<String> {
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            found.push(path.display().to_string());
        }
    }
    found.sort();
    found
}

#[test]
fn every_example_is_accepted() {
    let mut own = 0;
    for file in examples() {
        let text = fs::read_to_string(&file).unwrap();
        let report = lint(&file, &text).unwrap();
        assert_eq!(report.findings, [""; 0], "{file}");
        own += text.matches("apiVersion: landfall.dev/").count();
    }
    assert!(own >= 4, "only {own} objects of Landfall were found");
}

/// Every file below a directory, by its path from there.
fn files(root: &Path) -> BTreeMap<String, String> {
    let (mut open, mut found) = (vec![root.to_owned()], BTreeMap::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
    found
}

/// The Profile of the example and the objects that it brings from the repository beside it.
fn repository() -> (ProfileSpec, Vec<Manifest>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gitops");
    let profile: serde_json::Value =
        serde_saphyr::from_str(&fs::read_to_string(root.join("profile.yaml")).unwrap()).unwrap();
    let profile: ProfileSpec = serde_json::from_value(profile["spec"].clone()).unwrap();
    let source = profile.source.clone().unwrap();
    let directory = source.git.path.unwrap();
    let files = files(&root.join("repository").join(directory.trim_matches('/')));
    let entry = |(path, text): (&String, &String)| Entry {
        path: path.clone(),
        kind: Kind::File,
        id: String::new(),
        size: text.len() as u64,
    };
    let listing = Listing { id: String::new(), entries: files.iter().map(entry).collect() };
    let selected = select(&listing, files.get(IGNORE_FILE).map(String::as_str), &source.ignore).unwrap();
    let settings = Settings { substitute: source.substitute, ..Settings::default() };
    let read = selected.iter().flat_map(|one| render::file(&one.path, files[&one.path].as_bytes(), &settings).unwrap());
    let manifests: Vec<_> = read.collect();
    let mut scopes = Scopes::default();
    for (api_version, kind) in render::kinds(&manifests) {
        scopes.insert(&api_version, &kind, Scope::Namespaced);
    }
    let bounds = Bounds { namespace: "shop", scopes: &scopes, allow_profiles: source.allow_profiles };
    (profile, render::compose(manifests, &bounds).unwrap())
}

#[test]
fn the_repository_of_the_example_is_one_that_its_profile_takes() {
    let (_, manifests) = repository();
    let names: Vec<_> = manifests.iter().map(|manifest| format!("{} {}", manifest.file, manifest.id)).collect();
    assert_eq!(
        names,
        [
            "settings.yaml ConfigMap shop/settings",
            "settings.yaml NetworkPolicy shop/web",
            "web/deployment.yaml Deployment shop/web",
            "web/package-1.0.0.yaml Package shop/web-1.0.0",
        ]
    );
    let settings = manifests[0].object();
    assert_eq!(settings["data"], serde_json::json!({"host": "shop.example.test", "greeting": "hello"}));
}

#[test]
fn the_repository_of_the_example_deploys_its_own_package_to_the_profile_that_follows_it() {
    let (profile, manifests) = repository();
    let of_kind = |kind: &str| manifests.iter().find(|one| one.id.kind == kind).unwrap().object();
    let (deployment, package) = (of_kind("Deployment"), of_kind("Package"));
    assert_eq!(deployment["spec"]["profile"], profile.environment.as_str());
    for field in ["name", "version"] {
        assert_eq!(deployment["spec"]["package"][field], package["spec"][field]);
    }
}

/// The documents show examples too; they must not fall behind.
#[test]
fn every_example_in_the_specifications_is_accepted() {
    for kind in ["package", "profile", "source", "deployment"] {
        let path = format!("{}/docs/spec/{kind}.md", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&path).unwrap();
        let blocks: Vec<_> = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        let whole: Vec<_> = blocks.into_iter().filter(|block| block.starts_with("apiVersion:")).collect();
        assert!(!whole.is_empty(), "{path} shows no whole object");
        for block in whole {
            assert_eq!(lint(&path, block).unwrap().findings, [""; 0], "{block}");
        }
    }
}
