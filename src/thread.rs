//! Threads: each has a name and a small stack, and not being able to start one is an error.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Enough for everything that is called on our threads, in a debug build too. It is address space:
/// memory is used as it is touched.
const STACK: usize = 256 << 10;

/// The kernel keeps 15 bytes of a thread's name (`TASK_COMM_LEN`, include/linux/sched.h).
const NAME: usize = 15;

/// The name of the thread that asks.
pub(crate) fn name() -> String {
    std::thread::current().name().unwrap_or("a thread").to_owned()
}

/// Starts a thread. The error is the kernel's: too many threads (`TasksMax` of the unit), no memory.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    spawn_with_stack(name, STACK, run)
}

/// Starts a thread whose stack has so many bytes.
pub(crate) fn spawn_with_stack<T: Send + 'static>(
    name: &str,
    stack: usize,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let name: String = name.chars().filter(|c| c.is_ascii_graphic()).take(NAME).collect();
    Builder::new().name(name).stack_size(stack).spawn(run)
}
