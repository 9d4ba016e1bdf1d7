//! The corpus of the fuzz targets, replayed through what they check, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../fuzz/checks/mod.rs"]
mod checks;

use std::fs;
use std::path::Path;

#[test]
fn every_file_of_the_corpus_is_taken() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut folders: Vec<_> = fs::read_dir(&corpus)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let mut names = checks::CHECKS.map(|(name, _)| name);
    names.sort_unstable();
    assert_eq!(folders, names, "each check has its folder, and each folder its check");
    let mut broken = Vec::new();
    for (name, _) in checks::CHECKS {
        let mut files = 0;
        for entry in fs::read_dir(corpus.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let data = fs::read(&path).unwrap();
            if std::panic::catch_unwind(|| checks::check(name, &data)).is_err() {
                broken.push(path);
            }
            files += 1;
        }
        assert!(files > 0, "{name} has no corpus");
    }
    assert!(broken.is_empty(), "what is checked does not hold for {broken:#?}");
}

#[test]
fn nothing_at_all_is_taken_by_every_check() {
    for (_, check) in checks::CHECKS {
        for data in [&[][..], &[0], &[255], &[0; 300], &[255; 300]] {
            check(data);
        }
    }
}
