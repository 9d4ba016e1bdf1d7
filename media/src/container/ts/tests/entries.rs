//! Where somebody can begin, and what is told there.

use super::checker::Seen;
use super::*;

/// Pictures every 40 ms, a key each ten; AAC as it comes between, with times of milliseconds.
fn stream(video: Codec, pictures: i64) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut sounds = 0;
    for number in 0..pictures {
        let dts = Time(number * 40_000);
        while sound_time(sounds) < dts {
            frames.push(frame(Codec::Aac, FrameKind::Key, sound_time(sounds), 300));
            sounds += 1;
        }
        let kind = if number % 10 == 0 { FrameKind::Key } else { FrameKind::Delta };
        frames.push(frame(video, kind, dts, 2000));
    }
    frames
}

/// Rounded to milliseconds, as publishers do.
fn sound_time(number: i64) -> Time {
    Time::from_millis((number * 1024 * 1000 + 22_050) / 44_100)
}

#[test]
fn each_entry_decodes_by_itself() {
    for video in [Codec::Avc, Codec::Hevc] {
        let mut packetizer = packetizer(Some(video), Some(Codec::Aac));
        let (mut out, mut entries) = (Vec::new(), Vec::new());
        let frames = stream(video, 40);
        for frame in &frames {
            let before = out.len();
            let is_entry = frame.track == Track::Video && frame.kind == FrameKind::Key;
            let appended = packetizer.append(frame, is_entry, &mut out).unwrap();
            assert_eq!(out.len() - before, appended.bytes);
            assert_eq!(appended.entry.is_some(), is_entry);
            entries.extend(appended.entry.map(|entry| (before + entry.at, entry.counters, frame)));
        }
        packetizer.flush(&mut out);
        assert_eq!(entries.len(), 4);
        Seen::of(&out);
        let whole = demux(&out, usize::MAX).unwrap();
        let mut from = 0;
        for (at, counters, frame) in entries {
            // A segment up to here and what begins here are all there is.
            let segment = demux(&out[from..at], usize::MAX).unwrap();
            if at > 0 {
                assert_eq!(
                    segment
                        .iter()
                        .filter(|f| f.kind == FrameKind::Key && f.track == Track::Video)
                        .count(),
                    1
                );
            }
            from = at;
            let behind = demux(&out[at..], usize::MAX).unwrap();
            let first = &behind[..2];
            assert_eq!((first[0].kind, first[0].codec), (FrameKind::Config, video));
            assert_eq!((first[1].kind, &first[1].payload), (FrameKind::Key, &frame.payload));
            let media = |frames: &[Frame]| {
                let media = frames.iter().filter(|frame| frame.kind != FrameKind::Config);
                media.cloned().collect::<Vec<_>>()
            };
            assert!(media(&whole).ends_with(&media(&behind)));
            // Who comes from the beginning and skips is told that counters jump.
            let mut told = out[..4 * PACKET].to_vec();
            assert_eq!(Counters::of_bits(counters.bits()), counters);
            counters.announce(&mut told);
            assert_eq!(told.len(), 4 * PACKET + Counters::ANNOUNCED);
            told.extend_from_slice(&out[at..]);
            Seen::of(&told);
        }
    }
}

#[test]
fn sound_alone_is_begun_with_each_half_second() {
    for (codec, step) in
        [(Codec::Aac, 23_220), (Codec::Mp3, 26_122), (Codec::Opus, 20_000), (Codec::Ac3, 32_000)]
    {
        for flagged in [true, false] {
            let mut packetizer = packetizer(None, Some(codec));
            let (mut out, mut entries, mut frames) = (Vec::new(), Vec::new(), Vec::new());
            for number in 0..200 {
                let frame = frame(codec, FrameKind::Key, Time(number * step), 300);
                let before = out.len();
                let appended = packetizer.append(&frame, flagged, &mut out).unwrap();
                entries.extend(appended.entry.map(|entry| before + entry.at));
                frames.push(frame);
            }
            let before = out.len();
            entries.extend(packetizer.flush(&mut out).entry.map(|entry| before + entry.at));
            let seen = Seen::of(&out);
            assert!(seen.longest_step() <= 9000, "{codec:?} {}", seen.longest_step());
            let seconds = 200 * step / 1_000_000;
            let count = entries.len() as i64;
            assert!(count <= 2 * seconds + 2 && count * 3 >= 5 * seconds, "{codec:?} {count}");
            assert_eq!(entries[0], 0);
            let mut left = 200;
            for at in entries {
                let frames = demux(&out[at..], 1000).unwrap();
                let sounds = of(&frames, Track::Audio);
                assert!(sounds.len() <= left);
                left = sounds.len();
                let config = frames[0].kind == FrameKind::Config;
                assert_eq!(config, matches!(codec, Codec::Aac | Codec::Opus));
            }
            let back = demux(&out, 1000).unwrap();
            for (back, sent) in of(&back, Track::Audio).iter().zip(&frames) {
                assert_eq!(back.payload, sent.payload);
                assert!((back.dts.ticks_90k() - written(sent.dts)).abs() < 100);
            }
        }
    }
}

