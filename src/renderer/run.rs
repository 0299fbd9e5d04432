//! Runs of a program: so many at a time, each with a deadline and a bound on what it prints.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    sync::{Mutex, Semaphore},
    task::spawn_blocking,
};
use tracing::debug;

use super::{
    contain::{MEMORY_MAX, SECONDS_MAX},
    scratch::{REPOSITORY, Scratch},
};
use crate::{gitops::renderer::Program, rollout::words::hexadecimal};

/// How many run at the same time.
const AT_ONCE: usize = 2;
/// How long one may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// The most bytes that one may print as its result.
const OUTPUT_MAX: u64 = 32 << 20;
/// The most bytes of its complaints.
const COMPLAINTS_MAX: u64 = 64 << 10;
/// The exit code of a program that was not started.
const NOT_STARTED: i32 = 125;
/// What programs of Go keep to by themselves, so that they tidy up before they meet the limit.
const MEMORY_GOAL: u64 = MEMORY_MAX / 4 * 3;

/// Why there is no result.
#[derive(Debug, Error)]
pub enum RunError {
    /// The operator does not have the program.
    #[error(
        "this operator has no {program} in {directory}: use its image, or start it with --renderers and a directory that has it"
    )]
    Absent {
        /// The program.
        program: &'static str,
        /// Where it was looked for.
        directory: String,
    },
    /// Whoever calls a command does not have the program.
    #[error(
        "there is no {program} {place}: install {program} {major}, or name a directory that has it with --renderers"
    )]
    NotInstalled {
        /// The program.
        program: &'static str,
        /// Its version.
        major: u64,
        /// Where it was looked for.
        place: String,
    },
    /// The program could not be contained, so it was not started.
    #[error("it was not started, because it could not be contained: {0}")]
    NotContained(String),
    /// It took too long.
    #[error("it did not end within {} s, and was ended", DEADLINE.as_secs())]
    TimedOut,
    /// It took too much processor time.
    #[error("it took more than {SECONDS_MAX} s of processor time, and was ended")]
    Busy,
    /// It took too much memory.
    #[error("it needs more than {} MiB of memory", MEMORY_MAX >> 20)]
    Memory,
    /// It printed too much.
    #[error("it made more than {} MiB of manifests", OUTPUT_MAX >> 20)]
    Output,
    /// It said what is wrong.
    #[error("it failed")]
    Failed {
        /// What it said, without paths of this machine.
        said: String,
    },
    /// The scratch directory could not be written, or the program not be read or started.
    #[error("the operator could not run it")]
    Storage(#[source] io::Error),
}

/// What is run. It is not shown by `Debug`: files may have secrets.
pub struct Order {
    /// The program.
    pub program: Program,
    /// The files that it gets, by their paths in the scratch directory.
    pub files: Vec<(String, Vec<u8>)>,
    /// What it is told. Paths are those of the files.
    pub arguments: Vec<OsString>,
}

/// Where programs are.
#[derive(Debug)]
enum Home {
    /// In a directory of the operator.
    Operator(PathBuf),
    /// In a directory that somebody named.
    Named(PathBuf),
    /// In one of the directories of a PATH.
    Path(Vec<PathBuf>),
}

/// The programs of an operator, or of somebody who calls a command.
#[derive(Debug)]
pub struct Renderers {
    own: PathBuf,
    home: Home,
    scratch: PathBuf,
    turns: Arc<Semaphore>,
    known: Mutex<HashMap<Program, String>>,
}

impl Renderers {
    /// The programs of an operator, in a directory. `own` is this program, and `scratch` where directories for runs are made.
    pub fn new(own: PathBuf, directory: PathBuf, scratch: PathBuf) -> Self {
        Self::at(own, Home::Operator(directory), scratch)
    }

    /// The programs in a directory that somebody named.
    pub fn named(own: PathBuf, directory: PathBuf, scratch: PathBuf) -> Self {
        Self::at(own, Home::Named(directory), scratch)
    }

    /// The programs in a PATH. Directories in it that are relative are left out: what is in them is a matter of where one stands.
    pub fn in_path(own: PathBuf, path: &OsStr, scratch: PathBuf) -> Self {
        let directories = std::env::split_paths(path).filter(|directory| directory.is_absolute()).collect();
        Self::at(own, Home::Path(directories), scratch)
    }

    fn at(own: PathBuf, home: Home, scratch: PathBuf) -> Self {
        Self { own, home, scratch, turns: Arc::new(Semaphore::new(AT_ONCE)), known: Mutex::default() }
    }

    /// The programs that were asked for so far.
    pub async fn used(&self) -> Vec<Program> {
        self.known.lock().await.keys().copied().collect()
    }

