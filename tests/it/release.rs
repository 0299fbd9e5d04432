//! Whole packages rendered: what a revision consists of and what is applied of it, as goldens.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    batch::v1::Job,
    core::v1::{ConfigMap, Secret, Service},
};
use landfall::{
    api::{deployment::DeploymentSpec, package::PackageSpec},
    gitops::document,
    kinds::workload::{
        hash,
        objects::{self, Owner, Selection},
        release::{FORMAT, Release},
        render::{Source, render},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

const UPDATE: &str = "LANDFALL_UPDATE_GOLDENS";

/// The namespace that the packages of the tests go to.
pub const NAMESPACE: &str = "shop";

fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file with a Package, and a Deployment where there are overrides.
struct Case {
    package: PackageSpec,
    deployment: DeploymentSpec,
}

fn case(path: &str) -> Case {
    let documents = document::read(&fs::read_to_string(root(path)).unwrap()).unwrap();
    let spec = |kind: &str| documents.iter().find(|d| d.value["kind"] == kind).map(|d| d.value["spec"].clone());
    let package = serde_json::from_value(spec("Package").unwrap()).unwrap();
    let plain = json!({"package": {"name": "web", "version": "1.0.0"}, "profile": "production"});
    Case { package, deployment: serde_json::from_value(spec("Deployment").unwrap_or(plain)).unwrap() }
}

fn rendered(case: &Case) -> Release {
    let source = Source {
        namespace: NAMESPACE,
        package: &case.package,
        overrides: case.deployment.overrides.as_ref(),
        env_from: &case.deployment.env_from,
    };
    render(&source).unwrap_or_else(|refusals| panic!("{refusals:#?}"))
}

/// A package of these manifests.
pub fn package(manifests: &[Value]) -> PackageSpec {
    serde_json::from_value(json!({"name": "web", "version": "1.0.0", "workload": {"manifests": manifests}})).unwrap()
}

/// The manifests of a package in a file.
pub fn manifests(path: &str) -> Value {
    json!(case(path).package.workload.unwrap().manifests)
}

/// The release of these manifests.
pub fn release(manifests: &[Value]) -> Release {
    let package = package(manifests);
    rendered(&Case { package, deployment: case("examples/quickstart/package-v1.yaml").deployment })
}

pub fn owner() -> Owner {
    Owner { name: "web".to_owned(), namespace: NAMESPACE.to_owned(), uid: "0c1d".to_owned() }
}

/// A good Deployment that others are made from.
pub fn workload(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": name, "image": "registry.example.test/web:1.0.0"}]},
            },
        },
    })
}

pub fn service(name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": app}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    })
}

/// The object with another value at this pointer; what is missing on the way is made.
pub fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let mut at = &mut object;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/");
        at = match step.parse::<usize>() {
            Ok(index) if at.is_array() => &mut at[index],
            _ => &mut at[step],
        };
    }
    *at = value;
    object
}

/// All that is applied of a release, with a title each.
pub fn applied(release: &Release) -> Vec<(String, Value)> {
    let owner = owner();
    let mut all = Vec::new();
    for workload in &release.workloads {
        let pods = objects::pods_of(workload.replicas, 1, release.desired());
        let alone = workload.alone.as_ref().map(|why| format!("; alone: {why}")).unwrap_or_default();
        let title = format!("workload, {pods} of {}{alone}", workload.replicas);
        all.push((title, release.replica_set(workload, &owner, pods)));
    }
    let titled = |title: &str, object: Value| (title.to_owned(), object);
    all.extend(release.config_objects(&owner).into_iter().map(|object| titled("config", object)));
    all.extend(release.job_objects(&owner).into_iter().map(|object| titled("job", object)));
    for service in &release.services {
        let both = Selection::Several([release.hash.clone(), "other".to_owned()].into());
        all.push(titled("stable", objects::stable_service(service, &owner, &both)));
        let one = Selection::One(release.hash.clone());
        all.push(titled("candidate", objects::candidate_service(service, &owner, &one)));
    }
    all.extend(release.routes.iter().map(|route| titled("route", route.clone())));
    let shared = release.shared.iter();
    all.extend(shared.map(|shared| (format!("shared, {:?}", shared.at), objects::shared_object(shared, &owner))));
    all
}

