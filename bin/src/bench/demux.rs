//! What comes, of whichever container, as frames.

use media::Frame;
use media::container::{flv, mp4, ts};

use super::target::Container;

/// What comes is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Foreign {
    /// It is not FLV.
    #[error(transparent)]
    Flv(#[from] flv::FlvError),
    /// It is not MPEG-TS.
    #[error(transparent)]
    Ts(#[from] ts::TsError),
    /// It is not MP4.
    #[error(transparent)]
    Mp4(#[from] mp4::Mp4Error),
}

/// Reads one container.
pub enum Demux {
    /// FLV.
    Flv(Box<flv::Demuxer>),
    /// MPEG-TS. A picture of more than 64 kB has no length, so that it is over when the next one begins: the
    /// time between the two is part of its latency, as it is for every player of TS.
    Ts(Box<ts::Demuxer>),
    /// MP4.
    Mp4(Box<mp4::Demuxer>),
}

impl Demux {
    /// At the beginning of a stream.
    pub fn new(container: Container) -> Self {
        match container {
            Container::Flv => Self::Flv(Box::default()),
            Container::Ts => Self::Ts(Box::default()),
            Container::Mp4 => Self::Mp4(Box::default()),
        }
    }

    /// Takes bytes, gives each frame that is whole to `frame`.
    pub fn receive(&mut self, data: &[u8], frame: &mut dyn FnMut(&Frame)) -> Result<(), Foreign> {
        match self {
            Self::Flv(demuxer) => {
                demuxer.receive(data)?;
                while let Some(whole) = demuxer.next_frame()? {
                    frame(&whole);
                }
            }
            Self::Ts(demuxer) => {
                demuxer.receive(data)?;
                while let Some(whole) = demuxer.next_frame()? {
                    frame(&whole);
                }
            }
            Self::Mp4(demuxer) => {
                demuxer.receive(data)?;
                while let Some(whole) = demuxer.next_frame()? {
                    frame(&whole);
                }
            }
        }
        Ok(())
    }

    /// What a player waits for that has got no frame.
    pub fn waits_for(&self) -> &'static str {
        match self {
            Self::Flv(_) => "for a whole FLV tag",
            Self::Ts(_) => "for a whole access unit in TS packets",
            Self::Mp4(_) => "for a whole MP4 sample",
        }
    }
}
