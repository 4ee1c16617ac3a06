//! `sealpost`: see [`sealpost_wallet::cli`].

fn main() -> std::process::ExitCode {
    // Before anything reads a secret.
    sealpost_wallet::hardening::harden();
    sealpost_terminal::run("warn", sealpost_wallet::cli::execute)
}
