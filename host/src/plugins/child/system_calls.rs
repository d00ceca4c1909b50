//! The system calls a plugin's process may not make: what neither a path nor a port can express.
//! Installed once by `confine`, before the library is loaded; a child of a child would inherit it,
//! but there can be none.
//!
//! Everything else is allowed: a list of what is allowed would break plugins with every new libc.
#![allow(unsafe_code)]

use std::io;

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW,
    SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, sock_filter, sock_fprog,
};

/// Where the kernel puts what a filter looks at.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

#[cfg(target_arch = "x86_64")]
const OURS: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const OURS: u32 = 0xC000_00B7;

/// Refused whatever the arguments, with what the caller is told.
const NEVER: &[(libc::c_long, i32)] = &[
    // Other programs.
    (libc::SYS_execve, libc::EPERM),
    (libc::SYS_execveat, libc::EPERM),
    // Other processes: libc falls back from clone3 to clone, whose flags can be looked at.
    (libc::SYS_clone3, libc::ENOSYS),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_fork, libc::EPERM),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_vfork, libc::EPERM),
    // Into other processes.
    (libc::SYS_ptrace, libc::EPERM),
    (libc::SYS_process_vm_readv, libc::EPERM),
    (libc::SYS_process_vm_writev, libc::EPERM),
    (libc::SYS_pidfd_open, libc::EPERM),
    (libc::SYS_pidfd_getfd, libc::EPERM),
    (libc::SYS_pidfd_send_signal, libc::EPERM),
    (libc::SYS_tkill, libc::EPERM),
    (libc::SYS_rt_sigqueueinfo, libc::EPERM),
    (libc::SYS_rt_tgsigqueueinfo, libc::EPERM),
    // Other limits than ours, other rooms, other rules.
    (libc::SYS_unshare, libc::EPERM),
    (libc::SYS_setns, libc::EPERM),
    (libc::SYS_bpf, libc::EPERM),
    (libc::SYS_perf_event_open, libc::EPERM),
    (libc::SYS_userfaultfd, libc::EPERM),
    (libc::SYS_add_key, libc::EPERM),
    (libc::SYS_request_key, libc::EPERM),
    (libc::SYS_keyctl, libc::EPERM),
    // Would make calls that no filter sees.
    (libc::SYS_io_uring_setup, libc::ENOSYS),
    // Memory that outlives the process or is no process's own.
    (libc::SYS_memfd_create, libc::EPERM),
    (libc::SYS_shmget, libc::EPERM),
    (libc::SYS_msgget, libc::EPERM),
    (libc::SYS_semget, libc::EPERM),
];

/// Installs the filter for this thread and all that follow.
///
/// # Errors
/// What this kernel says.
pub(super) fn forbid() -> io::Result<()> {
    let mut filter = program(std::process::id());
    let program = sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program outlives the call, which copies it.
    let code = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
            0,
            0,
        )
    };
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn program(own: u32) -> Vec<sock_filter> {
    let refuse = |errno: i32| ret(SECCOMP_RET_ERRNO | errno as u32);
    let mut out = vec![
        load(ARCHITECTURE),
        jump(BPF_JEQ, OURS, 1, 0),
        ret(SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
    ];
    // The numbers of 32-bit programs on a 64-bit kernel have this bit: none of them is needed.
    #[cfg(target_arch = "x86_64")]
    out.extend([jump(BPF_JSET, 0x4000_0000, 0, 1), refuse(libc::ENOSYS)]);
    for (number, errno) in NEVER {
        out.extend([jump(BPF_JEQ, *number as u32, 0, 1), refuse(*errno)]);
    }
    // A thread, but no process.
    out.extend([
        jump(BPF_JEQ, libc::SYS_clone as u32, 0, 4),
        load(FIRST_ARGUMENT),
        jump(BPF_JSET, libc::CLONE_THREAD as u32, 1, 0),
        refuse(libc::EPERM),
        ret(SECCOMP_RET_ALLOW),
    ]);
    // Signals to itself: an abort is one.
    for number in [libc::SYS_kill, libc::SYS_tgkill] {
        out.extend([
            jump(BPF_JEQ, number as u32, 0, 4),
            load(FIRST_ARGUMENT),
            jump(BPF_JEQ, own, 1, 0),
            refuse(libc::EPERM),
            ret(SECCOMP_RET_ALLOW),
        ]);
    }
    // It stays tied to the gateway's life.
    out.extend([
        jump(BPF_JEQ, libc::SYS_prctl as u32, 0, 4),
        load(FIRST_ARGUMENT),
        jump(BPF_JEQ, libc::PR_SET_PDEATHSIG as u32, 0, 1),
        refuse(libc::EPERM),
        ret(SECCOMP_RET_ALLOW),
    ]);
    // The network and what describes it, but no sockets of this machine's other programs.
    out.extend([
        jump(BPF_JEQ, libc::SYS_socket as u32, 0, 6),
        load(FIRST_ARGUMENT),
        jump(BPF_JEQ, libc::AF_INET as u32, 3, 0),
        jump(BPF_JEQ, libc::AF_INET6 as u32, 2, 0),
        jump(BPF_JEQ, libc::AF_NETLINK as u32, 1, 0),
        refuse(libc::EAFNOSUPPORT),
        ret(SECCOMP_RET_ALLOW),
    ]);
    out.push(ret(SECCOMP_RET_ALLOW));
    out
}

fn load(at: u32) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, at, 0, 0)
}

fn ret(answer: u32) -> sock_filter {
    instruction(BPF_RET | BPF_K, answer, 0, 0)
}

fn jump(test: u32, value: u32, yes: u8, no: u8) -> sock_filter {
    instruction(BPF_JMP | test | BPF_K, value, yes, no)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}
