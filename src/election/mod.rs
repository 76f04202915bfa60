//! Elections: for each IP, and each group of IPs, a pure core that decides and a thread that carries out.

mod addresses;
pub mod core;
pub mod driver;
mod handle;
mod health;
mod inbox;
mod known;
pub mod message;
mod thread;
#[cfg(feature = "lab")]
pub mod trace;
mod words;

pub use self::core::HANDOVER_TIMEOUT;
pub use self::handle::{Election, Member, Notice, Notices, Params, Part, Status, Tally};

#[cfg(test)]
mod tests {
    use super::handle::Status;
    use super::thread::Actor;

    /// What is written down of an election, in builds for the tests.
    #[cfg(feature = "lab")]
    const TRACE: usize = size_of::<super::trace::Traced>() - size_of::<super::driver::Driver>();
    #[cfg(not(feature = "lab"))]
    const TRACE: usize = 0;

    /// musl's allocator (mallocng, src/malloc/mallocng/glue.h) has blocks of a few sizes, of which four bytes are its own:
    /// of 1344 and of 288 bytes, and then of 1632 and of 320.
    const BLOCKS: [usize; 2] = [1344 - 4, 288 - 4];

    #[test]
    fn an_election_and_its_status_fit_into_small_blocks() {
        let counts = 2 * size_of::<usize>();
        assert!(size_of::<Actor>() - TRACE <= BLOCKS[0], "{}", size_of::<Actor>());
        assert!(size_of::<Status>() + counts <= BLOCKS[1], "{}", size_of::<Status>());
    }
}
