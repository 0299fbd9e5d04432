//! What a package must not be: every rule with a package that breaks it, and the words it is refused with.

use landfall::{
    api::package::PackageSpec,
    kinds::workload::render::{Source, render},
};
use serde_json::{Value, json};

use crate::release::{NAMESPACE, applied, manifests, package, release, service, with, workload};

fn said_of(package: &PackageSpec) -> Vec<String> {
    let source = Source { namespace: NAMESPACE, package, overrides: None, env_from: &[] };
    render(&source).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// What is said of a good workload and this object beside it.
fn said(object: &Value) -> Vec<String> {
    said_of(&package(&[workload("web"), object.clone()]))
}

#[track_caller]
fn refuses(object: &Value, words: &str) {
    assert_eq!(said(object), [format!("spec.workload.manifests[1]{words}")], "{object}");
}

#[track_caller]
fn accepts(object: &Value) {
    assert_eq!(said(object), [""; 0], "{object}");
}

/// What is said of a workload that differs from a good one at this place.
#[track_caller]
fn refuses_workload(pointer: &str, value: Value, words: &str) {
    let said = said_of(&package(&[with(workload("web"), pointer, value)]));
    assert_eq!(said, [format!("spec.workload.manifests[0].{words}")]);
}

fn object(api_version: &str, kind: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}})
}

fn map() -> Value {
    object("v1", "ConfigMap")
}

#[test]
fn kinds_that_are_not_supported_are_refused_by_name() {
    for (api_version, kind) in [
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "ReplicaSet"),
        ("v1", "Pod"),
        ("v1", "ReplicationController"),
    ] {
        let words = format!(".kind: {kind} is not supported yet: use a Deployment of apps/v1");
        refuses(&object(api_version, kind), &words);
        let alone = said_of(&package(&[object(api_version, kind)]));
        assert_eq!(alone, [format!("spec.workload.manifests[0]{words}")], "alone it says no more");
    }
    for gone in ["apps/v1beta2", "extensions/v1beta1"] {
        let said = said_of(&package(&[with(workload("web"), "/apiVersion", json!(gone))]));
        assert_eq!(said, ["spec.workload.manifests[0].apiVersion: this version of Deployment is gone: write apps/v1"]);
    }
    for kind in ["Deployment", "Package", "Profile"] {
        refuses(
            &object("landfall.dev/v1alpha1", kind),
            ".apiVersion: an object of Landfall is not content of a Package: apply it by itself",
        );
    }
    accepts(&object("example.test/v1", "Deployment"));
}

#[test]
fn a_package_without_workload_is_refused() {
    let said = said_of(&package(&[map()]));
    assert_eq!(said, ["spec.workload.manifests: nothing here runs pods: add a Deployment of apps/v1"]);
    let none: PackageSpec = serde_json::from_value(json!({"name": "a", "version": "1.0.0"})).unwrap();
    assert_eq!(said_of(&none), ["spec.workload: the package has no workload: add it"]);
}

