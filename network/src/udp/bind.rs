//! Sockets and their options.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::limits::{UDP_QUEUE_BYTES, UDP_QUEUE_DATAGRAMS};
use crate::sys;

/// Where and how to open a UDP socket.
#[derive(Clone, Debug)]
pub struct Bind {
    pub(super) address: SocketAddr,
    pub(super) peer: Option<SocketAddr>,
    reuse_port: bool,
    send_buffer: Option<usize>,
    receive_buffer: Option<usize>,
    broadcast: bool,
    groups: Vec<Group>,
    multicast_ttl: Option<u32>,
    multicast_loop: Option<bool>,
    gso: bool,
    gro: bool,
    pub(super) idle: Option<Duration>,
    pub(super) queue_bytes: usize,
    pub(super) queue_datagrams: usize,
}

#[derive(Clone, Copy, Debug)]
enum Group {
    V4 { group: Ipv4Addr, interface: Ipv4Addr },
    V6 { group: Ipv6Addr, interface: u32 },
}

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open a UDP socket on {address}{to}: {error}{hint}")]
pub struct BindError {
    address: SocketAddr,
    to: String,
    error: io::Error,
    hint: &'static str,
}

impl BindError {
    /// What the kernel said.
    pub fn io(&self) -> &io::Error {
        &self.error
    }
}

impl Bind {
    /// A socket on an address; on `[::]` it speaks IPv4 too.
    pub fn on(address: SocketAddr) -> Self {
        Self {
            address,
            peer: None,
            reuse_port: false,
            send_buffer: None,
            receive_buffer: None,
            broadcast: false,
            groups: Vec::new(),
            multicast_ttl: None,
            multicast_loop: None,
            gso: true,
            gro: true,
            idle: None,
            queue_bytes: UDP_QUEUE_BYTES,
            queue_datagrams: UDP_QUEUE_DATAGRAMS,
        }
    }

    /// A socket on any free port, connected to one peer.
    pub fn to(peer: SocketAddr) -> Self {
        let any: IpAddr = match peer {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self::on(SocketAddr::new(any, 0)).connect(peer)
    }

    /// Connects the socket: it hears this peer only, learns when the peer refuses
    /// ([`Failure::Refused`](super::Failure::Refused)), and sends cheaper.
    #[must_use]
    pub fn connect(mut self, peer: SocketAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Lets other sockets of this user share the address (`SO_REUSEPORT`); the kernel gives all
    /// datagrams of one peer to the same one. [`Bind::bind_each`] does so by itself.
    #[must_use]
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = reuse;
        self
    }

    /// Bytes the kernel keeps of what is not sent yet. It caps them at `net.core.wmem_max`.
    #[must_use]
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = Some(bytes);
        self
    }

    /// Bytes the kernel keeps of what is not received yet, and drops what goes beyond; the default
    /// holds some 90 datagrams of 1,200 bytes. It caps them at `net.core.rmem_max`.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Allows sending to broadcast addresses.
    #[must_use]
    pub fn broadcast(mut self) -> Self {
        self.broadcast = true;
        self
    }

    /// Joins an IPv4 multicast group on the interface with this address, or on one of the kernel's
    /// choice ([`Ipv4Addr::UNSPECIFIED`]); what is sent to groups leaves through it too. Several
    /// sockets may then share the address.
    #[must_use]
    pub fn join_v4(mut self, group: Ipv4Addr, interface: Ipv4Addr) -> Self {
        self.groups.push(Group::V4 { group, interface });
        self
    }

    /// Joins an IPv6 multicast group on the interface with this index, or on one of the kernel's
    /// choice (0); what is sent to groups leaves through it too. Several sockets may then share the
    /// address.
    #[must_use]
    pub fn join_v6(mut self, group: Ipv6Addr, interface: u32) -> Self {
        self.groups.push(Group::V6 { group, interface });
        self
    }

    /// How many routers a multicast datagram may pass; the kernel's default is this link only.
    #[must_use]
    pub fn multicast_ttl(mut self, hops: u32) -> Self {
        self.multicast_ttl = Some(hops);
        self
    }

    /// Whether this machine hears its own multicast datagrams; the kernel's default is yes.
    #[must_use]
    pub fn multicast_loop(mut self, hears: bool) -> Self {
        self.multicast_loop = Some(hears);
        self
    }

    /// Whether equal datagrams to one peer are handed to the kernel in one piece (`UDP_SEGMENT`).
    /// On by default, where the kernel can.
    #[must_use]
    pub fn gso(mut self, on: bool) -> Self {
        self.gso = on;
        self
    }

    /// Whether datagrams of one peer come from the kernel in one piece (`UDP_GRO`). On by default,
    /// where the kernel can.
    #[must_use]
    pub fn gro(mut self, on: bool) -> Self {
        self.gro = on;
        self
    }

    /// Closes the socket after this long without a received datagram.
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Bounds what is queued while the kernel takes nothing; past either bound datagrams are dropped.
    #[must_use]
    pub fn queue(mut self, bytes: usize, datagrams: usize) -> Self {
        self.queue_bytes = bytes;
        self.queue_datagrams = datagrams;
        self
    }

    /// Opens the socket.
    ///
    /// # Errors
    /// The address is taken, not of this machine, or not allowed; the peer cannot be reached; the
    /// group cannot be joined.
    pub fn bind(&self) -> Result<Bound, BindError> {
        self.bound(self.address, self.reuse_port)
    }

