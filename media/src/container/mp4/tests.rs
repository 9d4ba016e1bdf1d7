//! Files that ffmpeg made, the test card, frames made up, and `mp4-atom` as another reader.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::codec::Info;
use crate::frame::{Codec, Frame, FrameKind, Time, Track};
use crate::testcard::{Options, TestCard};
use bytes::Bytes;
use mp4_atom::{Any, Decode, DecodeMaybe, Moof, Moov};
use proptest::prelude::*;

macro_rules! corpus {
    ($($name:ident),*) => {
        [$((
            stringify!($name),
            include_bytes!(concat!("../../../tests/corpus/mp4/", stringify!($name), ".mp4")) as &[u8],
        )),*]
    };
}

const FILES: [(&str, &[u8]); 11] =
    corpus![avc_b_frames, avc_aac_together, hevc, av1, vp9, aac, opus, flac, ac3, eac3, mp3];

fn file(name: &str) -> &'static [u8] {
    FILES.iter().find(|(of, _)| *of == name).unwrap().1
}

/// All frames of a file that comes in pieces of `cut` bytes.
fn demux(file: &[u8], cut: usize) -> Result<Vec<Frame>, Mp4Error> {
    let mut demuxer = Demuxer::new();
    let mut frames = Vec::new();
    for piece in file.chunks(cut) {
        demuxer.receive(piece)?;
        while let Some(frame) = demuxer.next_frame()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

/// The frames of one of the files, a second later: its edits begin it before zero.
fn frames_of(name: &str) -> Vec<Frame> {
    let mut frames = demux(file(name), usize::MAX).unwrap();
    for frame in &mut frames {
        (frame.dts, frame.pts) = (frame.dts.plus(1_000_000), frame.pts.plus(1_000_000));
    }
    frames
}

/// The packetizer of a track, from its configuration and its first frame.
fn packetizer(frames: &[Frame], track: Track) -> Option<Packetizer> {
    let of = |frame: &&Frame| frame.track == track;
    let config = frames.iter().filter(of).find(|frame| frame.kind == FrameKind::Config);
    let first = frames.iter().filter(of).find(|frame| frame.kind == FrameKind::Key)?;
    let id = if track == Track::Video { 1 } else { 2 };
    let config = config.map(|frame| &frame.payload[..]);
    let description = Description::new(id, first.codec, config, Some(&first.payload));
    Some(Packetizer::new(description.unwrap()))
}

/// Both tracks in chunks of about 200 ms, the init segment before them, and what the chunks are.
fn mux(frames: &[Frame]) -> (Vec<u8>, Vec<Chunk>) {
    let mut packetizers: Vec<Packetizer> = [Track::Video, Track::Audio]
        .iter()
        .filter_map(|track| packetizer(frames, *track))
        .collect();
    let (mut out, mut chunks) = (Vec::new(), Vec::new());
    let tracks: Vec<&Description> = packetizers.iter().map(Packetizer::description).collect();
    init_segment(&tracks, &mut out);
    for packetizer in &mut packetizers {
        let track = packetizer.description().track();
        for frame in frames.iter().filter(|frame| frame.track == track) {
            let is_frame = !matches!(frame.kind, FrameKind::Config | FrameKind::End);
            if is_frame && packetizer.duration() >= 200_000 {
                chunks.extend(packetizer.finish(Some(frame.dts), &mut out));
            }
            packetizer.push(frame).unwrap();
        }
        chunks.extend(packetizer.finish(None, &mut out));
        assert!(packetizer.is_empty() && packetizer.finish(None, &mut out).is_none());
    }
    (out, chunks)
}

fn samples(frames: &[Frame], track: Track) -> Vec<&Frame> {
    frames.iter().filter(|f| f.track == track && f.kind != FrameKind::Config).collect()
}

/// Whether these are the same frames, their times within `off` microseconds.
fn assert_same(one: &[Frame], other: &[Frame], off: i64) {
    for track in [Track::Video, Track::Audio] {
        let (one, other) = (samples(one, track), samples(other, track));
        assert_eq!(one.len(), other.len());
        for (at, (one, other)) in one.iter().zip(other).enumerate() {
            assert_eq!((one.codec, one.kind), (other.codec, other.kind), "{at}");
            assert!(one.payload == other.payload, "{at}");
            assert!(one.dts.since(other.dts).abs() <= off, "{at}: {:?} {:?}", one.dts, other.dts);
            assert!(one.pts.since(other.pts).abs() <= off, "{at}: {:?} {:?}", one.pts, other.pts);
        }
    }
}

fn card(seconds: i64, bitrate: u64) -> Vec<Frame> {
    let options = Options { video_bitrate: bitrate, ..Options::default() };
    let mut card = TestCard::new(options).unwrap();
    std::iter::from_fn(|| (card.due() < Time(seconds * 1_000_000)).then(|| card.next(0))).collect()
}

/// A picture of the test card's codec.
fn picture(kind: FrameKind, dts: Time, pts: Time, payload: Bytes) -> Frame {
    Frame { track: Track::Video, codec: Codec::Avc, kind, dts, pts, payload }
}

fn sound(dts: Time) -> Frame {
    let (track, codec, kind) = (Track::Audio, Codec::Aac, FrameKind::Key);
    Frame { track, codec, kind, dts, pts: dts, payload: Bytes::from_static(b"sound") }
}

fn of_sound(config: &[u8]) -> Packetizer {
    Packetizer::new(Description::new(2, Codec::Aac, Some(config), None).unwrap())
}

fn of_pictures() -> Packetizer {
    let config = &card(1, 2_500_000)[0];
    Packetizer::new(Description::new(1, Codec::Avc, Some(&config.payload), None).unwrap())
}

/// Frames of an init segment and the chunks that `packetizer` has made.
fn read_back(packetizer: &Packetizer, chunks: &[u8]) -> Vec<Frame> {
    let mut out = Vec::new();
    init_segment(&[packetizer.description()], &mut out);
    out.extend_from_slice(chunks);
    demux(&out, usize::MAX).unwrap()
}

#[test]
fn files_of_ffmpeg_are_read_and_made_again() {
    for (name, _) in FILES {
        let frames = frames_of(name);
        let (again, chunks) = mux(&frames);
        assert!(chunks.len() >= 2, "{name}");
        let back = demux(&again, usize::MAX).unwrap();
        assert_same(&frames, &back, 12);
        let configs = |frames: &[Frame]| -> Vec<Bytes> {
            let configs = frames.iter().filter(|frame| frame.kind == FrameKind::Config);
            configs.map(|frame| frame.payload.clone()).collect()
        };
        // ffmpeg writes no level for VP9 that it does not know.
        assert_eq!(configs(&frames), configs(&back), "{name}");
        for frame in frames.iter().filter(|frame| frame.kind == FrameKind::Config) {
            Info::from_config(frame.codec, &frame.payload).unwrap();
        }
    }
}

#[test]
fn what_is_in_the_files() {
    let of = |name: &str| {
        let frames = frames_of(name);
        let tracks = [Track::Video, Track::Audio].map(|track| samples(&frames, track).len());
        let (_, chunks) = mux(&frames);
        let total: i64 = chunks.iter().map(|chunk| chunk.duration).sum();
        let track = if tracks[0] > 0 { Track::Video } else { Track::Audio };
        let packetizer = packetizer(&frames, track).unwrap();
        let info = packetizer.description().info().clone();
        (tracks, total / 1000, info.codec_string, info.width, info.sample_rate)
    };
    assert_eq!(of("avc_b_frames"), ([15, 0], 500, "avc1.64000a".into(), Some(64), None));
    assert_eq!(of("hevc"), ([15, 0], 500, "hvc1.1.6.L30.90".into(), Some(64), None));
    assert_eq!(of("av1"), ([15, 0], 500, "av01.0.00M.08".into(), Some(64), None));
    assert_eq!(of("vp9"), ([15, 0], 500, "vp09.00.10.08".into(), Some(64), None));
    assert_eq!(of("aac"), ([0, 20], 426, "mp4a.40.2".into(), None, Some(48_000)));
    assert_eq!(of("opus"), ([0, 21], 420, "opus".into(), None, Some(48_000)));
    assert_eq!(of("flac"), ([0, 5], 400, "flac".into(), None, Some(48_000)));
    assert_eq!(of("ac3"), ([0, 13], 416, "ac-3".into(), None, Some(48_000)));
    assert_eq!(of("eac3"), ([0, 13], 416, "ec-3".into(), None, Some(48_000)));
    assert_eq!(of("mp3"), ([0, 18], 432, "mp4a.6B".into(), None, Some(48_000)));
    let frames = demux(file("avc_b_frames"), usize::MAX).unwrap();
    let pictures = samples(&frames, Track::Video);
    assert!(pictures.iter().any(|frame| frame.pts > frame.dts));
    assert!(pictures.iter().any(|frame| frame.kind == FrameKind::Delta));
    // This one has an edit list, so that what is shown first is shown at zero.
    let frames = demux(file("avc_aac_together"), usize::MAX).unwrap();
    let first = samples(&frames, Track::Video)[0];
    assert_eq!((first.dts, first.pts), (Time(-66_667), Time(0)));
}

#[test]
fn any_cut_gives_the_same_frames() {
    for (name, file) in FILES {
        let whole = demux(file, usize::MAX).unwrap();
        for cut in [1, 2, 3, 7, 8, 9, 16, 100, 1000] {
            assert!(demux(file, cut).unwrap() == whole, "{name} by {cut}");
        }
        for end in 0..file.len() {
            let frames = demux(&file[..end], usize::MAX).unwrap();
            assert!(whole.starts_with(&frames), "{name} to {end}");
        }
    }
}

#[test]
fn the_test_card_comes_back() {
    let frames = card(4, 500_000);
    let (out, chunks) = mux(&frames);
    assert_same(&frames, &demux(&out, 1000).unwrap(), 12);
    let (video, audio): (Vec<Chunk>, Vec<Chunk>) =
        chunks.iter().partition(|chunk| chunk.frames == 6);
    assert!(video.len() == 20 && video.iter().all(|chunk| chunk.frames == 6), "{video:?}");
    let independent: Vec<bool> = video.iter().map(|chunk| chunk.is_independent).collect();
    assert!(independent.iter().enumerate().all(|(at, key)| *key == (at % 10 == 0)));
    assert!(audio.iter().all(|chunk| chunk.is_independent));
    for chunks in [video, audio] {
        for pair in chunks.windows(2) {
            assert_eq!(pair[0].start.plus(pair[0].duration), pair[1].start);
        }
    }
}

#[test]
fn the_overhead_is_below_two_percent() {
    let frames = card(20, 2_500_000);
    let (out, _) = mux(&frames);
    let payload: usize = frames.iter().map(|frame| frame.payload.len()).sum();
    let overhead = (out.len() - payload) as f64 / payload as f64;
    assert!(overhead < 0.01, "{overhead}");
}

#[test]
fn another_reader_finds_the_same() {
    let frames = card(2, 2_500_000);
    let (out, chunks) = mux(&frames);
    let mut rest = &out[..];
    let (mut moofs, mut data) = (Vec::new(), 0);
    while let Some(atom) = Any::decode_maybe(&mut rest).unwrap() {
        match atom {
            Any::Ftyp(ftyp) => assert_eq!(ftyp.major_brand, b"iso6".into()),
            Any::Moov(moov) => {
                assert_eq!(moov.trak.len(), 2);
                assert_eq!(moov.mvhd.next_track_id, 3);
                assert_eq!(moov.mvex.as_ref().unwrap().trex.len(), 2);
                let scales: Vec<u32> =
                    moov.trak.iter().map(|trak| trak.mdia.mdhd.timescale).collect();
                assert_eq!(scales, [90_000, 44_100]);
                assert_eq!(moov.trak[0].tkhd.width.integer(), 1280);
            }
            Any::Moof(moof) => moofs.push(moof),
            Any::Mdat(mdat) => data += mdat.data.len(),
            other => panic!("{:?}", other.kind()),
        }
    }
    let payload: usize = frames
        .iter()
        .filter(|frame| frame.kind != FrameKind::Config)
        .map(|frame| frame.payload.len())
        .sum();
    assert_eq!((moofs.len(), data), (chunks.len(), payload));
    for (moof, chunk) in moofs.iter().zip(&chunks) {
        let [traf] = &moof.traf[..] else { panic!() };
        let scale = if traf.tfhd.track_id == 1 { 90_000 } else { 44_100 };
        let start = i128::from(traf.tfdt.as_ref().unwrap().base_media_decode_time);
        assert_eq!(clock::time(start, scale), chunk.start);
        assert!(traf.tfhd.default_base_is_moof);
        assert_eq!(traf.trun[0].samples.len(), chunk.frames);
    }
}

#[test]
fn another_reader_knows_every_codec() {
    for (name, file) in FILES {
        let frames = demux(file, usize::MAX).unwrap();
        let (out, _) = mux(&frames);
        let mut rest = &out[..];
        mp4_atom::Ftyp::decode(&mut rest).unwrap();
        let moov = Moov::decode(&mut rest).unwrap();
        let codec = &moov.trak[0].mdia.minf.stbl.stsd.codecs[0];
        assert!(!matches!(codec, mp4_atom::Codec::Unknown(..)), "{name}: {codec:?}");
        Moof::decode(&mut rest).unwrap();
    }
}

#[test]
fn b_frames_and_frames_shown_before_they_are_decoded() {
    let mut packetizer = of_pictures();
    let at = |millis| Time::from_millis(86_400_000 * 365 + millis);
    let mut frames = vec![];
    for (n, (kind, shown)) in [
        (FrameKind::Key, 0),
        (FrameKind::Delta, 99),
        (FrameKind::Disposable, 33),
        (FrameKind::Delta, 66),
    ]
    .into_iter()
    .enumerate()
    {
        frames.push(picture(kind, at(33 * n as i64), at(shown), Bytes::from_static(b"picture")));
    }
    let mut out = Vec::new();
    for frame in &frames {
        packetizer.push(frame).unwrap();
    }
    assert_eq!(packetizer.duration(), 132_000);
    packetizer.finish(Some(at(132)), &mut out).unwrap();
    // The second is shown earlier than decoded: offsets have signs.
    let moof = Moof::decode(&mut &out[..]).unwrap();
    let offsets: Vec<Option<i64>> =
        moof.traf[0].trun[0].samples.iter().map(|entry| entry.cts).collect();
    assert_eq!(offsets, [0, 5940, -2970, -2970].map(Some));
    let back = read_back(&packetizer, &out);
    assert_eq!(back[1..], frames);
}

#[test]
fn times_are_those_of_the_frames_after_gaps_and_a_day_and_far_away() {
    for start in [0, 86_400_123, 200 * 86_400_000_i64, 3_000 * 86_400_000] {
        let mut pictures = of_pictures();
        let mut sounds = of_sound(&[0x12, 0x10]);
        let (mut out, mut sent) = (Vec::new(), Vec::new());
        for gap in [0, 5_000, 3_600_000] {
            let at = |millis| Time::from_millis(start + gap + millis);
            for n in 0..6 {
                let kind = if n == 0 { FrameKind::Key } else { FrameKind::Delta };
                sent.push(picture(kind, at(n * 40), at(n * 40), Bytes::from_static(b"picture")));
                pictures.push(sent.last().unwrap()).unwrap();
            }
            let chunk = pictures.finish(None, &mut out).unwrap();
            assert_eq!((chunk.start, chunk.duration), (at(0), 240_000));
            for n in 0..9 {
                sent.push(sound(at(n * 1024 * 1000 / 44_100)));
                sounds.push(sent.last().unwrap()).unwrap();
            }
            let chunk = sounds.finish(None, &mut out).unwrap();
            assert!(chunk.start.since(at(0)).abs() <= 12, "{chunk:?}");
            assert!((chunk.duration - 208_979).abs() <= 1, "{chunk:?}");
        }
        let mut init = Vec::new();
        init_segment(&[pictures.description(), sounds.description()], &mut init);
        let back = demux(&[init, out].concat(), usize::MAX).unwrap();
        assert_same(&sent, &back, 1000);
    }
}

#[test]
fn a_gap_inside_a_chunk_makes_the_frame_before_it_longer() {
    let mut sounds = of_sound(&[0x12, 0x10]);
    let sent = [0, 23, 1_046].map(|millis| sound(Time::from_millis(millis)));
    for frame in &sent {
        sounds.push(frame).unwrap();
    }
    let mut out = Vec::new();
    let chunk = sounds.finish(Some(Time::from_millis(1_100)), &mut out).unwrap();
    assert_eq!((chunk.start, chunk.duration, chunk.frames), (Time(0), 1_100_000, 3));
    assert_same(&sent, &read_back(&sounds, &out), 1000);
}

#[test]
fn an_hour_of_sound_with_rounded_times_has_no_hole() {
    for (rate, config) in [(44_100, [0x12, 0x10]), (48_000, [0x11, 0x90])] {
        let mut sounds = of_sound(&config);
        let mut out = Vec::new();
        let mut end = None;
        for n in 0..20_000_i64 {
            if sounds.frames() == 9 {
                let next = Time::from_millis(n * 1024 * 1000 / rate);
                let chunk = sounds.finish(Some(next), &mut out).unwrap();
                assert!(end.is_none_or(|end| end == chunk.start), "{n}");
                end = Some(chunk.start.plus(chunk.duration));
                let moof = Moof::decode(&mut &out[..]).unwrap();
                assert_eq!(moof.traf[0].tfhd.default_sample_duration, Some(1024));
                assert_eq!(moof.traf[0].tfdt.as_ref().unwrap().base_media_decode_time % 1024, 0);
                out.clear();
            }
            sounds.push(&sound(Time::from_millis(n * 1024 * 1000 / rate))).unwrap();
        }
    }
}

#[test]
fn what_all_samples_share_is_said_once() {
    let mut sounds = of_sound(&[0x12, 0x10]);
    for n in 0..5 {
        sounds.push(&sound(Time(n * 1_024_000_000 / 44_100))).unwrap();
    }
    let mut out = Vec::new();
    sounds.finish(None, &mut out);
    // moof, mfhd, traf, tfhd with all three defaults, tfdt, trun, mdat.
    assert_eq!(out.len(), 8 + 16 + 8 + 28 + 20 + 20 + 8 + 5 * 5);
    assert_eq!(read_back(&sounds, &out).len(), 6);
}

#[test]
fn what_is_no_sample_and_what_does_not_fit() {
    let mut pictures = of_pictures();
    let config = picture(FrameKind::Config, Time(0), Time(0), Bytes::from_static(b"?"));
    let end = Frame { kind: FrameKind::End, payload: Bytes::new(), ..config.clone() };
    let empty = Frame { kind: FrameKind::Key, payload: Bytes::new(), ..config.clone() };
    for frame in [config, end, empty.clone()] {
        pictures.push(&frame).unwrap();
        assert!(pictures.is_empty() && pictures.start().is_none());
        assert_eq!((pictures.duration(), pictures.frames(), pictures.bytes()), (0, 0, 0));
    }
    let long = Frame { payload: vec![0; crate::limits::MP4_CHUNK - 3].into(), ..empty.clone() };
    pictures.push(&long).unwrap();
    let more = Frame { payload: Bytes::from_static(b"more"), ..empty.clone() };
    assert_eq!(
        pictures.push(&more).unwrap_err().to_string(),
        "a frame of 4 bytes does not fit into an MP4 chunk that has 67108861: at most 67108864 \
         bytes and 16384 frames do"
    );
    assert_eq!(pictures.frames(), 1);
    let mut pictures = of_pictures();
    for _ in 0..crate::limits::MP4_CHUNK_FRAMES {
        pictures.push(&more).unwrap();
    }
    assert!(pictures.push(&more).is_err());
}

#[test]
fn descriptions_that_are_not_enough() {
    let error =
        |codec, config, first| Description::new(1, codec, config, first).unwrap_err().to_string();
    assert_eq!(error(Codec::Avc, None, None), "Avc in MP4 needs its configuration record");
    assert_eq!(
        error(Codec::Mp3, None, None),
        "Mp3 in MP4 needs its first keyframe to be described"
    );
    let av1: &[u8] = &[0x81, 0x0d, 0x0c, 0];
    assert!(error(Codec::Av1, Some(av1), None).contains("first keyframe"));
    assert_eq!(error(Codec::Vp8, None, None), "Vp8 is not packed into MP4");
    assert!(error(Codec::Aac, Some(&[0x12]), None).contains("ends too early"));
    assert!(error(Codec::Ac3, None, Some(&[1, 2])).contains("AC-3"));
}

#[test]
fn colours_and_shapes_of_pixels_are_said() {
    // As x264 writes it with --sar 4:3 --colorprim bt709 --transfer bt709 --colormatrix bt709 --range pc.
    let record = include_bytes!("../../../tests/corpus/mp4/anamorphic.avcc");
    let description = Description::new(1, Codec::Avc, Some(record), None).unwrap();
    let mut out = Vec::new();
    init_segment(&[&description], &mut out);
    let mut rest = &out[..];
    mp4_atom::Ftyp::decode(&mut rest).unwrap();
    let moov = Moov::decode(&mut rest).unwrap();
    let mp4_atom::Codec::Avc1(avc) = &moov.trak[0].mdia.minf.stbl.stsd.codecs[0] else { panic!() };
    assert_eq!((avc.visual.width, avc.visual.height), (64, 64));
    let pasp = avc.pasp.as_ref().unwrap();
    assert_eq!((pasp.h_spacing, pasp.v_spacing), (4, 3));
    let expected = mp4_atom::Colr::Nclx {
        colour_primaries: 1,
        transfer_characteristics: 1,
        matrix_coefficients: 1,
        full_range_flag: true,
    };
    assert_eq!(avc.colr, Some(expected));
    assert_eq!(moov.trak[0].tkhd.width.integer(), 85);
}

#[test]
fn an_init_segment_comes_again() {
    let frames = card(1, 500_000);
    let (first, _) = mux(&frames);
    let second = demux(file("avc_aac_together"), usize::MAX).unwrap();
    let (other, _) = mux(&second);
    let both = demux(&[&first[..], &other].concat(), 500).unwrap();
    let configs = both.iter().filter(|frame| frame.kind == FrameKind::Config).count();
    assert_eq!(configs, 4);
    assert_eq!(both.len(), frames.len() + second.len());
}

#[test]
fn what_is_wrong_is_said_again_and_again() {
    let error = |file: &[u8]| {
        let mut demuxer = Demuxer::new();
        demuxer.receive(file).unwrap();
        let error = loop {
            match demuxer.next_frame() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("no error"),
                Err(error) => break error,
            }
        };
        assert_eq!(demuxer.next_frame(), Err(error));
        assert_eq!(demuxer.receive(b"more"), Err(error));
        assert_eq!(demuxer.held(), 0);
        error.to_string()
    };
    assert_eq!(
        error(b"HTTP/1.1"),
        "sender's MP4, in box /1.1 at byte 0, has no ftyp, styp, moov or moof before it"
    );
    assert_eq!(
        error(b"\0\0\0\x07moof"),
        "sender's MP4, in box moof at byte 0, has size 7, expected at least that of its header"
    );
    assert_eq!(
        error(b"\0\0\0\x08ftyp\0\x20\0\0moov"),
        "sender's MP4, in box moov at byte 8, has bytes 2097144, expected at most 1048576"
    );
    assert_eq!(
        error(b"\0\0\0\x08moof"),
        "sender's MP4, in box moof at byte 0, has no moov with a known track before it"
    );
    assert_eq!(error(b"\0\0\0\x08moov"), "sender's MP4, in box moov at byte 0, has no mvhd");
    let mut sounds = of_sound(&[0x12, 0x10]);
    let mut out = Vec::new();
    init_segment(&[sounds.description()], &mut out);
    let init = out.len();
    sounds.push(&sound(Time(0))).unwrap();
    sounds.finish(None, &mut out);
    let chunk = out.split_off(init);
    // A second moof where data should be.
    let moof = &chunk[..chunk.len() - 13];
    let said = error(&[&out[..], moof, moof].concat());
    assert!(said.ends_with("has no data of the moof before it"), "{said}");
    // An mdat that is too short, and data that is said to be in the moof.
    let short = [&out[..], moof, b"\0\0\0\x09mdat?"].concat();
    assert!(error(&short).contains("box trun at byte"), "{}", error(&short));
    let mut early = chunk.clone();
    let at = moof.len() - 4;
    early[at..at + 4].copy_from_slice(&[0, 0, 0, 8]);
    assert!(error(&[&out[..], &early].concat()).contains("sample offset"));
}

#[test]
fn what_is_declared_takes_no_memory_and_no_time() {
    let mut sounds = of_sound(&[0x12, 0x10]);
    let mut out = Vec::new();
    init_segment(&[sounds.description()], &mut out);
    sounds.push(&sound(Time(0))).unwrap();
    let init = out.len();
    sounds.finish(None, &mut out);
    // Four thousand million samples, each of five bytes, then each of none.
    let count = out.len() - 13 - 8;
    out[count..count + 4].copy_from_slice(&[0xff; 4]);
    let size = init + 8 + 16 + 8 + 8 + 4 + 4 + 4;
    assert_eq!(out[size..size + 4], [0, 0, 0, 5]);
    let mut demuxer = Demuxer::new();
    demuxer.receive(&out).unwrap();
    assert_eq!(demuxer.next_frame().unwrap().unwrap().kind, FrameKind::Config);
    assert_eq!(demuxer.next_frame().unwrap().unwrap().payload, b"sound"[..]);
    assert_eq!(demuxer.next_frame(), Ok(None));
    out[size + 3] = 0;
    let frames = demux(&out, usize::MAX).unwrap();
    assert_eq!(frames.len(), 1);
}

#[test]
fn an_mdat_that_goes_on_to_the_end_and_one_of_64_bits() {
    let mut sounds = of_sound(&[0x12, 0x10]);
    let mut out = Vec::new();
    init_segment(&[sounds.description()], &mut out);
    sounds.push(&sound(Time(0))).unwrap();
    sounds.finish(None, &mut out);
    let at = out.len() - 13;
    out[at..at + 4].fill(0);
    assert_eq!(demux(&[&out[..], &[7; 500]].concat(), 3).unwrap().len(), 2);
    out.truncate(at);
    // The data is eight bytes further away.
    *out.last_mut().unwrap() += 8;
    out.extend_from_slice(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x15sound");
    assert_eq!(demux(&out, 3).unwrap()[1].payload, b"sound"[..]);
}

#[test]
fn several_tracks_in_one_moof() {
    // ffmpeg puts both into each but the last.
    let frames = demux(file("avc_aac_together"), usize::MAX).unwrap();
    let trafs = file("avc_aac_together").windows(4).filter(|name| name == b"traf").count();
    let moofs = file("avc_aac_together").windows(4).filter(|name| name == b"moof").count();
    assert!((moofs, trafs) == (3, 5), "{moofs} {trafs}");
    assert_eq!(samples(&frames, Track::Video).len(), 15);
    assert_eq!(samples(&frames, Track::Audio).len(), 23);
}

prop_compose! {
    fn pictures()(
        start in 0_i64..1 << 52,
        steps in prop::collection::vec((0_i64..400, -200_i64..200, 0_u8..3, 1_usize..40, any::<bool>()), 1..40),
    ) -> Vec<(Frame, bool)> {
        let mut dts = Time::from_millis(start / 1000);
        steps.into_iter().map(|(step, shown, kind, len, cut)| {
            dts = dts.plus(step * 1000);
            let kind = [FrameKind::Key, FrameKind::Delta, FrameKind::Disposable][usize::from(kind)];
            let payload = vec![len as u8; len].into();
            (picture(kind, dts, dts.plus(shown * 1000), payload), cut)
        }).collect()
    }
}

proptest! {
    #[test]
    fn pictures_come_back_however_they_are_cut(
        frames in pictures(),
        known: bool,
        cut in 1_usize..300,
    ) {
        let mut packetizer = of_pictures();
        let mut out = Vec::new();
        init_segment(&[packetizer.description()], &mut out);
        for (frame, ends) in &frames {
            if *ends {
                packetizer.finish(known.then_some(frame.dts), &mut out);
            }
            packetizer.push(frame).unwrap();
        }
        packetizer.finish(None, &mut out);
        let back = demux(&out, cut).unwrap();
        // Milliseconds are exact in ticks.
        let sent: Vec<Frame> = frames.into_iter().map(|(frame, _)| frame).collect();
        prop_assert_eq!(&back[1..], &sent[..]);
    }

    #[test]
    fn sound_is_off_by_no_more_than_half_a_frame(
        start in 0_i64..1 << 50,
        steps in prop::collection::vec((20_000_i64..30_000, any::<bool>()), 1..60),
    ) {
        let mut packetizer = of_sound(&[0x12, 0x10]);
        let (mut out, mut sent, mut dts) = (Vec::new(), Vec::new(), Time(start));
        for (step, ends) in steps {
            if ends {
                packetizer.finish(Some(dts), &mut out);
            }
            sent.push(sound(dts));
            packetizer.push(sent.last().unwrap()).unwrap();
            dts = dts.plus(step);
        }
        packetizer.finish(None, &mut out);
        assert_same(&sent, &read_back(&packetizer, &out), 11_700);
    }

    #[test]
    fn anything_is_frames_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        begun: bool,
        cut in 1_usize..50,
    ) {
        let mut file = Vec::new();
        if begun {
            init_segment(&[of_sound(&[0x12, 0x10]).description()], &mut file);
        }
        file.extend(bytes);
        let _ = demux(&file, cut);
    }

    #[test]
    fn a_file_with_bytes_changed_is_frames_or_an_error(
        which in 0_usize..FILES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut file = FILES[which].1.to_vec();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let _ = demux(&file, usize::MAX);
    }
}
