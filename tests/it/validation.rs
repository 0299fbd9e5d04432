//! Every rule of the custom resources, evaluated without a cluster: what passes, what is refused, and with which words.
//!
//! `tests/e2e/validation.rs` asks a real API server the same.

use kube::core::cel::Validator;
use landfall::{
    api::crd,
    cli::lint::{Judgement, judge},
};
use serde_json::{Map, Value, json};

fn package() -> Value {
    json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Package", "metadata": {"name": "shop-1.0.0"},
        "spec": {"name": "shop", "version": "1.0.0", "workload": {"manifests": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}, "data": {"a": "b"}},
            {
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
                "spec": {
                    "selector": {"matchLabels": {"app": "shop"}},
                    "template": {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "shop", "image": "shop"}]}},
                },
            },
        ]}},
    })
}

fn profile() -> Value {
    json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Profile", "metadata": {"name": "production"},
        "spec": {"environment": "production", "target": {"namespace": "shop"}},
    })
}

fn deployment() -> Value {
    json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "metadata": {"name": "shop"},
        "spec": {"package": {"name": "shop", "version": "1.0.0"}, "profile": "production"},
    })
}

/// The object with other values at these pointers; null removes what is there.
fn with<const N: usize>(mut object: Value, changes: [(&str, Value); N]) -> Value {
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
        match parent {
            Value::Object(map) if value.is_null() => drop(map.remove(key)),
            Value::Object(map) => drop(map.insert(key.to_owned(), value)),
            list => list[key.parse::<usize>().unwrap()] = value,
        }
    }
    object
}

/// What is said of a new object, as `field: message`.
fn said(object: &Value) -> Vec<String> {
    match judge(object).unwrap() {
        Judgement::Own { findings, .. } => {
            findings.iter().map(|finding| format!("{}: {}", finding.field(), finding.message)).collect()
        }
        Judgement::Foreign(what) => panic!("{what} is foreign"),
    }
}

#[track_caller]
fn accepts(object: &Value) {
    assert_eq!(said(object), [""; 0], "{object}");
}

#[track_caller]
fn refuses(object: &Value, words: &str) {
    let said = said(object);
    assert!(said.iter().any(|line| line.contains(words)), "{words:?} is not in {said:#?}\n{object}");
}

/// What is said of a change, as messages.
fn said_of_change(old: &Value, new: &Value) -> Vec<String> {
    let schema = crd::schema(old["kind"].as_str().unwrap()).unwrap();
    let result = Validator::new().validate(&schema, new, Some(old));
    result.err().map(|errors| errors.as_slice().iter().map(|error| error.message.clone()).collect()).unwrap_or_default()
}

#[track_caller]
fn refuses_change(old: &Value, new: &Value, words: &str) {
    let said = said_of_change(old, new);
    assert!(said.iter().any(|line| line.contains(words)), "{words:?} is not in {said:#?}");
}

#[test]
fn good_objects_pass() {
    accepts(&package());
    accepts(&profile());
    accepts(&deployment());
}

#[test]
fn a_package_is_named_after_its_name_and_version() {
    refuses(
        &with(package(), [("/metadata/name", json!("shop"))]),
        "metadata.name must be spec.name, a '-' and spec.version: rename the object",
    );
    accepts(&with(package(), [("/metadata/name", json!("shop-2.0.0-rc.1")), ("/spec/version", json!("2.0.0-rc.1"))]));
    for bad in ["Shop", "-shop", "sh.op", "shop_x"] {
        refuses(&with(package(), [("/spec/name", json!(bad))]), "spec.name: use lower-case letters, digits and '-'");
    }
    refuses(&with(package(), [("/spec/name", json!("x".repeat(41)))]), "spec.name: ");
}

