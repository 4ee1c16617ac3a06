//! Backups of a whole wallet: the words, the secrets of its key bundles, contacts, the network, and every file in
//! the wallet's folder, in one encrypted file. A backup is read back before it counts as made, and is checked to
//! its last byte before anything of it is restored.

use crate::contacts::ContactError;
use crate::drafts::mark_restored;
use crate::keystore::backup::{BackupKey, BackupReader, BackupWriter};
use crate::keystore::{Keystore, Secrets, StreamError};
use crate::mnemonic::Phrase;
use crate::profile::Profile;
use crate::wallet::{Wallet, WalletError};
use sealpost_ledger::address::Address;
use sealpost_ledger::genesis::Genesis;
use sealpost_terminal::{Failure, create_private_folder, file_exists, file_failure, rfc3339};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use zeroize::Zeroizing;

/// Entries that are read into memory are no longer.
const MAX_SMALL: u64 = 64 << 20;
/// Beside the wallet's own files.
const MANIFEST: &str = "manifest";
const GENESIS: &str = "genesis";
const SECRETS: &str = "secrets";
const CONTACTS: &str = "contacts";
/// Only where there are any.
const GROUPS: &str = "groups";
const NODE: &str = "node";
/// What the wallet's own files begin with.
const WALLET: &str = "wallet/";
/// Not copied: the first stands among the secrets, the others mean nothing elsewhere.
const LEFT_OUT: &[&str] = &["keystore.json", "keystore.lock", "scan.lock", "outbox.lock", "answers.lock"];

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupSummary {
    /// Name of the wallet where it was made.
    pub wallet: String,
    /// Its network.
    pub network: String,
    /// Its address.
    pub address: String,
    /// When the backup was made, by the clock of that machine.
    pub made: String,
    /// Whether it keeps superseded keys.
    pub archival: bool,
    /// Sequence numbers of the key bundles whose secrets are in it.
    pub bundles: Vec<u64>,
    /// Contacts in it.
    pub contacts: usize,
    /// Groups in it.
    pub groups: usize,
    /// Transactions in the outbox.
    pub outbox: usize,
    /// Files of the wallet besides its keystore.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What restoring did.
#[derive(Debug)]
pub struct Restored {
    /// The wallet.
    pub wallet: Wallet,
    /// Contacts that were added.
    pub contacts_added: usize,
    /// Contacts that were not, because that name or address is known here already.
    pub contacts_kept: usize,
    /// Groups that were added.
    pub groups_added: usize,
    /// Groups that were not, because something is called like that here already, or there is no room for more.
    pub groups_kept: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    wallet: String,
    address: String,
    created: String,
    made: String,
}

/// Why a backup can't be made or used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum BackupError {
    #[error("backup {}: {source}", path.display())]
    Stream { path: PathBuf, source: StreamError },
    #[error("backup {}: {entry}: {reason}", path.display())]
    Entry { path: PathBuf, entry: String, reason: String },
    #[error("{0}")]
    File(Failure),
}

/// A backup that was checked to its end.
pub struct Backup {
    path: PathBuf,
    key: BackupKey,
    manifest: Manifest,
    genesis: Arc<Genesis>,
    secrets: Secrets,
    contacts: BTreeMap<String, Address>,
    groups: BTreeMap<String, Vec<Address>>,
    nodes: Vec<String>,
    summary: BackupSummary,
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Backup({})", self.path.display())
    }
}

