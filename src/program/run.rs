//! Runs of a program: so many at a time, each with a deadline and a bound on what it prints.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    sync::Semaphore,
    task::spawn_blocking,
};
use tracing::debug;

use super::{
    contain::SECONDS_MAX,
    scratch::{Scratch, WORK},
};
use crate::rollout::words::hexadecimal;

/// How many run at the same time, of those that wait for each other.
const AT_ONCE: usize = 2;
/// How long one may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// The most bytes of its complaints.
const COMPLAINTS_MAX: u64 = 64 << 10;
/// The exit code of a program that was not started.
const NOT_STARTED: i32 = 125;
/// What the system's programs need to start beside themselves: the loader of libraries, by its path on each architecture.
const LOADERS: [&str; 3] =
    ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-linux-riscv64-lp64d.so.1"];
/// And where libraries are, and the list of them.
const LIBRARIES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/etc/ld.so.cache"];

/// What a program is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Make {
    /// A single file of Go, which needs no other.
    Go,
    /// A program of the system, which needs libraries.
    System,
}

/// A program of somebody else, and what it may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tool {
    /// The name of its file.
    pub file: &'static str,
    /// What has to be installed to have it.
    pub package: &'static str,
    /// What it is made of.
    pub make: Make,
    /// The bytes of memory that it may write to.
    pub memory: u64,
    /// The most bytes that it may print as its result.
    pub output: u64,
}

/// Why there is no result.
#[derive(Debug, Error)]
pub enum RunError {
    /// The operator does not have the program.
    #[error(
        "this operator has no {} in {directory}: use its image, or start it with --renderers and a directory that has it ({})", tool.file, tool.package
    )]
    Absent {
        /// The program.
        tool: Tool,
        /// Where it was looked for.
        directory: String,
    },
    /// Whoever calls a command does not have the program.
    #[error(
        "there is no {} {place}: install {}, or name a directory that has it with --renderers", tool.file, tool.package
    )]
    NotInstalled {
        /// The program.
        tool: Tool,
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
    #[error("it needs more than {} MiB of memory", .0 >> 20)]
    Memory(u64),
    /// It printed too much.
    #[error("it printed more than {} MiB", .0 >> 20)]
    Output(u64),
    /// It said what is wrong.
    #[error("it failed")]
    Failed {
        /// Its exit code; none where it was ended.
        code: Option<i32>,
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
    pub tool: Tool,
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

/// Where programs are found and run, so many of them at a time.
#[derive(Debug)]
pub struct Programs {
    own: PathBuf,
    home: Home,
    scratch: PathBuf,
    turns: Semaphore,
}

impl Programs {
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
        Self { own, home, scratch, turns: Semaphore::new(AT_ONCE) }
    }

    /// The digest of a program: another version is another program.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub async fn identity(&self, tool: Tool) -> Result<String, RunError> {
        let path = self.path(tool)?;
        let read = spawn_blocking(move || digest(&path));
        read.await.unwrap_or_else(|error| Err(error.into())).map_err(RunError::Storage)
    }

    /// Runs a program, when it is its turn. Whoever does not wait for it any more ends it.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn run(&self, order: Order) -> Result<String, RunError> {
        let Order { tool, files, arguments } = order;
        let path = self.path(tool)?;
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        let (began, root) = (Instant::now(), self.scratch.clone());
        let scratch = spawn_blocking(move || Scratch::new(&root, &files)).await;
        let scratch = scratch.unwrap_or_else(|error| Err(error.into())).map_err(RunError::Storage)?;
        let outcome = self.start(tool, (&path, arguments), &scratch).await;
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        debug!(program = tool.file, milliseconds, ended = outcome.is_ok(), "a program ran");
        // Thousands of files take a while to remove.
        let cleaned = scratch.path().to_string_lossy().into_owned();
        drop(spawn_blocking(move || drop(scratch)).await);
        outcome.map_err(|error| error.without(&cleaned))
    }

    /// The file of a program, without links: only the file itself can be opened when it runs.
    fn path(&self, tool: Tool) -> Result<PathBuf, RunError> {
        let within = |directory: &PathBuf| directory.join(tool.file).canonicalize();
        let absent = |place| RunError::NotInstalled { tool, place };
        match &self.home {
            Home::Operator(directory) => {
                within(directory).map_err(|_| RunError::Absent { tool, directory: directory.display().to_string() })
            }
            Home::Named(directory) => {
                within(directory).map_err(|_| absent(format!("in the directory {}", directory.display())))
            }
            Home::Path(directories) => {
                let mut found = directories.iter().filter_map(|directory| within(directory).ok());
                found.find(|path| is_program(path)).ok_or_else(|| absent("in the PATH".to_owned()))
            }
        }
    }

    async fn start(
        &self,
        tool: Tool,
        (path, arguments): (&Path, Vec<OsString>),
        scratch: &Scratch,
    ) -> Result<String, RunError> {
        let mut command = Command::new(&self.own);
        command.arg("contain").arg("--memory").arg(tool.memory.to_string()).arg("--read").arg(scratch.path());
        command.env_clear().env("HOME", scratch.path());
        tool.make.prepare(&mut command, tool.memory);
        let mut child = command
            .arg("--")
            .arg(path)
            .args(arguments)
            .current_dir(scratch.path().join(WORK))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(RunError::Storage)?;
        let (output, complaints) = (child.stdout.take(), child.stderr.take());
        let work = async {
            let (output, complaints) = tokio::join!(read(output, tool.output), listen(complaints, COMPLAINTS_MAX));
            Ok::<_, io::Error>((child.wait().await?, output?, complaints?))
        };
        match tokio::time::timeout(DEADLINE, work).await {
            Err(_) => Err(RunError::TimedOut),
            Ok(Err(error)) => Err(RunError::Storage(error)),
            Ok(Ok((status, output, complaints))) => judge(tool, status, output, &complaints),
        }
    }
}

impl Make {
    /// What a program of this make gets.
    fn prepare(self, command: &mut Command, memory: u64) {
        match self {
            // So that they tidy up before they meet the limit.
            Self::Go => {
                let goal = memory / 4 * 3;
                command.env("GOMAXPROCS", "1").env("GOMEMLIMIT", goal.to_string()).env("GOTRACEBACK", "none");
            }
            Self::System => {
                for path in LOADERS {
                    command.arg("--run").arg(path);
                }
                for path in LIBRARIES {
                    command.arg("--read").arg(path);
                }
            }
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
            Self::Failed { code, said } => {
                let said = said.replace(&format!("{scratch}/{WORK}/"), "").replace(&format!("{scratch}/"), "");
                Self::Failed { code, said }
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

fn judge(tool: Tool, status: ExitStatus, output: Option<Vec<u8>>, complaints: &[u8]) -> Result<String, RunError> {
    let said = String::from_utf8_lossy(complaints).into_owned();
    let is_out_of_memory =
        ["out of memory", "cannot allocate memory", "memory allocation of"].iter().any(|words| said.contains(words));
    match (status.success(), output) {
        (_, None) => Err(RunError::Output(tool.output)),
        (true, Some(output)) => Ok(String::from_utf8_lossy(&output).into_owned()),
        (false, _) if status.code() == Some(NOT_STARTED) => Err(RunError::NotContained(said.trim().to_owned())),
        (false, _) if is_out_of_memory => Err(RunError::Memory(tool.memory)),
        (false, _) if matches!(status.signal(), Some(libc::SIGXCPU | libc::SIGKILL)) => Err(RunError::Busy),
        (false, _) => Err(RunError::Failed { code: status.code(), said }),
    }
}
