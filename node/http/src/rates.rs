//! How much a client may ask for in a second.

use crate::Client;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

/// Requests after which clients that were not seen for long are forgotten.
const FORGET_AFTER: u32 = 1024;
/// Seconds' worth that may come at once: a page and what belongs to it.
const BURST: NonZeroU32 = match NonZeroU32::new(5) {
    Some(burst) => burst,
    None => NonZeroU32::MIN,
};

/// A bucket for each client.
#[derive(Debug)]
pub struct Rates {
    rate: Option<NonZeroU32>,
    buckets: Option<DefaultKeyedRateLimiter<Client>>,
    counted: AtomicU32,
}

impl Rates {
    /// So much in a second, five seconds' worth of it at once; without a rate there is no limit.
    pub fn new(rate: Option<NonZeroU32>) -> Self {
        let quota = rate.map(|rate| Quota::per_second(rate).allow_burst(rate.saturating_mul(BURST)));
        Self { rate, buckets: quota.map(RateLimiter::keyed), counted: AtomicU32::new(0) }
    }
    /// What a client may ask for in a second; 0 without a limit.
    pub fn per_second(&self) -> u32 {
        self.rate.map_or(0, NonZeroU32::get)
    }
    /// Takes from a client's bucket; what weighs more than the bucket holds takes all of it. An error is after how many
    /// seconds to come back.
    pub fn take(&self, client: Client, weight: NonZeroU32) -> Result<(), u64> {
        let (Some(buckets), Some(rate)) = (&self.buckets, self.rate) else { return Ok(()) };
        if self.counted.fetch_add(1, Ordering::Relaxed) % FORGET_AFTER == FORGET_AFTER - 1 {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
        let weight = weight.min(rate.saturating_mul(BURST));
        // No weight is above what a bucket holds.
        buckets.check_key_n(&client, weight).unwrap_or(Ok(())).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            // Rounded up: who comes back then is answered.
            wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_others_are_not_touched() {
        let rates = Rates::new(NonZeroU32::new(2));
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| Client::new(text.parse().unwrap()));
        let once = NonZeroU32::MIN;
        let refused = (0..100).find_map(|_| rates.take(one, once).err()).unwrap();
        assert_eq!(refused, 1);
        rates.take(other, once).unwrap();
        let boundless = Rates::new(None);
        assert!((0..1000).all(|_| boundless.take(one, once).is_ok()));
    }

    #[test]
    fn what_weighs_more_than_a_bucket_holds_takes_all_of_it() {
        let rates = Rates::new(NonZeroU32::new(1));
        let one = Client::new("192.0.2.1".parse().unwrap());
        rates.take(one, NonZeroU32::MAX).unwrap();
        rates.take(one, NonZeroU32::MIN).unwrap_err();
    }
}
