//! What holds for any bytes that come from outside: a property for each place where they are read.
//!
//! Each is a function of the input, and panics when the property does not hold. `fuzz/` feeds them
//! with what a fuzzer makes up; the test below, with what was worth keeping of that (`fuzz/corpus`).
//! They are no part of the programs: they are compiled for the tests and for the fuzzer only.

pub use crate::api::fuzzing::{gate, route};
pub use crate::config::fuzzing::environment;
pub use crate::ctl::fuzzing::{answer, arguments};
pub use crate::net::fuzzing::{frame, netlink};
pub use crate::store::fuzzing::store;
pub use crate::text::fuzz_clean as clean;

/// Cuts an input into pieces. Where, its own content decides: what the fuzzer has found is found
/// again.
pub(crate) fn cut(mut input: &[u8]) -> Vec<&[u8]> {
    // FNV-1a (Fowler, Noll, Vo), and its prime for the numbers that follow.
    const PRIME: u64 = 0x100_0000_01b3;
    let basis = 0xcbf2_9ce4_8422_2325;
    let mut random =
        input.iter().fold(basis, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    // Some 32 pieces: a reader that begins anew with each of them must not take for ever.
    let longest = input.len() / 16 + 1;
    let mut pieces = Vec::new();
    while !input.is_empty() {
        random = (random ^ (random >> 32)).wrapping_mul(PRIME);
        let length = 1 + usize::try_from(random >> 33).unwrap_or(0) % longest;
        let (piece, rest) = input.split_at(length.min(input.len()));
        pieces.push(piece);
        input = rest;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Puts everything that is kept for a target through its property.
    fn replay(target: &str, property: fn(&[u8])) {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        assert!(fuzz.join("fuzz_targets").join(target).with_extension("rs").is_file(), "{target}");
        let folder = fuzz.join("corpus").join(target);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{folder:?} is empty");
        files.sort();
        for file in files {
            // Shown when the property does not hold.
            println!("{}", file.display());
            property(&fs::read(&file).unwrap());
        }
    }

    #[test]
    fn the_gate_passes_on_canonical_requests_only() {
        replay("gate", gate);
    }

    #[test]
    fn a_request_is_an_action_or_a_refusal() {
        replay("route", route);
    }

    #[test]
    fn what_the_kernel_says_is_read_back() {
        replay("netlink", netlink);
    }

    #[test]
    fn what_the_neighbours_say_is_read_back() {
        replay("frame", frame);
    }

    #[test]
    fn what_stands_in_etcd_costs_nobody_else_his_place() {
        replay("store", store);
    }

    #[test]
    fn an_environment_is_a_configuration_or_its_mistakes() {
        replay("environment", environment);
    }

    #[test]
    fn an_answer_is_the_same_in_any_pieces() {
        replay("answer", answer);
    }

    #[test]
    fn arguments_are_a_command_or_a_refusal() {
        replay("arguments", arguments);
    }

    #[test]
    fn a_text_that_was_cleaned_is_shown_and_not_obeyed() {
        replay("clean", clean);
    }
}
