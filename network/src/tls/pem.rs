//! Certificates and keys from PEM files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// Bytes of a PEM file; a whole system's bundle of roots is a quarter of it, and who names a device or a
/// log by mistake is told so.
pub const PEM_AT_MOST: u64 = 1024 * 1024;

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
        .and_then(|opened| opened.take(PEM_AT_MOST + 1).read_to_end(&mut text))
        .map_err(|error| TlsError::file(file, error.to_string()))?;
    if text.len() as u64 > PEM_AT_MOST {
        let what = format!("more than {PEM_AT_MOST} bytes, so no PEM file of ours");
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
