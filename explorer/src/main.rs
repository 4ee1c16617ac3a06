//! `sealpost-explorer`: see [`sealpost_explorer::cli`].

fn main() -> std::process::ExitCode {
    sealpost_terminal::run("info", sealpost_explorer::cli::execute)
}
