//! Elections: for each IP, a pure core that decides and a thread that carries out.

pub mod core;
mod handle;
mod health;
pub mod message;
mod thread;

pub use self::core::HANDOVER_BOUND as HANDOVER_TIMEOUT;
pub use self::handle::{Election, Notice, Notices, Params, Status};