#[test]
fn a_deployment_has_a_name_that_can_be_a_label() {
    let named = |length: usize| with(deployment(), [("/metadata/name", json!("x".repeat(length)))]);
    accepts(&named(63));
    refuses(&named(64), "a Deployment's name has at most 63 characters");
    accepts(&with(deployment(), [("/metadata/name", json!("shop.eu-1"))]));
}

#[test]
fn the_account_of_a_profile_is_the_name_of_one() {
    let account = |name: &str| with(profile(), [("/spec/target/serviceAccount", json!(name))]);
    for good in ["release", "release-1.eu", "0", &"x".repeat(253)] {
        accepts(&account(good));
    }
    for bad in
        ["", "Release", "a:b", "kube-system:default", "a/b", "a b", "-a", "a-", "a..b", ".a", "a\n", &"x".repeat(254)]
    {
        refuses(&account(bad), "spec.target.serviceAccount");
    }
}

#[test]
fn a_version_is_semantic_and_lower_case() {
    for bad in ["1.0.0-RC1", "v1.0.0", "1.0.0+build", "1.0.x"] {
        refuses(
            &with(package(), [("/spec/version", json!(bad))]),
            "spec.version: a version is a semantic version in lower case without build metadata",
        );
        refuses(&with(deployment(), [("/spec/package/version", json!(bad))]), "spec.package.version: a version is");
    }
    refuses(&with(package(), [("/spec/version", json!(1.5))]), "spec.version: 1.5 is a float: put it in quotes");
}

#[test]
fn a_package_has_exactly_one_content_with_exactly_one_source() {
    refuses(
        &with(package(), [("/spec/workload", Value::Null)]),
        "spec: exactly one content kind is needed: add `workload`",
    );
    refuses(&with(package(), [("/spec/database", json!({}))]), "spec.database: unknown field");
    refuses(&with(package(), [("/spec/workload", json!({}))]), "spec.workload: ");
    refuses(&with(package(), [("/spec/workload/git", git(json!({})))]), "spec.workload: ");
    refuses(&with(package(), [("/spec/workload/manifests", json!([]))]), "spec.workload.manifests: ");
    refuses(&with(package(), [("/spec/workload/manifests/0/kind", Value::Null)]), "spec.workload.manifests[0]: ");
}

/// A repository, with these fields beside its address.
fn git(fields: Value) -> Value {
    let mut git = json!({"url": "https://git.example.test/shop.git"});
    git.as_object_mut().unwrap().extend(serde_json::from_value::<Map<String, Value>>(fields).unwrap());
    git
}

/// A Package with its content in a repository.
fn packaged(fields: Value) -> Value {
    with(package(), [("/spec/workload", json!({"git": git(fields)}))])
}

