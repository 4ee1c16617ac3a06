//! Lists of messages as files: a JSON object a line, or a table with a line of names above. All of a list is read and
//! checked before anything of it is sent, and what is wrong is named by line and field.

use crate::cli::send::check_not_empty;
use crate::contacts::Contacts;
use crate::envelope::{Content, Letter};
use crate::failure;
use crate::parcel;
use crate::wallet::{Draft, Wallet};
use sealpost_ledger::address::Address;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::message::Mode;
use sealpost_terminal::{Exit, Failure, bytes, counted, printable};
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;

/// Longest list, in bytes.
const MAX_LIST_BYTES: u64 = 256 << 20;
/// Mistakes that are named at most.
const MAX_NAMED: usize = 20;
/// The fields, as they are named to people.
const FIELDS: &str = "to, subject, text, file, reply_to, sealed";

/// A message of a list, with the line it stands in, from 1.
pub(super) struct Entry {
    pub(super) line: u64,
    /// As it is written: with the names that stand for recipients and text.
    pub(super) written: String,
    pub(super) draft: Draft,
}

/// What is wrong with a field.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    line: u64,
    field: String,
    reason: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "line {}: {}", self.line, self.reason),
            field => write!(f, "line {}, {field}: {}", self.line, self.reason),
        }
    }
}

/// A message as it is written in a list.
#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    to: Vec<String>,
    subject: String,
    text: String,
    file: Option<String>,
    reply_to: Option<String>,
    sealed: bool,
}

impl Row {
    /// The same text for the same row, whatever what it names stands for and in whatever format it is written.
    fn written(&self) -> String {
        let Self { to, subject, text, file, reply_to, sealed } = self;
        serde_json::json!([to, subject, text, file, reply_to, sealed]).to_string()
    }
}

