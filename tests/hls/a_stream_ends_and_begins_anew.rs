//! A stream that is over is listed as such for a while; a new life of its name is another stream.

use std::time::{Duration, Instant};

use crate::live::{Card, Weir};
use crate::support::{Client, segments, stream, tag};

const CONFIG: &str = "[publish]\ngrace = \"1s\"\n[play]\nwait_for_publisher = \"0s\"\n\
                      [hls]\nsegment = \"1s\"\nwindow = \"6s\"\nviewer_leaves_after = \"5s\"\n";
const LIST: &str = "/live/over/video.m3u8";

/// Publishes for three seconds of the stream; its list, once it is over.
fn life(weir: &Weir) -> String {
    let mut publisher = weir.publish("live/over");
    let mut client = Client::new(weir.http);
    client.ask("GET", LIST, "");
    stream(&mut publisher, &mut Card::new(320, 240), 100);
    let text = client.answer().text();
    drop(publisher);
    let next = tag(&text, "#EXT-X-MEDIA-SEQUENCE").unwrap() + segments(&text).len() as u64 + 1;
    let mut text = client.list(LIST);
    while !text.contains("ENDLIST") {
        let answer = client.get(&format!("{LIST}?_HLS_msn={next}"));
        text = answer.text();
    }
    text
}

#[test]
fn for_a_while_and_then_not_at_all() {
    let weir = Weir::with(CONFIG, &["--loops", "4"]);
    let text = life(&weir);
    let (mut client, began) = (Client::new(weir.http), Instant::now());
    assert!(!client.body(&format!("/live/over/{}", segments(&text)[0])).is_empty());
    // Whichever loop a connection comes to: nobody has asked for the sound while it lasted.
    for _ in 0..16 {
        let mut client = Client::new(weir.http);
        assert_eq!(client.list(LIST), text, "who played it is told the end");
        assert!(client.list("/live/over.m3u8").contains("over/video.m3u8"));
        assert!(client.list("/live/over.mpd").contains("type=\"static\""));
        assert!(!client.body(&format!("/live/over/{}", segments(&text)[0])).is_empty());
    }
    // However often it is asked for.
    loop {
        let answer = client.get(LIST);
        if answer.status == 404 {
            break;
        }
        assert_eq!(answer.status, 200);
        assert!(began.elapsed() < Duration::from_secs(12), "it is still there");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() > Duration::from_secs(3), "it was gone at once");
    assert!(client.get(LIST).text().contains("nobody publishes live/over"));
}

#[test]
fn a_new_life_takes_over() {
    let weir = Weir::with(CONFIG, &["--loops", "2"]);
    let old = life(&weir);
    let mut publisher = weir.publish("live/over");
    // The loops are told; from then on nobody sees the last life.
    let mut client = Client::new(weir.http);
    let until = Instant::now() + weir_tests::PATIENCE;
    let mut card = Card::new(320, 240);
    let new = loop {
        stream(&mut publisher, &mut card, 100);
        let answer = client.get(LIST);
        if answer.status == 200 && !answer.text().contains("ENDLIST") {
            break answer.text();
        }
        assert!(Instant::now() < until);
    };
    let number = |text: &str| tag(text, "#EXT-X-MEDIA-SEQUENCE").unwrap();
    assert!(number(&new) > number(&old), "players go on, never back");
    let discontinuity = |text: &str| tag(text, "#EXT-X-DISCONTINUITY-SEQUENCE").unwrap();
    assert!(discontinuity(&new) > discontinuity(&old), "times are not those of the last life");
    assert!(discontinuity(&new) < 10_000, "players look through as many");
    let answer = client.get(&format!("/live/over/{}", segments(&old)[0]));
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("another life"), "{}", answer.text());
    assert_eq!(client.get(&format!("/live/over/{}", segments(&new)[0])).status, 200);
}
