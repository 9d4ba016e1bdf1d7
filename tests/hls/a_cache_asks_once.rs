//! nginx in front: however many ask it, each segment is fetched here once, and lists are fresh.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Barrier};

use media::playlist::Rendition::Video;
use media::playlist::lint::Linter;
use weir_tests::Program;

use crate::live::{Card, Weir};
use crate::support::{Client, follow, hinted, segments, stream};

const CONFIG: &str = "[publish]\ngrace = \"1s\"\n[hls]\nsegment = \"1s\"\nwindow = \"20s\"\n";
const CLIENTS: usize = 50;

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An nginx as `docs/operations.md` advises it; and where it listens.
fn nginx(weir: &Weir) -> (Program, Folder, std::net::SocketAddr) {
    let folder = std::env::temp_dir().join(format!("weir-nginx-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let at = folder.display();
    // Nobody else takes a port that was free a moment ago: the system counts on.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let user =
        if std::env::var("USER").is_ok_and(|user| user != "root") { "" } else { "user root;" };
    let config = format!(
        "{user} daemon off; worker_processes 1; pid {at}/pid; error_log stderr notice;
         events {{ worker_connections 1000; }}
         http {{
           access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p;
           fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
           proxy_cache_path {at}/cache keys_zone=weir:10m;
           upstream weir {{ server {}; keepalive 64; }}
           server {{
             listen {free};
             location / {{
               proxy_pass http://weir; proxy_http_version 1.1; proxy_set_header Connection \"\";
               proxy_cache weir; proxy_cache_lock on; proxy_cache_lock_timeout 60s;
               proxy_cache_lock_age 60s; proxy_read_timeout 60s;
             }}
           }}
         }}",
        weir.http
    );
    std::fs::write(folder.join("conf"), config).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&folder).arg("-c").arg(folder.join("conf")).args(["-e", "stderr"]);
    let program = Program::spawn(command);
    program.wait_for("start worker process");
    (program, Folder(folder), free)
}

#[test]
fn for_each_segment() {
    let weir = Weir::with(CONFIG, &["--loops", "2"]);
    let (mut publisher, mut card) = (weir.publish("live/cached"), Card::new(320, 240));
    let direct = follow(&weir, "live/cached", Video);
    stream(&mut publisher, &mut card, 70);
    let (program, folder, front) = nginx(&weir);
    let begin = Arc::new(Barrier::new(CLIENTS + 1));
    let players: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let begin = Arc::clone(&begin);
            std::thread::spawn(move || {
                let mut client = Client::new(front);
                let mut linter = Linter::new();
                let (mut fetched, mut reload) = (Vec::<String>::new(), String::new());
                begin.wait();
                loop {
                    let text = client.list(&format!("/live/cached/video.m3u8{reload}"));
                    assert_eq!(linter.fetched(&text), []);
                    for file in segments(&text) {
                        if !fetched.contains(&file) {
                            client.body(&format!("/live/cached/{file}"));
                            fetched.push(file);
                        }
                    }
                    let Some((msn, part)) = hinted(&text) else { return fetched };
                    reload = format!("?_HLS_msn={msn}&_HLS_part={part}");
                }
            })
        })
        .collect();
    begin.wait();
    stream(&mut publisher, &mut card, 240);
    drop(publisher);
    let mut all = Vec::new();
    for player in players {
        let fetched = player.join().unwrap();
        assert!(fetched.len() >= 8, "{fetched:?}");
        all.extend(fetched);
    }
    all.sort();
    all.dedup();
    // Those who play without the cache between have fetched each once too.
    let direct = direct.join().unwrap();
    let slices = weir.count("slices");
    assert_eq!(slices, (all.len() + direct.segments()) as u64, "{all:?}");
    drop((program, folder));
}
