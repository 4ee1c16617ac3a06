//! What stands behind the question mark of an address. What can't be read is answered with a page, like
//! everything else.

use super::PageError;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// The parameters of a page's address.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(error) => {
                tracing::debug!(%error, "parameters that can't be read");
                Err(PageError::Malformed("What stands behind the question mark can't be read.".into()))
            }
        }
    }
}
