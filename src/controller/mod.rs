//! The operator's process: connect, take the Lease, serve, and end in order.
//!
//! Ring 3, the driver of everything below. It holds no judgement of its own: when to lead is decided in
//! [`crate::cluster::lease::decide`], what a probe answers in [`crate::server::health`].

mod background;
pub mod config;
mod driver;
pub mod election;
mod events;
mod hooks;
mod memory;
mod operator;
mod packages;
mod pause;
mod profiles;
pub mod queue;
mod reconcile;
mod sources;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use kube::Client;

use thiserror::Error;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::{
    background::{Background, background},
    config::{Config, LocalRepositories},
    election::Reporter,
    events::Events,
    hooks::Reception,
    memory::Minds,
    operator::{Answers, Operator},
    queue::Queue,
    reconcile::others::Others,
    sources::{Repositories, Sources},
};
use crate::{
    cluster::{
        bring::Bringer,
        connect::{ConnectError, Connection, connect},
        lease::{decide::Loss, elector::Elector, rivals::Rivals},
        probe::{Prober, api_server, forbidden::Forbidden},
        releases::Releases,
        routers::Routers,
        store::Store,
        write::Writer,
    },
    git::{
        mirror::{Limits, Mirrors},
        verifier::Verifier,
    },
    program::{run::Programs, scratch},
    renderer::programs::Renderers,
    server::{
        health::Health,
        hooks::{self as webhooks, Desk},
        pace::Pace,
        probes::{Probes, router},
        serve,
        signals::cancelled_by_signals,
    },
    telemetry::{chain, metrics::Metrics, version},
};