fn transcript(release: &Release) -> String {
    let exposed = match release.exposed() {
        Ok(exposed) => format!("exposed: {exposed:?}"),
        Err(refusal) => format!("not exposed: {refusal}"),
    };
    let mut lines = vec![format!("# {} {} {}", release.package, release.version, release.hash), format!("# {exposed}")];
    for (title, object) in applied(release) {
        lines.push(format!("--- # {title}"));
        lines.push(serde_saphyr::to_string(&object).unwrap().trim_end().to_owned());
    }
    lines.join("\n") + "\n"
}

#[test]
fn packages_render_as_recorded() {
    let mut cases = vec!["examples/quickstart/package-v1.yaml".to_owned()];
    let files = fs::read_dir(root("tests/releases")).unwrap().map(|entry| entry.unwrap().path());
    let packages = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    cases.extend(packages.map(|path| format!("tests/releases/{}", path.file_name().unwrap().display())));
    assert!(cases.len() >= 5, "{cases:?}");
    for path in cases {
        let now = transcript(&rendered(&case(&path)));
        let golden = root("tests/releases").join(path.rsplit('/').next().unwrap()).with_extension("golden");
        if env::var_os(UPDATE).is_some() {
            fs::write(&golden, &now).unwrap();
        }
        let recorded = fs::read_to_string(&golden).unwrap_or_default();
        assert!(recorded == now, "{path} renders otherwise; {UPDATE}=1 cargo test --test it release writes:\n{now}");
    }
}

/// A misplaced field would be dropped by the types, and refused by an API server.
#[test]
fn what_is_applied_is_what_kubernetes_knows() {
    fn same<T: DeserializeOwned + Serialize>(object: &Value) {
        let typed: T = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(&serde_json::to_value(typed).unwrap(), object);
    }
    let mut kinds = BTreeSet::new();
    for path in ["several", "configs", "jobs", "overrides"] {
        for (_, object) in applied(&rendered(&case(&format!("tests/releases/{path}.yaml")))) {
            match object["kind"].as_str().unwrap() {
                "ReplicaSet" => same::<ReplicaSet>(&object),
                "Service" => same::<Service>(&object),
                "ConfigMap" => same::<ConfigMap>(&object),
                "Secret" => same::<Secret>(&object),
                "Job" => same::<Job>(&object),
                _ => continue,
            }
            kinds.insert(object["kind"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(kinds.len(), 5);
}

/// What is written here is recorded in clusters: another hash would start a run of every Deployment.
#[test]
fn hashes_never_change() {
    let hash_of = |path: &str| rendered(&case(path)).hash;
    for (path, hash) in [
        ("examples/quickstart/package-v1.yaml", "snspkjj2st"),
        ("examples/quickstart/package-v2.yaml", "cds6hmmvb9"),
        ("tests/releases/configs.yaml", "8rltvk56rf"),
        ("tests/releases/several.yaml", "k2kv5mx5x6"),
        ("tests/releases/overrides.yaml", "jq4v7jxksd"),
    ] {
        assert_eq!(hash_of(path), hash, "{path}");
    }
}

#[test]
fn a_hash_is_that_of_the_content_and_of_nothing_else() {
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"a": "b", "c": "d"}});
    let hpa = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "name": "web"}},
    });
    let all = [workload("web"), map, hpa];
    let hash = release(&all).hash;
    assert_eq!(hash.len(), 10);
    let replaced = |index: usize, pointer: &str, value: Value| {
        let mut changed = all.clone();
        changed[index] = with(changed[index].take(), pointer, value);
        release(&changed).hash
    };
    let mut reversed = all.clone();
    reversed.reverse();
    let text = serde_json::to_string(&all[1]).unwrap().replace(r#""a":"b","c":"d""#, r#""c":"d","a":"b""#);
    let reordered = [all[0].clone(), serde_json::from_str(&text).unwrap(), all[2].clone()];
    for same in [
        release(&reversed).hash,
        release(&reordered).hash,
        replaced(0, "/spec/replicas", json!(7)),
        replaced(2, "/spec/minReplicas", json!(2)),
        replaced(2, "/spec/maxReplicas", json!(9)),
        replaced(0, "/metadata/namespace", json!(NAMESPACE)),
        replaced(0, "/metadata/resourceVersion", json!("17")),
        replaced(0, "/spec/template/metadata/creationTimestamp", Value::Null),
        replaced(0, "/status", json!({"replicas": 1})),
    ] {
        assert_eq!(same, hash);
    }
    for other in [
        replaced(1, "/data/a", json!("x")),
        replaced(0, "/spec/template/spec/containers/0/image", json!("registry.example.test/web:2.0.0")),
        replaced(0, "/spec/minReadySeconds", json!(1)),
        replaced(2, "/spec/behavior", json!({})),
        release(&all[..2]).hash,
    ] {
        assert_ne!(other, hash);
    }
}

