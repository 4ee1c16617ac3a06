//! Questions to the person at the terminal. They are asked on `/dev/tty`, so that a message may come in
//! on standard input and the answer go out on standard output at the same time.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};

use crate::{Failure, GlobalArgs};
use zeroize::Zeroizing;

/// No secret that is typed is longer, in bytes: 24 words are below 220.
const MAX_SECRET_BYTES: usize = 4096;

/// Asks for one line. `None` only if the person ended the input (Ctrl-D).
pub(crate) fn ask(flags: &GlobalArgs, question: &str) -> Result<Option<String>, Failure> {
    let terminal = if flags.no_input { Err(io::ErrorKind::NotFound.into()) } else { open_terminal() };
    let (mut input, mut output) = terminal.map_err(|_| {
        Failure::locked("input.nobody_to_ask", format!("nobody is there to answer: {question}"))
            .help("give the answer as a flag or argument; --help names it")
    })?;
    read_answer(&mut input, &mut output, question).map_err(|error| {
        Failure::unavailable("input.terminal", "the terminal cannot be read").because(&error)
    })
}

/// Switches to the terminal's second screen, which has no history, and empties it.
const SECOND_SCREEN: &str = "\x1b[?1049h\x1b[2J\x1b[H";
/// Empties the second screen and goes back to the first as it was.
const FIRST_SCREEN: &str = "\x1b[2J\x1b[?1049l";

/// Shows a secret on the second screen until the person presses Enter.
pub(crate) fn show_secret(flags: &GlobalArgs, secret: &str, question: &str) -> Result<(), Failure> {
    let terminal = if flags.no_input { Err(io::ErrorKind::NotFound.into()) } else { open_terminal() };
    let (mut input, mut output) = terminal.map_err(|_| {
        Failure::locked("input.nobody_to_ask", "nobody is there to whom a secret can be shown")
    })?;
    show_until_enter(&mut input, &mut output, secret, question).map_err(|error| {
        Failure::unavailable("input.terminal", "the terminal cannot be read").because(&error)
    })
}

/// Asks for a secret on the second screen, and leaves no copy of it in memory but the one returned.
pub(crate) fn ask_secret(flags: &GlobalArgs, question: &str) -> Result<Zeroizing<String>, Failure> {
    let terminal = if flags.no_input { Err(io::ErrorKind::NotFound.into()) } else { open_terminal() };
    let (input, mut output) = terminal.map_err(|_| {
        Failure::locked("input.nobody_to_ask", format!("nobody is there to answer: {question}"))
    })?;
    // Without the buffer of the reader, which nobody wipes.
    read_secret(&mut input.into_inner(), &mut output, question).map_err(|error| {
        Failure::unavailable("input.terminal", "the terminal cannot be read").because(&error)
    })
}

fn read_secret(
    input: &mut impl Read,
    output: &mut impl Write,
    question: &str,
) -> io::Result<Zeroizing<String>> {
    output.write_all(SECOND_SCREEN.as_bytes())?;
    output.write_all(question.as_bytes())?;
    output.flush()?;
    let read = read_line_wiped(input);
    output.write_all(FIRST_SCREEN.as_bytes())?;
    output.flush()?;
    read
}

fn read_line_wiped(input: &mut impl Read) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0_u8; MAX_SECRET_BYTES]);
    let mut length = 0;
    while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
        let read = input.read(room)?;
        length = length.saturating_add(read);
        let line = bytes.get(..length).unwrap_or_default();
        if read == 0 || line.contains(&b'\n') {
            let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let text = std::str::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData)?;
            return Ok(Zeroizing::new(text.trim().to_owned()));
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("a line of more than {MAX_SECRET_BYTES} bytes")))
}

/// Takes a secret from the screen that [`show_secret`] shows just then.
pub(crate) fn leave_secret() {
    if let Ok((_, mut output)) = open_terminal() {
        // The program is ending; a terminal that is gone shows nothing either.
        let _ = output.write_all(FIRST_SCREEN.as_bytes());
    }
}

