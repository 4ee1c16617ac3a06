//! Groups: named lists of addresses in the contact book, so that one message goes to all residents of a house
//! by one word. They share one space of names with the contacts, and no two names in it look alike.

use super::{ContactError, Contacts, fold};
use sealpost_ledger::address::Address;
use std::collections::{BTreeMap, HashSet};

/// Members that a group has at most.
pub const MAX_MEMBERS: usize = 4096;
/// Groups that a book has at most.
pub const MAX_GROUPS: usize = 1024;

/// Groups as the file has them: addresses as text, in the order in which they were added.
pub(super) type Written = BTreeMap<String, Vec<String>>;

impl Contacts {
    /// Adds members to a group, made if need be, and writes the book. Who is in it already stays there once.
    /// Returns how many were added.
    pub fn add_to_group(&mut self, name: &str, members: &[Address]) -> Result<usize, ContactError> {
        let name = fold(plain(name))?;
        self.change(|book| {
            if !book.groups.contains_key(&name) {
                book.check_free(&name, None)?;
                if book.groups.len() >= MAX_GROUPS {
                    return Err(ContactError::TooManyGroups);
                }
            }
            let mut group = book.groups.get(&name).cloned().unwrap_or_default();
            let before = group.len();
            for member in members {
                if !group.contains(member) {
                    group.push(*member);
                }
            }
            if group.len() > MAX_MEMBERS {
                return Err(ContactError::GroupTooLarge { name, count: group.len() });
            }
            let added = group.len().saturating_sub(before);
            book.groups.insert(name, group);
            Ok(added)
        })
    }
    /// Takes members out of a group and writes the book. The group is there until it is forgotten, even empty.
    pub fn remove_from_group(&mut self, name: &str, members: &[Address]) -> Result<(), ContactError> {
        let name = plain(name).to_lowercase();
        self.change(|book| {
            let before = book.group(&name)?.to_vec();
            if let Some(absent) = members.iter().find(|member| !before.contains(member)) {
                return Err(ContactError::NotInGroup { name, address: absent.to_text(&book.prefix) });
            }
            let left = before.iter().filter(|member| !members.contains(member)).copied().collect();
            book.groups.insert(name, left);
            Ok(())
        })
    }
    /// Forgets a group and writes the book; its members stay contacts. Returns them.
    pub fn forget_group(&mut self, name: &str) -> Result<Vec<Address>, ContactError> {
        let name = plain(name).to_lowercase();
        self.change(|book| {
            let before = book.group(&name)?.to_vec();
            book.groups.remove(&name);
            Ok(before)
        })
    }
    /// The groups, by name.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &[Address])> {
        self.groups.iter().map(|(name, members)| (name.as_str(), members.as_slice()))
    }
    /// The members of a group.
    pub fn group(&self, name: &str) -> Result<&[Address], ContactError> {
        let name = plain(name);
        let missing = || ContactError::NoGroup { name: name.chars().take(100).collect() };
        self.groups.get(&name.to_lowercase()).map(Vec::as_slice).ok_or_else(missing)
    }
    /// The addresses that names of contacts and groups (`residents` or `@residents`) and addresses mean, each
    /// once, in the order given. One that is named twice by itself is a mistake; one that several groups
    /// contain is none.
    pub fn expand(&self, texts: &[String]) -> Result<Vec<Address>, ContactError> {
        let (mut all, mut named) = (Vec::new(), Vec::new());
        for text in texts {
            let is_group = text.starts_with('@') || self.groups.contains_key(&text.to_lowercase());
            if is_group {
                let members = self.group(text)?;
                if members.is_empty() {
                    return Err(ContactError::EmptyGroup { name: plain(text).to_lowercase() });
                }
                all.extend_from_slice(members);
                continue;
            }
            let address = self.resolve(text)?;
            if named.contains(&address) {
                return Err(ContactError::Repeated { name: text.clone() });
            }
            named.push(address);
            all.push(address);
        }
        let mut seen = HashSet::new();
        all.retain(|address: &Address| seen.insert(*address));
        Ok(all)
    }
    /// The groups that an address is in.
    pub(super) fn groups_of(&self, address: &Address) -> Vec<String> {
        let with = self.groups.iter().filter(|(_, members)| members.contains(address));
        with.map(|(name, _)| name.clone()).collect()
    }
    /// Whether a new name is neither taken nor easily taken for one that is there; `instead_of` is about to go.
    pub(super) fn check_free(&self, name: &str, instead_of: Option<&str>) -> Result<(), ContactError> {
        if self.groups.contains_key(name) {
            return Err(ContactError::TakenByGroup { name: name.into() });
        }
        if let Some(address) = self.entries.get(name) {
            return Err(ContactError::Taken { name: name.into(), address: address.to_text(&self.prefix) });
        }
        let looks = skeleton(name);
        let alike = |known: &&String| Some(known.as_str()) != instead_of && skeleton(known) == looks;
        match self.entries.keys().chain(self.groups.keys()).find(alike) {
            Some(known) => Err(ContactError::LooksLike { name: name.into(), known: known.clone() }),
            None => Ok(()),
        }
    }
    /// Reads the groups of a file whose contacts are read already. The reason names the group.
    pub(super) fn read_groups(&mut self, written: Written) -> Result<(), String> {
        for (name, members) in written {
            let folded = fold(&name).map_err(|error| error.to_string())?;
            let address = |text: &String| {
                Address::parse(text, &self.prefix).map_err(|error| format!("group {name}: {error}"))
            };
            let members = members.iter().map(address).collect::<Result<Vec<_>, _>>()?;
            if self.entries.contains_key(&folded) {
                return Err(format!("group {name}: there is a contact of that name"));
            }
            if self.groups.insert(folded, members).is_some() {
                return Err(format!("group {name}: it stands there twice"));
            }
        }
        Ok(())
    }
    pub(super) fn written_groups(&self) -> Written {
        let text = |members: &Vec<Address>| members.iter().map(|a| a.to_text(&self.prefix)).collect();
        self.groups.iter().map(|(name, members)| (name.clone(), text(members))).collect()
    }
}

