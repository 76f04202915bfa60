//! What is on the wire and in the kernel's messages, and what it means.
//!
//! Pure: reading never panics. Public for the tests and the fuzzer.

pub mod arp;
pub mod ethernet;
pub(super) mod filter;
pub(super) mod heard;
pub mod ndp;
pub mod netlink;
pub mod rtnetlink;
pub mod sock_diag;