#[test]
fn a_manifest_is_one_object_with_a_name_that_can_be_one() {
    let words = ": a manifest is an object with apiVersion, kind and metadata.name: add what is missing";
    for bad in [json!("text"), json!([]), json!(null), json!({"kind": "ConfigMap", "metadata": {"name": "a"}})] {
        refuses(&bad, words);
    }
    refuses(&with(map(), "/metadata", json!({})), words);
    refuses(&with(map(), "/metadata/name", json!(3)), words);
    refuses(&with(map(), "/kind", json!("")), words);
    for list in ["List", "ConfigMapList"] {
        let list = json!({"apiVersion": "v1", "kind": list, "items": [map()]});
        refuses(&list, ".kind: a list is not one object: write its items as manifests of their own");
    }
    refuses(
        &json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "a-"}}),
        ".metadata.generateName: the objects of a revision have fixed names: write metadata.name instead",
    );
    let name = ".metadata.name: a name consists of lower-case letters, digits and '-', and starts and ends with a letter or digit";
    for bad in ["A", "../secrets", "a/b", "a_b"] {
        refuses(&with(map(), "/metadata/name", json!(bad)), name);
    }
    refuses(&with(service("web", "none"), "/metadata/name", json!("a.b")), name);
    accepts(&with(map(), "/metadata/name", json!("a.b")));
    let role = |name: &str| with(object("rbac.authorization.k8s.io/v1", "Role"), "/metadata/name", json!(name));
    accepts(&role("system:a"));
    refuses(&role(".."), ".metadata.name: this is no name of a role: use letters, digits, '-', '.', '_' and ':'");
    for bad in ["a/b/c", "/v1", "../v1", "v1/"] {
        let words = ".apiVersion: this is no version of an API: write one such as v1 or apps/v1";
        refuses(&with(map(), "/apiVersion", json!(bad)), words);
    }
    refuses(&with(map(), "/kind", json!("Config/Map")), ".kind: this is no kind: write one such as Deployment");
}

#[test]
fn an_object_is_there_once_whatever_its_version() {
    let both = [workload("web"), object("autoscaling/v1", "Foo"), object("autoscaling/v2", "Foo")];
    assert_eq!(said_of(&package(&both)), ["spec.workload.manifests[2]: Foo a is here twice: remove one"]);
    assert_eq!(said_of(&package(&[workload("web"), map(), object("v1", "ServiceAccount")])), [""; 0]);
}

#[test]
fn objects_go_to_the_target_and_nowhere_else() {
    let elsewhere = with(map(), "/metadata/namespace", json!("kube-system"));
    refuses(&elsewhere, ".metadata.namespace: the target is shop: remove the namespace, or write shop");
    refuses(
        &with(map(), "/metadata/namespace", json!(7)),
        ".metadata.namespace: the target is shop: remove the namespace, or write shop",
    );
    accepts(&with(map(), "/metadata/namespace", json!(NAMESPACE)));
    let binding = object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding");
    refuses(
        &with(binding.clone(), "/metadata/namespace", json!(NAMESPACE)),
        ".metadata.namespace: a ClusterRoleBinding has no namespace: remove it",
    );
    let shared = release(&[workload("web"), binding, map()]).shared;
    assert_eq!(shared[0].object["metadata"], json!({"name": "a"}));
    assert_eq!(shared[1].object["metadata"], json!({"name": "a", "namespace": NAMESPACE}));
}