#[test]
fn digests_tell_whether_there_is_anything_to_render() {
    let Case { package, deployment } = case("tests/releases/overrides.yaml");
    let content = hash::content(&package).digest;
    assert_eq!(content, "37428f83805adfeed518cc450ca7f158520716c4d4869091a49358b43133e4fc");
    assert_eq!(
        content,
        hash::content(&PackageSpec { description: Some("other".to_owned()), ..package.clone() }).digest
    );
    assert_ne!(content, hash::content(&case("tests/releases/several.yaml").package).digest);
    assert!(hash::content(&package).size > 500);
    let inputs = |content: &str, namespace: &str, deployment: &DeploymentSpec| {
        hash::inputs_digest(content, namespace, deployment.overrides.as_ref(), &deployment.env_from)
    };
    let all = inputs(&content, NAMESPACE, &deployment);
    assert_eq!(all, inputs(&content, NAMESPACE, &deployment.clone()));
    assert_ne!(all, inputs("other", NAMESPACE, &deployment));
    assert_ne!(all, inputs(&content, "other", &deployment));
    assert_ne!(all, inputs(&content, NAMESPACE, &DeploymentSpec { overrides: None, ..deployment.clone() }));
    assert_ne!(all, inputs(&content, NAMESPACE, &DeploymentSpec { env_from: Vec::new(), ..deployment }));
}

#[test]
fn a_release_reads_back_as_it_was_written_and_shows_no_secret() {
    let release = rendered(&case("tests/releases/configs.yaml"));
    assert_eq!(release.format, FORMAT);
    let text = serde_json::to_string(&release).unwrap();
    assert!(serde_json::from_str::<Release>(&text).unwrap() == release);
    let password = "aHVudGVyMg==";
    assert!(text.contains(password), "the test looks for the wrong text");
    let shown = format!("{release:?} {:?}", case("tests/releases/configs.yaml").package);
    assert!(shown.contains("Secret password-"), "{shown}");
    assert!(!shown.contains(password) && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_selection_is_written_into_selector_and_annotation() {
    let release = release(&[workload("web"), service("web", "web")]);
    let stable = |selection: &Selection| {
        let service = objects::stable_service(&release.services[0], &owner(), selection);
        (service["spec"]["selector"].clone(), service["metadata"]["annotations"]["landfall.dev/selects"].clone())
    };
    let (a, b) = ("aaa".to_owned(), "bbb".to_owned());
    assert_eq!(stable(&Selection::Nothing), (json!({"app": "web", "pod-template-hash": "none"}), json!("")));
    assert_eq!(stable(&Selection::One(a.clone())), (json!({"app": "web", "pod-template-hash": "aaa"}), json!("aaa")));
    assert_eq!(stable(&Selection::Several([b, a].into())), (json!({"app": "web"}), json!("aaa,bbb")));
}

#[test]
fn a_candidate_service_cannot_be_reached_from_outside() {
    let mut exposed = service("web", "web");
    exposed["metadata"]["annotations"] = json!({"cloud.example.test/address": "public"});
    exposed["spec"]["type"] = json!("LoadBalancer");
    exposed["spec"]["loadBalancerIP"] = json!("192.0.2.1");
    exposed["spec"]["publishNotReadyAddresses"] = json!(true);
    exposed["spec"]["sessionAffinity"] = json!("ClientIP");
    exposed["spec"]["ports"][0]["nodePort"] = json!(30080);
    exposed["spec"]["ports"][0]["appProtocol"] = json!("kubernetes.io/h2c");
    let release = release(&[workload("web"), exposed]);
    let candidate = objects::candidate_service(&release.services[0], &owner(), &Selection::Nothing);
    let spec = json!({
        "type": "ClusterIP", "sessionAffinity": "ClientIP", "selector": {"app": "web", "pod-template-hash": "none"},
        "ports": [{"name": "http", "port": 80, "targetPort": 8080, "appProtocol": "kubernetes.io/h2c"}],
    });
    assert_eq!(candidate["spec"], spec);
    assert_eq!(candidate["metadata"]["annotations"], json!({"landfall.dev/selects": ""}));
    assert_eq!(candidate["metadata"]["name"], "web-candidate");
}

#[test]
fn objects_elsewhere_have_no_owner_and_those_of_others_keep_their_manager() {
    let mut helm = workload("web");
    helm["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm", "landfall": "x"});
    let release = release(&[helm]);
    let elsewhere = Owner { namespace: "other".to_owned(), name: "x".repeat(80), ..owner() };
    let set = release.replica_set(&release.workloads[0], &elsewhere, 1);
    assert!(set["metadata"].get("ownerReferences").is_none());
    assert_eq!(set["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm");
    assert_eq!(set["metadata"]["labels"]["landfall.dev/deployment"].as_str().unwrap().len(), 63);
    let set = release.replica_set(&release.workloads[0], &owner(), 1);
    let reference = json!([{
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "name": "web", "uid": "0c1d", "controller": true,
    }]);
    assert_eq!(set["metadata"]["ownerReferences"], reference);
}

/// A `ClusterRole` of the package, as the API server keeps it for the Deployment `web` of this namespace and uid.
fn cluster_role_of(owner: &Owner) -> Value {
    let role =
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "reader"}});
    let release = release(&[workload("web"), role]);
    objects::shared_object(&release.shared[0], owner)
}

