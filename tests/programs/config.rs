//! `weir config`: the file it prints, and what it says about files it is given.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use weir_tests::built;

/// A folder of its own for a test, removed with what is in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weir-config-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes a certificate that signs itself and its key.
    fn write_certificate(&self, certificate: &str, key: &str) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        self.write(certificate, made.cert.pem());
        self.write(key, made.signing_key.serialize_pem());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn weir_config(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(built("weir")).arg("config").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn check(path: &Path) -> (Option<i32>, String, String) {
    weir_config(&["--check", path.to_str().unwrap()])
}

#[test]
fn the_printed_file_is_good() {
    let folder = Folder::new("printed");
    let (code, printed, _) = weir_config(&[]);
    assert_eq!(code, Some(0));
    for word in ["[server]", "\n#latency_budget = \"100ms\"\n", "weir config --check"] {
        assert!(printed.contains(word), "{word} in {printed}");
    }
    let path = folder.write("weir.toml", printed);
    assert_eq!(check(&path), (Some(0), format!("{}: good\n", path.display()), String::new()));
}

#[test]
fn its_help_teaches() {
    let (code, text, _) = weir_config(&["--help"]);
    assert_eq!(code, Some(0));
    for word in ["Examples:", "weir config >weir.toml", "--check <FILE>", "play.skip_after"] {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = Command::new(built("weir"))
        .arg("config")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn all_that_is_wrong_is_said_with_file_line_and_key() {
    let folder = Folder::new("wrong");
    let path = folder.write("weir.toml", "[play]\nskip_after = 3\n\n[log]\nbites = '1M'\n");
    let (code, said, errors) = check(&path);
    assert_eq!((code, said.as_str()), (Some(1), ""));
    let name = path.display();
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 2, "{errors}");
    assert!(lines[0].starts_with(&format!("weir: {name}:2: play.skip_after: found the number 3,")));
    assert!(
        lines[1].starts_with(&format!("{name}:5: log.bites: unknown key, did you mean bytes?"))
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = Folder::new("unreadable");
    let large = vec![b'#'; (1 << 20) + 1];
    for (path, what) in [
        (folder.0.join("absent.toml"), ": cannot be read: No such file"),
        (folder.0.clone(), ": cannot be read: Is a directory"),
        (folder.write("latin1.toml", b"# one\n# caf\xe9\n"), ":2: found bytes that are no UTF-8"),
        (folder.write("large.toml", large), ": is larger than 1M"),
        (PathBuf::from("/dev/zero"), ": is larger than 1M"),
    ] {
        let (code, _, errors) = check(&path);
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.starts_with(&format!("weir: {}{what}", path.display())), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn the_certificate_is_looked_at_from_the_folder_of_the_file() {
    let folder = Folder::new("tls");
    folder.write_certificate("cert.pem", "key.pem");
    folder.write_certificate("other.pem", "other_key.pem");
    let file = |certificate: &str, key: &str| {
        let text = format!(
            "[http]\ntls_listen = ':8443'\n[tls]\ncertificate = '{certificate}'\nkey = '{key}'\n"
        );
        folder.write("weir.toml", text)
    };
    let (code, said, errors) = check(&file("cert.pem", "key.pem"));
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.ends_with(": good\n"), "{said}");
    for (certificate, key, word) in [
        ("absent.pem", "key.pem", "absent.pem"),
        ("cert.pem", "absent.pem", "absent.pem"),
        ("cert.pem", "other_key.pem", "other_key.pem"),
        ("weir.toml", "key.pem", "weir.toml"),
    ] {
        let path = file(certificate, key);
        let (code, _, errors) = check(&path);
        assert_eq!(code, Some(1), "{errors}");
        let begin = format!("weir: {}:4: tls.certificate: ", path.display());
        assert!(errors.starts_with(&begin) && errors.contains(word), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}
