//! Connections, and how they come about: listeners accept them, connectors make them.
//!
//! | file | what |
//! | --- | --- |
//! | `connection.rs` | what a handler can do with its connection |
//! | `handler.rs` | what a handler is told |
//! | `source.rs` | the state machine between the two and the loop |
//! | `queue.rs` | what waits to be sent |
//! | `options.rs` | socket options and bounds |
//! | `listener.rs`, `limiter.rs` | accepting, and how many |
//! | `connector.rs`, `backoff.rs` | connecting, and trying again |
//! | `endpoint.rs` | addresses as people write them |

mod backoff;
mod connection;
mod connector;
mod endpoint;
mod handler;
mod limiter;
mod listener;
mod options;
mod queue;
mod source;

pub use backoff::Backoff;
pub use connection::{Connection, Detached, TcpInfo};
pub use connector::{Connect, ConnectCause, ConnectError, Connected, Connecting};
pub use endpoint::{Endpoint, EndpointError, Reach};
pub use handler::{CloseReason, Handler};
pub use limiter::{Limiter, Pass, Refusal};
pub(crate) use listener::Listener;
pub use listener::{Accepted, Bound, Listen, ListenError, Placement};
pub use options::{Keepalive, Options};
pub use queue::FileRange;
pub(crate) use queue::Spares;
