//! The encrypted body of a message: a bounded piece of it in hexadecimal, or all of it as a file. Its hash is
//! checked against the signed header first.

use super::message::parse_id;
use crate::page::PageError;
use crate::reader::Reader;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sealpost_ledger::message::Body;

/// Bytes shown at once, and in one line.
const SHOWN: usize = 512;
const LINE: usize = 16;

/// A piece of a body.
pub(super) struct HexView {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) length: usize,
    pub(super) lines: Vec<(String, String)>,
    pub(super) previous: Option<usize>,
    pub(super) next: Option<usize>,
}

impl HexView {
    /// The piece that contains an offset.
    pub(super) fn new(bytes: &[u8], offset: usize) -> Option<Self> {
        let from = offset.checked_div(SHOWN)?.checked_mul(SHOWN)?;
        let piece = bytes.get(from..)?;
        let piece = piece.get(..SHOWN).unwrap_or(piece);
        let to = from.checked_add(piece.len())?;
        let lines = piece.chunks(LINE).zip((from..).step_by(LINE)).map(|(line, at)| {
            let bytes: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            (format!("{at:06x}"), bytes.join(" "))
        });
        let lines: Vec<_> = lines.collect();
        (!lines.is_empty()).then_some(Self {
            from,
            to,
            length: bytes.len(),
            lines,
            previous: from.checked_sub(SHOWN),
            next: (to < bytes.len()).then_some(to),
        })
    }
}

/// All of it, to keep. What has this id can't change, so it may be kept for ever.
pub(super) async fn raw(State(reader): State<Reader>, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = parse_id(&id)?;
    let proven = reader.transaction(&id).await?;
    let Some(message) = proven.transaction.message() else {
        return Err(PageError::NotFound("That transaction is no message, so it has no body.".into()));
    };
    let body: Body = reader.encrypted_body(&id, &message.body_hash).await?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.body\"")),
        (CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
    ];
    Ok((headers, body.as_bytes().to_vec()).into_response())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_every_byte_once() {
        for length in [1_usize, 15, 16, 511, 512, 513, 2000] {
            let bytes: Vec<u8> = (0..length).map(|n| u8::try_from(n % 256).unwrap()).collect();
            let (mut seen, mut at) = (Vec::new(), Some(0));
            while let Some(offset) = at {
                let view = HexView::new(&bytes, offset).unwrap();
                assert!(view.lines.len() <= SHOWN / LINE && view.from == offset);
                for (_, line) in &view.lines {
                    seen.extend(line.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()));
                }
                at = view.next;
            }
            assert_eq!(seen, bytes);
        }
        assert!(HexView::new(&[], 0).is_none());
        assert!(HexView::new(&[1; 10], 600).is_none());
        assert!(HexView::new(&[1; 10], usize::MAX).is_none());
        assert_eq!(HexView::new(&[1; 600], 599).unwrap().from, 512);
    }
}
