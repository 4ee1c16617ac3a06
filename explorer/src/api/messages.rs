//! A message: what the ledger shows of it, its answers, its evidence and its encrypted body.

use super::Api;
use super::answer::{Keep, Page, answer, octets, proven};
use super::input::{self, Named, Nothing, Paging, Params, number_cursor, page_size};
use super::problem::Problem;
use super::view::{AnswerView, PlaceView, SlotView, TransactionView, time};
use crate::reader::{Proven, ReadError};
use axum::extract::State;
use axum::http::header::CONTENT_DISPOSITION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use sealpost_api::PayloadView as Told;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Message, SlotRecipient};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A message, and what this node observed of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "MessageState")]
pub(super) struct StateView {
    /// The message's transaction.
    transaction: TransactionView,
    /// When this node first saw it; null if it does not remember. Other nodes saw it at other times.
    #[schema(format = DateTime)]
    first_seen: Option<String>,
    /// Whether this node still has the encrypted body.
    body_kept: bool,
}

/// A slot, and how its recipient answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "SlotAnswer")]
pub(super) struct SlotAnswer {
    /// Number of the slot, from 0.
    slot: u16,
    /// Whom it is for; null if that is hidden.
    recipient: Option<String>,
    /// What is proven of the answer.
    state: SlotState,
    /// Why it was refused.
    reason: Option<String>,
    /// The receipt's transaction.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    receipt: Option<String>,
    /// Where the receipt stands.
    place: Option<PlaceView>,
    /// The height after which there was no answer (proof of absence), for `silent`.
    silent_until: Option<u64>,
}

/// What is proven of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SlotState {
    /// The recipient's key signed after the slot was decrypted. It does not show that a person read it.
    Opened,
    /// The recipient's key signed a refusal.
    Refused,
    /// There was no answer up to `silent_until`. It does not show whether the message was read.
    Silent,
    /// The message is sealed: answers travel inside sealed messages.
    Unknowable,
}

/// A message as the API reads it.
struct Read {
    proven: Proven,
}

impl Read {
    async fn new(api: &Api, id: &TransactionId) -> Result<Self, Problem> {
        let proven = api.reader.transaction(id).await?;
        if proven.transaction.message().is_none() {
            return Err(input::not_a_message(id));
        }
        Ok(Self { proven })
    }
    fn message(&self) -> Result<&Message, Problem> {
        let message = self.proven.transaction.message();
        message.ok_or_else(|| input::not_a_message(&self.proven.transaction.id()))
    }
    /// The receipt that the node names for a slot.
    fn named_receipt(&self, slot: u16) -> Option<TransactionId> {
        let Told::Message(told) = &self.proven.found.view.payload else { return None };
        told.slots.get(usize::from(slot))?.receipt.as_ref().map(|receipt| receipt.id)
    }
}

/// A message by its id.
#[utoipa::path(
    get, path = "/messages/{id}", tag = "messages",
    params(("id" = String, Path, description = "The message's id.", pattern = "^[0-9a-f]{64}$")),
    responses((status = 200, description = "The message.", body = super::answer::Answer<StateView>))
)]
pub(super) async fn message(
    State(api): State<Api>,
    named: Named,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let read = Read::new(&api, &input::transaction(&named)?).await?;
    let genesis = api.reader.genesis().await?;
    let Proven { found, transaction, header } = &read.proven;
    let body_kept = matches!(&found.view.payload, Told::Message(told) if told.body_kept);
    let view = StateView {
        transaction: TransactionView::new(transaction, header, found.place.index, &genesis),
        first_seen: found.place.first_seen_ms.map(time),
        body_kept,
    };
    answer(&genesis, Keep::Ask, view, vec!["first_seen", "body_kept"])
}

/// The answers to a message, slot by slot: opened, refused, or proven silent up to a height.
#[utoipa::path(
    get, path = "/messages/{id}/receipts", tag = "messages",
    params(("id" = String, Path, description = "The message's id.", pattern = "^[0-9a-f]{64}$"), Paging),
    responses((
        status = 200, description = "A page of its slots.",
        body = super::answer::Answer<Page<SlotAnswer>>
    ))
)]
pub(super) async fn receipts(
    State(api): State<Api>,
    named: Named,
    Params(Paging { after, limit }): Params<Paging>,
) -> Result<Response, Problem> {
    let (id, limit) = (input::transaction(&named)?, page_size(limit)?);
    let first = match number_cursor::<u16>(after.as_deref())? {
        Some(slot) => slot.saturating_add(1),
        None => 0,
    };
    let mut read = Read::new(&api, &id).await?;
    let count = u16::try_from(read.message()?.slots.len()).unwrap_or(u16::MAX);
    let end = first.saturating_add(u16::try_from(limit).unwrap_or(u16::MAX)).min(count);
    let mut items = Vec::new();
    for slot in first..end {
        items.push(slot_answer(&api, &mut read, slot).await?);
    }
    let next = (end < count && first < end).then(|| end.saturating_sub(1).to_string());
    let genesis = api.reader.genesis().await?;
    proven(&genesis, Keep::Ask, Page { items, next, complete: true })
}

