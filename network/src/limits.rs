//! Every bound of the crate, with its reason. Whoever asks "what can a peer make us do" reads this page.

use std::time::Duration;

// ---- the loop ----

/// Readiness events taken from the kernel in one poll, at first. The storage doubles whenever a poll fills it.
pub const EVENTS_AT_FIRST: usize = 256;
/// Most readiness events taken in one poll; more wait one turn in the kernel.
pub const EVENTS_AT_MOST: usize = 16_384;
/// Most posted tasks, and most deferred ones, that are run in one turn: a burst of them delays events
/// and timers by that much, and a poll in between costs the burst little.
pub const TASKS_PER_TURN: usize = 1024;
/// Places for timers that a loop without timers keeps; those of a burst are given back.
pub const SPARE_TIMERS: usize = 4096;
/// The share of time a loop is busy is measured over windows of this length.
pub const BUSY_WINDOW: Duration = Duration::from_millis(100);
/// Turns are counted by what they took: up to each of these, and longer. A turn of some milliseconds is
/// felt by who waits for it.
pub const TURN_TIMES: [Duration; 8] = [
    Duration::from_micros(100),
    Duration::from_micros(300),
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
];

// ---- receiving ----

/// Bytes read from one connection in one go. Also the bound of work per connection and turn: who has
/// more waiting comes again after the others had theirs.
pub const READ_CHUNK: usize = 64 * 1024;
/// Default bound of the bytes a handler may leave unconsumed: the largest message of a framed protocol.
pub const UNCONSUMED: usize = 1024 * 1024;

// ---- sending ----

/// Slices handed to the kernel in one gather write; the kernel refuses more (UIO_MAXIOV).
pub const IOV_MAX: usize = 1024;
/// Default queue length above which a connection reports that its peer does not keep up.
pub const HIGH_WATER: usize = 1024 * 1024;
/// Default queue length at which such a connection reports that it goes on.
pub const LOW_WATER: usize = 256 * 1024;
/// Default of the queued bytes of memory at which a connection is closed as overflowing.
pub const QUEUE_AT_MOST: usize = 64 * 1024 * 1024;
/// Emptied output queues a loop keeps for the next connection that needs one.
pub const SPARE_QUEUES: usize = 64;
/// An emptied queue with more room than this is given back to the allocator instead.
pub const SPARE_QUEUE_BYTES: usize = 64 * 1024;
/// Plaintext given to TLS ahead of the socket: what one connection holds encrypted at most.
pub const TLS_AHEAD: usize = 64 * 1024;

// ---- TLS ----

/// Bytes of a PEM file; a whole system's bundle of roots is a quarter of it, and who names a device or a
/// log by mistake is told so.
pub const PEM_AT_MOST: u64 = 1024 * 1024;

// ---- connections ----

/// Length of the kernel's queue of connections not yet accepted; the kernel caps it at `somaxconn`.
pub const BACKLOG: i32 = 4096;
/// Connections accepted in one go before other work has its turn.
pub const ACCEPT_BATCH: usize = 256;
/// Pause of a listener after the process or the system ran out of descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A connection that was closed gracefully is given this long to take its last bytes and close its side.
pub const LINGER: Duration = Duration::from_secs(5);
/// A TLS handshake has to be done by then.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(10);
/// Default time for a connect to succeed.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// First pause between attempts to connect.
pub const RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest pause between attempts to connect.
pub const RETRY_MOST: Duration = Duration::from_secs(30);

// ---- names ----

/// Threads that wait for name servers so that no loop does.
pub const RESOLVER_THREADS: usize = 2;
/// Names being looked up or waiting for it; one more is refused.
pub const RESOLVER_QUEUE: usize = 1024;
/// Callers on one loop that wait for names, many for the same as a rule; one more is refused.
pub const RESOLVER_WAITING: usize = 16 * 1024;
/// Names remembered; past it the oldest are forgotten.
pub const RESOLVER_CACHE: usize = 1024;
/// How long a found address is believed.
pub const RESOLVED_FOR: Duration = Duration::from_secs(30);
/// How long a failure is believed, so that a retry does not hammer the name server.
pub const UNRESOLVED_FOR: Duration = Duration::from_secs(2);
/// Addresses of one name that are tried.
pub const ADDRESSES_PER_NAME: usize = 8;

// ---- UDP ----

/// Buffers offered to the kernel in one receive call. Also the bound of work per socket and turn: who
/// has more waiting comes again after the others had theirs.
pub const UDP_RECEIVE_BATCH: usize = 32;
/// Bytes of one such buffer: no datagram, and nothing the kernel has gathered, is longer.
pub const UDP_SLOT: usize = 65_536;
/// Messages handed to the kernel in one send call; so many queued datagrams also start one.
pub const UDP_SEND_BATCH: usize = 256;
/// So many queued bytes start a send call before the turn ends: they are still in the cache.
pub const UDP_SEND_BYTES: usize = 512 * 1024;
/// Datagrams in one message that the kernel cuts up (`UDP_MAX_SEGMENTS` of older kernels).
pub const UDP_SEGMENTS: usize = 64;
/// Longest datagram over IPv4: 65,535 less the headers. Also the bound of a message to be cut up.
pub const UDP_LONGEST_V4: usize = 65_507;
/// Longest datagram over IPv6: its length field does not count the IP header.
pub const UDP_LONGEST_V6: usize = 65_527;
/// So many messages in a row that the kernel did not cut up suspend the attempt.
pub const UDP_GSO_REFUSALS: u32 = 8;
/// For how long it is suspended: a route may change.
pub const UDP_GSO_PAUSE: Duration = Duration::from_secs(10);
/// Default bound of queued bytes while the kernel takes none; what comes then is dropped.
pub const UDP_QUEUE_BYTES: usize = 2 * 1024 * 1024;
/// Default bound of queued datagrams while the kernel takes none.
pub const UDP_QUEUE_DATAGRAMS: usize = 4096;
/// An emptied queue with more room than this is given back to the allocator.
pub const UDP_QUEUE_KEPT: usize = 1024 * 1024;
/// Errors taken off a socket in one go, each of which may stand before waiting datagrams.
pub const UDP_RECEIVE_ERRORS: usize = 8;
/// Failures told one by one in a turn; the rest is only counted.
pub const UDP_FAILURES_TOLD: usize = 16;

