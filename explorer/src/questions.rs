//! What clients' requests cost the node. One page asks it fifty questions and another none, and which it is shows only
//! while the page is made: so the questions are counted then and paid for afterwards, also by who did not wait for the
//! answer. Whoever owes is answered again when that is paid back.

use sealpost_http::Client;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Seconds' worth of questions that may come at once.
const BURST: f64 = 5.0;
/// Bills after which clients that owe nothing are forgotten.
const FORGET_AFTER: u32 = 1024;

tokio::task_local! {
    static BILL: Bill;
}

/// What each client has left. Cloning it copies a reference.
#[derive(Debug, Clone)]
pub(crate) struct Questions {
    per_second: Option<f64>,
    accounts: Arc<Mutex<Accounts>>,
}

#[derive(Debug, Default)]
struct Accounts {
    left: HashMap<Client, Left>,
    bills: u32,
}

/// Below zero, if the client owes.
#[derive(Debug, Clone, Copy)]
struct Left {
    questions: f64,
    since: Instant,
}

impl Left {
    fn at(self, now: Instant, per_second: f64) -> f64 {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        (self.questions + passed * per_second).min(BURST * per_second)
    }
}

/// Counts the questions of one request. They are paid for when it ends, however it ends.
struct Bill {
    questions: Questions,
    client: Client,
    asked: Cell<u32>,
}

impl Drop for Bill {
    fn drop(&mut self) {
        self.questions.charge(self.client, self.asked.get(), Instant::now());
    }
}

/// Notes a question, at the cost of the client for whom it is asked. The explorer's own are nobody's.
pub(crate) fn note() {
    // Fails if it is the explorer's own.
    let _ = BILL.try_with(|bill| bill.asked.set(bill.asked.get().saturating_add(1)));
}

impl Questions {
    /// So many in a second, five seconds' worth of them at once; without a number there is no limit.
    pub(crate) fn new(per_second: Option<u32>) -> Self {
        Self { per_second: per_second.map(f64::from), accounts: Arc::default() }
    }
    /// How many a client's requests may lead to in a second; 0 without a limit.
    pub(crate) fn per_second(&self) -> f64 {
        self.per_second.unwrap_or(0.0)
    }
    /// Whether a client owes nothing. An error is after how many seconds to come back.
    pub(crate) fn admit(&self, client: Client, now: Instant) -> Result<(), u64> {
        let Some(per_second) = self.per_second else { return Ok(()) };
        let left = self.accounts().left.get(&client).map(|left| left.at(now, per_second));
        let Some(left) = left.filter(|left| *left <= 0.0) else { return Ok(()) };
        // Rounded up: who comes back then is answered.
        let wait = Duration::try_from_secs_f64(-left / per_second).unwrap_or_default();
        Err(wait.as_secs().saturating_add(1))
    }
    /// Makes an answer at a client's cost.
    pub(crate) async fn at_cost_of<T>(&self, client: Client, answer: impl Future<Output = T>) -> T {
        let bill = Bill { questions: self.clone(), client, asked: Cell::new(0) };
        BILL.scope(bill, answer).await
    }
    fn charge(&self, client: Client, asked: u32, now: Instant) {
        let Some(per_second) = self.per_second.filter(|_| asked > 0) else { return };
        let mut accounts = self.accounts();
        accounts.bills = accounts.bills.wrapping_add(1);
        if accounts.bills.is_multiple_of(FORGET_AFTER) {
            accounts.left.retain(|_, left| left.at(now, per_second) < BURST * per_second);
            accounts.left.shrink_to_fit();
        }
        let left = accounts.left.get(&client).map_or(BURST * per_second, |left| left.at(now, per_second));
        let questions = left - f64::from(asked);
        accounts.left.insert(client, Left { questions, since: now });
    }
    /// Nothing that is done under this lock can be left half done.
    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::future::{pending, ready};

    fn clients() -> [Client; 2] {
        ["192.0.2.1", "192.0.2.2"].map(|text| Client::new(text.parse().unwrap()))
    }
    fn ask(count: u32) {
        (0..count).for_each(|_| note());
    }

    #[test]
    fn whoever_owes_waits_until_it_is_paid_back_and_others_are_not_touched() {
        let (questions, [one, other], now) = (Questions::new(Some(10)), clients(), Instant::now());
        questions.charge(one, 49, now);
        assert_eq!(questions.admit(one, now), Ok(()));
        questions.charge(one, 31, now);
        assert_eq!(questions.admit(one, now), Err(4));
        assert_eq!(questions.admit(one, now + Duration::from_secs(3)), Err(1));
        assert_eq!(questions.admit(one, now + Duration::from_secs(4)), Ok(()));
        assert_eq!(questions.admit(other, now), Ok(()));
        // What was not used in an hour is not saved up.
        questions.charge(one, 51, now + Duration::from_secs(3_600));
        assert_eq!(questions.admit(one, now + Duration::from_secs(3_600)), Err(1));
    }

    #[tokio::test]
    async fn a_request_costs_what_it_has_asked_however_it_ends() {
        let (questions, [one, other]) = (Questions::new(Some(10)), clients());
        // Nobody's.
        ask(1_000);
        questions.at_cost_of(one, async { ask(8_000) }).await;
        questions.admit(one, Instant::now()).unwrap_err();
        questions.admit(other, Instant::now()).unwrap();
        let broken_off = questions.at_cost_of(other, async {
            ask(8_000);
            pending::<()>().await;
        });
        assert_eq!(broken_off.now_or_never(), None);
        questions.admit(other, Instant::now()).unwrap_err();
        let boundless = Questions::new(None);
        boundless.at_cost_of(one, async { ask(1_000_000) }).await;
        boundless.admit(one, Instant::now()).unwrap();
        boundless.at_cost_of(one, ready(())).await;
    }

    #[test]
    fn clients_that_owe_nothing_are_forgotten() {
        let (questions, now) = (Questions::new(Some(10)), Instant::now());
        for number in 0..3 * FORGET_AFTER {
            let client = Client::new(std::net::Ipv4Addr::from(number).into());
            questions.charge(client, 10, now + Duration::from_millis(10 * u64::from(number)));
        }
        let remembered = questions.accounts().left.len();
        assert!(remembered < 2 * FORGET_AFTER as usize, "{remembered}");
    }
}
