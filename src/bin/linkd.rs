//! The agent.

fn main() -> std::process::ExitCode {
    link::daemon::main()
}
