//! Places that clients hold: so many for all, and so many for each.

use super::Client;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts places. Cloning it copies a reference.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    most: usize,
    most_per_client: usize,
    held: Arc<Mutex<HashMap<Client, usize>>>,
}

/// Held as long as the place is taken.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    client: Client,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The client holds as many as it may.
    ForClient,
    /// All are taken.
    ForAll,
}

impl Places {
    /// With so many places, and so many for each client.
    pub(crate) fn new(most: usize, most_per_client: usize) -> Self {
        Self { most, most_per_client, held: Arc::default() }
    }
    /// How many are taken.
    pub(crate) fn count(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
    /// Takes one.
    pub(crate) fn enter(&self, client: Client) -> Result<Place, Full> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let own = held.get(&client).copied().unwrap_or(0);
        if own >= self.most_per_client {
            return Err(Full::ForClient);
        }
        if held.values().sum::<usize>() >= self.most {
            return Err(Full::ForAll);
        }
        held.insert(client, own.saturating_add(1));
        Ok(Place { places: self.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.client) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => drop(held.remove(&self.client)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_for_all_and_for_each() {
        let places = Places::new(3, 2);
        let [one, other, third] =
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|text| Client::new(text.parse().unwrap()));
        let held = [one, one, other].map(|client| places.enter(client).unwrap());
        assert_eq!(places.enter(one).unwrap_err(), Full::ForClient);
        assert_eq!(places.enter(third).unwrap_err(), Full::ForAll);
        assert_eq!(places.count(), 3);
        drop(held);
        assert_eq!(places.count(), 0);
        // Nobody is remembered who holds nothing.
        assert!(places.held.lock().unwrap().is_empty());
        places.enter(third).unwrap();
    }
}
