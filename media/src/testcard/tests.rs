use super::*;
use proptest::prelude::*;

fn nals(mut payload: &[u8]) -> Vec<&[u8]> {
    let mut list = Vec::new();
    while let Some((len, rest)) = payload.split_first_chunk::<4>() {
        let (nal, rest) = rest.split_at(u32::from_be_bytes(*len) as usize);
        list.push(nal);
        payload = rest;
    }
    list
}

#[test]
fn configurations_first_then_in_order_of_time() {
    let mut card = TestCard::new(Options { stream_index: 9, ..Options::default() }).unwrap();
    let kinds: Vec<_> = (0..4).map(|_| card.next(5)).map(|f| (f.track, f.codec, f.kind)).collect();
    let expected = [
        (Track::Video, Codec::Avc, FrameKind::Config),
        (Track::Audio, Codec::Aac, FrameKind::Config),
        (Track::Video, Codec::Avc, FrameKind::Key),
        (Track::Audio, Codec::Aac, FrameKind::Key),
    ];
    assert_eq!(kinds, expected);
    let mut last = Time(0);
    let mut count = 1;
    for _ in 0..1000 {
        let due = card.due();
        assert!(due >= last);
        last = due;
        let frame = card.next(-due.0);
        assert_eq!((frame.dts, frame.pts), (due, due));
        let stamp = Stamp::find(&frame.payload);
        if frame.track == Track::Video {
            assert_eq!(stamp, Some(Stamp { stream: 9, frame: count, micros: -due.0 }));
            assert_eq!(due, Time((count * 1_000_000 / 30) as i64));
            let key = count.is_multiple_of(60);
            assert_eq!(frame.kind, if key { FrameKind::Key } else { FrameKind::Delta });
            let types: Vec<_> = nals(&frame.payload).iter().map(|nal| nal[0] & 31).collect();
            assert_eq!(types, [6, if key { 5 } else { 1 }, 12]);
            count += 1;
        } else {
            assert_eq!(stamp, None);
        }
    }
}

#[test]
fn key_pictures_have_their_ratio() {
    let mut card =
        TestCard::new(Options { audio: None, key_ratio: 5, ..Options::default() }).unwrap();
    card.next(0);
    let lens: Vec<_> = (0..180).map(|_| card.next(0).payload.len()).collect();
    let gop = 2_500_000 / 8 * 2;
    for gop_lens in lens.chunks(60) {
        assert_eq!(gop_lens.iter().sum::<usize>(), gop);
        assert!(gop_lens[1..].iter().all(|len| (5 * len).abs_diff(gop_lens[0]) < 10));
    }
}

/// Bytes of pictures and sound in the first `seconds`.
fn bytes(options: &Options, seconds: i64) -> (u64, u64) {
    let mut card = TestCard::new(options.clone()).unwrap();
    while card.due() < Time(seconds * SECOND) {
        card.next(card.due().0);
    }
    (card.pictures.bytes, card.sounds.bytes)
}

#[test]
fn bitrate_is_what_was_asked() {
    for (width, height, gop, video, audio) in [
        (1280, 720, 60, 2_500_000, 128_000),
        (640, 360, 30, 200_000, 32_000),
        (320, 180, 300, 3_000_000, 96_000),
        (426, 240, 1, 1_500_000, 64_001),
        // So little that the picture stands still at times.
        (640, 360, 150, 40_000, 20_000),
    ] {
        for (rate, channels) in [(44_100, 1), (48_000, 2)] {
            let audio = AudioOptions { rate, channels, bitrate: audio };
            let options = Options {
                width,
                height,
                gop_frames: gop,
                video_bitrate: video,
                audio: Some(audio.clone()),
                ..Options::default()
            };
            let (pictures, sounds) = bytes(&options, 10);
            let error =
                |bytes: u64, rate: u64| (bytes as f64 * 8.0 / 10.0 / rate as f64 - 1.0).abs();
            assert!(error(pictures, video) < 0.01, "{options:?} {pictures}");
            assert!(error(sounds, audio.bitrate) < 0.01, "{options:?} {sounds}");
        }
    }
}

