//! Elections: for each IP, a pure core that decides.

pub mod core;
mod health;
pub mod message;
