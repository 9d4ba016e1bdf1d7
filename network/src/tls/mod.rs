//! TLS, by rustls, between a connection's socket and its handler.

mod channel;
mod client;
mod server;

pub(crate) use channel::Channel;
pub use client::TlsClient;
pub use server::TlsServer;

/// What is wrong with certificates, keys or names.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of the kind that is looked for.
    #[error("{file}: {what}")]
    File {
        /// The file as it was given.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// Rustls refuses the combination.
    #[error("TLS configuration: {0}")]
    Config(#[from] rustls::Error),
    /// A host name that no certificate could bear.
    #[error("{0:?} is not a name a certificate can bear")]
    Name(String),
}
