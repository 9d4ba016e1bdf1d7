//! What is received: in any pieces, in other forms, and broken.

use super::*;

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

proptest! {
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
