//! The first bytes of real clients, replayed however the network may cut them.
//!
//! Recorded from ffmpeg 5.1 and rtmpdump 2.4, which were answered by a stub: each client's side of the
//! conversation, cut off where it became long.

use super::super::server::{PlayStart, PublishKind};
use super::*;

const FFMPEG_PUBLISH: &[u8] = include_bytes!("../../../../tests/corpus/rtmp/ffmpeg-publish.bin");
const FFMPEG_PLAY: &[u8] = include_bytes!("../../../../tests/corpus/rtmp/ffmpeg-play.bin");
const RTMPDUMP_DIGEST: &[u8] = include_bytes!("../../../../tests/corpus/rtmp/rtmpdump-digest.bin");
const RTMPDUMP_PLAY: &[u8] = include_bytes!("../../../../tests/corpus/rtmp/rtmpdump-play.bin");

fn replayed(bytes: &[u8]) -> Served {
    let [whole, ..] = [usize::MAX, 1, 16].map(|piece| {
        let (served, result) = Served::of(bytes, piece);
        result.unwrap();
        served
    });
    for piece in [1, 16, 100] {
        assert_eq!(Served::of(bytes, piece).0.events, whole.events);
    }
    assert_eq!(whole.session.ignored(), 0);
    whole
}

#[test]
fn ffmpeg_publishes() {
    let served = replayed(FFMPEG_PUBLISH);
    let Event::Connect(connect) = &served.events[0] else { panic!() };
    assert_eq!(connect.app.name, "live");
    assert!(connect.flash_version.starts_with("FMLE/3.0 (compatible; Lavf"));
    let Event::Publish { name, query, kind, .. } = &served.events[1] else { panic!() };
    assert_eq!((name.as_str(), query.as_str(), *kind), ("cam1", "token=abc", PublishKind::Live));
    let media = served.media();
    assert!(media.len() > 50, "{}", media.len());
    assert_eq!(media[0].0, Track::Data);
    assert!(media[0].2.starts_with(b"\x02\0\x0aonMetaData"));
    assert!(media[1].2.starts_with(&[0x17, 0]) && media[2].2.starts_with(&[0xaf, 0]));
    // Two tracks, each in order, some seconds in all.
    for track in [Track::Audio, Track::Video] {
        let times: Vec<_> = media.iter().filter(|m| m.0 == track).map(|m| m.1).collect();
        assert!(times.is_sorted() && times.last().is_some_and(|last| (500..6000).contains(last)));
    }
}

#[test]
fn ffmpeg_plays() {
    let served = replayed(FFMPEG_PLAY);
    let Event::Play(play) = &served.events[1] else { panic!() };
    assert_eq!((play.name.as_str(), play.start), ("cam1", PlayStart::Any));
    assert!(served.answers().contains(&"_result 3 0".to_owned()));
}

#[test]
fn rtmpdump_plays() {
    for (bytes, version) in [(RTMPDUMP_PLAY, [0; 4]), (RTMPDUMP_DIGEST, [4, 5, 0, 1])] {
        let served = replayed(bytes);
        let Event::Play(play) = &served.events[1] else { panic!() };
        assert_eq!((play.name.as_str(), play.start), ("cam1", PlayStart::Live));
        // Answered in the form of its own handshake.
        assert_eq!(served.sent[5..9], version);
    }
}
