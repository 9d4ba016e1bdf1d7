//! TLS, by rustls, between a connection's socket and its handler.
//!
//! | file | what |
//! | --- | --- |
//! | `server.rs` | certificates, which of them a client is shown, and their reload |
//! | `client.rs` | whom a client trusts |
//! | `channel.rs` | one session at work: ciphertext to plaintext and back |
//! | `pem.rs` | certificates and keys from files |
//! | `explain.rs` | what went wrong, as a sentence |
//!
//! TLS 1.2 and 1.3, with the cryptography of `aws-lc-rs`. There is no plaintext fallback, no way to
//! switch verification off, and no client certificates: who may publish is decided above this crate.

mod channel;
mod client;
mod explain;
mod pem;
mod server;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

pub(crate) use channel::Channel;
pub use client::TlsClient;
pub use server::TlsServer;

/// What is wrong with certificates, keys or names.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of the kind that is looked for.
    #[error("{file}: {what}")]
    File {
        /// The file as it was given, or what stands for it where there is none.
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
    /// Nobody to trust: the system has no root certificates, or none that can be read.
    #[error("this system has no root certificates ({0}); give a PEM file with those to trust")]
    NoRoots(String),
}

impl TlsError {
    fn file(file: &Path, what: impl Into<String>) -> Self {
        Self::File { file: file.display().to_string(), what: what.into() }
    }
}

/// The cryptography, given to every configuration by hand: a process-wide default would be a matter
/// between all crates of the process.
fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    &PROVIDER
}
