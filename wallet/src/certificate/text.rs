//! The certificate as plain text.

use super::{Certificate, LIMITS, Recipient, Shown, ShownFile};
use sealpost_ledger::evidence::FindingLine;
use sealpost_terminal::{fenced, style};

impl Certificate {
    /// Its lines, in order, with the marks of a terminal.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![style::strong("Evidence of a message"), String::new()];
        let mut fact = |label: &str, value: &str| lines.push(format!("{label:<10} {value}"));
        fact("Message", &self.message);
        fact("Network", &format!("{}, chain {}", self.network, self.chain));
        fact("From", &self.sender);
        fact("Final in", &format!("block {}, {}", self.block.height, self.block.time));
        fact("", &self.block.hash);
        fact("File", &format!("{}, {}", self.file.name, self.file.size));
        fact("", &format!("sha256 {}", self.file.sha256));
        self.recipients.iter().for_each(|recipient| recipient_lines(recipient, &mut lines));
        lines.push(String::new());
        match &self.content {
            Some(shown) => shown_lines(shown, &mut lines),
            None => {
                lines.push("What the message says is not in this file (evidence create --disclose).".into())
            }
        }
        lines.extend([String::new(), style::strong("What holds"), String::new()]);
        self.facts.iter().for_each(|line| finding_lines(line, &mut lines));
        lines.extend([String::new(), style::strong("How anybody can check it again"), String::new()]);
        for (number, step) in (1..).zip(self.steps()) {
            lines.push(format!("{number}. {}", step.says));
            lines.extend(step.command.map(|command| format!("     {command}")));
        }
        lines.push(String::new());
        lines.extend(LIMITS.iter().map(style::faint));
        lines
    }
}

fn recipient_lines(recipient: &Recipient, lines: &mut Vec<String>) {
    let label = if recipient.slot == 0 { "To" } else { "" };
    lines.push(format!("{label:<10} {}", recipient.address));
    lines.push(format!(
        "{:<10} slot {}, key bundle {}: {}",
        "", recipient.slot, recipient.key, recipient.answer
    ));
}

fn shown_lines(shown: &Shown, lines: &mut Vec<String>) {
    lines.push(style::strong("What the sender wrote"));
    lines.push(String::new());
    if !shown.note.is_empty() {
        lines.push(shown.note.clone());
    }
    if !shown.subject.is_empty() {
        lines.extend(fenced(&shown.subject, "Subject    ", "         | "));
    }
    if let Some(id) = &shown.answers {
        lines.push(format!("Answers    {id}"));
    }
    for ShownFile { name, size, sha256, absent } in &shown.files {
        lines.extend(fenced(&format!("{name} ({size})"), "File       ", "         | "));
        lines.push(format!("{:<10} sha256 {sha256}", ""));
        lines.extend(absent.iter().map(|absent| format!("{:<10} {absent}", "")));
    }
    if !shown.text.is_empty() {
        lines.push(String::new());
        lines.extend(shown.text.lines().flat_map(|line| fenced(line, "  | ", "  | ")));
    }
}

/// One fact, with where it ends.
pub(crate) fn finding_lines(line: &FindingLine, lines: &mut Vec<String>) {
    lines.push(style::held(format_args!("{:<15} {}", line.label, line.fact)));
    lines.push(style::faint(format_args!("    shows {}", line.shows)));
    lines.push(style::faint(format_args!("    does not show {}", line.does_not_show)));
    if let Some(etsi) = line.etsi {
        lines.push(style::faint(format_args!("    nearest in ETSI EN 319 522-1: {etsi}")));
    }
}
