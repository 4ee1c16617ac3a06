//! The same verdicts from `docs/verify_evidence.py`, which was written from `docs/protocol.md` and shares
//! no code with this crate.

use super::*;

/// What `docs/verify_evidence.py`, which shares no code with this crate, says to a file: its exit code.
/// `None` where there is no Python.
fn second_opinion(folder: &std::path::Path, name: &str, file: &[u8]) -> Option<i32> {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, file).unwrap();
    let mut python = std::process::Command::new("python3");
    python.arg(docs.join("verify_evidence.py")).arg(folder.join("genesis.json")).arg(&path);
    let output = python.output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.is_empty(), "{name}: {said}");
    output.status.code()
}

#[test]
fn a_second_implementation_agrees() {
    let folder = std::env::temp_dir().join(format!("sealpost-second-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("genesis.json"), genesis().to_json()).unwrap();
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, evidence: Evidence| {
        files.push((name.to_owned(), evidence.to_json().into_bytes()));
    };
    add("story", evidence());
    add("change", with_change());
    add("two changes", twice_changed());
    add("a change untold", {
        let mut untold = twice_changed();
        untold.validator_changes.remove(0);
        untold
    });
    add("other message", {
        let block = STORY.0.block(STORY.1.receipts[0].block).block();
        let mut evidence = evidence();
        evidence.receipts = vec![STORY.0.proven(block.transactions()[1].id())];
        evidence
    });
    add("not the recipient", with_receipt(CAROL, opened(0)));
    add(
        "wrong secret",
        with_receipt(BOB, Receipt { answer: Answer::Opened { secret: [1; 32] }, ..opened(0) }),
    );
    add("unused block", {
        let mut extra = evidence();
        extra.blocks.insert(0, STORY.0.certified(BlockHeight::FIRST));
        extra
    });
    add("too few", {
        let mut few = evidence();
        recertify(&mut few, 1, &VALIDATORS[..2], genesis().validators());
        few
    });
    add("wrong signature", {
        let mut wrong = evidence();
        recertify(&mut wrong, 0, &VALIDATORS, genesis().validators());
        let signatures = &mut wrong.blocks[0].certificate.signatures;
        signatures[3].signature = signatures[2].signature;
        wrong
    });
    add("old absence", {
        let mut old = evidence();
        old.absences = vec![STORY.0.absence(STORY.1.message.transaction.id(), 1, STORY.1.receipts[0].block)];
        old
    });
    add("a key with a newer one", superseded());
    for (name, evidence, _) in false_newest() {
        add(name, evidence);
    }
    add("a change announced and ignored", ignored_change());
    for (name, evidence) in super::sealed::files() {
        add(&name, evidence);
    }
    let file = evidence().to_json().into_bytes();
    files.push(("spelling".to_owned(), [file.as_slice(), b" "].concat()));
    // Changed bytes that both can read as JSON: digits and letters for others.
    for at in (0..file.len()).filter(|at| file[*at].is_ascii_alphanumeric()).step_by(file.len() / 40) {
        let mut changed = file.clone();
        changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
        files.push((format!("byte {at}"), changed));
    }
    let opinions: Vec<_> = files
        .par_iter()
        .map(|(name, file)| {
            let ours = match judge(file) {
                Ok(_) => 0,
                Err(EvidenceError::Refused(_)) => 1,
                Err(EvidenceError::NotEvidence(_)) => 2,
            };
            (name, ours, second_opinion(&folder, name, file))
        })
        .collect();
    std::fs::remove_dir_all(&folder).unwrap();
    if opinions.iter().any(|(_, _, theirs)| theirs.is_none()) {
        use std::io::Write as _;
        writeln!(std::io::stderr(), "skipped: the second implementation needs python3").unwrap();
        return;
    }
    for (name, ours, theirs) in opinions {
        assert_eq!(Some(ours), theirs, "{name}");
    }
}
