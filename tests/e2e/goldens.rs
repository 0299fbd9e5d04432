//! The goldens of the pretended world, held against the real cluster.
//!
//! `tests/it` plays `tests/scenarios/NAME.yaml` in a pretended world, and `NAME.golden` tells what happens there. Here the
//! same file is played on the real cluster by the process of an operator, and what happens is held against the same golden;
//! what of it can be compared is said at [`Happening`]. A scenario becomes manifests in [`strategy`] and [`Play::happen`].
//!
//! An event happens when all that its golden tells before it has been seen, so that its place in the story is the same in
//! both worlds, and not its second. Times in which a run only waits are [`HASTE`] times as short.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    net::{SocketAddr, UdpSocket},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router as Routes, http::StatusCode};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use landfall::{
    api::{
        amount::Amount,
        check::{self, Check},
        deployment::DeploymentSpec,
        deployment_status::{DeploymentStatus, Phase},
        profile::Profile,
        strategy::{self, Pause, Step, Strategy},
        time_span::TimeSpan,
    },
    engine::{
        plan::{self, FirstDeploy, OnFailure, Plan, Router},
        share::need,
        state::Code,
        strategy::{
            blue_green::Promotion,
            canary::{Canary, CanaryStep},
        },
        verdict::NoData,
    },
    rollout::{
        plan::{Given, Routing, intend},
        words::{code, moment, percent, verb},
    },
    simulation::{
        scenario::{Event, Scenario, When},
        story::KEPT,
    },
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    stage::{
        NAME, Stage, manifests,
        witness::{self, Sight, Witness},
    },
    world::gateway_url,
};

/// How many times faster a run waits here than in its scenario: intervals, pauses, delays and the time to a start. The
/// settling of weights stays as it is: an event may have to happen within it.
const HASTE: u32 = 2;

/// How many times longer a run may go without progress: pods that take 3 s in the pretended world take many times as long
/// on a busy machine, and no scenario that is played here is about a deadline that passes.
const LENIENCE: u32 = 10;

