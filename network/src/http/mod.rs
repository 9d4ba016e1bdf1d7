//! HTTP/1.1, both sides, over the connections of a loop.
//!
//! | file | what |
//! | --- | --- |
//! | `head.rs`, `target.rs`, `method.rs`, `status.rs`, `date.rs`, `lexical.rs` | heads, read strictly |
//! | `body.rs` | where a body ends |
//! | `write.rs` | heads and chunks, written |
//! | `router.rs` | method and path to handler |
//! | `server.rs`, `reply.rs` | a connection that answers requests, and how they are answered |
//! | `client.rs`, `url.rs` | requests to others |
//!
//! Absent on purpose: bodies of requests as a stream (they are collected, up to the route's bound),
//! trailers (read and skipped), compression of transfer, HTTP/1.1 upgrades to anything but what a
//! handler takes the connection over for.

mod body;
mod client;
mod date;
mod head;
mod lexical;
mod method;
mod reply;
mod router;
mod server;
mod status;
mod target;
mod url;
mod write;

pub use body::{BodyDecoder, BodyEvent, BodyFraming, BodyStep};
pub use client::{
    AddressGuard, Client, ClientCause, ClientError, ClientOptions, ClientRequest, ClientResponse,
    ClientTimeout, Fetch, Incoming, ResponseHandler,
};
pub use date::http_date;
pub use head::{HeadScan, HeaderSpace, Headers, Parsed, RequestHead, ResponseHead, Version};
pub use method::{Method, MethodSet};
pub use reply::{Answered, Body, BodyWriter, Composed, Held, Reply};
pub use router::{Lookup, Params, RouteError, Router};
pub use server::{Failure, Request, Server, ServerBuilder};
pub use status::{HttpError, StatusCode};
pub use target::{
    Query, QueryParam, Target, TargetForm, percent_decode, safe_segment, safe_segments,
};
pub use url::{Url, UrlError};
pub use write::{
    CHUNK_END, ChunkHeader, LAST_CHUNK, ReplyTo, RequestWriter, ResponseWriter, WriteError,
    Written, chunk_header, push_decimal,
};
