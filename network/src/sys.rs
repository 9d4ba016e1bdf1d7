//! The system calls that no safe library offers in the form the data path needs.
//!
//! This is the only module of the project with `unsafe` in it. Every function here is safe to call:
//! it takes owned or borrowed descriptors and Rust slices, and turns the C convention of -1 into an
//! [`io::Error`]. Nothing above this module sees a raw pointer.

use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::limits;

pub(crate) mod udp;

fn check(ret: isize) -> io::Result<usize> {
    usize::try_from(ret).map_err(|_| io::Error::last_os_error())
}

/// A system call without the C library's wrapper, which on threads turns cancellation on and off around
/// each call: some 2 % of an exchange of 64 bytes, for something nobody does here.
macro_rules! call {
    ($number:expr, $($argument:expr),+) => {
        libc::syscall($number, $($argument),+) as isize
    };
}

/// Takes waiting bytes off a socket. `Ok(0)` is the peer's end of file.
pub(crate) fn recv(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the pointer and length describe `buf`, which outlives the call; no address is asked for.
    check(unsafe {
        call!(libc::SYS_recvfrom, fd.as_raw_fd(), buf.as_mut_ptr(), buf.len(), 0, none, none)
    })
}

/// Takes waiting bytes, at most so many, off a TCP socket without copying them anywhere; returns how many
/// there were. `Ok(0)` is the peer's end of file.
pub(crate) fn discard(fd: BorrowedFd<'_>, most: u64) -> io::Result<usize> {
    // More than any receive buffer holds.
    const ALL: usize = 1 << 30;
    let most = usize::try_from(most).map_or(ALL, |most| most.min(ALL));
    let none = std::ptr::null_mut::<libc::c_void>();
    let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    // SAFETY: with MSG_TRUNC a TCP socket writes nothing to the buffer, whatever its length; where
    // another kind of socket did, a null pointer makes it fail with EFAULT.
    check(unsafe { call!(libc::SYS_recvfrom, fd.as_raw_fd(), none, most, flags, none, none) })
}

/// Hands bytes to a socket without raising SIGPIPE; returns how many it took.
pub(crate) fn send(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    let none = std::ptr::null::<libc::c_void>();
    let flags = libc::MSG_NOSIGNAL;
    // SAFETY: the pointer and length describe `buf`, which outlives the call; no address is given.
    check(unsafe {
        call!(libc::SYS_sendto, fd.as_raw_fd(), buf.as_ptr(), buf.len(), flags, none, 0)
    })
}

/// Hands several slices to a socket in one call; at most [`limits::IOV_MAX`] of them are looked at.
pub(crate) fn send_gather(fd: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let count = slices.len().min(limits::IOV_MAX);
    // SAFETY: all-zero is a valid msghdr (null pointers with zero lengths).
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    // `IoSlice` is documented to have the layout of iovec; sendmsg does not write through it.
    message.msg_iov = slices.as_ptr().cast_mut().cast();
    message.msg_iovlen = count as _;
    // SAFETY: the message borrows `slices`, which outlives the call; `count` is within it.
    check(unsafe {
        call!(libc::SYS_sendmsg, fd.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)
    })
}

/// Hands a range of a file to a socket; the kernel refers to the file's pages and copies nothing.
pub(crate) fn send_file(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    len: usize,
) -> io::Result<usize> {
    let mut at = libc::off64_t::try_from(offset)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "file offset past 2^63"))?;
    // SAFETY: both descriptors are borrowed for the call, `at` is a local the kernel may write to.
    check(unsafe {
        call!(libc::SYS_sendfile, socket.as_raw_fd(), file.as_raw_fd(), &raw mut at, len)
    })
}

/// Reads a range of a file without moving its position.
pub(crate) fn read_at(file: BorrowedFd<'_>, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let at = libc::off64_t::try_from(offset)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "file offset past 2^63"))?;
    // SAFETY: the pointer and length describe `buf`, which outlives the call.
    check(unsafe { libc::pread64(file.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), at) })
}

