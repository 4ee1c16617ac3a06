//! Passphrases: from a file, a file descriptor, systemd's credentials or a prompt. Never from an argument
//! or an environment variable, where other processes could read them.

use crate::files::check_private;
use crate::{Exit, Failure, Terminal};
use clap::Args;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// No passphrase is longer, in bytes.
const MAX_BYTES: u64 = 4096;
/// No new passphrase is shorter, in characters: the least that NIST SP 800-63B-4, section 3.1.1.2, allows anywhere.
const MIN_CHARS: usize = 8;

/// Where a passphrase comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct PassphraseArgs {
    /// Read the passphrase from the first line of a file
    #[arg(
        long,
        value_name = "PATH",
        env = "SEALPOST_PASSPHRASE_FILE",
        global = true,
        help_heading = "Global options"
    )]
    pub passphrase_file: Option<PathBuf>,
    /// Read the passphrase from an open file descriptor
    // It goes before a file, which may be named by the environment: for clap that would be a conflict.
    #[arg(long, value_name = "N", global = true, help_heading = "Global options")]
    pub passphrase_fd: Option<u32>,
}

/// Whether a typed passphrase is asked for twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// It opens something that exists.
    Once,
    /// It will protect something new.
    Twice,
}

impl PassphraseArgs {
    /// Gets the passphrase. `what` names what it is for, such as `wallet alice`. One that will protect something new
    /// has at least 8 characters.
    pub fn read(
        &self,
        terminal: &Terminal,
        what: &str,
        confirm: Confirm,
    ) -> Result<Zeroizing<String>, Failure> {
        let passphrase = self.get(terminal, what, confirm)?;
        match confirm {
            Confirm::Once => Ok(passphrase),
            Confirm::Twice => long_enough(passphrase),
        }
    }
    fn get(&self, terminal: &Terminal, what: &str, confirm: Confirm) -> Result<Zeroizing<String>, Failure> {
        if let Some(fd) = self.passphrase_fd {
            let read = read_file(PathBuf::from(format!("/dev/fd/{fd}")));
            close(fd);
            return read;
        }
        if let Some(path) = &self.passphrase_file {
            // A pipe (`<(pass show …)`) is private by nature; a file lies open to whoever may read it.
            if path.is_file() {
                check_private(path)?;
            }
            return read_file(path.clone());
        }
        if let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") {
            let path = PathBuf::from(folder).join("passphrase");
            if path.exists() {
                return read_file(path);
            }
        }
        if !terminal.can_ask() {
            return Err(Failure::new(
                Exit::Locked,
                "passphrase.missing",
                format_args!("{what} needs its passphrase"),
            )
            .help(
                "give it by --passphrase-file PATH (SEALPOST_PASSPHRASE_FILE), by --passphrase-fd N, or as \
                 the systemd credential \"passphrase\"; or run this on a terminal",
            ));
        }
        prompt(what, confirm)
    }
}

/// Gets a passphrase that will protect something new beside one that is in use: from a file that only its
/// owner may read, or typed twice. `flag` is the flag that names such a file.
pub fn new_passphrase(
    file: Option<&Path>,
    flag: &str,
    terminal: &Terminal,
    what: &str,
) -> Result<Zeroizing<String>, Failure> {
    if let Some(path) = file {
        if path.is_file() {
            check_private(path)?;
        }
        return read_file(path.to_owned()).and_then(long_enough);
    }
    if !terminal.can_ask() {
        let message = format!("{what} needs a new passphrase");
        return Err(Failure::new(Exit::Locked, "passphrase.missing", message)
            .help(format!("give it by {flag} PATH, or run this on a terminal")));
    }
    prompt(what, Confirm::Twice).and_then(long_enough)
}

fn long_enough(passphrase: Zeroizing<String>) -> Result<Zeroizing<String>, Failure> {
    match passphrase.chars().count() {
        count if count < MIN_CHARS => {
            let message =
                format!("a new passphrase has at least {MIN_CHARS} characters, and this one {count}");
            Err(Failure::locked("passphrase.short", message)
                .help("take several words: they are easy to remember and hard to guess"))
        }
        _ => Ok(passphrase),
    }
}

fn prompt(what: &str, confirm: Confirm) -> Result<Zeroizing<String>, Failure> {
    let ask = |text: String| {
        let typed = rpassword::prompt_password(text).map(Zeroizing::new);
        typed.map_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted {
                return Failure::silent(Exit::Interrupted);
            }
            Failure::new(Exit::Locked, "passphrase.missing", format_args!("no passphrase: {error}"))
        })
    };
    match confirm {
        Confirm::Once => ask(format!("Passphrase of {what}: ")),
        Confirm::Twice => {
            let first = ask(format!("New passphrase for {what}: "))?;
            if ask("The same again: ".into())? != first {
                return Err(Failure::locked("passphrase.mismatch", "the two passphrases differ"));
            }
            if first.is_empty() {
                return Err(empty());
            }
            Ok(first)
        }
    }
}

/// Closes the descriptor that a passphrase was read from: every program that this one starts would inherit it, and
/// could read a file that it stands for from the beginning. The three standard streams stay.
#[cfg(unix)]
fn close(fd: u32) {
    if let Some(fd) = i32::try_from(fd).ok().filter(|fd| *fd > 2) {
        // One that was not open is closed already.
        let _closed = nix::unistd::close(fd);
    }
}

