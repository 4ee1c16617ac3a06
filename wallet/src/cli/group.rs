//! `contact group`: named lists of contacts, for sending one message to all of them.

use super::Session;
use crate::contacts::Contacts;
use crate::failure;
use clap::Subcommand;
use sealpost_ledger::address::{Address, AddressPrefix};
use sealpost_terminal::{Failure, counted, short_address};

#[derive(Debug, Clone, Subcommand)]
#[command(after_help = "Examples:
  sealpost contact group add residents bob carol
  sealpost send @residents -m \"The lift is out of service\"
Names of groups and of contacts share one space: no two are the same, and none looks like another.")]
pub(super) enum GroupCommand {
    /// Add members to a group; the first ones make it
    Add {
        /// The group's name, for this machine only
        name: String,
        /// Contacts or addresses
        #[arg(required = true, value_name = "MEMBER")]
        members: Vec<String>,
    },
    /// Take members out of a group, or forget the group; they stay contacts
    Remove {
        /// The group
        name: String,
        /// Contacts or addresses; without any the whole group is forgotten
        #[arg(value_name = "MEMBER")]
        members: Vec<String>,
    },
    /// List the groups
    List,
    /// List the members of a group
    Show {
        /// The group
        name: String,
    },
}

#[derive(serde::Serialize)]
struct Member {
    name: Option<String>,
    address: String,
}

#[derive(serde::Serialize)]
struct Group {
    name: String,
    members: Vec<Member>,
}

#[derive(serde::Serialize)]
struct Listed {
    groups: Vec<Group>,
}

pub(super) fn group(command: &GroupCommand, session: &Session<'_>) -> Result<(), Failure> {
    let profile = session.profile()?;
    let mut contacts = profile.contacts().map_err(failure)?;
    let (prefix, terminal) = (profile.genesis().prefix(), session.terminal);
    match command {
        GroupCommand::Add { name, members } => {
            let members = addresses(&contacts, members)?;
            let added = contacts.add_to_group(name, &members).map_err(failure)?;
            let group = found(&contacts, name, prefix)?;
            let (now, added) =
                (counted(group.members.len() as u64, "member"), counted(added as u64, "member"));
            terminal.say(format_args!("{}: {added} added, {now} now", group.name));
            let limit = profile.genesis().limits().slots;
            if group.members.len() > usize::from(limit) {
                terminal.warn(format_args!(
                    "one message takes {limit} recipients (genesis: limits.slots), so this group can't be sent to as a whole"
                ));
            }
            terminal.emit("sealpost/contact-group-add/1", &group);
        }
        GroupCommand::Remove { name, members } if members.is_empty() => {
            let group = found(&contacts, name, prefix)?;
            contacts.forget_group(name).map_err(failure)?;
            let count = counted(group.members.len() as u64, "member");
            terminal.say(format_args!("{} is forgotten; it had {count}", group.name));
            terminal.emit("sealpost/contact-group-remove/1", &Group { members: Vec::new(), ..group });
        }
        GroupCommand::Remove { name, members } => {
            let members = addresses(&contacts, members)?;
            contacts.remove_from_group(name, &members).map_err(failure)?;
            let group = found(&contacts, name, prefix)?;
            let now = counted(group.members.len() as u64, "member");
            terminal.say(format_args!("{}: {now} now", group.name));
            terminal.emit("sealpost/contact-group-remove/1", &group);
        }
        GroupCommand::List => {
            let groups = contacts.groups().map(|(name, members)| of(&contacts, name, members, prefix));
            let listed = Listed { groups: groups.collect() };
            for group in &listed.groups {
                terminal.say(format_args!(
                    "{:<16} {}",
                    group.name,
                    counted(group.members.len() as u64, "member")
                ));
            }
            terminal.emit("sealpost/contact-group-list/1", &listed);
        }
        GroupCommand::Show { name } => {
            let group = found(&contacts, name, prefix)?;
            for member in &group.members {
                let name = member.name.as_deref().unwrap_or("(no contact)");
                terminal.say(format_args!("{name:<16} {}", short_address(&member.address)));
            }
            terminal.emit("sealpost/contact-group-show/1", &group);
        }
    }
    Ok(())
}

fn addresses(contacts: &Contacts, members: &[String]) -> Result<Vec<Address>, Failure> {
    members.iter().map(|member| contacts.resolve(member).map_err(failure)).collect()
}

fn found(contacts: &Contacts, name: &str, prefix: &AddressPrefix) -> Result<Group, Failure> {
    let members = contacts.group(name).map_err(failure)?;
    let name = name.strip_prefix('@').unwrap_or(name).to_lowercase();
    Ok(of(contacts, &name, members, prefix))
}

fn of(contacts: &Contacts, name: &str, members: &[Address], prefix: &AddressPrefix) -> Group {
    let member = |address: &Address| Member {
        name: contacts.name_of(address).map(Into::into),
        address: address.to_text(prefix),
    };
    Group { name: name.into(), members: members.iter().map(member).collect() }
}
