//! Names: any app, the default one, queries passed over, and what is no name at any door.

use media::protocol::rtmp::status::code;

use crate::support::{Card, Weir, number};

#[test]
fn one_stream_has_one_name_at_all_doors() {
    let weir = Weir::start();
    let mut publisher = weir.publish("show/room/cam?key=secret&x=1");
    publisher.pictures(&mut Card::new(320, 240), 3);
    weir.wait_count("frames_in", publisher.frames);
    for mut player in weir.players("show/room/cam?token=1") {
        assert_eq!(number(&player.picture()), 0, "{}", player.door());
    }
    let mut publisher = weir.publish("live/alone");
    publisher.pictures(&mut Card::new(320, 240), 3);
    weir.wait_count("frames_in", publisher.frames);
    let mut player = weir.play_http("alone");
    assert_eq!(number(&player.picture()), 0);
}

#[test]
fn what_is_no_name_is_refused() {
    let weir = Weir::start();
    for name in ["live/../etc", "live/a b", "live/%2e%2e", "live/a\\b", "live/.hidden"] {
        let (code, _) = weir.try_publish(name).err().unwrap();
        assert_eq!(code, code::PUBLISH_BAD_NAME, "{name}");
        assert_eq!(weir.play_rtmp(name).end(), "NetStream.Play.StreamNotFound", "{name}");
    }
    for path in ["live/%2e%2e", "live/a%20b", "live/%00", "live/a%5cb", "live//x", "live/.x"] {
        assert_eq!(weir.play_http(path).end(), "HTTP/1.1 400 Bad Request", "{path}");
    }
}
