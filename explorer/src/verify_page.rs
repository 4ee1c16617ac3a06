//! The checker that runs in the reader's browser, as it is handed out: the one file that opens from disk,
//! alone or with evidence and genesis in it. What is put in is inert data, so that nothing foreign ever
//! becomes markup.
//!
//! The checker is built from `explorer/web`; its bytes stand in `explorer/assets` (see `docs/verifier.md`).

use sealpost_api::Hex;
use sealpost_ledger::hash::sha256;
use serde::Serialize;
use std::sync::LazyLock;

/// The page's script.
pub(crate) const SCRIPT: &str = include_str!("../assets/verify.js");
/// The page's style.
pub(crate) const STYLE: &str = include_str!("../assets/verify.css");
/// Licences of the libraries in the script.
pub(crate) const LICENCES: &str = include_str!("../assets/verify-licences.txt");
/// The checker as one file.
pub(crate) const OFFLINE: &str = include_str!("../assets/verify-offline.html");

/// Where in the one file data is put.
const PLACE: &str = "<!--embedded-->";

/// SHA-256 of the script and of the one file, in hexadecimal, to be compared with the repository's.
pub(crate) static HASHES: LazyLock<[String; 2]> =
    LazyLock::new(|| [SCRIPT, OFFLINE].map(|text| Hex::from(sha256(&[text.as_bytes()])).to_string()));

/// A file that a page carries.
#[derive(Debug, Serialize)]
pub(crate) struct Embedded<'a> {
    /// What the page calls it.
    pub(crate) name: &'a str,
    /// Its text, which reaches the checker byte for byte.
    pub(crate) text: &'a str,
}

/// What an embedded file is to the checker.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    /// What is checked.
    Evidence,
    /// What it is checked against.
    Genesis,
}

impl Embedded<'_> {
    /// An element that no browser runs and the checker reads.
    pub(crate) fn element(&self, role: Role) -> String {
        let id = match role {
            Role::Evidence => "embedded-evidence",
            Role::Genesis => "embedded-genesis",
        };
        // Two plain texts: writing them cannot fail.
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("<script type=\"application/json\" id=\"{id}\">{}</script>\n", inert(&json))
    }
}

/// JSON without a character that HTML or a script could take for the beginning or end of something. They
/// stand within JSON texts only, where an escape means the same.
fn inert(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            character => text.push(character),
        }
    }
    text
}

/// Evidence and its checker as one file. The genesis comes along, for whoever compares its chain id with one
/// from elsewhere; the page says so.
pub(crate) fn with_evidence(evidence: &Embedded<'_>, genesis: &Embedded<'_>) -> String {
    let data = evidence.element(Role::Evidence) + &genesis.element(Role::Genesis);
    OFFLINE.replacen(PLACE, &data, 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// What a browser's parser gives the checker: the text between the element's tags, read as JSON.
    fn read_back(page: &str, id: &str) -> (String, String) {
        let begins = format!("<script type=\"application/json\" id=\"{id}\">");
        let (_, rest) = page.split_once(&begins).unwrap();
        let (data, _) = rest.split_once("</script>").unwrap();
        let value: serde_json::Value = serde_json::from_str(data).unwrap();
        (value["name"].as_str().unwrap().into(), value["text"].as_str().unwrap().into())
    }

    #[test]
    fn the_one_file_has_one_place_for_data_before_its_script() {
        assert_eq!(OFFLINE.matches(PLACE).count(), 1);
        let (before, after) = OFFLINE.split_once(PLACE).unwrap();
        assert!(!before.contains("<script") && after.starts_with("\n<script>"), "data comes first");
        assert!(
            OFFLINE.contains(SCRIPT) && OFFLINE.contains(STYLE),
            "the same script and style as the page's"
        );
    }

    #[test]
    fn the_one_file_loads_nothing() {
        let (frame, _) = OFFLINE.split_once("<script>").unwrap();
        let frame = frame.to_lowercase();
        assert!(frame.contains("default-src 'none'") && frame.contains("trusted-types 'none'"));
        let kinds = [
            "<link", "<img", "<iframe", "src=\"", "href=", "@import", "unsafe-", "onload=", "onerror=",
            "onclick=",
        ];
        for kind in kinds {
            assert!(!frame.contains(kind), "{kind}");
        }
        // No call that could send something, and no sink that could turn text into markup.
        let calls = [
            "fetch(",
            "XMLHttpRequest",
            "sendBeacon",
            "WebSocket",
            "innerHTML",
            "outerHTML",
            "eval(",
            "document.write",
        ];
        for call in calls {
            assert!(!SCRIPT.contains(call), "{call}");
        }
    }

    #[test]
    fn hostile_texts_stay_data_and_come_back_as_they_were() {
        let hostile = [
            "</script><script>alert(1)</script>",
            "</ScRiPt >",
            "<!--<script>",
            "-->",
            "]]>",
            "&lt;&amp;",
            "\"}\u{0}\r\n\t\u{b}",
            "\u{2028}\u{2029}\u{202e}\u{feff}\u{fffe}",
            "\\u003c/script\\u003e",
            "$& $1 %SCRIPT%",
            "<!--embedded-->",
            "𝕊 é e\u{301} \u{10ffff}",
        ];
        let all = hostile.concat();
        let plain = with_evidence(&Embedded { name: "a", text: "b" }, &Embedded { name: "c", text: "d" });
        for text in hostile.into_iter().chain([all.as_str()]) {
            let page = with_evidence(&Embedded { name: text, text }, &Embedded { name: "genesis", text });
            assert_eq!(read_back(&page, "embedded-evidence"), (text.into(), text.into()));
            assert_eq!(read_back(&page, "embedded-genesis"), ("genesis".into(), text.into()));
            // No tag or comment more than with harmless texts, and everything around them as it was.
            for mark in ["<", ">", "&", "<!--", "\u{2028}"] {
                assert_eq!(page.matches(mark).count(), plain.matches(mark).count(), "{mark} of {text:?}");
            }
            let (before, after) = OFFLINE.split_once(PLACE).unwrap();
            assert!(page.starts_with(before) && page.ends_with(after));
        }
    }
}
