//! Takes away what a parser of untrusted bytes does not need: memory, time, files, network.

use rustix::process::{Resource, Rlimit, nice, setrlimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Address space of the child: the largest of 720 hostile and usual files needed less.
pub(super) const MEMORY_BYTES_MAX: u64 = 768 * 1024 * 1024;
/// Processor time of the child.
pub(super) const CPU_SECONDS_MAX: u64 = 10;
/// How far the child stands back where others want the processor too: whoever waits for an answer comes first, and a child has
/// about a tenth of a processor that it shares with one other.
const NICENESS: i32 = 10;
/// Open files of the child: its three pipes and what the language runtime wants.
const FILES_MAX: u64 = 16;

/// How far the child is locked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Confinement {
    /// Memory, processor time, file size and open files are limited.
    pub limits: bool,
    /// The child and what it might start can gain no rights.
    pub no_new_privileges: bool,
    /// The kernel refuses every file and connection (Landlock).
    pub landlock: bool,
}

/// Locks the calling thread and all its later threads in, as far as the kernel can.
pub(super) fn confine() -> Confinement {
    // What cannot stand back reads as well.
    let _niceness = nice(NICENESS);
    Confinement {
        limits: limit().is_ok(),
        no_new_privileges: no_new_privileges(),
        landlock: landlock(),
    }
}

fn limit() -> rustix::io::Result<()> {
    // A higher second limit for time lets the first one end the process with its own signal.
    let limits = [
        (Resource::As, MEMORY_BYTES_MAX, MEMORY_BYTES_MAX),
        (Resource::Cpu, CPU_SECONDS_MAX, CPU_SECONDS_MAX + 1),
        (Resource::Fsize, 0, 0),
        (Resource::Nofile, FILES_MAX, FILES_MAX),
        (Resource::Core, 0, 0),
    ];
    for (resource, soft, hard) in limits {
        setrlimit(
            resource,
            Rlimit {
                current: Some(soft),
                maximum: Some(hard),
            },
        )?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn no_new_privileges() -> bool {
    rustix::thread::set_no_new_privs(true).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn no_new_privileges() -> bool {
    false
}

#[cfg(target_os = "linux")]
fn landlock() -> bool {
    use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V6))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(ABI::V6)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(ABI::V6)))
        .and_then(|ruleset| ruleset.create())
        .and_then(|ruleset| ruleset.restrict_self());
    ruleset.is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

#[cfg(not(target_os = "linux"))]
fn landlock() -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_locked_in_thread_opens_no_file_no_connection_and_starts_nothing() {
        // The rights go for the thread alone, so that the test can look from outside.
        let probe = std::thread::spawn(|| {
            let locked_in = super::landlock();
            let file = std::fs::read("/etc/passwd").is_err();
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).is_err();
            let program = std::process::Command::new("/bin/true").status().is_err();
            (locked_in, [file, listener, program])
        });
        let (locked_in, denied) = probe.join().unwrap();
        assert_eq!(denied, [locked_in; 3]);
        assert!(std::fs::read("/etc/passwd").is_ok());
    }
}