/// Reads and checks a list. With `sealed` all its messages are.
pub(super) fn read(path: &Path, wallet: &Wallet, sealed: bool) -> Result<Vec<Entry>, Failure> {
    let wrong =
        |reason: &dyn fmt::Display| Failure::usage(format_args!("list: {}: {reason}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| wrong(&error))?.len();
    if length > MAX_LIST_BYTES {
        let (length, limit) = (bytes(length), bytes(MAX_LIST_BYTES));
        return Err(wrong(&format_args!("it has {length}, and a list has {limit} at most")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let is_table = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let (rows, mut mistakes) = if is_table { table(&text) } else { lines(&text) };
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut entries = Vec::with_capacity(rows.len());
    for (line, mut row) in rows {
        row.sealed |= sealed;
        let written = row.written();
        match check(row, wallet, &contacts, folder) {
            Ok(draft) => entries.push(Entry { line, written, draft }),
            Err((field, reason)) => mistakes.push(Mistake { line, field: field.into(), reason }),
        }
    }
    if mistakes.is_empty() {
        return match entries.is_empty() {
            true => Err(wrong(&"there is no message in it")),
            false => Ok(entries),
        };
    }
    mistakes.sort_by_key(|mistake| mistake.line);
    Err(refusal(path, &mistakes))
}

fn refusal(path: &Path, mistakes: &[Mistake]) -> Failure {
    let mut said: Vec<_> = mistakes.iter().take(MAX_NAMED).map(|mistake| format!("\n  {mistake}")).collect();
    if let Some(more) = mistakes.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        said.push(format!("\n  and {more} more"));
    }
    let count = counted(mistakes.len() as u64, "mistake");
    let message = format!("list: {}: {count}, and nothing was sent:{}", path.display(), said.concat());
    let named = mistakes.iter().take(MAX_NAMED).map(|Mistake { line, field, reason }| {
        serde_json::json!({ "line": line, "field": field, "reason": reason })
    });
    Failure::new(Exit::Usage, "input.list", message)
        .help(format!("the fields are {FIELDS}; the formats stand in `sealpost send-many --help`"))
        .with("mistakes", named.collect::<Vec<_>>())
}

/// A JSON object a line; empty lines are none.
fn lines(text: &str) -> (Vec<(u64, Row)>, Vec<Mistake>) {
    let (mut rows, mut mistakes) = (Vec::new(), Vec::new());
    for (line, text) in (1_u64..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        match serde_json::from_str::<Map<String, Value>>(text) {
            Ok(fields) => row(line, fields, &mut rows, &mut mistakes),
            Err(error) => {
                let reason = format!("it is no JSON object: {error}");
                mistakes.push(Mistake { line, field: String::new(), reason });
            }
        }
    }
    (rows, mistakes)
}

/// A table whose first line names the fields. Recipients stand in one cell, separated by spaces.
fn table(text: &str) -> (Vec<(u64, Row)>, Vec<Mistake>) {
    let (mut rows, mut mistakes) = (Vec::new(), Vec::new());
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let at = |position: Option<&csv::Position>| position.map_or(1, csv::Position::line);
    let names = match reader.headers() {
        Ok(names) => names.clone(),
        Err(error) => {
            let reason = error.to_string();
            return (rows, vec![Mistake { line: at(error.position()), field: String::new(), reason }]);
        }
    };
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let reason = error.to_string();
                mistakes.push(Mistake { line: at(error.position()), field: String::new(), reason });
                continue;
            }
        };
        let cells = names.iter().map(str::trim).zip(&record).filter(|(_, cell)| !cell.is_empty());
        let fields = cells.map(|(name, cell)| {
            let value: Value = match (name, cell.trim()) {
                ("to", cell) => cell.split_whitespace().map(Value::from).collect(),
                ("sealed", "true") => true.into(),
                ("sealed", "false") => false.into(),
                _ => cell.into(),
            };
            (name.to_owned(), value)
        });
        row(at(record.position()), fields.collect(), &mut rows, &mut mistakes);
    }
    (rows, mistakes)
}

/// Takes the fields of a message, or names those that are wrong.
fn row(line: u64, fields: Map<String, Value>, rows: &mut Vec<(u64, Row)>, mistakes: &mut Vec<Mistake>) {
    let (mut row, before) = (Row::default(), mistakes.len());
    for (field, value) in fields {
        let taken = match (field.as_str(), value) {
            (_, Value::Null) => Ok(()),
            ("to", Value::String(name)) => {
                row.to = vec![name];
                Ok(())
            }
            ("to", Value::Array(names)) => {
                let names = names.into_iter().map(|name| match name {
                    Value::String(name) => Ok(name),
                    _ => Err("a list of texts is expected"),
                });
                names.collect::<Result<_, _>>().map(|names| row.to = names)
            }
            ("to", _) => Err("a text or a list of texts is expected"),
            ("sealed", Value::Bool(sealed)) => {
                row.sealed = sealed;
                Ok(())
            }
            ("sealed", _) => Err("true or false is expected"),
            ("subject" | "text" | "file" | "reply_to", Value::String(text)) => {
                match field.as_str() {
                    "subject" => row.subject = text,
                    "text" => row.text = text,
                    "file" => row.file = Some(text),
                    _ => row.reply_to = Some(text),
                }
                Ok(())
            }
            ("subject" | "text" | "file" | "reply_to", _) => Err("a text is expected"),
            _ => Err("there is no such field"),
        };
        if let Err(reason) = taken {
            mistakes.push(Mistake { line, field: printable(&field), reason: reason.into() });
        }
    }
    if mistakes.len() == before {
        rows.push((line, row));
    }
}

/// The message that a row is, or the field that is wrong with it, and why.
fn check(
    row: Row,
    wallet: &Wallet,
    contacts: &Contacts,
    folder: &Path,
) -> Result<Draft, (&'static str, String)> {
    let Row { to, subject, text, file, reply_to, sealed } = row;
    let to: Vec<Address> = contacts.expand(&to).map_err(|error| ("to", error.to_string()))?;
    if to.is_empty() {
        return Err(("to", "nobody is named".into()));
    }
    wallet.check_recipients(to.len()).map_err(|error| ("to", error.to_string()))?;
    let text = match file {
        None => text,
        Some(_) if !text.is_empty() => return Err(("file", "the text is given already".into())),
        Some(file) => {
            let path = folder.join(&file);
            std::fs::read_to_string(&path)
                .map_err(|error| ("file", format!("{}: {error}", path.display())))?
        }
    };
    check_not_empty(&subject, &text, 0).map_err(|failure| ("text", failure.message))?;
    let reply_to = reply_to.map(|id| id.parse::<TransactionId>()).transpose();
    let reply_to =
        reply_to.map_err(|_| ("reply_to", "64 lower-case hexadecimal digits are expected".into()))?;
    let mode = if sealed { Mode::Sealed } else { Mode::Open };
    let content = Content::from(Letter { subject, text, reply_to, ..Letter::default() });
    let (length, room) = (content.to_bytes().len(), parcel::room(wallet.genesis(), to.len(), mode));
    if length > room {
        let (length, room) = (bytes(length as u64), bytes(room as u64));
        let reason = format!(
            "{length} do not fit into one message, which takes {room}; `sealpost send` sends it in parts"
        );
        return Err(("text", reason));
    }
    Ok(Draft { to, content, mode })
}

/// For the fuzzer: whatever a list says, each row that is taken has a recipient, and each mistake a line.
#[cfg(feature = "fuzzing")]
pub(in crate::cli) fn fuzz(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let most = text.lines().count() as u64;
    let mut taken = false;
    for (rows, mistakes) in [lines(text), table(text)] {
        taken |= !rows.is_empty();
        assert!(
            rows.iter()
                .map(|(line, _)| line)
                .chain(mistakes.iter().map(|m| &m.line))
                .all(|line| *line <= most + 1)
        );
        if !mistakes.is_empty() {
            assert!(!refusal(Path::new("list"), &mistakes).message.is_empty());
        }
    }
    taken
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn said(mistakes: &[Mistake]) -> Vec<String> {
        mistakes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lines_and_tables_say_the_same() {
        let json = "{\"to\":[\"bob\",\"@residents\"],\"subject\":\"Lift\",\"text\":\"two\\nlines\"}\n\n\
                    {\"to\":\"carol\",\"file\":\"notice.txt\",\"sealed\":true}\n";
        let csv =
            "to,subject,text,file,sealed\nbob @residents,Lift,\"two\nlines\",,\ncarol,,,notice.txt,true\n";
        let ((from_json, no), (from_csv, none)) = (lines(json), table(csv));
        assert!(no.is_empty() && none.is_empty(), "{no:?} {none:?}");
        let rows = |list: &[(u64, Row)]| list.iter().map(|(_, row)| format!("{row:?}")).collect::<Vec<_>>();
        assert_eq!(rows(&from_json), rows(&from_csv));
        // Lines as an editor counts them: empty ones, and those within a cell.
        assert_eq!(from_json.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(from_csv.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(from_json[0].1.to, ["bob", "@residents"]);
        let written = |list: &[(u64, Row)]| list.iter().map(|(_, row)| row.written()).collect::<Vec<_>>();
        assert_eq!(written(&from_json), written(&from_csv));
        assert_eq!(written(&from_json)[1], r#"[["carol"],"","","notice.txt",null,true]"#);
        assert!(from_json[1].1.sealed && from_json[1].1.file.as_deref() == Some("notice.txt"));
    }

    #[test]
    fn every_mistake_is_named_by_line_and_field() {
        let (rows, mistakes) = lines(
            "{\"to\":[\"bob\"],\"text\":5}\nnothing\n{\"to\":[1],\"txt\":\"x\"}\n{\"to\":\"bob\",\"sealed\":\"yes\"}",
        );
        assert!(rows.is_empty());
        let said = said(&mistakes);
        assert_eq!(said[0], "line 1, text: a text is expected");
        assert!(said[1].starts_with("line 2: it is no JSON object"), "{said:?}");
        assert_eq!(said[2], "line 3, to: a list of texts is expected");
        assert_eq!(said[3], "line 3, txt: there is no such field");
        assert_eq!(said[4], "line 4, sealed: true or false is expected");
        let (rows, mistakes) = table("to,text\nbob,x\nbob\nbob,x,y\n");
        assert_eq!((rows.len(), mistakes.len()), (1, 2), "{mistakes:?}");
        assert_eq!(mistakes.iter().map(|mistake| mistake.line).collect::<Vec<_>>(), [3, 4]);
    }
}
