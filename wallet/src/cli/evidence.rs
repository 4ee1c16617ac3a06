//! `evidence`: make, check and show. Checking needs no node and no wallet.

use super::{Session, read_genesis, runtime};
use crate::certificate::{Certificate, finding_lines};
use crate::failure;
use crate::wallet::{Answers, EvidenceRequest, Wallet};
use clap::{Args, Subcommand};
use sealpost_ledger::evidence::{Evidence, EvidenceError, Finding, FindingLine, Findings};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{
    Exit, Failure, bytes, counted, short_address, style, write_new_file, write_new_secret_file,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, Clone, Subcommand)]
pub(super) enum EvidenceCommand {
    /// Write the evidence of a message to a file
    Create(CreateArgs),
    /// Write the proof that recipients had not answered up to a height
    #[command(after_help = "Examples:
  sealpost evidence absence 5d0c1f2e --until 18300
  sealpost evidence absence 5d0c1f2e --recipients bob -o bobs-silence.json
It shows that the ledger held no answer then; not that nobody saw or read the message. Exit 1 if nobody is silent.")]
    Absence {
        /// The message: its id, or how it begins
        id: String,
        /// Up to this height; without it, up to now
        #[arg(long, value_name = "HEIGHT")]
        until: Option<u64>,
        /// Of these recipients only: contacts, groups or addresses, with commas between them
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        recipients: Vec<String>,
        /// The file; without it `<id>.absence.json`
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Check an evidence file: exit 0 if it holds, 1 if not, 2 if it is none
    #[command(after_help = "Examples: needs neither node nor wallet
  sealpost evidence verify notice.json --genesis genesis.json
  sealpost evidence verify notice.json --genesis genesis.json --html notice.html")]
    Verify {
        /// The file
        file: PathBuf,
        /// Write a page to print as well
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Show what an evidence file shows, after checking it, as text or as a page to print
    #[command(after_help = "Examples: needs neither node nor wallet
  sealpost evidence show notice.json --genesis genesis.json
  sealpost evidence show notice.json --genesis genesis.json --html notice.html
The page is one file that loads nothing from elsewhere; a browser shows and prints it.")]
    Show {
        /// The file
        file: PathBuf,
        /// Write a page to print
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sealpost evidence create 5d0c1f2e -o notice.json
  sealpost evidence create 5d0c1f2e --disclose              with what the message says, in it for everybody
  sealpost evidence create 5d0c1f2e --absent-receipt        with the proof that there was no answer
  sealpost evidence create 5d0c1f2e --recipients bob,carol  with their answers and keys alone
The file always holds: the signed header, the block and who made it final, and what shows that all recipients got
the same. It holds as well, by default: every answer, and the key bundle of each recipient.

A sealed message shows who wrote it, and a sealed receipt shows that it was given, by --disclose alone: for the
receipt, name the sealed reply that `sealpost status` names.")]
pub(super) struct CreateArgs {
    /// The message: its id, or how it begins
    id: String,
    /// The file; without it `<id>.evidence.json`
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Put the encrypted body in
    #[arg(long, alias = "with-body")]
    body: bool,
    /// Put in exactly what the message says, for everybody who gets the file
    #[arg(long)]
    disclose: bool,
    /// Put in, for each recipient who has not answered, the proof that the ledger holds no answer
    #[arg(long)]
    absent_receipt: bool,
    /// Put in the answers and keys of these recipients only: contacts, groups or addresses, with commas between them.
    /// The others' addresses stand in the signed header and can't be left out
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    recipients: Vec<String>,
    /// Answers and silence up to this height; without it, up to now
    #[arg(long, value_name = "HEIGHT")]
    until: Option<u64>,
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
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<PathBuf>,
    facts: Vec<FindingLine>,
}

impl Verified {
    pub(super) fn new(certificate: &Certificate, findings: &Findings, html: Option<&Path>) -> Self {
        Self {
            valid: true,
            message: findings.message().to_string(),
            network: findings.chain_name().into(),
            chain: findings.chain().to_string(),
            sha256: certificate.sha256().to_owned(),
            html: html.map(Path::to_path_buf),
            facts: findings.lines(),
        }
    }
}

/// What the file is called if nobody says.
#[derive(Clone, Copy)]
enum Kind {
    Evidence,
    Absence,
}

pub(super) fn evidence(command: &EvidenceCommand, session: &Session<'_>) -> Result<(), Failure> {
    match command {
        EvidenceCommand::Create(args) => {
            let answers = if args.absent_receipt { Answers::GivenAndSilence } else { Answers::Given };
            let request = EvidenceRequest {
                answers,
                recipients: None,
                until: args.until.map(BlockHeight::new),
                body: args.body,
                disclose: args.disclose,
            };
            create(session, &args.id, Kind::Evidence, args.output.as_deref(), &args.recipients, request)
        }
        EvidenceCommand::Absence { id, until, recipients, output } => {
            let until = until.map(BlockHeight::new);
            let request = EvidenceRequest { answers: Answers::Silence, until, ..EvidenceRequest::default() };
            create(session, id, Kind::Absence, output.as_deref(), recipients, request)
        }
        EvidenceCommand::Verify { file, html } => verify(session, file, html.as_deref(), Manner::Verdict),
        EvidenceCommand::Show { file, html } => verify(session, file, html.as_deref(), Manner::Certificate),
    }
}

fn create(
    session: &Session<'_>,
    id: &str,
    kind: Kind,
    output: Option<&Path>,
    recipients: &[String],
    mut request: EvidenceRequest,
) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    if !recipients.is_empty() {
        let contacts = wallet.profile().contacts().map_err(failure)?;
        request.recipients = Some(contacts.expand(recipients).map_err(failure)?);
    }
    let evidence = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        let id = wallet.resolve(&light, id).await.map_err(failure)?;
        wallet.prove(&light, &id, &request).await.map_err(failure)
    })?;
    let findings = evidence.check(wallet.genesis()).map_err(Failure::bug)?;
    let message = findings.message().to_string();
    let begins = message.get(..16).unwrap_or_default();
    let name = match kind {
        Kind::Evidence => format!("{begins}.evidence.json"),
        Kind::Absence => format!("{begins}.absence.json"),
    };
    let file = output.map_or_else(|| PathBuf::from(name), Path::to_path_buf);
    let json = evidence.to_json();
    write(&file, json.as_bytes(), request.disclose)?;
    let terminal = session.terminal;
    terminal.say(style::held(format_args!(
        "{} ({}), checked against the genesis",
        file.display(),
        bytes(json.len() as u64)
    )));
    for line in findings.lines() {
        terminal.say(format_args!("  {:<15} {}", line.label, line.fact));
    }
    if let Some(note) = left_out(&wallet, &evidence, &findings, &request) {
        terminal.note(note);
    }
    let genesis = wallet.profile().genesis_path();
    let genesis = genesis.display();
    terminal.note(format_args!(
        "Give it to anybody. They check it against the network's genesis, from somebody they trust; yours is {genesis}:"
    ));
    terminal.note(format_args!("  sealpost evidence verify {} --genesis {genesis}", file.display()));
    terminal.emit(
        "sealpost/evidence-create/1",
        &Created { file: Some(file), evidence: None, bytes: json.len(), message, facts: findings.lines() },
    );
    Ok(())
}

/// What the message says is for whoever gets the file from its owner, not for everybody on this machine.
fn write(path: &Path, bytes: &[u8], discloses: bool) -> Result<(), Failure> {
    if discloses { write_new_secret_file(path, bytes) } else { write_new_file(path, bytes) }
}

/// Recipients of whom the file says neither an answer nor their silence, though it could.
fn left_out(
    wallet: &Wallet,
    evidence: &Evidence,
    findings: &Findings,
    request: &EvidenceRequest,
) -> Option<String> {
    if request.answers != Answers::Given {
        return None;
    }
    let told = findings.list().iter().filter_map(|finding| match finding {
        Finding::Opened { by, .. } | Finding::Refused { by, .. } => Some(*by),
        _ => None,
    });
    let told = told.collect::<Vec<_>>();
    let message = evidence.message.transaction.message()?;
    let meant = message.recipients().filter(|address| {
        !told.contains(address) && request.recipients.as_ref().is_none_or(|only| only.contains(address))
    });
    let silent: Vec<_> =
        meant.map(|address| short_address(address.to_text(wallet.genesis().prefix()))).collect();
    let (first, count) = (silent.first()?, silent.len() as u64);
    let who = if count == 1 { first.clone() } else { counted(count, "recipient") };
    Some(format!("No answer by {who} is in it; --absent-receipt puts the proof of that in."))
}

/// How much is told of evidence that holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Verdict,
    Certificate,
}

