//! The methods, one for each command that has a place here, with the same answers. The table is the one list of
//! them; docs/serve.md describes them, and a test compares the two.

use super::Server;
use super::protocol::{Refusal, parameters, tagged};
use super::sending::send;
use crate::certificate::Certificate;
use crate::cli::keeping::reading;
use crate::cli::postage::Quoted;
use crate::cli::{address, answer, contact, designate, draft, evidence, inbox, keys, outbox, read, status};
use crate::drafts::Listing;
use crate::envelope::Data;
use crate::failure;
use crate::light::Light;
use crate::wallet::{Answers, Demand, EvidenceRequest, Flushed, Foreign, Reading, Sent, Wallet};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::receipt::RefusalReason;
use sealpost_terminal::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// The first request of a connection.
pub(super) const AUTHENTICATE: &str = "authenticate";
/// The one method whose answers go on.
pub(super) const FOLLOW: &str = "inbox_follow";
/// Most entries of an answer.
const MAX_LIMIT: u32 = 1000;
/// Key bundles listed, the newest first.
const KEYS_LISTED: usize = 100;

pub(super) type Answered = Result<Value, Refusal>;

/// Makes the list of the names and the way to the functions from one table.
macro_rules! methods {
    ($($name:literal => $function:ident,)*) => {
        const NAMES: &[&str] = &[$($name),*];

        /// Answers a question.
        pub(super) async fn answer(server: &Server<'_>, method: &str, params: Value) -> Answered {
            match method {
                $($name => $function(server, parameters(params)?).await,)*
                _ => Err(Refusal::no_method(method)),
            }
        }
    };
}

methods! {
    "address" => own_address,
    "contact_add" => contact_add,
    "contact_list" => contact_list,
    "contact_remove" => contact_remove,
    "contact_rename" => contact_rename,
    "contact_show" => contact_show,
    "designate" => designate_class,
    "evidence_create" => evidence_create,
    "evidence_verify" => evidence_verify,
    "inbox" => list_inbox,
    "keys_list" => keys_list,
    "keys_publish" => keys_publish,
    "keys_revoke" => keys_revoke,
    "outbox" => list_outbox,
    "postage" => postage,
    "read" => read_message,
    "read_attachment" => read_attachment,
    "receipt_give" => receipt_give,
    "refuse" => refuse,
    "send" => send,
    "status" => message_status,
}