#[test]
fn what_has_no_namespace_belongs_to_the_deployment_of_one() {
    let ours = owner();
    let role = cluster_role_of(&ours);
    assert_eq!(role["metadata"]["annotations"], json!({"landfall.dev/owner": "0c1d"}));
    assert_eq!(role["metadata"]["labels"]["landfall.dev/deployment"], "web");
    assert_eq!(role["metadata"]["labels"]["landfall.dev/namespace"], NAMESPACE);
    assert!(role["metadata"].get("ownerReferences").is_none());
    assert!(ours.owns(&role));

    let neighbour = Owner { namespace: "bank".to_owned(), uid: "2f3e".to_owned(), ..owner() };
    let later = Owner { uid: "4a5b".to_owned(), ..owner() };
    for other in [&neighbour, &later] {
        assert!(!other.owns(&role) && !ours.owns(&cluster_role_of(other)), "{other:?}");
    }
    // As it was marked before there was the uid: by the name alone.
    let old = with(role.clone(), "/metadata/annotations", json!({}));
    assert!(!ours.owns(&old) && !neighbour.owns(&old));

    // It is handed over to the one of a namespace, and not to all of a name.
    let offered = |value: &str| with(role.clone(), "/metadata/annotations", json!({"landfall.dev/adopt": value}));
    assert_eq!(neighbour.adoption(&role), "bank/web");
    assert!(neighbour.owns(&offered("bank/web")) && !ours.owns(&offered("bank/web")));
    assert!(!neighbour.owns(&offered("web")) && !ours.owns(&offered("web")));

    // Beside the Deployment the API server knows the owner, and an annotation that says so is not enough.
    let beside =
        |metadata: Value| with(with(role.clone(), "/metadata", metadata), "/metadata/namespace", json!(NAMESPACE));
    assert!(!ours.owns(&beside(json!({"annotations": {"landfall.dev/owner": "0c1d"}}))));
    assert!(ours.owns(&beside(json!({"annotations": {"landfall.dev/adopt": "web"}}))));
    assert!(ours.owns(&beside(json!({"ownerReferences": [{"uid": "0c1d"}]}))));
    assert_eq!(ours.adoption(&beside(json!({}))), "web");

    // What another Deployment controls is not ours by a second reference, nor by an offer that somebody wrote on it.
    let theirs = json!({"uid": "2f3e", "controller": true});
    for more in [json!({}), json!({"annotations": {"landfall.dev/adopt": "web", "landfall.dev/owner": "0c1d"}})] {
        let mut metadata = more.clone();
        metadata["ownerReferences"] = json!([{"uid": "0c1d"}, theirs]);
        assert!(!ours.owns(&beside(metadata.clone())) && neighbour.owns(&beside(metadata)), "{more}");
    }
}

