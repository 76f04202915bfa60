//! Feeds `arguments` in `src/ctl/fuzzing.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| link::fuzzing::arguments(input));
