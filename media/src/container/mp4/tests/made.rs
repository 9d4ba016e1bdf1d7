//! What is made: its times, its size, and what another reader finds.

use super::*;
use mp4_atom::{Any, Decode, DecodeMaybe, Moof, Moov};

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
    let record = include_bytes!("../../../../tests/corpus/mp4/anamorphic.avcc");
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
}
