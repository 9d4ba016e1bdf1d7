//! Datagrams in batches: `recvmmsg` and `sendmmsg` with the control messages of GRO and GSO.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::{check, set_option};
use crate::limits::{UDP_RECEIVE_BATCH, UDP_SLOT};

/// An address as the kernel reads and writes it. Both variants begin with the family.
#[repr(C)]
#[derive(Clone, Copy)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl Name {
    fn none() -> Self {
        // SAFETY: all-zero is a valid sockaddr_in6 (numbers only), and it covers the whole union.
        unsafe { mem::zeroed() }
    }

    fn of(address: SocketAddr) -> Self {
        let mut name = Self::none();
        match address {
            SocketAddr::V4(address) => {
                // SAFETY: all-zero is a valid sockaddr_in (numbers only).
                let mut v4: libc::sockaddr_in = unsafe { mem::zeroed() };
                v4.sin_family = libc::AF_INET as _;
                v4.sin_port = address.port().to_be();
                v4.sin_addr.s_addr = u32::from(*address.ip()).to_be();
                name.v4 = v4;
            }
            SocketAddr::V6(address) => {
                // SAFETY: all-zero is a valid sockaddr_in6 (numbers only).
                let mut v6: libc::sockaddr_in6 = unsafe { mem::zeroed() };
                v6.sin6_family = libc::AF_INET6 as _;
                v6.sin6_port = address.port().to_be();
                v6.sin6_addr.s6_addr = address.ip().octets();
                v6.sin6_flowinfo = address.flowinfo();
                v6.sin6_scope_id = address.scope_id();
                name.v6 = v6;
            }
        }
        name
    }

    fn len(&self) -> libc::socklen_t {
        // SAFETY: the family is the first field of both variants, and always initialised.
        match i32::from(unsafe { self.v4.sin_family }) {
            libc::AF_INET => size_of::<libc::sockaddr_in>() as _,
            libc::AF_INET6 => size_of::<libc::sockaddr_in6>() as _,
            _ => 0,
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        // SAFETY: the family is the first field of both variants; both variants are plain numbers,
        // for which any initialised bytes are valid, and the union is always wholly initialised.
        unsafe {
            match i32::from(self.v4.sin_family) {
                libc::AF_INET => {
                    let ip = Ipv4Addr::from(u32::from_be(self.v4.sin_addr.s_addr));
                    Some(SocketAddrV4::new(ip, u16::from_be(self.v4.sin_port)).into())
                }
                libc::AF_INET6 => {
                    let ip = Ipv6Addr::from(self.v6.sin6_addr.s6_addr);
                    let port = u16::from_be(self.v6.sin6_port);
                    let (flow, scope) = (self.v6.sin6_flowinfo, self.v6.sin6_scope_id);
                    Some(SocketAddrV6::new(ip, port, flow, scope).into())
                }
                _ => None,
            }
        }
    }
}

/// Room for the one control message that is asked for; its size is `CMSG_SPACE` of the value.
#[repr(C)]
#[derive(Clone, Copy)]
struct Control<T: Copy> {
    header: libc::cmsghdr,
    value: T,
}

impl<T: Copy> Control<T> {
    /// `CMSG_LEN` of the value.
    const LEN: usize = mem::offset_of!(Self, value) + size_of::<T>();

    fn none() -> Self {
        // SAFETY: all-zero is a valid cmsghdr, and the values used here are integers.
        unsafe { mem::zeroed() }
    }
}

fn no_message() -> libc::mmsghdr {
    // SAFETY: all-zero is a valid mmsghdr (null pointers with zero lengths).
    unsafe { mem::zeroed() }
}

/// What the kernel put into one slot of a [`Receiver`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub peer: Option<SocketAddr>,
    pub len: usize,
    /// Length of the datagrams that the kernel has put behind one another, 0 for a single one.
    pub segment: usize,
    /// The slot was too small and the end is lost.
    pub truncated: bool,
}

/// Memory for one batch of received datagrams: slots of [`UDP_SLOT`] bytes, one after the other.
pub(crate) struct Receiver {
    memory: Vec<u8>,
    names: Vec<Name>,
    controls: Vec<Control<libc::c_int>>,
    slices: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    received: Vec<Received>,
}

impl Receiver {
    pub fn new() -> Self {
        Self {
            // Zeroed by the kernel when touched: what no datagram has come into costs no memory.
            memory: vec![0; UDP_RECEIVE_BATCH * UDP_SLOT],
            names: vec![Name::none(); UDP_RECEIVE_BATCH],
            controls: vec![Control::none(); UDP_RECEIVE_BATCH],
            slices: Vec::with_capacity(UDP_RECEIVE_BATCH),
            headers: Vec::with_capacity(UDP_RECEIVE_BATCH),
            received: Vec::with_capacity(UDP_RECEIVE_BATCH),
        }
    }