#[test]
fn a_package_cannot_claim_what_is_landfalls() {
    refuses(
        &with(map(), "/metadata/ownerReferences", json!([])),
        ".metadata.ownerReferences: Landfall sets the owner of what it makes: remove the field",
    );
    for key in ["landfall.dev/deployment", "landfall.dev/revision", "command.landfall.dev/abort"] {
        for place in ["labels", "annotations"] {
            let claim = with(map(), &format!("/metadata/{place}"), json!({key: "x"}));
            refuses(&claim, &format!(".metadata.{place}: {key} is set by Landfall alone: remove it"));
            refuses_workload(
                &format!("/spec/template/metadata/{place}/{}", key.replace('/', "~1")),
                json!("x"),
                &format!("spec.template.metadata.{place}: {key} is set by Landfall alone: remove it"),
            );
        }
    }
    for (api_version, kind) in [("v1", "Secret"), ("v1", "ConfigMap")] {
        let record = with(object(api_version, kind), "/metadata/labels", json!({"landfall.dev/role": "record"}));
        refuses(&record, ".metadata.labels: landfall.dev/role is set by Landfall alone: remove it");
    }
    let adopted = with(map(), "/metadata/annotations", json!({"landfall.dev/adopt": "x"}));
    refuses(&adopted, ".metadata.annotations: landfall.dev/adopt is set by Landfall alone: remove it");
    accepts(&with(map(), "/metadata/labels", json!({"notlandfall.dev/a": "x"})));
    let words = ".metadata.labels: this is a map of texts: put numbers and booleans in quotes";
    for bad in [json!({"a": 1}), json!("text"), json!([])] {
        refuses(&with(map(), "/metadata/labels", bad), words);
    }
    let hash = "pod-template-hash tells the pods of revisions apart and is set by Landfall: remove it";
    refuses_workload(
        "/spec/template/metadata/labels/pod-template-hash",
        json!("x"),
        &format!("spec.template.metadata.labels: {hash}"),
    );
    refuses(
        &with(service("a", "web"), "/spec/selector/pod-template-hash", json!("x")),
        &format!(".spec.selector: {hash}"),
    );
    let mut both = with(workload("web"), "/spec/selector/matchLabels/pod-template-hash", json!("x"));
    both["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] = json!("x");
    assert_eq!(said_of(&package(&[both])).len(), 1);
}

#[test]
fn annotations_stand_where_they_mean_something() {
    let at = |object: Value, at: &str| with(object, "/metadata/annotations", json!({"landfall.dev/apply-at": at}));
    accepts(&at(map(), "Start"));
    refuses(
        &at(map(), "Later"),
        ".metadata.annotations: landfall.dev/apply-at is Start or Promotion: write one of them",
    );
    let words = ".metadata.annotations: landfall.dev/apply-at has a meaning only for objects that all revisions share: remove it";
    refuses(&at(service("a", "web"), "Start"), words);
    accepts(&at(service("a", "nobody"), "Start"));
    let expose = |object: Value| with(object, "/metadata/annotations", json!({"landfall.dev/expose": "http"}));
    accepts(&expose(service("a", "web")));
    refuses(
        &expose(service("a", "nobody")),
        ".metadata.annotations: landfall.dev/expose belongs on a Service that selects the package's pods: move it there",
    );
}

#[test]
fn a_deployment_has_a_selector_that_matches_its_own_pods_only() {
    for missing in [Value::Null, json!({}), json!({"matchLabels": {}})] {
        refuses_workload(
            "/spec/selector",
            missing,
            "spec.selector: a Deployment needs a selector: add matchLabels that its pods have",
        );
    }
    let differs = "spec.selector: the selector does not match the labels of the template: make them agree";
    refuses_workload("/spec/selector/matchLabels/tier", json!("front"), differs);
    refuses_workload("/spec/template/metadata", json!({}), differs);
    let expression = |operator: &str, values: &[&str]| json!([{"key": "app", "operator": operator, "values": values}]);
    for (operator, values) in [("NotIn", &["web"][..]), ("In", &["other"]), ("DoesNotExist", &[])] {
        refuses_workload("/spec/selector/matchExpressions", expression(operator, values), differs);
    }
    for (operator, values) in [("In", &["web"][..]), ("NotIn", &["other"]), ("Exists", &[])] {
        let good = with(workload("web"), "/spec/selector/matchExpressions", expression(operator, values));
        assert_eq!(said_of(&package(&[good])), [""; 0]);
    }
    refuses_workload(
        "/spec/selector/matchExpressions",
        expression("Like", &[]),
        "spec.selector.matchExpressions: the operator \"Like\" does not exist: write In, NotIn, Exists or DoesNotExist",
    );
    let twin = with(workload("web"), "/metadata/name", json!("twin"));
    let said = said_of(&package(&[workload("web"), twin]));
    let words = "spec.selector: the selector also matches the pods of twin: add a label to both that tells them apart";
    assert_eq!(said[0], format!("spec.workload.manifests[0].{words}"));
}

#[test]
fn nothing_of_a_deployment_is_lost_without_a_word() {
    refuses_workload(
        "/spec/replcias",
        json!(2),
        "spec.replcias: a Deployment has no such field: remove it, or correct its name",
    );
    for bad in [json!(-1), json!("2"), json!(1.5), json!(5_000_000_000_u64)] {
        let words = "spec.replicas: this is no number of instances: write an integer from 0 on";
        refuses_workload("/spec/replicas", bad, words);
    }
    refuses_workload(
        "/spec/paused",
        json!(true),
        "spec.paused: Landfall would not see this pause: set spec.paused of the Deployment of landfall.dev",
    );
    let containers = "spec.template.spec.containers: a pod needs at least one container: add it";
    refuses_workload("/spec/template/spec/containers", json!([]), containers);
    let bare = with(workload("web"), "/spec", json!({"selector": {"matchLabels": {"app": "web"}}}));
    assert_eq!(said_of(&package(&[bare])).len(), 2, "no containers, and nothing that the selector matches");
}

#[test]
fn autoscalers_target_the_deployment_of_landfall() {
    let target = |api_version: &str, name: &str| json!({"apiVersion": api_version, "kind": "Deployment", "name": name});
    let words = "web becomes one ReplicaSet per revision, which nothing but Landfall may scale: target the Landfall Deployment with \
                 apiVersion landfall.dev/v1alpha1 and kind Deployment";
    for (api_version, kind, field) in [
        ("autoscaling/v2", "HorizontalPodAutoscaler", "scaleTargetRef"),
        ("keda.sh/v1alpha1", "ScaledObject", "scaleTargetRef"),
        ("autoscaling.k8s.io/v1", "VerticalPodAutoscaler", "targetRef"),
    ] {
        let scaler = |target: Value| with(object(api_version, kind), "/spec", json!({field: target}));
        refuses(&scaler(target("apps/v1", "web")), &format!(".spec.{field}: {words}"));
        refuses(&scaler(json!({"name": "web"})), &format!(".spec.{field}: {words}"));
        accepts(&scaler(target("landfall.dev/v1alpha1", "web")));
        accepts(&scaler(target("apps/v1", "somebody-elses")));
    }
}

#[test]
fn secrets_in_plain_text_are_refused_unless_they_are_wanted() {
    let secret = |field: &str| with(object("v1", "Secret"), &format!("/{field}"), json!({"a": "aHVudGVyMg=="}));
    for field in ["data", "stringData"] {
        refuses(
            &secret(field),
            ": a Secret in plain text is readable by everybody who may read Packages: name one of the cluster in \
             spec.envFrom of the Deployment, or set spec.workload.allowPlainSecrets",
        );
        let mut wanted = package(&[workload("web"), secret(field)]);
        wanted.workload.as_mut().unwrap().allow_plain_secrets = Some(true);
        assert_eq!(said_of(&wanted), [""; 0]);
    }
    accepts(&object("v1", "Secret"));
    refuses(
        &secret("sops"),
        ".sops: Secrets that SOPS has encrypted are not supported yet: name one of the cluster in spec.envFrom of the Deployment",
    );
}

#[test]
fn a_package_writes_no_record_of_a_revision() {
    let typed = |kind: &str| with(object("v1", "Secret"), "/type", json!(kind));
    let words = "Secrets whose type starts with landfall.dev/ are written by Landfall alone: give it another type";
    for reserved in ["landfall.dev/revision", "landfall.dev/anything"] {
        refuses(&typed(reserved), &format!(".type: {words}"));
        // Not even one that the package brings under another type and an override turns into it.
        let patch = json!({"type": reserved}).to_string();
        let overrides = json!({"patches": [{"target": {"kind": "Secret"}, "patch": patch}]});
        let overrides = serde_json::from_value(overrides).unwrap();
        let package = package(&[workload("web"), typed("Opaque")]);
        let source = Source { namespace: NAMESPACE, package: &package, overrides: Some(&overrides), env_from: &[] };
        let said: Vec<_> = render(&source).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(said, [format!("spec.workload.manifests[1].type: {words}")]);
    }
    for good in ["Opaque", "kubernetes.io/tls", "landfall.devel/revision"] {
        accepts(&typed(good));
    }
    accepts(&with(object("example.test/v1", "Secret"), "/type", json!("landfall.dev/revision")));
}

#[test]
fn content_that_does_not_fit_is_refused() {
    let large = with(map(), "/data", json!({"a": "x".repeat(900_000)}));
    let said = said(&large);
    assert_eq!(said.len(), 1);
    assert!(said[0].ends_with("bytes, at most 900000 fit into a Package: split it into several"), "{said:?}");
}

#[test]
fn everything_is_said_at_once() {
    let said = said_of(&package(&[object("v1", "Pod"), json!(1), with(map(), "/metadata/namespace", json!("b"))]));
    assert_eq!(said.len(), 3, "{said:?}");
}

#[test]
fn what_must_not_run_twice_says_why() {
    let alone = |pointer: &str, value: Value, more: &[Value]| {
        let web = with(workload("web"), pointer, value);
        release(&[&[web], more].concat()).workloads[0].alone.clone()
    };
    let claim = |mode: &str| with(object("v1", "PersistentVolumeClaim"), "/spec", json!({"accessModes": [mode]}));
    let volume = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "a"}}]);
    let volumes = "/spec/template/spec/volumes";
    let why = |text: &str| Some(format!("workload web {text}"));
    let remedy = "use the strategy `rolling` with maxSurge 0";
    assert_eq!(
        alone("/spec/strategy", json!({"type": "Recreate"}), &[]),
        why(&format!(
            "asks for the strategy Recreate: {remedy} and maxUnavailable 100%, or remove spec.strategy from its manifest"
        ))
    );
    assert_eq!(
        alone("/spec/template/spec/hostNetwork", json!(true), &[]),
        why(&format!("uses the network of its node (hostNetwork): {remedy}, or remove hostNetwork"))
    );
    assert_eq!(
        alone("/spec/template/spec/containers/0/ports", json!([{"containerPort": 80, "hostPort": 80}]), &[]),
        why(&format!("has a port of its node (hostPort): {remedy}, or remove hostPort"))
    );
    for mode in ["ReadWriteOnce", "ReadWriteOncePod"] {
        assert_eq!(
            alone(volumes, volume.clone(), &[claim(mode)]),
            why(&format!(
                "uses the volume claim a, which one node or pod may use at a time: {remedy}, or share it ReadWriteMany"
            ))
        );
    }
    assert_eq!(
        alone(volumes, volume.clone(), &[]),
        why(&format!(
            "uses the volume claim a, which is not in the package, so that its access modes are unknown: {remedy}, or add the claim to the package"
        ))
    );
    for mode in ["ReadWriteMany", "ReadOnlyMany"] {
        assert_eq!(alone(volumes, volume.clone(), &[claim(mode)]), None);
    }
    let own =
        json!([{"name": "data", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}}]);
    assert_eq!(alone(volumes, own, &[]), None);
    assert_eq!(alone("/spec/strategy", json!({"type": "RollingUpdate"}), &[]), None);
}

