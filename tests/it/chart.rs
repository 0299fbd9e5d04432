//! The Helm chart, as far as it can be judged without Helm: its definitions, its values, and what it renders to.
//!
//! `tests/chart/*.golden` is what Helm makes of it; the end-to-end tests compare them with a fresh rendering.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
};

use jsonschema::Validator;
use landfall::{
    api::{DEFAULT_SERVICE_ACCOUNT, command::Verb, crd},
    cli::init::manifests::{Place, manifests},
};
use serde_json::{Map, Value, json};

const UPDATE: &str = "LANDFALL_UPDATE_GOLDENS";
const VALUES: &str = include_str!("../../charts/landfall/values.yaml");
const SCHEMA: &str = include_str!("../../charts/landfall/values.schema.json");
const CHART: &str = include_str!("../../charts/landfall/Chart.yaml");
const EVERYTHING: &str = include_str!("../chart/everything.yaml");
const GOLDENS: [&str; 2] = [include_str!("../chart/default.golden"), include_str!("../chart/everything.golden")];
const DEPLOYER_RULES: &str = include_str!("../../charts/landfall/files/deployer-rules.yaml");

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn objects(golden: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(golden).unwrap();
    assert!(documents.len() > 10, "{} documents", documents.len());
    documents
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn one<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found: Vec<_> = of_kind(objects, kind).into_iter().filter(|o| o["metadata"]["name"] == name).collect();
    assert!(!found.is_empty(), "there is no {kind} {name}");
    found[0]
}