#[test]
fn a_picture_short_of_bytes_stands_still_and_goes_on() {
    let options = Options { video_bitrate: 100_000, audio: None, ..Options::default() };
    let mut card = TestCard::new(options).unwrap();
    card.next(0);
    let lens: Vec<_> = (0..600).map(|_| card.next(0)).collect();
    let short = lens.iter().filter(|frame| frame.payload.len() <= STILL_BYTES as usize).count();
    assert!((100..590).contains(&short), "{short}");
    assert!(lens.iter().zip(0..).all(|(f, n)| Stamp::find(&f.payload).unwrap().frame == n));
}

#[test]
fn what_cannot_be_made_is_said() {
    let said = |change: &dyn Fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        TestCard::new(options).unwrap_err().to_string()
    };
    let audio = |rate, channels, bitrate| Some(AudioOptions { rate, channels, bitrate });
    assert!(said(&|o| o.width = 641).contains("not 641x720"));
    assert!(said(&|o| o.height = 0).contains("not 1280x0"));
    assert!(said(&|o| (o.width, o.height) = (u32::MAX - 1, 16)).contains("6.2"));
    assert!(said(&|o| o.fps_den = 0).contains("30/0"));
    assert!(said(&|o| o.fps_num = 0).contains("0/1"));
    assert!(said(&|o| o.fps_num = 1001).contains("1001/1"));
    assert!(said(&|o| o.gop_frames = 0).contains("not every 0"));
    assert!(said(&|o| o.key_ratio = 0).contains("not 0 times"));
    assert!(said(&|o| o.video_bitrate = 10_000).contains("not 10000"));
    assert!(said(&|o| o.video_bitrate = u64::MAX).contains("6.2"));
    assert!(said(&|o| (o.fps_num, o.video_bitrate) = (1, 200_000_000)).contains("key ratio"));
    assert!(said(&|o| o.audio = audio(22_050, 2, 64_000)).contains("not 22050"));
    assert!(said(&|o| o.audio = audio(48_000, 6, 64_000)).contains("not 6"));
    assert!(said(&|o| o.audio = audio(48_000, 1, 320_000)).contains("6000 to 288000"));
}

#[test]
fn metadata_is_for_both_tracks() {
    let card = TestCard::new(Options::default()).unwrap();
    let metadata = card.metadata();
    let get = |key| metadata.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    assert_eq!((get("width"), get("height")), (Some(1280.0), Some(720.0)));
    assert_eq!((get("videocodecid"), get("audiocodecid")), (Some(7.0), Some(10.0)));
    assert_eq!((get("videodatarate"), get("audiodatarate")), (Some(2500.0), Some(128.0)));
    let card = TestCard::new(Options { audio: None, ..Options::default() }).unwrap();
    assert!(card.metadata().iter().all(|(key, _)| !key.starts_with("audio")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_options_are_refused_or_made(
        width in 0_u32..700, height in 0_u32..500, num in 0_u32..70_000, den in 0_u32..2000,
        gop_frames in 0_u32..90, key_ratio in 0_u32..12, video_bitrate in 0_u64..5_000_000,
        rate in prop::sample::select(vec![44_100_u32, 48_000]), channels in 0_u32..4,
        bitrate in 0_u64..700_000, now: i64,
    ) {
        let audio = Some(AudioOptions { rate, channels, bitrate });
        let (fps_num, fps_den) = (num, den);
        let options = Options {
            width: width & !1, height: height & !1, fps_num, fps_den, gop_frames, key_ratio, video_bitrate,
            audio, stream_index: 0,
        };
        if let Ok(mut card) = TestCard::new(options) {
            for _ in 0..30 {
                let due = card.due();
                prop_assert_eq!(card.next(now).dts, due);
            }
        }
    }
}
