//! A message: its way, what everybody can see of it, and what may be taken along. Other transactions have a
//! plainer page.

use super::body::HexView;
use super::timeline::{Step, steps};
use crate::page::{Id, PageError, Params, Piece, Source, is_beginning, render, shown};
use crate::reader::{Proven, ReadError, Reader};
use askama::Template;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use sealpost_api::PayloadView;
use sealpost_ledger::address::AddressPrefix;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Message, Mode, Slot, SlotRecipient, Suite};
use sealpost_terminal::bytes;
use serde::Deserialize;

/// People whose keys at that time are looked up; of more, the rest is on their own pages.
const KEYS_SHOWN: usize = 8;

struct SlotRow {
    number: u16,
    recipient: Option<Id>,
    bundle: Option<u64>,
    view_tag: Option<String>,
    ecies: usize,
    ml_kem: Option<usize>,
    commitment: String,
}

/// Keys of somebody who takes part, at the height of the message.
struct KeyRow {
    role: &'static str,
    address: Id,
    newest: Option<KeyFacts>,
    used: Option<u64>,
}

struct KeyFacts {
    sequence: u64,
    published: u64,
    valid_until: u64,
    revoked_from: Option<u64>,
    ml_kem: bool,
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage {
    proven: Source,
    claimed: Source,
    id: Id,
    sender: Id,
    steps: Vec<Step>,
    suite: &'static str,
    sealed: bool,
    size_class: String,
    body_kept: bool,
    facts: Vec<(&'static str, String)>,
    slots: Vec<SlotRow>,
    /// Which of the slots are shown, with their answers.
    piece: Piece,
    /// Slots that the node names a receipt for.
    told_answers: usize,
    /// Nothing if the node does not prove the state of then any more.
    keys: Option<Vec<KeyRow>>,
    keys_left_out: usize,
    hex: Option<HexView>,
    height: u64,
    index: u32,
    tree_size: u32,
    leaf: String,
    path: Vec<String>,
    root: String,
}

/// From where on the slots are shown, and the body, if it is.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    from: Option<u32>,
    hex: Option<usize>,
}

/// The transaction that a part of an address names.
pub(super) fn parse_id(text: &str) -> Result<TransactionId, PageError> {
    text.parse().map_err(|_| {
        let shown = shown(text);
        if is_beginning(text) {
            return PageError::Beginning(shown);
        }
        PageError::Malformed(format!(
            "“{shown}” is not a transaction id: 64 hexadecimal digits are expected."
        ))
    })
}

pub(super) async fn message(
    State(reader): State<Reader>,
    Path(id): Path<String>,
    Params(Wanted { from, hex }): Params<Wanted>,
) -> Result<Response, PageError> {
    let id = parse_id(&id)?;
    let proven = reader.transaction(&id).await?;
    let (Some(message), PayloadView::Message(view)) =
        (proven.transaction.message(), &proven.found.view.payload)
    else {
        return Ok(Redirect::to(&format!("/tx/{id}")).into_response());
    };
    let piece = Piece::new(from.unwrap_or(0), u32::try_from(message.slots.len()).unwrap_or(u32::MAX));
    if piece.is_empty() {
        return Err(PageError::NotFound(format!("The message has no slot {}.", piece.from)));
    }
    let genesis = reader.genesis().await?;
    let keys = keys(&reader, &proven, message).await?;
    let hex = match hex {
        Some(offset) if view.body_kept => Some(hex_view(&reader, &id, message, offset).await?),
        _ => None,
    };
    let transaction = proven.transaction.transaction();
    Ok(render(&MessagePage {
        proven: Source::Proven,
        claimed: Source::Claimed,
        id: Id::new(id),
        sender: Id::new(proven.transaction.sender().to_text(genesis.prefix())),
        steps: steps(&reader, &proven, message, view, piece).await?,
        suite: match message.suite {
            Suite::Ecies => "1: ECIES on secp256k1",
            Suite::EciesMlKem768 => "2: ECIES on secp256k1 and ML-KEM-768",
        },
        sealed: message.mode == Mode::Sealed,
        size_class: size_class(message),
        body_kept: view.body_kept,
        facts: vec![
            ("content commitment", message.content_commit.to_string()),
            ("key commitment", message.key_commit.to_string()),
            ("body hash", message.body_hash.to_string()),
            ("signature", proven.transaction.signature().to_string()),
            ("expiry height", transaction.expiry.to_string()),
            ("postage nonce", transaction.nonce.to_string()),
        ],
        slots: slots(message, piece, genesis.prefix()),
        piece,
        told_answers: view.slots.iter().filter(|slot| slot.receipt.is_some()).count(),
        keys_left_out: keys.as_ref().map_or(0, |keys| left_out(message.recipients().count(), keys.len())),
        keys,
        hex,
        height: proven.header.height.get(),
        index: proven.found.place.index,
        tree_size: proven.header.transaction_count,
        leaf: sealpost_api::Hex::from(proven.transaction.leaf()).to_string(),
        path: proven.found.path.iter().map(ToString::to_string).collect(),
        root: proven.header.tx_root.to_string(),
    }))
}

/// How many of those who take part, the sender and the recipients, are not among those shown.
const fn left_out(recipients: usize, shown: usize) -> usize {
    recipients.saturating_add(1).saturating_sub(shown)
}

/// The body's length in words: it tells the class that the text was padded to, not the text's length.
fn size_class(message: &Message) -> String {
    let length = u64::from(message.body_length);
    if length < 1024 { bytes(length) } else { format!("{} ({length} bytes)", bytes(length)) }
}

fn slots(message: &Message, piece: Piece, prefix: &AddressPrefix) -> Vec<SlotRow> {
    let row = |(number, slot): (u16, &Slot)| {
        let (recipient, bundle, view_tag) = match slot.recipient {
            SlotRecipient::Named { address, bundle } => {
                (Some(Id::new(address.to_text(prefix))), Some(bundle), None)
            }
            SlotRecipient::Hidden { view_tag, .. } => (None, None, Some(format!("{view_tag:02x}"))),
        };
        SlotRow {
            number,
            recipient,
            bundle,
            view_tag,
            ecies: slot.ecies_share.len(),
            ml_kem: slot.ml_kem_share.as_ref().map(Vec::len),
            commitment: slot.receipt_commit.to_string(),
        }
    };
    let rows = (0..).zip(&message.slots);
    rows.skip(piece.from as usize).take(piece.positions().len()).map(row).collect()
}

/// The newest keys of sender and recipients at the height of the message, proven by the state then. Nothing if the node
/// has dropped that state, as all but archives do after a while: everything else about the message is proven without it.
async fn keys(reader: &Reader, proven: &Proven, message: &Message) -> Result<Option<Vec<KeyRow>>, PageError> {
    if message.mode == Mode::Sealed {
        return Ok(Some(Vec::new()));
    }
    let prefix = reader.genesis().await?.prefix().clone();
    let recipients = message.slots.iter().filter_map(|slot| match slot.recipient {
        SlotRecipient::Named { address, bundle } => Some(("recipient", address, Some(bundle))),
        SlotRecipient::Hidden { .. } => None,
    });
    let people = std::iter::once(("sender", proven.transaction.sender(), None)).chain(recipients);
    let mut rows = Vec::new();
    for (role, address, used) in people.take(KEYS_SHOWN) {
        let standing = match reader.bundle_at(&address, Some(proven.header.height)).await {
            Err(ReadError::StateDropped(_)) => return Ok(None),
            standing => standing?,
        };
        let newest = standing.found.map(|record| KeyFacts {
            sequence: record.bundle.sequence,
            published: record.height.get(),
            valid_until: record.bundle.valid_until.get(),
            revoked_from: record.revoked_from.map(BlockHeight::get),
            ml_kem: record.bundle.ml_kem.is_some(),
        });
        rows.push(KeyRow { role, address: Id::new(address.to_text(&prefix)), newest, used });
    }
    Ok(Some(rows))
}

async fn hex_view(
    reader: &Reader,
    id: &TransactionId,
    message: &Message,
    offset: usize,
) -> Result<HexView, PageError> {
    let body = reader.encrypted_body(id, &message.body_hash).await?;
    HexView::new(body.as_bytes(), offset)
        .ok_or_else(|| PageError::NotFound(format!("The body has no byte {offset}.")))
}

/// The evidence file, to keep.
pub(super) async fn evidence(
    State(reader): State<Reader>,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = parse_id(&id)?;
    let json = reader.whole_evidence(&id).await?;
    let name = format!("attachment; filename=\"{id}.evidence.json\"");
    Ok(([(CONTENT_TYPE, "application/json".to_owned()), (CONTENT_DISPOSITION, name)], json).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_left_out_is_counted() {
        for recipients in 1..=20 {
            let people = recipients + 1;
            let shown = people.min(KEYS_SHOWN);
            assert_eq!(left_out(recipients, shown), people - shown, "{recipients}");
        }
        assert_eq!(left_out(KEYS_SHOWN, KEYS_SHOWN), 1, "one more than has room");
    }
}
