//! What the certificate promises: it tells what the file says, loads nothing, and nothing that somebody wrote
//! gets out of its place.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

static EXAMPLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    std::fs::read(docs.join("example.evidence.json")).unwrap()
});

fn certificate(name: &str) -> (Certificate, Findings) {
    Certificate::of(&EXAMPLE, name, &crate::testing::genesis()).unwrap()
}

fn letter(subject: &str, text: &str, file: &str) -> Shown {
    let data = Data::Whole(vec![7; 10]);
    let attachments = ["plan.pdf", file].map(|name| Attachment { name: name.into(), data: data.clone() });
    Shown::of(&Letter {
        subject: format!("Subject {subject}"),
        text: format!("Text {text}"),
        attachments: attachments.into(),
        ..Letter::default()
    })
}

/// The page, with what others wrote in every place where it may stand.
fn page(foreign: &str) -> String {
    let (mut certificate, _) = certificate(&format!("n{foreign}"));
    certificate.content = Some(letter(foreign, foreign, foreign));
    certificate.html()
}

/// Everything in angle brackets, in order.
fn tags(page: &str) -> Vec<&str> {
    page.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()).collect()
}

#[test]
fn the_page_tells_whole_what_the_file_says_and_how_to_check_it() {
    let (certificate, findings) = certificate("example.evidence.json");
    let page = certificate.html();
    let sha256 = const_hex::encode(Sha256::digest(EXAMPLE.as_slice()));
    let evidence = Evidence::from_json(&EXAMPLE).unwrap();
    let message = evidence.message.transaction.message().unwrap();
    let mut wanted = vec![
        findings.message().to_string(),
        findings.chain().to_string(),
        sha256.clone(),
        message.content_commit.to_string(),
        message.body_hash.to_string(),
        "sha256sum example.evidence.json".into(),
        "sealpost evidence verify example.evidence.json --genesis genesis.json".into(),
        "python3 verify_evidence.py genesis.json example.evidence.json".into(),
        "ContentHandover".into(),
        "The lift is out of service".into(),
    ];
    wanted.extend(evidence.blocks.iter().map(|block| block.header.hash().to_string()));
    for line in findings.lines() {
        let escaped = |text: &str| text.replace('\'', "&#39;");
        wanted.extend([
            escaped(line.label),
            escaped(&line.fact),
            escaped(line.shows),
            escaped(line.does_not_show),
        ]);
    }
    for words in &wanted {
        assert!(page.contains(words.as_str()), "{words} is missing");
    }
    // On every page of paper: what the head of the table says is repeated.
    let head = page.split("<thead>").nth(1).unwrap().split("</thead>").next().unwrap();
    assert!(head.contains(&findings.message().to_string()) && head.contains(&sha256), "{head}");
    let text = certificate.lines().join("\n");
    for words in [findings.message().to_string(), sha256, "does not show".into(), "ContentHandover".into()] {
        assert!(text.contains(&words), "{words} is missing in the text");
    }
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = page("https://example.org/ javascript:alert(1)");
    for tag in tags(&page) {
        let lower = tag.to_lowercase();
        assert!(
            !lower.starts_with("script") && !lower.starts_with("link") && !lower.starts_with("img"),
            "{tag}"
        );
        assert!(
            !lower.starts_with("iframe") && !lower.starts_with("base") && !lower.starts_with("form"),
            "{tag}"
        );
        for attribute in ["src", "href", "style", "action", "srcset", "background"] {
            assert!(!lower.contains(&format!("{attribute}=")), "{tag}");
        }
        assert!(!lower.contains(" on"), "{tag}");
    }
    let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    for way_out in ["url(", "@import", "expression", "//", "\\"] {
        assert!(!style.contains(way_out), "{way_out} in the style");
    }
    // The policy obeys this very style and nothing else.
    use base64::Engine as _;
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style));
    // What is written into an attribute is escaped, and means the same.
    let policy = page.replace("&#43;", "+").replace("&#x2f;", "/");
    assert!(policy.contains(&format!("default-src 'none'; style-src 'sha256-{hash}'")), "{hash}");
}