#[cfg(not(unix))]
fn close(_: u32) {}

fn empty() -> Failure {
    Failure::locked("passphrase.empty", "an empty passphrase protects nothing")
}

fn read_file(path: PathBuf) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            Exit::Locked,
            "passphrase.file",
            format_args!("the passphrase in {}: {error}", path.display()),
        )
    };
    // Room for all of it at once: a growing buffer leaves unwiped copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize + 1));
    File::open(&path).map_err(failed)?.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(failed(io::Error::other(format!("it is longer than {MAX_BYTES} bytes"))));
    }
    let line = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    if line.is_empty() {
        return Err(empty().help(format!("the first line of {} holds none", path.display())));
    }
    Ok(line)
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::GlobalArgs;
    use crate::logging::Logging;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn read(args: &PassphraseArgs) -> Result<Zeroizing<String>, Failure> {
        let globals = GlobalArgs { no_input: true, ..GlobalArgs::default() };
        let logging = Logging::start(&globals, "warn").unwrap();
        args.read(&Terminal::new(globals, logging), "wallet alice", Confirm::Once)
    }

    fn from_file(path: PathBuf) -> PassphraseArgs {
        PassphraseArgs { passphrase_file: Some(path), passphrase_fd: None }
    }

    fn file(mode: u32, text: &str) -> (tempfile::TempDir, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("passphrase");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (temp, path)
    }

    #[test]
    fn a_new_passphrase_is_no_short_one_and_an_old_one_may_be() {
        let (_temp, path) = file(0o600, "äöü1234\n");
        assert_eq!(read(&from_file(path.clone())).unwrap().as_str(), "äöü1234");
        let globals = GlobalArgs { no_input: true, ..GlobalArgs::default() };
        let terminal = Terminal::new(globals.clone(), Logging::start(&globals, "warn").unwrap());
        let new =
            |path: &Path| new_passphrase(Some(path), "--new-passphrase-file", &terminal, "wallet alice");
        assert_eq!(new(&path).unwrap_err().code, "passphrase.short");
        let (_temp, path) = file(0o600, "äöü12345\n");
        assert_eq!(new(&path).unwrap().as_str(), "äöü12345");
    }

    #[test]
    fn a_file_gives_its_first_line() {
        let (_temp, path) = file(0o600, "correct horse \r\nnot this\n");
        assert_eq!(read(&from_file(path)).unwrap().as_str(), "correct horse ");
    }

    #[test]
    fn an_empty_first_line_is_no_passphrase() {
        for text in ["", "\n", "\r\nsecond\n"] {
            let (_temp, path) = file(0o600, text);
            let failure = read(&from_file(path)).unwrap_err();
            assert_eq!((failure.exit, failure.code.as_ref()), (Exit::Locked, "passphrase.empty"), "{text:?}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let (_temp, path) = file(0o644, "secret\n");
        let failure = read(&from_file(path)).unwrap_err();
        assert_eq!((failure.exit, failure.code.as_ref()), (Exit::Locked, "file.permissions"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_descriptor_is_read_and_left_to_nobody() {
        let (_temp, path) = file(0o600, "by descriptor\n");
        // Far from the numbers that other tests of this process get meanwhile.
        let open = File::open(&path).unwrap();
        let high = rustix::io::fcntl_dupfd_cloexec(&open, 900).unwrap();
        let fd = u32::try_from(std::os::fd::IntoRawFd::into_raw_fd(high)).unwrap();
        let args = PassphraseArgs { passphrase_file: None, passphrase_fd: Some(fd) };
        assert_eq!(read(&args).unwrap().as_str(), "by descriptor");
        assert!(!Path::new(&format!("/dev/fd/{fd}")).exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_descriptor_goes_before_a_file_that_the_environment_may_name() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            passphrase: PassphraseArgs,
        }
        let (_temp, path) = file(0o600, "by descriptor\n");
        let high = rustix::io::fcntl_dupfd_cloexec(File::open(&path).unwrap(), 950).unwrap();
        let fd = std::os::fd::IntoRawFd::into_raw_fd(high).to_string();
        // clap takes a variable of the environment for a flag that was given.
        let line = ["sealpost", "--passphrase-file", "/of/the/environment", "--passphrase-fd", &fd];
        let cli = <Cli as clap::Parser>::try_parse_from(line).unwrap();
        assert_eq!(read(&cli.passphrase).unwrap().as_str(), "by descriptor");
    }

    #[test]
    fn nobody_to_ask_is_exit_four_and_names_the_three_ways() {
        let failure = read(&PassphraseArgs::default()).unwrap_err();
        assert_eq!(failure.exit, Exit::Locked);
        let help = failure.help.unwrap();
        for way in ["--passphrase-file", "--passphrase-fd", "systemd credential"] {
            assert!(help.contains(way), "{way} in {help}");
        }
    }

    #[test]
    fn an_endless_file_is_refused() {
        let failure = read(&from_file("/dev/zero".into())).unwrap_err();
        assert!(failure.message.contains("longer than 4096 bytes"));
    }
}
