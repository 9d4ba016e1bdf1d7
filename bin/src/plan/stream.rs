//! What one player's stream takes on the wire.

/// Access units of sound per second: AAC at 44.1 kHz.
const SOUNDS: f64 = 44_100.0 / 1024.0;
/// Bytes a frame of TCP/IPv4 over Ethernet has beside its payload: preamble and gap (20), Ethernet
/// header and checksum (18), IP (20), TCP with timestamps (32).
const PACKET: f64 = 90.0;
/// Of them, those that count for the MTU.
const WITHIN_MTU: f64 = 52.0;

/// Seconds of a fragment of MP4, of a part of low-latency HLS.
const PART: f64 = 0.2;
/// Bytes around a fragment, beside those for each of its samples.
const FRAGMENT: f64 = 110.0;
/// Bytes of an answer's head, of a playlist and of a manifest, as Weir has them for six segments of two
/// seconds. Players that take gzip get a fifth of a playlist.
const HEAD: f64 = 240.0;
const LIST: f64 = 2700.0;
const MANIFEST: f64 = 2060.0;
/// Least seconds of a segment.
const SEGMENT: f64 = 2.0;
/// Pictures and sound are files of their own in HLS and DASH.
const RENDITIONS: f64 = 2.0;
/// A DASH player asks for the manifest as often.
const MANIFESTS: f64 = 2.0;

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
    /// HLS, segments of MP4
    Hls,
    /// Low-latency HLS, parts of MP4 and reloads that the server holds
    LlHls,
    /// DASH, segments that are sent while they grow
    Dash,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Rtmp,
        Self::HttpFlv,
        Self::WsFlv,
        Self::HttpTs,
        Self::HttpFmp4,
        Self::Hls,
        Self::LlHls,
        Self::Dash,
    ];

    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rtmp => "RTMP",
            Self::HttpFlv => "HTTP-FLV",
            Self::WsFlv => "WebSocket-FLV",
            Self::HttpTs => "HTTP-TS",
            Self::HttpFmp4 => "HTTP-fMP4",
            Self::Hls => "HLS",
            Self::LlHls => "LL-HLS",
            Self::Dash => "DASH",
        }
    }

    /// Connections of one player: those of lists fetch pictures and sound side by side.
    pub fn connections(self) -> usize {
        match self {
            Self::Hls | Self::LlHls | Self::Dash => RENDITIONS as usize,
            _ => 1,
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
            // A fragment of both tracks, and a chunk's frame around it.
            Format::HttpFmp4 => self.fragments() + 8.0 / PART,
            Format::Hls | Format::LlHls => {
                let lists = self.requests(format) / 2.0;
                self.fragments() + self.requests(format) * HEAD + lists * LIST
            }
            Format::Dash => {
                let chunks = RENDITIONS * 8.0 / PART;
                self.fragments() + chunks + self.requests(format) * HEAD + MANIFESTS * MANIFEST
            }
        };
        self.rate + around * 8.0
    }

    /// Bytes per second that fragments of MP4 put around pictures and sound.
    fn fragments(&self) -> f64 {
        RENDITIONS * FRAGMENT / PART + self.fps * 12.0 + SOUNDS * 4.0
    }

    /// Seconds of a segment: groups of pictures are not cut.
    fn segment(&self) -> f64 {
        (SEGMENT / self.gop).ceil().max(1.0) * self.gop
    }

    /// What one player asks for in a second: each file once, and the list before it.
    pub fn requests(&self, format: Format) -> f64 {
        match format {
            Format::Hls => RENDITIONS * 2.0 / self.segment(),
            Format::LlHls => RENDITIONS * 2.0 / PART,
            Format::Dash => RENDITIONS / self.segment() + MANIFESTS,
            _ => 0.0,
        }
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
            let most = if format == Format::LlHls { 1.12 } else { 1.06 };
            assert!((1.001..most).contains(&framed), "{format:?} {framed}");
            let wire = STREAM.on_wire(format, 1500.0) / STREAM.framed(format);
            assert!((wire - 1538.0 / 1448.0).abs() < 1e-9);
        }
        assert!(STREAM.framed(Format::Rtmp) < STREAM.framed(Format::HttpFlv));
        assert!(STREAM.framed(Format::HttpFlv) < STREAM.framed(Format::HttpTs));
        assert!(STREAM.framed(Format::HttpFmp4) < STREAM.framed(Format::Hls));
    }

    #[test]
    fn lists_are_asked_for_as_often_as_what_they_list() {
        assert_eq!((STREAM.requests(Format::Hls), STREAM.requests(Format::LlHls)), (2.0, 20.0));
        assert_eq!((STREAM.requests(Format::Dash), STREAM.requests(Format::HttpFlv)), (3.0, 0.0));
        let long = Stream { gop: 5.0, ..STREAM };
        assert_eq!((long.requests(Format::Hls), Format::Hls.connections()), (0.8, 2));
    }

    #[test]
    fn a_keyframe_has_its_share_of_the_gop() {
        // 60 pictures in 65 parts, of which the keyframe has 6.
        assert_eq!(STREAM.key_bytes().round(), (625_000.0_f64 * 6.0 / 65.0).round());
    }
}
