//! RTMP over TLS at the port of RTMP, and media over HTTPS.

use std::process::Command;

use crate::support::Weir;

#[test]
fn ffmpeg_publishes_and_plays_over_tls() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = std::env::temp_dir().join(format!("weir-rtmps-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (certificate, private) = (dir.join("c.pem"), dir.join("k.pem"));
    std::fs::write(&certificate, key.cert.pem()).unwrap();
    std::fs::write(&private, key.signing_key.serialize_pem()).unwrap();
    let config = format!(
        "[tls]\ncertificate = {:?}\nkey = {:?}\n[publish]\ngrace = \"0s\"\n",
        certificate.display().to_string(),
        private.display().to_string()
    );
    let weir = Weir::with(&config, &["--loops", "2"]);
    let url = format!("rtmps://{}/live/s", weir.rtmp);
    let publisher = Command::new("ffmpeg")
        .args(["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25"])
        .args(["-t", "6", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-f", "flv", &url])
        .spawn();
    let mut publisher = publisher.expect("ffmpeg runs; tests/run installs it");
    let line = weir.program.wait_for("publish conn");
    assert!(line.contains("tls=true"), "{line}");
    for url in [&url, &url.replace("rtmps", "rtmp")] {
        let played = Command::new("ffmpeg")
            .args(["-v", "error", "-i", url, "-t", "1", "-f", "null", "-"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&played.stderr).into_owned();
        assert!(played.status.success() && said.is_empty(), "{url}: {said}");
    }
    let _ = publisher.kill();
    let _ = publisher.wait();
    let _ = std::fs::remove_dir_all(dir);
}
