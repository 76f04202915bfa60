//! Feeds `store` in `src/store/fuzzing.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| link::fuzzing::store(input));
