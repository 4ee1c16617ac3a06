//! A final transaction of any kind, with what it takes to check it.

use super::Api;
use super::answer::{Keep, proven};
use super::input::{self, Named, Nothing, Params};
use super::problem::Problem;
use super::view::{TransactionView, hex};
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// A transaction and its inclusion path.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "ProvenTransaction")]
pub(super) struct ProvenView {
    /// The transaction.
    transaction: TransactionView,
    /// Canonical bytes of header and signature, in hexadecimal.
    #[schema(pattern = "^[0-9a-f]*$")]
    canonical: String,
    /// RFC 6962 inclusion path under the block's `tx_root`, from the leaf upwards.
    path: Vec<String>,
    /// Size of that tree.
    tree_size: u32,
}

/// A final transaction by its id.
#[utoipa::path(
    get, path = "/transactions/{id}", tag = "transactions",
    params(("id" = String, Path, description = "The transaction's id.", pattern = "^[0-9a-f]{64}$")),
    responses((
        status = 200, description = "The transaction. It can't change.",
        body = super::answer::Answer<ProvenView>
    ))
)]
pub(super) async fn transaction(
    State(api): State<Api>,
    named: Named,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let proven_one = api.reader.transaction(&input::transaction(&named)?).await?;
    let genesis = api.reader.genesis().await?;
    let (signed, header) = (&proven_one.transaction, &proven_one.header);
    let view = ProvenView {
        transaction: TransactionView::new(signed, header, proven_one.found.place.index, &genesis),
        canonical: hex(&signed.to_bytes()),
        path: proven_one.found.path.iter().map(ToString::to_string).collect(),
        tree_size: header.transaction_count,
    };
    proven(&genesis, Keep::Forever, view)
}
