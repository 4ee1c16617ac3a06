//! `sealpost-node`: see [`sealpost_node::cli`].

/// Many threads take what others give back: jemalloc does that in less time than glibc, and in half the memory
/// (docs/adr/0010).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    sealpost_terminal::run(
        "info,libp2p=warn,arc_malachitebft=warn,parity_db=warn",
        sealpost_node::cli::execute,
    )
}
