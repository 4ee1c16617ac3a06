//! Search: a height, a hash, an id or its beginning, an address, or a text with an address in it, such as a
//! contact's card or a `sealpost:` link.

use crate::page::{Id, PageError, Params, Source, is_beginning, kind, render, shown};
use crate::reader::{ReadError, Reader, Summary};
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use sealpost_api::BlockId;
use sealpost_ledger::address::{Address, AddressPrefix};
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use serde::Deserialize;
use std::sync::Arc;

/// Longest text looked at, in bytes: a card with keys has some 3,000.
const MAX_TEXT: usize = 8192;
/// Blocks in which the beginnings of ids are looked for.
const BLOCKS: u32 = 200;
/// Hits listed.
const MAX_HITS: usize = 50;

struct Hit {
    link: String,
    id: Id,
    what: String,
    height: u64,
}

#[derive(Template)]
#[template(path = "hits.html")]
struct Hits {
    proven: Source,
    wanted: String,
    hits: Vec<Hit>,
    blocks: usize,
    more: bool,
}

/// What is looked for.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    q: String,
}

pub(super) async fn search(
    State(reader): State<Reader>,
    Params(Wanted { q }): Params<Wanted>,
) -> Result<Response, PageError> {
    let text = q.trim();
    if text.len() > MAX_TEXT {
        return Err(PageError::Malformed(format!("That is longer than {MAX_TEXT} bytes.")));
    }
    let wanted = text.trim_start_matches('#').to_lowercase();
    // A number is a height, unless it is so long that it can only be the beginning of an id.
    if let Some(height) = wanted.parse::<u64>().ok().filter(|_| wanted.len() < 12) {
        return Ok(to(format_args!("/block/{height}")));
    }
    if let Ok(hash) = wanted.parse::<BlockHash>() {
        return whole(&reader, hash).await;
    }
    if is_beginning(&wanted) {
        return beginning(&reader, &wanted).await;
    }
    let genesis = reader.genesis().await?;
    match address_in(text, genesis.prefix()) {
        Some(address) => Ok(to(format_args!("/address/{}", address.to_text(genesis.prefix())))),
        None => Err(PageError::Malformed(format!(
            "“{}” is no height, hash, id or address of this network.",
            shown(text)
        ))),
    }
}

fn to(path: std::fmt::Arguments<'_>) -> Response {
    Redirect::to(&path.to_string()).into_response()
}

/// A block, a transaction or a validator's key: they look alike.
async fn whole(reader: &Reader, hash: BlockHash) -> Result<Response, PageError> {
    match reader.certified(BlockId::Hash(hash)).await {
        Ok(_) => return Ok(to(format_args!("/block/{hash}"))),
        Err(ReadError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let key = hash.to_string();
    let validators = reader.validators().await?;
    if validators.validators.iter().any(|validator| validator.public_key.to_string() == key) {
        return Ok(to(format_args!("/validator/{key}")));
    }
    Ok(to(format_args!("/tx/{hash}")))
}

/// What begins like this in the newest blocks: blocks and transactions.
async fn beginning(reader: &Reader, wanted: &str) -> Result<Response, PageError> {
    let head = reader.status().await?.height;
    let recent = match head {
        BlockHeight::GENESIS => Vec::new(),
        head => reader.recent(head, BLOCKS).await?,
    };
    let mut hits = hits(&recent, wanted);
    match hits.as_slice() {
        [] => Err(PageError::Beginning(wanted.into())),
        [only] => Ok(to(format_args!("{}", only.link))),
        _ => {
            let more = hits.len() > MAX_HITS;
            hits.truncate(MAX_HITS);
            let (wanted, blocks) = (wanted.to_owned(), recent.len());
            Ok(render(&Hits { proven: Source::Proven, wanted, hits, blocks, more }))
        }
    }
}

/// Blocks and transactions whose ids begin like this, the newest blocks first.
fn hits(recent: &[Arc<Summary>], wanted: &str) -> Vec<Hit> {
    let mut hits = Vec::new();
    for summary in recent {
        let height = summary.header.height.get();
        let mut hit = |link: &str, id: String, what: &str| {
            if id.starts_with(wanted) {
                hits.push(Hit { link: format!("{link}{id}"), id: Id::new(id), what: kind(what), height });
            }
        };
        hit("/block/", summary.header.hash().to_string(), "block");
        for entry in &summary.entries {
            hit("/tx/", entry.id.to_string(), entry.kind);
        }
    }
    hits
}

/// The first address of this network in a text, whatever stands around it.
fn address_in(text: &str, prefix: &AddressPrefix) -> Option<Address> {
    let words =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() > prefix.as_str().len());
    // Bech32m allows capitals throughout, as in QR codes.
    words.filter_map(|word| Address::parse(&word.to_lowercase(), prefix).ok()).next()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::reader::testing::blocks;
    use sealpost_ledger::signature::SigningKey;

    #[test]
    fn beginnings_find_blocks_and_entries_and_nothing_in_the_middle() {
        let recent = blocks(3);
        let hash = recent.first().unwrap().header.hash().to_string();
        let found = hits(&recent, hash.get(..8).unwrap());
        assert_eq!(found.iter().map(|hit| hit.link.clone()).collect::<Vec<_>>(), [format!("/block/{hash}")]);
        // The entry of block n in these has an id of bytes n: 0202… is that of block 2.
        let found = hits(&recent, "0202");
        let found: Vec<_> = found.iter().map(|hit| (hit.link.get(..8).unwrap(), hit.height)).collect();
        assert_eq!(found, [("/tx/0202", 2)]);
        assert_eq!(hits(&recent, "").len(), 6);
        assert!(hits(&recent, "2020").iter().all(|hit| hit.link.starts_with("/block/2020")));
        let page = Hits {
            proven: Source::Proven,
            wanted: "02".into(),
            hits: hits(&recent, ""),
            blocks: 3,
            more: true,
        };
        let page = page.render().unwrap();
        assert!(page.contains("6 found, and more") && page.contains("/tx/0303"), "{page}");
    }

    #[test]
    fn an_address_is_found_in_links_and_cards_and_nowhere_else() {
        let prefix = AddressPrefix::new("seal").unwrap();
        let address = Address::new(SigningKey::from_bytes(&[7; 32]).unwrap().public_key());
        let text = address.to_text(&prefix);
        let found = [
            text.clone(),
            text.to_uppercase(),
            format!("sealpost:{text}?name=Alice"),
            format!("{{\"schema\":\"card\",\"address\":\"{text}\"}}"),
            format!("  <script>{text}</script>"),
        ];
        for with in found {
            assert_eq!(address_in(&with, &prefix), Some(address), "{with}");
        }
        let wrong = format!("{}q", text.get(..text.len() - 1).unwrap());
        for without in ["", "seal", "sealpost:", "hello world", &wrong] {
            if without != text {
                assert_eq!(address_in(without, &prefix), None, "{without}");
            }
        }
        assert_eq!(address_in(&text, &AddressPrefix::new("other").unwrap()), None);
    }
}