impl Wallet {
    /// Writes a backup to a new file that only its owner may read, and reads it back.
    pub fn back_up(&self, path: &Path, passphrase: &str) -> Result<BackupSummary, WalletError> {
        if path.exists() {
            return Err(BackupError::File(file_exists(path)).into());
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let io = |error| BackupError::File(file_failure("write", path, &error));
        let mut file = tempfile::Builder::new().prefix(".sealpost-").tempfile_in(folder).map_err(io)?;
        self.write_backup(file.as_file_mut(), path, passphrase)?;
        file.as_file().sync_all().map_err(io)?;
        let summary = Backup::open(file.path(), passphrase)?.summary;
        file.persist_noclobber(path).map_err(|error| io(error.error))?;
        sealpost_terminal::sync_folder(folder).map_err(io)?;
        Ok(summary)
    }

    fn write_backup(&self, output: &mut File, path: &Path, passphrase: &str) -> Result<(), WalletError> {
        let stream = |source| BackupError::Stream { path: path.into(), source };
        let profile = self.profile();
        let manifest = Manifest {
            wallet: self.name().into(),
            address: self.address_text(),
            created: self.keystore().created().into(),
            made: rfc3339(super::wallet::now_ms()),
        };
        let book = profile.contacts()?;
        let prefix = self.genesis().prefix();
        let contacts: BTreeMap<_, _> =
            book.list().map(|(name, address)| (name, address.to_text(prefix))).collect();
        let texts = |members: &[Address]| members.iter().map(|one| one.to_text(prefix)).collect::<Vec<_>>();
        let groups: BTreeMap<_, _> = book.groups().map(|(name, members)| (name, texts(members))).collect();
        // Not those of when the wallet was opened: the newest may be another program's.
        let secrets = self.keystore().newest_secrets()?.to_json();
        let json = |entry: &str, json: serde_json::Result<Vec<u8>>| {
            json.map_err(|error| malformed(path, entry, error.to_string()))
        };
        let mut entries = vec![
            (MANIFEST, Zeroizing::new(json(MANIFEST, serde_json::to_vec(&manifest))?)),
            (GENESIS, Zeroizing::new(self.genesis().to_json().into_bytes())),
            (SECRETS, secrets.map_err(|error| malformed(path, SECRETS, error.to_string()))?),
            (CONTACTS, Zeroizing::new(json(CONTACTS, serde_json::to_vec(&contacts))?)),
        ];
        if !groups.is_empty() {
            entries.push((GROUPS, Zeroizing::new(json(GROUPS, serde_json::to_vec(&groups))?)));
        }
        let nodes = profile.nodes();
        if !nodes.is_empty() {
            entries.push((NODE, Zeroizing::new(nodes.join("\n").into_bytes())));
        }
        let mut writer = BackupWriter::new(io::BufWriter::new(output), passphrase).map_err(stream)?;
        for (name, content) in &entries {
            writer.entry(name, content.len() as u64, &mut content.as_slice()).map_err(stream)?;
        }
        let folder = profile.wallet_folder(self.name())?;
        for (name, path) in files_of(&folder)? {
            let failed = |error| BackupError::File(file_failure("read", &path, &error));
            let mut file = File::open(&path).map_err(failed)?;
            let length = file.metadata().map_err(failed)?.len();
            writer.entry(&format!("{WALLET}{name}"), length, &mut file).map_err(stream)?;
        }
        writer.finish().map_err(stream)?.flush().map_err(|error| stream(error.into()))?;
        Ok(())
    }
}

impl Backup {
    /// Opens a backup and checks all of it. Nothing is written.
    pub fn open(path: &Path, passphrase: &str) -> Result<Self, WalletError> {
        let stream = |source| BackupError::Stream { path: path.into(), source };
        let key = BackupReader::key(input(path)?, passphrase).map_err(stream)?;
        let mut reader = BackupReader::new(input(path)?, &key).map_err(stream)?;
        let mut small: BTreeMap<String, Zeroizing<Vec<u8>>> = BTreeMap::new();
        let (mut files, mut outbox, mut total) = (0_usize, 0_usize, 0_u64);
        while let Some((name, bytes)) = reader.next_entry().map_err(stream)? {
            if let Some(file) = name.strip_prefix(WALLET) {
                safe_path(file).ok_or_else(|| malformed(path, &name, "not a name of a file".into()))?;
                reader.content(bytes, &mut io::sink()).map_err(stream)?;
                files = files.saturating_add(1);
                outbox = outbox.saturating_add(usize::from(file.starts_with("outbox/")));
                total = total.saturating_add(bytes);
                continue;
            }
            let known = [MANIFEST, GENESIS, SECRETS, CONTACTS, GROUPS, NODE].contains(&name.as_str());
            if !known || bytes > MAX_SMALL || small.contains_key(&name) {
                let reason = "not known to this version, too long, or there twice".into();
                return Err(malformed(path, &name, reason).into());
            }
            let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(bytes).unwrap_or_default()));
            reader.content(bytes, &mut *content).map_err(stream)?;
            small.insert(name, content);
        }
        let part = |name: &str| small.get(name).ok_or_else(|| malformed(path, name, "it is missing".into()));
        let manifest: Manifest = parse(path, MANIFEST, part(MANIFEST)?)?;
        let genesis = Genesis::parse(part(GENESIS)?);
        let genesis = Arc::new(genesis.map_err(|error| malformed(path, GENESIS, error.to_string()))?);
        let secrets: Secrets = parse(path, SECRETS, part(SECRETS)?)?;
        let identity = Phrase::parse(&secrets.mnemonic)?.identity(genesis.prefix())?;
        if Address::new(identity.public_key()).to_text(genesis.prefix()) != manifest.address {
            return Err(malformed(path, SECRETS, format!("the words are not of {}", manifest.address)).into());
        }
        let address = |entry: &str, name: &str, text: &str| {
            let address = Address::parse(text, genesis.prefix());
            address.map_err(|error| malformed(path, entry, format!("{name}: {error}")))
        };
        let texts: BTreeMap<String, String> = parse(path, CONTACTS, part(CONTACTS)?)?;
        let mut contacts = BTreeMap::new();
        for (name, text) in texts {
            contacts.insert(name.clone(), address(CONTACTS, &name, &text)?);
        }
        let texts: BTreeMap<String, Vec<String>> =
            small.get(GROUPS).map(|bytes| parse(path, GROUPS, bytes)).transpose()?.unwrap_or_default();
        let mut groups = BTreeMap::new();
        for (name, texts) in texts {
            let members = texts.iter().map(|text| address(GROUPS, &name, text));
            groups.insert(name.clone(), members.collect::<Result<Vec<_>, _>>()?);
        }
        let nodes = small.get(NODE).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let nodes = nodes.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
        let summary = BackupSummary {
            wallet: manifest.wallet.clone(),
            network: genesis.chain_name().into(),
            address: manifest.address.clone(),
            made: manifest.made.clone(),
            archival: secrets.archival,
            bundles: secrets.bundles.iter().map(|bundle| bundle.sequence).collect(),
            contacts: contacts.len(),
            groups: groups.len(),
            outbox,
            files,
            bytes: total,
        };
        Ok(Self { path: path.into(), key, manifest, genesis, secrets, contacts, groups, nodes, summary })
    }
    /// What is in it.
    pub fn summary(&self) -> &BackupSummary {
        &self.summary
    }
    /// Makes the wallet again below a home, under its name or another one. `passphrase` will open it.
    /// Contacts and groups are added to those there; what is known already is left as it is.
    pub fn restore(self, home: &Path, name: Option<&str>, passphrase: &str) -> Result<Restored, WalletError> {
        let name = name.unwrap_or(&self.manifest.wallet).to_owned();
        let profile = Profile::create(home, self.genesis.clone())?;
        Wallet::check_new(&profile, &name)?;
        let place = profile.wallet_folder(&name)?;
        let io = |error| BackupError::File(file_failure("write", &place, &error));
        // All of it comes to be beside its place, and gets there in one step.
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let folder = builder.prefix(".sealpost-").tempdir_in(profile.folder()).map_err(io)?;
        self.unpack(folder.path())?;
        mark_restored(folder.path())?;
        let path = folder.path().join("keystore.json");
        Keystore::create(
            &path,
            &self.manifest.address,
            &self.manifest.created,
            self.secrets.clone(),
            passphrase,
        )?;
        // Before the wallet is at its place: whatever fails until then, the command can be given again.
        let (contacts_added, contacts_kept, groups_added, groups_kept) = self.restore_network(&profile)?;
        fs::rename(folder.path(), &place).map_err(io)?;
        // It is at its place now, and not to be removed any more.
        let _moved = folder.keep();
        let parent = place.parent().unwrap_or(&place);
        sealpost_terminal::sync_folder(parent).map_err(io)?;
        let wallet = Wallet::open(profile, &name, passphrase)?;
        Ok(Restored { wallet, contacts_added, contacts_kept, groups_added, groups_kept })
    }

    /// Writes what all wallets of the network share: the nodes if none is known, contacts, groups. Returns how many
    /// contacts were added and how many left as they are, and the same of groups.
    fn restore_network(&self, profile: &Profile) -> Result<(usize, usize, usize, usize), WalletError> {
        if profile.nodes().is_empty() && !self.nodes.is_empty() {
            profile.set_nodes(&self.nodes)?;
        }
        let mut book = profile.contacts()?;
        let (mut contacts, mut groups) = (0_usize, 0_usize);
        for (name, address) in &self.contacts {
            contacts = contacts.saturating_add(usize::from(is_added(book.add(name, *address))?));
        }
        for (name, members) in &self.groups {
            let added = book.group(name).is_err() && is_added(book.add_to_group(name, members))?;
            groups = groups.saturating_add(usize::from(added));
        }
        let kept = |all: usize, added: usize| all.saturating_sub(added);
        Ok((contacts, kept(self.contacts.len(), contacts), groups, kept(self.groups.len(), groups)))
    }

    fn unpack(&self, folder: &Path) -> Result<(), WalletError> {
        let stream = |source| BackupError::Stream { path: self.path.clone(), source };
        let mut reader = BackupReader::new(input(&self.path)?, &self.key).map_err(stream)?;
        while let Some((name, bytes)) = reader.next_entry().map_err(stream)? {
            let Some(file) = name.strip_prefix(WALLET).and_then(safe_path) else {
                reader.content(bytes, &mut io::sink()).map_err(stream)?;
                continue;
            };
            let path = folder.join(file);
            create_private_folder(path.parent().unwrap_or(folder)).map_err(BackupError::File)?;
            let io = |error| BackupError::File(file_failure("write", &path, &error));
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut output = options.open(&path).map_err(io)?;
            reader.content(bytes, &mut output).map_err(|error| match error {
                StreamError::Output(reason) => BackupError::File(Failure::unavailable(
                    "file.io",
                    format_args!("cannot write {}: {reason}", path.display()),
                )),
                error => stream(error),
            })?;
            output.sync_all().map_err(io)?;
        }
        Ok(())
    }
}