#[test]
fn tables_change_when_tracks_do() {
    let mut packetizer = packetizer(Some(Codec::Avc), Some(Codec::Aac));
    assert_eq!(packetizer.tracks(), (Some(Codec::Avc), Some(Codec::Aac)));
    let mut out = Vec::new();
    let mut times = (0..).map(|number| Time(number * 23_000));
    let mut send = |packetizer: &mut Packetizer, codec, kind, entry| {
        let frame = frame(codec, kind, times.next().unwrap(), 100);
        packetizer.append(&frame, entry, &mut out).unwrap();
        Seen::of(&out).versions
    };
    send(&mut packetizer, Codec::Avc, FrameKind::Key, true);
    send(&mut packetizer, Codec::Aac, FrameKind::Key, false);
    // Other records of the same codecs are no other tables.
    packetizer.configure(Some((Codec::Avc, AVC)), Some((Codec::Aac, &[0x11, 0x90]))).unwrap();
    assert_eq!(send(&mut packetizer, Codec::Aac, FrameKind::Key, false), [0]);
    // Sound of another codec: what waited goes before the tables that don't know it.
    packetizer.configure(Some((Codec::Avc, AVC)), Some((Codec::Mp3, &[]))).unwrap();
    assert_eq!(send(&mut packetizer, Codec::Mp3, FrameKind::Key, false), [0]);
    assert_eq!(send(&mut packetizer, Codec::Avc, FrameKind::Key, true), [0, 1, 1]);
    // Pictures go, and are of a codec that has no words.
    packetizer.configure(Some((Codec::Av1, &[])), Some((Codec::Mp3, &[]))).unwrap();
    assert_eq!(packetizer.tracks(), (None, Some(Codec::Mp3)));
    for _ in 0..3 {
        send(&mut packetizer, Codec::Mp3, FrameKind::Key, false);
    }
    assert_eq!(send(&mut packetizer, Codec::Av1, FrameKind::Key, true), [0, 1, 1, 2]);
    packetizer.configure(None, None).unwrap();
    assert_eq!(packetizer.tracks(), (None, None));
    let codecs: Vec<Codec> = demux(&out, 188)
        .unwrap()
        .iter()
        .filter(|frame| frame.kind == FrameKind::Key)
        .map(|frame| frame.codec)
        .collect();
    let (avc, aac, mp3) = (Codec::Avc, Codec::Aac, Codec::Mp3);
    assert_eq!(codecs, [avc, aac, aac, mp3, avc, mp3, mp3, mp3]);
}

#[test]
fn a_broken_record_leaves_its_track_out() {
    let mut packetizer = Packetizer::new();
    let error = packetizer.configure(Some((Codec::Avc, &[1])), Some((Codec::Aac, AAC)));
    assert_eq!(error.unwrap_err().to_string(), "sender's AVC configuration record ends too early");
    assert_eq!(packetizer.tracks(), (None, Some(Codec::Aac)));
}

#[test]
fn sound_is_smooth_and_follows() {
    // Milliseconds that are rounded, then a frame that is missing, then a clock that is too fast.
    let mut packetizer = packetizer(None, Some(Codec::Aac));
    let mut out = Vec::new();
    let mut times: Vec<Time> = (0..100).map(sound_time).collect();
    times.extend((101..200).map(sound_time));
    times.extend((200..2000).map(|number| Time(sound_time(number).0 * 10_002 / 10_000)));
    for time in &times {
        packetizer.append(&frame(Codec::Aac, FrameKind::Key, *time, 50), false, &mut out).unwrap();
    }
    packetizer.flush(&mut out);
    let frames = demux(&out, usize::MAX).unwrap();
    let sounds = of(&frames, Track::Audio);
    assert_eq!(sounds.len(), times.len());
    let ticks: Vec<i64> = sounds.iter().map(|frame| frame.dts.ticks_90k()).collect();
    for (ticks, time) in ticks.iter().zip(&times) {
        assert!((ticks - written(*time)).abs() < 10 * 90);
    }
    let uneven = ticks.windows(2).filter(|two| !(2084..=2096).contains(&(two[1] - two[0])));
    assert_eq!(uneven.count(), 1, "the frame that is missing");
}

#[test]
fn gaps_and_jumps_of_the_clock() {
    let mut packetizer = packetizer(Some(Codec::Avc), Some(Codec::Aac));
    let mut out = Vec::new();
    let mut send = |codec, millis| {
        let kind = if codec == Codec::Aac { FrameKind::Key } else { FrameKind::Delta };
        packetizer
            .append(&frame(codec, kind, Time::from_millis(millis), 100), false, &mut out)
            .unwrap();
        packetizer.flush(&mut out);
    };
    // A picture a second; none, but sound; a day later; back at the beginning.
    [0, 900, 1800].into_iter().for_each(|millis| send(Codec::Avc, millis));
    (0..40).for_each(|number| send(Codec::Aac, 1800 + 23 * number));
    send(Codec::Avc, 2750);
    send(Codec::Avc, 86_400_000);
    send(Codec::Avc, 86_400_033);
    send(Codec::Avc, 0);
    let seen = Seen::of(&out);
    assert!(seen.longest_step() <= 9000, "{}", seen.longest_step());
    assert_eq!(seen.clocks.iter().filter(|(_, jumps)| *jumps).count(), 2);
}

#[test]
fn little_sound_between_pictures_waits_no_longer_than_it_may() {
    let mut packetizer = packetizer(Some(Codec::Avc), Some(Codec::Aac));
    let mut out = Vec::new();
    packetizer.append(&frame(Codec::Avc, FrameKind::Key, Time(0), 9), true, &mut out).unwrap();
    packetizer.append(&frame(Codec::Aac, FrameKind::Key, Time(0), 9), false, &mut out).unwrap();
    for millis in [40, 80] {
        let picture = frame(Codec::Avc, FrameKind::Delta, Time::from_millis(millis), 9);
        packetizer.append(&picture, false, &mut out).unwrap();
        assert!(packetizer.gathered() > 0);
    }
    let picture = frame(Codec::Avc, FrameKind::Delta, Time::from_millis(120), 9);
    packetizer.append(&picture, false, &mut out).unwrap();
    assert_eq!(packetizer.gathered(), 0);
}
