//! Lists as comma-separated values (RFC 4180), for auditors. A cell that a spreadsheet would take for a formula is
//! written as text: with an apostrophe before it.

use super::answer::{Keep, failed, octets};
use super::problem::Problem;
use super::view::{PayloadView, TransactionView};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_DISPOSITION;
use axum::response::Response;
use sealpost_ledger::genesis::Genesis;
use std::borrow::Cow;

const COLUMNS: [&str; 16] = [
    "chain",
    "height",
    "index",
    "time",
    "block",
    "kind",
    "id",
    "sender",
    "recipients",
    "body_bytes",
    "message",
    "slot",
    "answer",
    "reason",
    "detail",
    "cursor",
];

/// A page of transactions, a row each.
pub(super) fn transactions(items: &[TransactionView], genesis: &Genesis) -> Result<Response, Problem> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(failed)?;
    let chain = genesis.chain_id().to_string();
    for item in items {
        let cells = row(&chain, item);
        writer.write_record(cells.iter().map(|cell| harmless(cell).into_owned())).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(failed)?;
    let mut response = octets(Keep::Ask, "text/csv; charset=utf-8; header=present", bytes);
    let name = HeaderValue::from_static("attachment; filename=\"transactions.csv\"");
    response.headers_mut().insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

fn row(chain: &str, item: &TransactionView) -> [String; 16] {
    let (mut recipients, mut body_bytes, mut detail) = (String::new(), String::new(), String::new());
    let (mut message, mut slot, mut answer, mut reason) = <(String, String, String, String)>::default();
    match &item.payload {
        PayloadView::Message(sent) => {
            let named = sent.slots.iter().map(|slot| slot.recipient.as_deref().unwrap_or("hidden"));
            recipients = named.collect::<Vec<_>>().join(" ");
            body_bytes = sent.body_bytes.to_string();
        }
        PayloadView::Receipt(receipt) => {
            (message, slot) = (receipt.message.clone(), receipt.slot.to_string());
            answer = receipt.answer.name().into();
            reason = receipt.reason.clone().unwrap_or_default();
        }
        PayloadView::KeyBundle { sequence, valid_until, .. } => {
            detail = format!("number {sequence}, to be used until height {valid_until}");
        }
        PayloadView::Revoke { sequence, from } => detail = format!("number {sequence} from height {from} on"),
        PayloadView::Designate { class, to } => (recipients, detail) = (to.clone(), class.clone()),
        PayloadView::Validators { effective, .. } => detail = format!("from height {effective} on"),
        PayloadView::Member { address, status, .. } => {
            (recipients, detail) = (address.clone(), status.clone());
        }
    }
    [
        chain.to_owned(),
        item.place.height.to_string(),
        item.place.index.to_string(),
        item.place.time.clone(),
        item.place.block.clone(),
        item.payload.kind().to_owned(),
        item.id.clone(),
        item.sender.clone(),
        recipients,
        body_bytes,
        message,
        slot,
        answer,
        reason,
        detail,
        item.cursor.clone(),
    ]
}

/// A cell that no spreadsheet takes for a formula (OWASP, CSV injection).
fn harmless(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        return format!("'{cell}").into();
    }
    cell.into()
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn a_formula_becomes_text_and_nothing_else_changes() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "－1", "-.-"] {
            assert_eq!(harmless(cell), format!("'{cell}"));
        }
        for cell in ["", "rent", "12-3", "a=b", "2026-11-28T12:00:00.000Z"] {
            assert_eq!(harmless(cell), cell);
        }
    }
}
