//! The command-line client: everything is in [`link::ctl`].

fn main() -> std::process::ExitCode {
    link::ctl::main()
}
