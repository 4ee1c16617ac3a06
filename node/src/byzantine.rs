//! `sealpost-node-byzantine`: a node whose validator breaks the rules as `SEALPOST_TEST_MISDEEDS` says. For tests only;
//! without the feature `test-byzantine` there is no such program.

fn main() -> std::process::ExitCode {
    sealpost_terminal::run(
        "info,libp2p=warn,arc_malachitebft=warn,parity_db=warn",
        sealpost_node::cli::execute,
    )
}