#[test]
fn workloads_move_in_proportion() {
    for (base, pods, desired, expected) in
        [(10, 3, 10, 3), (3, 3, 10, 1), (3, 4, 10, 2), (0, 5, 10, 0), (5, 0, 5, 0), (7, 14, 7, 14)]
    {
        assert_eq!(objects::pods_of(base, pods, desired), expected, "{base} {pods} {desired}");
    }
    assert_eq!(objects::pods_of(1, 1, 0), 1);
    assert_eq!(objects::pods_of(u32::MAX, u32::MAX, 1), u32::MAX);
    let replicas = |count: u32| with(workload("web"), "/spec/replicas", json!(count));
    assert_eq!(release(&[replicas(0)]).desired(), 1);
    assert_eq!(release(&[replicas(3), workload("worker")]).desired(), 3);
    let mut silent = workload("web");
    silent["spec"].as_object_mut().unwrap().remove("replicas");
    assert_eq!(release(&[silent]).workloads[0].replicas, 1);
}

#[test]
fn a_made_route_has_the_only_port_or_the_annotated_one() {
    let exposed = |services: &[Value]| {
        let all = [&[workload("web")], services].concat();
        release(&all).exposed().map(|e| format!("{} {} {}", e.service, e.port, e.port_name)).map_err(|r| r.to_string())
    };
    let named = |name: &str, port: &str| {
        let mut service = with(service(name, "web"), "/metadata/annotations", json!({"landfall.dev/expose": port}));
        service["spec"]["ports"] = json!([{"name": "admin", "port": 81}, {"name": "http", "port": 80}]);
        service
    };
    assert_eq!(exposed(&[service("web", "web")]), Ok("web 80 http".to_owned()));
    assert_eq!(exposed(&[service("web", "web"), named("other", "admin")]), Ok("other 81 admin".to_owned()));
    let udp = with(service("dns", "web"), "/spec/ports/0/protocol", json!("UDP"));
    assert_eq!(exposed(&[service("web", "web"), udp]), Ok("web 80 http".to_owned()));
    let refused = |services: &[Value], words: &str| {
        let said = exposed(services).unwrap_err();
        assert!(said.contains(words), "{said}");
    };
    refused(&[], "spec.workload.manifests: a route needs a Service that selects the package's pods: add one");
    refused(
        &[service("a", "web"), service("b", "web")],
        "the Services have 2: annotate the Service that is meant with",
    );
    refused(
        &[named("a", "gone")],
        "Service a: metadata.annotations: the Service has no such port: write the name of one",
    );
    refused(&[named("a", "http"), named("b", "http")], "another Service has landfall.dev/expose too: keep one of them");
}

#[test]
fn two_releases_are_alike_where_a_revision_has_the_same_name_and_content() {
    let map = |name: &str, value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}});
    let own = release(&[workload("web"), map("first", "1"), map("second", "2")]);
    let mut scaled = workload("web");
    scaled["spec"]["replicas"] = json!(7);
    let other_order = release(&[map("second", "2"), scaled, map("first", "1")]);
    assert_eq!(own.hash, other_order.hash);
    assert!(own.is_like(&other_order), "neither order nor scale is content");
    assert!(own.is_like(&Release { version: "1.0.1".to_owned(), ..own.clone() }), "nor is the word for it");

    let mut image = own.clone();
    image.workloads[0].object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("evil.example.test/web");
    let mut more = own.clone();
    more.configs.push(map("third", "3"));
    let mut moved = own.clone();
    moved.routes = std::mem::take(&mut moved.shared).into_iter().map(|shared| shared.object).collect();
    for forged in [image, more, moved, Release { package: "other".to_owned(), ..own.clone() }] {
        assert!(!own.is_like(&forged), "{forged:?}");
    }
}
