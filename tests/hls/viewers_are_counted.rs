//! Who fetches a list or its files is a viewer, until it stops.

use std::time::{Duration, Instant};

use crate::live::{Card, Weir};
use crate::support::{Client, segments, stream};

const CONFIG: &str = "[hls]\nsegment = \"1s\"\nwindow = \"6s\"\nviewer_leaves_after = \"5s\"\n";

#[test]
fn once_each_however_many_loops_they_ask() {
    let weir = Weir::with(CONFIG, &["--loops", "2"]);
    let mut publisher = weir.publish("live/seen");
    let mut client = Client::new(weir.http);
    client.ask("GET", "/live/seen/video.m3u8", "User-Agent: one\r\n");
    stream(&mut publisher, &mut Card::new(320, 240), 100);
    let text = client.answer().text();
    let file = format!("/live/seen/{}", segments(&text)[0]);
    weir.wait_count("viewers", 1);
    // The same one, over connections to whichever loop.
    for _ in 0..16 {
        let mut client = Client::new(weir.http);
        client.get_with(&file, "User-Agent: one\r\n");
        client.get_with("/live/seen/video.m3u8", "User-Agent: one\r\n");
    }
    // Another agent, one with a name of its own in the query, and one with it in a cookie.
    client.get_with(&file, "User-Agent: two\r\n");
    client.get_with(&format!("{file}?id=3"), "User-Agent: one\r\n");
    client.get_with(&file, "User-Agent: one\r\nCookie: a=b; weir_id=4\r\n");
    weir.wait_count("viewers", 4);
    let still = Instant::now() + Duration::from_secs(1);
    while Instant::now() < still {
        assert_eq!(weir.count("viewers"), 4);
        std::thread::sleep(Duration::from_millis(100));
    }
    // One goes on, three leave.
    let until = Instant::now() + weir_tests::PATIENCE;
    while weir.count("viewers") != 1 {
        assert!(Instant::now() < until, "{}", weir.page());
        client.get_with(&file, "User-Agent: two\r\n");
        std::thread::sleep(Duration::from_millis(200));
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        client.get_with(&file, "User-Agent: two\r\n");
        assert_eq!(weir.count("viewers"), 1, "who asks all the time stays");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(weir.page().contains("viewers: 1 now, 4 in all"), "{}", weir.page());
}
