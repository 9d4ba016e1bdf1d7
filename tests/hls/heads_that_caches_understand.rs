//! Heads: compression, tags, ranges, other origins; and names that are none.

use crate::live::{Publisher, Weir};
use crate::support::{Client, listed, segments};

const CONFIG: &str = "[hls]\nsegment = \"1s\"\nwindow = \"6s\"\n";

fn set() -> (Weir, Publisher, Client, String) {
    let weir = Weir::with(CONFIG, &["--loops", "2"]);
    let (publisher, _) = listed(&weir, "live/heads", 100);
    let mut client = Client::new(weir.http);
    let text = client.list("/live/heads/video.m3u8");
    let file = format!("/live/heads/{}", segments(&text)[0]);
    (weir, publisher, client, file)
}

#[test]
fn lists_are_compressed_and_not_sent_twice() {
    let (_weir, _publisher, mut client, _) = set();
    // The master tells bit rates, which are known when each list has a segment.
    for rendition in ["video", "audio", "ts"] {
        assert_eq!(client.get(&format!("/live/heads/{rendition}.m3u8")).status, 200);
    }
    for path in ["/live/heads/video.m3u8", "/live/heads.m3u8", "/live/heads/ts.m3u8"] {
        let plain = client.get(path);
        assert_eq!(plain.header("Access-Control-Allow-Origin"), "*");
        assert_eq!(plain.header("Content-Type"), "application/vnd.apple.mpegurl");
        assert_eq!(plain.header("Vary"), "Accept-Encoding");
        let packed = client.get_with(path, "Accept-Encoding: br, gzip\r\n");
        assert_eq!(packed.header("Content-Encoding"), "gzip", "{path}");
        assert!(packed.body.starts_with(&[0x1f, 0x8b]));
        let refused = client.get_with(path, "Accept-Encoding: gzip;q=0\r\n");
        assert_eq!(refused.body, plain.body);
        assert_ne!(plain.header("ETag"), packed.header("ETag"));
        let tag = plain.header("ETag");
        for known in [tag.to_owned(), format!("\"x\", {tag}"), format!("W/{tag}"), "*".into()] {
            let again = client.get_with(path, &format!("If-None-Match: {known}\r\n"));
            assert_eq!((again.status, again.header("ETag")), (304, tag), "{path} {known}");
        }
        assert_eq!(client.get_with(path, "If-None-Match: \"x\"\r\n").status, 200);
        let head = client.head_alone(path);
        assert_eq!(head.header("Content-Length"), plain.body.len().to_string());
    }
    let master = client.get("/live/heads.m3u8").text();
    assert!(master.contains("heads/video.m3u8") && master.contains("CODECS="), "{master}");
}

#[test]
fn ranges_of_a_segment() {
    let (_weir, _publisher, mut client, file) = set();
    let whole = client.get(&file);
    assert_eq!(whole.header("Accept-Ranges"), "bytes");
    assert_eq!(whole.header("Content-Type"), "video/mp4");
    assert_eq!(whole.header("Cache-Control"), "public, max-age=86400, immutable");
    let whole_tag = whole.header("ETag").to_owned();
    let bytes = whole.body;
    let len = bytes.len();
    let part = |from: usize, to: usize| (206, bytes[from..to].to_vec());
    let all = || (200, bytes.clone());
    for (range, (status, expected)) in [
        ("bytes=0-9".to_owned(), part(0, 10)),
        ("bytes=5-".to_owned(), part(5, len)),
        ("bytes=-7".to_owned(), part(len - 7, len)),
        (format!("bytes=10-{}", len + 1000), part(10, len)),
        ("bytes=0-99999999999999999999999999".to_owned(), part(0, len)),
        ("bytes=-99999999999999999999999999".to_owned(), part(0, len)),
        ("bytes=0-1,5-6".to_owned(), all()),
        ("pages=1-2".to_owned(), all()),
        ("bytes=9-5".to_owned(), all()),
        ("bytes=x-".to_owned(), all()),
        ("bytes=".to_owned(), all()),
        ("bytes=--1".to_owned(), all()),
    ] {
        let answer = client.get_with(&file, &format!("Range: {range}\r\n"));
        assert_eq!(answer.status, status, "{range}");
        assert!(answer.body == expected, "{range}");
    }
    let first = client.get_with(&file, "Range: bytes=0-9\r\n");
    assert_eq!(first.header("Content-Range"), format!("bytes 0-9/{len}"));
    for range in
        [format!("bytes={len}-"), "bytes=99999999999999999999999-".into(), "bytes=-0".into()]
    {
        let answer = client.get_with(&file, &format!("Range: {range}\r\n"));
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(answer.header("Content-Range"), format!("bytes */{len}"));
    }
    let unsure = client.get_with(&file, "Range: bytes=0-9\r\nIf-Range: \"x\"\r\n");
    assert_eq!((unsure.status, unsure.body.len()), (200, len));
    let tag = whole_tag;
    let sure = client.get_with(&file, &format!("Range: bytes=0-9\r\nIf-Range: {tag}\r\n"));
    assert_eq!((sure.status, sure.body.len()), (206, 10));
    let head = client.head_alone(&file);
    assert_eq!((head.status, head.header("Content-Length")), (200, &*len.to_string()));
    assert_eq!(client.get(&file).body.len(), len, "and the connection goes on");
}

