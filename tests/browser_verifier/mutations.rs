//! Evidence and genesis files with something wrong in their text: fields lost, doubled and exchanged, bytes
//! flipped, files cut off and spelled in other ways. Most say nothing any more, some are refused, a few still
//! hold: which of them is for the two checks to say.

use sealpost_tests::harness::random::Random;
use std::fmt::Write as _;

/// Values that may stand where another one stood.
fn odd_values() -> Vec<String> {
    let mut values: Vec<String> = [
        "null",
        "true",
        "0",
        "1",
        "2",
        "-0",
        "-1",
        "1.0",
        "1e2",
        "00",
        "01",
        "0x1",
        "1_0",
        "+1",
        ".5",
        "5.",
        "NaN",
        "255",
        "256",
        "65535",
        "65536",
        "4294967295",
        "4294967296",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999",
        "1e999",
        "\"\"",
        "\"0\"",
        "\"A\"",
        "\"AA\"",
        "\"AB\"",
        "\"AAA\"",
        "\"AAAA\"",
        "\"AAAA=\"",
        "\"AA==\"",
        "\"A+/A\"",
        "\"A-_A\"",
        "\"A A\"",
        "[]",
        "[[]]",
        "[null]",
        "{}",
        "{\"block\": 1}",
        "\"\\u0041\\u0041\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\udc00\"",
        "\"\\x41\"",
        "\"\\\"",
        "\"\\/\"",
        "\"é\"",
        "\"e\u{301}\"",
        "\"𝕊\u{10ffff}\"",
        "\"\u{202e}\u{feff}\"",
        "\"\u{0}\"",
        "\"\u{7f}\"",
        "\"\t\"",
        "\"\\n\"",
        "\"</script>\"",
        "'A'",
        "undefined",
        "",
        "\"sealpost-evidence/2\"",
        "\"sealpost-evidence/1\"",
        "\"sealpost-genesis/1\"",
    ]
    .map(String::from)
    .into();
    for digits in
        ["0".repeat(64), "f".repeat(64), "F".repeat(64), "0".repeat(63), "0".repeat(65), "g".repeat(64)]
    {
        values.push(format!("\"{digits}\""));
    }
    values.push(format!("\"{}\"", "A".repeat(100_000)));
    values.push(format!("\"{}\"", "𝕊".repeat(20_000)));
    values.push(format!("{}{}", "[".repeat(200), "]".repeat(200)));
    values.push("9".repeat(1000));
    values
}

/// A line of a file that holds a field with a simple value: what stands before the value, the value, what
/// follows.
fn simple_field(line: &str) -> Option<(&str, &str, &str)> {
    let at = line.find("\": ")? + 3;
    let (before, rest) = line.split_at_checked(at)?;
    let value = rest.strip_suffix(',').unwrap_or(rest);
    let simple = !matches!(value, "{" | "[");
    simple.then(|| (before, value, &rest[value.len()..]))
}