/// Whether something was added to the contacts. That there is no place for it beside what is there stops nothing; that
/// the book can't be read or written does.
fn is_added<T>(added: Result<T, ContactError>) -> Result<bool, ContactError> {
    match added {
        Ok(_) => Ok(true),
        Err(
            ContactError::Taken { .. }
            | ContactError::TakenByGroup { .. }
            | ContactError::Known { .. }
            | ContactError::LooksLike { .. }
            | ContactError::Name { .. }
            | ContactError::TooManyGroups
            | ContactError::GroupTooLarge { .. },
        ) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The files in a wallet's folder and the folders beneath, by their path from it. What a writer has not
/// finished begins with a dot.
fn files_of(folder: &Path) -> Result<Vec<(String, PathBuf)>, BackupError> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(at) = folders.pop() {
        let failed = |error| BackupError::File(file_failure("read", &at, &error));
        for entry in fs::read_dir(&at).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
            let Some(name) = path.strip_prefix(folder).ok().and_then(Path::to_str).map(str::to_owned) else {
                continue;
            };
            if entry.file_name().to_string_lossy().starts_with('.') || LEFT_OUT.contains(&name.as_str()) {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                found.push((name, path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A path that stays in its folder, and is not the keystore's.
fn safe_path(name: &str) -> Option<&Path> {
    let path = Path::new(name);
    let plain = |part: Component<'_>| match part {
        Component::Normal(part) => !part.to_string_lossy().starts_with('.'),
        _ => false,
    };
    let fits = !name.is_empty() && !name.contains(['\0', '\\']) && path.components().count() <= 8;
    (fits && path.components().all(plain) && !LEFT_OUT.contains(&name)).then_some(path)
}

fn input(path: &Path) -> Result<BufReader<File>, BackupError> {
    File::open(path)
        .map(BufReader::new)
        .map_err(|error| BackupError::File(file_failure("read", path, &error)))
}

fn parse<T: for<'a> Deserialize<'a>>(path: &Path, entry: &str, bytes: &[u8]) -> Result<T, BackupError> {
    serde_json::from_slice(bytes).map_err(|error| malformed(path, entry, error.to_string()))
}

fn malformed(path: &Path, entry: &str, reason: String) -> BackupError {
    BackupError::Entry { path: path.into(), entry: entry.chars().take(100).collect(), reason }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::drafts::{Listed, Typed};
    use crate::envelope::BundleSecret;
    use crate::mnemonic::Words;
    use sealpost_ledger::signature::SigningKey;

    #[test]
    fn a_backup_has_the_keys_that_another_program_has_made_since_the_wallet_was_opened() {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile::create(home.path(), crate::testing::genesis()).unwrap();
        let words = Phrase::generate(Words::Twelve).unwrap();
        let wallet = Wallet::create(profile.clone(), "alice", &words, "correct horse", false).unwrap();
        let path = profile.wallet_folder("alice").unwrap().join("keystore.json");
        let mut other = Keystore::open(&path, "correct horse").unwrap();
        other.change(|secrets| secrets.add(BundleSecret::generate(1).unwrap())).unwrap();
        let made = wallet.back_up(&home.path().join("backup"), "correct horse").unwrap();
        assert_eq!(made.bundles, [1]);
        // Under another passphrase nothing is known of them, and an old state is no backup.
        other.change_passphrase("battery staple").unwrap();
        let refused = wallet.back_up(&home.path().join("other"), "correct horse").unwrap_err();
        assert!(matches!(refused, WalletError::Keystore(_)), "{refused}");
    }

    /// A backup of alice, who knows bob and has a group, a node and a draft of which a part is signed.
    fn made(home: &Path) -> PathBuf {
        let profile = Profile::create(home, crate::testing::genesis()).unwrap();
        let words = Phrase::generate(Words::Twelve).unwrap();
        let wallet = Wallet::create(profile.clone(), "alice", &words, "correct horse", false).unwrap();
        let bob = Address::new(SigningKey::from_bytes(&[2; 32]).unwrap().public_key());
        let mut book = profile.contacts().unwrap();
        book.add("bob", bob).unwrap();
        book.add_to_group("residents", &[bob]).unwrap();
        profile.set_nodes(&["http://127.0.0.1:17325".into()]).unwrap();
        let draft = wallet.keep_draft(Typed::new(vec![bob], "Lift".into(), "out of service".into())).unwrap();
        let folder = profile.wallet_folder("alice").unwrap().join("drafts").join(draft.id.to_string());
        fs::write(folder.join("0.part"), b"signed").unwrap();
        drop(draft);
        assert!(wallet.drafts().unwrap().drafts.iter().all(Listed::goes_on));
        let path = home.join("backup");
        wallet.back_up(&path, "correct horse").unwrap();
        path
    }

    #[test]
    fn contacts_or_nodes_that_can_not_be_written_stop_a_restoration_and_it_can_be_given_again() {
        let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let backup = made(home.path());
        let profile = Profile::create(elsewhere.path(), crate::testing::genesis()).unwrap();
        let restore = || {
            let backup = Backup::open(&backup, "correct horse").unwrap();
            backup.restore(elsewhere.path(), None, "correct horse")
        };
        // Where a file is to be, a folder is: no permission that root would not need stands in the way.
        for (name, content) in [("node", None), ("contacts.lock", None), ("contacts.json", Some("{"))] {
            let path = profile.folder().join(name);
            match content {
                None => fs::create_dir(&path).unwrap(),
                Some(content) => fs::write(&path, content).unwrap(),
            }
            restore().map(|_| name).unwrap_err();
            assert_eq!(profile.wallets().unwrap(), Vec::<String>::new(), "{name}");
            match content {
                None => fs::remove_dir(&path).unwrap(),
                Some(_) => fs::remove_file(&path).unwrap(),
            }
        }
        let back = restore().unwrap();
        assert_eq!((back.contacts_added, back.groups_added, back.groups_kept), (1, 1, 0));
        assert_eq!((back.contacts_kept, profile.nodes().len()), (0, 1));
        assert_eq!(restore().unwrap_err(), WalletError::Exists { name: "alice".into() });
    }

    #[test]
    fn contacts_that_are_there_already_stop_no_restoration() {
        let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let backup = Backup::open(&made(home.path()), "correct horse").unwrap();
        let profile = Profile::create(elsewhere.path(), crate::testing::genesis()).unwrap();
        let other = Address::new(SigningKey::from_bytes(&[3; 32]).unwrap().public_key());
        let mut book = profile.contacts().unwrap();
        book.add("b0b", other).unwrap();
        book.add_to_group("residents", &[other]).unwrap();
        let back = backup.restore(elsewhere.path(), None, "correct horse").unwrap();
        assert_eq!((back.contacts_added, back.contacts_kept), (0, 1));
        assert_eq!((back.groups_added, back.groups_kept), (0, 1));
    }

    #[test]
    fn a_restored_draft_goes_on_only_after_it_was_taken_up_on_purpose() {
        let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let backup = Backup::open(&made(home.path()), "correct horse").unwrap();
        let wallet = backup.restore(elsewhere.path(), None, "correct horse").unwrap().wallet;
        let [draft] = wallet.drafts().unwrap().drafts.try_into().unwrap();
        assert!(draft.signed == 1 && draft.restored && !draft.goes_on());
        // To look at it is not to take it up.
        drop(wallet.take_draft(&draft.id.to_string()).unwrap());
        assert!(!wallet.drafts().unwrap().drafts.iter().any(Listed::goes_on));
        wallet.resume_draft(&wallet.take_draft(&draft.id.to_string()).unwrap()).unwrap();
        assert!(wallet.drafts().unwrap().drafts.iter().all(Listed::goes_on));
    }

    #[test]
    fn no_entry_leads_out_of_the_wallets_folder_or_takes_the_keystores_place() {
        assert!(safe_path("outbox/ab.json").is_some());
        for name in
            ["", "/etc/passwd", "../x", "a/../../x", "./x", ".x", "a/.x", "keystore.json", "a\\b", "a\0"]
        {
            assert!(safe_path(name).is_none(), "{name:?}");
        }
    }
}
