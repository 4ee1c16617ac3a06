//! What a call costs its client: a part of what it may ask for in a second, a place among the calls under way on its
//! connection, and memory while its answer is made; over a WebSocket until that is taken. (Over HTTP
//! [`receiving`](super::receiving) sees to the rest.)

use super::limits::{Caller, Meters, Way, no_room};
use super::reading::reading_for;
use jsonrpsee::MethodResponse;
use jsonrpsee::core::middleware::{Batch, BatchEntry, Notification, RpcServiceT};
use jsonrpsee::server::BatchResponseBuilder;
use jsonrpsee::types::{ErrorObjectOwned, Id, Request};
use sealpost_api::ApiError;
use sealpost_http::{Call, Place};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;

/// The longest id of a call that is said again to who is refused, in bytes.
const LONGEST_ID: usize = 256;

/// A service that lets calls through as their client may have them.
#[derive(Debug, Clone)]
pub(super) struct Measured<S> {
    pub(super) inner: S,
    pub(super) meters: Arc<Meters>,
    /// Longest answer to a batch, in bytes.
    pub(super) longest: u32,
}

/// A call, or a batch of them, that was let through.
struct Admitted {
    caller: Caller,
    answers: Place,
    _under_way: Call,
}

impl Admitted {
    /// Lets through what weighs so much; that is asked only if it matters.
    fn new(meters: &Meters, caller: Caller, weight: impl FnOnce() -> NonZeroU32) -> Result<Self, ApiError> {
        let under_way = caller.flow.begin();
        meters.count(caller.client, weight)?;
        let answers = meters.answers.take(caller.client, 0).map_err(|full| no_room(full, "answers"))?;
        Ok(Self { caller, answers, _under_way: under_way })
    }
    /// Keeps count of an answer, or a part of one.
    fn hold(&mut self, response: &MethodResponse) -> Result<(), ApiError> {
        self.answers.grow(response.as_json().get().len()).map_err(|full| no_room(full, "answers"))
    }
    /// Hands an answer on: what has been counted is so until it is taken.
    fn pass(self, response: MethodResponse) -> MethodResponse {
        let Self { caller, answers, .. } = self;
        if caller.way == Way::Socket && !response.is_notification() {
            caller.flow.owe(answers);
        }
        response
    }
}

/// Takes up no room that is counted, so it is short: a long id is not said again.
fn refused(id: Id<'static>, error: ApiError) -> MethodResponse {
    let id = match id {
        Id::Str(text) if text.len() > LONGEST_ID => Id::Null,
        id => id,
    };
    MethodResponse::error(id, ErrorObjectOwned::from(error))
}

