//! The custom resources by way of other programs, which know a Deployment of another group by its kind alone and treat
//! ours like it: kustomize with its transformers, and both versions of Helm.

use std::{fs, path::PathBuf};

use kube::{Api, ResourceExt};
use landfall::api::{deployment::Deployment, package::Package, profile::Profile};
use serde_json::json;

use crate::{
    helm::{HELMS, run},
    world::{World, install_definitions},
};

const FILES: [(&str, &str); 4] = [
    ("package-v1.yaml", include_str!("../../examples/quickstart/package-v1.yaml")),
    ("package-v2.yaml", include_str!("../../examples/quickstart/package-v2.yaml")),
    ("profile.yaml", include_str!("../../examples/quickstart/profile.yaml")),
    ("deployment.yaml", include_str!("../../examples/quickstart/deployment.yaml")),
];

/// Each transformer of kustomize that leaves names alone: a Package's is made of what is in it.
const TRANSFORMERS: &str = "
resources: [package-v1.yaml, package-v2.yaml, profile.yaml, deployment.yaml]
labels: [{pairs: {team: shop}, includeSelectors: true, includeTemplates: true}]
commonAnnotations: {owner: shop}
replicas: [{name: web, count: 4}]
images: [{name: localhost/landfall, newTag: other}]
patches:
  - target: {kind: Deployment, group: landfall.dev}
    patch: |-
      - {op: add, path: /metadata/annotations, value: {patched: \"yes\"}}
";

/// What a template of Helm has to say for a placeholder of ours.
fn escaped(text: &str) -> String {
    text.replace("{{candidate.service}}", "{{`{{candidate.service}}`}}")
}

/// A directory of the test's own with the examples below `inner`.
fn directory(world: &World, inner: &str, written: fn(&str) -> String) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&world.namespace);
    fs::create_dir_all(path.join(inner)).unwrap();
    for (name, text) in FILES {
        fs::write(path.join(inner).join(name), written(text)).unwrap();
    }
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn kustomize_may_apply_all_its_transformers_to_the_examples() {
    let world = World::new("kustomize").await;
    install_definitions(&world.client).await;
    let path = directory(&world, "", str::to_owned);
    let text = format!("namespace: {}\n{TRANSFORMERS}", world.namespace);
    fs::write(path.join("kustomization.yaml"), text).unwrap();
    let kustomization = path.to_str().unwrap();
    for _ in ["first", "again"] {
        run("kubectl", &["apply", "--server-side", "--validate=strict", "-k", kustomization], "").unwrap();
    }

    let deployments: Api<Deployment> = world.api();
    let deployment = deployments.get("web").await.unwrap();
    assert_eq!(deployment.spec.replicas, Some(4));
    assert_eq!((deployment.labels()["team"].as_str(), deployment.annotations()["patched"].as_str()), ("shop", "yes"));
    let written = serde_json::to_value(&deployment.spec).unwrap();
    assert_eq!(
        written["selector"]["matchLabels"],
        json!({"team": "shop"}),
        "kustomize writes what it takes for a selector"
    );
    for package in ["web-1.0.0", "web-2.0.0"] {
        let package = world.api::<Package>().get(package).await.unwrap();
        assert_eq!(package.annotations()["owner"], "shop");
    }
    fs::remove_dir_all(path).unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_helm_install_and_upgrade_the_examples() {
    for helm in HELMS {
        let world = World::new(&format!("examples-{helm}")).await;
        install_definitions(&world.client).await;
        let path = directory(&world, "templates", escaped);
        fs::write(path.join("Chart.yaml"), "{apiVersion: v2, name: shop, version: 1.0.0}").unwrap();
        let chart = path.to_str().unwrap();
        for _ in ["install", "upgrade"] {
            run(helm, &["upgrade", "--install", "shop", chart, "--namespace", &world.namespace], "").unwrap();
        }
        assert!(world.api::<Deployment>().get_opt("web").await.unwrap().is_some(), "{helm}");
        assert!(world.api::<Profile>().get_opt("production").await.unwrap().is_some(), "{helm}");
        run(helm, &["uninstall", "shop", "--namespace", &world.namespace], "").unwrap();
        assert!(world.api::<Package>().get_opt("web-1.0.0").await.unwrap().is_none(), "{helm}");
        fs::remove_dir_all(path).unwrap();
        world.end().await;
    }
}
