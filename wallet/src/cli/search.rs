//! `search`: letters with certain words, among those that are here. No node is asked.

use super::Session;
use super::thread::called;
use crate::failure;
use crate::search::Query;
use clap::Args;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Exit, Failure, clock, counted, printable, rfc3339};

#[derive(Debug, Args)]
#[command(
    after_help = "All words must be there, in subject, text, names of files or of people, as parts of words \
too. Capitals and accents do not matter.

Only letters that are kept here are searched: what you opened (or `sealpost sync` did) while the archive was on, and
what you sent from here."
)]
pub(super) struct SearchArgs {
    /// What to look for
    #[arg(required = true, value_name = "WORDS")]
    words: Vec<String>,
    /// Show at most so many, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

#[derive(serde::Serialize)]
struct Hit {
    id: String,
    from: String,
    contact: Option<String>,
    height: Option<BlockHeight>,
    time: String,
    subject: String,
    snippet: String,
}

#[derive(serde::Serialize)]
struct Answer {
    letters: usize,
    matching: usize,
    hits: Vec<Hit>,
}

pub(super) fn search(args: &SearchArgs, session: &Session<'_>) -> Result<(), Failure> {
    let query = Query::new(args.words.iter().map(String::as_str));
    let query = query.ok_or_else(|| Failure::usage("there is no word to look for"))?;
    let wallet = session.wallet()?;
    let found = wallet.search(&query, usize::try_from(args.limit).unwrap_or(usize::MAX)).map_err(failure)?;
    session.warn_unreadable(found.unreadable);
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let terminal = session.terminal;
    for hit in found.hits() {
        terminal.say(format_args!(
            "{}  {}  from {}  {}",
            terminal.id(hit.id),
            clock(hit.place.time_ms()),
            called(&wallet, &contacts, session, &hit.from),
            printable(&hit.subject)
        ));
        terminal.say(format_args!("    {}", printable(&hit.snippet)));
    }
    let shown = found.hits().count();
    if found.matching > shown {
        terminal.note(format_args!("{} more; -n shows them", found.matching.saturating_sub(shown)));
    }
    let answer = Answer {
        letters: found.letters,
        matching: found.matching,
        hits: found
            .hits()
            .map(|hit| Hit {
                id: hit.id.to_string(),
                from: hit.from.to_text(wallet.genesis().prefix()),
                contact: contacts.name_of(&hit.from).map(Into::into),
                height: hit.place.height(),
                time: rfc3339(hit.place.time_ms()),
                subject: hit.subject.clone(),
                snippet: hit.snippet.clone(),
            })
            .collect(),
    };
    terminal.emit("sealpost/search/1", &answer);
    if found.matching > 0 {
        return Ok(());
    }
    let letters = counted(u64::try_from(found.letters).unwrap_or(u64::MAX), "letter");
    terminal.note(format_args!("no such letter among {letters} here; `sealpost sync` keeps those that came"));
    Err(Failure::silent(Exit::No))
}
