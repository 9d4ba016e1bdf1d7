//! The server's side: certificates, which of them a client is shown, and their reload.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig, ServerConnection};

use super::{Channel, TlsError, pem, provider};

/// Certificates for a listener ([`crate::Listen::tls`]).
///
/// A client names the host it wants (SNI) and is shown the certificate for that name, else the one for
/// the wildcard above it (`*.example.org` stands for one label), else the default one, which is also
/// what clients get that name no host. Of two certificates for one name the one added last is shown.
///
/// Clones are one server: a [`TlsServer::reload`] on any of them is one of all. The methods that add
/// something make a server of its own, so add first and clone then.
#[derive(Clone)]
pub struct TlsServer(Arc<Shared>);

struct Shared {
    entries: Vec<Entry>,
    loaded: ArcSwap<Loaded>,
}

/// A certificate as it was given.
#[derive(Clone)]
struct Entry {
    names: Names,
    origin: Origin,
}

/// For which names a certificate is shown.
#[derive(Clone)]
enum Names {
    /// For those it bears, and whenever no other one fits.
    Default,
    /// For those it bears.
    Own,
    /// For this one, whatever it bears.
    Given(String),
}

#[derive(Clone)]
enum Origin {
    Files { certificate: PathBuf, key: PathBuf },
    Memory(Arc<CertifiedKey>),
}

/// What new handshakes use.
struct Loaded {
    /// One for each entry.
    certificates: Vec<Arc<CertifiedKey>>,
    /// Made anew by each reload and with it the memory of past sessions: a client that resumes one
    /// would be shown no certificate at all.
    config: Arc<ServerConfig>,
}

impl TlsServer {
    /// A server with one certificate, from PEM files: the chain with the server's own certificate
    /// first, and the key. Both may be in one file.
    ///
    /// # Errors
    /// A file is missing or holds nothing of the kind, or the key belongs to another certificate.
    pub fn from_pem_files(
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        let origin = Origin::files(certificate.as_ref(), key.as_ref());
        Self::with_default(origin)
    }

    /// A server with one certificate from memory, DER encoded: the chain with the server's own first,
    /// and the key (PKCS #8, PKCS #1 or SEC1). A reload leaves it as it is.
    ///
    /// # Errors
    /// What is given is no certificate or no key, or they do not belong together.
    pub fn from_der(chain: Vec<Vec<u8>>, key: Vec<u8>) -> Result<Self, TlsError> {
        let (chain_name, key_name) = (Path::new("chain in memory"), Path::new("key in memory"));
        let key = PrivateKeyDer::try_from(key).map_err(|what| TlsError::file(key_name, what))?;
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        let certified = certify(chain, key, chain_name, key_name)?;
        Self::with_default(Origin::Memory(certified))
    }

    /// Adds a certificate that is shown to those who ask for one of the names it bears.
    ///
    /// # Errors
    /// As [`TlsServer::from_pem_files`], or the certificate bears no host name.
    pub fn with_certificate(
        self,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        self.with(Names::Own, Origin::files(certificate.as_ref(), key.as_ref()))
    }

    /// Adds a certificate that is shown to those who ask for `name`, which may begin with `*.`.
    ///
    /// # Errors
    /// As [`TlsServer::from_pem_files`], or `name` is none.
    pub fn with_name(
        self,
        name: &str,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        let origin = Origin::files(certificate.as_ref(), key.as_ref());
        self.with(Names::Given(name.to_owned()), origin)
    }

    /// The application protocols spoken here, the preferred one first. A client that offers protocols
    /// and none of these is refused; one that offers nothing is not.
    #[must_use]
    pub fn with_alpn<P: Into<Vec<u8>>>(self, protocols: impl IntoIterator<Item = P>) -> Self {
        let loaded = self.0.loaded.load();
        let mut config = (*loaded.config).clone();
        config.alpn_protocols = protocols.into_iter().map(Into::into).collect();
        let certificates = loaded.certificates.clone();
        Self::of(self.0.entries.clone(), Loaded { certificates, config: Arc::new(config) })
    }

