#![allow(clippy::unwrap_used)]

use super::*;
use crate::frame::Track;
use crate::limits::{RTMP_CHUNK_SIZE, RTMP_CHUNK_STREAMS, RTMP_HELD, RTMP_MESSAGE};
use proptest::prelude::*;
use std::collections::VecDeque;

/// Everything the reader makes of these bytes, cut into pieces of these lengths in turn.
fn read_in(bytes: &[u8], chunk: u32, pieces: &[usize]) -> Result<Vec<RawMessage>, ChunkError> {
    let mut reader = Reader::default();
    reader.set_chunk_size(chunk)?;
    reader.set_message_limit(RTMP_MESSAGE);
    let (mut rest, mut out, mut turn) = (bytes, Vec::new(), 0);
    while !rest.is_empty() {
        let (mut piece, after) = rest.split_at(pieces[turn % pieces.len()].clamp(1, rest.len()));
        turn += 1;
        rest = after;
        while let Some(message) = reader.read(&mut piece)? {
            if message.kind == kind::SET_CHUNK_SIZE {
                let size = u32::from_be_bytes(*message.payload.first_chunk().unwrap());
                reader.set_chunk_size(size)?;
            }
            out.push(message);
        }
        assert!(piece.is_empty());
    }
    Ok(out)
}

fn read(bytes: &[u8], chunk: u32) -> Result<Vec<RawMessage>, ChunkError> {
    let whole = read_in(bytes, chunk, &[bytes.len()]);
    assert_eq!(whole, read_in(bytes, chunk, &[1]));
    whole
}

/// A peer that compresses headers as far as it may.
#[derive(Clone, Default)]
struct Peer {
    last: Option<RawMessage>,
    delta: u32,
    /// The last header's extended timestamp.
    extended: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Habits {
    chunk: usize,
    repeats_extended: bool,
    compresses: bool,
}

impl Peer {
    /// The chunks of a message.
    fn chunks(&mut self, id: u32, message: &RawMessage, habits: Habits) -> VecDeque<Vec<u8>> {
        let basic = |format: u8| match id {
            0..64 => vec![format << 6 | id as u8],
            64..320 => vec![format << 6, (id - 64) as u8],
            _ => vec![format << 6 | 1, (id - 64) as u8, ((id - 64) >> 8) as u8],
        };
        let last = self
            .last
            .as_ref()
            .filter(|last| habits.compresses && last.message_stream == message.message_stream);
        let delta = last.map_or(0, |last| message.time.wrapping_sub(last.time));
        // Times this near could be meant absolutely, so nobody sends them as a delta.
        let ambiguous = delta >= EXTENDED
            && last
                .is_some_and(|last| delta.wrapping_sub(last.time).wrapping_add(10_000) <= 20_000);
        let format = match last {
            None => 0,
            Some(_) if ambiguous => 0,
            Some(last) if last.kind != message.kind => 1,
            Some(last) if last.payload.len() != message.payload.len() => 1,
            Some(_) if delta != self.delta || delta >= EXTENDED => 2,
            Some(_) => 3,
        };
        let field = if format == 0 { message.time } else { delta };
        if format != 3 {
            self.extended = (field >= EXTENDED).then_some(field);
            // A type 3 after a type 0 repeats its time as a step only if that is believable.
            self.delta = if format == 0 && field > 10_000 { 0 } else { field };
        }
        let mut head = basic(format);
        let length = message.payload.len() as u32;
        if format < 3 {
            head.extend_from_slice(&field.min(EXTENDED).to_be_bytes()[1..]);
        }
        if format < 2 {
            head.extend_from_slice(&length.to_be_bytes()[1..]);
            head.push(message.kind);
        }
        if format == 0 {
            head.extend_from_slice(&message.message_stream.to_le_bytes());
        }
        if let Some(extended) = self.extended.filter(|_| format < 3 || habits.repeats_extended) {
            head.extend_from_slice(&extended.to_be_bytes());
        }
        self.last = Some(message.clone());
        let mut parts = message.payload.chunks(habits.chunk);
        head.extend_from_slice(parts.next().unwrap_or_default());
        let mut out = VecDeque::from([head]);
        for part in parts {
            let mut next = basic(3);
            if let Some(extended) = self.extended.filter(|_| habits.repeats_extended) {
                next.extend_from_slice(&extended.to_be_bytes());
            }
            next.extend_from_slice(part);
            out.push_back(next);
        }
        out
    }
}

const STREAMS: [u32; 4] = [3, 63, 64 + 200, 64 + 3 * 256 + 5];

fn step() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..100, 1 => 0xff_fff0u32..0x100_0010, 1 => any::<u32>()]
}

