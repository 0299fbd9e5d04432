//! The chart on a real cluster: what Helm makes of it, what the installed operator may do, and what stays of it.

use std::{collections::BTreeSet, env, fs, time::Duration};

use k8s_openapi::{
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        apps::v1::Deployment,
        authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
        coordination::v1::Lease,
        core::v1::{ConfigMap, Namespace, Pod, ServiceAccount},
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    config::AuthInfo,
    core::ObjectMeta,
};
use landfall::api::{SOURCE_FINALIZER, crd, profile::Profile};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    helm::{CHART, HELMS, Release, run},
    world::{World, available, install_definitions},
};

const EVERYTHING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chart/everything.yaml");
const RELEASE: [&str; 5] = ["template", "landfall", CHART, "--namespace", "landfall-system"];

/// The lines that say something: the versions of Helm differ in the empty ones.
fn lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.trim().is_empty()).collect()
}

#[test]
fn both_versions_of_helm_accept_the_chart_and_render_the_goldens() {
    let cases: [(&str, &[&str]); 2] =
        [("default", &["--set", "crds.install=false"]), ("everything", &["--values", EVERYTHING])];
    for (name, values) in cases {
        let path = format!("{}/tests/chart/{name}.golden", env!("CARGO_MANIFEST_DIR"));
        for helm in HELMS {
            run(helm, &[&["lint", "--strict", CHART][..], values].concat(), "").unwrap();
            let rendered = run(helm, &[&RELEASE[..], values].concat(), "").unwrap();
            if helm == HELMS[0] && env::var_os("LANDFALL_UPDATE_GOLDENS").is_some() {
                fs::write(&path, &rendered).unwrap();
            }
            let golden = fs::read_to_string(&path).unwrap();
            assert!(
                lines(&rendered) == lines(&golden),
                "{helm} makes something else of the chart than {path} has: if that is meant, run this test with LANDFALL_UPDATE_GOLDENS=1"
            );
        }
    }
}

#[test]
fn both_versions_of_helm_refuse_a_misspelt_value() {
    for helm in HELMS {
        let error = run(helm, &[&RELEASE[..], &["--set", "replics=2"]].concat(), "").unwrap_err();
        assert!(error.contains("replics"), "{helm}: {error}");
    }
}

