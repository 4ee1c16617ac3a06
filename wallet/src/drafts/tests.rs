//! What drafts promise: they hold all that was typed and attached, encrypted, whatever becomes of the files.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::envelope::Content;
use crate::keystore::Secrets;
use crate::parcel::{Assembly, pieces};
use sealpost_ledger::hash::TransactionId;

const TEXT: &str = "The lift is out of service";
/// Room for content in a message.
const ROOM: usize = 8000;
const LIMIT: u64 = 1 << 20;

struct Place {
    dir: tempfile::TempDir,
    keystore: Keystore,
    drafts: Drafts,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let secrets = Secrets::new("words".into(), false).unwrap();
    let path = dir.path().join("keystore.json");
    let keystore = Keystore::create(&path, "address", "today", secrets, "correct horse").unwrap();
    let drafts = Drafts::open(&dir.path().join("drafts")).unwrap();
    Place { dir, keystore, drafts }
}

impl Place {
    fn file(&self, name: &str, bytes: &[u8]) -> Attached {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        Attached { name: name.into(), path: path.to_str().unwrap().into(), length: bytes.len() as u64 }
    }
    fn typed(&self, text: &str, files: Vec<Attached>) -> Typed {
        Typed { files, ..Typed::new(Vec::new(), "Lift".into(), text.into()) }
    }
    /// Everything beneath the drafts' folder.
    fn on_disk(&self) -> Vec<u8> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir.path().join("drafts")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.extend(fs::read(path).unwrap()) }
            }
        }
        found
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn a_packed_draft_gives_back_text_and_files_when_the_files_are_gone() {
    let place = place();
    let (long, text) = ((0..50_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>(), "ä".repeat(10_000));
    let files = vec![place.file("long.bin", &long), place.file("short.txt", b"short")];
    let mut kept = place.drafts.keep(&place.keystore, place.typed(&text, files)).unwrap();
    kept.pack(&place.keystore, ROOM, LIMIT, &|_| {}).unwrap();
    let id = kept.id;
    drop(kept);
    fs::remove_file(place.dir.path().join("long.bin")).unwrap();

    let kept = place.drafts.take(&place.keystore, id).unwrap();
    let count = kept.letter.parts();
    assert!(count > 8, "{count}");
    let ids: Vec<_> = (0..count).map(|n| TransactionId::from_bytes([u8::try_from(n).unwrap(); 32])).collect();
    let letter = kept.letter.to_letter(&ids).unwrap();
    assert!(Content::Letter(letter.clone()).to_bytes().len() <= ROOM);
    let mut found = Vec::new();
    for piece in pieces(&letter) {
        let mut assembly = Assembly::begin(&piece, LIMIT, ROOM, Some(id.to_bytes()), Vec::new()).unwrap();
        for number in (piece.first..).take(piece.parts.messages.len()) {
            let part = kept.part(&place.keystore, number).unwrap();
            assert!(part.to_bytes().len() <= ROOM);
            assembly.add(part).unwrap();
        }
        found.push(assembly.finish().unwrap().0);
    }
    assert_eq!(letter.text + std::str::from_utf8(&found[0]).unwrap(), text);
    assert_eq!(found[1], long);
    assert!(kept.letter.to_letter(&ids[1..]).is_none());
    assert!(kept.part(&place.keystore, count).is_err());
}

#[test]
fn nothing_typed_or_attached_lies_readable_on_the_disk() {
    let place = place();
    let canary = b"canary in the file".repeat(1000);
    let files = vec![place.file("long.bin", &canary)];
    let mut kept = place.drafts.keep(&place.keystore, place.typed(TEXT, files)).unwrap();
    kept.pack(&place.keystore, ROOM, LIMIT, &|_| {}).unwrap();
    let disk = place.on_disk();
    assert!(disk.len() > canary.len());
    assert!(!contains(&disk, b"canary") && !contains(&disk, TEXT.as_bytes()) && !contains(&disk, b"Lift"));
}

#[test]
fn one_process_works_on_a_draft_and_its_death_lets_it_go() {
    let place = place();
    let kept = place.drafts.keep(&place.keystore, place.typed(TEXT, Vec::new())).unwrap();
    let id = kept.id;
    assert_eq!(place.drafts.take(&place.keystore, id).unwrap_err(), DraftError::Busy { id });
    drop(kept);
    let kept = place.drafts.take(&place.keystore, id).unwrap();
    assert_eq!(kept.letter.text, TEXT);
    place.drafts.remove(kept).unwrap();
    assert!(matches!(place.drafts.take(&place.keystore, id), Err(DraftError::Unknown { .. })));
}

#[test]
fn what_a_crash_left_of_a_draft_that_is_gone_is_cleared_away() {
    let place = place();
    let kept = place.drafts.keep(&place.keystore, place.typed(TEXT, Vec::new())).unwrap();
    let id = kept.id;
    // As after a crash between the two steps of giving it up.
    fs::remove_file(place.drafts.letter_path(id)).unwrap();
    drop(kept);
    assert!(place.drafts.find(&id.to_string()).is_err());
    assert!(place.drafts.list(&place.keystore).unwrap().drafts.is_empty());
    assert_eq!(fs::read_dir(place.dir.path().join("drafts")).unwrap().count(), 0);
}

/// As after a crash at the very beginning of keeping a draft, or at the very end of giving it up.
#[test]
fn a_lock_that_a_crash_left_alone_is_cleared_away_unless_somebody_holds_it() {
    let place = place();
    let id = DraftId::new().unwrap();
    let lock = place.drafts.lock(id).unwrap();
    assert!(place.drafts.list(&place.keystore).unwrap().drafts.is_empty());
    assert!(place.drafts.lock_path(id).exists());
    drop(lock);
    assert!(place.drafts.list(&place.keystore).unwrap().drafts.is_empty());
    assert!(!place.drafts.lock_path(id).exists());
}

#[test]
fn a_draft_that_can_not_be_read_hides_no_other_and_can_be_thrown_away() {
    let place = place();
    let keep = || place.drafts.keep(&place.keystore, place.typed(TEXT, Vec::new())).unwrap().id;
    let (damaged, whole) = (keep(), keep());
    fs::write(place.drafts.letter_path(damaged), "x").unwrap();
    let listing = place.drafts.list(&place.keystore).unwrap();
    assert_eq!(listing.drafts.iter().map(|draft| draft.id).collect::<Vec<_>>(), [whole]);
    assert!(matches!(listing.damaged.as_slice(), [DraftError::Malformed { .. }]), "{:?}", listing.damaged);
    assert!(place.drafts.take(&place.keystore, damaged).is_err());
    let hold = place.drafts.hold(damaged).unwrap();
    assert_eq!(place.drafts.hold(damaged).unwrap_err(), DraftError::Busy { id: damaged });
    place.drafts.discard(hold).unwrap();
    let listing = place.drafts.list(&place.keystore).unwrap();
    assert_eq!((listing.drafts.len(), listing.damaged.len()), (1, 0));
}

/// Its letter was read, and another process finished it before its parts were counted.
#[test]
fn a_draft_that_another_process_clears_away_has_no_signed_parts_and_a_folder_that_is_none_is_told() {
    let place = place();
    let folder = place.dir.path().join("drafts/gone");
    assert_eq!(packing::signed(&folder).unwrap(), 0);
    fs::write(&folder, "").unwrap();
    assert!(matches!(packing::signed(&folder), Err(DraftError::File(_))));
}

#[test]
fn a_lock_that_was_removed_under_its_holder_is_not_taken_for_held() {
    let place = place();
    let path = place.dir.path().join("drafts/lock");
    let file = File::create(&path).unwrap();
    assert!(is_at(&file, &path).unwrap());
    fs::remove_file(&path).unwrap();
    assert!(!is_at(&file, &path).unwrap());
    let _another = File::create(&path).unwrap();
    assert!(!is_at(&file, &path).unwrap());
}

#[test]
fn an_interrupted_packing_begins_anew_with_the_files_as_they_are_then() {
    let place = place();
    let files = vec![place.file("long.bin", &[1; 20_000])];
    let kept = place.drafts.keep(&place.keystore, place.typed(TEXT, files)).unwrap();
    let id = kept.id;
    drop(kept);
    let now = place.file("long.bin", &[2; 30_000]);
    let mut kept = place.drafts.take(&place.keystore, id).unwrap();
    assert!(!kept.is_packed() && kept.letter.parts() == 0);
    kept.pack(&place.keystore, ROOM, LIMIT, &|_| {}).unwrap();
    assert_eq!((kept.letter.files[0].length, kept.letter.bytes_ahead()), (now.length, 30_000));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named() {
    let place = place();
    let file = place.file("long.bin", &[1; 50_000]);
    let path = file.path.clone();
    let mut kept = place.drafts.keep(&place.keystore, place.typed(TEXT, vec![file])).unwrap();
    let grow = |_| {
        let mut file = File::options().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, &[2; 100]).unwrap();
    };
    let error = kept.pack(&place.keystore, ROOM, LIMIT, &grow).unwrap_err();
    assert_eq!(error, PackError::Changed { path: path.clone() });
    assert!(!kept.is_packed());
    fs::remove_file(&path).unwrap();
    let error = kept.pack(&place.keystore, ROOM, LIMIT, &|_| {}).unwrap_err();
    assert!(matches!(error, PackError::File { path: named, .. } if named == path));
}

#[test]
fn more_than_the_limit_and_what_is_no_file_is_refused() {
    let place = place();
    let files = vec![place.file("a", &[1; 600]), place.file("b", &[1; 600])];
    let mut kept = place.drafts.keep(&place.keystore, place.typed("", files)).unwrap();
    let error = kept.pack(&place.keystore, ROOM, 1000, &|_| {}).unwrap_err();
    assert_eq!(error, PackError::TooLong { length: 1200, limit: 1000 });
    assert!(matches!(measure(place.dir.path()), Err(PackError::File { .. })));
}

#[test]
fn a_draft_is_found_by_the_beginning_of_its_id_and_by_no_path() {
    let place = place();
    let kept = place.drafts.keep(&place.keystore, place.typed(TEXT, Vec::new())).unwrap();
    let text = kept.id.to_string();
    assert_eq!(place.drafts.find(&text[..6]).unwrap(), kept.id);
    assert_eq!(place.drafts.find(&text).unwrap(), kept.id);
    for wrong in ["../../keystore.json", "abc", "ABCDEF", &"0".repeat(33)] {
        assert!(matches!(place.drafts.find(wrong), Err(DraftError::Id { .. })), "{wrong}");
    }
}

#[test]
fn an_open_draft_becomes_a_sealed_one_unless_parts_or_files_of_it_are_cut_for_open_messages() {
    let place = place();
    let keep = |files| {
        let mut kept = place.drafts.keep(&place.keystore, place.typed(&"ä".repeat(10_000), files)).unwrap();
        kept.pack(&place.keystore, ROOM, LIMIT, &|_| {}).unwrap();
        kept
    };
    let mut text = keep(Vec::new());
    text.seal(&place.keystore).unwrap();
    let id = text.id;
    drop(text);
    let mut text = place.drafts.take(&place.keystore, id).unwrap();
    assert!(text.letter.mode == Mode::Sealed && !text.is_packed());
    // A sealed message has room for less.
    text.pack(&place.keystore, ROOM - 1000, LIMIT, &|_| {}).unwrap();
    assert!(text.letter.parts() > 1);

    let mut files = keep(vec![place.file("plan.pdf", &[1; 20_000])]);
    assert!(matches!(files.seal(&place.keystore), Err(DraftError::Open { .. })));
    let mut begun = keep(Vec::new());
    fs::write(begun.folder.join("0.part"), b"signed").unwrap();
    assert!(matches!(begun.seal(&place.keystore), Err(DraftError::Open { .. })));
    assert_eq!((files.letter.mode, begun.letter.mode), (Mode::Open, Mode::Open));
}
