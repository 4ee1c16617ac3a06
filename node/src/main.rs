//! `sealpost-node`: see [`sealpost_node::cli`].

fn main() -> std::process::ExitCode {
    sealpost_terminal::run(
        "info,libp2p=warn,arc_malachitebft=warn,parity_db=warn",
        sealpost_node::cli::execute,
    )
}
