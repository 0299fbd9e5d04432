//! The built-in check: what the candidate's pods say of themselves.
//!
//! A pod that crashes again and again never gets ready, so no other check would ever see it; a run would wait for its
//! deadline without saying why.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::words::{SHOWN_MAX, cut};

/// How many restarts of one container fail the candidate while it is in a crash loop: at the kubelet's pace that is less
/// than a minute, and one or two starts too early for a dependency are forgiven.
pub const CRASHES_MAX: i32 = 3;

/// How many restarts of one container fail the candidate whatever it does at the moment.
pub const RESTARTS_MAX: i32 = 5;

/// What matters of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodSummary {
    /// Its name.
    pub name: String,
    /// Why it cannot be placed on a node; none where it is.
    pub unschedulable: Option<String>,
    /// Its containers, those that run before the others first.
    pub containers: Vec<ContainerSummary>,
}

/// What matters of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerSummary {
    /// Its name.
    pub name: String,
    /// Why it waits: the kubelet's word and sentence.
    pub waiting: Option<(String, String)>,
    /// How often it was started again.
    pub restarts: i32,
    /// How it ended last.
    pub ended: Option<Ended>,
}

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// The kubelet's word, such as `OOMKilled`.
    pub reason: String,
    /// The exit code.
    pub code: i32,
    /// What it left behind for people.
    pub message: String,
}

/// What is wrong with pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// The candidate fails: the reason.
    pub fatal: Option<String>,
    /// What its pods wait for.
    pub hint: Option<String>,
}

/// Reduces a pod to what matters.
#[must_use]
pub fn summary(pod: &Pod) -> PodSummary {
    let status = pod.status.as_ref();
    let statuses = status.into_iter().flat_map(|status| [&status.init_container_statuses, &status.container_statuses]);
    PodSummary {
        name: pod.metadata.name.clone().unwrap_or_default(),
        unschedulable: status.and_then(|status| {
            let placed = status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled")?;
            let is_stuck = placed.status == "False" && placed.reason.as_deref() == Some("Unschedulable");
            is_stuck.then(|| placed.message.clone().unwrap_or_default())
        }),
        containers: statuses.flatten().flatten().map(container).collect(),
    }
}

fn container(status: &ContainerStatus) -> ContainerSummary {
    let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
    // A container that ended and is not started again yet has its end in the present state.
    let ended = [&status.last_state, &status.state]
        .into_iter()
        .flatten()
        .filter_map(|state| state.terminated.as_ref())
        .next_back();
    ContainerSummary {
        name: status.name.clone(),
        waiting: waiting
            .map(|waiting| (waiting.reason.clone().unwrap_or_default(), waiting.message.clone().unwrap_or_default())),
        restarts: status.restart_count,
        ended: ended.map(|ended| Ended {
            reason: ended.reason.clone().unwrap_or_default(),
            code: ended.exit_code,
            message: cut(ended.message.as_deref().unwrap_or_default(), SHOWN_MAX),
        }),
    }
}

/// Finds what is wrong with the candidate's pods. Every restart that a pod counts is held against the candidate.
#[must_use]
pub fn trouble(pods: &[PodSummary]) -> Trouble {
    let containers = || pods.iter().flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)));
    let crashed = containers().filter(|(_, container)| is_too_often(container));
    let worst = crashed.max_by_key(|(_, container)| container.restarts);
    Trouble {
        fatal: worst.map(|(pod, container)| crash(pod, container)),
        hint: hint(pods).map(|text| cut(&text, SHOWN_MAX)),
    }
}

fn is_too_often(container: &ContainerSummary) -> bool {
    container.restarts >= if is_crash_loop(container) { CRASHES_MAX } else { RESTARTS_MAX }
}

fn is_crash_loop(container: &ContainerSummary) -> bool {
    container.waiting.as_ref().is_some_and(|(reason, _)| reason == "CrashLoopBackOff")
}

fn crash(pod: &PodSummary, container: &ContainerSummary) -> String {
    let ended = container.ended.as_ref().map(|ended| format!(", ended last {}", end(ended))).unwrap_or_default();
    let text =
        format!("container {} of pod {} was restarted {} times{ended}", container.name, pod.name, container.restarts);
    cut(&text, SHOWN_MAX)
}

fn end(ended: &Ended) -> String {
    let message = if ended.message.is_empty() { String::new() } else { format!(": {}", ended.message.trim()) };
    match ended.reason.as_str() {
        "" | "Error" | "Completed" => format!("with exit code {}{message}", ended.code),
        reason => format!("{reason} (exit code {}){message}", ended.code),
    }
}

