#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media_fuzz::check("mp4", data));