fn message() -> impl Strategy<Value = (usize, u32, RawMessage)> {
    let payload = prop::collection::vec(any::<u8>(), 0..400);
    let payload = prop_oneof![payload, Just(vec![7; 60])];
    (0..STREAMS.len(), step(), 8u8..10, 0u32..2, payload).prop_map(
        |(stream, step, kind, message_stream, payload)| {
            (stream, step, RawMessage { kind, message_stream, time: 0, payload: payload.into() })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn interleaved_messages_arrive_whole(
        messages in prop::collection::vec(message(), 1..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
        chunk in prop_oneof![1usize..20, 100usize..300, Just(100_000)],
        repeats_extended: bool,
        compresses: bool,
        pieces in prop::collection::vec(1usize..90, 1..20),
    ) {
        let habits = Habits { chunk, repeats_extended, compresses };
        let mut waiting: Vec<VecDeque<RawMessage>> = vec![VecDeque::new(); STREAMS.len()];
        let mut times = [0u32; STREAMS.len()];
        for (stream, step, mut message) in messages {
            times[stream] = times[stream].wrapping_add(step);
            message.time = times[stream];
            waiting[stream].push_back(message);
        }
        let mut peers = vec![Peer::default(); STREAMS.len()];
        let mut sending: Vec<VecDeque<Vec<u8>>> = vec![VecDeque::new(); STREAMS.len()];
        let (mut wire, mut expected, mut turn) = (Vec::new(), Vec::new(), 0);
        loop {
            let busy: Vec<usize> = (0..STREAMS.len())
                .filter(|s| !sending[*s].is_empty() || !waiting[*s].is_empty())
                .collect();
            if busy.is_empty() {
                break;
            }
            let stream = busy[order[turn % order.len()].index(busy.len())];
            turn += 1;
            if sending[stream].is_empty() {
                let next = &waiting[stream][0];
                sending[stream] = peers[stream].chunks(STREAMS[stream], next, habits);
            }
            wire.extend(sending[stream].pop_front().unwrap());
            if sending[stream].is_empty() {
                expected.push(waiting[stream].pop_front().unwrap());
            }
        }
        // Something behind the last message, so that its missing timestamp can be noticed.
        let last = RawMessage { kind: 3, message_stream: 0, time: 0, payload: vec![0; 4].into() };
        wire.extend(Peer::default().chunks(2, &last, habits).into_iter().flatten());
        expected.push(last);
        for pieces in [&[1][..], &pieces, &[wire.len()]] {
            prop_assert_eq!(&read_in(&wire, chunk as u32, pieces).unwrap(), &expected);
        }
    }

    #[test]
    fn what_is_written_is_read(
        time: u32,
        len in 0usize..2000,
        cut in any::<prop::sample::Index>(),
        chunk_size in 1usize..700,
        time_is_extended: bool,
    ) {
        let time = if time_is_extended { time | 0x100_0000 } else { time & 0xff_ffff };
        let payload: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
        let (a, b) = payload.split_at(cut.index(len + 1));
        let header = Header { chunk_stream: 6, kind: 9, message_stream: 1, time };
        let mut out = Vec::new();
        append(&mut out, &header, &[a, &[], b], chunk_size).unwrap();
        prop_assert_eq!(out.len(), framed_len(&header, len, chunk_size));
        let payload = payload.into();
        let message = RawMessage { kind: 9, message_stream: 1, time, payload };
        prop_assert_eq!(read(&out, chunk_size as u32).unwrap(), [message]);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read_in(&bytes, 128, &[64]);
        let whole = read_in(&bytes, 5, &[bytes.len()]);
        prop_assert_eq!(whole, read_in(&bytes, 5, &[1]));
    }
}

/// A header of type 0 on chunk stream 4.
fn type0(time: u32, len: u32) -> Vec<u8> {
    let time = time.min(EXTENDED).to_be_bytes();
    [&[4], &time[1..], &len.to_be_bytes()[1..], &[9, 1, 0, 0, 0]].concat()
}

fn times(bytes: &[u8]) -> Vec<u32> {
    read(bytes, 128).unwrap().iter().map(|message| message.time).collect()
}

#[test]
fn type_3_begins_messages_too() {
    // The specification: again by the time of a type 0, then again by the last delta.
    let bytes = [&type0(20, 1)[..], b"a\xc4b\x84\0\0\x05c\xc4d"].concat();
    assert_eq!(times(&bytes), [20, 40, 45, 50]);
    // A time that is no step: its sender means the same time again.
    let bytes = [&type0(3_600_000, 1)[..], b"a\xc4b"].concat();
    assert_eq!(times(&bytes), [3_600_000, 3_600_000]);
    // With an extended time, repeated or not.
    let time = 0x0102_0304u32.to_be_bytes();
    let first = [&type0(u32::MAX, 1)[..], &time, b"a"].concat();
    assert_eq!(times(&[&first[..], b"\xc4", &time, b"b"].concat()), [0x0102_0304; 2]);
    assert_eq!(times(&[&first[..], b"\xc4b"].concat()), [0x0102_0304; 2]);
}

#[test]
fn extended_deltas_are_deltas_backwards_or_times() {
    let extended = |value: u32| {
        [&type0(50_000, 1)[..], b"a\x84\xff\xff\xff", &value.to_be_bytes(), b"b"].concat()
    };
    assert_eq!(times(&extended(0x0200_0000)), [50_000, 50_000 + 0x0200_0000]);
    assert_eq!(times(&extended(33u32.wrapping_neg())), [50_000, 49_967]);
    // As some have it once their time is past 2^24.
    let before = 0xff_fff0u32;
    let bytes = [&type0(before, 1)[..], b"a\x84\xff\xff\xff\x01\x00\x00\x10b"].concat();
    assert_eq!(times(&bytes), [before, 0x0100_0010]);
}

#[test]
fn the_first_chunk_may_be_of_type_1() {
    assert_eq!(times(b"\x44\0\0\x05\0\0\x01\x09a"), [5]);
    for format in [2u8, 3] {
        let error = ChunkError::NothingBefore { format, chunk_stream: 4 };
        assert_eq!(read(&[format << 6 | 4, 0, 0, 0], 128), Err(error));
    }
}

#[test]
fn abort_forgets_a_message() {
    let mut reader = Reader::default();
    let begun = [type0(0, 200), vec![1; 128]].concat();
    assert_eq!(reader.read(&mut begun.as_slice()), Ok(None));
    assert_eq!(reader.held(), 128);
    reader.abort(5);
    assert_eq!(reader.held(), 128);
    reader.abort(4);
    assert_eq!(reader.held(), 0);
    let again = [type0(7, 1), vec![2]].concat();
    assert_eq!(reader.read(&mut again.as_slice()).unwrap().unwrap().time, 7);
}

#[test]
fn chunk_sizes_of_any_length_are_taken_and_cost_nothing() {
    let mut reader = Reader::default();
    assert_eq!(reader.set_chunk_size(0), Err(ChunkError::ChunkSizeZero));
    let top = ChunkError::ChunkSizeTopBit(0x8000_0000);
    assert_eq!(reader.set_chunk_size(0x8000_0000), Err(top));
    assert_eq!(reader.set_chunk_size(u32::MAX), Err(ChunkError::ChunkSizeTopBit(u32::MAX)));
    reader.set_message_limit(RTMP_MESSAGE);
    for size in [1, 134_217_728, i32::MAX as u32] {
        reader.set_chunk_size(size).unwrap();
    }
    let begun = [type0(0, 0xff_ffff), vec![1; 10]].concat();
    assert_eq!(reader.read(&mut begun.as_slice()), Ok(None));
    assert_eq!(reader.held(), 10);
    assert!(reader.capacity() < 1000, "{}", reader.capacity());
}

#[test]
fn memory_grows_with_what_arrived_and_goes_back() {
    let mut reader = Reader::default();
    reader.set_message_limit(RTMP_MESSAGE);
    reader.set_chunk_size(i32::MAX as u32).unwrap();
    reader.read(&mut type0(0, 5_000_000).as_slice()).unwrap();
    for sent in 1..50 {
        assert_eq!(reader.read(&mut [0; 100_000].as_slice()), Ok(None));
        assert!(reader.capacity() <= 2 * sent * 100_000 + 1000);
    }
    let message = reader.read(&mut [0; 100_000].as_slice()).unwrap().unwrap();
    assert_eq!(message.payload.len(), 5_000_000);
    assert_eq!((reader.held(), reader.capacity()), (0, 0));
}

#[test]
fn a_buffer_is_used_again_once_its_messages_are_gone() {
    let mut reader = Reader::default();
    reader.set_message_limit(RTMP_MESSAGE);
    let bytes = [type0(0, 100), vec![1; 100]].concat();
    let mut places = Vec::new();
    for _ in 0..50 {
        reader.begin();
        let message = reader.read(&mut bytes.as_slice()).unwrap().unwrap();
        places.push(message.payload.as_ptr() as usize);
    }
    places.sort_unstable();
    places.dedup();
    assert!(places.len() == 1, "{places:?}");
}

#[test]
fn limits_hold() {
    let limit = ChunkError::MessageLength { len: 70_000, limit: 65_536 };
    assert_eq!(Reader::default().read(&mut type0(0, 70_000).as_slice()), Err(limit));

    let streams = |count: usize| -> Vec<u8> {
        (0..count).flat_map(|n| [&[0, n as u8][..], &type0(0, 1)[1..], b"x"].concat()).collect()
    };
    assert_eq!(read(&streams(RTMP_CHUNK_STREAMS), 128).unwrap().len(), RTMP_CHUNK_STREAMS);
    let error = ChunkError::TooManyChunkStreams(RTMP_CHUNK_STREAMS);
    assert_eq!(read(&streams(RTMP_CHUNK_STREAMS + 1), 128), Err(error));

    let mut reader = Reader::default();
    reader.set_message_limit(RTMP_MESSAGE);
    reader.set_chunk_size(1_000_000).unwrap();
    let part = vec![0; 1_000_000];
    let mut error = None;
    for n in 0..40u8 {
        let begun = [&[0, n][..], &type0(0, 0xff_ffff)[1..], &part].concat();
        error = reader.read(&mut begun.as_slice()).err();
        if error.is_some() {
            break;
        }
    }
    assert_eq!(error, Some(ChunkError::TooMuchHeld(RTMP_HELD)));

    let inside = [type0(0, 200), vec![0; 128], type0(0, 200)].concat();
    assert_eq!(read(&inside, 128), Err(ChunkError::Interrupted(4)));
}

#[test]
fn all_players_share_the_same_bytes() {
    let payload = vec![5; RTMP_CHUNK_SIZE + 1];
    let mut out = Vec::new();
    append_media(&mut out, Track::Video, (1 << 32) + 0x0100_0000, &[&payload]).unwrap();
    let head = b"\x06\xff\xff\xff\x00\xea\x61\x09\x01\0\0\0\x01\0\0\0\x05";
    assert_eq!(&out[..head.len()], head);
    assert_eq!(&out[out.len() - 6..], b"\xc6\x01\0\0\0\x05");
    assert_eq!(read(&out, RTMP_CHUNK_SIZE as u32).unwrap()[0].payload, payload);

    let header = media_header(Track::Audio, 1, 0);
    let long = vec![0; 0x100_0000];
    assert_eq!(append(&mut out, &header, &[&long], 60_000), Err(TooLong(0x100_0000)));
}
