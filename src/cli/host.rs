//! The name of the machine, which in a pod is the pod's name.

use std::fs;

/// The host's name, from `HOSTNAME` or from the kernel; none where neither says.
pub fn host_name() -> Option<String> {
    let kernel = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let tidy = |name: String| Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    std::env::var("HOSTNAME").ok().and_then(tidy).or_else(|| kernel().and_then(tidy))
}