/// Makes an anonymous file that lives in memory; its pages can be sent by reference.
pub(crate) fn memory_file(name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    // SAFETY: `name` is a C string; the call returns a descriptor nobody else owns.
    let fd = check(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) } as isize)?;
    // SAFETY: just returned by the kernel, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Writes at a place of a file without moving its position.
pub(crate) fn write_at(file: BorrowedFd<'_>, buf: &[u8], offset: u64) -> io::Result<usize> {
    let at = libc::off64_t::try_from(offset)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "file offset past 2^63"))?;
    // SAFETY: the pointer and length describe `buf`, which outlives the call.
    check(unsafe { libc::pwrite64(file.as_raw_fd(), buf.as_ptr().cast(), buf.len(), at) })
}

/// Gives the memory or disk of a range of a file back; it reads as zeros from then on.
pub(crate) fn punch_hole(file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<()> {
    let past = |_| io::Error::new(io::ErrorKind::InvalidInput, "file offset past 2^63");
    let (at, len) = (
        libc::off64_t::try_from(offset).map_err(past)?,
        libc::off64_t::try_from(len).map_err(past)?,
    );
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: plain numbers and a borrowed descriptor.
    check(unsafe { libc::fallocate64(file.as_raw_fd(), mode, at, len) } as isize).map(drop)
}

/// Bytes of memory or disk that a file takes.
pub(crate) fn allocated(file: BorrowedFd<'_>) -> io::Result<u64> {
    let mut stat = MaybeUninit::<libc::stat64>::zeroed();
    // SAFETY: the pointer is to a local of the right type.
    check(unsafe { libc::fstat64(file.as_raw_fd(), stat.as_mut_ptr()) } as isize)?;
    // SAFETY: all-zero is a valid stat64 whatever part the kernel wrote.
    let stat = unsafe { stat.assume_init() };
    Ok(u64::try_from(stat.st_blocks).unwrap_or(0) * 512)
}

/// Takes one waiting connection off a listener, non-blocking and close-on-exec, with the peer's
/// address where it has one (a Unix peer has none).
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let mut address = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: `address` has room for `len` bytes and both live past the call.
    let fd = check(unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            address.as_mut_ptr().cast(),
            &raw mut len,
            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
        )
    } as isize)?;
    // SAFETY: just returned by the kernel, owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: zeroed storage is a valid sockaddr_storage whatever the kernel wrote of it.
    let address = unsafe { address.assume_init() };
    Ok((fd, socket_addr(&address)))
}

pub(crate) fn socket_addr(address: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(address.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage holds a sockaddr_in, which is smaller.
            let v4 = unsafe { &*(&raw const *address).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that the storage holds a sockaddr_in6, which is smaller.
            let v6 = unsafe { &*(&raw const *address).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Sets an integer socket option.
pub(crate) fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the pointer and size describe the local `value`.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    } as isize)
    .map(drop)
}

/// What the kernel knows of a TCP connection.
pub(crate) fn tcp_info(fd: BorrowedFd<'_>) -> io::Result<libc::tcp_info> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: `info` has room for `len` bytes and both live past the call.
    check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    } as isize)?;
    // SAFETY: zeroed bytes are a valid tcp_info whatever part of it an older kernel filled.
    Ok(unsafe { info.assume_init() })
}

/// Bytes written to a socket that the peer has not acknowledged yet, and those not even sent.
pub(crate) fn unsent(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQNSD writes one int to the local.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), SIOCOUTQNSD as _, &raw mut bytes) } as isize)?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

const SIOCOUTQNSD: libc::c_ulong = 0x894B;

/// Binds the calling thread to one core.
pub(crate) fn pin_to_core(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such core"));
    }
    // SAFETY: all-zero is the empty cpu_set_t, and `core` was checked to be within it.
    let set = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(core, &mut set);
        set
    };
    // SAFETY: the pointer and size describe the local `set`; pid 0 is the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } as isize)
        .map(drop)
}

/// Raises the soft limit of open files to the hard one and returns it.
pub(crate) fn raise_open_files() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a local of the right type.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } as isize)?;
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the pointer is to a local of the right type.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } as isize)?;
    }
    Ok(limit.rlim_cur)
}
