//! `sealpost`: see [`sealpost_wallet::cli`].

fn main() -> std::process::ExitCode {
    sealpost_terminal::run("warn", sealpost_wallet::cli::execute)
}
