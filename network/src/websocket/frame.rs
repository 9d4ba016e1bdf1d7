//! A frame's header, bytes to value and value to bytes side by side, and the masking of its payload.
//!
//! ```text
//!  byte 0               byte 1            0, 2 or 8 bytes     0 or 4 bytes   `len` bytes
//! +---+------+--------+------+---------+-------------------+--------------+--------------+
//! |fin| rsv3 | opcode | mask | 7 bits  | len, if 7 bits do | masking key  | payload      |
//! |   | = 0  |  4     |      | of len  | not hold it       | if `mask`    | (xor key)    |
//! +---+------+--------+------+---------+-------------------+--------------+--------------+
//! ```
//!
//! No extension is ever agreed, so the three reserved bits are always zero. A server sends unmasked:
//! its header goes in front of a payload that all receivers share.

use thiserror::Error;

/// Length of the longest header: two bytes, eight of length, four of masking key.
pub const HEADER_AT_MOST: usize = 14;
/// Longest payload of a control frame; RFC 6455, section 5.5.
pub const CONTROL_AT_MOST: usize = 125;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further piece of the message begun earlier.
    Continuation = 0,
    /// A message of UTF-8, or its first piece.
    Text = 1,
    /// A message of bytes, or its first piece.
    Binary = 2,
    /// The last frame of its sender.
    Close = 8,
    /// A question whether the peer is there.
    Ping = 9,
    /// The answer to a ping, or a sign of life without one.
    Pong = 10,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Whether this is a close, ping or pong: never in pieces, never longer than 125 bytes.
    #[must_use]
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Everything of a frame but its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether the message ends with this frame.
    pub fin: bool,
    /// What the frame carries.
    pub opcode: Opcode,
    /// Length of the payload, below 2^63.
    pub len: u64,
    /// The key the payload is masked with: always there from a client, never from a server.
    pub mask: Option<[u8; 4]>,
}

/// A header that no peer may send. Each is the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// A reserved bit is set.
    #[error("peer set reserved bits ({0:#04x}) of a frame, but no extension was agreed")]
    ReservedBits(u8),
    /// The opcode has no meaning.
    #[error("peer sent a frame with the reserved opcode {0:#x}")]
    ReservedOpcode(u8),
    /// A control frame without `fin`.
    #[error("peer sent a {0:?} frame in pieces; control frames are whole")]
    ControlInPieces(Opcode),
    /// A control frame above 125 bytes.
    #[error("peer sent a {0:?} frame longer than {CONTROL_AT_MOST} bytes")]
    ControlTooLong(Opcode),
    /// A length in more bytes than it needs.
    #[error("peer wrote the frame length {0} in more bytes than it needs")]
    LengthNotMinimal(u64),
    /// A length with the top bit set.
    #[error("peer sent the frame length {0:#x}; its top bit has to be zero")]
    LengthTopBit(u64),
}

impl Header {
    /// Reads a header off the front of `input`: the header and how many bytes it took, or `None`
    /// while bytes are missing. What is wrong is said as early as the bytes show it.
    ///
    /// # Errors
    /// The bytes begin no frame a peer may send.
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, HeaderError> {
        let Some((&first, rest)) = input.split_first() else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(HeaderError::ReservedBits(first & 0x70));
        }
        let bits = first & 0x0f;
        let opcode = Opcode::from_bits(bits).ok_or(HeaderError::ReservedOpcode(bits))?;
        let fin = first & 0x80 != 0;
        if opcode.is_control() && !fin {
            return Err(HeaderError::ControlInPieces(opcode));
        }

        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        let short = second & 0x7f;
        if opcode.is_control() && usize::from(short) > CONTROL_AT_MOST {
            return Err(HeaderError::ControlTooLong(opcode));
        }
        let (len, rest) = match short {
            126 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                let len = u64::from(u16::from_be_bytes(*bytes));
                if len < 126 {
                    return Err(HeaderError::LengthNotMinimal(len));
                }
                (len, rest)
            }
            127 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                let len = u64::from_be_bytes(*bytes);
                if len >> 63 != 0 {
                    return Err(HeaderError::LengthTopBit(len));
                }
                if len <= u64::from(u16::MAX) {
                    return Err(HeaderError::LengthNotMinimal(len));
                }
                (len, rest)
            }
            _ => (u64::from(short), rest),
        };

        let (mask, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            let Some((key, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (Some(*key), rest)
        };
        let header = Self { fin, opcode, len, mask };
        Ok(Some((header, input.len().saturating_sub(rest.len()))))
    }

    /// The header as bytes: the array and how much of its front counts.
    #[must_use]
    pub fn emit(&self) -> ([u8; HEADER_AT_MOST], usize) {
        let mut bytes = [0; HEADER_AT_MOST];
        bytes[0] = (u8::from(self.fin) << 7) | self.opcode as u8;
        let length = self.len.to_be_bytes();
        let mut at = match self.len {
            0..=125 => {
                bytes[1] = length[7];
                2
            }
            126..=0xffff => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&length[6..]);
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&length);
                10
            }
        };
        if let Some(key) = self.mask {
            bytes[1] |= 0x80;
            bytes[at..at + 4].copy_from_slice(&key);
            at += 4;
        }
        (bytes, at)
    }
}

