//! What one player's stream takes on the wire.

/// Access units of sound per second: AAC at 44.1 kHz.
const SOUNDS: f64 = 44_100.0 / 1024.0;
/// Bytes a frame of TCP/IPv4 over Ethernet has beside its payload: preamble and gap (20), Ethernet
/// header and checksum (18), IP (20), TCP with timestamps (32).
const PACKET: f64 = 90.0;
/// Of them, those that count for the MTU.
const WITHIN_MTU: f64 = 52.0;

/// How a stream is carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Format {
    /// RTMP
    Rtmp,
    /// FLV over HTTP
    HttpFlv,
    /// FLV over WebSocket
    WsFlv,
    /// MPEG-TS over HTTP
    HttpTs,
    /// Fragmented MP4 over HTTP
    HttpFmp4,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Rtmp, Self::HttpFlv, Self::WsFlv, Self::HttpTs, Self::HttpFmp4];

    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rtmp => "RTMP",
            Self::HttpFlv => "HTTP-FLV",
            Self::WsFlv => "WebSocket-FLV",
            Self::HttpTs => "HTTP-TS",
            Self::HttpFmp4 => "HTTP-fMP4",
        }
    }
}

/// A stream of pictures and sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stream {
    /// Bits per second of payload, both together.
    pub rate: f64,
    /// Pictures per second.
    pub fps: f64,
    /// Seconds between keyframes.
    pub gop: f64,
    /// How many times as long as others a keyframe is.
    pub key_ratio: f64,
}

impl Stream {
    /// Bytes of a keyframe.
    pub fn key_bytes(&self) -> f64 {
        let pictures = (self.fps * self.gop).max(1.0);
        let bytes = self.rate / 8.0 * self.gop;
        bytes * self.key_ratio / (pictures + self.key_ratio - 1.0)
    }

    /// Bits per second of payload and what the format puts around it.
    pub fn framed(&self, format: Format) -> f64 {
        let frames = self.fps + SOUNDS;
        let bytes = self.rate / 8.0;
        let around = match format {
            // A full chunk header and the tag body's own; a byte per further chunk of 60,000.
            Format::Rtmp => frames * 12.0 + self.fps * 5.0 + SOUNDS * 2.0 + bytes / 60_000.0,
            // Tag header and trailer, the body's own.
            Format::HttpFlv => frames * 15.0 + self.fps * 5.0 + SOUNDS * 2.0,
            // And a message's header for each write, at most one per picture.
            Format::WsFlv => frames * 15.0 + self.fps * 9.0 + SOUNDS * 2.0,
            // Packets of 188 bytes with 184 of payload, half a packet lost at each frame's end, a PES
            // header of some 14 bytes, PAT and PMT at each keyframe.
            Format::HttpTs => bytes * 4.0 / 184.0 + frames * (94.0 + 14.0) + 376.0 / self.gop,
            // A fragment of some 180 bytes and a chunk's frame for each picture, 8 bytes a sample.
            Format::HttpFmp4 => self.fps * 190.0 + frames * 8.0,
        };
        self.rate + around * 8.0
    }

    /// Bits per second on the wire, where packets are full.
    pub fn on_wire(&self, format: Format, mtu: f64) -> f64 {
        let payload = (mtu - WITHIN_MTU).max(1.0);
        self.framed(format) * (payload + PACKET) / payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream = Stream { rate: 2.5e6, fps: 30.0, gop: 2.0, key_ratio: 6.0 };

    #[test]
    fn formats_take_their_part_and_packets_theirs() {
        for format in Format::ALL {
            let framed = STREAM.framed(format) / STREAM.rate;
            assert!((1.001..1.06).contains(&framed), "{format:?} {framed}");
            let wire = STREAM.on_wire(format, 1500.0) / STREAM.framed(format);
            assert!((wire - 1538.0 / 1448.0).abs() < 1e-9);
        }
        assert!(STREAM.framed(Format::Rtmp) < STREAM.framed(Format::HttpFlv));
        assert!(STREAM.framed(Format::HttpFlv) < STREAM.framed(Format::HttpTs));
    }

    #[test]
    fn a_keyframe_has_its_share_of_the_gop() {
        // 60 pictures in 65 parts, of which the keyframe has 6.
        assert_eq!(STREAM.key_bytes().round(), (625_000.0_f64 * 6.0 / 65.0).round());
    }
}
