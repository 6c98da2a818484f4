//! The `freeway` program.

use std::process::ExitCode;

/// Keeps half the memory of the system's allocator after large bodies, at less CPU.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    freeway::cli::run()
}