/// The lines of a file with one of them exchanged for others.
fn with_line(lines: &[&str], at: usize, put: &[&str]) -> String {
    let mut text = String::new();
    for line in lines[..at].iter().chain(put).chain(&lines[at + 1..]) {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// Files made from one by changing its text, each with what was done to it. `thoroughly` takes every odd
/// value at every field, and otherwise some that the seed chooses.
pub(super) fn of_text(file: &str, seed: u64, thoroughly: bool) -> Vec<(String, Vec<u8>)> {
    let mut random = Random::new(seed);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: String, file: Vec<u8>| files.push((name, file));
    let lines: Vec<&str> = file.lines().collect();

    for (at, line) in lines.iter().enumerate() {
        add(format!("line {at} lost"), with_line(&lines, at, &[]).into_bytes());
        add(format!("line {at} twice"), with_line(&lines, at, &[line, line]).into_bytes());
        if let Some(next) = lines.get(at + 1) {
            let mut turned = lines.clone();
            turned.swap(at, at + 1);
            if next.trim_end_matches(',') != line.trim_end_matches(',') {
                add(
                    format!("lines {at} and the next turned"),
                    format!("{}\n", turned.join("\n")).into_bytes(),
                );
            }
        }
        if let Some((before, value, after)) = simple_field(line) {
            let named = before.replacen('"', "\"x", 1);
            add(
                format!("line {at} renamed"),
                with_line(&lines, at, &[&format!("{named}{value}{after}")]).into_bytes(),
            );
            let odd = odd_values();
            for (number, odd) in odd.iter().enumerate() {
                // The longest make the most work and show the least.
                let wanted = if thoroughly { odd.len() < 1000 || at % 8 == 0 } else { random.below(20) == 0 };
                if wanted {
                    let line = format!("{before}{odd}{after}");
                    add(
                        format!("line {at}, odd value {number}"),
                        with_line(&lines, at, &[&line]).into_bytes(),
                    );
                }
            }
        }
    }

    let bytes = file.as_bytes();
    for _ in 0..30 {
        let at = random.below(bytes.len());
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << random.below(8);
        add(format!("byte {at} flipped"), flipped);
        let mut other = bytes.to_vec();
        other[at] = b"0123456789abcdefABCDEF-_\",:{}[] \n\\\x00\xff"[random.below(36)];
        add(format!("byte {at} exchanged"), other);
        let mut longer = bytes.to_vec();
        longer.insert(at, b"0aA \n,\"\\"[random.below(8)]);
        add(format!("byte put in at {at}"), longer);
        let mut shorter = bytes.to_vec();
        shorter.remove(at);
        add(format!("byte {at} lost"), shorter);
        add(format!("cut off at {at}"), bytes[..at].to_vec());
    }

    let spelled = [
        ("no last line feed", file.trim_end().to_owned()),
        ("a line feed more", format!("{file}\n")),
        ("a space first", format!(" {file}")),
        ("a byte order mark", format!("\u{feff}{file}")),
        ("something after it", format!("{file}x")),
        ("itself after it", format!("{file}{file}")),
        ("carriage returns", file.replace('\n', "\r\n")),
        ("tabs", file.replace("  ", "\t")),
        ("dense", file.replace(['\n', ' '], "")),
        ("escaped name", file.replacen("\"format\"", "\"form\\u0061t\"", 1)),
        ("escaped value", file.replacen("sealpost-", "sealpos\\u0074-", 1)),
        ("upper case", file.to_uppercase()),
        ("as a list", format!("[{file}]")),
        ("nothing", String::new()),
        ("spaces", " \n\t\r".repeat(100)),
        ("a body spelled out", file.replacen("\n}", ",\n  \"body\": null\n}", 1)),
        ("a comma too much", file.replacen("\n}", ",\n}", 1)),
        ("a comment", file.replacen("{\n", "{ // so\n", 1)),
        ("fields of no object", file.replacen("{\n", "{\n  \"__proto__\": {},\n", 1)),
        ("field by a name of the language", file.replacen("{\n", "{\n  \"constructor\": 1,\n", 1)),
    ];
    for (name, text) in spelled {
        add(name.into(), text.into_bytes());
    }
    files.retain(|(_, changed)| changed != bytes);
    files
}

/// Files whose text is spelled as it should be, but whose encoded bytes are changed: they get past the
/// reading of the text, to the structures and the checks behind.
pub(super) fn of_bytes(file: &str, seed: u64) -> Vec<(String, Vec<u8>)> {
    let mut random = Random::new(seed);
    let mut files = Vec::new();
    let lines: Vec<&str> = file.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let (before, value, after) = match simple_field(line) {
            Some(parts) => parts,
            // A node of a path, which has no name.
            None if line.trim_start().starts_with('"') && !line.contains(':') => {
                let from = line.find('"').unwrap();
                let value = line[from..].trim_end_matches(',');
                (&line[..from], value, &line[from + value.len()..])
            }
            None => continue,
        };
        let mut add = |name: &str, value: String| {
            let line = format!("{before}{value}{after}");
            files.push((format!("line {at}: {name}"), with_line(&lines, at, &[&line]).into_bytes()));
        };
        let text = value.trim_matches('"');
        if let Ok(number) = text.parse::<u64>() {
            for other in
                [number.wrapping_add(1), number.wrapping_sub(1), 0, 1, 7, number ^ 0x1_0000, u64::MAX]
            {
                add(&format!("{number} as {other}"), other.to_string());
            }
            continue;
        }
        // Names and formats are no bytes.
        if !text.bytes().all(|c| DIGITS.contains(&c)) || before.contains("\"format\"") {
            continue;
        }
        let is_hex = text.len() == 64 && const_hex::decode(text).is_ok();
        let bytes = if is_hex { const_hex::decode(text).unwrap() } else { base64(text) };
        let write = |bytes: &[u8]| {
            let text = if is_hex { const_hex::encode(bytes) } else { to_base64(bytes) };
            format!("\"{text}\"")
        };
        for _ in 0..6 {
            if bytes.is_empty() {
                break;
            }
            let place = random.below(bytes.len());
            let mut changed = bytes.clone();
            changed[place] ^= 1 << random.below(8);
            add(&format!("byte {place} flipped"), write(&changed));
            changed.clone_from(&bytes);
            changed[place] = [0, 1, 2, 0x7f, 0x80, 0xff][random.below(6)];
            add(&format!("byte {place} set"), write(&changed));
            if !is_hex {
                changed.clone_from(&bytes);
                changed.remove(place);
                add(&format!("byte {place} lost"), write(&changed));
                add(&format!("cut off at {place}"), write(&bytes[..place]));
            }
        }
        if !is_hex {
            add("a byte more", write(&[&bytes[..], &[0]].concat()));
            add("twice", write(&bytes.repeat(2)));
            add("nothing", write(&[]));
            add("only 255s", write(&vec![0xff; bytes.len()]));
            if before.contains("\"transaction\"") {
                add("much too long", write(&vec![0; 600_000]));
            }
        }
    }
    files.retain(|(_, changed)| changed != file.as_bytes());
    files
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64url written out a third time, so that neither side is tested with itself.
pub(super) fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for n in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * n) & 63) as usize]));
        }
    }
    text
}

fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| DIGITS.iter().position(|digit| *digit == c).unwrap() as u32;
    let bytes = text.as_bytes().chunks(4).flat_map(|chunk| {
        let bits = chunk.iter().fold(0_u32, |bits, c| bits << 6 | value(*c)) << (6 * (4 - chunk.len()));
        (0..chunk.len() - 1).map(move |n| (bits >> (16 - 8 * n)) as u8)
    });
    bytes.collect()
}