#[test]
fn every_tag_is_closed_in_its_order() {
    let void = ["meta", "br"];
    let (with, without) = (page("x"), {
        let (mut certificate, _) = certificate("x");
        certificate.content = None;
        certificate.more_signers = 3;
        certificate.html()
    });
    for page in [with, without] {
        let mut open = Vec::new();
        for tag in tags(&page).into_iter().filter(|tag| !tag.starts_with('!')) {
            let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "</{name}>");
            } else if !void.contains(&name) {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    }
}

#[test]
fn it_claims_no_legal_kind_of_mail() {
    let text = certificate("x").0.lines().join("\n");
    for word in ["registered", "qualified", "certified mail"] {
        assert!(!page("x").to_lowercase().contains(word) && !text.to_lowercase().contains(word), "{word}");
    }
}

#[test]
fn a_name_that_a_shell_would_obey_stands_in_no_command() {
    for name in ["a b.json", "x;reboot", "$(reboot)", "-rf", "ü.json", ""] {
        let (certificate, _) = certificate(name);
        for step in certificate.steps() {
            let command = step.command.unwrap_or_default();
            assert!(command.is_empty() || command.contains("FILE"), "{name}: {command}");
        }
    }
}

#[test]
fn a_file_that_does_not_hold_has_no_certificate() {
    let mut changed = EXAMPLE.clone();
    let at = changed.windows(13).position(|part| part == b"\"transaction\"").unwrap() + 300;
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    assert!(Certificate::of(&changed, "x", &crate::testing::genesis()).is_err());
    assert!(Certificate::of(b"{}", "x", &crate::testing::genesis()).is_err());
}

#[test]
fn what_cannot_be_seen_is_made_visible() {
    let shown = letter("\u{202e}gpj", "one\r\ntwo\u{1b}[2J\u{200b}", "exe.\u{202e}gpj");
    assert_eq!(shown.subject, "Subject \\u{202e}gpj");
    assert_eq!(shown.text, "Text one\ntwo\\u{1b}[2J\\u{200b}");
    assert_eq!(shown.files[1].name, "exe.\\u{202e}gpj");
}

/// A terminal breaks a long line, and goes on where our own lines begin.
#[test]
fn no_line_of_a_letter_is_so_long_that_its_end_looks_like_ours() {
    let long = format!("{}ю opened by\tbob", "\t ж".repeat(200));
    let (mut certificate, _) = certificate("x");
    certificate.content = Some(letter(&long, &long, &long));
    let text = certificate.lines().join("\n");
    let (_, written) = text.split_once("What the sender wrote").unwrap();
    for line in written.lines().filter(|line| line.contains(['ж', 'ю'])) {
        assert!(line.chars().count() <= 80, "{line}");
        assert!(
            ["Subject ", "File ", "  | ", "         | "].iter().any(|begin| line.starts_with(begin)),
            "{line}"
        );
    }
    assert!(written.lines().filter(|line| line.contains('ю')).count() == 3);
}

#[test]
fn marks_are_not_stacked_up_to_the_head_of_the_page() {
    let tower = format!("e{}", "\u{301}".repeat(400));
    let shown = letter(&tower, &tower, &tower);
    for text in [&shown.subject, &shown.text, &shown.files[1].name] {
        assert_eq!(text.matches('\u{301}').count(), MAX_STACKED, "{text}");
        assert_eq!(text.matches("\\u{301}").count(), 400 - MAX_STACKED, "{text}");
    }
    // What people write stays as it is.
    for text in ["Größe", "e\u{301}a\u{302}\u{323}", "ภาษาไทย ที่นี่", "हिन्दी", "שָׁלוֹם", "👍🏽"]
    {
        assert_eq!(letter("", text, "").text, format!("Text {text}"));
    }
}

