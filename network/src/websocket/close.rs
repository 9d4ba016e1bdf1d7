//! Why a session ends: the codes, and the payload of a close frame, bytes to value and value to bytes.

use super::frame::CONTROL_AT_MOST;
use thiserror::Error;

/// Longest reason a close frame has room for beside its code.
pub const REASON_AT_MOST: usize = CONTROL_AT_MOST - 2;

/// The reason for an end as a number; RFC 6455, section 7.4.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(
    /// The number as it stands on the wire.
    pub u16,
);

impl CloseCode {
    /// The work is done.
    pub const NORMAL: Self = Self(1000);
    /// The server stops, or the page is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// This kind of message is not taken, such as binary where text is spoken.
    pub const UNSUPPORTED: Self = Self(1003);
    /// The close frame had no code. Never on the wire.
    pub const NO_STATUS: Self = Self(1005);
    /// The connection ended without a close frame. Never on the wire.
    pub const ABNORMAL: Self = Self(1006);
    /// A text was not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// A rule of the receiver was broken for which there is no better code.
    pub const POLICY: Self = Self(1008);
    /// A message was too big.
    pub const TOO_BIG: Self = Self(1009);
    /// The client misses an extension.
    pub const EXTENSION: Self = Self(1010);
    /// The server cannot go on.
    pub const INTERNAL: Self = Self(1011);

    /// Whether a close frame may carry this code: those the RFC defines, and the ranges it leaves to
    /// libraries (3000 and up) and to applications (4000 and up).
    #[must_use]
    pub fn is_valid_on_wire(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl std::fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for CloseCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match *self {
            Self::NORMAL => " (normal)",
            Self::GOING_AWAY => " (going away)",
            Self::PROTOCOL => " (protocol error)",
            Self::UNSUPPORTED => " (unsupported data)",
            Self::NO_STATUS => " (no status)",
            Self::ABNORMAL => " (abnormal)",
            Self::INVALID_PAYLOAD => " (invalid payload)",
            Self::POLICY => " (policy)",
            Self::TOO_BIG => " (too big)",
            Self::EXTENSION => " (extension missing)",
            Self::INTERNAL => " (internal error)",
            _ => "",
        };
        write!(f, "{}{name}", self.0)
    }
}

/// A close payload that no peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CloseError {
    /// One byte, where there is none or a code of two.
    #[error("peer sent a close frame of one byte; a code has two")]
    HalfACode,
    /// A code that must not be on the wire.
    #[error("peer closed with code {0}, which must not be sent")]
    Code(CloseCode),
    /// The reason is not UTF-8.
    #[error("peer closed with a reason that is not UTF-8")]
    ReasonNotUtf8,
}

/// Reads the payload of a close frame. An empty one means [`CloseCode::NO_STATUS`].
///
/// # Errors
/// The payload is none a peer may send.
pub fn parse(payload: &[u8]) -> Result<(CloseCode, &str), CloseError> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() {
            Ok((CloseCode::NO_STATUS, ""))
        } else {
            Err(CloseError::HalfACode)
        };
    };
    let code = CloseCode(u16::from_be_bytes(*code));
    if !code.is_valid_on_wire() {
        return Err(CloseError::Code(code));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| CloseError::ReasonNotUtf8)?;
    Ok((code, reason))
}

/// The payload of a close frame: an array and how much of its front counts.
/// [`CloseCode::NO_STATUS`] gives an empty one. A reason above [`REASON_AT_MOST`] bytes is cut at a
/// character.
#[must_use]
pub fn emit(code: CloseCode, reason: &str) -> ([u8; CONTROL_AT_MOST], usize) {
    let mut payload = [0; CONTROL_AT_MOST];
    if code == CloseCode::NO_STATUS {
        return (payload, 0);
    }
    let most = reason.len().min(REASON_AT_MOST);
    let cut = (0..=most).rev().find_map(|at| reason.get(..at));
    let reason = cut.unwrap_or_default().as_bytes();
    let bytes = code.0.to_be_bytes();
    for (to, from) in payload.iter_mut().zip(bytes.iter().chain(reason)) {
        *to = *from;
    }
    (payload, bytes.len() + reason.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_codes_of_the_wire() {
        for code in 0..=u16::MAX {
            let expected =
                [1000..=1003, 1007..=1014, 3000..=4999].iter().any(|range| range.contains(&code));
            assert_eq!(CloseCode(code).is_valid_on_wire(), expected, "{code}");
            let parsed = parse(&code.to_be_bytes()).map(|(code, _)| code.0);
            let refused = CloseError::Code(CloseCode(code));
            assert_eq!(parsed, if expected { Ok(code) } else { Err(refused) });
        }
    }

    #[test]
    fn odd_payloads() {
        assert_eq!(parse(b""), Ok((CloseCode::NO_STATUS, "")));
        assert_eq!(parse(&[3]), Err(CloseError::HalfACode));
        assert_eq!(parse(&[3, 232, 0xce]), Err(CloseError::ReasonNotUtf8));
        assert_eq!(parse(&[3, 232, 0xce, 0xba]), Ok((CloseCode::NORMAL, "\u{3ba}")));
        assert_eq!(emit(CloseCode::NO_STATUS, "lost").1, 0);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let (payload, len) = emit(CloseCode::NORMAL, &"\u{20ac}".repeat(50));
        assert_eq!(len, 2 + 41 * 3, "41 whole characters fit into 123 bytes");
        assert!(parse(&payload[..len]).is_ok());
        let (payload, len) = emit(CloseCode::NORMAL, &"\u{e9}".repeat(80));
        assert_eq!(len, 2 + 122);
        assert!(parse(&payload[..len]).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(code in 3000..5000_u16, reason in "\\PC{0,30}") {
            let (payload, len) = emit(CloseCode(code), &reason);
            prop_assert_eq!(parse(&payload[..len]), Ok((CloseCode(code), reason.as_str())));
        }
    }
}
