//! What the fuzzer tries of the store: files of the journal, the records in them, what the index holds, notes, and
//! snapshots that somebody else made. Checksums are set right where a fuzzer would not get past them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::directory;
use super::frame::{HEAD_BYTES, Head, Kind, SNAPSHOT_MARK};
use super::index;
use super::lists;
use super::pruning;
use super::record::{decode_block, decode_bodies, encode_block, encode_bodies};
use super::snapshot::{self, Checkpoint, MANIFEST, Manifest};
use super::stream::{Layout, Stream, TornEnd};
use super::testing::Chain;
use super::{Store, StoreError, StoreOptions};
use sealpost_ledger::block::Block;
use sealpost_ledger::examples;
use sealpost_ledger::fuzzing::{Script, Target};
use sealpost_ledger::genesis::Genesis;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// What is tried.
pub(crate) fn targets() -> Vec<Target> {
    vec![
        Target::decoder("frame_head", heads, |bytes| {
            Head::parse(bytes).map(|head| [&head.to_bytes()[..], &bytes[HEAD_BYTES..]].concat())
        }),
        Target::decoder(
            "block_record",
            || records().0,
            |bytes| {
                let record = decode_block(bytes).ok()?;
                let block = Block::new(record.header, record.transactions, Vec::new());
                Some(encode_block(&block, &record.certificate).0)
            },
        ),
        Target::decoder(
            "bodies_record",
            || records().1,
            |bytes| decode_bodies(bytes).ok().map(|bodies| encode_bodies(&bodies).0),
        ),
        Target::decoder("index_values", index::fuzzing::values, index::fuzzing::again),
        Target::decoder("index_list", lists::fuzzing::seeds, lists::fuzzing::again),
        Target::decoder(
            "pruning_note",
            || vec![b"3 77 ".to_vec(), pruning::fuzzing::note()],
            pruning::fuzzing::again,
        ),
        journal_file(),
        format_file(),
        snapshot_files(),
    ]
}

fn heads() -> Vec<Vec<u8>> {
    [(Kind::Block, false), (Kind::Proposal, true)]
        .map(|(kind, joined)| Head::of(SNAPSHOT_MARK, kind, joined, 7, b"payload").unwrap().to_bytes())
        .to_vec()
}

/// Records of blocks, and of bodies.
fn records() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (_, evidence) = examples::evidence();
    let certificate = &evidence.blocks[0].certificate;
    let blocks = examples::KINDS.iter().find(|kind| kind.name == "block").unwrap();
    let blocks: Vec<_> = blocks.examples.iter().map(|bytes| Block::from_bytes(bytes).unwrap()).collect();
    let of = |block: &Block| (encode_block(block, certificate).0, encode_bodies(block.bodies()).0);
    blocks.iter().map(of).unzip()
}

const KINDS: [Kind; 6] =
    [Kind::Block, Kind::Bodies, Kind::Proposal, Kind::Equivocation, Kind::Entry, Kind::ProposalOfRound];

/// A file of frames with anything changed in it, in each way of reading. What is read is what was written, as far as
/// nothing was changed; and what is left after a torn end was cut off is a whole file.
fn journal_file() -> Target {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let seeds = || {
        vec![
            vec![0, 3, 0, 3, b'a', b'b', b'c', 1, 0, 2, 1, 2],
            vec![3, 2, 0, 0, 1, 1, 9, 255, 4, 0, 4, 1, 9],
            vec![1, 2, 1, 1, 9, 2, 0, 1, 9, 255, 30, 0, 0],
        ]
    };
    Target::new("journal_file", seeds, move |input| {
        let mut script = Script::new(input);
        let torn =
            [TornEnd::Keep, TornEnd::Salvage, TornEnd::Later, TornEnd::Cut][usize::from(script.byte() % 4)];
        let (mut file, mut written) = (Vec::new(), Vec::new());
        for height in 0..u64::from(script.byte() % 8) {
            let (kind, payload) = (script.byte(), script.some().to_vec());
            let (kind, joined) = (KINDS[usize::from(kind % 5)], kind >= 128);
            file.extend(Head::of(SNAPSHOT_MARK, kind, joined, height, &payload).unwrap().to_bytes());
            file.extend_from_slice(&payload);
            written.push((kind, height, payload));
        }
        let whole = file.clone();
        while !script.is_over() {
            script.edit(&mut file);
        }
        let path = folder.path().join("frames-000001.log");
        fs::write(&path, &file).unwrap();
        let mut read = Vec::new();
        let layout = Layout::new(u64::MAX);
        let opened = Stream::open(folder.path(), "frames", layout, torn, |found, payload| {
            read.push((found.kind, found.height, payload.to_vec()));
            Ok(())
        });
        let damaged = matches!(opened, Err(StoreError::Damaged { .. }));
        assert!(opened.is_ok() || damaged, "{opened:?}");
        let same = file.iter().zip(&whole).take_while(|(is, was)| is == was).count();
        let ends = written.iter().scan(0, |end, (_, _, payload)| {
            *end += HEAD_BYTES + payload.len();
            Some(*end)
        });
        let untouched = ends.take_while(|end| *end <= same).count();
        assert_eq!(read.get(..untouched), written.get(..untouched), "{torn:?}");
        if file == whole {
            assert!(!damaged && read == written);
        }
        if let (Ok(stream), TornEnd::Cut) = (opened, torn) {
            let left = fs::metadata(&path).unwrap().len();
            assert_eq!(left + stream.cut_bytes(), file.len() as u64);
            drop(stream);
            let mut again = Vec::new();
            let opened = Stream::open(folder.path(), "frames", layout, TornEnd::Keep, |found, payload| {
                again.push((found.kind, found.height, payload.to_vec()));
                Ok(())
            });
            assert_eq!((opened.unwrap().cut_bytes(), again), (0, read.clone()), "after the cut");
        }
        !read.is_empty()
    })
}