/// A group's name without the sign that says it is one.
fn plain(name: &str) -> &str {
    name.strip_prefix('@').unwrap_or(name)
}

/// What of a name the hurried eye sees. Only plain letters and digits come here, so this is all of it.
fn skeleton(name: &str) -> String {
    let seen = |c| match c {
        '0' => 'o',
        '1' => 'l',
        '.' | '_' => '-',
        c => c,
    };
    name.replace("rn", "m").replace("vv", "w").chars().map(seen).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sealpost_ledger::address::AddressPrefix;
    use sealpost_ledger::signature::SigningKey;
    use std::path::{Path, PathBuf};

    fn address(seed: u8) -> Address {
        Address::new(SigningKey::from_bytes(&[seed; 32]).unwrap().public_key())
    }

    fn load(path: &Path) -> Contacts {
        Contacts::load(path, &AddressPrefix::new("sealdev").unwrap()).unwrap()
    }

    /// Bob and Carol, and the group that they are.
    fn book() -> (tempfile::TempDir, PathBuf, Contacts) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("contacts.json");
        let mut contacts = load(&path);
        contacts.add("bob", address(2)).unwrap();
        contacts.add("carol", address(3)).unwrap();
        assert_eq!(contacts.add_to_group("@Residents", &[address(3), address(2), address(3)]), Ok(2));
        (dir, path, contacts)
    }

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_group_comes_back_from_the_file_and_is_expanded_in_its_order() {
        let (_dir, path, _) = book();
        let contacts = load(&path);
        let all = vec![address(3), address(2)];
        for name in ["residents", "@residents", "RESIDENTS"] {
            assert_eq!(contacts.expand(&texts(&[name])), Ok(all.clone()), "{name}");
        }
        assert_eq!(contacts.expand(&texts(&["bob", "@residents"])), Ok(vec![address(2), address(3)]));
        assert!(matches!(contacts.expand(&texts(&["@bob"])), Err(ContactError::NoGroup { .. })));
        assert!(matches!(contacts.resolve("residents"), Err(ContactError::IsGroup { .. })));
    }

    #[test]
    fn whoever_is_named_twice_is_a_mistake_and_whoever_is_in_two_groups_is_none() {
        let (_dir, _, mut contacts) = book();
        contacts.add_to_group("board", &[address(2)]).unwrap();
        assert_eq!(contacts.expand(&texts(&["board", "residents"])), Ok(vec![address(2), address(3)]));
        let twice = contacts.expand(&texts(&["bob", "Bob"])).unwrap_err();
        assert_eq!(twice.to_string(), "Bob is named twice");
        contacts.remove_from_group("board", &[address(2)]).unwrap();
        assert!(matches!(contacts.expand(&texts(&["board"])), Err(ContactError::EmptyGroup { .. })));
    }

    #[test]
    fn contacts_and_groups_share_their_names_and_none_looks_like_another() {
        let (_dir, _, mut contacts) = book();
        assert!(matches!(contacts.add("residents", address(4)), Err(ContactError::TakenByGroup { .. })));
        assert!(matches!(contacts.add_to_group("bob", &[address(4)]), Err(ContactError::Taken { .. })));
        for (known, name) in [("bob", "b0b"), ("carol", "caro1")] {
            assert!(contacts.resolve(known).is_ok());
            let error = contacts.add(name, address(4)).unwrap_err();
            assert!(matches!(error, ContactError::LooksLike { .. }), "{name}: {error}");
            assert!(
                matches!(contacts.add_to_group(name, &[]), Err(ContactError::LooksLike { .. })),
                "{name}"
            );
        }
        assert!(matches!(contacts.rename("bob", "caro1"), Err(ContactError::LooksLike { .. })));
        contacts.add_to_group("house-7", &[]).unwrap();
        assert!(matches!(contacts.add("house.7", address(4)), Err(ContactError::LooksLike { .. })));
        // The old name goes, so the new one may look like it.
        assert_eq!(contacts.rename("bob", "b0b"), Ok(address(2)));
        for name in ["", "резиденты", "a b", "@@x", "-x"] {
            assert!(matches!(contacts.add_to_group(name, &[]), Err(ContactError::Name { .. })), "{name}");
        }
    }

    #[test]
    fn a_contact_in_a_group_is_not_removed_unseen() {
        let (_dir, path, mut contacts) = book();
        let error = contacts.remove("bob").unwrap_err();
        assert!(error.to_string().contains("residents"), "{error}");
        contacts.remove_from_group("residents", &[address(2)]).unwrap();
        assert!(matches!(
            contacts.remove_from_group("residents", &[address(2)]),
            Err(ContactError::NotInGroup { .. })
        ));
        assert_eq!(contacts.remove("bob"), Ok(address(2)));
        assert_eq!(contacts.forget_group("Residents"), Ok(vec![address(3)]));
        assert!(matches!(contacts.forget_group("residents"), Err(ContactError::NoGroup { .. })));
        assert_eq!(load(&path).groups().count(), 0);
    }

    #[test]
    fn a_book_from_before_there_were_groups_is_read_and_written_as_it_was() {
        let (_dir, path, mut contacts) = book();
        contacts.forget_group("residents").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("groups"), "{text}");
        assert_eq!(load(&path).list().count(), 2);
    }

    #[test]
    fn a_group_has_an_end() {
        let (_dir, _, mut contacts) = book();
        let key = |n: usize| {
            let mut seed = [1; 32];
            seed.iter_mut().zip(n.to_le_bytes()).for_each(|(to, from)| *to ^= from);
            Address::new(SigningKey::from_bytes(&seed).unwrap().public_key())
        };
        let many: Vec<_> = (0..MAX_MEMBERS + 1).map(key).collect();
        let error = contacts.add_to_group("town", &many).unwrap_err();
        assert!(error.to_string().contains("4097") && error.to_string().contains("4096"), "{error}");
        assert!(contacts.group("town").is_err());
    }
}
