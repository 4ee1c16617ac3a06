//! Backups under a known key, from outside, and what may stand behind the encryption.
#![allow(clippy::unwrap_used)]

use super::*;

const KEY: [u8; 32] = [7; 32];

fn header() -> Header {
    let (format, kdf, cipher) = (FORMAT.into(), KDF.into(), CIPHER.into());
    Header { format, kdf, cost: COST, salt: [1; 16], cipher, prefix: [2; 19] }
}

/// A backup with this plaintext.
fn sealed(plaintext: &[u8]) -> Vec<u8> {
    let mut line = serde_json::to_vec(&header()).unwrap();
    line.push(b'\n');
    let cipher = XChaCha20Poly1305::new(&KEY.into());
    let pieces = Pieces { cipher, prefix: header().prefix, header: line.clone(), number: 0 };
    let mut writer = BackupWriter { output: line, pieces, waiting: Zeroizing::new(Vec::new()) };
    writer.add(plaintext).unwrap();
    writer.finish().unwrap()
}

fn plaintext() -> Vec<u8> {
    b"{\"name\":\"a\",\"bytes\":3}\nabc{\"name\":\"letters/b\",\"bytes\":0}\n".to_vec()
}

pub(crate) fn entries() -> Vec<Vec<u8>> {
    vec![plaintext(), Vec::new()]
}

pub(crate) fn files() -> Vec<Vec<u8>> {
    vec![sealed(&plaintext()), sealed(&[]), sealed(&[b'\n'; 200])]
}

type Entries = Vec<(String, Vec<u8>)>;

/// All entries up to the end, or up to what is wrong.
fn read(bytes: &[u8]) -> (Entries, Result<(), StreamError>) {
    let mut found = Vec::new();
    let read = BackupReader::new(bytes, &BackupKey(Zeroizing::new(KEY))).and_then(|mut reader| {
        while let Some((name, length)) = reader.next_entry()? {
            let mut content = Vec::new();
            reader.content(length, &mut content)?;
            found.push((name, content));
        }
        Ok(())
    });
    (found, read)
}

/// From outside: what is read whole is one of what was written, and no cost is out of bounds.
pub(crate) fn open(bytes: &[u8]) -> bool {
    let Ok((header, _)) = read_header(&mut &*bytes) else { return false };
    assert!(header.cost.out_of_bounds().is_none());
    let (found, end) = read(bytes);
    assert!(end.is_err() || files().iter().any(|file| file == bytes), "{found:?}");
    true
}

/// Behind the encryption: nothing is lost, and nothing is read twice.
pub(crate) fn inside(plaintext: &[u8]) -> bool {
    let (found, end) = read(&sealed(plaintext));
    let length: usize = found.iter().map(|(_, content)| content.len()).sum();
    assert!(length <= plaintext.len());
    end.is_ok() && !found.is_empty()
}
