//! Elections: for each IP, a pure core that decides and a thread that carries out.

pub mod core;
mod health;
pub mod message;
mod thread;

pub use self::thread::{Election, Notice, Notices, Params, Status};