/// One sentence about the first pod that waits for something it will not get by itself.
fn hint(pods: &[PodSummary]) -> Option<String> {
    let waits = |pod: &PodSummary| {
        let (container, (reason, message)) =
            pod.containers.iter().find_map(|container| Some((container, container.waiting.as_ref()?)))?;
        if matches!(reason.as_str(), "ContainerCreating" | "PodInitializing" | "") {
            return None;
        }
        match &container.ended {
            Some(ended) if is_crash_loop(container) => {
                Some(format!("{reason}: container {} ended {}", container.name, end(ended)))
            }
            _ if message.is_empty() => Some(format!("{reason}: container {} of pod {}", container.name, pod.name)),
            _ => Some(format!("{reason}: {message}")),
        }
    };
    let unplaced =
        |pod: &PodSummary| pod.unschedulable.as_ref().map(|why| format!("no node takes pod {}: {why}", pod.name));
    pods.iter().find_map(|pod| waits(pod).or_else(|| unplaced(pod)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(statuses: &[Value]) -> Vec<PodSummary> {
        let pod = |status: &Value| json!({"metadata": {"name": "shop-7c9f-x"}, "status": status});
        statuses.iter().map(|status| summary(&serde_json::from_value(pod(status)).unwrap())).collect()
    }

    fn container(restarts: i32, state: &Value, last: &Value) -> Value {
        json!({"containerStatuses": [{
            "name": "web", "image": "i", "imageID": "", "ready": false, "restartCount": restarts, "state": state, "lastState": last,
        }]})
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({"waiting": {"reason": reason, "message": message}})
    }

    fn ended(reason: &str, code: i32, message: &str) -> Value {
        json!({"terminated": {"reason": reason, "exitCode": code, "message": message}})
    }

    #[test]
    fn a_crash_loop_is_fatal_with_the_third_restart_and_any_container_with_the_fifth() {
        let back_off = waiting("CrashLoopBackOff", "back-off 20s restarting failed container");
        let error = ended("Error", 1, "no database\nat db:5432");
        let fatal = |restarts, state: &Value| trouble(&seen(&[container(restarts, state, &error)])).fatal;
        let words = |count| {
            format!(
                "container web of pod shop-7c9f-x was restarted {count} times, ended last with exit code 1: no database at db:5432"
            )
        };
        assert_eq!(fatal(2, &back_off), None);
        assert_eq!(fatal(3, &back_off), Some(words(3)));
        let running = json!({"running": {}});
        assert_eq!(fatal(4, &running), None);
        assert_eq!(fatal(5, &running), Some(words(5)));
        assert_eq!(trouble(&[]), Trouble::default());
    }

    #[test]
    fn the_worst_container_is_named_with_its_latest_end() {
        let mild = container(3, &waiting("CrashLoopBackOff", ""), &json!({}));
        let worst = container(9, &ended("OOMKilled", 137, ""), &ended("Error", 1, ""));
        let init = json!({"initContainerStatuses": container(3, &waiting("CrashLoopBackOff", ""), &json!({}))["containerStatuses"]});
        let fatal = trouble(&seen(&[mild, worst])).fatal.unwrap();
        assert!(fatal.ends_with("was restarted 9 times, ended last OOMKilled (exit code 137)"), "{fatal}");
        assert!(trouble(&seen(&[init])).fatal.is_some(), "containers that run first count too");
        let long = container(3, &waiting("CrashLoopBackOff", ""), &ended("Error", 1, &"x".repeat(500)));
        assert_eq!(trouble(&seen(&[long])).fatal.unwrap().chars().count(), SHOWN_MAX);
    }

    #[test]
    fn a_hint_says_what_pods_wait_for() {
        let hint = |status: Value| trouble(&seen(&[status])).hint;
        let pull = "Back-off pulling image \"shop:9\"";
        let table = [
            (container(0, &waiting("ImagePullBackOff", pull), &json!({})), Some(format!("ImagePullBackOff: {pull}"))),
            (
                container(0, &waiting("CreateContainerConfigError", ""), &json!({})),
                Some("CreateContainerConfigError: container web of pod shop-7c9f-x".to_owned()),
            ),
            (
                container(1, &waiting("CrashLoopBackOff", "back-off"), &ended("Error", 2, "")),
                Some("CrashLoopBackOff: container web ended with exit code 2".to_owned()),
            ),
            (container(0, &waiting("ContainerCreating", ""), &json!({})), None),
            (container(0, &waiting("PodInitializing", ""), &json!({})), None),
            (container(0, &json!({"running": {}}), &json!({})), None),
            (
                json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}]}),
                Some("no node takes pod shop-7c9f-x: 0/1 nodes are available".to_owned()),
            ),
            (json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}), None),
            (json!({}), None),
        ];
        for (status, expected) in table {
            assert_eq!(hint(status.clone()), expected, "{status}");
        }
        let all = trouble(&seen(&[json!({}), container(0, &waiting("ErrImagePull", &"x".repeat(900)), &json!({}))]));
        assert_eq!((all.hint.unwrap().chars().count(), all.fatal), (SHOWN_MAX, None));
    }
}