/// Where files are fast.
pub(crate) fn memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.into() } else { std::env::temp_dir() }
}

fn format_file() -> Target {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let (genesis, _) = examples::evidence();
    let chain = genesis.chain_id();
    let own = directory::fuzzing::format_of(folder.path(), chain);
    let seeds = {
        let own = own.clone();
        move || vec![own.clone(), format!("1 {chain}\n").into_bytes(), format!("9 {chain}\n").into_bytes()]
    };
    Target::new("format_file", seeds, move |bytes| {
        fs::write(folder.path().join("FORMAT"), bytes).unwrap();
        let taken = directory::fuzzing::is_taken(folder.path(), chain);
        assert!(!taken || String::from_utf8_lossy(bytes).contains(&chain.to_string()));
        assert!(taken || bytes != own);
        taken
    })
}

/// A real snapshot in which records are changed; lengths and hashes are set right, as whoever forges one would. Nobody
/// here can sign: what is accepted leads to the block that was signed.
fn snapshot_files() -> Target {
    let made = Made::snapshot();
    let seeds = || {
        let change = |file: u8, record: u8, rest: &[u8]| [&[file, record, 0], rest].concat();
        vec![
            vec![],
            change(0, 1, &[40, 0, 4, 1, 9]),
            change(1, 0, &[9, 0, 3, 1]),
            change(2, 2, &[0, 0, 2, 1, 9]),
        ]
    };
    Target::new("snapshot_files", seeds, move |input| made.change(&mut Script::new(input)))
}

struct Made {
    folder: TempDir,
    genesis: Arc<Genesis>,
    manifest: Manifest,
    /// The frames of each of the three files.
    files: [Vec<(Kind, u64, Vec<u8>)>; 3],
}

impl Made {
    fn snapshot() -> Self {
        let folder = tempfile::tempdir_in(memory()).unwrap();
        let (data, out) = (folder.path().join("data"), folder.path().join("snapshot"));
        let chain = Chain::new("fuzz");
        let store = Store::open(&data, chain.genesis.clone(), StoreOptions::default()).unwrap().0;
        chain.grow(&store, 3);
        drop(store);
        snapshot::create(&data, &chain.genesis, &out, |_, _| ()).unwrap();
        let manifest: Manifest = serde_json::from_slice(&fs::read(out.join(MANIFEST)).unwrap()).unwrap();
        let files = [0, 1, 2].map(|file| frames(&fs::read(out.join(&manifest.files[file].name)).unwrap()));
        Self { folder, genesis: chain.genesis, manifest, files }
    }
    fn change(&self, script: &mut Script<'_>) -> bool {
        let mut files = self.files.clone();
        while !script.is_over() {
            let frames = &mut files[usize::from(script.byte() % 3)];
            let at = script.choice(frames.len());
            match script.byte() % 4 {
                _ if frames.is_empty() => {}
                0 => script.edit(&mut frames[at].2),
                1 => drop(frames.remove(at)),
                2 if frames.len() < 9 => frames.insert(at, frames[at].clone()),
                _ => frames.swap(0, at),
            }
        }
        let (out, mut manifest) = (self.folder.path().join("snapshot"), self.manifest.clone());
        for (frames, entry) in files.iter().zip(&mut manifest.files) {
            let mut bytes = Vec::new();
            for (kind, height, payload) in frames {
                bytes.extend(Head::of(SNAPSHOT_MARK, *kind, false, *height, payload).unwrap().to_bytes());
                bytes.extend_from_slice(payload);
            }
            entry.bytes = bytes.len() as u64;
            entry.sha256 = const_hex::encode(Sha256::digest(&bytes));
            fs::write(out.join(&entry.name), bytes).unwrap();
        }
        fs::write(out.join(MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
        let checkpoint = Checkpoint { height: self.manifest.height, block: self.manifest.block };
        let held = snapshot::verify(&out, &self.genesis, None, |_, _| ());
        let is_own = files == self.files;
        assert!(held.is_ok() || !is_own, "{held:?}");
        // All of it is bound to the last block, but for who signed and how often: one validator, once.
        assert!(held.is_err() || is_own, "a forged snapshot holds");
        assert!(!is_own || snapshot::verify(&out, &self.genesis, Some(checkpoint), |_, _| ()).is_ok());
        // The first records were looked at, unless the first was spoilt.
        files[0].first() == self.files[0].first()
    }
}

fn frames(mut file: &[u8]) -> Vec<(Kind, u64, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some(head) = Head::parse(file) {
        let (payload, rest) = file[HEAD_BYTES..].split_at(usize::try_from(head.length).unwrap());
        frames.push((head.kind, head.height, payload.to_vec()));
        file = rest;
    }
    frames
}