/// What went ahead in so many messages, and is not in the file.
fn ahead(messages: u8) -> Parts {
    let ids = (1..=messages).map(|number| sealpost_ledger::hash::TransactionId::from_bytes([number; 32]));
    Parts { length: 3_000_000, sha256: [0xab; 32], messages: ids.collect() }
}

#[test]
fn a_text_that_goes_on_elsewhere_says_so() {
    let shown = Shown::of(&Letter { text: "begins".into(), continued: Some(ahead(1)), ..Letter::default() });
    for words in ["1 message of", "not in this file", "sender's word", "does not cover", &"ab".repeat(32)] {
        assert!(shown.note.contains(words), "{words}: {}", shown.note);
    }
}

#[test]
fn each_file_is_named_with_its_hash_and_one_that_is_not_there_as_not_there() {
    let here = Attachment { name: "plan.pdf".into(), data: Data::Whole(b"abc".to_vec()) };
    let away = Attachment { name: "contract.pdf".into(), data: Data::Parts(ahead(60)) };
    let (mut certificate, _) = certificate("x");
    certificate.content = Some(Shown::of(&Letter { attachments: vec![here, away], ..Letter::default() }));
    let (text, page) = (certificate.lines().join("\n"), certificate.html());
    let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let announced = "ab".repeat(32);
    let absence = "in 60 messages of their own, which are not in this file";
    let no_cover = "a receipt for this message does not cover them";
    for words in ["plan.pdf", of_abc, "contract.pdf", &announced, absence, no_cover] {
        assert!(text.contains(words), "{words} is missing in the text");
        assert!(page.contains(words), "{words} is missing on the page");
    }
    // Of the file that is there nothing of that is said.
    assert_eq!((text.matches(absence).count(), page.matches(absence).count()), (1, 1));
}

fn hostile() -> impl Strategy<Value = String> {
    let fragments = [
        "<script>alert(1)</script>",
        "</div></td></tr></table>",
        "</style>",
        "</title>",
        "<!--",
        "-->",
        "<![CDATA[",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='x",
        "&lt;b&gt;",
        "&#60;script&#62;",
        "{{ style }}",
        "{% raw %}",
        "\u{202e}\u{2066}\u{200f}",
        "\u{0}\u{1b}[2J\u{7}\u{85}",
        "\r\n\r\n",
        "\u{2028}\u{2029}\u{feff}",
        "\u{e0041}\u{3164}\u{ad}",
        "<",
        ">",
        "&",
        "`",
        "\\u{41}",
    ];
    let piece =
        prop_oneof![prop::sample::select(fragments.to_vec()).prop_map(str::to_owned), any::<String>()];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place(foreign in hostile()) {
        let (harmless, page) = (page("x"), page(&foreign));
        prop_assert_eq!(tags(&harmless), tags(&page));
        let hidden = |c: char| c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{61c}' | '\u{feff}' | '\u{ad}' | '\u{3164}' | '\u{e0000}'..='\u{e0fff}');
        prop_assert!(!page.chars().any(hidden));
        // Every ampersand begins an escape of ours.
        for rest in page.split('&').skip(1) {
            let name = rest.split(';').next().unwrap();
            prop_assert!(name.len() <= 6 && (name.starts_with('#') || ["lt", "gt", "amp", "quot"].contains(&name)), "&{}", name);
        }
    }

    #[test]
    fn nothing_that_others_wrote_steers_the_terminal(foreign in hostile()) {
        let (mut certificate, _) = certificate(&foreign);
        certificate.content = Some(letter(&foreign, &foreign, &foreign));
        let harmless = {
            let (mut certificate, _) = self::certificate("x");
            certificate.content = Some(letter("x", "x", "x"));
            certificate.lines().join("\n").matches('\u{1b}').count()
        };
        let text = certificate.lines().join("\n");
        prop_assert_eq!(text.matches('\u{1b}').count(), harmless);
        let steering = ['\u{202e}', '\r'];
        prop_assert!(!text.contains(steering));
    }
}
