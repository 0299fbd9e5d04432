//! The built-in check: what the candidate's pods say of themselves.
//!
//! A pod that crashes again and again never gets ready, so no other check would ever see it; a run would wait for its
//! deadline without saying why.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::words::{SHOWN_MAX, cut};

/// How many restarts of one container in a crash loop fail the candidate: at the kubelet's pace about a minute.
pub const RESTARTS_MAX: i32 = 3;

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
    let states = [&status.last_state, &status.state];
    let ended = states.into_iter().flatten().filter_map(|state| state.terminated.as_ref()).next_back();
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

/// Finds what is wrong with the candidate's pods. All of them were made for the run, so every restart belongs to it.
#[must_use]
pub fn trouble(pods: &[PodSummary]) -> Trouble {
    let containers = || pods.iter().flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)));
    let crashed = containers().filter(|(_, container)| is_crash_loop(container) && container.restarts >= RESTARTS_MAX);
    let worst = crashed.max_by_key(|(_, container)| container.restarts);
    Trouble {
        fatal: worst.map(|(pod, container)| crash(pod, container)),
        hint: hint(pods).map(|text| cut(&text, SHOWN_MAX)),
    }
}

fn is_crash_loop(container: &ContainerSummary) -> bool {
    container.waiting.as_ref().is_some_and(|(reason, _)| reason == "CrashLoopBackOff")
}

fn crash(pod: &PodSummary, container: &ContainerSummary) -> String {
    let ended = container.ended.as_ref().map(|ended| format!(", last {}", end(ended))).unwrap_or_default();
    let text = format!("container {} of pod {} crashed {} times{ended}", container.name, pod.name, container.restarts);
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