async fn slot_answer(api: &Api, read: &mut Read, slot: u16) -> Result<SlotAnswer, Problem> {
    let genesis = api.reader.genesis().await?;
    let id = read.proven.transaction.id();
    let content = read.message()?.slot(slot).ok_or_else(|| input::not_a_message(&id))?;
    let hidden = matches!(content.recipient, SlotRecipient::Hidden { .. });
    let SlotView { recipient, .. } = SlotView::new(&content.recipient, genesis.prefix());
    let empty = SlotAnswer {
        slot,
        recipient,
        state: SlotState::Unknowable,
        reason: None,
        receipt: None,
        place: None,
        silent_until: None,
    };
    if hidden {
        return Ok(empty);
    }
    if read.named_receipt(slot).is_none() {
        match api.reader.silence(&id, slot, read.proven.header.height).await {
            Ok(until) => {
                let silent_until = Some(until.height.get());
                return Ok(SlotAnswer { state: SlotState::Silent, silent_until, ..empty });
            }
            // It was answered since the message was looked at.
            Err(ReadError::NotFound(error)) if error.code == "receipt.present" => {
                *read = Read::new(api, &id).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let receipt = read.named_receipt(slot).ok_or_else(|| {
        let detail = "the node says that there is an answer, and does not name it";
        Problem::new(StatusCode::BAD_GATEWAY, "node.untrusted", detail)
    })?;
    let answered = api.reader.answer(&read.proven.transaction, slot, &receipt).await?;
    let (said, reason) = AnswerView::of(&answered.answer);
    let state = match said {
        AnswerView::Opened => SlotState::Opened,
        AnswerView::Refused => SlotState::Refused,
    };
    Ok(SlotAnswer {
        state,
        reason,
        receipt: Some(answered.receipt.to_string()),
        place: Some(PlaceView::new(&answered.header, answered.index)),
        ..empty
    })
}

/// What the evidence contains.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Extent {
    /// Answers and absences up to this height; up to the newest, if none is given.
    #[param(minimum = 1, maximum = 9007199254740991_i64)]
    until: Option<u64>,
    /// Whether the encrypted body is in it.
    #[serde(default)]
    #[param(required = false, default = false)]
    body: bool,
}

/// The evidence file of a message, which a stranger checks with the genesis alone. It was checked here, too.
#[utoipa::path(
    get, path = "/messages/{id}/evidence", tag = "messages",
    params(("id" = String, Path, description = "The message's id.", pattern = "^[0-9a-f]{64}$"), Extent),
    responses((
        status = 200, description = "The evidence file, byte by byte as it is to be kept.",
        body = super::EvidenceFile, content_type = "application/json"
    ))
)]
pub(super) async fn evidence(
    State(api): State<Api>,
    named: Named,
    Params(Extent { until, body }): Params<Extent>,
) -> Result<Response, Problem> {
    let id = input::transaction(&named)?;
    let json = api.reader.checked_evidence(&id, until.map(BlockHeight::new), body).await?;
    saved_as(octets(Keep::Ask, "application/json", json), &format!("{id}.evidence.json"))
}

/// The encrypted body of a message: the bytes that its header commits to.
#[utoipa::path(
    get, path = "/messages/{id}/body", tag = "messages",
    params(("id" = String, Path, description = "The message's id.", pattern = "^[0-9a-f]{64}$")),
    responses((
        status = 200, description = "The encrypted body. It can't change.",
        body = super::Octets, content_type = "application/octet-stream"
    ))
)]
pub(super) async fn body(
    State(api): State<Api>,
    named: Named,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let id = input::transaction(&named)?;
    let read = Read::new(&api, &id).await?;
    let body = api.reader.encrypted_body(&id, &read.message()?.body_hash).await?;
    let bytes = body.as_bytes().to_vec();
    saved_as(octets(Keep::Forever, "application/octet-stream", bytes), &format!("{id}.body"))
}

/// Gives an answer a file name.
fn saved_as(mut response: Response, name: &str) -> Result<Response, Problem> {
    let value = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    response.headers_mut().insert(CONTENT_DISPOSITION, value.map_err(super::answer::failed)?);
    Ok(response)
}
