//! The certificate: evidence that holds, told to people on a terminal or on paper. It is a rendering and proves
//! nothing itself, so it names the file, its hash and how a stranger checks it. Everything in it that
//! somebody else wrote is shown and never obeyed.

mod page;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use text::finding_lines;

use crate::envelope::{Attachment, Content, Data, Letter, Parts};
use sealpost_ledger::address::AddressPrefix;
use sealpost_ledger::evidence::{
    Disclosure, Evidence, EvidenceError, Finding, FindingLine, Findings, KeyStanding, Place,
};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::message::{Message, SlotRecipient};
use sealpost_terminal::{bytes, clock, counted, grouped, printable, printable_lines};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Signers named one by one; of more the number is told.
const MAX_SIGNERS: usize = 64;
/// Marks over one letter that are set as they are.
const MAX_STACKED: usize = 4;

/// What an evidence file shows, for people. Made of checked evidence alone.
#[derive(Debug, Clone)]
pub struct Certificate {
    message: String,
    network: String,
    chain: String,
    file: FileFacts,
    sender: String,
    block: BlockRow,
    signers: Vec<Signer>,
    more_signers: usize,
    commit: String,
    recipients: Vec<Recipient>,
    content: Option<Shown>,
    facts: Vec<FindingLine>,
    blocks: Vec<BlockRow>,
}

/// The file that proves it.
#[derive(Debug, Clone)]
struct FileFacts {
    name: String,
    size: String,
    sha256: String,
}

/// A final block.
#[derive(Debug, Clone)]
struct BlockRow {
    height: String,
    hash: String,
    time: String,
}

/// A validator that signed the message's block.
#[derive(Debug, Clone)]
struct Signer {
    name: String,
    key: String,
}

/// A recipient, and what the file says of it.
#[derive(Debug, Clone)]
struct Recipient {
    slot: u16,
    address: String,
    key: String,
    answer: String,
}

/// What the sender wrote, harmless to show.
#[derive(Debug, Clone, Default)]
struct Shown {
    /// What is to be known about it first.
    note: String,
    subject: String,
    text: String,
    answers: Option<String>,
    files: Vec<ShownFile>,
}

/// A file that the sender wrote of, harmless to show.
#[derive(Debug, Clone)]
struct ShownFile {
    name: String,
    size: String,
    sha256: String,
    /// Where it is, if it is not in the evidence file.
    absent: Option<String>,
}

impl Certificate {
    /// Checks an evidence file, and tells what it shows. `name` is what the file is called.
    ///
    /// # Errors
    /// If the file is no evidence, or does not hold.
    pub fn of(file: &[u8], name: &str, genesis: &Genesis) -> Result<(Self, Findings), EvidenceError> {
        let evidence = Evidence::from_json(file)?;
        let findings = evidence.check(genesis)?;
        Ok((Self::new(file, name, genesis, &evidence, &findings), findings))
    }
    fn new(file: &[u8], name: &str, genesis: &Genesis, evidence: &Evidence, findings: &Findings) -> Self {
        let prefix = genesis.prefix();
        let size = format!("{} ({} bytes)", bytes(file.len() as u64), grouped(file.len() as u64));
        let sha256 = const_hex::encode(Sha256::digest(file));
        let place = findings.list().iter().find_map(|finding| match finding {
            Finding::InBlock { place, .. } => Some(place),
            _ => None,
        });
        let (signers, more_signers) = place.map(|place| signers(place, genesis)).unwrap_or_default();
        let message = evidence.message.transaction.message();
        Self {
            message: findings.message().to_string(),
            network: visible(findings.chain_name()),
            chain: findings.chain().to_string(),
            file: FileFacts { name: visible(name), size, sha256 },
            sender: sender(findings, prefix),
            block: place.map(BlockRow::of).unwrap_or_else(BlockRow::none),
            signers,
            more_signers,
            commit: place.map(|place| place.commit.in_words()).unwrap_or_default(),
            recipients: message.map(|message| recipients(message, findings, prefix)).unwrap_or_default(),
            content: evidence.disclosure.as_ref().map(shown),
            facts: findings.lines(),
            blocks: evidence.blocks.iter().map(|block| BlockRow::new(&block.header)).collect(),
        }
    }
    /// Whether the file says what the message says.
    pub fn discloses(&self) -> bool {
        self.content.is_some()
    }
    /// SHA-256 of the evidence file, as `sha256sum` prints it.
    pub fn sha256(&self) -> &str {
        &self.file.sha256
    }
    /// What anybody does to check the file again, in order.
    fn steps(&self) -> Vec<Step> {
        let file = if is_plain(&self.file.name) { self.file.name.as_str() } else { "FILE" };
        let step = |says: String, command: Option<String>| Step { says, command };
        vec![
            step(
                format!(
                    "Get genesis.json of the network {} from somebody you trust, not from whoever gave you this. \
                     Its hash is the chain id {}, and the programs below compare it.",
                    self.network, self.chain
                ),
                None,
            ),
            step(
                format!("Make sure that you have the file this page is about: its SHA-256 is {}.", self.file.sha256),
                Some(format!("sha256sum {file}")),
            ),
            step(
                "Check it with Sealpost. It needs neither a node nor a wallet; exit code 0 means that it holds.".into(),
                Some(format!("sealpost evidence verify {file} --genesis genesis.json")),
            ),
            step(
                "Or with a second program that shares no code with it and needs Python alone \
                 (docs/verify_evidence.py in Sealpost's sources; read it)."
                    .into(),
                Some(format!("python3 verify_evidence.py genesis.json {file}")),
            ),
            step(
                "Or write your own: section 13 of docs/protocol.md in Sealpost's sources says all there is to check."
                    .into(),
                None,
            ),
        ]
    }
}