    /// Reads all files again. From then on new handshakes use what they hold now; connections and
    /// handshakes under way keep what they have. Everybody's next handshake is a full one.
    ///
    /// # Errors
    /// As [`TlsServer::from_pem_files`]. Then all stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let certificates =
            self.0.entries.iter().map(|entry| entry.origin.load()).collect::<Result<_, _>>()?;
        let protocols = self.0.loaded.load().config.alpn_protocols.clone();
        let loaded = Loaded::new(&self.0.entries, certificates, protocols)?;
        self.0.loaded.store(Arc::new(loaded));
        Ok(())
    }

    /// A new session, waiting for its client's first word.
    pub(crate) fn channel(&self) -> Result<Channel, TlsError> {
        let session = ServerConnection::new(Arc::clone(&self.0.loaded.load().config))?;
        Ok(Channel::new(session.into()))
    }

    fn with_default(origin: Origin) -> Result<Self, TlsError> {
        let certificates = vec![origin.load()?];
        let entries = vec![Entry { names: Names::Default, origin }];
        let loaded = Loaded::new(&entries, certificates, Vec::new())?;
        Ok(Self::of(entries, loaded))
    }

    fn with(self, names: Names, origin: Origin) -> Result<Self, TlsError> {
        let loaded = self.0.loaded.load();
        let mut certificates = loaded.certificates.clone();
        certificates.push(origin.load()?);
        let mut entries = self.0.entries.clone();
        entries.push(Entry { names, origin });
        let protocols = loaded.config.alpn_protocols.clone();
        let loaded = Loaded::new(&entries, certificates, protocols)?;
        Ok(Self::of(entries, loaded))
    }

    fn of(entries: Vec<Entry>, loaded: Loaded) -> Self {
        Self(Arc::new(Shared { entries, loaded: ArcSwap::from_pointee(loaded) }))
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsServer ")?;
        f.debug_list().entries(self.0.entries.iter().map(|entry| &entry.origin)).finish()
    }
}

impl Origin {
    fn files(certificate: &Path, key: &Path) -> Self {
        Self::Files { certificate: certificate.to_owned(), key: key.to_owned() }
    }

    fn load(&self) -> Result<Arc<CertifiedKey>, TlsError> {
        let (certificate, key) = match self {
            Self::Files { certificate, key } => (certificate, key),
            Self::Memory(certified) => return Ok(Arc::clone(certified)),
        };
        certify(pem::certificates(certificate)?, pem::key(key)?, certificate, key)
    }
}

/// Puts the two together, or says which of them is at fault.
fn certify(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    chain_name: &Path,
    key_name: &Path,
) -> Result<Arc<CertifiedKey>, TlsError> {
    CertifiedKey::from_der(chain, key, provider()).map(Arc::new).map_err(|error| match error {
        Error::InconsistentKeys(_) => {
            let of = chain_name.display();
            let what = format!("this key does not belong to the first certificate of {of}");
            TlsError::file(key_name, what)
        }
        Error::General(_) => {
            TlsError::file(key_name, "no key of RSA, ECDSA or Ed25519, or a damaged one")
        }
        Error::NoCertificatesPresented => TlsError::file(chain_name, "no certificate inside"),
        Error::InvalidCertificate(_) => {
            TlsError::file(chain_name, "the first certificate is no X.509 certificate")
        }
        other => other.into(),
    })
}

/// Shows where a certificate is from, and never a key.
impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { certificate, .. } => certificate.fmt(f),
            Self::Memory(_) => f.write_str("from memory"),
        }
    }
}

impl Loaded {
    fn new(
        entries: &[Entry],
        certificates: Vec<Arc<CertifiedKey>>,
        protocols: Vec<Vec<u8>>,
    ) -> Result<Self, TlsError> {
        let mut choice = Choice::default();
        for (entry, certified) in entries.iter().zip(&certificates) {
            choice.add(entry, certified)?;
        }
        let mut config = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(choice));
        config.alpn_protocols = protocols;
        Ok(Self { certificates, config: Arc::new(config) })
    }
}

/// Finds the certificate a client is shown.
#[derive(Debug, Default)]
struct Choice {
    default: Option<Arc<CertifiedKey>>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
}

impl Choice {
    fn add(&mut self, entry: &Entry, certified: &Arc<CertifiedKey>) -> Result<(), TlsError> {
        if let Names::Given(name) = &entry.names {
            return self.add_name(name, certified);
        }
        let own = certified.end_entity_cert()?;
        let own = webpki::EndEntityCert::try_from(own)
            .map_err(|error| Error::General(format!("not an X.509 certificate: {error}")))?;
        let mut any = false;
        for name in own.valid_dns_names() {
            self.add_name(name, certified)?;
            any = true;
        }
        match (&entry.names, &entry.origin) {
            (Names::Default, _) => self.default = Some(Arc::clone(certified)),
            (_, Origin::Files { certificate, .. }) if !any => {
                let what = "the certificate bears no host name, so it would be shown to nobody";
                return Err(TlsError::file(certificate, what));
            }
            _ => {}
        }
        Ok(())
    }

