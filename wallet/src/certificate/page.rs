//! The certificate as one HTML page that loads nothing, runs nothing and prints well.

use super::{BlockRow, Certificate, FileFacts, LIMITS, Recipient, Shown, Signer, Step};
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealpost_ledger::evidence::FindingLine;
use sha2::{Digest, Sha256};

/// The page's one style sheet. Its hash stands in the page's policy, so that no other one is obeyed.
const STYLE: &str = include_str!("../../templates/certificate.css");

#[derive(Template)]
#[template(path = "certificate.html")]
struct Page<'a> {
    style: &'static str,
    style_hash: String,
    message: &'a str,
    network: &'a str,
    chain: &'a str,
    file: &'a FileFacts,
    sender: &'a str,
    block: &'a BlockRow,
    signers: &'a [Signer],
    more_signers: usize,
    commit: &'a str,
    recipients: &'a [Recipient],
    content: Option<&'a Shown>,
    facts: &'a [FindingLine],
    blocks: &'a [BlockRow],
    steps: Vec<Step>,
    limits: &'static [&'static str],
    version: &'static str,
}

impl Certificate {
    /// The page, whole.
    pub fn html(&self) -> String {
        let page = Page {
            style: STYLE,
            style_hash: STANDARD.encode(Sha256::digest(STYLE)),
            message: &self.message,
            network: &self.network,
            chain: &self.chain,
            file: &self.file,
            sender: &self.sender,
            block: &self.block,
            signers: &self.signers,
            more_signers: self.more_signers,
            commit: &self.commit,
            recipients: &self.recipients,
            content: self.content.as_ref(),
            facts: &self.facts,
            blocks: &self.blocks,
            steps: self.steps(),
            limits: LIMITS,
            version: env!("CARGO_PKG_VERSION"),
        };
        // Writing plain text into a string: there is nothing that could fail.
        let mut text = page.render().unwrap_or_default();
        text.push('\n');
        text
    }
}
