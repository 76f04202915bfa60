//! Feeds `frame` in `src/net/fuzzing/frame.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| link::fuzzing::frame(input));