/// What the chart renders with these values.
fn rendered(values: &Value) -> Vec<Value> {
    let text = run("helm", &[&RELEASE[..], &["--values", "-"]].concat(), &values.to_string()).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

/// The kinds of the objects, and what the operator is told of actors.
fn kinds_and_actors(values: &Value) -> (BTreeSet<String>, String) {
    let objects = rendered(values);
    let operator = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let environment = operator["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    let actors = environment.iter().find(|variable| variable["name"] == "LANDFALL_ACTORS").unwrap();
    let kinds = objects.iter().map(|object| object["kind"].as_str().unwrap().to_owned()).collect();
    (kinds, actors["value"].as_str().unwrap().to_owned())
}

#[test]
fn names_beside_commands_count_as_verified_only_where_a_policy_judges_all_of_them() {
    let judged = "ValidatingAdmissionPolicy";
    let cases = [
        (json!({}), true, "verified"),
        (json!({"enabled": false}), false, "unverified"),
        (json!({"namespaceSelector": {"matchLabels": {"a": "b"}}}), true, "unverified"),
        (json!({"namespaceSelector": {"matchLabels": {"a": "b"}}, "actors": "verified"}), true, "verified"),
        (json!({"enabled": false, "mutating": "always"}), false, "unverified"),
    ];
    for (admission, policy, expected) in cases {
        let (kinds, actors) = kinds_and_actors(&json!({"admission": admission}));
        assert_eq!((kinds.contains(judged), actors.as_str()), (policy, expected), "{admission}");
        assert!(policy || !kinds.contains("MutatingAdmissionPolicy"), "{admission}");
    }
}

#[test]
fn what_is_switched_off_is_not_rendered() {
    let (kinds, _) = kinds_and_actors(&json!({}));
    let optional = ["PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor", "MutatingAdmissionPolicy"];
    assert!(optional.iter().all(|kind| !kinds.contains(*kind)), "{kinds:?}");
    let off = json!({
        "crds": {"install": false}, "serviceAccount": {"create": false, "name": "other"},
        "metrics": {"service": {"enabled": false}}, "gitops": {"webhooks": {"service": {"enabled": false}}}, "uninstallHook": {"enabled": false}, "replicas": 2, "podDisruptionBudget": {"enabled": false},
    });
    let (kinds, _) = kinds_and_actors(&off);
    for kind in ["CustomResourceDefinition", "ServiceAccount", "Service", "PodDisruptionBudget", "Job"] {
        assert!(!kinds.contains(kind), "{kind}");
    }
    let error = run("helm", &[&RELEASE[..], &["--set", "serviceAccount.create=false"]].concat(), "").unwrap_err();
    assert!(error.contains("name the account that the operator is to run as"), "{error}");
    let monitor = ["--set", "metrics.service.enabled=false", "--set", "metrics.serviceMonitor.enabled=true"];
    let error = run("helm", &[&RELEASE[..], &monitor].concat(), "").unwrap_err();
    assert!(error.contains("needs metrics.service.enabled"), "{error}");
}

#[test]
fn the_definitions_of_the_chart_are_rendered_as_they_are_and_marked_to_be_kept() {
    for helm in HELMS {
        let text = run(helm, &[&RELEASE[..], &["--show-only", "templates/crds.yaml"]].concat(), "").unwrap();
        let mut rendered: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        for definition in &mut rendered {
            let metadata = definition["metadata"].as_object_mut().unwrap();
            assert_eq!(metadata.remove("annotations"), Some(json!({"helm.sh/resource-policy": "keep"})));
            assert!(metadata.remove("labels").is_some());
        }
        let by_name = |definition: &Value| definition["metadata"]["name"].as_str().map(str::to_owned);
        let mut expected = crd::definitions();
        expected.sort_by_key(by_name);
        rendered.sort_by_key(by_name);
        assert!(rendered == expected, "{helm} changes a definition");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_strictly_all_that_the_chart_can_render() {
    let world = World::new("chart-dry").await;
    let namespaces = format!("{{{}}}", world.namespace);
    let here = [format!("namespaces={namespaces}"), format!("watchNamespaces={namespaces}")];
    // The cluster knows no ServiceMonitor.
    let switches = ["--set", "metrics.serviceMonitor.enabled=false", "--set", "crds.install=true"];
    let place = ["template", &world.namespace, CHART, "--namespace", &world.namespace, "--values", EVERYTHING];
    let arguments = [&place[..], &switches, &["--set", &here[0], "--set", &here[1]]].concat();
    let rendered = run("helm", &arguments, "").unwrap();
    let apply = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "-f", "-"];
    let taken = run("kubectl", &apply, &rendered).unwrap();
    let kinds: BTreeSet<_> = taken.lines().filter_map(|line| line.split('/').next()).collect();
    for kind in ["networkpolicy.networking.k8s.io", "poddisruptionbudget.policy", "deployment.apps", "service"] {
        assert!(kinds.contains(kind), "{kind} is not in {kinds:?}");
    }
    assert_eq!(taken.lines().count(), rendered.matches("\nkind: ").count(), "{taken}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_installs_a_confined_operator_that_leads_and_leaves_only_the_definitions() {
    install_and_uninstall("helm", "chart-four").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_of_the_version_before_does_the_same() {
    install_and_uninstall("helm3", "chart-three").await;
}

async fn install_and_uninstall(helm: &'static str, test: &str) {
    let world = World::new(test).await;
    // The strictest of the standards that Kubernetes has for pods.
    let restricted = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces.patch(&world.namespace, &PatchParams::default(), &Patch::Merge(&restricted)).await.unwrap();
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": world.namespace}});
    // Whoever looks after all namespaces takes part in the rollouts of other tests: the rights for it are judged while nobody
    // has them, and who runs then is confined to the namespace of this test.
    let mut values =
        json!({"namespaces": [world.namespace], "admission": {"namespaceSelector": selector}, "replicas": 0});
    let release = Release::install(helm, &world, "", &values);
    let name = release.full_name();
    rights(&world, &name).await;
    acts_as_the_account_of_the_namespace(&world, &name).await;

    values["watchNamespaces"] = json!([world.namespace]);
    values["replicas"] = json!(1);
    release.upgrade(&values);
    world.wait_for::<Deployment, _>(&name, available()).await;
    leader(&world, &name).await;
    for pod in world.api::<Pod>().list(&ListParams::default()).await.unwrap() {
        confined(&pod);
    }

    values["replicas"] = json!(2);
    release.upgrade(&values);
    world.wait_for::<Deployment, _>(&name, available()).await;
    assert_eq!(world.pods().await.len(), 2);
    assert!(world.api::<PodDisruptionBudget>().get_opt(&name).await.unwrap().is_some());

    assert!(!of_release::<ClusterRole>(&world).await.is_empty());
    release.uninstall();
    let left = [
        of_release::<ClusterRole>(&world).await,
        of_release::<ClusterRoleBinding>(&world).await,
        of_release::<ValidatingAdmissionPolicy>(&world).await,
        of_release::<ValidatingAdmissionPolicyBinding>(&world).await,
    ];
    assert_eq!(left.concat(), [""; 0]);
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    for definition in crd::definitions() {
        let kept = definitions.get(definition["metadata"]["name"].as_str().unwrap()).await.unwrap();
        assert_eq!(kept.annotations()["helm.sh/resource-policy"], "keep");
        assert_eq!(kept.metadata.deletion_timestamp, None);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_helm_uninstalled_it_no_profile_waits_for_the_operator_that_is_gone() {
    let (world, elsewhere) = (World::new("chart-hook").await, World::new("chart-hook-other").await);
    install_definitions(&world.client).await;
    let profile = "{apiVersion: landfall.dev/v1alpha1, kind: Profile, metadata: {name: production, finalizers: [landfall.dev/source]}, \
                   spec: {environment: production, source: {deletionPolicy: Delete, prune: true, \
                   git: {url: 'https://git.landfall.invalid/shop.git'}}}}";
    elsewhere.apply(profile).await;
    world.apply(&profile.replace(", finalizers: [landfall.dev/source]", "")).await;
    world
        .apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {landfall.dev/profile: production}}}")
        .await;
    // As an operator leaves it that has brought the object.
    let uid = world.api::<ConfigMap>().get("one").await.unwrap().uid().unwrap();
    let entry = format!("v1 ConfigMap {}/one 0123456789abcdefghij {uid}", world.namespace);
    let status = json!({"status": {"source": {"inventory": {"count": 1, "entries": [entry]}}}});
    let profiles: Api<Profile> = world.api();
    profiles.patch_status("production", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();

    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": world.namespace}});
    let values = json!({
        "namespaces": [world.namespace], "watchNamespaces": [world.namespace], "admission": {"namespaceSelector": selector},
    });
    let release = Release::install("helm", &world, "", &values);
    leader(&world, &release.full_name()).await;
    let held =
        |profile: Option<&Profile>| profile.is_some_and(|one| one.finalizers().contains(&SOURCE_FINALIZER.to_owned()));
    world.wait_for::<Profile, _>("production", held).await;
    release.uninstall();

    assert!(!held(Some(&profiles.get("production").await.unwrap())), "it is let go");
    let others: Api<Profile> = elsewhere.api();
    assert!(held(Some(&others.get("production").await.unwrap())), "what this operator does not watch is not its own");
    drop(profiles.delete("production", &DeleteParams::default()).await.unwrap());
    world.wait_for::<Profile, _>("production", |profile: Option<&Profile>| profile.is_none()).await;
    assert_eq!(world.api::<ConfigMap>().get("one").await.unwrap().uid(), Some(uid), "what was brought stays");
    let made_for_it = [of_release::<ClusterRole>(&world).await, of_release::<ClusterRoleBinding>(&world).await];
    assert_eq!(made_for_it.concat(), [""; 0]);
    let accounts = world.api::<ServiceAccount>().list(&ListParams::default()).await.unwrap();
    assert!(accounts.iter().all(|account| !account.name_any().ends_with("-uninstall")));
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    others.patch("production", &PatchParams::default(), &free).await.unwrap();
    elsewhere.end().await;
    world.end().await;
}

/// Waits until one of the pods holds the Lease that bears the release's name.
async fn leader(world: &World, name: &str) {
    world
        .patiently("the Lease", async {
            loop {
                let lease = world.api::<Lease>().get_opt(name).await.unwrap();
                let holder = lease.and_then(|lease| lease.spec?.holder_identity).unwrap_or_default();
                if world.pods().await.contains(&holder) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
}

fn confined(pod: &Pod) {
    let spec = pod.spec.as_ref().unwrap();
    let of_pod = spec.security_context.as_ref().unwrap();
    assert_eq!((of_pod.run_as_non_root, of_pod.run_as_user), (Some(true), Some(65532)));
    let of_container = spec.containers[0].security_context.as_ref().unwrap();
    assert_eq!(of_container.read_only_root_filesystem, Some(true));
    assert_eq!(of_container.allow_privilege_escalation, Some(false));
    assert_eq!(of_container.capabilities.as_ref().unwrap().drop, Some(vec!["ALL".to_owned()]));
    // The only things mounted are the token and a directory of the pod's own.
    let volumes = spec.volumes.as_deref().unwrap_or_default();
    let of_pod = volumes.iter().filter(|volume| volume.empty_dir.is_some()).count();
    let token = volumes.iter().filter(|volume| volume.projected.is_some()).count();
    assert_eq!((of_pod, token, volumes.len()), (1, 1, 2));
}

/// The names of objects of the cluster that belong to the releases of this test.
async fn of_release<K>(world: &World) -> Vec<String>
where
    K: Resource<Scope = k8s_openapi::ClusterResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
    K::DynamicType: Default,
{
    let label = ListParams::default().labels(&format!("app.kubernetes.io/instance={}", world.namespace));
    let found = Api::<K>::all(world.client.clone()).list(&label).await.unwrap();
    found.iter().map(ResourceExt::name_any).collect()
}

/// One question: verb, group, resource, subresource, namespace, name.
type Question<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, &'a str);

async fn may(
    world: &World,
    account: &str,
    (verb, group, resource, subresource, namespace, name): Question<'_>,
) -> bool {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let question = ResourceAttributes {
        verb: text(verb),
        group: text(group),
        resource: text(resource),
        subresource: text(subresource),
        namespace: text(namespace),
        name: text(name),
        ..ResourceAttributes::default()
    };
    let user = format!("system:serviceaccount:{}:{account}", world.namespace);
    let groups = ["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()];
    let spec = SubjectAccessReviewSpec {
        user: Some(user),
        groups: Some(groups.into()),
        resource_attributes: Some(question),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews: Api<SubjectAccessReview> = Api::all(world.client.clone());
    reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

/// With the operator's own token: what it writes as the account of the namespace succeeds there and nowhere else, and what it
/// writes as itself is refused.
async fn acts_as_the_account_of_the_namespace(world: &World, operator: &str) {
    let request = serde_json::from_value(json!({"spec": {"audiences": []}})).unwrap();
    let accounts: Api<ServiceAccount> = world.api();
    let token = accounts.create_token_request(operator, &PostParams::default(), &request).await.unwrap();
    let token = token.status.unwrap().token;
    let as_account = async |account: Option<String>, namespace: &str| {
        let mut config = Config::infer().await.unwrap();
        // The type of a token in here is another crate's; a kubeconfig has it as text.
        let identity = json!({"token": token, "as": account});
        config.auth_info = serde_json::from_value::<AuthInfo>(identity).unwrap();
        let objects: Api<ConfigMap> = Api::namespaced(Client::try_from(config).unwrap(), namespace);
        let metadata = ObjectMeta { name: Some("written".to_owned()), ..ObjectMeta::default() };
        objects.create(&PostParams::default(), &ConfigMap { metadata, ..ConfigMap::default() }).await
    };
    let deployer = |namespace: &str| Some(format!("system:serviceaccount:{namespace}:landfall-deployer"));
    as_account(deployer(&world.namespace), &world.namespace).await.unwrap();
    let refused = [
        (None, world.namespace.as_str()),
        (deployer(&world.namespace), "default"),
        (deployer("default"), "default"),
        (Some("admin".to_owned()), "default"),
    ];
    for (account, namespace) in refused {
        let answer = as_account(account.clone(), namespace).await;
        assert!(matches!(&answer, Err(kube::Error::Api(status)) if status.code == 403), "{account:?}: {answer:?}");
    }
}

/// What the operator's account and the namespace's own account may do, as the API server sees it.
async fn rights(world: &World, operator: &str) {
    let here = world.namespace.as_str();
    let both = |yes: &[Question<'static>], no: &[Question<'static>]| {
        let yes = yes.iter().map(|question| (*question, true));
        yes.chain(no.iter().map(|question| (*question, false))).collect::<Vec<_>>()
    };
    let group = "landfall.dev";
    let own = both(
        &[
            ("watch", group, "deployments", "", "here", ""),
            ("list", group, "packages", "", "", ""),
            ("patch", group, "deployments", "status", "here", "web"),
            ("watch", "apps", "replicasets", "", "", ""),
            ("watch", "", "configmaps", "", "here", ""),
            ("list", "apps", "statefulsets", "", "", ""),
            ("watch", "gateway.networking.k8s.io", "gatewayclasses", "", "", ""),
            ("create", "events.k8s.io", "events", "", "here", ""),
            ("create", "", "secrets", "", "here", ""),
            ("create", group, "deployments", "record", "here", ""),
            ("get", "", "secrets", "", "here", "landfall-rev-web-0123456789"),
            ("update", "coordination.k8s.io", "leases", "", "here", "LEASE"),
            ("impersonate", "", "serviceaccounts", "", "here", "landfall-deployer"),
        ],
        &[
            ("create", "apps", "replicasets", "", "here", ""),
            ("patch", "apps", "replicasets", "scale", "here", "web"),
            ("patch", "", "services", "", "here", "web"),
            ("patch", "", "configmaps", "", "here", "web"),
            ("watch", "", "secrets", "", "here", ""),
            ("delete", "", "pods", "", "here", "web"),
            ("patch", group, "deployments", "", "here", "web"),
            ("create", group, "deployments", "promote", "here", "web"),
            ("get", "", "secrets", "", "kube-system", "any"),
            ("list", "", "secrets", "", "", ""),
            ("update", "coordination.k8s.io", "leases", "", "here", "another"),
            ("update", "coordination.k8s.io", "leases", "", "kube-system", "LEASE"),
            ("impersonate", "", "serviceaccounts", "", "here", "default"),
            ("impersonate", "", "serviceaccounts", "", "kube-system", "landfall-deployer"),
            ("impersonate", "", "users", "", "", "admin"),
            ("create", "rbac.authorization.k8s.io", "rolebindings", "", "here", ""),
        ],
    );
    let deployers = both(
        &[
            ("create", "apps", "replicasets", "", "here", ""),
            ("patch", "apps", "replicasets", "scale", "here", "web"),
            ("delete", "", "configmaps", "", "here", "web"),
            ("patch", "gateway.networking.k8s.io", "httproutes", "", "here", "web"),
            ("create", "", "pods", "eviction", "here", "web"),
            ("create", "apps", "statefulsets", "", "here", ""),
            ("delete", group, "packages", "", "here", "web-1.0.0"),
            ("patch", group, "deployments", "", "here", "web"),
        ],
        &[
            ("create", "apps", "replicasets", "", "default", ""),
            ("create", "", "pods", "", "here", ""),
            ("create", "", "pods", "exec", "here", "web"),
            ("create", "", "serviceaccounts", "", "here", ""),
            ("create", "rbac.authorization.k8s.io", "rolebindings", "", "here", ""),
            ("create", "rbac.authorization.k8s.io", "clusterrolebindings", "", "", ""),
            ("create", group, "deployments", "promote", "here", "web"),
            ("create", group, "profiles", "", "here", ""),
            ("create", group, "deployments", "record", "here", ""),
        ],
    );
    for (account, questions) in [(operator, own), ("landfall-deployer", deployers)] {
        for ((verb, group, resource, subresource, namespace, name), expected) in questions {
            let namespace = if namespace == "here" { here } else { namespace };
            let name = if name == "LEASE" { operator } else { name };
            let question = (verb, group, resource, subresource, namespace, name);
            assert_eq!(may(world, account, question).await, expected, "{account}: {question:?}");
        }
    }
}