#[test]
fn files_are_not_sent_twice() {
    let (_weir, _publisher, mut client, file) = set();
    let list = client.list("/live/heads/video.m3u8");
    let init = list.split("URI=\"").find(|rest| rest.contains("-init")).unwrap();
    let init = format!("/live/heads/{}", init.split('"').next().unwrap());
    for path in [&file, &init] {
        let tag = client.get(path).header("ETag").to_owned();
        assert!(tag.len() > 2, "{path}");
        let again = client.get_with(path, &format!("If-None-Match: {tag}\r\n"));
        assert_eq!((again.status, again.header("ETag")), (304, &*tag), "{path}");
        assert_eq!(client.get_with(path, "If-None-Match: \"x\"\r\n").status, 200, "{path}");
    }
}

/// A list of another file is found where a player looks for it.
fn first_list(client: &mut Client, path: &str) -> String {
    let master = client.list(path);
    let list = master.lines().rfind(|line| !line.starts_with('#')).unwrap();
    format!("{}/{list}", path.rsplit_once('/').unwrap().0)
}

#[test]
fn lists_name_each_other_as_addresses() {
    let weir = Weir::with(CONFIG, &["--loops", "2"]);
    let (_short, _) = listed(&weir, "live/short", 100);
    let (_odd, _) = listed(&weir, "live/a:b", 100);
    let mut client = Client::new(weir.http);
    for (path, expected) in [
        ("/short.m3u8", "/live/short/video.m3u8"),
        ("/live/short.m3u8", "/live/short/video.m3u8"),
        ("/live/a:b.m3u8", "/live/a%3Ab/video.m3u8"),
    ] {
        let list = first_list(&mut client, path);
        assert_eq!(list, expected);
        assert!(client.list(&list).contains("#EXTINF"), "{path}");
    }
    for (path, file) in [("/short.mpd", "live/short/video-"), ("/live/a:b.mpd", "a%3Ab/video-")] {
        let manifest = client.list(path);
        assert!(manifest.contains(&format!("initialization=\"{file}")), "{path}: {manifest}");
    }
}

#[test]
fn pages_of_other_origins_may_read_it() {
    let (_weir, _publisher, mut client, file) = set();
    for path in ["/live/heads.m3u8", "/live/heads/audio.m3u8", "/live/heads.mpd", "/time", &file] {
        let answer = client.get_with(path, "Origin: https://elsewhere.example\r\n");
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("Access-Control-Allow-Origin"), "*", "{path}");
        assert!(answer.header("Access-Control-Expose-Headers").contains("ETag"), "{path}");
    }
    client.ask(
        "OPTIONS",
        &file,
        "Origin: https://elsewhere.example\r\nAccess-Control-Request-Headers: range\r\n",
    );
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("Access-Control-Allow-Headers")), (204, "*"));
    assert_eq!(client.get("/live/heads/nothing.m3u8x").header("Access-Control-Allow-Origin"), "*");
}

#[test]
fn names_that_are_none() {
    let (_weir, _publisher, mut client, file) = set();
    let number = file.rsplit_once('-').unwrap().1.trim_end_matches(".m4s").to_owned();
    let other = |name: &str| file.replace(&format!("-{number}.m4s"), name);
    for (path, status) in [
        (other("-0.m4s"), 404),
        (other("-999999999999.m4s"), 404),
        (other("-99999999999999999999.m4s"), 404),
        (other(&format!("-{number}.9999.m4s")), 404),
        (other(&format!("-{number}.99999.m4s")), 404),
        (other(&format!("-0{number}.m4s")), 404),
        (other("-init0.mp4"), 404),
        (other("-init4294967295.mp4"), 404),
        (file.replace("/video-", "/video-zzz"), 404),
        ("/live/heads/video-1-1.m4s".into(), 404),
        ("/live/../etc/passwd".into(), 404),
        ("/live/%2e%2e/heads/video.m3u8".into(), 400),
        ("/live/..%2fheads/video.m3u8".into(), 400),
        ("/live/he%00ads/video.m3u8".into(), 400),
        ("/live//heads/video.m3u8".into(), 400),
        ("/live/%68eads/video.m3u8".into(), 200),
        ("/live/heads.m3u8?format=avi".into(), 400),
    ] {
        let answer = client.get(&path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        if status >= 400 {
            assert_eq!(answer.header("Cache-Control"), "no-store", "{path}");
        }
    }
}
