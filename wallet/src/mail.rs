//! Letters as Internet messages (RFC 5322, MIME), for reading in other programs: one file each, or many in an
//! mbox. Such a file is a copy that proves nothing; evidence does.

mod mbox;

pub use mbox::Mbox;

use crate::archive::Way;
use crate::envelope::Data;
use crate::letters::Kept;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as MailAddress;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use sealpost_ledger::address::Address;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_terminal::rfc3339;

/// A name that resolves nowhere (RFC 2606), so that an answer from a mail program goes nowhere.
const DOMAIN: &str = "sealpost.invalid";

/// Writes letters as Internet messages.
pub struct Mailer<'a> {
    /// The network the letters stand on.
    pub genesis: &'a Genesis,
    /// How people are called here.
    pub name: &'a dyn Fn(&Address) -> Option<String>,
}

impl std::fmt::Debug for Mailer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mailer({})", self.genesis.chain_name())
    }
}

impl Mailer<'_> {
    /// The message. `ancestors` are what it answers, what that answers and so on, the oldest first.
    pub fn message(&self, kept: &Kept, ancestors: &[TransactionId]) -> Vec<u8> {
        let letter = &kept.letter;
        let seconds = i64::try_from(kept.place.time_ms() / 1000).unwrap_or(i64::MAX);
        let mut message = MessageBuilder::new()
            .message_id(self.message_id(&kept.id))
            .date(seconds)
            .from(self.address(&kept.from))
            .to(self.recipients(&kept.to))
            .subject(Text::new(one_line(&letter.subject)));
        if let Some(answered) = letter.reply_to {
            message = message.in_reply_to(self.message_id(&answered));
            let references = ancestors.iter().map(|id| self.message_id(id));
            message = message.references(MessageId::new_list(references));
        }
        let way = match kept.way {
            Way::Came => "received",
            Way::Went => "sent",
        };
        message = message
            .header("X-Sealpost-Id", Raw::new(kept.id.to_string()))
            .header("X-Sealpost-Chain", Raw::new(self.genesis.chain_id().to_string()))
            .header("X-Sealpost-Direction", Raw::new(way))
            .header("X-Sealpost-Time", Raw::new(rfc3339(kept.place.time_ms())));
        let verified = match kept.place.height() {
            Some(height) => {
                message = message.header("X-Sealpost-Block", Raw::new(height.to_string()));
                "yes; signature, place and certificate were checked when it was kept; this copy proves nothing"
            }
            None => "no; signed here, its block is not known here; the time is this machine's",
        };
        message = message.header("X-Sealpost-Verified", Raw::new(verified));
        let mut text = letter.text.clone();
        for file in &letter.attachments {
            match &file.data {
                Data::Whole(bytes) => {
                    let name = plain_name(&file.name);
                    message = message.attachment("application/octet-stream", name, bytes.clone());
                }
                Data::Parts(parts) => text.push_str(&format!(
                    "\n[{} ({} bytes, SHA-256 {}) came in parts, which are not in this copy]\n",
                    plain_name(&file.name),
                    parts.length,
                    const_hex::encode(parts.sha256)
                )),
            }
        }
        let mut written = Vec::new();
        message.text_body(text).serialize(&mut written);
        written
    }

    fn message_id(&self, id: &TransactionId) -> String {
        format!("{id}@{}.{DOMAIN}", self.genesis.chain_name())
    }
    fn recipients(&self, to: &[Address]) -> MailAddress<'static> {
        match to {
            [] => MailAddress::new_group(Some("undisclosed-recipients"), Vec::new()),
            to => MailAddress::new_list(to.iter().map(|address| self.address(address)).collect()),
        }
    }
    fn address(&self, address: &Address) -> MailAddress<'static> {
        let text = address.to_text(self.genesis.prefix());
        MailAddress::new_address(
            (self.name)(address),
            format!("{text}@{}.{DOMAIN}", self.genesis.chain_name()),
        )
    }
}

/// What a sender called a file, without folders and control characters.
fn plain_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|c| !c.is_control()).take(200).collect();
    if plain.trim_matches(['.', ' ']).is_empty() { "attachment".into() } else { plain }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::envelope::{Attachment, Letter, Parts};
    use crate::letters::Place;
    use crate::testing::genesis;
    use proptest::prelude::*;
    use sealpost_ledger::signature::SigningKey;

    fn kept(letter: Letter) -> Kept {
        let person = |seed| Address::new(SigningKey::from_bytes(&[seed; 32]).unwrap().public_key());
        let (id, place) =
            (TransactionId::from_bytes([5; 32]), Place::Signed { time_ms: 1_700_000_000_123, height: None });
        Kept { id, way: Way::Went, from: person(2), to: vec![person(3)], place, sealed: false, letter }
    }

    fn written(kept: &Kept, name: &str) -> String {
        let genesis = genesis();
        let name = |_: &Address| Some(name.to_owned());
        let message = Mailer { genesis: &genesis, name: &name }.message(kept, &[]);
        String::from_utf8_lossy(&message).into_owned()
    }

    #[test]
    fn what_is_not_final_or_not_here_is_said() {
        let parts = Parts { length: 9, sha256: [1; 32], messages: Vec::new() };
        let attachments = vec![Attachment { name: "../big.iso".into(), data: Data::Parts(parts) }];
        let text = written(&kept(Letter { text: "x".into(), attachments, ..Letter::default() }), "bob");
        assert!(text.contains("X-Sealpost-Verified: no;"), "{text}");
        assert!(!text.contains("X-Sealpost-Block") && text.contains("Date: Tue, 14 Nov 2023 22:13:20 +0000"));
        assert!(text.contains("[big.iso (9 bytes, SHA-256 0101"), "{text}");
        let nobody = Kept { to: Vec::new(), ..kept(Letter::default()) };
        assert!(written(&nobody, "bob").contains("undisclosed-recipients"));
    }

    proptest! {
        /// Whatever a sender wrote, the head has our fields and no others, and every line ends as it must.
        #[test]
        fn nothing_a_sender_wrote_adds_a_header(
            subject in any::<String>(), text in any::<String>(), file in any::<String>(), name in any::<String>(),
        ) {
            let attachments = vec![Attachment { name: file, data: Data::Whole(vec![7; 9]) }];
            let written = written(&kept(Letter { subject, text, attachments, ..Letter::default() }), &name);
            let head = written.split("\r\n\r\n").next().unwrap();
            prop_assert!(!head.replace("\r\n", "").contains(['\r', '\n']), "{head:?}");
            let known = [
                "Message-ID", "Date", "From", "To", "Subject", "X-Sealpost-Id", "X-Sealpost-Chain",
                "X-Sealpost-Direction", "X-Sealpost-Time", "X-Sealpost-Verified", "MIME-Version", "Content-Type",
            ];
            for line in head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])) {
                let field = line.split(':').next().unwrap();
                prop_assert!(known.contains(&field), "{line:?}");
            }
        }
    }
}
