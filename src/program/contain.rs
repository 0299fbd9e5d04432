//! Takes everything from this process that a program of somebody else does not need, and becomes the program.
//!
//! The operator starts itself for this: limits that a process sets for itself need no `unsafe`, and hold for the program that
//! takes its place. What is refused to the program fails with "operation not permitted"; it is not told why.
//!
//! - Limits on memory, processor time, files; no core.
//! - No new rights, and the end of it all with the operator's.
//! - A filter of system calls (seccomp): no sockets, no other process, nobody else's memory, no signals to others, no changes of
//!   mounts or namespaces. Without it nothing is started.
//! - Landlock: of all files only the scratch directory and the program can be opened, none can be written. A kernel
//!   without Landlock leaves the other walls standing.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{self, Command},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use thiserror::Error;

/// The bytes of memory that can be written to, where nothing else is said.
pub const MEMORY_MAX: u64 = 256 << 20;
/// The bytes of addresses: programs of Go reserve far more than they use.
const ADDRESSES_MAX: u64 = 8 << 30;
/// The seconds of processor time.
pub const SECONDS_MAX: u64 = 20;
/// The open files.
const FILES_MAX: u64 = 256;

/// What is started, and what it may open.
#[derive(Debug, Clone)]
pub struct Contained {
    /// Directories and files that it may read.
    pub read: Vec<PathBuf>,
    /// Files that it may read and start.
    pub run: Vec<PathBuf>,
    /// The bytes of memory that it may write to.
    pub memory: u64,
    /// The program.
    pub program: PathBuf,
    /// What it is told.
    pub arguments: Vec<OsString>,
}

/// Why the program was not started.
#[derive(Debug, Error)]
pub enum ContainError {
    /// A limit could not be set.
    #[error("a limit cannot be set")]
    Limit(#[source] io::Error),
    /// The filter of system calls could not be made or set.
    #[error("system calls cannot be filtered, and without a filter nothing is started")]
    Filter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What may be opened could not be said.
    #[error("what may be opened cannot be limited")]
    Files(#[from] RulesetError),
    /// The program does not start.
    #[error("the program does not start (kustomize and helm have to be single files, as their projects release them)")]
    Start(#[source] io::Error),
}

/// Becomes the program, with the environment and the directory of this process.
///
/// # Errors
/// See [`ContainError`]. Where it went well, nothing comes back.
pub fn contain(contained: &Contained) -> Result<Infallible, ContainError> {
    limit(contained.memory)?;
    files(contained)?;
    filter()?;
    Err(ContainError::Start(Command::new(&contained.program).args(&contained.arguments).exec()))
}

fn limit(memory: u64) -> Result<(), ContainError> {
    let wrap = |error: rustix::io::Errno| ContainError::Limit(error.into());
    let limits = [
        (Resource::Data, memory),
        (Resource::As, ADDRESSES_MAX),
        (Resource::Cpu, SECONDS_MAX),
        (Resource::Nofile, FILES_MAX),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ];
    for (resource, most) in limits {
        // Nobody can raise what somebody else has set lower.
        let most = getrlimit(resource).maximum.map_or(most, |before| before.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }).map_err(wrap)?;
    }
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(wrap)?;
    rustix::thread::set_no_new_privs(true).map_err(wrap)
}

/// Everything that Landlock knows is refused, but for what is named. What this kernel does not know of it is left out.
fn files(contained: &Contained) -> Result<RulesetStatus, ContainError> {
    let abi = ABI::V6;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let run: BitFlags<AccessFs> = read | AccessFs::Execute;
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(&contained.read, read))?
        .add_rules(path_beneath_rules(&contained.run, run))?;
    Ok(rules.restrict_self()?.ruleset)
}

/// What no such program needs: ways out of its process.
const REFUSED: &[libc::c_long] = &[
    // The network and other processes' sockets. Without a first one, the rest has nothing to work on.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    // System calls past the filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Other processes.
    libc::SYS_clone3,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
    // The system.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_memfd_create,
    libc::SYS_fanotify_init,
];

/// More of it, which only this architecture has.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] = &[libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

/// The same system calls have another number each with this bit (x32).
#[cfg(target_arch = "x86_64")]
const TWIN: Option<libc::c_long> = Some(0x4000_0000);
#[cfg(not(target_arch = "x86_64"))]
const TWIN: Option<libc::c_long> = None;

fn filter() -> Result<(), ContainError> {
    let program = compile(process::id()).map_err(|error| ContainError::Filter(error.into()))?;
    seccompiler::apply_filter(&program).map_err(|error| ContainError::Filter(error.into()))
}

fn compile(own: u32) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().chain(REFUSED_HERE).map(|number| (*number, Vec::new())).collect();
    let is = |argument, operator, value| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value);
    // Threads, and no processes; signals to them, and to nobody else.
    let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![is(0, SeccompCmpOp::MaskedEq(thread), 0)?])?]);
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![is(0, SeccompCmpOp::Ne, u64::from(own))?])?]);
    if let Some(twin) = TWIN {
        let twins: Vec<_> = rules.keys().map(|number| (number | twin, Vec::new())).collect();
        rules.extend(twins);
    }
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?.try_into()
}
