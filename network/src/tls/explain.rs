//! What went wrong with a peer, as a sentence that says whose doing it was.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, OtherError};

/// The sentence, with rustls's own words behind it for those who search for them.
pub(super) fn explain(error: &Error, handshaking: bool) -> String {
    let sentence = match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) if handshaking => {
            "the peer does not speak TLS"
        }
        Error::InvalidCertificate(why) => refused(why),
        Error::AlertReceived(alert) => told(*alert),
        Error::NoApplicationProtocol => "the peer speaks none of our application protocols",
        Error::PeerIncompatible(_) => "the peer and we have no version or cipher in common",
        Error::NoCertificatesPresented => "the peer shows no certificate",
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_)
        | Error::PeerSentOversizedRecord
        | Error::DecryptError => "the peer breaks the protocol",
        _ => "TLS fails on our side",
    };
    format!("{sentence} ({error})")
}

/// Why we do not accept the peer's certificate.
fn refused(why: &CertificateError) -> &'static str {
    use CertificateError as Why;
    match why {
        Why::UnknownIssuer => "the peer's certificate is signed by nobody we trust",
        Why::Expired | Why::ExpiredContext { .. } => "the peer's certificate has expired",
        Why::NotValidYet | Why::NotValidYetContext { .. } => {
            "the peer's certificate is not valid yet; or our clock is wrong"
        }
        Why::NotValidForName | Why::NotValidForNameContext { .. } => {
            "the peer's certificate is for another name"
        }
        Why::BadSignature => "the peer's certificate or handshake has a wrong signature",
        Why::Other(OtherError(error)) if is_authority(&**error) => {
            "the peer's certificate is that of an authority (CA:TRUE), which no server may show"
        }
        _ => "we do not accept the peer's certificate",
    }
}

fn is_authority(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// What the peer told us before it ended the connection.
fn told(alert: AlertDescription) -> &'static str {
    use AlertDescription as Alert;
    match alert {
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA => "the peer does not accept our certificate",
        Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity => {
            "the peer says that we have no version or cipher in common"
        }
        Alert::NoApplicationProtocol => "the peer speaks none of our application protocols",
        Alert::UnrecognisedName => "the peer does not serve the name we asked for",
        _ => "the peer ends TLS with an alert",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_sentence_says_whose_doing_it_was_and_keeps_the_searchable_words() {
        let other = |error| CertificateError::Other(OtherError(Arc::new(error)));
        for (error, sentence, words) in [
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "the peer does not speak TLS",
                "InvalidContentType",
            ),
            (CertificateError::UnknownIssuer.into(), "nobody we trust", "UnknownIssuer"),
            (CertificateError::Expired.into(), "the peer's certificate has expired", "Expired"),
            (
                other(webpki::Error::CaUsedAsEndEntity).into(),
                "that of an authority",
                "CaUsedAsEndEntity",
            ),
            (
                other(webpki::Error::InvalidSerialNumber).into(),
                "we do not accept the peer's certificate",
                "InvalidSerialNumber",
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                "the peer does not accept our certificate",
                "UnknownCA",
            ),
            (Error::DecryptError, "the peer breaks the protocol", "cannot decrypt"),
            (Error::FailedToGetRandomBytes, "on our side", "random bytes"),
        ] {
            let said = explain(&error, true);
            assert!(said.contains(sentence) && said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_wrong_record_after_the_handshake_is_not_taken_for_plaintext() {
        let error = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert!(explain(&error, false).starts_with("the peer breaks the protocol"));
    }
}
