//! Feeds `fuzz_clean` in `src/text.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| link::fuzzing::clean(input));