/// A step of checking again.
#[derive(Debug, Clone)]
struct Step {
    says: String,
    command: Option<String>,
}

/// What stands at the end of each certificate.
const LIMITS: &[&str] = &[
    "This is a rendering of the evidence file. The file proves; this page does not, and anybody could print another one.",
    "Heights and order are certain. Times are by the clock of each block's proposer and are shown for orientation.",
    "An answer says that a key signed after decrypting. It does not say that a person read or understood anything.",
    "Who holds a key, and which person or firm an address belongs to, is for other means to show.",
    "Names of evidence events in ETSI EN 319 522-1 are given for orientation only. Sealpost is no licensed delivery \
     service, and nothing here is a term of law.",
];

impl BlockRow {
    fn new(header: &sealpost_ledger::block::Header) -> Self {
        Self {
            height: grouped(header.height.get()),
            hash: header.hash().to_string(),
            time: clock(header.time_ms),
        }
    }
    fn of(place: &Place) -> Self {
        Self {
            height: grouped(place.height.get()),
            hash: place.block.to_string(),
            time: clock(place.time_ms),
        }
    }
    fn none() -> Self {
        Self { height: String::new(), hash: String::new(), time: String::new() }
    }
}

fn sender(findings: &Findings, prefix: &AddressPrefix) -> String {
    let signed = findings.list().iter().find(|finding| matches!(finding, Finding::Signed { .. }));
    signed.map(|finding| finding.fact(prefix)).unwrap_or_default()
}

fn signers(place: &Place, genesis: &Genesis) -> (Vec<Signer>, usize) {
    let named = place.commit.signers.iter().take(MAX_SIGNERS).map(|key| {
        let known = genesis.file().validators.iter().find(|validator| validator.public_key == *key);
        let name = known.map_or_else(|| "(not in the genesis)".into(), |known| visible(&known.name));
        Signer { name, key: key.to_string() }
    });
    (named.collect(), place.commit.signers.len().saturating_sub(MAX_SIGNERS))
}

/// Every recipient that the signed header names, with what the file has about each.
fn recipients(message: &Message, findings: &Findings, prefix: &AddressPrefix) -> Vec<Recipient> {
    let slots = (0_u16..).zip(&message.slots).map(|(slot, content)| {
        let SlotRecipient::Named { address, bundle } = content.recipient else {
            let (address, key) = ("hidden".into(), "not told".into());
            return Recipient { slot, address, key, answer: "inside sealed messages only".into() };
        };
        let key = match standing(findings, slot) {
            Some(KeyStanding::Valid { until }) => format!("number {bundle}, valid until block {until}"),
            Some(KeyStanding::Expired { since }) => format!("number {bundle}, past its last block {since}"),
            Some(KeyStanding::Superseded { by, since }) => {
                format!("number {bundle}, superseded by number {by} in block {since}")
            }
            Some(KeyStanding::Revoked { from }) => format!("number {bundle}, withdrawn from block {from} on"),
            None => format!("number {bundle}, not proven in this file"),
        };
        let address = address.to_text(prefix);
        Recipient { slot, address, key, answer: answer(findings, slot) }
    });
    slots.collect()
}

fn standing(findings: &Findings, of: u16) -> Option<KeyStanding> {
    findings.list().iter().find_map(|finding| match finding {
        Finding::KeyUsed { slot, standing, .. } if *slot == of => Some(*standing),
        _ => None,
    })
}