fn words(value: &Value) -> BTreeSet<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn the_chart_has_the_definitions_of_the_types() {
    for kind in crd::KINDS {
        let name = format!("{}.yaml", kind.to_lowercase());
        let committed = fs::read_to_string(format!("{}/crds/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let path = format!("{}/charts/landfall/files/crds/{name}", env!("CARGO_MANIFEST_DIR"));
        if env::var_os(UPDATE).is_some() {
            fs::write(&path, &committed).unwrap();
        }
        let in_chart = fs::read_to_string(&path).unwrap_or_default();
        assert!(in_chart == committed, "{path} is not crds/{name}: run {UPDATE}=1 cargo test --test it chart");
        // The template puts its own words in place of this line.
        assert_eq!(in_chart.matches("\nmetadata:\n").count(), 1, "{path}");
    }
    let directory = format!("{}/charts/landfall/files/crds", env!("CARGO_MANIFEST_DIR"));
    assert_eq!(fs::read_dir(directory).unwrap().count(), crd::KINDS.len());
}

#[test]
fn the_chart_is_of_the_version_of_the_program() {
    let chart = yaml(CHART);
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_schema_is_a_schema_and_accepts_the_values() {
    assert!(jsonschema::meta::is_valid(&schema()));
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for text in [VALUES, EVERYTHING] {
        let errors: Vec<_> = validator.iter_errors(&yaml(text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

/// Values whose keys are other people's: labels, annotations, and parts of a pod.
fn free(schema: &Value) -> bool {
    schema["properties"].is_null()
}

/// Puts a misspelt key into each object that has a schema of its own, and says which of them were let through.
fn let_through(validator: &Validator, schema: &Value, path: &str, whole: &Value, found: &mut Vec<String>) {
    let mut wrong = whole.clone();
    wrong.pointer_mut(path).unwrap()["enabeld"] = json!(true);
    if validator.is_valid(&wrong) {
        found.push(path.to_owned());
    }
    for (name, inner) in schema["properties"].as_object().unwrap() {
        if inner["type"] == "object" && !free(inner) {
            let_through(validator, inner, &format!("{path}/{name}"), whole, found);
        }
    }
}

#[test]
fn a_misspelt_value_or_one_of_another_kind_is_refused() {
    let (schema, values) = (schema(), yaml(VALUES));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut found = Vec::new();
    let_through(&validator, &schema, "", &values, &mut found);
    assert!(found.is_empty(), "{found:?}");

    let wrong = [
        ("/replicas", json!("2")),
        ("/replicas", json!(-1)),
        ("/namespaces", json!("shop")),
        ("/namespaces", json!(["Shop"])),
        ("/namespaces", json!(["shop", "shop"])),
        ("/admission/mutating", json!("maybe")),
        ("/admission/actors", json!(true)),
        ("/operator/logFormat", json!("xml")),
        ("/operator/shutdownGraceSeconds", json!(0)),
        ("/metrics/service/port", json!(70_000)),
        ("/metrics/serviceMonitor/interval", json!("often")),
        ("/networkPolicy/apiServer/ports", json!([])),
        ("/image/repository", json!("")),
        ("/podLabels", json!({"a": 1})),
        ("/uninstallHook/enabled", json!("yes")),
        ("/gitops/mirrors/sizeLimit", json!("much")),
        ("/gitops/watch", json!([{"group": "", "resources": []}])),
        ("/gitops/watch", json!([{"group": "*", "resources": ["configmaps"]}])),
        ("/gitops/watch", json!([{"group": "", "resources": ["*"]}])),
        ("/gitops/watch", json!([{"group": "", "resources": ["pods/log"]}])),
        ("/gitops/watch", json!([{"resources": ["configmaps"]}])),
        ("/gitops/watch", json!([{"group": "", "resources": ["configmaps"], "verbs": ["delete"]}])),
        ("/gitops/webhooks/service/port", json!(0)),
    ];
    for (pointer, value) in wrong {
        let mut values = values.clone();
        *values.pointer_mut(pointer).unwrap() = value.clone();
        assert!(!validator.is_valid(&values), "{pointer} may be {value}");
    }
}

/// Complaints about properties without a description, and about ones that values.yaml does not show.
fn unexplained(schema: &Value, values: &Value, at: &str, found: &mut Vec<String>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        if inner["description"].as_str().is_none_or(str::is_empty) {
            found.push(format!("{at}: no description"));
        }
        if values.get(name).is_none() && at != ".global" {
            found.push(format!("{at}: not in values.yaml"));
        }
        unexplained(inner, &values[name], &at, found);
    }
}

#[test]
fn every_value_is_explained_and_shown() {
    let mut found = Vec::new();
    unexplained(&schema(), &yaml(VALUES), "", &mut found);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
    unexplained(&json!({"properties": {"a": {}}}), &json!({}), "", &mut found);
    assert_eq!(found.len(), 2);
}

#[test]
fn the_policies_know_every_command_and_no_other() {
    let verbs: BTreeSet<_> = Verb::ALL.iter().map(|verb| verb.word()).collect();
    for golden in GOLDENS {
        let objects = objects(golden);
        let name = "landfall-commands";
        let policy = one(&objects, "ValidatingAdmissionPolicy", name);
        let checks: Vec<_> = policy["spec"]["validations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v["expression"].as_str().unwrap())
            .collect();
        for verb in &verbs {
            let check = format!("!('{verb}' in variables.judged) || authorizer");
            let subresource = format!(".subresource('{verb}')");
            let mine: Vec<_> =
                checks.iter().filter(|text| text.starts_with(&check) && text.contains(&subresource)).collect();
            assert_eq!(mine.len(), 1, "{verb}: {checks:?}");
        }
        assert_eq!(checks.iter().filter(|text| text.contains(".subresource('")).count(), verbs.len());
        let listed = policy["spec"]["variables"][0]["expression"].as_str().unwrap();
        let listed: BTreeSet<_> =
            listed.trim_matches(['[', ']']).split(", ").map(|word| word.trim_matches('\'')).collect();
        assert_eq!(listed, verbs);
        assert_eq!(policy["spec"]["failurePolicy"], "Fail");

        let operate = one(&objects, "ClusterRole", "landfall-operate");
        let commands =
            operate["rules"].as_array().unwrap().iter().find(|rule| rule["verbs"] == json!(["create"])).unwrap();
        let granted: BTreeSet<_> =
            words(&commands["resources"]).iter().filter_map(|r| r.strip_prefix("deployments/")).collect();
        assert_eq!(granted, verbs);
    }
}

#[test]
fn records_are_written_by_who_has_the_operators_right_alone() {
    for (golden, account) in GOLDENS.iter().zip(["landfall", "carrier"]) {
        let objects = objects(golden);
        let policy = one(&objects, "ValidatingAdmissionPolicy", "landfall-records");
        assert_eq!(policy["spec"]["failurePolicy"], "Fail");
        let rules = json!([{"apiGroups": [""], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]}]);
        assert_eq!(policy["spec"]["matchConstraints"]["resourceRules"], rules, "nobody is kept from deleting one");
        let condition = policy["spec"]["matchConditions"][0]["expression"].as_str().unwrap();
        assert!(condition.contains("object.type.startsWith('landfall.dev/')"), "{condition}");
        let binding = one(&objects, "ValidatingAdmissionPolicyBinding", "landfall-records");
        let commands = one(&objects, "ValidatingAdmissionPolicyBinding", "landfall-commands");
        assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
        assert_eq!(binding["spec"]["matchResources"], commands["spec"]["matchResources"]);

        let right = ("landfall.dev".to_owned(), "deployments/record".to_owned(), "create".to_owned());
        let holders: BTreeSet<_> = objects
            .iter()
            .filter(|object| object["kind"].as_str().is_some_and(|kind| ["Role", "ClusterRole"].contains(&kind)))
            .filter(|role| role["rules"].is_array() && rights(role).contains(&right))
            .map(|role| role["metadata"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(holders, ["landfall"].into());
        let own = roles_of(&objects, account);
        assert!(own.iter().any(|role| rights(role).contains(&right)), "{account}");
    }
}

/// Each rule of a role as group, resource and verb.
fn rights(role: &Value) -> BTreeSet<(String, String, String)> {
    let mut found = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in words(&rule["apiGroups"]) {
            for resource in words(&rule["resources"]) {
                found.extend(
                    words(&rule["verbs"])
                        .iter()
                        .map(|verb| (group.to_owned(), resource.to_owned(), (*verb).to_owned())),
                );
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// The roles that are bound to an account, with the kind of each.
fn roles_of<'a>(objects: &'a [Value], account: &str) -> Vec<&'a Value> {
    let bindings =
        objects.iter().filter(|object| object["kind"].as_str().is_some_and(|kind| kind.ends_with("RoleBinding")));
    let mine = bindings.filter(|binding| binding["subjects"][0]["name"] == account);
    let role = |binding: &Value| {
        let (kind, name) = (&binding["roleRef"]["kind"], &binding["roleRef"]["name"]);
        let fits = |object: &&'a Value| {
            object["kind"] == *kind
                && object["metadata"]["name"] == *name
                && (kind == "ClusterRole" || object["metadata"]["namespace"] == binding["metadata"]["namespace"])
        };
        objects.iter().find(fits).unwrap_or_else(|| panic!("{binding} binds a role that is not there"))
    };
    mine.map(role).collect()
}

#[test]
fn the_operator_itself_writes_status_events_its_lease_and_records_and_nothing_else() {
    for (golden, account) in GOLDENS.iter().zip(["landfall", "carrier"]) {
        let objects = objects(golden);
        let roles = roles_of(&objects, account);
        assert!(roles.len() >= 3, "{}", roles.len());
        for role in roles {
            let name = role["metadata"]["name"].as_str().unwrap();
            let writes: BTreeSet<_> = rights(role)
                .into_iter()
                .filter(|(group, resource, verb)| {
                    assert!(
                        ![group, resource, verb].iter().any(|word| *word == "*"),
                        "{name}: {group} {resource} {verb}"
                    );
                    assert!(resource != "secrets" || role["kind"] == "Role", "Secrets of all namespaces");
                    !["get", "list", "watch"].contains(&verb.as_str())
                })
                .map(|(_, resource, verb)| format!("{verb} {resource}"))
                .collect();
            let allowed: &[&str] = match name {
                "landfall" => &[
                    "create deployments/record",
                    "create events",
                    "patch events",
                    "patch deployments/status",
                    "patch packages/status",
                    "patch profiles/status",
                    "update deployments/status",
                    "update packages/status",
                    "update profiles/status",
                ],
                "landfall-gateways" | "landfall-others" => &[],
                "landfall-ends" => &["patch profiles"],
                "landfall-lease" => &["create leases", "update leases"],
                "landfall-impersonate" => &["impersonate serviceaccounts"],
                "landfall-operator" => &["create secrets", "delete secrets"],
                other => panic!("{other} is a role that nobody expects"),
            };
            assert_eq!(
                writes.iter().map(String::as_str).collect::<BTreeSet<_>>(),
                allowed.iter().copied().collect(),
                "{name}"
            );
        }
        for role in
            of_kind(&objects, "Role").into_iter().filter(|role| role["metadata"]["name"] == "landfall-impersonate")
        {
            assert_eq!(role["rules"].as_array().unwrap().len(), 1);
            assert_eq!(role["rules"][0]["resourceNames"], json!([DEFAULT_SERVICE_ACCOUNT]));
        }
    }
}

#[test]
fn the_hook_of_an_uninstallation_may_let_profiles_go_where_the_operator_was_and_nothing_else() {
    for (golden, watched) in GOLDENS.iter().zip([None, Some("shop,bank")]) {
        let objects = objects(golden);
        let name = "landfall-uninstall";
        let job = one(&objects, "Job", name);
        let mut arguments = vec!["uninstall".to_owned(), "--lease=landfall-system/landfall".to_owned()];
        arguments.extend(watched.map(|watched| format!("--watch-namespace={watched}")));
        assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["args"], json!(arguments));
        assert_eq!(job["spec"]["template"]["spec"]["serviceAccountName"], name);
        let operator = &one(&objects, "Deployment", "landfall")["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["image"], operator["image"]);

        let mut places = BTreeMap::new();
        for role in roles_of(&objects, name) {
            let words: BTreeSet<_> =
                rights(role).into_iter().map(|(_, resource, verb)| format!("{verb} {resource}")).collect();
            let namespace = role["metadata"]["namespace"].as_str().unwrap_or_default();
            places.insert(namespace.to_owned(), words.into_iter().collect::<Vec<_>>().join(", "));
        }
        let (leases, profiles) = ("get leases, list leases", "get profiles, list profiles, patch profiles");
        let both = "get leases, get profiles, list leases, list profiles, patch profiles";
        let expected = match watched {
            None => vec![("", both)],
            Some(_) => vec![("", leases), ("bank", profiles), ("shop", profiles)],
        };
        let places: Vec<_> = places.iter().map(|(place, words)| (place.as_str(), words.as_str())).collect();
        assert_eq!(places, expected);

        let mine: Vec<_> = objects.iter().filter(|object| object["metadata"]["name"] == name).collect();
        assert_eq!(mine.len(), if watched.is_some() { 8 } else { 4 });
        for object in mine {
            let annotations = &object["metadata"]["annotations"];
            assert_eq!(annotations["helm.sh/hook"], "post-delete", "the operator would write the finalizer again");
            assert_eq!(annotations["helm.sh/hook-delete-policy"], "before-hook-creation,hook-succeeded");
            let weight = if object["kind"] == "Job" { Value::Null } else { json!("-1") };
            assert_eq!(annotations["helm.sh/hook-weight"], weight, "what the Job needs is there before it");
        }
    }
}

#[test]
fn each_named_namespace_gets_an_account_with_the_rules_of_the_file() {
    let objects = objects(GOLDENS[1]);
    let mut expected = yaml(DEPLOYER_RULES).as_array().unwrap().clone();
    expected.extend(yaml(EVERYTHING)["deployer"]["extraRules"].as_array().unwrap().iter().cloned());
    for namespace in ["shop", "bank"] {
        let here: Vec<_> =
            objects.iter().filter(|object| object["metadata"]["namespace"] == namespace).cloned().collect();
        one(&here, "ServiceAccount", DEFAULT_SERVICE_ACCOUNT);
        assert_eq!(one(&here, "Role", DEFAULT_SERVICE_ACCOUNT)["rules"], json!(expected));
        let binding = one(&here, "RoleBinding", DEFAULT_SERVICE_ACCOUNT);
        assert_eq!(
            binding["subjects"],
            json!([{"kind": "ServiceAccount", "name": DEFAULT_SERVICE_ACCOUNT, "namespace": namespace}])
        );
        let binding = one(&here, "RoleBinding", "landfall-impersonate");
        assert_eq!(
            binding["subjects"],
            json!([{"kind": "ServiceAccount", "name": "carrier", "namespace": "landfall-system"}])
        );
    }
    let rules = yaml(DEPLOYER_RULES).to_string();
    for never in ["roles", "rolebindings", "serviceaccounts", "pods/exec", "\"*\"", "impersonate", "escalate", "bind\""]
    {
        assert!(!rules.contains(never), "{never}");
    }
}

/// What an account may see of a repository's objects, and nothing of Secrets in it.
#[test]
fn the_operator_watches_what_the_values_name_and_no_secrets() {
    for ((golden, account), values) in GOLDENS.iter().zip(["landfall", "carrier"]).zip([VALUES, EVERYTHING]) {
        let objects = objects(golden);
        let roles = roles_of(&objects, account);
        let own: BTreeSet<_> =
            roles.iter().filter(|role| role["metadata"]["name"] == "landfall").flat_map(|role| rights(role)).collect();
        for wanted in yaml(values)["gitops"]["watch"].as_array().unwrap() {
            let group = wanted["group"].as_str().unwrap();
            for resource in words(&wanted["resources"]) {
                for verb in ["list", "watch"] {
                    let right = (group.to_owned(), resource.to_owned(), verb.to_owned());
                    assert!(own.contains(&right), "{account}: {right:?}");
                }
            }
        }
        assert!(!own.iter().any(|(_, resource, _)| resource == "secrets"));
    }
}

/// A repository may contain what the account may write. What of it is not watched is not set back when somebody changes it.
#[test]
fn the_operator_watches_every_kind_that_the_account_may_write_but_secrets() {
    let objects = objects(GOLDENS[0]);
    let watched: BTreeSet<_> = roles_of(&objects, "landfall").into_iter().flat_map(rights).collect();
    let mut unwatched = BTreeSet::new();
    for rule in yaml(DEPLOYER_RULES).as_array().unwrap().iter().filter(|rule| words(&rule["verbs"]).contains("patch")) {
        for (group, resource) in words(&rule["apiGroups"]).into_iter().flat_map(|group| {
            words(&rule["resources"]).into_iter().filter(|name| !name.contains('/')).map(move |name| (group, name))
        }) {
            let may = |verb: &str| watched.contains(&(group.to_owned(), resource.to_owned(), verb.to_owned()));
            if !may("list") || !may("watch") {
                unwatched.insert(resource.to_owned());
            }
        }
    }
    assert_eq!(unwatched, ["secrets".to_owned()].into());
}

#[test]
fn webhooks_and_metrics_reach_the_same_port_by_services_of_their_own() {
    for golden in GOLDENS {
        let objects = objects(golden);
        let [metrics, webhooks] = ["landfall-metrics", "landfall-webhooks"].map(|name| one(&objects, "Service", name));
        let port = |service: &Value| service["spec"]["ports"][0].clone();
        assert_eq!(port(metrics)["targetPort"], port(webhooks)["targetPort"]);
        assert_eq!(metrics["spec"]["selector"], webhooks["spec"]["selector"]);
        // A ServiceMonitor takes every Service with the labels of the release, by the name of the port.
        assert_ne!(port(metrics)["name"], port(webhooks)["name"]);
    }
    let objects = objects(GOLDENS[1]);
    let policy = one(&objects, "NetworkPolicy", "landfall");
    let values = yaml(EVERYTHING);
    assert_eq!(policy["spec"]["ingress"][1]["from"], values["networkPolicy"]["webhooksFrom"]);
    let egress = policy["spec"]["egress"].as_array().unwrap();
    assert!(egress.contains(&values["networkPolicy"]["gitServers"][0]), "{egress:?}");
}

#[test]
fn the_pod_is_confined_and_has_time_to_end() {
    for golden in GOLDENS {
        let objects = objects(golden);
        let deployment = one(&objects, "Deployment", "landfall");
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"], json!({"type": "RuntimeDefault"}));
        assert_eq!(pod["enableServiceLinks"], false);
        // A directory of the pod's own and nothing of the node, of other objects, or of the cluster.
        let limit = &pod["volumes"][0]["emptyDir"]["sizeLimit"];
        assert!(limit.as_str().is_some_and(|limit| limit.ends_with("Gi")), "{limit}");
        assert_eq!(pod["volumes"], json!([{"name": "data", "emptyDir": {"sizeLimit": limit}}]));
        let container = &pod["containers"][0];
        assert_eq!(container["volumeMounts"], json!([{"name": "data", "mountPath": "/data"}]));
        assert!(words(&container["args"]).contains("--data-dir=/data"));
        let confined = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
        assert_eq!(container["securityContext"], confined);
        let grace = words(&container["args"])
            .iter()
            .find_map(|arg| arg.strip_prefix("--shutdown-grace=")?.strip_suffix('s')?.parse::<i64>().ok());
        assert!(pod["terminationGracePeriodSeconds"].as_i64() > grace.map(|grace| grace + 5), "{pod}");
        let labels = deployment["spec"]["template"]["metadata"]["labels"].as_object().unwrap();
        for (key, value) in deployment["spec"]["selector"]["matchLabels"].as_object().unwrap() {
            assert_eq!(labels[key], *value);
        }
        for account in of_kind(&objects, "ServiceAccount") {
            assert_eq!(account["automountServiceAccountToken"], false);
        }
    }
}

#[test]
fn what_belongs_to_the_cluster_bears_the_name_of_the_release_and_no_object_is_there_twice() {
    for golden in GOLDENS {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for object in objects(golden) {
            let metadata: &Map<_, _> = object["metadata"].as_object().unwrap();
            let (kind, name) = (object["kind"].as_str().unwrap(), metadata["name"].as_str().unwrap());
            assert!(metadata.contains_key("namespace") || name.starts_with("landfall"), "{kind} {name}");
            assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], "landfall", "{kind} {name}");
            *seen.entry(format!("{kind} {:?} {name}", metadata.get("namespace"))).or_default() += 1;
        }
        seen.retain(|_, times| *times > 1);
        assert!(seen.is_empty(), "{seen:?}");
    }
}

/// An object without what tells who made it.
fn content(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"].as_object_mut().unwrap().remove("labels");
    object
}

#[test]
fn the_chart_and_init_prepare_a_namespace_alike() {
    let extra = yaml(EVERYTHING)["deployer"]["extraRules"].as_array().unwrap().len();
    for namespace in ["shop", "bank"] {
        let place = Place {
            namespace: namespace.to_owned(),
            operator_namespace: "landfall-system".to_owned(),
            operator_account: "carrier".to_owned(),
        };
        let mut of_init: Vec<_> = manifests(&place).iter().map(content).collect();
        let names: BTreeSet<_> = of_init.iter().map(|object| object["metadata"]["name"].clone().to_string()).collect();
        let here = objects(GOLDENS[1]).into_iter().filter(|object| object["metadata"]["namespace"] == namespace);
        let mut of_chart: Vec<_> = here
            .filter(|object| names.contains(&object["metadata"]["name"].to_string()))
            .map(|object| content(&object))
            .collect();
        for role in &mut of_chart {
            if role["kind"] == "Role" && role["metadata"]["name"] == DEFAULT_SERVICE_ACCOUNT {
                let rules = role["rules"].as_array_mut().unwrap();
                rules.truncate(rules.len() - extra);
            }
        }
        for objects in [&mut of_init, &mut of_chart] {
            objects.sort_by_key(|object| (object["kind"].to_string(), object["metadata"]["name"].to_string()));
        }
        assert_eq!(of_init, of_chart, "{namespace}");
    }
}
