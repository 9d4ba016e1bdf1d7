//! Socket options and bounds of a connection.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use socket2::SockRef;

use crate::{limits, sys};

/// How the kernel probes a silent peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub after: Duration,
    /// Time between probes.
    pub every: Duration,
    /// Unanswered probes that end the connection.
    pub probes: u32,
}

/// Socket options and bounds of a connection. Those of a listener hold for all it accepts: the kernel
/// copies them from the listening socket, so they cost no call per connection.
#[derive(Clone, Debug)]
pub struct Options {
    /// Small writes leave at once. On by default.
    pub nodelay: bool,
    /// Probes of silent peers; off by default.
    pub keepalive: Option<Keepalive>,
    /// How long written bytes may stay unacknowledged before the kernel ends the connection
    /// (`TCP_USER_TIMEOUT`).
    pub user_timeout: Option<Duration>,
    /// How many unsent bytes the kernel takes on (`TCP_NOTSENT_LOWAT`). Small values keep a slow
    /// peer's backlog in this process, where it can be seen and skipped.
    pub notsent_lowat: Option<u32>,
    /// Kernel's send buffer; the kernel tunes it where unset.
    pub send_buffer: Option<usize>,
    /// Kernel's receive buffer; the kernel tunes it where unset.
    pub receive_buffer: Option<usize>,
    /// Only this network device is used (`SO_BINDTODEVICE`).
    pub device: Option<String>,
    /// Closes after this long without a received byte.
    pub idle: Option<Duration>,
    /// Closes after the peer took nothing of a waiting queue for this long.
    pub stalled: Option<Duration>,
    /// After a graceful close: how long the peer may take nothing of what is queued, and how long it
    /// may leave its own side open after that.
    pub linger: Duration,
    /// A TLS handshake has to be done by then.
    pub handshake: Duration,
    /// Bound of what a handler leaves unconsumed.
    pub unconsumed: usize,
    /// Queue length that counts as congested.
    pub high_water: usize,
    /// Queue length at which a congested connection goes on.
    pub low_water: usize,
    /// Queued bytes of memory (ranges of files cost none) at which the connection is closed.
    pub queue_at_most: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodelay: true,
            keepalive: None,
            user_timeout: None,
            notsent_lowat: None,
            send_buffer: None,
            receive_buffer: None,
            device: None,
            idle: None,
            stalled: None,
            linger: limits::LINGER,
            handshake: limits::TLS_HANDSHAKE,
            unconsumed: limits::UNCONSUMED,
            high_water: limits::HIGH_WATER,
            low_water: limits::LOW_WATER,
            queue_at_most: limits::QUEUE_AT_MOST,
        }
    }
}

impl Options {
    /// Sets the socket's part of the options. Buffer sizes have to be set before listening or
    /// connecting, since the window scale follows from them.
    pub(crate) fn apply(&self, fd: BorrowedFd<'_>, tcp: bool) -> io::Result<()> {
        let socket = SockRef::from(&fd);
        if let Some(size) = self.send_buffer {
            socket.set_send_buffer_size(size)?;
        }
        if let Some(size) = self.receive_buffer {
            socket.set_recv_buffer_size(size)?;
        }
        if !tcp {
            return Ok(());
        }
        if self.nodelay {
            sys::set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
        }
        if let Some(keepalive) = self.keepalive {
            let parameters = socket2::TcpKeepalive::new()
                .with_time(keepalive.after)
                .with_interval(keepalive.every)
                .with_retries(keepalive.probes);
            socket.set_tcp_keepalive(&parameters)?;
        }
        if let Some(time) = self.user_timeout {
            let millis = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
            sys::set_option(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, millis)?;
        }
        if let Some(bytes) = self.notsent_lowat {
            let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
            sys::set_option(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, bytes)?;
        }
        if let Some(device) = &self.device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        Ok(())
    }
}
