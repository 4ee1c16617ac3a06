//! `contact`: the contact book.

use super::{Session, group};
use crate::failure;
use clap::Subcommand;
use sealpost_ledger::address::{Address, AddressPrefix};
use sealpost_terminal::Failure;

#[derive(Debug, Clone, Subcommand)]
pub(super) enum ContactCommand {
    /// Give a name to an address
    Add {
        /// The name, for this machine only
        name: String,
        /// The address, or its `sealpost:` URI
        address: String,
    },
    /// Forget a contact
    Remove {
        /// The name
        name: String,
    },
    /// Give a contact another name
    Rename {
        /// The name
        name: String,
        /// The new one
        new: String,
    },
    /// List the contacts
    List,
    /// Show the address of a contact
    Show {
        /// Name or address
        name: String,
    },
    /// Groups: named lists of contacts, for `sealpost send @NAME`
    #[command(subcommand)]
    Group(group::GroupCommand),
}

#[derive(serde::Serialize)]
pub(super) struct Entry {
    pub(super) name: Option<String>,
    pub(super) address: String,
}

#[derive(serde::Serialize)]
pub(super) struct Listed {
    pub(super) contacts: Vec<Entry>,
}

/// An address as somebody gave it, plainly or as a `sealpost:` URI.
pub(super) fn parse_address(text: &str, prefix: &AddressPrefix) -> Result<Address, Failure> {
    let plain = text.strip_prefix("sealpost:").or_else(|| text.strip_prefix("SEALPOST:"));
    Address::parse(plain.unwrap_or(text), prefix)
        .map_err(|error| Failure::usage(format_args!("address: {error}")))
}

pub(super) fn contact(command: &ContactCommand, session: &Session<'_>) -> Result<(), Failure> {
    let profile = session.profile()?;
    let mut contacts = profile.contacts().map_err(failure)?;
    let prefix = profile.genesis().prefix();
    let terminal = session.terminal;
    match command {
        ContactCommand::Add { name, address } => {
            let address = parse_address(address, prefix)?;
            contacts.add(name, address).map_err(failure)?;
            let entry = Entry { name: Some(name.to_lowercase()), address: address.to_text(prefix) };
            terminal.say(format_args!("{} is {}", name.to_lowercase(), entry.address));
            terminal.note("Compare the address with your contact by another way: who gave you this one decides who can read.");
            terminal.emit("sealpost/contact-add/1", &entry);
        }
        ContactCommand::Remove { name } => {
            let address = contacts.remove(name).map_err(failure)?.to_text(prefix);
            terminal.say(format_args!("{} was {address}", name.to_lowercase()));
            terminal.emit("sealpost/contact-remove/1", &Entry { name: Some(name.to_lowercase()), address });
        }
        ContactCommand::Rename { name, new } => {
            let address = contacts.rename(name, new).map_err(failure)?.to_text(prefix);
            terminal.say(format_args!("{} is {address}", new.to_lowercase()));
            terminal.emit("sealpost/contact-rename/1", &Entry { name: Some(new.to_lowercase()), address });
        }
        ContactCommand::List => {
            let entries = contacts
                .list()
                .map(|(name, address)| Entry { name: Some(name.into()), address: address.to_text(prefix) });
            let listed = Listed { contacts: entries.collect() };
            for entry in &listed.contacts {
                terminal.say(format_args!(
                    "{:<16} {}",
                    entry.name.as_deref().unwrap_or_default(),
                    entry.address
                ));
            }
            terminal.emit("sealpost/contact-list/1", &listed);
        }
        ContactCommand::Show { name } => {
            let address = contacts.resolve(name).map_err(failure)?;
            let entry =
                Entry { name: contacts.name_of(&address).map(Into::into), address: address.to_text(prefix) };
            terminal.say(&entry.address);
            terminal.emit("sealpost/contact-show/1", &entry);
        }
        ContactCommand::Group(command) => return group::group(command, session),
    }
    Ok(())
}
