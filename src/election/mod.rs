//! Elections: for each IP, a pure core that decides and a thread that carries out.

mod address;
pub mod core;
pub mod driver;
mod handle;
mod health;
mod inbox;
pub mod message;
mod thread;
mod words;

pub use self::core::HANDOVER_TIMEOUT;
pub use self::handle::{Election, Notice, Notices, Params, Status, Tally};
