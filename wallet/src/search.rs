//! Search over letters that are here: a plain scan, one letter in memory at a time. An index would be a
//! second copy of every word to encrypt, to keep in step and to forget; ten thousand letters of 1 to 2 KB are
//! decrypted and looked through in 0.2 s (release build, one core, files in the cache).

use crate::envelope::Attachment;
use crate::letters::{Kept, Place};
use sealpost_ledger::address::Address;
use sealpost_ledger::hash::TransactionId;
use std::collections::BTreeMap;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Characters shown around what was found.
const AROUND: usize = 60;

/// Words that must all be there, as parts of words, whatever their case and marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Vec<String>);

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The newest letters that match, the newest first.
    hits: BTreeMap<(Place, TransactionId), Hit>,
    enough: usize,
    /// How many match.
    pub matching: usize,
    /// How many letters were looked through.
    pub letters: usize,
    /// How many could not be read.
    pub unreadable: usize,
}

/// A letter that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its id.
    pub id: TransactionId,
    /// Who wrote it.
    pub from: Address,
    /// Whom to.
    pub to: Vec<Address>,
    /// Where it stands.
    pub place: Place,
    /// Its subject.
    pub subject: String,
    /// Where the first word stands in the text or a file's name, with what is around it; or how the text
    /// begins.
    pub snippet: String,
}

impl Query {
    /// A query; nothing if there is no word in it.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let words = words.into_iter().flat_map(str::split_whitespace).map(folded);
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        if words.is_empty() { None } else { Some(Self(words)) }
    }
}

impl Found {
    /// Nothing yet; keeps `enough` letters at most.
    pub fn new(enough: usize) -> Self {
        Self { enough, ..Self::default() }
    }
    /// The letters, the newest first.
    pub fn hits(&self) -> impl Iterator<Item = &Hit> {
        self.hits.values().rev()
    }
    /// Looks at a letter. `name` tells how people are called here.
    pub fn look_at(&mut self, query: &Query, kept: &Kept, name: &dyn Fn(&Address) -> String) {
        self.letters = self.letters.saturating_add(1);
        let letter = &kept.letter;
        let files = letter.attachments.iter().map(|Attachment { name, .. }| name.clone());
        let people = std::iter::once(&kept.from).chain(&kept.to).map(name);
        let around: Vec<String> =
            std::iter::once(letter.subject.clone()).chain(files).chain(people).map(|t| folded(&t)).collect();
        let text = folded(&letter.text);
        let all = query.0.iter().all(|word| text.contains(word) || around.iter().any(|t| t.contains(word)));
        if !all {
            return;
        }
        self.matching = self.matching.saturating_add(1);
        let hit = Hit {
            id: kept.id,
            from: kept.from,
            to: kept.to.clone(),
            place: kept.place,
            subject: letter.subject.clone(),
            snippet: snippet(&letter.text, &text, query),
        };
        self.hits.insert((kept.place, kept.id), hit);
        if self.hits.len() > self.enough {
            self.hits.pop_first();
        }
    }
}

/// A text without case and marks: `GROSSE` and `große`, `Zürich` and `zurich` are the same.
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Most text is plain, and needs no tables.
        if c.is_ascii() {
            out.push(c.to_ascii_lowercase());
        } else {
            out.extend(fold(c));
        }
    }
    out
}

/// What one character is without case and marks. Upper case first: `ß` is `SS` there. A few letters carry a
/// stroke that Unicode does not take for a mark.
fn fold(c: char) -> impl Iterator<Item = char> {
    let plain = std::iter::once(c).nfkd().filter(|c| !is_combining_mark(*c));
    plain.flat_map(char::to_uppercase).flat_map(char::to_lowercase).map(|c| match c {
        'ø' => 'o',
        'ł' => 'l',
        'đ' => 'd',
        'ħ' => 'h',
        c => c,
    })
}

