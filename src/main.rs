//! The `homeroom` program: see the library's crate documentation for the map.

use std::process::ExitCode;

/// Returns freed memory to the system sooner than glibc does: a small school's server must stay small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    homeroom::cli::run()
}