    /// Takes what waits on the socket, up to a slot each. Never blocks.
    pub fn receive(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        self.received.clear();
        self.slices.clear();
        self.slices.extend(
            self.memory.chunks_exact_mut(UDP_SLOT).map(|slot| libc::iovec {
                iov_base: slot.as_mut_ptr().cast(),
                iov_len: slot.len(),
            }),
        );
        self.headers.clear();
        let parts = self.slices.iter_mut().zip(&mut self.names).zip(&mut self.controls);
        self.headers.extend(parts.map(|((slice, name), control)| {
            let mut message = no_message();
            message.msg_hdr.msg_iov = slice;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_name = ptr::from_mut(name).cast();
            message.msg_hdr.msg_namelen = size_of::<Name>() as _;
            message.msg_hdr.msg_control = ptr::from_mut(control).cast();
            message.msg_hdr.msg_controllen = size_of::<Control<libc::c_int>>() as _;
            message
        }));
        // SAFETY: the count is that of the headers. Each header points to a slot, a name and a control
        // of its own, with their true sizes, in vectors that are not touched until the call returns.
        let count = check(unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as _,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        } as isize)?;
        let parts = self.headers.iter().zip(&self.names).zip(&self.controls).take(count);
        self.received.extend(parts.map(|((message, name), control)| Received {
            peer: if message.msg_hdr.msg_namelen > 0 { name.address() } else { None },
            len: message.msg_len as usize,
            segment: segment(&message.msg_hdr, control),
            truncated: message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        }));
        Ok(count)
    }

    /// What the last call of [`Receiver::receive`] brought, and the slots it is in.
    pub fn slots(&mut self) -> (&mut [u8], &[Received]) {
        (&mut self.memory, &self.received)
    }
}

/// The size of the datagrams in a buffer that the kernel has gathered, 0 where it has not.
fn segment(message: &libc::msghdr, control: &Control<libc::c_int>) -> usize {
    let is_gro = message.msg_controllen >= Control::<libc::c_int>::LEN as _
        && control.header.cmsg_level == libc::SOL_UDP
        && control.header.cmsg_type == libc::UDP_GRO;
    if is_gro { usize::try_from(control.value).unwrap_or(0) } else { 0 }
}

/// One message of a batch to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    /// To whom; `None` on a connected socket.
    pub to: Option<SocketAddr>,
    /// How many of the slices make up this message.
    pub slices: usize,
    /// The kernel cuts the message into datagrams of this length; 0 leaves it in one piece.
    pub segment: u16,
    /// How many datagrams it is.
    pub datagrams: usize,
}

/// The kernel's view of a batch to send, kept so that a batch costs no allocation.
#[derive(Default)]
pub(crate) struct Sender {
    names: Vec<Name>,
    controls: Vec<Control<u16>>,
    slices: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

impl Sender {
    /// Hands messages to a socket in one call and returns how many it took. `slices` yields those of
    /// all messages one after the other. An error is that of the first message.
    pub fn send<'a>(
        &mut self,
        fd: BorrowedFd<'_>,
        messages: &[Outgoing],
        slices: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<usize> {
        self.slices.clear();
        self.slices.extend(slices.map(|slice| libc::iovec {
            // sendmmsg does not write through it.
            iov_base: slice.as_ptr().cast_mut().cast(),
            iov_len: slice.len(),
        }));
        self.names.clear();
        self.names
            .extend(messages.iter().map(|message| message.to.map_or_else(Name::none, Name::of)));
        self.controls.clear();
        self.controls.extend(messages.iter().map(|message| {
            let mut control = Control::none();
            control.header.cmsg_len = Control::<u16>::LEN as _;
            control.header.cmsg_level = libc::SOL_UDP;
            control.header.cmsg_type = libc::UDP_SEGMENT;
            control.value = message.segment;
            control
        }));
        self.headers.clear();
        let mut left = self.slices.as_mut_slice();
        for ((message, name), control) in
            messages.iter().zip(&mut self.names).zip(&mut self.controls)
        {
            let Some((own, rest)) = left.split_at_mut_checked(message.slices) else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "fewer slices than announced",
                ));
            };
            left = rest;
            let mut header = no_message();
            header.msg_hdr.msg_iov = own.as_mut_ptr();
            header.msg_hdr.msg_iovlen = own.len() as _;
            if message.to.is_some() {
                header.msg_hdr.msg_namelen = name.len();
                header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            }
            if message.segment > 0 {
                header.msg_hdr.msg_control = ptr::from_mut(control).cast();
                header.msg_hdr.msg_controllen = size_of::<Control<u16>>() as _;
            }
            self.headers.push(header);
        }
        // SAFETY: the count is that of the headers. Each header points to slices, a name and a control
        // of its own in vectors that are not touched until the call returns; the slices point to
        // memory borrowed for 'a, which outlives the call.
        check(unsafe {
            libc::sendmmsg(
                fd.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as _,
                (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
            )
        } as isize)
    }
}

/// Has the kernel gather datagrams of one peer into one buffer. False where it cannot.
pub(crate) fn enable_gro(fd: BorrowedFd<'_>) -> bool {
    set_option(fd, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok()
}

/// True where the kernel knows how to cut a message into datagrams.
pub(crate) fn has_gso(fd: BorrowedFd<'_>) -> bool {
    // Zero is the value the option has anyway: no cutting unless a message asks for it.
    set_option(fd, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok()
}

/// How many datagrams the kernel has dropped because the socket's receive buffer was full.
pub(crate) fn kernel_drops(fd: BorrowedFd<'_>) -> io::Result<u32> {
    /// `SK_MEMINFO_DROPS` is the last of nine counters.
    const COUNTERS: usize = 9;
    let mut counters = MaybeUninit::<[u32; COUNTERS]>::zeroed();
    let mut len = size_of::<[u32; COUNTERS]>() as libc::socklen_t;
    // SAFETY: `counters` has room for `len` bytes and both live past the call.
    check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            counters.as_mut_ptr().cast(),
            &raw mut len,
        )
    } as isize)?;
    // SAFETY: zeroed numbers are valid whatever part of them an older kernel filled.
    let counters = unsafe { counters.assume_init() };
    Ok(counters[COUNTERS - 1])
}