#[test]
fn a_package_names_one_commit_of_a_repository_for_ever() {
    let commit = || json!("0123456789012345678901234567890123456789");
    accepts(&packaged(
        json!({"commit": commit(), "path": "/production", "timeout": "30s", "secretRef": {"name": "git"}}),
    ));
    accepts(&packaged(json!({"tag": "v1.0.0", "verify": {"mode": "TagAndHEAD", "secretRef": {"name": "keys"}}})));
    let one = "spec.workload.git: name exactly one of commit and tag";
    refuses(&packaged(json!({})), one);
    refuses(&packaged(json!({"commit": commit(), "tag": "v1"})), one);
    refuses(&packaged(json!({"branch": "main"})), "spec.workload.git.branch: unknown field");
    refuses(&packaged(json!({"commit": "0123456"})), "spec.workload.git.commit: ");
    refuses(
        &packaged(json!({"commit": commit(), "verify": {"mode": "Tag", "secretRef": {"name": "keys"}}})),
        "spec.workload.git.verify.mode: name a tag, or verify HEAD",
    );
    refuses(&packaged(json!({"tag": "v1", "path": "a/../b"})), "spec.workload.git.path: no `..`");
    let at = |url: &str| with(packaged(json!({"tag": "v1"})), [("/spec/workload/git/url", json!(url))]);
    refuses(&at("http://git.example.test/a.git"), "spec.workload.git.url: write https://host/path");
    refuses(&at("https://ann:word@git.example.test/a.git"), "spec.workload.git.url: no credentials");
    refuses(&at("ssh://git@git.example.test/a.git"), "spec.workload.git.secretRef: ssh needs a Secret");

    let filled = |more: &str, value: Value| with(packaged(json!({"tag": "v1"})), [(more, value)]);
    let (helm, values) = ("/spec/workload/helm", json!({"releaseName": "a", "values": {"replicas": 2}}));
    accepts(&filled(helm, values.clone()));
    accepts(&filled("/spec/workload/substitute", json!({"NAME": "a"})));
    refuses(&with(package(), [(helm, values.clone())]), "spec.workload.helm: it says how a chart");
    refuses(
        &with(package(), [("/spec/workload/substitute", json!({"A": "a"}))]),
        "spec.workload.substitute: its values",
    );

    let content = "spec.workload is immutable: make a Package of a new version";
    let old = filled(helm, values);
    refuses_change(&old, &with(old.clone(), [("/spec/workload/git/tag", json!("v2"))]), content);
    refuses_change(&old, &with(old.clone(), [("/spec/workload/helm/values", json!({"replica": 2}))]), content);
    refuses_change(&old, &with(old.clone(), [(helm, Value::Null)]), content);
    refuses_change(&old, &package(), content);
    refuses_change(&package(), &old, content);
}

#[test]
fn a_package_never_changes_its_name_version_or_content() {
    let old = package();
    refuses_change(
        &old,
        &with(package(), [("/spec/name", json!("other"))]),
        "spec.name is immutable: make another Package",
    );
    refuses_change(
        &old,
        &with(package(), [("/spec/version", json!("2.0.0"))]),
        "spec.version is immutable: make a Package of the new version",
    );
    let content = "spec.workload is immutable: make a Package of a new version";
    refuses_change(&old, &with(package(), [("/spec/workload", Value::Null)]), content);
    let manifest = "/spec/workload/manifests/0";
    let data = format!("{manifest}/data");
    refuses_change(&old, &with(package(), [(data.as_str(), json!({"a": "c"}))]), content);
    let renamed =
        with(package(), [(data.as_str(), Value::Null), (&format!("{manifest}/stringData"), json!({"a": "b"}))]);
    refuses_change(&old, &renamed, content);
    let words = with(
        package(),
        [
            ("/spec/description", json!("x")),
            ("/spec/tags", json!(["a"])),
            ("/spec/metadata", json!({"a": "b"})),
            ("/spec/state", json!("Archived")),
        ],
    );
    assert_eq!(said_of_change(&old, &words), [""; 0]);
    accepts(&words);
}

#[test]
fn a_name_occurs_once_in_each_list() {
    let twice = |key: &str| json!([{key: "a"}, {key: "a"}]);
    refuses(&with(package(), [("/spec/dependsOn", twice("name"))]), "spec.dependsOn: a package may be named once only");
    accepts(&with(package(), [("/spec/dependsOn", json!([{"name": "a"}, {"name": "b", "version": "~1.4"}]))]));
    refuses(&with(deployment(), [("/spec/envFrom", twice("secret"))]), "spec.envFrom: a Secret may be named once only");
    refuses(
        &with(deployment(), [("/spec/overrides", json!({"env": twice("name")}))]),
        "spec.overrides.env: a variable may be named once only",
    );
    let images = json!([{"name": "a", "newTag": "1"}, {"name": "a", "newTag": "2"}]);
    refuses(
        &with(deployment(), [("/spec/overrides", json!({"images": images}))]),
        "spec.overrides.images: an image may be named once only",
    );
    let checks = json!([{"name": "a", "http": {"url": "http://x"}}, {"name": "a", "http": {"url": "http://y"}}]);
    refuses(&with(profile(), [("/spec/checks", checks.clone())]), "spec.checks: a name may occur once only");
    refuses(
        &with(profile(), [("/spec/strategy", json!({"canary": {}, "checks": checks}))]),
        "strategy.checks: a name may occur once only",
    );
}

