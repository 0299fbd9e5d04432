//! `landfall get`: the custom resources of a namespace as a table, or as they are.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, ValueEnum};
use k8s_openapi::jiff::Timestamp;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};

use super::{
    access::{self, ClusterArgs, Session},
    objects::{self, Everywhere, Kind, age},
    sync::report,
    table::table,
    terminal::{clean_block, lines, note, print},
};
use crate::api::{
    condition::ConditionType,
    deployment::Deployment,
    deployment_status::{DeploymentStatus, RevisionRef},
    package::Package,
    profile::Profile,
};

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct GetArgs {
    /// What to show
    #[arg(value_enum, default_value = "deployments")]
    kind: Kind,

    /// The name of one object [default: all]
    name: Option<String>,

    /// All namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,

    /// The form of the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,

    /// Which cluster.
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A table
    Table,
    /// A table with more columns
    Wide,
    /// The objects as JSON
    Json,
    /// The objects as YAML
    Yaml,
    /// The names alone
    Name,
}

/// Prints what was asked for.
///
/// # Errors
/// The cluster cannot be asked, or has no such object.
pub fn run(args: &GetArgs) -> anyhow::Result<ExitCode> {
    access::run(async {
        let session = args.cluster.open().await?;
        let objects = found(args, &session).await?;
        if objects.is_empty() && matches!(args.output, Form::Table | Form::Wide) {
            note(&nothing(args, &session));
        } else {
            print(&show(args, &objects, Timestamp::now())?)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn found(args: &GetArgs, session: &Session) -> anyhow::Result<Vec<DynamicObject>> {
    match (&args.name, args.everywhere()) {
        (Some(_), Everywhere::Yes) => {
            bail!("a name belongs to one namespace: use --namespace instead of --all-namespaces")
        }
        (Some(name), Everywhere::No) => Ok(vec![objects::one(session, args.kind, name).await?]),
        (None, everywhere) => objects::all(session, args.kind, everywhere).await,
    }
}

fn nothing(args: &GetArgs, session: &Session) -> String {
    let plural = args.kind.resource().plural;
    match args.everywhere() {
        Everywhere::Yes => format!("there are no {plural} of Landfall"),
        Everywhere::No => format!("there are no {plural} of Landfall in namespace {}", session.namespace),
    }
}

impl GetArgs {
    fn everywhere(&self) -> Everywhere {
        if self.all_namespaces { Everywhere::Yes } else { Everywhere::No }
    }
}

fn show(args: &GetArgs, objects: &[DynamicObject], now: Timestamp) -> anyhow::Result<String> {
    Ok(match args.output {
        Form::Table | Form::Wide => tabulate(args, objects, now),
        Form::Json => format!("{}\n", clean_block(&serde_json::to_string_pretty(&document(args, objects))?)),
        Form::Yaml => {
            let yaml = serde_saphyr::to_string(&document(args, objects))?;
            format!("{}\n", clean_block(yaml.trim_end()))
        }
        Form::Name => lines(objects.iter().map(|object| qualified(args.kind, object))),
    })
}

/// One object, or a List of them, as kubectl writes it.
fn document(args: &GetArgs, objects: &[DynamicObject]) -> Value {
    let mut items: Vec<_> = objects.iter().map(objects::whole).collect();
    match (&args.name, items.pop()) {
        (Some(_), Some(only)) => only,
        (_, last) => {
            items.extend(last);
            json!({"apiVersion": "v1", "kind": "List", "items": items})
        }
    }
}

fn qualified(kind: Kind, object: &DynamicObject) -> String {
    let resource = kind.resource();
    let singular = resource.kind.to_lowercase();
    format!("{singular}.{}/{}", resource.group, object.name_any())
}

fn tabulate(args: &GetArgs, objects: &[DynamicObject], now: Timestamp) -> String {
    let columns = columns(args.kind, args.output);
    let mut header: Vec<_> = columns.iter().map(|column| column.title).collect();
    if args.all_namespaces {
        header.insert(0, "NAMESPACE");
    }
    let rows = objects.iter().map(|object| {
        let seen = Seen::of(args.kind, object, now);
        let mut row: Vec<_> = columns.iter().map(|column| (column.value)(&seen)).collect();
        if args.all_namespaces {
            row.insert(0, object.namespace().unwrap_or_default());
        }
        row
    });
    table(&header, rows)
}

/// An object with what could be read of it.
struct Seen<'a> {
    object: &'a DynamicObject,
    deployment: Option<Deployment>,
    package: Option<Package>,
    profile: Option<Profile>,
    age: String,
}

impl<'a> Seen<'a> {
    fn of(kind: Kind, object: &'a DynamicObject, now: Timestamp) -> Self {
        let mut seen = Self { object, deployment: None, package: None, profile: None, age: age(object, now) };
        match kind {
            Kind::Deployments => seen.deployment = objects::read(object),
            Kind::Packages => seen.package = objects::read(object),
            Kind::Profiles => seen.profile = objects::read(object),
        }
        seen
    }

    /// Something of a Deployment's status, empty where there is none.
    fn status(&self, value: impl FnOnce(&DeploymentStatus) -> Option<String>) -> String {
        let status = self.deployment.as_ref().and_then(|deployment| deployment.status.as_ref());
        status.and_then(value).unwrap_or_default()
    }

    fn package(&self, value: impl FnOnce(&Package) -> Option<String>) -> String {
        self.package.as_ref().and_then(value).unwrap_or_default()
    }

    fn profile(&self, value: impl FnOnce(&Profile) -> Option<String>) -> String {
        self.profile.as_ref().and_then(value).unwrap_or_default()
    }
}

struct Column {
    title: &'static str,
    value: fn(&Seen<'_>) -> String,
}

const fn column(title: &'static str, value: fn(&Seen<'_>) -> String) -> Column {
    Column { title, value }
}

const NAME: Column = column("NAME", |seen| seen.object.name_any());
const AGE: Column = column("AGE", |seen| seen.age.clone());

fn columns(kind: Kind, form: Form) -> Vec<Column> {
    let wide = form == Form::Wide;
    match kind {
        Kind::Deployments => deployment_columns(wide.then(more_of_deployments)),
        Kind::Packages => package_columns(
            wide.then_some(column("DESCRIPTION", |seen| seen.package(|package| package.spec.description.clone()))),
        ),
        Kind::Profiles => profile_columns(),
    }
}

fn deployment_columns(more: Option<[Column; 4]>) -> Vec<Column> {
    let mut columns = vec![
        NAME,
        column("PHASE", |seen| seen.status(|status| Some(status.phase?.to_string()))),
        column("PROGRESS", |seen| seen.status(|status| Some(format!("{}%", status.progress.as_ref()?.percentage)))),
        column("STEP", |seen| seen.status(step)),
        column("WEIGHT", |seen| seen.status(|status| Some(format!("{}%", status.traffic.as_ref()?.candidate)))),
        column("HEALTH", |seen| seen.status(|status| Some(status.health?.to_string()))),
        column("VERSION", |seen| seen.status(|status| Some(versions(status)))),
        AGE,
    ];
    columns.extend(more.into_iter().flatten());
    columns.push(column("WAITING FOR", |seen| seen.status(|status| status.waiting_for.clone())));
    columns
}

fn more_of_deployments() -> [Column; 4] {
    [
        column("PROFILE", |seen| seen.deployment.as_ref().map(|all| all.spec.profile.clone()).unwrap_or_default()),
        column("PACKAGE", |seen| seen.deployment.as_ref().map(|all| all.spec.package.name.clone()).unwrap_or_default()),
        column("READY", |seen| {
            seen.status(|status| status.instances.as_ref().map(|count| format!("{}/{}", count.ready, count.desired)))
        }),
        column("RUN", |seen| seen.status(|status| Some(status.run.as_ref()?.id.clone()))),
    ]
}

fn package_columns(more: Option<Column>) -> Vec<Column> {
    let mut columns = vec![
        NAME,
        column("PACKAGE", |seen| seen.package(|package| Some(package.spec.name.clone()))),
        column("VERSION", |seen| seen.package(|package| Some(package.spec.version.to_string()))),
        column("STATE", |seen| seen.package(|package| Some(format!("{:?}", package.spec.state.unwrap_or_default())))),
        column("PHASE", |seen| seen.package(|package| Some(package.status.as_ref()?.phase?.to_string()))),
        column("OBJECTS", |seen| seen.package(|package| Some(package.status.as_ref()?.objects?.to_string()))),
        AGE,
    ];
    columns.extend(more);
    columns
}

fn profile_columns() -> Vec<Column> {
    let counts = column("DEPLOYMENTS", |seen| {
        seen.profile(|profile| Some(profile.status.as_ref()?.deployments.as_ref()?.total.to_string()))
    });
    vec![
        NAME,
        column("ENVIRONMENT", |seen| seen.profile(|profile| Some(profile.spec.environment.clone()))),
        column("TIER", |seen| seen.profile(|profile| profile.spec.tier.clone())),
        column("PHASE", |seen| seen.profile(|profile| Some(profile.status.as_ref()?.phase?.to_string()))),
        column("SYNCED", |seen| seen.profile(synced)),
        column("COMMIT", |seen| {
            seen.profile(|profile| report::applied(profile).map(|commit| report::short(&commit.id)))
        }),
        counts,
        AGE,
    ]
}

/// Whether what its repository says is in force.
fn synced(profile: &Profile) -> Option<String> {
    let conditions = &profile.status.as_ref()?.conditions;
    let synced = conditions.iter().find(|condition| condition.type_ == ConditionType::Synced);
    synced.map(|condition| condition.status.to_string())
}

fn step(status: &DeploymentStatus) -> Option<String> {
    let (step, progress) = (status.current_step.as_ref()?, status.progress.as_ref());
    let total = progress.map(|progress| format!("/{}", progress.total_steps)).unwrap_or_default();
    Some(format!("{}{total} {}", step.number, step.action))
}

/// What runs, and what is to come where that is something else.
pub fn versions(status: &DeploymentStatus) -> String {
    let revision = status.revision.clone().unwrap_or_default();
    let shown = |side: &Option<RevisionRef>| side.as_ref().map(|one| one.version.clone());
    match (shown(&revision.stable), shown(&revision.candidate)) {
        (Some(stable), Some(candidate)) if stable != candidate => format!("{stable} → {candidate}"),
        (Some(stable), _) => stable,
        (None, Some(candidate)) => format!("→ {candidate}"),
        (None, None) => String::new(),
    }
}
