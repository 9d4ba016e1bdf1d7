//! Requests for what is no stream's name, or are none.

use crate::support::Watched;

#[test]
fn names_and_paths_of_http() {
    let watched = Watched::start("[play]\nwait_for_publisher = \"500ms\"\n");
    let long = format!("/live/{}.flv", "n".repeat(10 * 1024));
    let longer_name = format!("/live/{}.flv", "n".repeat(300));
    let cases = [
        ("GET", "/live/..%2fdemo.flv", "400", 1),
        ("GET", "/live/%2e%2e/live/demo.flv", "400", 1),
        ("GET", "/live/../live/demo.flv", "400", 1),
        ("GET", "/live/%00.flv", "400", 1),
        ("GET", "/live/demo%00.flv", "400", 1),
        ("GET", "/live//demo.flv", "400", 1),
        ("GET", "/live/%ff.flv", "400", 1),
        ("GET", "/live/%zz.flv", "400", 1),
        ("GET", longer_name.as_str(), "400", 1),
        ("GET", "/../../../../etc/passwd", "404", 0),
        ("GET", "/live/nobody.flv", "404", 0),
        ("GET", long.as_str(), "414", 0),
        ("POST", "/live/demo.flv", "405", 0),
        ("BREW", "/live/demo.flv", "501", 0),
        ("GET", "live/demo.flv", "400", 0),
    ];
    for (method, path, status, bad_names) in cases {
        let before = watched.server.figure("ended_bad_name");
        let end = "HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let answer = watched.server.answer(&format!("{method} {path} {end}"));
        let first = answer.lines().next().unwrap_or_default();
        let shown: String = path.chars().take(40).collect();
        assert!(first.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {shown}: {answer}");
        let counted = watched.server.figure("ended_bad_name") - before;
        assert_eq!(counted, bad_names, "{method} {shown}");
    }
    watched.is_well();
}
