//! The contact book: names that this person gave to addresses and groups of them. Nobody else sees or decides them.
//!
//! Two programs may use one book at a time: every change is made under a lock and on what the file holds then.

mod groups;

pub use groups::{MAX_GROUPS, MAX_MEMBERS};

use sealpost_ledger::address::{Address, AddressError, AddressPrefix};
use sealpost_terminal::{Failure, lock_file, read_secret_file, write_secret_file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The contacts of one network.
#[derive(Debug, Clone)]
pub struct Contacts {
    path: PathBuf,
    prefix: AddressPrefix,
    entries: BTreeMap<String, Address>,
    groups: BTreeMap<String, Vec<Address>>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    contacts: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    groups: groups::Written,
}

/// Why the contact book can't do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum ContactError {
    #[error("{0}")]
    File(Failure),
    #[error("contacts {}: {reason}", path.display())]
    Malformed { path: PathBuf, reason: String },
    #[error(
        "name {name:?}: 1 to 64 lower-case letters, digits, '.', '-' or '_', the first a letter or digit"
    )]
    Name { name: String },
    #[error(
        "there is a contact {name} already, with address {address}; remove it first, or choose another name"
    )]
    Taken { name: String, address: String },
    #[error("{address} is already the contact {name}")]
    Known { name: String, address: String },
    #[error("there is no contact {name:?}, and it is not an address either: {reason}")]
    Unknown { name: String, reason: AddressError, near: Vec<String> },
    #[error("there is no contact {name:?}")]
    Missing { name: String },
    #[error("there is a group {name} already; contacts and groups share their names, choose another one")]
    TakenByGroup { name: String },
    #[error(
        "{name} is easily taken for {known}, which is there already; choose a name that can be told apart"
    )]
    LooksLike { name: String, known: String },
    #[error("there is no group {name:?}")]
    NoGroup { name: String },
    #[error("{name} is a group; one contact or address is expected here")]
    IsGroup { name: String },
    #[error("{name} is in the groups {}; take it out there first", groups.join(", "))]
    InGroups { name: String, groups: Vec<String> },
    #[error("{address} is not in the group {name}")]
    NotInGroup { name: String, address: String },
    #[error("the group {name} is empty")]
    EmptyGroup { name: String },
    #[error("the group {name} would have {count} members, the limit is {MAX_MEMBERS}")]
    GroupTooLarge { name: String, count: usize },
    #[error("there are {MAX_GROUPS} groups already, which is the limit")]
    TooManyGroups,
    #[error("{name} is named twice")]
    Repeated { name: String },
}