    /// What a program says of its version.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn version(&self, program: Program) -> Result<String, RunError> {
        let arguments = program.question().iter().map(OsString::from).collect();
        self.run(Order { program, files: Vec::new(), arguments }).await
    }

    /// The digest of a program: another version is another program.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub async fn identity(&self, program: Program) -> Result<String, RunError> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.get(&program) {
            return Ok(known.clone());
        }
        let path = self.path(program)?;
        let read = spawn_blocking(move || digest(&path));
        let identity = read.await.unwrap_or_else(|error| Err(error.into())).map_err(RunError::Storage)?;
        known.insert(program, identity.clone());
        Ok(identity)
    }

    /// Runs a program, when it is its turn. Whoever does not wait for it any more ends it.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn run(&self, order: Order) -> Result<String, RunError> {
        let Order { program, files, arguments } = order;
        let path = self.path(program)?;
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        let (began, root) = (Instant::now(), self.scratch.clone());
        let scratch = spawn_blocking(move || Scratch::new(&root, &files)).await;
        let scratch = scratch.unwrap_or_else(|error| Err(error.into())).map_err(RunError::Storage)?;
        let outcome = self.start((&path, arguments), &scratch).await;
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        debug!(program = program.file(), milliseconds, ended = outcome.is_ok(), "a renderer ran");
        // Thousands of files take a while to remove.
        let cleaned = scratch.path().to_string_lossy().into_owned();
        drop(spawn_blocking(move || drop(scratch)).await);
        outcome.map_err(|error| error.without(&cleaned))
    }

    /// The file of a program, without links: only the file itself can be opened when it runs.
    fn path(&self, program: Program) -> Result<PathBuf, RunError> {
        let (name, major) = (program.file(), program.major());
        let within = |directory: &PathBuf| directory.join(name).canonicalize();
        let absent = |place| RunError::NotInstalled { program: name, major, place };
        match &self.home {
            Home::Operator(directory) => within(directory)
                .map_err(|_| RunError::Absent { program: name, directory: directory.display().to_string() }),
            Home::Named(directory) => {
                within(directory).map_err(|_| absent(format!("in the directory {}", directory.display())))
            }
            Home::Path(directories) => {
                let mut found = directories.iter().filter_map(|directory| within(directory).ok());
                found.find(|path| is_program(path)).ok_or_else(|| absent("in the PATH".to_owned()))
            }
        }
    }

    async fn start(&self, (path, arguments): (&Path, Vec<OsString>), scratch: &Scratch) -> Result<String, RunError> {
        let mut child = Command::new(&self.own)
            .args(["contain", "--read"])
            .arg(scratch.path())
            .arg("--")
            .arg(path)
            .args(arguments)
            .current_dir(scratch.path().join(REPOSITORY))
            .env_clear()
            .env("HOME", scratch.path())
            .env("GOMAXPROCS", "1")
            .env("GOMEMLIMIT", MEMORY_GOAL.to_string())
            .env("GOTRACEBACK", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(RunError::Storage)?;
        let (output, complaints) = (child.stdout.take(), child.stderr.take());
        let work = async {
            let (output, complaints) = tokio::join!(read(output, OUTPUT_MAX), listen(complaints, COMPLAINTS_MAX));
            Ok::<_, io::Error>((child.wait().await?, output?, complaints?))
        };
        match tokio::time::timeout(DEADLINE, work).await {
            Err(_) => Err(RunError::TimedOut),
            Ok(Err(error)) => Err(RunError::Storage(error)),
            Ok(Ok((status, output, complaints))) => judge(status, output, &complaints),
        }
    }
}

impl RunError {
    /// The error with its cause.
    pub fn words(&self) -> String {
        match self {
            Self::Storage(cause) => format!("{self}: {cause}"),
            other => other.to_string(),
        }
    }

    /// Without the path of the scratch directory: it means nothing to anybody.
    fn without(self, scratch: &str) -> Self {
        match self {
            Self::Failed { said } => {
                let said = said.replace(&format!("{scratch}/{REPOSITORY}/"), "").replace(&format!("{scratch}/"), "");
                Self::Failed { said }
            }
            other => other,
        }
    }
}

/// Whether a file can be started.
fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The beginning of what was complained of. The rest is listened to as well: it may be a warning of a program that goes on.
async fn listen(stream: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<Vec<u8>> {
    let mut beginning = Vec::new();
    let Some(mut stream) = stream else { return Ok(beginning) };
    (&mut stream).take(most).read_to_end(&mut beginning).await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(beginning)
}

/// The digest of a file.
fn digest(path: &Path) -> io::Result<String> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut digest = Sha256::new();
    loop {
        let piece = file.fill_buf()?;
        if piece.is_empty() {
            return Ok(hexadecimal(&digest.finalize(), 32));
        }
        digest.update(piece);
        let length = piece.len();
        file.consume(length);
    }
}

/// What was printed, as far as it may be long; none of it where it is longer. A program that is not listened to any more ends.
async fn read(stream: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut all = Vec::new();
    let Some(stream) = stream else { return Ok(Some(all)) };
    let mut stream = stream.take(most + 1);
    stream.read_to_end(&mut all).await?;
    Ok((all.len() as u64 <= most).then_some(all))
}

fn judge(status: ExitStatus, output: Option<Vec<u8>>, complaints: &[u8]) -> Result<String, RunError> {
    let said = String::from_utf8_lossy(complaints).into_owned();
    let is_out_of_memory = ["out of memory", "cannot allocate memory"].iter().any(|words| said.contains(words));
    match (status.success(), output) {
        (_, None) => Err(RunError::Output),
        (true, Some(output)) => Ok(String::from_utf8_lossy(&output).into_owned()),
        (false, _) if status.code() == Some(NOT_STARTED) => Err(RunError::NotContained(said.trim().to_owned())),
        (false, _) if is_out_of_memory => Err(RunError::Memory),
        (false, _) if matches!(status.signal(), Some(libc::SIGXCPU | libc::SIGKILL)) => Err(RunError::Busy),
        (false, _) => Err(RunError::Failed { said }),
    }
}