/// The bytes in front of a payload of `payload_len` bytes: an array and how much of its front counts.
/// With a key the payload has to be masked by [`mask`]; without one it may be shared by any number of
/// receivers, each with these few bytes before it.
#[must_use]
pub fn header(
    opcode: Opcode,
    fin: bool,
    payload_len: usize,
    mask: Option<[u8; 4]>,
) -> ([u8; HEADER_AT_MOST], usize) {
    let len = payload_len as u64;
    Header { fin, opcode, len, mask }.emit()
}

/// Masks or unmasks `data` in place, eight bytes at a time. `offset` is the position of its first byte
/// in the frame's payload.
pub fn mask(data: &mut [u8], key: [u8; 4], offset: usize) {
    let mut turned = key;
    turned.rotate_left(offset % 4);
    let [a, b, c, d] = turned;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = data.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn opcodes() -> impl Strategy<Value = Opcode> {
        prop_oneof![
            Just(Opcode::Continuation),
            Just(Opcode::Text),
            Just(Opcode::Binary),
            Just(Opcode::Close),
            Just(Opcode::Ping),
            Just(Opcode::Pong),
        ]
    }

    fn lengths() -> impl Strategy<Value = u64> {
        prop_oneof![0..300_u64, 65_000..66_000_u64, 0..=u64::MAX >> 1, Just(u64::MAX >> 1)]
    }

    #[test]
    fn the_examples_of_the_rfc() {
        assert_eq!(
            &header(Opcode::Text, true, 5, None).0[..2],
            &[0x81, 0x05],
            "an unmasked text of five bytes"
        );
        let (bytes, len) = header(Opcode::Text, true, 5, Some([0x37, 0xfa, 0x21, 0x3d]));
        assert_eq!(&bytes[..len], &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d]);
        let mut hello = *b"Hello";
        mask(&mut hello, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(hello, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        let (bytes, len) = header(Opcode::Binary, true, 256, None);
        assert_eq!(&bytes[..len], &[0x82, 0x7e, 0x01, 0x00]);
        let (bytes, len) = header(Opcode::Binary, true, 65536, None);
        assert_eq!(&bytes[..len], &[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn headers_no_peer_may_send() {
        use HeaderError as E;
        let table: [(&[u8], E); 12] = [
            (&[0xc1], E::ReservedBits(0x40)),
            (&[0xa2], E::ReservedBits(0x20)),
            (&[0x91], E::ReservedBits(0x10)),
            (&[0x83], E::ReservedOpcode(3)),
            (&[0x8f], E::ReservedOpcode(15)),
            (&[0x09], E::ControlInPieces(Opcode::Ping)),
            (&[0x88, 126], E::ControlTooLong(Opcode::Close)),
            (&[0x8a, 0xff], E::ControlTooLong(Opcode::Pong)),
            (&[0x82, 126, 0, 125], E::LengthNotMinimal(125)),
            (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], E::LengthNotMinimal(65535)),
            (&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 5], E::LengthNotMinimal(5)),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], E::LengthTopBit(1 << 63)),
        ];
        for (bytes, error) in table {
            assert_eq!(Header::parse(bytes), Err(error), "{bytes:x?}");
            let shorter = &bytes[..bytes.len() - 1];
            assert_eq!(Header::parse(shorter), Ok(None), "{shorter:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(
            opcode in opcodes(), fin: bool, len in lengths(), mask: Option<[u8; 4]>, more: Vec<u8>,
        ) {
            let control = opcode.is_control();
            let header = Header {
                fin: fin || control,
                opcode,
                len: if control { len % 126 } else { len },
                mask,
            };
            let (bytes, size) = header.emit();
            for cut in 0..size {
                prop_assert_eq!(Header::parse(&bytes[..cut]), Ok(None));
            }
            let mut input = bytes[..size].to_vec();
            input.extend_from_slice(&more);
            prop_assert_eq!(Header::parse(&input), Ok(Some((header, size))));
        }

        #[test]
        fn what_is_parsed_is_emitted(bytes: [u8; HEADER_AT_MOST]) {
            if let Ok(Some((header, size))) = Header::parse(&bytes) {
                let (again, same) = header.emit();
                prop_assert_eq!(&again[..same], &bytes[..size]);
            }
        }

        #[test]
        fn masking_agrees_with_one_byte_at_a_time(
            data in proptest::collection::vec(any::<u8>(), 0..100), key: [u8; 4], offset in 0..9_usize,
        ) {
            let slow: Vec<u8> = data
                .iter()
                .enumerate()
                .map(|(i, byte)| byte ^ key[(i + offset) % 4])
                .collect();
            let mut fast = data.clone();
            mask(&mut fast, key, offset);
            prop_assert_eq!(&fast, &slow);
            mask(&mut fast, key, offset);
            prop_assert_eq!(fast, data);
        }
    }
}
