//! Certificates and keys from PEM files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;
use crate::limits;

/// All certificates of a file, in its order; at least one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(&read(file)?)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::file(file, what_is_wrong(&error)))?;
    if all.is_empty() {
        return Err(TlsError::file(file, "no PEM certificate inside (BEGIN CERTIFICATE)"));
    }
    Ok(all)
}

/// The first private key of a file.
pub(super) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(file)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let what = match error {
            Error::NoItemsFound if has(&text, b"BEGIN ENCRYPTED PRIVATE KEY") => {
                "the private key is locked by a pass phrase; an unlocked one is expected".into()
            }
            Error::NoItemsFound => "no PEM private key inside (BEGIN PRIVATE KEY)".into(),
            error => what_is_wrong(&error),
        };
        TlsError::file(file, what)
    })
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let mut text = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(limits::PEM_AT_MOST + 1).read_to_end(&mut text))
        .map_err(|error| TlsError::file(file, error.to_string()))?;
    if text.len() as u64 > limits::PEM_AT_MOST {
        let what = format!("more than {} bytes, so no PEM file of ours", limits::PEM_AT_MOST);
        return Err(TlsError::file(file, what));
    }
    Ok(text)
}

fn has(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|window| window == words)
}

fn what_is_wrong(error: &Error) -> String {
    match error {
        Error::MissingSectionEnd { .. } => "the last PEM section has no END line".into(),
        Error::IllegalSectionStart { .. } => "a BEGIN line does not end in five dashes".into(),
        Error::Base64Decode(_) => "what stands between BEGIN and END is not base64".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    /// A file that is removed with the value.
    struct Temp(PathBuf);

    impl Temp {
        fn new(name: &str, content: &[u8]) -> Self {
            let name = format!("weir-pem-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, content).unwrap();
            Self(path)
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_chain_and_its_key_may_share_a_file() {
        let own = rcgen::generate_simple_self_signed(["example.test".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["other.test".to_owned()]).unwrap();
        let text = format!(
            "a comment\n{}{}\r\n{}",
            own.cert.pem(),
            own.signing_key.serialize_pem(),
            other.cert.pem()
        );
        let file = Temp::new("both", text.as_bytes());
        assert_eq!(
            certificates(&file.0).unwrap(),
            [own.cert.der().clone(), other.cert.der().clone()]
        );
        assert_eq!(key(&file.0).unwrap().secret_der(), own.signing_key.serialized_der());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_name() {
        let own = rcgen::generate_simple_self_signed(["example.test".to_owned()]).unwrap();
        let (certificate, private) = (own.cert.pem(), own.signing_key.serialize_pem());
        let locked = private.replace("PRIVATE", "ENCRYPTED PRIVATE");
        let cut = certificate.split("-----END").next().unwrap();
        let spoilt = certificate.replacen("MII", "M!I", 1).replacen("MIIB", "M!IB", 1);
        let three = certificate.replacen("CERTIFICATE-----", "CERTIFICATE---", 1);
        let (no_certificate, no_key) = ("no PEM certificate inside", "no PEM private key");
        for (name, content, of_certificate, of_key) in [
            ("empty", "", no_certificate, no_key),
            ("key", &private, no_certificate, ""),
            ("certificate", &certificate, "", no_key),
            ("locked", &locked, no_certificate, "locked by a pass phrase"),
            ("cut", cut, "no END line", "no END line"),
            ("spoilt", &spoilt, "is not base64", "is not base64"),
            ("three", &three, "five dashes", "five dashes"),
        ] {
            let file = Temp::new(name, content.as_bytes());
            let results = [certificates(&file.0).map(drop), key(&file.0).map(drop)];
            for (result, expected) in results.into_iter().zip([of_certificate, of_key]) {
                match result {
                    Ok(()) => assert_eq!(expected, "", "{name}"),
                    Err(error) => {
                        let told = error.to_string();
                        assert!(told.starts_with(file.0.to_str().unwrap()), "{told}");
                        assert!(!expected.is_empty() && told.contains(expected), "{name}: {told}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_file_that_is_none_is_said_to_be_so() {
        for (path, expected) in [
            ("/nowhere/certificate.pem", "No such file"),
            ("/", "Is a directory"),
            ("/dev/zero", "more than 1048576 bytes"),
        ] {
            let told = certificates(Path::new(path)).unwrap_err().to_string();
            assert!(told.starts_with(path) && told.contains(expected), "{told}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(-----BEGIN |-----END |CERTIFICATE|PRIVATE KEY|-----|\n|\\PC){0,40}") {
            let all: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
            prop_assert!(all.len() <= text.len());
            let _ = PrivateKeyDer::from_pem_slice(text.as_bytes());
        }
    }
}