// ---- HTTP ----

/// Bytes of a whole head; what a connection keeps while a head is incomplete is not larger, but for
/// the empty lines before it.
pub const HTTP_HEAD: usize = 16 * 1024;
/// Bytes of a request target; RFC 9112 3 asks for 8,000 in the request line.
pub const HTTP_TARGET: usize = 8 * 1024;
/// Bytes of the first line: a target, the longest method and the version.
pub const HTTP_START_LINE: usize = HTTP_TARGET + 32;
/// Headers of one head; browsers send about twenty.
pub const HTTP_HEADERS: usize = 100;
/// Empty lines before a request, which old clients send after a body (RFC 9112 2.2).
pub const HTTP_EMPTY_LINES: usize = 4;
/// Hexadecimal digits in a chunk size; sixteen fill a u64, leading zeros included.
pub const HTTP_CHUNK_SIZE_DIGITS: u8 = 16;
/// Bytes of chunk extensions in a whole body. Nobody reads them; without a bound a peer could send
/// megabytes of them around a body of a few bytes.
pub const HTTP_CHUNK_EXTENSIONS: u32 = 4 * 1024;
/// Bytes of trailers after the last chunk, which are skipped.
pub const HTTP_TRAILERS: u32 = 4 * 1024;
/// Parameters in one pattern; they are kept on the stack during a lookup.
pub const HTTP_ROUTE_PARAMS: usize = 8;
/// Default bound of a request's body.
pub const HTTP_BODY: u64 = 1024 * 1024;
/// Default time a client may be silent between two requests.
pub const HTTP_KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Default time from the first byte of a head to its last.
pub const HTTP_HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Default time from the end of a head to the end of its body.
pub const HTTP_BODY_WITHIN: Duration = Duration::from_secs(60);
/// Default time a reply may be held; below the keep-alive time, which goes on meanwhile.
pub const HTTP_HELD: Duration = Duration::from_secs(60);
/// Room for the head of an answer that is composed for many; a longer one grows it.
pub const HTTP_COMPOSED_HEAD: usize = 512;
/// Bytes of further requests that wait behind a held reply.
pub const HTTP_BEHIND_HELD: usize = 64 * 1024;

// ---- HTTP client ----

/// Bytes of a URL; as many as of the target of a request that is accepted here.
pub const HTTP_URL: usize = 8 * 1024;
/// Default bound of the redirects one request follows.
pub const HTTP_REDIRECTS: u32 = 5;
/// Interim answers (1xx) before the final one.
pub const HTTP_INTERIM: u32 = 8;
/// Bytes of a redirect's body that are read and thrown away so that the connection can be kept.
pub const HTTP_SKIPPED: u64 = 64 * 1024;
/// Default bound of the body of an answer that is collected.
pub const HTTP_ANSWER: u64 = 16 * 1024 * 1024;
/// Default time from the last byte of a request to the end of the answer's head.
pub const HTTP_ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Default time a server may be silent within a body.
pub const HTTP_SILENT: Duration = Duration::from_secs(30);
/// Default time for everything one request takes, where its answer is collected.
pub const HTTP_TOTAL: Duration = Duration::from_secs(60);
/// Default bound of the connections to one origin; further requests wait for one of them.
pub const HTTP_CONNECTIONS: usize = 64;
/// Requests that wait for a connection to one origin; one more is refused.
pub const HTTP_WAITING: usize = 1024;
/// Default bound of the idle connections kept for one origin.
pub const HTTP_IDLE: usize = 8;
/// Idle connections one client keeps for all origins together.
pub const HTTP_IDLE_IN_ALL: usize = 1024;
/// Default time an idle connection is kept; shorter than what most servers keep theirs.
pub const HTTP_IDLE_FOR: Duration = Duration::from_secs(30);

// ---- WebSocket ----

/// Default bound of a WebSocket message, in one piece or joined.
pub const WEBSOCKET_MESSAGE: usize = 1024 * 1024;
/// Default bound of the frames one message comes in. Empty pieces cost no memory, but they would let
/// a message go on for ever.
pub const WEBSOCKET_PIECES: u32 = 4096;
/// Default room for messages a session keeps between them; what a bigger one took is given back.
pub const WEBSOCKET_KEPT: usize = 16 * 1024;
/// Silence after which a WebSocket peer is asked for a sign of life; as long again ends it.
pub const WEBSOCKET_PING: Duration = Duration::from_secs(30);
/// How long a WebSocket peer may take to answer a goodbye.
pub const WEBSOCKET_GOODBYE: Duration = Duration::from_secs(5);
/// How long a server may take to answer a WebSocket request.
pub const WEBSOCKET_ANSWER: Duration = Duration::from_secs(10);
