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
mod words;

pub use self::core::HANDOVER_TIMEOUT;
pub use self::handle::{Election, Member, Notice, Notices, Params, Part, Status, Tally};
