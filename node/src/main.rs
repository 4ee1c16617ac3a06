//! `sealpost-node`: see [`sealpost_node::cli`].

/// What one thread takes another gives back, all the time: jemalloc does that in less time than glibc, and without many
/// arenas (docs/adr/0010).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    sealpost_terminal::run(
        "info,libp2p=warn,arc_malachitebft=warn,parity_db=warn",
        sealpost_node::cli::execute,
    )
}
