//! `evidence`: make, check and show. Checking needs no node and no wallet.

use super::{Session, read_genesis, runtime};
use crate::failure;
use clap::Subcommand;
use sealpost_ledger::evidence::{Evidence, EvidenceError, FindingLine, Findings};
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Exit, Failure, bytes, style, write_new_file, write_new_secret_file};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Subcommand)]
pub(super) enum EvidenceCommand {
    /// Write the evidence of a message to a file
    #[command(after_help = "Examples:
  sealpost evidence create 5d0c1f2e -o notice.json
  sealpost evidence create 5d0c1f2e --disclose     with what the message says, in it for everybody")]
    Create {
        /// The message: its id, or how it begins
        id: String,
        /// The file; without it `<id>.evidence.json`
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Put the encrypted body in
        #[arg(long)]
        with_body: bool,
        /// Put in what the message says, for everybody who gets the file
        #[arg(long)]
        disclose: bool,
        /// Answers and silence up to this height; without it, up to now
        #[arg(long, value_name = "HEIGHT")]
        until: Option<u64>,
    },
    /// Check an evidence file: exit 0 if it holds, 1 if not, 2 if it is none
    #[command(after_help = "Example: needs neither node nor wallet
  sealpost evidence verify notice.json --genesis genesis.json")]
    Verify {
        /// The file
        file: PathBuf,
    },
    /// Show what an evidence file shows, after checking it
    Show {
        /// The file
        file: PathBuf,
    },
}

#[derive(serde::Serialize)]
pub(super) struct Created {
    /// Where it was written; or what would stand there, over the socket of `serve`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) evidence: Option<String>,
    pub(super) bytes: usize,
    pub(super) message: String,
    pub(super) facts: Vec<FindingLine>,
}

#[derive(serde::Serialize)]
pub(super) struct Verified {
    valid: bool,
    message: String,
    network: String,
    chain: String,
    facts: Vec<FindingLine>,
}

impl Verified {
    pub(super) fn new(findings: &Findings) -> Self {
        Self {
            valid: true,
            message: findings.message().to_string(),
            network: findings.chain_name().into(),
            chain: findings.chain().to_string(),
            facts: findings.lines(),
        }
    }
}

pub(super) fn evidence(command: &EvidenceCommand, session: &Session<'_>) -> Result<(), Failure> {
    match command {
        EvidenceCommand::Create { id, output, with_body, disclose, until } => {
            create(session, id, output.as_deref(), *with_body, *disclose, until.map(BlockHeight::new))
        }
        EvidenceCommand::Verify { file } => verify(session, file, Manner::Verdict),
        EvidenceCommand::Show { file } => verify(session, file, Manner::Content),
    }
}

fn create(
    session: &Session<'_>,
    id: &str,
    output: Option<&Path>,
    with_body: bool,
    disclose: bool,
    until: Option<BlockHeight>,
) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    let evidence = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        let id = wallet.resolve(&light, id).await.map_err(failure)?;
        wallet.evidence(&light, &id, until, with_body, disclose).await.map_err(failure)
    })?;
    let findings = evidence.check(wallet.genesis()).map_err(Failure::bug)?;
    let message = findings.message().to_string();
    let name = format!("{}.evidence.json", message.get(..16).unwrap_or_default());
    let file = output.map_or_else(|| PathBuf::from(name), Path::to_path_buf);
    let json = evidence.to_json();
    // What the message says is for whoever gets the file from its owner, not for everybody on this machine.
    match disclose {
        true => write_new_secret_file(&file, json.as_bytes())?,
        false => write_new_file(&file, json.as_bytes())?,
    }
    let terminal = session.terminal;
    terminal.say(style::held(format_args!(
        "{} ({}), checked against the genesis",
        file.display(),
        bytes(json.len() as u64)
    )));
    for line in findings.lines() {
        terminal.say(format_args!("  {:<15} {}", line.label, line.fact));
    }
    let genesis = wallet.profile().genesis_path();
    let genesis = genesis.display();
    terminal.note(format_args!("Give it to anybody, together with {genesis}. They check it with:"));
    terminal.note(format_args!("  sealpost evidence verify {} --genesis {genesis}", file.display()));
    terminal.emit(
        "sealpost/evidence-create/1",
        &Created { file: Some(file), evidence: None, bytes: json.len(), message, facts: findings.lines() },
    );
    Ok(())
}

/// How much is told of evidence that holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Verdict,
    Content,
}

fn verify(session: &Session<'_>, file: &Path, manner: Manner) -> Result<(), Failure> {
    let genesis = match &session.genesis {
        Some(path) => read_genesis(path)?,
        None => session.profile()?.genesis().clone(),
    };
    let bytes =
        std::fs::read(file).map_err(|error| Failure::usage(format_args!("{}: {error}", file.display())))?;
    let checked = Evidence::from_json(&bytes)
        .map_err(EvidenceError::from)
        .and_then(|evidence| evidence.check(&genesis).map(|findings| (evidence, findings)));
    let (evidence, findings) = checked.map_err(|error| refusal(&error))?;
    let terminal = session.terminal;
    for line in findings.lines() {
        terminal.say(style::held(format_args!("{:<15} {}", line.label, line.fact)));
        terminal.say(style::faint(format_args!("    shows {}", line.shows)));
        terminal.say(style::faint(format_args!("    does not show {}", line.does_not_show)));
        if let Some(etsi) = line.etsi {
            terminal.say(style::faint(format_args!("    nearest in ETSI EN 319 522: {etsi}")));
        }
    }
    if manner == Manner::Content {
        show_content(session, &evidence);
    }
    terminal.say(style::good("VALID"));
    terminal.emit("sealpost/evidence-verify/1", &Verified::new(&findings));
    Ok(())
}

fn show_content(session: &Session<'_>, evidence: &Evidence) {
    use crate::envelope::Content;
    use sealpost_terminal::{printable, printable_lines};
    let Some(disclosure) = &evidence.disclosure else {
        session.terminal.say("What the message says is not in this file (evidence create --disclose).");
        return;
    };
    match Content::from_bytes(&disclosure.content) {
        Ok(Content::Letter(letter)) => {
            session.terminal.say(format_args!("\nSubject  {}", printable(&letter.subject)));
            for file in &letter.attachments {
                let size = sealpost_terminal::bytes(file.data.length());
                session.terminal.say(format_args!("File     {} ({size})", printable(&file.name)));
            }
            session.terminal.say(format_args!("\n{}\n", printable_lines(&letter.text)));
        }
        Ok(Content::Part(part)) => {
            let size = sealpost_terminal::bytes(part.bytes.len() as u64);
            session.terminal.say(format_args!("{size} of something that was too long for one message"));
        }
        Err(error) => {
            session.terminal.warn(format_args!("the content shown is not a Sealpost letter: {error}"))
        }
    }
}

/// The answer is no, or the file is none.
pub(super) fn refusal(error: &EvidenceError) -> Failure {
    let exit = match error {
        EvidenceError::NotEvidence(_) => Exit::Usage,
        EvidenceError::Refused(_) => Exit::No,
    };
    let message = match error {
        EvidenceError::NotEvidence(_) => error.to_string(),
        EvidenceError::Refused(_) => format!("NOT VALID: {error}"),
    };
    Failure::new(exit, error.code(), message)
}
