//! Feeds `gate` in `src/api/fuzzing.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| link::fuzzing::gate(input));