#[test]
fn profile_and_package_name_of_a_deployment_and_the_place_of_a_profile_never_change() {
    let change = |pointer| with(deployment(), [(pointer, json!("other"))]);
    refuses_change(&deployment(), &change("/spec/profile"), "spec.profile is immutable: make another Deployment");
    refuses_change(
        &deployment(),
        &change("/spec/package/name"),
        "spec.package.name is immutable: make another Deployment",
    );
    assert_eq!(
        said_of_change(&deployment(), &with(deployment(), [("/spec/package/version", json!("2.0.0"))])),
        [""; 0]
    );
    let environment = with(profile(), [("/spec/environment", json!("staging"))]);
    refuses_change(&profile(), &environment, "spec.environment is immutable: make another Profile");
    for target in [json!({"namespace": "other"}), json!({}), Value::Null] {
        let moved = with(profile(), [("/spec/target", target)]);
        refuses_change(&profile(), &moved, "spec.target is immutable: make another Profile");
        refuses_change(&moved, &profile(), "spec.target is immutable: make another Profile");
    }
}

#[test]
fn a_revert_names_a_branch_that_takes_it_and_an_author_that_a_commit_can_have() {
    let of = |git: Value, revert: Value| {
        with(profile(), [("/spec/target", Value::Null), ("/spec/source", json!({"git": git, "revert": revert}))])
    };
    let url = "https://git.test/shop";
    let plain = json!({"url": url});
    let signed = json!({"url": url, "verify": {"secretRef": {"name": "signers"}}});
    accepts(&of(plain.clone(), json!({"branch": "main", "secretRef": {"name": "push"}})));
    accepts(&of(signed.clone(), json!({"branch": "landfall/revert-shop"})));
    refuses(&of(signed.clone(), json!({"branch": "main"})), "spec.source.revert.branch: a revert is not signed");
    let of_branch = with(signed.clone(), [("/branch", json!("live"))]);
    refuses(&of(of_branch.clone(), json!({"branch": "live"})), "name another branch");
    accepts(&of(of_branch, json!({"branch": "main"})));
    accepts(&of(with(signed, [("/tag", json!("v1"))]), json!({"branch": "main"})));
    let by =
        |name: &str, email: &str| of(plain.clone(), json!({"branch": "x", "author": {"name": name, "email": email}}));
    accepts(&by("Shop Bot", "bot@shop.test"));
    refuses(&by("Bot <x>", "bot@shop.test"), "author.name");
    refuses(&by("Bot", "a\nb"), "author.email");
    refuses(&of(plain.clone(), json!({})), "branch");
    refuses(&of(plain, json!({"branch": "-x"})), "branch");
}