fn answer(findings: &Findings, of: u16) -> String {
    let of_slot = findings.list().iter().filter_map(|finding| match finding {
        Finding::Opened { slot, place, .. } if *slot == of => {
            Some(format!("opened, in block {}, {}", grouped(place.height.get()), clock(place.time_ms)))
        }
        Finding::Refused { slot, place, reason, .. } if *slot == of => Some(format!(
            "refused ({reason}), in block {}, {}",
            grouped(place.height.get()),
            clock(place.time_ms)
        )),
        Finding::Unanswered { slot, place, .. } if *slot == of => {
            Some(format!("no answer up to block {}, {}", grouped(place.height.get()), clock(place.time_ms)))
        }
        _ => None,
    });
    let answers: Vec<_> = of_slot.collect();
    if answers.is_empty() { "not in this file".into() } else { answers.join("; ") }
}

fn shown(disclosure: &Disclosure) -> Shown {
    match Content::from_bytes(&disclosure.content) {
        Ok(Content::Letter(letter)) => Shown::of(&letter),
        Ok(Content::Part(part)) => Shown {
            note: format!(
                "{} of something that was too long for one message; the letter that names it says what it is.",
                bytes(part.bytes.len() as u64)
            ),
            ..Shown::default()
        },
        Err(_) => Shown {
            note: "This is no Sealpost letter. Its bytes, as far as they are text:".into(),
            text: visible_lines(&String::from_utf8_lossy(&disclosure.content)),
            ..Shown::default()
        },
    }
}

impl Shown {
    fn of(letter: &Letter) -> Self {
        let note = letter.continued.as_ref().map(|parts| {
            let (size, sha256) = (bytes(parts.length), const_hex::encode(parts.sha256));
            format!("The text goes on for {size} with SHA-256 {sha256}, {}.", elsewhere(parts))
        });
        let files = letter.attachments.iter().map(ShownFile::of);
        Self {
            note: note.unwrap_or_default(),
            subject: visible(&letter.subject),
            text: visible_lines(&letter.text),
            answers: letter.reply_to.map(|id| id.to_string()),
            files: files.collect(),
        }
    }
}

impl ShownFile {
    fn of(file: &Attachment) -> Self {
        let (name, size) = (visible(&file.name), bytes(file.data.length()));
        let (sha256, absent) = match &file.data {
            Data::Whole(bytes) => (const_hex::encode(Sha256::digest(bytes)), None),
            Data::Parts(parts) => (const_hex::encode(parts.sha256), Some(elsewhere(parts))),
        };
        Self { name, size, sha256, absent }
    }
}

/// What a reader must know of what is not in the evidence file: nothing that the file proves speaks for it.
fn elsewhere(parts: &Parts) -> String {
    let count = counted(parts.messages.len() as u64, "message");
    let (own, are) = if parts.messages.len() == 1 { ("its own", "is") } else { ("their own", "are") };
    format!(
        "in {count} of {own}, which {are} not in this file: size and SHA-256 are the sender's word, and a receipt for this \
         message does not cover them"
    )
}

/// Foreign text for one line: what can't be seen is shown.
fn visible(text: &str) -> String {
    calm(&printable(text))
}

/// Foreign text of several lines. Lines end as they do elsewhere; every other control character is shown.
fn visible_lines(text: &str) -> String {
    calm(&printable_lines(&text.replace("\r\n", "\n")))
}

/// Marks stacked higher than any language needs reach over the lines above, and even over the page's head: those
/// beyond [`MAX_STACKED`] are shown as numbers.
fn calm(text: &str) -> String {
    let (mut out, mut stacked) = (String::with_capacity(text.len()), 0_usize);
    for c in text.chars() {
        stacked = if stacks(c) { stacked.saturating_add(1) } else { 0 };
        if stacked > MAX_STACKED {
            // Writing into a string does not fail.
            let _infallible = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Marks that are set above or below the letter before them.
fn stacks(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6ed}' | '\u{711}'..='\u{74a}' | '\u{7eb}'..='\u{7f3}'
        | '\u{816}'..='\u{82d}' | '\u{859}'..='\u{85b}' | '\u{898}'..='\u{902}' | '\u{93a}' | '\u{93c}'
        | '\u{941}'..='\u{957}' | '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}' | '\u{eb1}'
        | '\u{eb4}'..='\u{ebc}' | '\u{ec8}'..='\u{ece}' | '\u{f18}' | '\u{f19}' | '\u{f35}'..='\u{f39}'
        | '\u{f71}'..='\u{fbc}' | '\u{135d}'..='\u{135f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1cd0}'..='\u{1cf9}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{2de0}'..='\u{2dff}' | '\u{302a}'..='\u{302f}'
        | '\u{3099}' | '\u{309a}' | '\u{a66f}'..='\u{a67d}' | '\u{a8e0}'..='\u{a8f1}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}' | '\u{1d165}'..='\u{1d1ad}' | '\u{1e000}'..='\u{1e02a}')
}

/// Whether a file's name can stand in a command as it is.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && !name.starts_with('-') && name.len() <= 255 && name.chars().all(plain)
}