    /// Opens one socket for each of `count` loops; the kernel spreads the peers over them. With port
    /// 0 all get the same free port.
    ///
    /// # Errors
    /// As [`Bind::bind`]. Another process on the address is an error although `SO_REUSEPORT` would
    /// let two of them share it: two servers on one port are nearly always a mistake.
    pub fn bind_each(&self, count: usize) -> Result<Vec<Bound>, BindError> {
        if count <= 1 {
            return Ok(vec![self.bind()?]);
        }
        drop(self.bound(self.address, false)?);
        let first = self.bound(self.address, true)?;
        let address = first.address;
        let mut all = vec![first];
        while all.len() < count {
            all.push(self.bound(address, true)?);
        }
        Ok(all)
    }

    fn bound(&self, address: SocketAddr, reuse_port: bool) -> Result<Bound, BindError> {
        self.open(address, reuse_port).map_err(|error| BindError {
            address,
            to: self.peer.map_or_else(String::new, |peer| format!(" to {peer}")),
            hint: match error.kind() {
                io::ErrorKind::AddrInUse => "; another process has it",
                io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
                io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
                _ => "",
            },
            error,
        })
    }

    fn open(&self, address: SocketAddr, reuse_port: bool) -> io::Result<Bound> {
        let kind = Type::DGRAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // `[::]` serves IPv4 too, whatever the system's default.
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_port(reuse_port)?;
        // Without a group it would let another socket take this one's datagrams.
        socket.set_reuse_address(!self.groups.is_empty())?;
        socket.set_broadcast(self.broadcast)?;
        self.set_buffers(&socket, address)?;
        let gro = self.gro && sys::udp::enable_gro(socket.as_fd());
        let gso = self.gso && sys::udp::has_gso(socket.as_fd());
        socket.bind(&address.into())?;
        self.set_multicast(&socket, address)?;
        let peer = match self.peer {
            Some(peer) => Some(connect(&socket, address, peer)?),
            None => None,
        };
        let local = socket.local_addr()?;
        let address = local.as_socket().unwrap_or(address);
        Ok(Bound { fd: socket.into(), address, peer, gso, gro, bind: self.clone() })
    }

    fn set_buffers(&self, socket: &Socket, address: SocketAddr) -> io::Result<()> {
        // The kernel doubles what it is asked for, to have room for its own records.
        let told = |which, asked: usize, given: usize| {
            if given < asked.saturating_mul(2) {
                let given = given / 2;
                tracing::warn!(%address, asked, given, "the kernel caps the buffer at {which}");
            }
        };
        if let Some(size) = self.send_buffer {
            socket.set_send_buffer_size(size)?;
            told("net.core.wmem_max", size, socket.send_buffer_size()?);
        }
        if let Some(size) = self.receive_buffer {
            socket.set_recv_buffer_size(size)?;
            told("net.core.rmem_max", size, socket.recv_buffer_size()?);
        }
        Ok(())
    }

    fn set_multicast(&self, socket: &Socket, address: SocketAddr) -> io::Result<()> {
        for group in &self.groups {
            match group {
                Group::V4 { group, interface } => {
                    socket.join_multicast_v4(group, interface)?;
                    socket.set_multicast_if_v4(interface)?;
                }
                Group::V6 { group, interface } => {
                    socket.join_multicast_v6(group, *interface)?;
                    socket.set_multicast_if_v6(*interface)?;
                }
            }
        }
        if let Some(hops) = self.multicast_ttl {
            match address {
                SocketAddr::V4(_) => socket.set_multicast_ttl_v4(hops)?,
                SocketAddr::V6(_) => socket.set_multicast_hops_v6(hops)?,
            }
        }
        if let Some(hears) = self.multicast_loop {
            match address {
                SocketAddr::V4(_) => socket.set_multicast_loop_v4(hears)?,
                SocketAddr::V6(_) => socket.set_multicast_loop_v6(hears)?,
            }
        }
        Ok(())
    }
}

/// Connects, and forgets what strangers have sent before that: the kernel keeps it.
fn connect(socket: &Socket, local: SocketAddr, peer: SocketAddr) -> io::Result<SocketAddr> {
    let target = match peer {
        SocketAddr::V4(_) if local.is_ipv6() => mapped(peer),
        _ => peer,
    };
    socket.connect(&SockAddr::from(target))?;
    while socket.recv(&mut [MaybeUninit::uninit()]).is_ok() {}
    Ok(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
}

/// An IPv4 address in the form that IPv6 sockets take.
pub(super) fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into(),
        SocketAddr::V6(_) => address,
    }
}

/// A UDP socket that is not on a loop yet. `Send`: open it before the threads start, so that a taken
/// port is an error of the program's start and not of one of its loops. It receives already: what
/// comes waits in the kernel.
#[derive(Debug)]
pub struct Bound {
    pub(super) fd: OwnedFd,
    pub(super) address: SocketAddr,
    pub(super) peer: Option<SocketAddr>,
    pub(super) gso: bool,
    pub(super) gro: bool,
    pub(super) bind: Bind,
}

impl Bound {
    /// This side's address, with the port the kernel chose if it was asked to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// For socket options that [`Bind`] does not know.
impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
