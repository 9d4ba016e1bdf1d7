//! Whatever comes, nothing panics, memory is bounded, and cutting changes nothing.

use super::super::client::{ClientConfig, ClientSession, Purpose};
use super::super::server::PlayStart;
use super::*;
use proptest::prelude::*;

fn conversation() -> Script {
    Script::publishing()
        .command(0, "getStreamLength", vec!["cam".into()])
        .chunks_of(300)
        .video(0, &[0x17; 500])
        .audio(0x0100_0000, &[0xaf; 700])
        .say(
            1,
            30,
            &Message::Aggregate(vec![8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 12].into()),
        )
        .command(1, "closeStream", vec![])
        .command(1, "play", vec!["cam".into()])
        .command(1, "pause", vec![true.into()])
        .command(0, "deleteStream", vec![1.0.into()])
}

/// Everything but what depends on when it was asked: how an input ended, and what came of it.
fn outcome(bytes: &[u8], piece: usize) -> (Vec<Event>, Option<Error>) {
    let (served, result) = Served::of(bytes, piece);
    assert!(served.session.held() <= 2 * bytes.len() + 4096);
    (served.events, result.err())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn noise_behind_a_handshake(noise in prop::collection::vec(any::<u8>(), 0..2000)) {
        let bytes = Script::connected().raw(&noise).bytes;
        let (_, error) = outcome(&bytes, usize::MAX);
        prop_assert_eq!(outcome(&bytes, 1).1, error);
    }

    #[test]
    fn a_conversation_with_damages(
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        piece in 1usize..200,
    ) {
        let mut bytes = conversation().bytes;
        let behind = 1 + 2 * 1536;
        for (place, byte) in damages {
            let place = behind + place.index(bytes.len() - behind);
            bytes[place] = byte;
        }
        // Which fault is met first depends on what had to wait for a decision.
        let (_, error) = outcome(&bytes, usize::MAX);
        prop_assert_eq!(outcome(&bytes, piece).1.is_some(), error.is_some());
    }

    #[test]
    fn a_server_that_sends_noise(noise in prop::collection::vec(any::<u8>(), 0..2000), skip: bool) {
        let config = ClientConfig::from_url("rtmp://h/a/b", Purpose::Play(PlayStart::Any)).unwrap();
        let mut client = ClientSession::new(config, 1);
        let mut bytes = vec![3];
        bytes.resize(1 + 2 * 1536, 0);
        if skip {
            bytes.clear();
        }
        let _ = client.receive(&bytes).and_then(|()| client.receive(&noise));
        while client.poll_event().is_some() {}
    }

    #[test]
    fn a_conversation_in_pieces(piece in 1usize..400) {
        let bytes = conversation().bytes;
        let whole = outcome(&bytes, usize::MAX);
        prop_assert_eq!(&whole.1, &None);
        prop_assert_eq!(outcome(&bytes, piece), whole);
    }
}
