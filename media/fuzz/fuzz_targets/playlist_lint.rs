#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media_fuzz::check("playlist_lint", data));
