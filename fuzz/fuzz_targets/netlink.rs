//! Feeds `netlink` in `src/net/fuzzing.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| link::fuzzing::netlink(input));
