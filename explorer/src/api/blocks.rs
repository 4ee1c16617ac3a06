//! Blocks, and what stands in them.

use super::Api;
use super::answer::{Keep, Page, proven};
use super::input::{self, Named, Nothing, Paging, Params, number_cursor, page_size};
use super::problem::Problem;
use super::view::{HeaderView, TransactionView, ValidatorView, hex};
use axum::extract::State;
use axum::response::Response;
use sealpost_api::Signer;
use sealpost_ledger::codec::encode;
use sealpost_ledger::height::BlockHeight;
use serde::Serialize;
use utoipa::ToSchema;

/// A block, and who made it final.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Block")]
pub(super) struct BlockView {
    /// The header.
    header: HeaderView,
    /// Who made it final.
    certificate: CertificateView,
}

/// The signatures that made a block final. Two nodes may hold different ones; each suffices.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Certificate")]
struct CertificateView {
    /// Round in which the block was decided, from 0.
    round: u32,
    /// Power that signed: more than two thirds of the total.
    signed_power: u64,
    /// Power of all validators of that height.
    total_power: u64,
    /// Every validator of that height, and whether it signed.
    validators: Vec<SignerView>,
    /// Canonical bytes, in hexadecimal.
    #[schema(pattern = "^[0-9a-f]*$")]
    canonical: String,
}

/// A validator of a height.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Signer")]
struct SignerView {
    #[serde(flatten)]
    validator: ValidatorView,
    /// Whether its signature is in this certificate.
    signed: bool,
}

/// The blocks, the newest first.
#[utoipa::path(
    get, path = "/blocks", tag = "blocks", params(Paging),
    responses((status = 200, description = "A page of blocks.", body = super::answer::Answer<Page<HeaderView>>))
)]
pub(super) async fn list(
    State(api): State<Api>,
    Params(Paging { after, limit }): Params<Paging>,
) -> Result<Response, Problem> {
    let limit = page_size(limit)?;
    let below = number_cursor::<u64>(after.as_deref())?;
    let genesis = api.reader.genesis().await?;
    let head = api.reader.status().await?.height;
    let last = below.map_or(head, |below| head.min(BlockHeight::new(below.saturating_sub(1))));
    let first = last.saturating_sub(u64::from(limit).saturating_sub(1)).max(BlockHeight::FIRST);
    let count = u32::try_from(last.get().saturating_add(1).saturating_sub(first.get())).unwrap_or(limit);
    let headers = match count {
        // Before the first block, or beyond the oldest.
        0 => Vec::new(),
        count => api.reader.headers(first, count).await?,
    };
    let next = (first > BlockHeight::FIRST && !headers.is_empty()).then(|| first.to_string());
    let items = headers.iter().rev().map(|sealed| HeaderView::from(&sealed.0)).collect();
    proven(&genesis, Keep::Ask, Page { items, next, complete: true })
}

/// A block by its height or its hash.
#[utoipa::path(
    get, path = "/blocks/{block}", tag = "blocks",
    params(("block" = String, Path, description = "Height or hash.", pattern = "^([0-9]{1,19}|[0-9a-f]{64})$")),
    responses((status = 200, description = "The block. It can't change.", body = super::answer::Answer<BlockView>))
)]
pub(super) async fn block(
    State(api): State<Api>,
    named: Named,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let sealed = api.reader.final_block(input::block(&named)?).await?;
    let genesis = api.reader.genesis().await?;
    let signers = Signer::all(&sealed.validators, &sealed.certificate, &genesis);
    let signed_power = Signer::signed_power(&signers);
    let validators = signers.into_iter().map(|signer| SignerView {
        validator: ValidatorView {
            name: signer.name,
            public_key: signer.public_key.to_string(),
            power: signer.power,
        },
        signed: signer.signed,
    });
    let certificate = CertificateView {
        round: sealed.certificate.round,
        signed_power,
        total_power: sealed.validators.total_power(),
        validators: validators.collect(),
        canonical: hex(&encode(&sealed.certificate)),
    };
    let header = HeaderView::from(&sealed.header);
    // Another node may show other signatures under the same block.
    proven(&genesis, Keep::Ask, BlockView { header, certificate })
}

/// What stands in a block, in its order. It is proven that nothing is left out.
#[utoipa::path(
    get, path = "/blocks/{block}/transactions", tag = "blocks",
    params(("block" = String, Path, description = "Height or hash.", pattern = "^([0-9]{1,19}|[0-9a-f]{64})$"), Paging),
    responses((
        status = 200, description = "A page of its transactions. It can't change.",
        body = super::answer::Answer<Page<TransactionView>>
    ))
)]
pub(super) async fn transactions(
    State(api): State<Api>,
    named: Named,
    Params(Paging { after, limit }): Params<Paging>,
) -> Result<Response, Problem> {
    let (block, limit) = (input::block(&named)?, page_size(limit)?);
    let first = match number_cursor::<u32>(after.as_deref())? {
        Some(index) => index.saturating_add(1),
        None => 0,
    };
    let whole = api.reader.complete_block(block).await?;
    let genesis = api.reader.genesis().await?;
    let listed = (0_u32..).zip(whole.transactions());
    let page = listed.skip(first as usize).take(limit as usize);
    let items: Vec<_> = page
        .map(|(index, transaction)| TransactionView::new(transaction, whole.header(), index, &genesis))
        .collect();
    let last = items.last().map(|item| item.place.index);
    let next = last.filter(|last| last.saturating_add(1) < whole.header().transaction_count);
    let page = Page { items, next: next.map(|next| next.to_string()), complete: true };
    // A height alone does not say of which chain.
    let keep = if matches!(block, sealpost_api::BlockId::Hash(_)) { Keep::Forever } else { Keep::Ask };
    proven(&genesis, keep, page)
}