impl<S> RpcServiceT for Measured<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse, BatchResponse = MethodResponse>
        + Send
        + Sync
        + Clone
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = S::NotificationResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (inner, meters) = (self.inner.clone(), self.meters.clone());
        async move {
            // Every request has one: the front has seen to it.
            let Some(caller) = request.extensions().get::<Caller>().cloned() else {
                return inner.call(request).await;
            };
            let id = request.id().into_owned();
            let mut admitted = match Admitted::new(&meters, caller, || weight(&request)) {
                Ok(admitted) => admitted,
                Err(error) => return refused(id, error),
            };
            let response = reading_for(admitted.caller.client, inner.call(request)).await;
            match admitted.hold(&response) {
                Ok(()) => admitted.pass(response),
                Err(error) => refused(id, error),
            }
        }
    }
    /// As the library does it, call after call; but what there is of the answer is counted as it grows.
    fn batch<'a>(&self, mut batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (inner, meters, longest) = (self.inner.clone(), self.meters.clone(), self.longest);
        async move {
            let Some(caller) = batch.extensions().get::<Caller>().cloned() else {
                return inner.batch(batch).await;
            };
            let calls = batch.iter().filter_map(|entry| match entry {
                Ok(BatchEntry::Call(call)) => Some(weight(call)),
                Ok(BatchEntry::Notification(_)) | Err(_) => None,
            });
            let weight = || calls.reduce(|all, one| all.saturating_add(one.get())).unwrap_or(NonZeroU32::MIN);
            let mut admitted = match Admitted::new(&meters, caller, weight) {
                Ok(admitted) => admitted,
                Err(error) => return refused(Id::Null, error),
            };
            let mut answers =
                BatchResponseBuilder::new_with_limit(usize::try_from(longest).unwrap_or(usize::MAX));
            let mut has_notification = false;
            for entry in batch {
                let response = match entry {
                    Ok(BatchEntry::Call(call)) => reading_for(admitted.caller.client, inner.call(call)).await,
                    Ok(BatchEntry::Notification(notification)) => {
                        inner.notification(notification).await;
                        has_notification = true;
                        continue;
                    }
                    Err(error) => {
                        let (error, id) = error.into_parts();
                        MethodResponse::error(id, error)
                    }
                };
                if let Err(error) = admitted.hold(&response) {
                    return refused(Id::Null, error);
                }
                if let Err(too_long) = answers.append(response) {
                    return too_long;
                }
            }
            // Nobody waits for an answer to notifications; an empty batch is none.
            let response = match answers.is_empty() && has_notification {
                true => {
                    admitted.caller.flow.needs_no_answer();
                    MethodResponse::notification()
                }
                false => MethodResponse::from_batch(answers.finish()),
            };
            admitted.pass(response)
        }
    }
    /// Nothing is done for one. Its connection hears that its message needs no answer.
    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = Self::NotificationResponse> + Send + 'a {
        let inner = self.inner.clone();
        async move {
            let caller = notification.extensions().get::<Caller>().cloned();
            let _under_way = caller.as_ref().map(|caller| caller.flow.begin());
            let answer = inner.notification(notification).await;
            if let Some(caller) = caller {
                caller.flow.needs_no_answer();
            }
            answer
        }
    }
}

/// The parameters of `tx_submitMany` by name, as far as they are counted.
#[derive(Deserialize)]
struct Many {
    transactions: Vec<IgnoredAny>,
}

/// What a call weighs: one, or as many transactions as it brings.
fn weight(request: &Request<'_>) -> NonZeroU32 {
    if request.method_name() != "tx_submitMany" {
        return NonZeroU32::MIN;
    }
    // Read as the method reads them, or somebody would write them so that they count for less.
    let params = request.params();
    let brought = match params.is_object() {
        true => params.parse().map(|Many { transactions }| transactions),
        false => params.sequence().next(),
    };
    let brought = brought.map_or(0, |transactions: Vec<IgnoredAny>| transactions.len());
    NonZeroU32::new(u32::try_from(brought).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    #[test]
    fn a_list_of_transactions_weighs_what_it_brings() {
        let weight = |method: &'static str, params: &str| {
            let params = RawValue::from_string(params.to_owned()).unwrap();
            weight(&Request::borrowed(method, Some(&params), Id::Number(1))).get()
        };
        assert_eq!(weight("tx_submitMany", r#"{"transactions":[{},{},{"a":[1,2]}],"wait":"final"}"#), 3);
        assert_eq!(weight("tx_submitMany", r#"{"wait":null,"transactions":[1,2]}"#), 2);
        assert_eq!(weight("tx_submitMany", "[[1,2,3,4]]"), 4);
        // The method passes over what follows.
        assert_eq!(weight("tx_submitMany", r#"[[1,2,3,4],"final",0]"#), 4);
        assert_eq!(weight("tx_submitMany", r#" [ [1,2,3,4] , "final" , {"a":[]} , 7 ] "#), 4);
        assert_eq!(weight("tx_submitMany", r#"[[1,2,3,4],"final"]"#), 4);
        // What is refused for what it is weighs like any other call.
        assert_eq!(weight("tx_submitMany", r#"{"transactions":[]}"#), 1);
        assert_eq!(weight("tx_submitMany", "[7]"), 1);
        assert_eq!(weight("tx_submit", "[[1,2,3,4]]"), 1);
    }
}
