//! Any frames there and back.

use super::checker::Seen;
use super::*;
use crate::codec::Info;
use proptest::prelude::*;

/// Pictures with B-frames: how long each is and how much later than decoded it is shown, in pictures.
fn pictures() -> impl Strategy<Value = Vec<(usize, i64)>> {
    let len = prop_oneof![1_usize..400, 400_usize..3000, Just(70_000), Just(200_000)];
    prop::collection::vec((len, -1_i64..4), 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn streams_come_back(
        hevc: bool,
        pictures in pictures(),
        sound in prop::sample::select(vec![Codec::Aac, Codec::Opus, Codec::Mp3, Codec::Ac3, Codec::Eac3]),
        sound_len in 1_usize..2000,
        start in prop_oneof![Just(0), Just(((1_i64 << 33) / 9) * 100 - 10_500_000), 0_i64..1 << 50],
        gop in 1_usize..12,
        cut in 1_usize..2000,
    ) {
        let video = if hevc { Codec::Hevc } else { Codec::Avc };
        let mut packetizer = packetizer(Some(video), Some(sound));
        let (mut out, mut sent) = (Vec::new(), Vec::new());
        let step = match sound {
            Codec::Aac => 23_220,
            Codec::Opus => 20_000,
            Codec::Mp3 => 26_122,
            Codec::Ac3 => 32_000,
            _ => 34_830,
        };
        let mut sound_at = start;
        for (number, (len, later)) in pictures.iter().enumerate() {
            let key = number % gop == 0;
            let kind = if key { FrameKind::Key } else { FrameKind::Delta };
            let dts = Time(start + 33_333 * number as i64);
            let picture = Frame { pts: dts.plus(33_333 * later), ..frame(video, kind, dts, *len) };
            packetizer.append(&picture, key, &mut out).unwrap();
            sent.push(picture);
            while sound_at < dts.0 {
                let sound = frame(sound, FrameKind::Key, Time(sound_at), sound_len);
                packetizer.append(&sound, false, &mut out).unwrap();
                sent.push(sound);
                sound_at += step;
            }
        }
        packetizer.flush(&mut out);
        let seen = Seen::of(&out);
        prop_assert!(seen.longest_step() <= 9000, "{}", seen.longest_step());
        let back = demux(&out, cut).unwrap();
        prop_assert_eq!(&demux(&out, usize::MAX).unwrap(), &back);
        let wrapped = written(Time(start)).div_euclid(1 << 33) << 33;
        for track in [Track::Video, Track::Audio] {
            let (back, sent) = (of(&back, track), of(&sent, track));
            prop_assert_eq!(back.len(), sent.len());
            for (back, sent) in back.iter().zip(sent) {
                prop_assert_eq!((back.kind, back.codec), (sent.kind, sent.codec));
                prop_assert_eq!(&back.payload, &sent.payload);
                let close = if track == Track::Video { 0 } else { 99 };
                for (back, sent) in [(back.dts, sent.dts), (back.pts, sent.pts)] {
                    let off = back.ticks_90k() - (written(sent) - wrapped);
                    prop_assert!(off.abs() <= close, "{} {}", off, close);
                }
            }
        }
        for config in back.iter().filter(|frame| frame.kind == FrameKind::Config) {
            let info = Info::from_config(config.codec, &config.payload).unwrap();
            let expected = Info::from_config(config.codec, record(config.codec));
            if config.codec != Codec::Opus {
                prop_assert_eq!(info, expected.unwrap());
            }
        }
    }

    #[test]
    fn any_times_make_whole_packets(
        times in prop::collection::vec((any::<i64>(), any::<i64>(), any::<bool>()), 1..10),
    ) {
        let mut packetizer = packetizer(Some(Codec::Avc), Some(Codec::Aac));
        let mut out = Vec::new();
        for (dts, pts, picture) in times {
            let codec = if picture { Codec::Avc } else { Codec::Aac };
            let frame = Frame { pts: Time(pts), ..frame(codec, FrameKind::Key, Time(dts), 100) };
            packetizer.append(&frame, picture, &mut out).unwrap();
        }
        packetizer.flush(&mut out);
        prop_assert_eq!(out.len() % PACKET, 0);
        prop_assert!(demux(&out, usize::MAX).is_ok());
    }

    #[test]
    fn a_stream_with_bytes_changed_is_frames_or_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        packets in 1_usize..60,
        cut in 1_usize..500,
    ) {
        let mut packetizer = packetizer(Some(Codec::Hevc), Some(Codec::Aac));
        let mut out = Vec::new();
        for number in 0..20 {
            let time = Time(number * 23_000);
            packetizer.append(&frame(Codec::Hevc, FrameKind::Key, time, 200), true, &mut out).unwrap();
            packetizer.append(&frame(Codec::Aac, FrameKind::Key, time, 90), false, &mut out).unwrap();
        }
        out.truncate(packets * PACKET);
        for (at, byte) in changes {
            let at = at.index(out.len());
            out[at] = byte;
        }
        let (mut demuxer, mut received) = (Demuxer::new(), 0);
        'pieces: for piece in out.chunks(cut) {
            received += piece.len();
            demuxer.receive(piece).unwrap();
            loop {
                prop_assert!(demuxer.held() <= 2 * received);
                match demuxer.next_frame() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => break 'pieces,
                }
            }
        }
    }
}