    fn add_name(&mut self, name: &str, certified: &Arc<CertifiedKey>) -> Result<(), TlsError> {
        let lower = name.to_ascii_lowercase();
        let (names, key) = match lower.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcard, parent),
            None => (&mut self.exact, lower.as_str()),
        };
        DnsName::try_from(key).map_err(|_| TlsError::Name(name.to_owned()))?;
        names.insert(key.to_owned(), Arc::clone(certified));
        Ok(())
    }

    fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let named = name.and_then(|name| {
            // Rustls has put it in lower case.
            let name = name.strip_suffix('.').unwrap_or(name);
            let above = || self.wildcard.get(name.split_once('.')?.1);
            self.exact.get(name).or_else(above)
        });
        named.or(self.default.as_ref())
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name()).cloned()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn made(names: &[&str]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let own = rcgen::generate_simple_self_signed(names).unwrap();
        (vec![own.cert.der().to_vec()], own.signing_key.serialize_der())
    }

    fn in_memory(names: &[&str]) -> (Origin, Arc<CertifiedKey>) {
        let (chain, key) = made(names);
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::try_from(key).unwrap();
        let certified = Arc::new(CertifiedKey::from_der(chain, key, provider()).unwrap());
        (Origin::Memory(Arc::clone(&certified)), certified)
    }

    /// Certificates of which each has the names given; the first is the default one.
    fn choice(of: &[&[&str]]) -> (Choice, Vec<Arc<CertifiedKey>>) {
        let (mut choice, mut all) = (Choice::default(), Vec::new());
        for names in of {
            let (origin, certified) = in_memory(names);
            let names = if all.is_empty() { Names::Default } else { Names::Own };
            choice.add(&Entry { names, origin }, &certified).unwrap();
            all.push(certified);
        }
        (choice, all)
    }

    fn shown(choice: &Choice, all: &[Arc<CertifiedKey>], name: Option<&str>) -> usize {
        let found = choice.find(name).unwrap();
        all.iter().position(|certified| Arc::ptr_eq(certified, found)).unwrap()
    }

    #[test]
    fn an_exact_name_goes_before_a_wildcard_and_that_before_the_default() {
        let (choice, all) = choice(&[
            &["default.test", "also.example.test"],
            &["*.example.test"],
            &["A.example.test", "b.test"],
            &["*.deep.example.test"],
        ]);
        for (name, expected) in [
            ("default.test", 0),
            ("also.example.test", 0),
            ("any.example.test", 1),
            ("a.example.test", 2),
            ("b.test", 2),
            ("b.test.", 2),
            ("x.deep.example.test", 3),
            ("deep.example.test", 1),
            ("x.y.example.test", 0),
            ("example.test", 0),
            ("test", 0),
            ("", 0),
            (".", 0),
        ] {
            assert_eq!(shown(&choice, &all, Some(name)), expected, "{name}");
        }
        assert_eq!(shown(&choice, &all, None), 0);
    }

    #[test]
    fn a_given_name_counts_whatever_the_certificate_bears() {
        let (mut choice, mut all) = choice(&[&["a.test", "b.test"]]);
        for name in ["B.test", "*.c.test"] {
            let (origin, certified) = in_memory(&["other.test"]);
            choice.add(&Entry { names: Names::Given(name.into()), origin }, &certified).unwrap();
            all.push(certified);
        }
        for (name, expected) in [("a.test", 0), ("b.test", 1), ("x.c.test", 2), ("other.test", 0)] {
            assert_eq!(shown(&choice, &all, Some(name)), expected, "{name}");
        }
        let (origin, certified) = in_memory(&["other.test"]);
        for name in ["", "*.", "*", "a b", "a.*.test", "*.*.test", "-a.test"] {
            let entry = Entry { names: Names::Given(name.into()), origin: origin.clone() };
            let told = choice.add(&entry, &certified).unwrap_err().to_string();
            assert!(told.contains("is not a name"), "{name}: {told}");
        }
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let (chain, key) = made(&["a.test"]);
        let (other, _) = made(&["b.test"]);
        assert!(TlsServer::from_der(chain.clone(), key.clone()).is_ok());
        let noise = b"noise".to_vec();
        let mut cut = key.clone();
        cut.truncate(40);
        for (chain, key, expected) in [
            (other, key.clone(), "key in memory: this key does not belong"),
            (Vec::new(), key.clone(), "chain in memory: no certificate"),
            (vec![noise.clone()], key, "chain in memory: the first certificate is no X.509"),
            (chain.clone(), noise, "key in memory: "),
            (chain, cut, "key in memory: "),
        ] {
            let told = TlsServer::from_der(chain, key).unwrap_err().to_string();
            assert!(told.starts_with(expected), "{told}");
        }
    }

    #[test]
    fn a_server_can_be_shared_and_shows_no_key() {
        fn shared<T: Send + Sync + Clone>(_: &T) {}
        let (chain, key) = made(&["a.test"]);
        let server = TlsServer::from_der(chain, key).unwrap();
        shared(&server);
        assert_eq!(format!("{server:?}"), "TlsServer [from memory]");
        server.reload().unwrap();
        assert!(server.channel().unwrap().is_handshaking());
    }
}