#[test]
fn a_source_names_one_repository_and_one_thing_in_it() {
    let git = |git: Value| with(profile(), [("/spec/source", json!({"git": git}))]);
    let at = |url: &str| git(json!({"url": url}));
    let url = "https://git.example.test/shop.git";
    for good in [url, "https://git.example.test:8443/a/b", "https://[::1]/a@b"] {
        accepts(&at(good));
    }
    for good in ["ssh://git@git.example.test:2222/shop", "ssh://ann@[::1]/~ann/shop.git"] {
        accepts(&git(json!({"url": good, "secretRef": {"name": "shop-git"}})));
        refuses(&at(good), "spec.source.git.secretRef: ssh needs a Secret with the keys identity and known_hosts");
    }
    let plain =
        ["http://git.example.test/shop", "file:///srv/shop.git", "git@git.example.test:shop", "https://git.test"];
    for bad in plain.into_iter().chain(["ssh://git.example.test:22/shop", "ssh://git@git.example.test"]) {
        refuses(&at(bad), "spec.source.git.url: write https://host/path, or ssh://user@host/path");
    }
    for bad in ["https://ann:secret@git.test/shop", "https://token@git.test/shop", "ssh://git:secret@git.test/shop"] {
        refuses(&at(bad), "no credentials in the address: put them into the Secret that secretRef names");
    }
    for (mode, tagged) in [("HEAD", false), ("Tag", true), ("TagAndHEAD", true)] {
        let verify = json!({"mode": mode, "secretRef": {"name": "signers"}});
        accepts(&git(json!({"url": url, "tag": "v1", "verify": verify})));
        accepts(&git(json!({"url": url, "semver": "1", "verify": verify})));
        let on_branch = git(json!({"url": url, "verify": verify}));
        if tagged {
            refuses(&on_branch, "spec.source.git.verify.mode: name a tag or semver, or verify HEAD");
        } else {
            accepts(&on_branch);
        }
    }
    accepts(&git(json!({"url": url, "verify": {"secretRef": {"name": "signers"}}})));
    let wanted = [
        ("branch", json!("release/1.x")),
        ("tag", json!("v1.2.0")),
        ("semver", json!(">=1.2.0, <2")),
        ("commit", json!("0123456789abcdef0123456789abcdef01234567")),
    ];
    for (index, (one, value)) in wanted.iter().enumerate() {
        accepts(&git(json!({"url": url, *one: value})));
        for (other, second) in &wanted[index + 1..] {
            refuses(
                &git(json!({"url": url, *one: value, *other: second})),
                "name one of branch, tag, semver and commit",
            );
        }
    }
    for (field, bad) in [("branch", "-main"), ("tag", "v1 0"), ("commit", "main"), ("commit", "0123456")] {
        refuses(&git(json!({"url": url, field: bad})), &format!("spec.source.git.{field}: "));
    }
    for good in ["/", "/production", "apps/shop", "..production/a.b"] {
        accepts(&git(json!({"url": url, "path": good})));
    }
    for bad in ["..", "/a/../b", "../other", "a/.."] {
        refuses(&git(json!({"url": url, "path": bad})), "spec.source.git.path: no `..`");
    }
}

#[test]
fn the_rest_of_a_source_is_typed() {
    let source = |field: &str, value: Value| {
        let git = json!({"url": "https://git.example.test/shop.git"});
        with(profile(), [("/spec/source", json!({"git": git, field: value}))])
    };
    for drift in ["Correct", "Report", "Ignore"] {
        accepts(&source("drift", json!(drift)));
    }
    accepts(&source("webhook", json!({"name": "shop-hook", "key": "secret"})));
    accepts(&source("healthTimeout", json!("10m")));
    accepts(&source(
        "dependsOn",
        json!([{"name": "base"}, {"apiVersion": "v1", "kind": "Service", "namespace": "db", "name": "db", "ready": "true"}]),
    ));
    accepts(&source("substitute", json!({"HOST": "shop.example.test"})));
    for (field, bad) in [
        ("drift", json!("Repair")),
        ("webhook", json!("secret")),
        ("healthTimeout", json!("soon")),
        ("substitute", json!({"REPLICAS": 3})),
        ("dependsOn", json!([""])),
        ("dependsOn", json!([{"name": ""}])),
        ("dependsOn", json!([{"name": "a", "kind": "Service"}])),
        ("dependsOn", json!([{"name": "a", "namespace": "other"}])),
        ("dependsOn", json!([{"name": "a", "ready": "true"}])),
        ("ignore", json!("*.yaml")),
        ("prune", json!("yes")),
    ] {
        refuses(&source(field, bad), &format!("spec.source.{field}"));
    }
    refuses(&with(profile(), [("/spec/source", json!({"prune": true}))]), "git");
    refuses(&source("interval", json!("1m")), "interval");
}

