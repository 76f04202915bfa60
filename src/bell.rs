//! A bell: one thread rings it, another hears it in `poll`. It only wakes; what has happened stands
//! elsewhere.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};

/// An event counter of the kernel (eventfd(2)); its copies are the same bell.
#[derive(Clone, Debug)]
pub struct Bell(Arc<EventFd>);

impl Bell {
    /// A bell that has not rung.
    ///
    /// # Errors
    ///
    /// There is no descriptor for it.
    pub fn new() -> io::Result<Bell> {
        let counter = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Bell(Arc::new(counter)))
    }

    /// Wakes who waits for it, now or later.
    pub fn ring(&self) {
        // It fails only when the counter is full, and then it rings already.
        let _ = self.0.write(1);
    }

    /// Whether it has rung since this was asked last.
    pub(crate) fn has_rung(&self) -> bool {
        self.0.read().is_ok()
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