/// All names, with those that a connection answers itself.
pub(super) fn all() -> Vec<&'static str> {
    let mut names: Vec<_> = NAMES.iter().copied().chain([AUTHENTICATE, FOLLOW]).collect();
    names.sort_unstable();
    names
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfMessage {
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfContact {
    name: String,
}

/// Nobody watches the search for a stamp here, and nobody stops it but by stopping the server.
pub(super) fn unwatched(_: u64, _: u64) -> bool {
    true
}

fn height_of(sent: &Sent) -> Option<BlockHeight> {
    sent.place.as_ref().map(|place| place.header.height)
}

fn within(name: &str, limit: u32, most: u32) -> Result<usize, Failure> {
    if (1..=most).contains(&limit) {
        return Ok(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    Err(Failure::usage(format_args!("{name}: {limit} is none; 1 to {most} are possible")))
}

// -- Address, contacts, postage ------------------------------------------------------------------------

async fn own_address(server: &Server<'_>, _: Nothing) -> Answered {
    let wallet = server.wallet().await?;
    let answer = address::Answer::new(wallet.name().into(), wallet.address_text());
    tagged("sealpost/address/1", &answer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    name: String,
    address: String,
}

async fn contact_add(server: &Server<'_>, Add { name, address }: Add) -> Answered {
    let wallet = server.wallet().await?;
    let prefix = wallet.genesis().prefix();
    let address = contact::parse_address(&address, prefix)?;
    wallet.profile().contacts().and_then(|mut contacts| contacts.add(&name, address)).map_err(failure)?;
    let entry = contact::Entry { name: Some(name.to_lowercase()), address: address.to_text(prefix) };
    tagged("sealpost/contact-add/1", &entry)
}

async fn contact_list(server: &Server<'_>, _: Nothing) -> Answered {
    let wallet = server.wallet().await?;
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let prefix = wallet.genesis().prefix();
    let entries = contacts
        .list()
        .map(|(name, address)| contact::Entry { name: Some(name.into()), address: address.to_text(prefix) });
    tagged("sealpost/contact-list/1", &contact::Listed { contacts: entries.collect() })
}

async fn contact_remove(server: &Server<'_>, OfContact { name }: OfContact) -> Answered {
    let wallet = server.wallet().await?;
    let mut contacts = wallet.profile().contacts().map_err(failure)?;
    let address = contacts.remove(&name).map_err(failure)?.to_text(wallet.genesis().prefix());
    tagged("sealpost/contact-remove/1", &contact::Entry { name: Some(name.to_lowercase()), address })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    name: String,
    new: String,
}

async fn contact_rename(server: &Server<'_>, Rename { name, new }: Rename) -> Answered {
    let wallet = server.wallet().await?;
    let mut contacts = wallet.profile().contacts().map_err(failure)?;
    let address = contacts.rename(&name, &new).map_err(failure)?.to_text(wallet.genesis().prefix());
    tagged("sealpost/contact-rename/1", &contact::Entry { name: Some(new.to_lowercase()), address })
}

async fn contact_show(server: &Server<'_>, OfContact { name }: OfContact) -> Answered {
    let wallet = server.wallet().await?;
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let address = contacts.resolve(&name).map_err(failure)?;
    let name = contacts.name_of(&address).map(Into::into);
    let address = address.to_text(wallet.genesis().prefix());
    tagged("sealpost/contact-show/1", &contact::Entry { name, address })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Designate {
    class: String,
    to: String,
}

async fn designate_class(server: &Server<'_>, Designate { class, to }: Designate) -> Answered {
    designate::check_class(&class)?;
    let wallet = server.wallet().await?;
    let to = wallet.profile().contacts().map_err(failure)?.resolve(&to).map_err(failure)?;
    let light = server.light().await?;
    let sent = wallet.designate(&light, &class, to, &unwatched).await.map_err(failure)?;
    let to = to.to_text(wallet.genesis().prefix());
    let answer = designate::Designated { class, to, id: sent.id.to_string(), height: height_of(&sent) };
    server.tagged(&light, "sealpost/designate/1", &answer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Postage {
    #[serde(default = "usual_bytes")]
    bytes: u64,
}

fn usual_bytes() -> u64 {
    2048
}

async fn postage(server: &Server<'_>, Postage { bytes }: Postage) -> Answered {
    let light = server.light().await?;
    let quote = light.postage(bytes).await.map_err(failure)?;
    server.tagged(&light, "sealpost/postage/1", &Quoted::new(quote))
}

// -- Keys ----------------------------------------------------------------------------------------------

async fn keys_list(server: &Server<'_>, _: Nothing) -> Answered {
    let mut wallet = server.alone().await;
    let light = server.light().await?;
    let listed = wallet.list_bundles(&light, &server.session.terms(), KEYS_LISTED).await;
    let (own, bundles) = listed.map_err(failure)?;
    server.tagged(&light, "sealpost/keys-list/1", &keys::Listed::new(&wallet, &own, &bundles))
}

async fn keys_publish(server: &Server<'_>, _: Nothing) -> Answered {
    let mut wallet = server.alone().await;
    let light = server.light().await?;
    let terms = server.session.terms();
    let rotated = wallet.rotate_keys(&light, &terms, Foreign::Refuse, &unwatched).await.map_err(failure)?;
    server.tagged(&light, "sealpost/keys-publish/1", &keys::published(&rotated))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    sequence: Option<u64>,
    from: Option<BlockHeight>,
}

async fn keys_revoke(server: &Server<'_>, Revoke { sequence, from }: Revoke) -> Answered {
    let mut wallet = server.alone().await;
    let light = server.light().await?;
    let revoked = wallet.revoke_keys(&light, sequence, from, &unwatched).await;
    let (sequence, from, sent) = revoked.map_err(failure)?;
    let answer = keys::Revoked { sequence, from, id: sent.id.to_string(), height: height_of(&sent) };
    server.tagged(&light, "sealpost/keys-revoke/1", &answer)
}

// -- Sending -------------------------------------------------------------------------------------------

async fn list_outbox(server: &Server<'_>, _: Nothing) -> Answered {
    let wallet = server.wallet().await?;
    let light = server.light().await?;
    let Flushed { entries, damaged: entries_damaged } = wallet.flush_outbox(&light).await.map_err(failure)?;
    let entries = entries.iter().map(|(kept, not_taken)| outbox::entry(&wallet, kept, not_taken.as_ref()));
    let entries = entries.collect::<Result<_, _>>()?;
    let Listing { drafts, damaged: drafts_damaged } = wallet.drafts().map_err(failure)?;
    let drafts = drafts.iter().map(|listed| draft::entry(&wallet, listed)).collect();
    let damaged = entries_damaged.iter().map(ToString::to_string);
    let damaged = damaged.chain(drafts_damaged.iter().map(ToString::to_string)).collect();
    server.tagged(&light, "sealpost/outbox/1", &outbox::Sent { entries, drafts, damaged })
}

async fn message_status(server: &Server<'_>, OfMessage { id }: OfMessage) -> Answered {
    let wallet = server.wallet().await?;
    let light = server.light().await?;
    let id = wallet.resolve(&light, &id).await.map_err(failure)?;
    if wallet.sent_sealed(&id).map_err(failure)? {
        server.scan(&wallet, &light).await?;
    }
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let report = status::report(&wallet, &light, &contacts, id).await?;
    server.tagged(&light, "sealpost/status/1", &report)
}

// -- Reading and answering -----------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inbox {
    #[serde(default = "usual_limit")]
    limit: u32,
    #[serde(default)]
    scan: Scan,
}

/// Whether sealed messages are looked for first.
#[derive(Deserialize, Default)]
#[serde(from = "bool")]
enum Scan {
    #[default]
    First,
    No,
}

impl From<bool> for Scan {
    fn from(wanted: bool) -> Self {
        if wanted { Self::First } else { Self::No }
    }
}

fn usual_limit() -> u32 {
    50
}

async fn list_inbox(server: &Server<'_>, Inbox { limit, scan }: Inbox) -> Answered {
    let limit = within("limit", limit, MAX_LIMIT)?;
    let wallet = server.wallet().await?;
    let light = server.light().await?;
    let scan = match scan {
        Scan::First => Some(server.scan(&wallet, &light).await?),
        Scan::No => None,
    };
    let found = inbox::newest(&wallet, &light, limit, &|_| {}).await?;
    let messages = inbox::entries(&wallet, &found)?;
    server.tagged(&light, "sealpost/inbox/1", &inbox::Listed { messages, scan })
}

async fn read_message(server: &Server<'_>, OfMessage { id }: OfMessage) -> Answered {
    let wallet = server.wallet().await?;
    let light = server.light().await;
    let (reading, source) = reading(&wallet, known(&light), &id).await?;
    let text = match &reading.letter.continued {
        None => Some(reading.letter.text.clone()),
        Some(_) => whole_text(server, &wallet, known(&light)?, &reading).await?,
    };
    let whole = text.clone().filter(|_| reading.letter.continued.is_some());
    let answer = read::answer(&wallet, &reading, source, text, read::listed(&reading))?;
    server.session.remember(&wallet, &reading, source, whole)?;
    match &light {
        Ok(light) => server.tagged(light, "sealpost/read/1", &answer),
        Err(_) => tagged("sealpost/read/1", &answer),
    }
}

/// The connection, or why there is none.
fn known(light: &Result<Arc<Light>, Failure>) -> Result<&Light, Failure> {
    light.as_ref().map(Arc::as_ref).map_err(Clone::clone)
}

/// The text of a letter of which something came in parts; nothing if it is longer than a text may be.
async fn whole_text(
    server: &Server<'_>,
    wallet: &Wallet,
    light: &Light,
    reading: &Reading,
) -> Result<Option<String>, Failure> {
    let _alone = server.collecting.lock().await;
    let mut collector = wallet.collector(light, reading, &|_, _, _| {});
    let text = collector.text().await.map_err(failure)?;
    // What was fetched of a file that nobody has taken yet stays for the next time.
    if !reading.letter.attachments.iter().any(|file| matches!(file.data, Data::Parts(_))) {
        collector.forget().map_err(failure)?;
    }
    Ok(text)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfAttachment {
    id: String,
    number: usize,
    #[serde(default)]
    offset: usize,
    length: Option<usize>,
}

#[derive(Serialize)]
struct TakenFile<'a> {
    id: String,
    number: usize,
    name: &'a str,
    /// Of the whole file.
    bytes: usize,
    /// Where in it the following begins.
    offset: usize,
    base64: String,
}

async fn read_attachment(server: &Server<'_>, request: OfAttachment) -> Answered {
    let OfAttachment { id, number, offset, length } = request;
    let wallet = server.wallet().await?;
    let light = server.light().await;
    let (reading, source) = reading(&wallet, known(&light), &id).await?;
    let id = reading.message.id().to_string();
    let files = &reading.letter.attachments;
    let file = files.get(number).ok_or_else(|| {
        let count = files.len();
        Failure::no(
            "attachment.none",
            format!("{id} has {count} attachments, counted from 0; none is {number}"),
        )
    })?;
    let whole = usize::try_from(file.data.length()).unwrap_or(usize::MAX);
    if offset > whole {
        let message = format!("offset: {offset} is beyond the file's {whole} bytes");
        return Err(Failure::usage(message).into());
    }
    let end = length.map_or(whole, |length| offset.saturating_add(length).min(whole));
    let fetched;
    let bytes = match &file.data {
        Data::Whole(bytes) => bytes,
        Data::Parts(_) => {
            let _alone = server.collecting.lock().await;
            let mut collector = wallet.collector(known(&light)?, &reading, &|_, _, _| {});
            let limit = server.session.settings.attachment_bytes;
            fetched = collector.file(number, limit, Vec::new()).await.map_err(failure)?;
            // What was fetched stays until the end of it was taken, and as long as another file may need it.
            let in_parts = files.iter().filter(|file| matches!(file.data, Data::Parts(_)));
            if end == whole && in_parts.count() == 1 {
                collector.forget().map_err(failure)?;
            }
            &fetched
        }
    };
    server.session.remember(&wallet, &reading, source, None)?;
    let base64 = BASE64.encode(bytes.get(offset..end).unwrap_or_default());
    let name = &file.name;
    tagged("sealpost/attachment/1", &TakenFile { id, number, name, bytes: whole, offset, base64 })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Give {
    id: String,
    #[serde(default)]
    without_parts: bool,
}

async fn receipt_give(server: &Server<'_>, Give { id, without_parts }: Give) -> Answered {
    let demand = match without_parts {
        true => Demand::LetterAlone,
        false => Demand::Whole { limit: server.session.settings.attachment_bytes },
    };
    let wallet = server.wallet().await?;
    let light = server.light().await?;
    let id = wallet.resolve(&light, &id).await.map_err(failure)?;
    let unanswered = {
        let _alone = server.collecting.lock().await;
        wallet.to_answer(&light, &id, demand).await.map_err(failure)?
    };
    let sent = wallet.give_receipt(&light, &unanswered, &unwatched).await.map_err(failure)?;
    given(server, &light, id.to_string(), &sent, "opened", None)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refuse {
    id: String,
    #[serde(default = "unspecified")]
    reason: String,
}

fn unspecified() -> String {
    RefusalReason::Unspecified.code().into()
}

async fn refuse(server: &Server<'_>, Refuse { id, reason }: Refuse) -> Answered {
    let reason = answer::reason(&reason);
    let reason = reason.map_err(|expected| Failure::usage(format_args!("reason: {expected}")))?;
    let wallet = server.wallet().await?;
    let light = server.light().await?;
    let id = wallet.resolve(&light, &id).await.map_err(failure)?;
    let (slot, refusal) = wallet.refusal(&light, &id, reason).await.map_err(failure)?;
    let sent = wallet.answer(&light, id, slot, refusal, &unwatched).await.map_err(failure)?;
    given(server, &light, id.to_string(), &sent, "refused", Some(reason.code()))
}

fn given(
    server: &Server<'_>,
    light: &Light,
    message: String,
    sent: &Sent,
    answer: &str,
    reason: Option<&'static str>,
) -> Answered {
    let (receipt, height) = (sent.id.to_string(), height_of(sent));
    let given = answer::Given { message, receipt, answer, reason, height };
    server.tagged(light, "sealpost/answer/1", &given)
}

// -- Evidence ------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EvidenceOf {
    id: String,
    #[serde(default)]
    body: bool,
    #[serde(default)]
    disclose: bool,
    #[serde(default)]
    absent_receipt: bool,
    #[serde(default)]
    recipients: Vec<String>,
    until: Option<BlockHeight>,
}

async fn evidence_create(server: &Server<'_>, request: EvidenceOf) -> Answered {
    let EvidenceOf { id, body, disclose, absent_receipt, recipients, until } = request;
    let wallet = server.wallet().await?;
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let recipients = match recipients.is_empty() {
        true => None,
        false => Some(contacts.expand(&recipients).map_err(failure)?),
    };
    let answers = if absent_receipt { Answers::GivenAndSilence } else { Answers::Given };
    let request = EvidenceRequest { answers, recipients, until, body, disclose };
    let light = server.light().await?;
    let id = wallet.resolve(&light, &id).await.map_err(failure)?;
    let made = wallet.prove(&light, &id, &request).await.map_err(failure)?;
    let findings = made.check(wallet.genesis()).map_err(Failure::bug)?;
    let json = made.to_json();
    let created = evidence::Created {
        file: None,
        bytes: json.len(),
        evidence: Some(json),
        message: findings.message().to_string(),
        facts: findings.lines(),
    };
    server.tagged(&light, "sealpost/evidence-create/1", &created)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verify {
    evidence: String,
}

/// Under the genesis of this wallet's network. Needs no node.
async fn evidence_verify(server: &Server<'_>, Verify { evidence: given }: Verify) -> Answered {
    let wallet = server.wallet().await?;
    let checked = Certificate::of(given.as_bytes(), "", wallet.genesis());
    let (certificate, findings) = checked.map_err(|error| evidence::refusal(&error))?;
    tagged("sealpost/evidence-verify/1", &evidence::Verified::new(&certificate, &findings, None))
}