#[test]
fn a_deployment_names_a_version_or_a_range() {
    let words = "spec.package: exactly one of `version` and `range` is needed";
    refuses(&with(deployment(), [("/spec/package/range", json!("~1.4"))]), words);
    refuses(&with(deployment(), [("/spec/package/version", Value::Null)]), words);
    let ranged = |range: &str| with(deployment(), [("/spec/package", json!({"name": "shop", "range": range}))]);
    accepts(&ranged(">=1.2, <2"));
    refuses(&ranged("1.4 || 2"), "spec.package.range: a range of versions looks like");
    refuses(&ranged("1.4.2.1"), "spec.package.range: \"1.4.2.1\" is not a range of versions");
}

#[test]
fn kustomize_may_write_its_fields_and_nobody_else_may_write_a_template() {
    let labels = json!({"labels": {"team": "a"}, "annotations": {"b": "c"}});
    accepts(&with(
        deployment(),
        [("/spec/selector", json!({"matchLabels": {"team": "a"}})), ("/spec/template", json!({"metadata": labels}))],
    ));
    refuses(
        &with(deployment(), [("/spec/template", json!({"metadata": {}, "spec": {}}))]),
        "spec.template: only `metadata` may be here",
    );
}

fn strategy(strategy: &Value) -> Value {
    with(deployment(), [("/spec/strategy", strategy.clone())])
}

#[test]
fn a_strategy_is_exactly_one() {
    for good in [
        json!({"canary": {}}),
        json!({"blueGreen": {"switchDelay": "5s", "promotion": "Manual"}}),
        json!({"rolling": {"maxSurge": "33.3%"}}),
    ] {
        accepts(&strategy(&good));
        accepts(&with(profile(), [("/spec/strategy", good)]));
    }
    let words = "exactly one of `canary`, `blueGreen` and `rolling` is needed";
    refuses(&strategy(&json!({})), words);
    refuses(&strategy(&json!({"canary": {}, "blueGreen": {}})), words);
    refuses(&strategy(&json!({"recreate": {}})), "spec.strategy.recreate: unknown field");
    refuses(&strategy(&json!({"rolling": {"maxSurge": 0, "maxUnavailable": "0%"}})), "both 0 nothing can move");
    accepts(&strategy(&json!({"rolling": {"maxSurge": 0, "maxUnavailable": 1}})));
}

#[test]
fn a_canary_has_figures_or_steps_and_percentages_in_bounds() {
    let canary = |canary: Value| strategy(&json!({"canary": canary}));
    accepts(&canary(
        json!({"initialPercentage": "0.5", "increment": 20, "interval": "300s", "healthCheckUrl": "http://{{candidate.service}}/healthz"}),
    ));
    accepts(&canary(
        json!({"steps": [{"weight": "0.5%"}, {"pause": {"duration": "5m"}}, {"pause": {}}, {"checks": ["up"]}, {"weight": 100}]}),
    ));
    for bad in [json!(101), json!(-1), json!("0.555"), json!("ten")] {
        refuses(
            &canary(json!({"increment": bad})),
            "spec.strategy.canary.increment: a percentage is an integer from 0 to 100",
        );
        refuses(&canary(json!({"steps": [{"weight": bad}]})), "spec.strategy.canary.steps[0].weight: a percentage is");
    }
    refuses(&canary(json!({"increment": 0.5})), "spec.strategy.canary.increment: 0.5 is a float: put it in quotes");
    for zero in [json!(0), json!("0.0%")] {
        refuses(&canary(json!({"increment": zero})), "canary.increment: 0 would never arrive");
    }
    refuses(
        &canary(json!({"increment": 5, "steps": [{"weight": 5}]})),
        "`steps` replaces `initialPercentage`, `increment` and `interval`",
    );
    refuses(
        &canary(json!({"steps": [{"weight": 5, "pause": {}}]})),
        "a step is exactly one of `weight`, `pause` and `checks`",
    );
    refuses(&canary(json!({"steps": [{}]})), "a step is exactly one of");
    refuses(&canary(json!({"steps": [{"pause": {}}]})), "no step has a `weight`");
    refuses(&canary(json!({"interval": "5 minutes"})), "canary.interval: a length of time is whole numbers with units");
    refuses(&canary(json!({"healthCheckUrl": "ftp://x"})), "write an address that starts with http:// or https://");
    refuses(
        &strategy(&json!({"blueGreen": {"healthCheckUrl": "/healthz"}})),
        "write an address that starts with http:// or https://",
    );
}