fn verify(session: &Session<'_>, file: &Path, html: Option<&Path>, manner: Manner) -> Result<(), Failure> {
    let genesis = genesis(session)?;
    let bytes =
        std::fs::read(file).map_err(|error| Failure::usage(format_args!("{}: {error}", file.display())))?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (certificate, findings) =
        Certificate::of(&bytes, &name, &genesis).map_err(|error| refusal(&error))?;
    let terminal = session.terminal;
    if let Some(html) = html {
        write(html, certificate.html().as_bytes(), certificate.discloses())?;
    }
    let lines = match manner {
        Manner::Verdict => {
            let mut lines = Vec::new();
            findings.lines().iter().for_each(|line| finding_lines(line, &mut lines));
            lines
        }
        // The page says all of it.
        Manner::Certificate if html.is_some() => Vec::new(),
        Manner::Certificate => certificate.lines(),
    };
    lines.iter().for_each(|line| terminal.say(line));
    terminal.say(style::good("VALID"));
    if let Some(html) = html {
        terminal.say(format_args!("Page     {}", html.display()));
    }
    terminal.emit("sealpost/evidence-verify/1", &Verified::new(&certificate, &findings, html));
    Ok(())
}

fn genesis(session: &Session<'_>) -> Result<Arc<Genesis>, Failure> {
    match &session.genesis {
        Some(path) => read_genesis(path),
        None => session.profile().map(|profile| profile.genesis().clone()).map_err(|failure| {
            failure.help("name the network's genesis with --genesis FILE; neither node nor wallet is needed")
        }),
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
