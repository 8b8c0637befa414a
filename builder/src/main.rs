//! The `lkbuild` program: see [`lkbuild::cli`].

fn main() -> std::process::ExitCode {
    lkbuild::cli::run()
}
