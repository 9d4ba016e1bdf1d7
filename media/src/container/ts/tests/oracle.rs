//! The test card as the `mpeg2ts` crate reads it, and what it costs.

use super::checker::Seen;
use super::*;
use crate::testcard::{Options, TestCard};
use mpeg2ts::es::StreamType;
use mpeg2ts::ts::payload::Pes;
use mpeg2ts::ts::{ReadTsPacket, TsPacketReader, TsPayload};

/// Some seconds of the test card, and the bytes of its payloads.
fn card(seconds: i64) -> (Vec<u8>, Vec<Frame>) {
    let mut card = TestCard::new(Options::default()).unwrap();
    let configs = [card.next(0), card.next(0)];
    let mut packetizer = Packetizer::new();
    let [video, audio] = configs.each_ref().map(|config| (config.codec, &config.payload[..]));
    packetizer.configure(Some(video), Some(audio)).unwrap();
    let (mut out, mut frames) = (Vec::new(), Vec::new());
    while card.due() < Time(seconds * 1_000_000) {
        let frame = card.next(0);
        let is_entry = frame.track == Track::Video && frame.kind == FrameKind::Key;
        packetizer.append(&frame, is_entry, &mut out).unwrap();
        frames.push(frame);
    }
    packetizer.flush(&mut out);
    (out, frames)
}

#[test]
fn packets_take_less_than_six_percent_more_than_frames() {
    let (out, frames) = card(10);
    let bytes: usize = frames.iter().map(|frame| frame.payload.len()).sum();
    let over = out.len() as f64 / bytes as f64 - 1.0;
    assert!(over < 0.06, "{over}");
}

#[test]
fn the_clock_is_told_often_enough() {
    let seen = Seen::of(&card(10).0);
    assert!(seen.longest_step() <= 9000, "{}", seen.longest_step());
    assert_eq!(seen.versions, [0; 5]);
}

#[test]
fn another_reader_finds_the_same() {
    let (out, frames) = card(5);
    let mut reader = TsPacketReader::new(&out[..]);
    let (mut pictures, mut sound, mut tables) = (Vec::new(), Vec::new(), 0);
    while let Some(packet) = reader.read_ts_packet().unwrap() {
        match packet.payload {
            Some(TsPayload::Pmt(pmt)) => {
                assert_eq!(pmt.pcr_pid.unwrap().as_u16(), 0x100);
                let types: Vec<_> = pmt.es_info.iter().map(|info| info.stream_type).collect();
                assert_eq!(types, [StreamType::H264, StreamType::AdtsAac]);
                tables += 1;
            }
            Some(TsPayload::PesStart(Pes { header, data, .. })) => {
                let list = match header.stream_id.is_video() {
                    true => &mut pictures,
                    false => &mut sound,
                };
                list.push((header.pts.unwrap().as_u64() as i64, data.len()));
            }
            Some(TsPayload::Pat(pat)) => {
                assert_eq!(pat.table[0].program_map_pid.as_u16(), 0x1000);
            }
            Some(TsPayload::PesContinuation(_)) | None => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(tables, 3);
    let expected: Vec<i64> =
        of(&frames, Track::Video).iter().map(|frame| written(frame.pts)).collect();
    assert_eq!(pictures.iter().map(|(pts, _)| *pts).collect::<Vec<_>>(), expected);
    // Four at a time, or fewer before an entry.
    let frames = of(&frames, Track::Audio).len();
    assert!((frames / 4..frames / 4 + 5).contains(&sound.len()), "{} of {frames}", sound.len());
    let steps = sound.windows(2).map(|two| two[1].0 - two[0].0);
    assert!(steps.into_iter().all(|step| (2089 - 2..=4 * 2090 + 2).contains(&step)));
}

#[test]
fn what_the_test_card_shows_comes_back() {
    let (out, frames) = card(5);
    let back = demux(&out, 1000).unwrap();
    for track in [Track::Video, Track::Audio] {
        let (back, sent) = (of(&back, track), of(&frames, track));
        assert_eq!(back.len(), sent.len());
        for (back, sent) in back.iter().zip(sent) {
            assert_eq!((back.kind, &back.payload), (sent.kind, &sent.payload));
            assert!((back.dts.ticks_90k() - written(sent.dts)).abs() < 100);
        }
    }
}