/// Why the operator ended by itself.
#[derive(Debug, Error)]
pub enum RunError {
    /// The operating system gives no threads or no signal handlers.
    #[error("the process could not be set up")]
    Setup(#[source] io::Error),
    /// There is no usable cluster configuration.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The address is taken, not allowed, or not one of this machine.
    #[error("cannot listen on {address}; choose another address with --listen")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The HTTP server ended although nobody asked it to.
    #[error("the HTTP server ended")]
    Serve(#[source] Option<io::Error>),
    /// What watches the cluster ended although nobody asked it to.
    #[error("the work ended")]
    Work,
    /// Another replica leads, or may lead.
    #[error("the Lease is lost: {0}; the process ends so that no two replicas act, and its restart stands by")]
    LeaseLost(Loss),
}

impl RunError {
    /// The exit code of a process that led and lost the Lease; every other failure is 1.
    pub const LEASE_LOST: u8 = 3;

    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::LeaseLost(_) => Self::LEASE_LOST,
            _ => 1,
        }
    }
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// See [`RunError`]. An API server that does not answer is none: the process waits, alive and not ready.
pub fn run(config: &Config) -> Result<(), RunError> {
    // One thread: looks take fractions of a millisecond, and waking a second one costs as much as it brings.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Setup)?;
    let outcome = runtime.block_on(operate(config));
    // Whoever lost the Lease must be gone in a moment, whatever still runs.
    runtime.shutdown_background();
    outcome
}

async fn operate(config: &Config) -> Result<(), RunError> {
    let stop = cancelled_by_signals().map_err(RunError::Setup)?;
    let connection = connect().await?;
    let listener = listen(config.listen).await?;
    let parts = Parts {
        client: connection.client.clone(),
        watcher: connection.watcher.clone(),
        server: connection.server.clone(),
        lease: format!("{}/{}", config.namespace(connection.namespace.clone()), config.lease_name),
    };
    let mut elector = elector(config, connection);

    let (health, probed) = watch::channel(Health::new(config.lease.duration, Instant::now()));
    let metrics = Arc::new(Metrics::new());
    let drain = CancellationToken::new();
    let store = Store::default();
    let reception = Reception::default();
    let desk = Desk::new(reception.clone(), probed.clone(), operator::now);
    let routes = router(Probes { health: probed, metrics: Arc::clone(&metrics), store: store.clone() });
    let routes = routes.merge(webhooks::router(desk));
    let mut server = tokio::spawn(serve(listener, routes, drain.clone()));

    let (background, workplace) = background();
    let operator = operator(config, parts, (store, Arc::clone(&metrics)), background);
    let work = driver::drive(operator, (workplace, reception), health.subscribe());
    let mut reporter = Reporter::new(health, metrics);
    tokio::select! {
        () = work, if !stop.is_cancelled() => return Err(RunError::Work),
        ended = &mut server => return Err(RunError::Serve(ended.ok().and_then(Result::err))),
        outcome = election::take_part(&mut elector, config.lease, &mut reporter, &stop) => {
            outcome.map_err(RunError::LeaseLost)?;
        }
    }
    drain.cancel();
    wind_down(config, &mut elector, &mut reporter, server).await;
    Ok(())
}

/// The statuses that are on their way at the same time. More are no sooner there where the API server has all its processors
/// busy, and whoever commits or applies meanwhile waits behind all of them; fewer leave it idle. Measured: `benches/RESULTS.md`.
const STATUSES_AT_ONCE: usize = 8;

/// The statuses a second that differ from the ones before in words only, of all Deployments together.
const WORDS_PER_SECOND: u32 = 3;

/// The statuses a second that tell of a step with nothing to do, of all Deployments together.
const STEPS_PER_SECOND: u32 = 10;

/// How often a second pods are asked what they wait for, for all Deployments together.
const QUESTIONS_PER_SECOND: u32 = 2;

/// What the work gets of the connection.
struct Parts {
    client: Client,
    watcher: Client,
    server: String,
    /// The Lease, as `namespace/name`.
    lease: String,
}

/// What an operator works with, from the first moment that it leads. An API server that does not answer is waited for: a
/// prober that does not know its addresses would ask it.
async fn operator(
    config: &Config,
    parts: Parts,
    (store, metrics): (Store, Arc<Metrics>),
    background: Background,
) -> Operator {
    let Parts { client, watcher, server, lease } = parts;
    let mut pauses = election::delays(config.lease);
    let api_server = loop {
        match api_server::addresses(&client, &server).await {
            Ok(addresses) => break addresses,
            Err(error) => debug!(error = chain(&error), "the addresses of the API server are not known yet"),
        }
        tokio::time::sleep(pauses.next().unwrap_or(config.lease.look_every)).await;
    };
    let writer = Writer::new(client.clone());
    let profiles = Queue::default();
    let forbidden = match config.local_repositories {
        LocalRepositories::Refused => Forbidden::strict(api_server.clone()),
        LocalRepositories::Allowed => Forbidden::only(api_server.clone()),
    };
    let mirrors = Arc::new(Mirrors::new(config.mirrors.clone(), Limits::default(), forbidden.clone()));
    let repositories = Repositories::new(mirrors, background.clone(), profiles.clone());
    let (renderers, verifier) = programs(config);
    Operator {
        bringer: Bringer::new(writer.clone()),
        sources: Sources::new(repositories),
        contents: packages::repository::Contents::default(),
        renderers,
        verifier,
        capabilities: Arc::default(),
        forbidden,
        background,
        writer,
        watcher,
        scopes: config.watch_namespaces.clone(),
        store,
        releases: Releases::default(),
        routers: Routers::default(),
        prober: Prober::new(Forbidden::strict(api_server)),
        events: Events::start(client.clone(), &config.identity),
        metrics,
        actors: config.actors,
        rollouts: Queue::default(),
        packages: Queue::default(),
        profiles,
        minds: Minds::default(),
        measured: Answers::default(),
        seen: AtomicBool::new(false),
        accounts: Mutex::default(),
        others: Others::new(Rivals::new(client, &lease, config.lease)),
        writing: Semaphore::new(STATUSES_AT_ONCE),
        words: Pace::per_second(WORDS_PER_SECOND),
        steps: Pace::per_second(STEPS_PER_SECOND),
        questions: Pace::per_second(QUESTIONS_PER_SECOND),
    }
}

/// The programs that make manifests, and the one that verifies signatures: neither waits for the other. What runs of a process before
/// this one have left is removed.
fn programs(config: &Config) -> (Renderers, Verifier) {
    if let Err(error) = scratch::clear(&config.scratch) {
        warn!(error = chain(&error), "what a former process left of its renderers cannot be removed");
    }
    // Where it cannot be told, programs are said to be impossible when one is wanted.
    let own = std::env::current_exe().unwrap_or_default();
    let programs = || Programs::new(own.clone(), config.renderers.clone(), config.scratch.clone());
    (Renderers::new(programs()), Verifier::new(programs()))
}

/// The listener comes before the first call to the cluster, so that probes are answered from the start.
async fn listen(address: SocketAddr) -> Result<TcpListener, RunError> {
    let wrap = |source| RunError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(wrap)?;
    info!(address = %listener.local_addr().map_err(wrap)?, "listening");
    Ok(listener)
}

fn elector(config: &Config, connection: Connection) -> Elector {
    let Connection { client, watcher: _, namespace, server } = connection;
    let namespace = config.namespace(namespace);
    info!(
        version = version(),
        server,
        lease = format!("{namespace}/{}", config.lease_name),
        identity = config.identity,
        "operator starts"
    );
    Elector::new(client, &namespace, &config.lease_name, &config.identity, config.lease)
        .watching(&config.watch_namespaces)
}

async fn wind_down(
    config: &Config,
    elector: &mut Elector,
    reporter: &mut Reporter,
    server: JoinHandle<io::Result<()>>,
) {
    info!("stopping");
    let work = async { tokio::join!(election::give_back(elector, reporter), server) };
    if tokio::time::timeout(config.shutdown_grace, work).await.is_err() {
        warn!(grace_seconds = config.shutdown_grace.as_secs_f64(), "the grace ended before all was closed");
    }
    info!("stopped");
}
