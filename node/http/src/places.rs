//! Places that clients hold: so many for all, so many for each, and some for nobody but this machine. A place may be
//! anything that is counted: a connection, a stream, a byte of memory.

use crate::Client;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts places. Cloning it copies a reference.
#[derive(Debug, Clone)]
pub struct Places {
    bounds: Bounds,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Clone, Copy)]
struct Bounds {
    most: usize,
    most_per_client: usize,
    /// What this machine alone may take of all; if there is such a thing, it may also hold as many as it likes.
    reserve: Option<usize>,
}

#[derive(Debug, Default)]
struct Held {
    by_client: HashMap<Client, usize>,
    all: usize,
}

/// Held as long as the place, or so many of them, are taken.
#[derive(Debug)]
pub struct Place {
    places: Places,
    client: Client,
    count: usize,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The client holds as many as it may.
    ForClient,
    /// All are taken.
    ForAll,
}

impl Places {
    /// With so many places, and so many for each client, whoever it is.
    pub fn new(most: usize, most_per_client: usize) -> Self {
        Self { bounds: Bounds { most, most_per_client, reserve: None }, held: Arc::default() }
    }
    /// The same, but so many of all are kept for clients on this machine, who may also hold more than others each: so
    /// nobody from elsewhere locks out whoever runs the program.
    pub fn with_reserve(most: usize, most_per_client: usize, reserve: usize) -> Self {
        Self { bounds: Bounds { most, most_per_client, reserve: Some(reserve) }, held: Arc::default() }
    }
    /// How many are taken.
    pub fn count(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).all
    }
    /// Takes one.
    pub fn enter(&self, client: Client) -> Result<Place, Full> {
        self.take(client, 1)
    }
    /// Takes several at once, or none.
    pub fn take(&self, client: Client, count: usize) -> Result<Place, Full> {
        self.add(client, count)?;
        Ok(Place { places: self.clone(), client, count })
    }
    fn add(&self, client: Client, count: usize) -> Result<(), Full> {
        let Bounds { most, most_per_client, reserve } = self.bounds;
        let (most, most_per_client) = match reserve {
            Some(_) if client.is_here() => (most, usize::MAX),
            Some(reserve) => (most.saturating_sub(reserve), most_per_client),
            None => (most, most_per_client),
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let own = held.by_client.get(&client).copied().unwrap_or(0).saturating_add(count);
        if own > most_per_client {
            return Err(Full::ForClient);
        }
        let all = held.all.saturating_add(count);
        if all > most {
            return Err(Full::ForAll);
        }
        held.all = all;
        if own > 0 {
            held.by_client.insert(client, own);
        }
        Ok(())
    }
}

impl Place {
    /// How many it is.
    pub fn count(&self) -> usize {
        self.count
    }
    /// Takes so many more to these.
    pub fn grow(&mut self, count: usize) -> Result<(), Full> {
        self.places.add(self.client, count)?;
        self.count = self.count.saturating_add(count);
        Ok(())
    }
    /// Parts with so many of these, or with all.
    pub(crate) fn split(&mut self, count: usize) -> Self {
        let count = count.min(self.count);
        self.count = self.count.saturating_sub(count);
        Self { places: self.places.clone(), client: self.client, count }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all = held.all.saturating_sub(self.count);
        match held.by_client.get_mut(&self.client) {
            Some(count) if *count > self.count => *count = count.saturating_sub(self.count),
            _ => drop(held.by_client.remove(&self.client)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn clients<const N: usize>(texts: [&str; N]) -> [Client; N] {
        texts.map(|text| Client::new(text.parse().unwrap()))
    }

    #[test]
    fn places_are_counted_for_all_and_for_each() {
        let places = Places::new(3, 2);
        let [one, other, third] = clients(["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        let held = [one, one, other].map(|client| places.enter(client).unwrap());
        assert_eq!(places.enter(one).unwrap_err(), Full::ForClient);
        assert_eq!(places.enter(third).unwrap_err(), Full::ForAll);
        assert_eq!(places.count(), 3);
        drop(held);
        assert_eq!(places.count(), 0);
        // Nobody is remembered who holds nothing.
        assert!(places.held.lock().unwrap().by_client.is_empty());
        places.enter(third).unwrap();
    }

    #[test]
    fn several_are_taken_together_or_not_at_all() {
        let places = Places::new(10, 8);
        let [one, other] = clients(["192.0.2.1", "192.0.2.2"]);
        let mut held = places.take(one, 5).unwrap();
        assert_eq!(held.grow(4), Err(Full::ForClient));
        held.grow(3).unwrap();
        assert_eq!(places.take(other, 3).unwrap_err(), Full::ForAll);
        assert_eq!(places.count(), 8);
        let none = places.take(other, 0).unwrap();
        drop(held.split(3));
        assert_eq!((held.count(), places.count()), (5, 5));
        drop((held, none));
        assert_eq!(places.count(), 0);
        assert!(places.held.lock().unwrap().by_client.is_empty());
    }

    #[test]
    fn strangers_leave_the_reserve_to_this_machine() {
        let places = Places::with_reserve(5, 2, 2);
        let [one, other, here] = clients(["192.0.2.1", "192.0.2.2", "127.0.0.1"]);
        let _strangers = [one, one, other].map(|client| places.enter(client).unwrap());
        assert_eq!(places.enter(other).unwrap_err(), Full::ForAll);
        let _own = [here, here].map(|client| places.enter(client).unwrap());
        assert_eq!(places.enter(here).unwrap_err(), Full::ForAll);
        // And it may hold more than others each.
        let alone = Places::with_reserve(5, 2, 2);
        let _held = alone.take(here, 5).unwrap();
    }
}
