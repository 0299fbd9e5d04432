//! The goldens of the pretended world, held against the real cluster.
//!
//! `tests/it` plays `tests/scenarios/NAME.yaml` in a pretended world, and `NAME.golden` tells what happens there. Here the
//! same file is played on the real cluster by the process of an operator, and what happens is held against the same golden;
//! what of it can be compared is said at [`golden::Happening`]. A scenario becomes manifests in [`strategy`] and [`Play::happen`].
//!
//! An event happens when all that its golden tells before it has been seen, so that its place in the story is the same in
//! both worlds, and not its second. Times in which a run only waits are [`HASTE`] times as short.

mod golden;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
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
        strategy::{
            blue_green::Promotion,
            canary::{Canary, CanaryStep},
        },
        verdict::NoData,
    },
    rollout::{
        plan::{Given, Routing, intend},
        words::{moment, percent, verb},
    },
    simulation::{
        scenario::{Event, Scenario, When},
        story::KEPT,
    },
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use self::golden::{Golden, happenings, names};

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

/// How long nothing at all may happen: more than twice the longest wait of these scenarios. A run that stands still where its
/// golden goes on is told from one that waits by nothing else.
const QUIET: Duration = Duration::from_secs(40);

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

/// The version of a package that stands for a revision of a scenario: 2.0.0 for v2.
fn version(name: &str) -> String {
    let number: u32 = name.strip_prefix('v').and_then(|number| number.parse().ok()).expect("a revision is named v1");
    format!("{number}.0.0")
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
        let why = match tokio::time::timeout(PATIENCE, self.follow(is)).await {
            Ok(None) => return,
            Ok(Some(difference)) => difference,
            Err(_) => "it takes too long".to_owned(),
        };
        panic!("{}\n{why}", self.scenario.title);
    }

    /// Goes on until what has been seen is as it should be, or cannot be any more: then says how it differs from the golden.
    async fn follow(&mut self, is: impl Fn(&[witness::Event]) -> bool) -> Option<String> {
        loop {
            let seen = self.witness.seen();
            // What one watch has yet to give may be missing: only all that happened proves that something else did.
            if self.golden.contradiction(&happenings(&seen)).is_some() {
                let all = happenings(&self.witness.log().await);
                let proven = self.golden.contradiction(&all);
                if proven.is_some() {
                    return proven;
                }
            }
            if is(&seen) {
                return None;
            }
            if tokio::time::timeout(QUIET, self.witness.next()).await.is_err() {
                let all = happenings(&self.witness.log().await);
                return self.golden.difference(&all).or_else(|| Some("nothing more happens".to_owned()));
            }
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
        // The former revision's pods go after the end is said.
        let all = self.golden.count();
        self.reach(|log| last(log) && happenings(log).len() >= all).await;
        let happened = happenings(&self.witness.log().await);
        if let Some(difference) = self.golden.difference(&happened) {
            panic!("{}\n{difference}", self.scenario.title);
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
