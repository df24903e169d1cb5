//! `-m bpf --object-pinned`, which needs a real root: a user namespace may load no program.

use std::{ffi::CStr, fs, io, ptr, thread};

use super::Installed;
use crate::support::{call, dockgate, skip};

/// `r0 = 1; exit`, in eBPF: every packet matches.
const PROGRAM: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];
const FOLDER: &CStr = c"/sys/fs/bpf";
const PATH: &CStr = c"/sys/fs/bpf/dockgate-pinned";
const RULE: &str = "DOCKER-USER -m bpf --object-pinned /sys/fs/bpf/dockgate-pinned -j DROP";

/// `BPF_PROG_LOAD`, `BPF_OBJ_PIN`, each with the beginning of `union bpf_attr` as it is for them.
fn bpf(command: libc::c_int, attributes: [u64; 6]) -> io::Result<libc::c_long> {
    // SAFETY: the attributes are as many bytes as said, and what they point to lives in `pin`.
    let code = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(&attributes)) };
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) }
}

/// Loads the program and pins it at `PATH`.
fn pin() {
    // type (a socket filter) and number of instructions, instructions, licence, log.
    let load = [1 | (PROGRAM.len() as u64) << 32, PROGRAM.as_ptr() as u64, c"GPL".as_ptr() as u64, 0, 0, 0];
    let program = bpf(5, load).unwrap();
    bpf(6, [PATH.as_ptr() as u64, program as u64, 0, 0, 0, 0]).unwrap();
}

/// New network and mount namespaces for this thread and what it starts, with a bpf file system.
fn enter() -> io::Result<()> {
    let done = |code| if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    let mount = |kind: &CStr, at: &CStr, flags| {
        // SAFETY: strings that end, and no data.
        done(unsafe { libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), flags, ptr::null()) })
    };
    // SAFETY: changes this thread only.
    done(unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) })?;
    mount(c"none", c"/", libc::MS_REC | libc::MS_PRIVATE)?;
    mount(c"bpf", FOLDER, 0)
}

#[test]
fn a_pinned_program_is_found_by_both() {
    const NAME: &str = "iptables::pinned::a_pinned_program_is_found_by_both";
    if Installed::find(NAME).is_none() {
        return;
    }
    // SAFETY: asks, and cannot fail.
    if unsafe { libc::geteuid() } != 0 || !fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295") {
        return skip(NAME, "root", "only root loads programs into the kernel");
    }
    // iptables compares the number that its descriptor has: programs must not inherit others, which whoever
    // started the tests may have left open.
    // SAFETY: a flag of descriptors, which all of ours have.
    assert_eq!(unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) }, 0);
    thread::spawn(|| {
        enter().unwrap();
        pin();
        for (ours, theirs) in [("dockgate", "iptables"), ("iptables", "dockgate")].map(|(a, b)| (program(a), program(b))) {
            call("iptables", "-N DOCKER-USER", "");
            ours(&format!("-A {RULE}"));
            assert_eq!(theirs("-S DOCKER-USER"), format!("-N DOCKER-USER\n-A {RULE}\n"));
            theirs(&format!("-C {RULE}"));
            theirs(&format!("-D {RULE}"));
            assert_eq!(ours("-S DOCKER-USER"), "-N DOCKER-USER\n");
        }
        fs::remove_file(PATH.to_str().unwrap()).unwrap();
        let refused = dockgate(&format!("iptables -A {RULE}"), "");
        assert!(refused.err.contains("there is no `/sys/fs/bpf/dockgate-pinned`"), "{}", refused.err);
    })
    .join()
    .unwrap();
}

/// What runs a line of iptables' and gives what it printed.
fn program(name: &'static str) -> impl Fn(&str) -> String {
    move |line| match name {
        "dockgate" => dockgate(&format!("iptables {line}"), "").ok(),
        _ => call(name, line, "").ok(),
    }
}