fn show_until_enter(
    input: &mut impl BufRead,
    output: &mut impl Write,
    secret: &str,
    question: &str,
) -> io::Result<()> {
    output.write_all(SECOND_SCREEN.as_bytes())?;
    let shown = output.write_all(secret.as_bytes()).and_then(|()| read_answer(input, output, question));
    output.write_all(FIRST_SCREEN.as_bytes())?;
    output.flush()?;
    shown.map(|_| ())
}

/// Asks yes or no; no by default. `--yes` answers for the person.
pub(crate) fn confirm(flags: &GlobalArgs, question: &str) -> Result<bool, Failure> {
    if flags.yes {
        return Ok(true);
    }
    let answer =
        ask(flags, &format!("{question} [y/N] ")).map_err(|failure| match failure.code.as_ref() {
            "input.nobody_to_ask" => failure.help("say yes beforehand with --yes"),
            _ => failure,
        })?;
    Ok(answer.is_some_and(|answer| is_yes(&answer)))
}

/// Whether this process has a terminal, wherever its standard streams lead.
pub(crate) fn has_terminal() -> bool {
    open_terminal().is_ok()
}

fn open_terminal() -> io::Result<(BufReader<File>, File)> {
    let input = File::open("/dev/tty")?;
    let output = OpenOptions::new().write(true).open("/dev/tty")?;
    Ok((BufReader::new(input), output))
}

fn read_answer(
    input: &mut impl BufRead,
    output: &mut impl Write,
    question: &str,
) -> io::Result<Option<String>> {
    output.write_all(question.as_bytes())?;
    output.flush()?;
    let mut line = String::new();
    let read = input.read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim().to_owned()))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Exit;

    #[test]
    fn the_answer_is_one_trimmed_line() {
        let mut shown = Vec::new();
        let answer = read_answer(&mut &b" lift \nnext\n"[..], &mut shown, "Word 3? ").unwrap();
        assert_eq!((answer.as_deref(), shown.as_slice()), (Some("lift"), b"Word 3? ".as_slice()));
        assert_eq!(read_answer(&mut &b""[..], &mut shown, "?").unwrap(), None);
    }

    #[test]
    fn a_secret_is_shown_on_the_second_screen_and_never_on_the_first() {
        for typed in [&b"\n"[..], b"", b"\xff\n"] {
            let mut shown = Vec::new();
            let _ = show_until_enter(&mut &typed[..], &mut shown, "coast seed tenant", "Enter? ");
            let shown = String::from_utf8(shown).unwrap();
            let inside = shown.strip_prefix("\x1b[?1049h").and_then(|rest| rest.strip_suffix("\x1b[?1049l"));
            assert!(inside.is_some_and(|inside| inside.contains("coast seed tenant")), "{shown:?}");
        }
    }

    #[test]
    fn a_secret_is_typed_on_the_second_screen_and_is_one_line() {
        let mut shown = Vec::new();
        let typed = read_secret(&mut &b" coast seed \nnext"[..], &mut shown, "Words: ").unwrap();
        assert_eq!(typed.as_str(), "coast seed");
        assert!(shown.starts_with(SECOND_SCREEN.as_bytes()) && shown.ends_with(FIRST_SCREEN.as_bytes()));
        assert_eq!(read_secret(&mut &b""[..], &mut shown, "Words: ").unwrap().as_str(), "");
        let endless = io::repeat(b'a');
        assert!(read_secret(&mut endless.take(1 << 20), &mut shown, "Words: ").is_err());
    }

    #[test]
    fn only_a_clear_yes_is_yes() {
        assert!(is_yes("y") && is_yes("YES"));
        assert!(!is_yes("") && !is_yes("ye") && !is_yes("no"));
    }

    #[test]
    fn without_anybody_to_ask_it_is_exit_four_unless_yes_was_said() {
        let mut flags = GlobalArgs { no_input: true, ..GlobalArgs::default() };
        let failure = confirm(&flags, "Remove the wallet?").unwrap_err();
        assert_eq!((failure.exit, failure.code.as_ref()), (Exit::Locked, "input.nobody_to_ask"));
        flags.yes = true;
        assert!(confirm(&flags, "Remove the wallet?").unwrap());
    }
}
