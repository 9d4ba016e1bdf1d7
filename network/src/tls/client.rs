//! The client's side: whom to trust.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::{Channel, TlsError, pem, provider};

/// Whom a client trusts ([`crate::Connect::tls`]). The server has to show a certificate for its name,
/// signed by one of the roots.
///
/// Clones share the memory of past sessions, which shortens the next handshake with the same server.
#[derive(Clone, Debug)]
pub struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    /// Trusts whom the system trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` are heeded. The first call in
    /// a process reads the files, so make it before a loop runs.
    ///
    /// # Errors
    /// The system has no root certificates.
    pub fn system() -> Result<Self, TlsError> {
        static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
        let roots = match ROOTS.get() {
            Some(roots) => roots,
            None => {
                let found = rustls_native_certs::load_native_certs();
                let roots = of_the_system(found.certs, found.errors.first())?;
                ROOTS.get_or_init(|| Arc::new(roots))
            }
        };
        Self::trusting(Arc::clone(roots))
    }

    /// Trusts the certificates of a PEM file, and nobody else: authorities, or a server's self-signed
    /// certificate itself.
    ///
    /// # Errors
    /// The file is missing or holds no certificate, or one that cannot be read.
    pub fn from_pem_file(roots: impl AsRef<Path>) -> Result<Self, TlsError> {
        let file = roots.as_ref();
        let mut store = RootCertStore::empty();
        for (at, root) in pem::certificates(file)?.into_iter().enumerate() {
            let wrong = |_| TlsError::file(file, format!("certificate {} is not X.509", at + 1));
            store.add(root).map_err(wrong)?;
        }
        Self::trusting(Arc::new(store))
    }

    /// Trusts these DER encoded certificates, and nobody else.
    ///
    /// # Errors
    /// One of them is no certificate.
    pub fn from_der(roots: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(CertificateDer::from(root))?;
        }
        Self::trusting(Arc::new(store))
    }

    /// The application protocols offered, the preferred one first.
    #[must_use]
    pub fn with_alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        let config = Arc::make_mut(&mut self.0);
        config.alpn_protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// A new session with the server of that name, about to say its first word.
    pub(crate) fn channel(&self, name: &str) -> Result<Channel, TlsError> {
        let name =
            ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))?;
        let session = ClientConnection::new(Arc::clone(&self.0), name)?;
        Ok(Channel::new(session.into()))
    }

    fn trusting(roots: Arc<RootCertStore>) -> Result<Self, TlsError> {
        let config = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

/// Systems carry a certificate or two that nobody can read; what counts is that some are left.
fn of_the_system(
    found: Vec<CertificateDer<'static>>,
    error: Option<&rustls_native_certs::Error>,
) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let (_, unreadable) = store.add_parsable_certificates(found);
    if store.is_empty() {
        return Err(TlsError::NoRoots(match (error, unreadable) {
            (Some(error), _) => error.to_string(),
            (None, 0) => "none was found".into(),
            (None, count) => format!("{count} were found, all unreadable"),
        }));
    }
    Ok(store)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn nobody_to_trust_is_an_error_that_says_what_to_do() {
        let told = of_the_system(Vec::new(), None).unwrap_err().to_string();
        assert!(told.contains("(none was found)") && told.contains("give a PEM file"), "{told}");
        let noise = vec![CertificateDer::from(b"noise".to_vec()); 2];
        let told = of_the_system(noise.clone(), None).unwrap_err().to_string();
        assert!(told.contains("(2 were found, all unreadable)"), "{told}");
        // One that can be read makes up for those that cannot.
        let own = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let found = noise.into_iter().chain([own.cert.der().clone()]).collect();
        assert_eq!(of_the_system(found, None).unwrap().len(), 1);
    }

    #[test]
    fn a_root_that_is_none_is_refused() {
        let told = TlsClient::from_der([b"noise".to_vec()]).unwrap_err().to_string();
        assert!(told.starts_with("TLS configuration: "), "{told}");
    }

    #[test]
    fn names_and_addresses_can_be_called_and_nothing_else() {
        let own = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let client = TlsClient::from_der([own.cert.der().to_vec()]).unwrap();
        for name in ["a.test", "A.Test", "a.test.", "127.0.0.1", "::1"] {
            let channel = client.channel(name).unwrap();
            assert!(channel.is_handshaking() && channel.wants_write(), "{name}");
        }
        for name in ["", "a b", "*.test", "[::1]", "a.test:443"] {
            let error = client.channel(name).err();
            assert!(matches!(error, Some(TlsError::Name(wrong)) if wrong == name), "{name}");
        }
    }
}
