//! Who decides, how that changed, and who was caught saying two things at once.

use super::Api;
use super::answer::{Keep, Page, answer, proven};
use super::input::{Nothing, Paging, Params, number_cursor, page_size};
use super::problem::Problem;
use super::view::{HeaderView, ValidatorView};
use axum::extract::State;
use axum::response::Response;
use sealpost_api::NamedValidator;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use serde::Serialize;
use utoipa::ToSchema;

/// The validators that decide a height.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "ValidatorSet")]
pub(super) struct SetView {
    /// The first height that is meant.
    height: u64,
    /// Hash of the set, as in headers.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    hash: String,
    /// Power of all together; more than two thirds of it make a block final.
    total_power: u64,
    /// The validators, ordered by key.
    validators: Vec<ValidatorView>,
}

/// Validators with the names that the genesis gives them, whatever the node calls them.
fn named(validators: &[NamedValidator], genesis: &Genesis) -> Vec<ValidatorView> {
    let view = |validator: &NamedValidator| ValidatorView {
        name: genesis.validator_name(&validator.public_key).map(Into::into),
        public_key: validator.public_key.to_string(),
        power: validator.power,
    };
    validators.iter().map(view).collect()
}

fn total(validators: &[NamedValidator]) -> u64 {
    validators.iter().fold(0, |sum, validator| sum.saturating_add(validator.power))
}

/// The validators that decide the next block.
#[utoipa::path(
    get, path = "/validators", tag = "validators",
    responses((status = 200, description = "The validators.", body = super::answer::Answer<SetView>))
)]
pub(super) async fn validators(
    State(api): State<Api>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let genesis = api.reader.genesis().await?;
    let told = api.reader.validators().await?;
    let view = SetView {
        height: told.height.get(),
        hash: NamedValidator::set(&told.validators).map_err(super::answer::failed)?.hash().to_string(),
        total_power: total(&told.validators),
        validators: named(&told.validators, &genesis),
    };
    proven(&genesis, Keep::Ask, view)
}

/// A change of the validators.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "ValidatorsChange")]
pub(super) struct ChangeView {
    /// The block whose header announces the set; the set decides from the block after it on.
    announced_in: HeaderView,
    /// The first height that the set decides.
    effective: u64,
    /// Power of all together.
    total_power: u64,
    /// The set, ordered by key.
    validators: Vec<ValidatorView>,
}

/// The changes of the validators since the genesis, the oldest first.
#[utoipa::path(
    get, path = "/validators/changes", tag = "validators", params(Paging),
    responses((
        status = 200, description = "A page of the changes.",
        body = super::answer::Answer<Page<ChangeView>>
    ))
)]
pub(super) async fn changes(
    State(api): State<Api>,
    Params(Paging { after, limit }): Params<Paging>,
) -> Result<Response, Problem> {
    let limit = page_size(limit)?;
    let after = number_cursor(after.as_deref())?.map_or(BlockHeight::GENESIS, BlockHeight::new);
    let genesis = api.reader.genesis().await?;
    let changes = api.reader.proven_changes(after, limit).await?;
    let next = changes.last().filter(|_| changes.len() >= limit as usize);
    let next = next.map(|(header, _)| header.height.to_string());
    let items = changes.iter().map(|(header, change)| ChangeView {
        announced_in: HeaderView::from(header),
        effective: header.height.saturating_add(1).get(),
        total_power: total(&change.validators),
        validators: named(&change.validators, &genesis),
    });
    // Two changes that follow each other could hide one between them that was taken back.
    let page = Page { items: items.collect(), next, complete: false };
    answer(&genesis, Keep::Ask, page, vec!["next"])
}

/// Two conflicting statements of one validator, both signed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Equivocation")]
pub(super) struct EquivocationView {
    /// Its number on this node, from 1.
    number: u64,
    /// Key of the validator that signed both.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    validator: String,
    /// Its name in the genesis, if it is there.
    name: Option<String>,
    /// The height decided about.
    height: u64,
    /// The round, from 0.
    round: u32,
    /// `proposal`, `prevote` or `precommit`.
    kind: String,
    /// The two blocks signed for; null stands for a vote for nothing.
    #[schema(min_items = 2, max_items = 2)]
    blocks: Vec<Option<String>>,
    /// Canonical bytes, both signatures among them, in hexadecimal.
    #[schema(pattern = "^[0-9a-f]*$")]
    canonical: String,
}

/// The equivocations that the node behind this site has recorded, the oldest first; both signatures of each hold.
#[utoipa::path(
    get, path = "/equivocations", tag = "validators", params(Paging),
    responses((
        status = 200, description = "A page of equivocations.",
        body = super::answer::Answer<Page<EquivocationView>>
    ))
)]
pub(super) async fn equivocations(
    State(api): State<Api>,
    Params(Paging { after, limit }): Params<Paging>,
) -> Result<Response, Problem> {
    let limit = page_size(limit)?;
    let after = number_cursor::<u64>(after.as_deref())?;
    let genesis = api.reader.genesis().await?;
    let (entries, more) = api.reader.proven_equivocations(after, limit).await?;
    let items: Vec<_> = entries
        .iter()
        .map(|(told, found)| {
            let place = found.place();
            EquivocationView {
                number: told.number,
                validator: place.validator.to_string(),
                name: genesis.validator_name(&place.validator).map(Into::into),
                height: place.height.get(),
                round: place.round,
                kind: place.kind.name().into(),
                blocks: found.blocks().map(|block| block.map(|hash| hash.to_string())).to_vec(),
                canonical: super::view::hex(&found.to_bytes()),
            }
        })
        .collect();
    let next = items.last().filter(|_| more).map(|item| item.number.to_string());
    let page = Page { items, next, complete: false };
    answer(&genesis, Keep::Ask, page, vec!["items[].number", "next"])
}