/// How long the story may take from one event to the next.
const PATIENCE: Duration = Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_goes_as_its_golden_tells() {
    agrees("canary").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_goes_as_its_golden_tells() {
    agrees("abort-at-40").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_goes_as_its_golden_tells() {
    agrees("blue-green-auto").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_by_hand_goes_as_its_golden_tells() {
    agrees("blue-green-manual").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_open_as_their_golden_tells() {
    agrees("gates").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_check_turns_back_as_its_golden_tells() {
    agrees("check-fails-at-40").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_without_a_router_goes_as_its_golden_tells() {
    agrees("canary-without-router").await;
}

/// Plays a scenario on the real cluster, and fails where something else happens than its golden tells.
async fn agrees(name: &str) {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let read = |end: &str| fs::read_to_string(scenarios.join(format!("{name}.{end}"))).unwrap();
    let scenario: Scenario = serde_saphyr::from_str(&read("yaml")).unwrap();
    let golden = Golden::read(&read("golden"));
    assert_eq!(golden.events.len(), scenario.events.len(), "{name}: a golden names the events of its scenario");

    let mut play = Play::prepare(name, &scenario, &golden).await;
    for (event, before) in scenario.events.iter().zip(&golden.events) {
        play.reach(|log| happenings(log).len() >= *before).await;
        play.happen(event).await;
    }
    play.finish().await;
}

/// One thing that happened in a world, said in the same words for both.
///
/// Compared are, each change once and in this order of time: the phase together with the part of its steps that a run has
/// done, which names the step; the pods that a revision is asked to have; the weight that is written into the route; the
/// revisions that each Service is to select; and how a run ended, with the stable revision or the code of the error.
///
/// Left out, because the worlds must differ in it: times and how often somebody looked; what is waited for, which tells how
/// far pods and routers are; single measurements, which pass with time; and sentences, in which both name their own hashes
/// and addresses. Answers to commands are seen by what follows from them. A status without a run is left out too: before
/// its first decision the operator says there that it does not know the world yet. How a rolling replacement counts pods
/// depends on which of them are ready first, so no scenario of one is played here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Happening {
    of: String,
    is: String,
}

impl Happening {
    fn new(of: impl Into<String>, is: impl Into<String>) -> Self {
        Self { of: of.into(), is: is.into() }
    }

    fn stands(phase: Phase, percentage: i32) -> Self {
        Self::new("run", format!("{phase}, {percentage} % of its steps done"))
    }

    fn pods(revision: &str, pods: &str) -> Self {
        Self::new(format!("pods of {revision}"), pods)
    }

    fn selects(service: &str, mut revisions: Vec<String>) -> Self {
        revisions.sort();
        Self::new(format!("{service} Service"), revisions.join(" and "))
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.of, self.is)
    }
}

/// What was said last of everything: only a change is a happening.
#[derive(Default)]
struct Known(BTreeMap<String, String>);

impl Known {
    fn is_news(&mut self, happening: &Happening) -> bool {
        self.0.insert(happening.of.clone(), happening.is.clone()).as_ref() != Some(&happening.is)
    }
}

/// What a transcript tells.
#[derive(Default)]
struct Golden {
    /// In their order. What stands together are the writes of one step of the engine, which are carried out side by side:
    /// no order of theirs means anything.
    steps: Vec<Vec<Happening>>,
    /// How many happenings there are before each event.
    events: Vec<usize>,
}

impl Golden {
    fn read(text: &str) -> Self {
        let (mut golden, mut known) = (Self::default(), Known::default());
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (_, told) = line.split_once(" s  ").expect("a line begins with its second");
            if told.starts_with(">>") {
                golden.events.push(golden.steps.iter().map(Vec::len).sum());
                continue;
            }
            let (stands, rest) = told.split_once(" %  ").expect("a line says how much is done");
            let (phase, percentage) = stands.split_once(' ').expect("a line begins with the phase");
            let phase: Phase = serde_json::from_value(json!(phase)).unwrap();
            let (actions, sentence) = rest.split_once(" | ").unwrap_or(("", rest));
            let said = Happening::stands(phase, percentage.trim().parse().unwrap());
            let end = phase.is_terminal().then(|| Happening::new("end", ending(sentence)));
            let mut written: Vec<Happening> = actions.split(", ").filter_map(action).collect();
            written.sort();
            for mut step in [vec![said], Vec::from_iter(end), written] {
                step.retain(|happening| known.is_news(happening));
                golden.steps.extend((!step.is_empty()).then_some(step));
            }
        }
        golden
    }

    /// How what happened differs from this; none where it does not.
    fn difference(&self, happened: &[Happening]) -> Option<String> {
        let (mut rest, mut ordered) = (happened, Vec::new());
        for step in &self.steps {
            let (now, later) = rest.split_at(step.len().min(rest.len()));
            let mut now = now.to_vec();
            now.sort();
            ordered.extend(now);
            rest = later;
        }
        ordered.extend_from_slice(rest);
        let told: Vec<&Happening> = self.steps.iter().flatten().collect();
        if told.iter().copied().eq(&ordered) {
            return None;
        }
        let line = |at: usize| {
            let word = |happening: Option<&Happening>| happening.map_or("-".to_owned(), ToString::to_string);
            let (golden, real) = (word(told.get(at).copied()), word(ordered.get(at)));
            let sign = if golden == real { ' ' } else { '!' };
            format!("{sign} {golden:<45} {real}")
        };
        let lines: Vec<String> = (0..told.len().max(ordered.len())).map(line).collect();
        Some(format!("  {:<45} {}\n{}", "THE GOLDEN", "THE REAL CLUSTER", lines.join("\n")))
    }
}

/// How a run ended, from the sentence about it.
fn ending(sentence: &str) -> String {
    let code_of = |word: &str| code(serde_json::from_value::<Code>(json!(word)).unwrap()).to_owned();
    match sentence.split_once(" is stable") {
        Some((revision, _)) => format!("{revision} is stable"),
        None => code_of(sentence.split_once(": ").expect("a run that did not arrive says why").0),
    }
}

/// An action of a transcript; none for one that writes nothing.
fn action(text: &str) -> Option<Happening> {
    let words: Vec<&str> = text.split(' ').collect();
    Some(match words[..] {
        [""] | ["measure", _] => return None,
        ["create", revision, "with", pods, "pods"] | ["scale", revision, "from", _, "to", pods] => {
            Happening::pods(revision, pods)
        }
        ["candidate", "weight", share, "%"] => Happening::new("weight", share),
        [service, "Service", "selects", ref revisions @ ..] => {
            let revisions = revisions.iter().filter(|word| **word != "and");
            Happening::selects(service, revisions.map(|word| (*word).to_owned()).collect())
        }
        _ => panic!("`{text}` cannot be compared yet"),
    })
}

/// What happened on the real cluster, from the log of its witness.
fn happenings(log: &[witness::Event]) -> Vec<Happening> {
    let names = names(log);
    let name = |hash: &String| names.get(hash).unwrap_or(hash).clone();
    let mut known = Known::default();
    let said = log.iter().flat_map(|event| match &event.sight {
        Sight::Weight(percent) => vec![Happening::new("weight", percent.to_string())],
        Sight::Scale { revision, pods } => vec![Happening::pods(&name(revision), &pods.to_string())],
        Sight::Selects { role, revisions } => {
            vec![Happening::selects(role.as_str(), revisions.iter().map(name).collect())]
        }
        Sight::Status(status) => of_status(status),
    });
    said.filter(|happening| known.is_news(happening)).collect()
}

fn of_status(status: &DeploymentStatus) -> Vec<Happening> {
    let (Some(phase), Some(progress), Some(_)) = (status.phase, &status.progress, &status.run) else {
        return Vec::new();
    };
    let stable = || status.revision.as_ref().and_then(|revisions| revisions.stable.as_ref());
    let ending = match &status.error {
        Some(error) => error.code.clone(),
        None => format!("{} is stable", stable().map_or("none".to_owned(), |stable| named(&stable.version))),
    };
    let end = phase.is_terminal().then(|| Happening::new("end", ending));
    [Happening::stands(phase, progress.percentage)].into_iter().chain(end).collect()
}

/// The revisions of all statuses as scenarios name them, by hash.
fn names(log: &[witness::Event]) -> BTreeMap<String, String> {
    let revisions = log.iter().filter_map(|event| match &event.sight {
        Sight::Status(status) => status.revision.as_ref(),
        _ => None,
    });
    let all = revisions.flat_map(|revisions| revisions.stable.iter().chain(&revisions.candidate));
    all.map(|revision| (revision.hash.clone(), named(&revision.version))).collect()
}

/// The version of a package that stands for a revision of a scenario: 2.0.0 for v2.
fn version(name: &str) -> String {
    let number: u32 = name.strip_prefix('v').and_then(|number| number.parse().ok()).expect("a revision is named v1");
    format!("{number}.0.0")
}

fn named(version: &str) -> String {
    format!("v{}", version.trim_end_matches(".0.0"))
}

/// A scenario on the real cluster.
struct Play<'a> {
    scenario: &'a Scenario,
    golden: &'a Golden,
    stage: Stage,
    witness: Witness,
    /// What is asked in place of the candidate, where checks are to fail without its doing.
    stand_in: Option<StandIn>,
    start: Option<Timestamp>,
    wanted: String,
    bad: BTreeSet<String>,
    missing: BTreeSet<String>,
    commands: BTreeMap<String, String>,
}

impl<'a> Play<'a> {
    /// A stage with everything that the scenario will name, and an operator that has seen it.
    async fn prepare(name: &str, scenario: &'a Scenario, golden: &'a Golden) -> Self {
        let mut stage = Stage::without_operator(&format!("golden-{name}")).await;
        let fails = scenario.events.iter().any(|event| event.bad.is_some());
        let stand_in = if fails { Some(StandIn::start(&stage).await) } else { None };
        let url = stand_in.as_ref().map_or("http://{{candidate.service}}/healthz", |stand_in| &stand_in.url);

        let plan = scenario.plan.plan();
        let wait = |at: u64| SignedDuration::from_secs(i64::try_from(at / 1000 / u64::from(HASTE)).unwrap());
        let start = plan.not_before.map(|at| Timestamp::now() + wait(at.0));
        let profile = profile(&hastened(plan), scenario.pods, url);
        assert_same_plan(scenario, &profile, start);
        stage.apply(&profile).await;
        let missing: BTreeSet<String> =
            scenario.events.iter().flat_map(|event| event.missing.iter().flatten().cloned()).collect();
        for name in scenario.events.iter().filter_map(|event| event.want.as_ref()) {
            stage.apply(&package(&version(name), &missing)).await;
        }
        stage.start_operator();
        let witness = Witness::new(&stage);
        let (wanted, bad, commands) = Default::default();
        Self { scenario, golden, stage, witness, stand_in, start, wanted, bad, missing, commands }
    }

    /// Waits until what has been seen is as it should be.
    async fn reach(&mut self, is: impl Fn(&[witness::Event]) -> bool) {
        if tokio::time::timeout(PATIENCE, self.witness.see(is)).await.is_err() {
            let seen = happenings(&self.witness.log().await);
            panic!("nothing more happens:\n{}", self.golden.difference(&seen).unwrap_or_default());
        }
    }

    /// Lets an event happen. What befalls a run that moves by itself befalls it while it stands still, so that it is in
    /// the same step as in the golden, however busy the machine is.
    async fn happen(&mut self, event: &Event) {
        let Event { after, when, want, command, full, to, bad, missing, .. } = event.clone();
        let told = Event { after, when, want, command, full, to, bad, missing, ..Event::default() };
        assert_eq!(*event, told, "some of this event cannot be played yet");
        let moves = matches!(event.when, Some(When::Weight(_) | When::Stage(_)));
        if moves {
            self.stage.kill_operator();
        }
        if let Some(When::Weight(_)) = event.when {
            self.witness.acknowledged().await;
        }
        self.provide(event).await;
        self.bad.extend(event.bad.clone());
        if let Some(name) = &event.want {
            self.wanted.clone_from(name);
            self.stage.apply(&deployment(name, self.scenario.pods, self.start).to_string()).await;
        }
        if let Some(stand_in) = &self.stand_in {
            stand_in.fails.store(self.bad.contains(&self.wanted), Ordering::SeqCst);
        }
        self.command(event).await;
        if moves {
            self.stage.start_operator();
        }
    }

    /// Deploys what the package depends on and an event no longer calls missing.
    async fn provide(&mut self, event: &Event) {
        let Some(still) = &event.missing else { return };
        let there: Vec<String> = self.missing.iter().filter(|name| !still.contains(name)).cloned().collect();
        for name in there {
            self.stage.apply(&neighbour(&name)).await;
            self.missing.remove(&name);
        }
    }

    async fn command(&mut self, event: &Event) {
        let Some(given) = event.command else { return };
        let run = self.stage.status().await.run.expect("a command is about a run").id;
        let log = self.witness.log().await;
        let names = names(&log);
        let hash =
            |name: &String| names.iter().find(|(_, of)| *of == name).map_or(name.clone(), |(hash, _)| hash.clone());
        let to = event.to.as_ref().map_or(String::new(), |name| format!(" to={}", hash(name)));
        let value = format!("{run}{}{to} at={}", if event.full { " full" } else { "" }, self.commands.len());
        self.stage.annotate(verb(given).word(), &value).await;
        self.commands.insert(verb(given).word().to_owned(), value);
    }

    /// Waits for the end, and compares.
    async fn finish(mut self) {
        let generation = self.stage.deployments().get(NAME).await.unwrap().metadata.generation.unwrap();
        let commands = self.commands.clone();
        let is_over = |status: &DeploymentStatus| {
            let answered =
                |(verb, id): (&String, &String)| status.commands.get(verb).is_some_and(|answer| answer.id == *id);
            status.observed_generation >= generation
                && status.phase.is_some_and(Phase::is_terminal)
                && commands.iter().all(answered)
        };
        let last = |log: &[witness::Event]| {
            let mut statuses = log.iter().rev().filter_map(|event| match &event.sight {
                Sight::Status(status) => Some(is_over(status)),
                _ => None,
            });
            statuses.next().unwrap_or_default()
        };
        self.reach(last).await;
        let happened = happenings(&self.witness.log().await);
        if let Some(difference) = self.golden.difference(&happened) {
            panic!("{}:\n{difference}", self.scenario.title);
        }
        self.stage.end().await;
    }
}

/// The name of a stand-in's Service.
const STAND_IN: &str = "stand-in";

/// Somebody whom checks ask in place of the candidate, and who answers as the scenario wants it.
struct StandIn {
    url: String,
    fails: Arc<AtomicBool>,
}

impl StandIn {
    /// Serves behind a Service: the machine's own address is the API server's too, and no check may ask there.
    async fn start(stage: &Stage) -> Self {
        let route = UdpSocket::bind("0.0.0.0:0").unwrap();
        route.connect(gateway_url().trim_start_matches("http://")).unwrap();
        let listener = TcpListener::bind((route.local_addr().unwrap().ip(), 0)).await.unwrap();
        let behind = listener.local_addr().unwrap();
        let fails = Arc::<AtomicBool>::default();
        let says = Arc::clone(&fails);
        let answer = move || async move {
            if says.load(Ordering::SeqCst) { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
        };
        tokio::spawn(async move { axum::serve(listener, Routes::new().fallback(answer)).await });

        stage.apply(&service_before(behind)).await;
        let address = stage.address_of(STAND_IN).await;
        // Nothing but an answer tells that the proxies know a new Service.
        let mut look = tokio::time::interval(Duration::from_millis(100));
        let is_there = async || {
            let connected = TcpStream::connect((address.as_str(), 80));
            matches!(tokio::time::timeout(Duration::from_secs(1), connected).await, Ok(Ok(_)))
        };
        let known = async {
            while !is_there().await {
                look.tick().await;
            }
        };
        stage.world.patiently("the Service of the stand-in", known).await;
        Self { url: format!("http://{address}/"), fails }
    }
}

fn service_before(behind: SocketAddr) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {STAND_IN}}}
spec: {{ports: [{{name: http, port: 80, targetPort: {port}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {STAND_IN}, labels: {{kubernetes.io/service-name: {STAND_IN}}}}}
addressType: IPv4
endpoints: [{{addresses: ['{ip}'], conditions: {{ready: true}}}}]
ports: [{{name: http, port: {port}, protocol: TCP}}]
",
        ip = behind.ip(),
        port = behind.port(),
    )
}

/// The plan with its waits [`HASTE`] times as short, and its deadline [`LENIENCE`] times as long.
fn hastened(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    match &mut plan.strategy {
        plan::Strategy::Canary(Canary::Schedule { interval, .. }) => *interval /= HASTE,
        plan::Strategy::Canary(Canary::Steps(steps)) => {
            for step in steps {
                if let CanaryStep::Pause(time) = step {
                    *time /= HASTE;
                }
            }
        }
        plan::Strategy::BlueGreen(switch) => switch.switch_delay /= HASTE,
        plan::Strategy::Rolling(_) => {}
    }
    plan.scale_down_delay /= HASTE;
    plan.progress_deadline = plan.progress_deadline.map(|limit| limit * LENIENCE);
    plan.checks.iter_mut().for_each(|check| check.interval /= HASTE);
    plan
}

/// Fails unless the operator will understand the manifests as the plan of the scenario, so that nothing of a scenario is
/// lost on the way.
fn assert_same_plan(scenario: &Scenario, profile: &str, start: Option<Timestamp>) {
    let profile: Profile = serde_saphyr::from_str(profile).unwrap();
    let deployment: DeploymentSpec =
        serde_json::from_value(deployment("v1", scenario.pods, start)["spec"].clone()).unwrap();
    let mut plan = hastened(scenario.plan.plan());
    let routing = if matches!(plan.router, Router::Split { .. }) { Routing::Weights } else { Routing::Instances };
    let given = Given { routing, capabilities: plan.capabilities, desired: scenario.pods, alone: None };
    let understood = intend(&deployment, &profile.spec, given).unwrap().plan;
    // A scenario may have no deadline, and a real Deployment always has one.
    plan.progress_deadline = plan.progress_deadline.or(understood.progress_deadline);
    plan.not_before = deployment.schedule_at.as_ref().map(moment);
    assert_eq!(understood, plan, "the plan of {} cannot be said in manifests", scenario.title);
}

fn profile(plan: &Plan, pods: u32, url: &str) -> String {
    let strategy = serde_json::to_string(&strategy(plan, pods, url)).unwrap();
    match plan.router {
        Router::Split { .. } => manifests::profile(&strategy),
        Router::Replicas => manifests::profile_without_router(&strategy),
    }
}

/// How a plan is said in a manifest.
fn strategy(plan: &Plan, pods: u32, url: &str) -> Strategy {
    let mut said = Strategy {
        checks: plan.checks.iter().map(|check| check_of(check, url)).collect(),
        progress_deadline: plan.progress_deadline.map(span),
        on_failure: Some(match plan.on_failure {
            OnFailure::Rollback => strategy::OnFailure::Rollback,
            OnFailure::Pause => strategy::OnFailure::Pause,
        }),
        first_deploy: Some(match plan.first_deploy {
            FirstDeploy::Skip => strategy::FirstDeploy::Skip,
            FirstDeploy::Gate => strategy::FirstDeploy::Gate,
        }),
        revision_history_limit: i32::try_from(KEPT).ok(),
        scale_down_delay: Some(span(plan.scale_down_delay)),
        ..Strategy::default()
    };
    match &plan.strategy {
        plan::Strategy::Canary(canary) => said.canary = Some(canary_of(canary)),
        plan::Strategy::BlueGreen(switch) => {
            said.blue_green = Some(strategy::BlueGreen {
                switch_delay: Some(span(switch.switch_delay)),
                preview_replicas: i32::try_from(need(pods, switch.preview, plan.headroom)).ok(),
                promotion: Some(match switch.promotion {
                    Promotion::Automatic => strategy::Promotion::Automatic,
                    Promotion::Manual => strategy::Promotion::Manual,
                }),
                health_check_url: None,
            });
        }
        plan::Strategy::Rolling(rolling) => {
            let count = |pods| i32::try_from(pods).ok().map(Amount::Count);
            let (max_surge, max_unavailable) = (count(rolling.max_surge), count(rolling.max_unavailable));
            said.rolling = Some(strategy::Rolling { max_surge, max_unavailable });
        }
    }
    said
}

fn canary_of(canary: &Canary) -> strategy::Canary {
    match canary {
        Canary::Schedule { initial, increment, interval } => strategy::Canary {
            initial_percentage: Some(percent(*initial)),
            increment: Some(percent(*increment)),
            interval: Some(span(*interval)),
            ..strategy::Canary::default()
        },
        Canary::Steps(steps) => {
            strategy::Canary { steps: Some(steps.iter().map(step_of).collect()), ..strategy::Canary::default() }
        }
    }
}

fn step_of(step: &CanaryStep) -> Step {
    let pause = |duration| Some(Pause { duration });
    match step {
        CanaryStep::Weight(share) => Step { weight: Some(percent(*share)), ..Step::default() },
        CanaryStep::Pause(time) => Step { pause: pause(Some(span(*time))), ..Step::default() },
        CanaryStep::Approval => Step { pause: pause(None), ..Step::default() },
        CanaryStep::Checks(names) => Step { checks: Some(names.clone()), ..Step::default() },
        CanaryStep::Scale(_) => panic!("no manifest can say a step that only scales"),
    }
}

fn check_of(check: &landfall::engine::verdict::Check, url: &str) -> Check {
    let http = json!({"url": url});
    Check {
        name: check.name.clone(),
        http: Some(serde_json::from_value(http).unwrap()),
        success: None,
        failure: None,
        interval: Some(span(check.interval)),
        count: i32::try_from(check.count).ok(),
        failure_limit: i32::try_from(check.failure_limit).ok(),
        no_data: Some(match check.no_data {
            NoData::Wait => check::NoData::Wait,
            NoData::Pass => check::NoData::Pass,
            NoData::Fail => check::NoData::Fail,
        }),
    }
}

fn span(time: Duration) -> TimeSpan {
    TimeSpan::from_millis(u64::try_from(time.as_millis()).unwrap())
}

fn deployment(name: &str, pods: u32, start: Option<Timestamp>) -> Value {
    let mut deployment: Value = serde_saphyr::from_str(&manifests::deployment(&version(name))).unwrap();
    deployment["spec"]["replicas"] = json!(pods);
    if let Some(start) = start {
        deployment["spec"]["scheduleAt"] = json!(Timestamp::from_second(start.as_second()).unwrap().to_string());
    }
    deployment
}

/// The Package `web` of a version, which depends on these, each a name and a range. Nobody asks its pods while they end.
fn package(version: &str, depends_on: &BTreeSet<String>) -> String {
    let mut package: Value = serde_saphyr::from_str(&manifests::package(version, ", --drain=0s")).unwrap();
    let depends_on = depends_on.iter().map(|text| {
        let (name, range) = text.split_once(' ').expect("what is missing is a package and a range");
        json!({"name": name, "version": range})
    });
    package["spec"]["dependsOn"] = depends_on.collect();
    package.to_string()
}

/// A Package in this range, such as `database 2.x`, and a Deployment of it: what `web` is, without a Service.
fn neighbour(text: &str) -> String {
    let (name, range) = text.split_once(' ').expect("what is missing is a package and a range");
    let version = format!("{}.0.0", range.split('.').next().unwrap_or_default());
    let renamed = |manifest: String| manifest.replace(NAME, name);
    let package = renamed(manifests::package(&version, ", --drain=0s"));
    let mut package: Value = serde_saphyr::from_str(&package).unwrap();
    package["spec"]["workload"]["manifests"].as_array_mut().unwrap().truncate(1);
    format!("{package}\n---\n{}", renamed(manifests::deployment(&version)))
}