impl Contacts {
    /// Reads the book; one that does not exist yet is empty.
    pub fn load(path: &Path, prefix: &AddressPrefix) -> Result<Self, ContactError> {
        let malformed = |reason: String| ContactError::Malformed { path: path.into(), reason };
        let file = if path.exists() {
            let bytes = read_secret_file(path).map_err(ContactError::File)?;
            serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?
        } else {
            File::default()
        };
        let entries = file.contacts.into_iter().map(|(name, text)| {
            let address =
                Address::parse(&text, prefix).map_err(|error| malformed(format!("{name}: {error}")))?;
            Ok((fold(&name)?, address))
        });
        let entries = entries.collect::<Result<_, _>>()?;
        let mut book = Self { path: path.into(), prefix: prefix.clone(), entries, groups: BTreeMap::new() };
        book.read_groups(file.groups).map_err(malformed)?;
        Ok(book)
    }
    /// Adds a contact and writes the book. Names are unique whatever their case, and so are addresses, so
    /// that nobody appears under a second name.
    pub fn add(&mut self, name: &str, address: Address) -> Result<(), ContactError> {
        let name = fold(name)?;
        self.change(|book| {
            book.check_free(&name, None)?;
            if let Some(known) = book.name_of(&address) {
                let address = address.to_text(&book.prefix);
                return Err(ContactError::Known { name: known.into(), address });
            }
            book.entries.insert(name, address);
            Ok(())
        })
    }
    /// Forgets a contact and writes the book. Returns the address it had.
    pub fn remove(&mut self, name: &str) -> Result<Address, ContactError> {
        let name = name.to_lowercase();
        self.change(|book| {
            let address = book.address_of(&name)?;
            let groups = book.groups_of(&address);
            if !groups.is_empty() {
                return Err(ContactError::InGroups { name, groups });
            }
            book.entries.remove(&name);
            Ok(address)
        })
    }
    /// Gives a contact another name and writes the book. Returns its address.
    pub fn rename(&mut self, name: &str, new: &str) -> Result<Address, ContactError> {
        let (name, new) = (name.to_lowercase(), fold(new)?);
        self.change(|book| {
            let address = book.address_of(&name)?;
            book.check_free(&new, Some(&name))?;
            book.entries.remove(&name);
            book.entries.insert(new, address);
            Ok(address)
        })
    }
    /// The contacts, by name.
    pub fn list(&self) -> impl Iterator<Item = (&str, &Address)> {
        self.entries.iter().map(|(name, address)| (name.as_str(), address))
    }
    /// The name of an address.
    pub fn name_of(&self, address: &Address) -> Option<&str> {
        self.entries.iter().find(|(_, known)| *known == address).map(|(name, _)| name.as_str())
    }
    /// The address that a name or an address means.
    pub fn resolve(&self, text: &str) -> Result<Address, ContactError> {
        if let Some(address) = self.entries.get(&text.to_lowercase()) {
            return Ok(*address);
        }
        if text.starts_with('@') || self.groups.contains_key(&text.to_lowercase()) {
            return Err(ContactError::IsGroup { name: text.chars().take(100).collect() });
        }
        Address::parse(text, &self.prefix).map_err(|reason| {
            let name: String = text.chars().take(100).collect();
            ContactError::Unknown { near: self.nearest(&name), name, reason }
        })
    }
    /// The names that resemble one, the nearest first: for somebody who mistyped.
    pub fn nearest(&self, name: &str) -> Vec<String> {
        let name = name.to_lowercase();
        let (most, long) = (name.chars().count().div_ceil(3), name.chars().count() > 1);
        let away = self.entries.keys().chain(self.groups.keys()).map(|known| {
            match long && known.starts_with(&name) {
                true => (0, known),
                false => (strsim::osa_distance(&name, known), known),
            }
        });
        let mut near: Vec<_> = away.filter(|(away, _)| *away <= most.min(3)).collect();
        near.sort_unstable();
        near.into_iter().take(3).map(|(_, known)| known.clone()).collect()
    }
    /// Changes the book as the file has it now, and writes it. A change that fails leaves file and book alone.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, ContactError>,
    ) -> Result<T, ContactError> {
        let _lock = lock_file(&self.path.with_extension("lock")).map_err(ContactError::File)?;
        let mut book = Self::load(&self.path, &self.prefix)?;
        let changed = change(&mut book)?;
        book.save()?;
        *self = book;
        Ok(changed)
    }
    /// The address of a contact by its name in small letters.
    fn address_of(&self, name: &str) -> Result<Address, ContactError> {
        let missing = || ContactError::Missing { name: name.chars().take(100).collect() };
        self.entries.get(name).copied().ok_or_else(missing)
    }
    fn save(&self) -> Result<(), ContactError> {
        let contacts = self
            .entries
            .iter()
            .map(|(name, address)| (name.clone(), address.to_text(&self.prefix)))
            .collect();
        let json = serde_json::to_vec_pretty(&File { contacts, groups: self.written_groups() });
        let mut json = json.map_err(|error| ContactError::Malformed {
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        json.push(b'\n');
        write_secret_file(&self.path, &json).map_err(ContactError::File)
    }
}

/// The one spelling of a name. Only these characters, so that no two names look alike.
fn fold(name: &str) -> Result<String, ContactError> {
    let folded = name.to_lowercase();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    let starts = folded.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && folded.len() <= 64 && folded.chars().all(allowed) {
        return Ok(folded);
    }
    Err(ContactError::Name { name: name.chars().take(100).collect() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sealpost_ledger::signature::SigningKey;

    fn address(seed: u8) -> Address {
        Address::new(SigningKey::from_bytes(&[seed; 32]).unwrap().public_key())
    }

    #[test]
    fn contacts_come_back_whatever_the_case() {
        let (dir, prefix) = (tempfile::tempdir().unwrap(), AddressPrefix::new("sealdev").unwrap());
        let path = dir.path().join("contacts.json");
        Contacts::load(&path, &prefix).unwrap().add("Bob", address(2)).unwrap();
        let mut contacts = Contacts::load(&path, &prefix).unwrap();
        assert_eq!(contacts.resolve("BOB"), Ok(address(2)));
        assert_eq!(contacts.resolve(&address(3).to_text(&prefix)), Ok(address(3)));
        assert!(matches!(contacts.add("bOB", address(3)), Err(ContactError::Taken { .. })));
        assert!(matches!(contacts.add("robert", address(2)), Err(ContactError::Known { .. })));
        assert!(matches!(contacts.resolve("carol"), Err(ContactError::Unknown { .. })));
    }

    #[test]
    fn twenty_programs_at_once_lose_no_contact_of_one_another() {
        let (dir, prefix) = (tempfile::tempdir().unwrap(), AddressPrefix::new("sealdev").unwrap());
        let path = dir.path().join("contacts.json");
        // Each has read the book before any of them changes it.
        let books: Vec<_> = (1..=20).map(|seed| (seed, Contacts::load(&path, &prefix).unwrap())).collect();
        let start = std::sync::Barrier::new(books.len());
        std::thread::scope(|scope| {
            for (seed, mut book) in books {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    book.add(&format!("contact-{seed}"), address(seed)).unwrap();
                    book.add_to_group("residents", &[address(seed)]).unwrap();
                });
            }
        });
        let book = Contacts::load(&path, &prefix).unwrap();
        assert_eq!((book.list().count(), book.group("residents").unwrap().len()), (20, 20));
    }

    #[test]
    fn a_change_that_is_refused_leaves_the_book_as_it_was() {
        let (dir, prefix) = (tempfile::tempdir().unwrap(), AddressPrefix::new("sealdev").unwrap());
        let path = dir.path().join("contacts.json");
        let mut late = Contacts::load(&path, &prefix).unwrap();
        Contacts::load(&path, &prefix).unwrap().add("bob", address(2)).unwrap();
        assert!(matches!(late.add("bob", address(3)), Err(ContactError::Taken { .. })));
        assert!(matches!(late.add("robert", address(2)), Err(ContactError::Known { .. })));
        let again = Contacts::load(&path, &prefix).unwrap();
        assert_eq!(again.list().collect::<Vec<_>>(), [("bob", &address(2))]);
    }

    #[test]
    fn a_mistyped_name_is_answered_with_the_nearest_ones() {
        let (dir, prefix) = (tempfile::tempdir().unwrap(), AddressPrefix::new("sealdev").unwrap());
        let mut contacts = Contacts::load(&dir.path().join("contacts.json"), &prefix).unwrap();
        for (seed, name) in [(2, "bob"), (3, "bobby-tables"), (4, "caroline"), (5, "zoe")] {
            contacts.add(name, address(seed)).unwrap();
        }
        assert_eq!(contacts.nearest("bbo"), ["bob"]);
        assert_eq!(contacts.nearest("Carolin"), ["caroline"]);
        assert_eq!(contacts.nearest("carloine"), ["caroline"]);
        assert_eq!(contacts.nearest("bobby"), ["bobby-tables", "bob"]);
        assert!(contacts.nearest("dave").is_empty() && contacts.nearest("").is_empty());
        assert!(
            matches!(contacts.resolve("bpb"), Err(ContactError::Unknown { near, .. }) if near == ["bob"])
        );
    }

    #[test]
    fn a_contact_is_renamed_and_removed_in_the_file_too() {
        let (dir, prefix) = (tempfile::tempdir().unwrap(), AddressPrefix::new("sealdev").unwrap());
        let path = dir.path().join("contacts.json");
        let mut contacts = Contacts::load(&path, &prefix).unwrap();
        contacts.add("bob", address(2)).unwrap();
        contacts.add("carol", address(3)).unwrap();
        assert!(matches!(contacts.rename("bob", "Carol"), Err(ContactError::Taken { .. })));
        assert!(matches!(contacts.rename("dave", "erin"), Err(ContactError::Missing { .. })));
        assert_eq!(contacts.rename("Bob", "Robert"), Ok(address(2)));
        assert_eq!(contacts.remove("CAROL"), Ok(address(3)));
        assert!(matches!(contacts.remove("carol"), Err(ContactError::Missing { .. })));
        let again = Contacts::load(&path, &prefix).unwrap();
        assert_eq!(again.list().collect::<Vec<_>>(), [("robert", &address(2))]);
    }

    #[test]
    fn names_that_could_deceive_are_refused() {
        let (dir, prefix) = (tempfile::tempdir().unwrap(), AddressPrefix::new("sealdev").unwrap());
        let mut contacts = Contacts::load(&dir.path().join("contacts.json"), &prefix).unwrap();
        for name in ["", "bоb", "a b", "-rf", "../x", "a/b"] {
            assert!(matches!(contacts.add(name, address(2)), Err(ContactError::Name { .. })), "{name}");
        }
    }
}