#[test]
fn the_name_of_the_candidate_service_is_taken() {
    let web = service("web", "web");
    let said = said_of(&package(&[workload("web"), web, service("web-candidate", "nobody")]));
    let words = "Landfall makes a Service of this name for the version under test: give this one another name";
    assert_eq!(said, [format!("spec.workload.manifests[2].metadata.name: {words}")]);
    accepts(&service("web-candidate", "nobody"));
}

/// Every place of a whole package in turn holds something that it should not.
#[test]
fn nothing_in_a_package_makes_rendering_panic() {
    let strange = [json!(null), json!(-1), json!("x"), json!([]), json!({}), json!([{"name": "web"}])];
    let mut renders = 0;
    for file in ["several", "configs"] {
        let good = manifests(&format!("tests/releases/{file}.yaml"));
        for pointer in pointers(&good) {
            for value in &strange {
                let mut bad = good.clone();
                *bad.pointer_mut(&pointer).unwrap() = value.clone();
                let package = package(bad.as_array().unwrap());
                let source = Source { namespace: NAMESPACE, package: &package, overrides: None, env_from: &[] };
                if let Ok(release) = render(&source) {
                    assert!(applied(&release).iter().all(|(_, object)| object.is_object()));
                    drop(release.exposed());
                    renders += 1;
                }
            }
        }
    }
    assert!(renders > 500, "only {renders} packages were whole enough to see");
}

