//! Errors of the RPC. The number tells the kind, the string code tells exactly what, and is the same in
//! RPC, REST and commands (`docs/errors.md`).

use jsonrpsee::core::ClientError;
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::types::error::INVALID_PARAMS_CODE;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The kind of an error; its number is the JSON-RPC error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub enum Category {
    /// 1000: what was asked is malformed.
    Input,
    /// 2000: there is no such thing, or not any more.
    NotFound,
    /// 3000: the ledger's rules refuse it.
    Refused,
    /// 4000: a limit of this node is reached; later it may do.
    Busy,
    /// 5000: the node failed.
    Internal,
}

impl Category {
    /// The JSON-RPC error code.
    pub const fn number(self) -> i32 {
        match self {
            Category::Input => 1000,
            Category::NotFound => 2000,
            Category::Refused => 3000,
            Category::Busy => 4000,
            Category::Internal => 5000,
        }
    }
    /// The kind with that number.
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            // Parameters that the library could not read; the node adds our code.
            1000 | INVALID_PARAMS_CODE => Some(Category::Input),
            2000 => Some(Category::NotFound),
            3000 => Some(Category::Refused),
            4000 => Some(Category::Busy),
            5000 => Some(Category::Internal),
            _ => None,
        }
    }
}

impl From<Category> for i32 {
    fn from(category: Category) -> Self {
        category.number()
    }
}

impl TryFrom<i32> for Category {
    type Error = String;
    fn try_from(number: i32) -> Result<Self, String> {
        Self::from_number(number).ok_or_else(|| format!("{number} is the number of no kind of error"))
    }
}

/// An error as the RPC tells it.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct ApiError {
    /// The kind.
    pub category: Category,
    /// Stable code, such as `tx.postage_too_low`.
    pub code: String,
    /// What happened, for people.
    pub message: String,
    /// The way out, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Data {
    code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl ApiError {
    /// Makes an error.
    pub fn new(category: Category, code: impl Into<String>, message: impl ToString) -> Self {
        Self { category, code: code.into(), message: message.to_string(), help: None }
    }
    /// Adds the way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    /// The node's error in what a client call failed with; `None` if the call failed otherwise.
    pub fn from_client(error: &ClientError) -> Option<Self> {
        let ClientError::Call(object) = error else { return None };
        let category = Category::from_number(object.code())?;
        let data: Data = serde_json::from_str(object.data()?.get()).ok()?;
        Some(Self { category, code: data.code, message: object.message().to_owned(), help: data.help })
    }
}

impl From<ApiError> for ErrorObjectOwned {
    fn from(error: ApiError) -> Self {
        let data = Data { code: error.code, help: error.help };
        ErrorObjectOwned::owned(error.category.number(), error.message, Some(data))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_wire() {
        let error = ApiError::new(Category::Refused, "tx.expired", "expired at 7").help("sign it again");
        let wire = ClientError::Call(error.clone().into());
        assert_eq!(ApiError::from_client(&wire).unwrap(), error);
    }
}