#[test]
fn a_check_has_exactly_one_provider() {
    let check = |check: Value| with(profile(), [("/spec/checks", json!([check]))]);
    accepts(&check(
        json!({"name": "up", "http": {"url": "https://x/", "expectedStatus": [200], "headers": [{"name": "Authorization", "secret": {"name": "a", "key": "b"}}]}, "success": "status == 200", "count": 3, "failureLimit": 0, "noData": "Fail"}),
    ));
    refuses(&check(json!({"name": "up"})), "a check needs exactly one provider: add `http`");
    refuses(&check(json!({"name": "up", "prometheus": {}})), "spec.checks[0].prometheus: unknown field");
    refuses(
        &check(json!({"name": "up", "http": {"url": "x"}})),
        "url: write an address that starts with http:// or https://",
    );
    let header = json!({"name": "a", "secret": {"name": "a", "key": "b"}});
    refuses(
        &check(json!({"name": "up", "http": {"url": "http://x", "headers": [header, header]}})),
        "http.headers: a name may occur once only",
    );
}

#[test]
fn overrides_change_something_and_do_not_contradict_themselves() {
    let image = |image: Value| with(deployment(), [("/spec/overrides", json!({"images": [image]}))]);
    accepts(&image(json!({"name": "a", "newTag": "2"})));
    refuses(&image(json!({"name": "a"})), "nothing would change: add `newName`, `newTag` or `digest`");
    refuses(
        &image(json!({"name": "a", "newTag": "2", "digest": "sha256:0"})),
        "`digest` and `newTag` exclude each other",
    );
}

#[test]
fn the_rest_of_a_deployment_is_typed() {
    accepts(&with(
        deployment(),
        [
            ("/spec/scheduleAt", json!("2026-01-02T03:04:05Z")),
            ("/spec/timeout", json!("1h")),
            ("/spec/traffic", json!({"hostnames": ["*.example.test"], "path": "/shop"})),
            ("/spec/dryRun", json!(true)),
            ("/spec/requestId", json!("again")),
        ],
    ));
    refuses(&with(deployment(), [("/spec/scheduleAt", json!("tomorrow"))]), "spec.scheduleAt: ");
    refuses(&with(deployment(), [("/spec/replicas", json!(-1))]), "spec.replicas: ");
    refuses(
        &with(deployment(), [("/spec/traffic", json!({"path": "shop"}))]),
        "spec.traffic.path: write a path that starts with '/'",
    );
    refuses(&with(deployment(), [("/spec/traffic", json!({"hostnames": ["a b"]}))]), "spec.traffic.hostnames[0]: ");
    refuses(
        &with(deployment(), [("/spec/profiel", json!("x"))]),
        "spec.profiel: unknown field: remove it, or correct its name",
    );
    refuses(&with(profile(), [("/spec/environment", json!("Prod!"))]), "spec.environment: use lower-case letters");
}

#[test]
fn objects_cannot_be_left_behind_by_policy_yet() {
    for object in [profile(), deployment()] {
        let said_of = |policy: &str| said(&with(object.clone(), [("/spec/deletionPolicy", json!(policy))]));
        assert_eq!(said_of("Delete"), [""; 0]);
        let refused = said_of("Orphan");
        assert!(refused.len() == 1 && refused[0].starts_with("spec.deletionPolicy: "), "{refused:?}");
        assert!(refused[0].contains("kubectl delete --cascade=orphan"), "{refused:?}");
    }
}