/// A piece of the text around the first word that stands in it, on one line.
fn snippet(text: &str, folded_text: &str, query: &Query) -> String {
    let found = query.0.iter().filter_map(|word| folded_text.find(word)).min().unwrap_or(0);
    // How many characters of the text make up that many bytes of the folded one.
    let mut length = 0_usize;
    let before = text.chars().take_while(|c| {
        let folded: usize = if c.is_ascii() { 1 } else { fold(*c).map(char::len_utf8).sum() };
        length = length.saturating_add(folded);
        length <= found
    });
    let before = before.count();
    let from = before.saturating_sub(AROUND / 2);
    let piece: String = text.chars().skip(from).take(AROUND * 2).collect();
    let more = text.chars().nth(from.saturating_add(AROUND * 2)).is_some();
    let mut line = String::from(if from > 0 { "…" } else { "" });
    line.push_str(&piece.split_whitespace().collect::<Vec<_>>().join(" "));
    if more {
        line.push('…');
    }
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::archive::Way;
    use crate::envelope::{Data, Letter};
    use proptest::prelude::*;
    use sealpost_ledger::height::BlockHeight;
    use sealpost_ledger::signature::SigningKey;

    fn kept(number: u64, subject: &str, text: &str) -> Kept {
        let from = Address::new(SigningKey::from_bytes(&[2; 32]).unwrap().public_key());
        let attachments =
            vec![crate::envelope::Attachment { name: "Plan.pdf".into(), data: Data::Whole(vec![]) }];
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Kept {
            id: TransactionId::from_bytes(id),
            way: Way::Came,
            from,
            to: vec![],
            place: Place::Final { height: BlockHeight::new(number), index: 0, time_ms: number },
            sealed: false,
            letter: Letter { subject: subject.into(), text: text.into(), attachments, ..Letter::default() },
        }
    }

    fn search(words: &str, kept: &[Kept], enough: usize) -> Found {
        let query = Query::new([words]).unwrap();
        let mut found = Found::new(enough);
        for kept in kept {
            found.look_at(&query, kept, &|_| "Božena".into());
        }
        found
    }

    #[test]
    fn case_and_marks_do_not_matter() {
        let text = "Die große Straße in Zürich, Łódź, Ærøskøbing, ﬁne İstanbul, Ångström";
        let kept = [kept(1, "Aufzug", text)];
        for words in [
            "GROSSE strasse",
            "zurich",
            "ZÜRICH",
            "lodz",
            "fine",
            "istanbul angstrom",
            "aufzug plan.PDF",
            "bozena",
            "Zu\u{308}rich",
        ] {
            assert_eq!(search(words, &kept, 9).matching, 1, "{words}");
        }
        for words in ["zurich lift", "xyz"] {
            assert_eq!(search(words, &kept, 9).matching, 0, "{words}");
        }
        assert_eq!(Query::new([" ", "\u{301}"]), None);
    }

    #[test]
    fn the_newest_are_kept_and_all_are_counted() {
        let kept: Vec<_> = [3, 1, 5, 2, 4].map(|n| kept(n, "x", "lift")).into();
        let found = search("lift", &kept, 2);
        assert_eq!((found.matching, found.letters), (5, 5));
        let heights: Vec<_> = found.hits().map(|hit| hit.place.time_ms()).collect();
        assert_eq!(heights, [5, 4]);
    }

    #[test]
    fn the_snippet_shows_the_place() {
        let text = format!("{} der\nAufzug {}", "ﬁÄß".repeat(400), "y ".repeat(100));
        let found = search("aufzug", &[kept(1, "", &text)], 1);
        let snippet = &found.hits().next().unwrap().snippet;
        assert!(snippet.contains("der Aufzug y"), "{snippet}");
        assert!(snippet.starts_with('…') && snippet.ends_with('…') && !snippet.contains('\n'));
        assert!(snippet.chars().count() < 130);
    }

    proptest! {
        #[test]
        fn any_text_is_searched_and_shown(text in any::<String>(), words in any::<String>()) {
            if let Some(query) = Query::new([words.as_str()]) {
                let mut found = Found::new(1);
                found.look_at(&query, &kept(1, &words, &text), &|_| String::new());
                prop_assert_eq!(found.matching, 1, "the subject has the words");
            }
        }
    }
}