/// The pointers to everything inside a value.
fn pointers(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => {
            map.iter().map(|(key, inner)| (key.replace('~', "~0").replace('/', "~1"), inner)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(index, inner)| (index.to_string(), inner)).collect(),
        _ => Vec::new(),
    };
    let below = |(key, inner): (String, &Value)| {
        let at = format!("/{key}");
        let inside = pointers(inner).into_iter().map(|rest| format!("{at}{rest}")).collect::<Vec<_>>();
        [vec![at.clone()], inside].concat()
    };
    children.into_iter().flat_map(below).collect()
}

/// A configuration that another object names stays under its name, or that name would lead nowhere.
#[test]
fn a_configuration_that_somebody_else_names_is_shared() {
    let secret = |kind: &str| with(object("v1", kind), "/metadata/name", json!("own"));
    let web = with(
        workload("web"),
        "/spec/template/spec/containers/0/envFrom",
        json!([{"secretRef": {"name": "own"}}, {"configMapRef": {"name": "own"}}]),
    );
    let revisioned = |other: Value| {
        let release = release(&[web.clone(), secret("Secret"), secret("ConfigMap"), other]);
        release.configs.iter().map(|config| config["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let spec = |spec: Value| with(object("example.test/v1", "Thing"), "/spec", spec);
    for (other, left) in [
        (json!({"tls": [{"secretName": "own"}]}), "ConfigMap"),
        (json!({"secretRef": {"name": "own"}}), "ConfigMap"),
        (json!({"secrets": ["own"]}), "ConfigMap"),
        (json!({"certificateRefs": [{"name": "own"}]}), "ConfigMap"),
        (json!({"from": {"kind": "Secret", "name": "own"}}), "ConfigMap"),
        (json!({"certificateRefs": [{"kind": "ConfigMap", "name": "own"}]}), "Secret"),
        (json!({"configMapRef": {"name": "own"}}), "Secret"),
    ] {
        assert_eq!(revisioned(spec(other.clone())), [left], "{other}");
    }
    assert_eq!(revisioned(spec(json!({"password": {"name": "own", "key": "p"}}))), [""; 0]);
    let both = ["Secret", "ConfigMap"];
    for other in [
        json!({"backend": {"name": "own"}}),
        json!({"backendRefs": [{"kind": "Service", "name": "own"}]}),
        json!({"secretName": "other"}),
        json!({"text": "own"}),
    ] {
        assert_eq!(revisioned(spec(other.clone())), both, "{other}");
    }
    let role = object("rbac.authorization.k8s.io/v1", "Role");
    let may_get = |resource: &str| json!([{"apiGroups": [""], "resources": [resource], "resourceNames": ["own"], "verbs": ["get"]}]);
    assert_eq!(revisioned(with(role.clone(), "/rules", may_get("configmaps"))), ["Secret"]);
    assert_eq!(revisioned(with(role.clone(), "/rules", may_get("services"))), both);
    assert_eq!(revisioned(with(role, "/rules", may_get("*"))), [""; 0]);
    let pod = json!({"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "own", "key": "a"}}}]}]});
    let cron = with(object("batch/v1", "CronJob"), "/spec/jobTemplate/spec/template/spec", pod);
    assert_eq!(revisioned(cron), ["ConfigMap"]);
}
