//! `backup`, `restore-backup`: a whole wallet in one encrypted file, and back.

use super::{Session, draft};
use crate::backup::{Backup, BackupSummary};
use crate::drafts::Listing;
use crate::failure;
use clap::Args;
use sealpost_terminal::{Confirm, Failure, bytes, counted, new_passphrase, printable, style};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sealpost backup alice.sealpost-backup
  sealpost restore-backup alice.sealpost-backup --dry-run")]
pub(super) struct BackupArgs {
    /// File to write; one that exists is not overwritten
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Ask for a passphrase for the backup alone; without it, it has the wallet's
    #[arg(long, conflicts_with = "backup_passphrase_file")]
    own_passphrase: bool,
    /// Read a passphrase for the backup alone from the first line of a file that only you can read
    #[arg(long, value_name = "PATH")]
    backup_passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RestoreBackupArgs {
    /// The backup
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// Open it and check all of it, but write nothing
    #[arg(long)]
    dry_run: bool,
    /// Name of the wallet on this machine; without it the one that it had
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

#[derive(serde::Serialize)]
struct Written {
    file: PathBuf,
    #[serde(flatten)]
    summary: BackupSummary,
}

#[derive(serde::Serialize)]
struct Back {
    restored: Option<String>,
    contacts_added: usize,
    contacts_kept: usize,
    groups_added: usize,
    groups_kept: usize,
    /// None of them goes on by itself.
    drafts: Vec<draft::Entry>,
    #[serde(flatten)]
    summary: BackupSummary,
}

pub(super) fn backup(args: &BackupArgs, session: &Session<'_>) -> Result<(), Failure> {
    let (profile, terminal) = (session.profile()?, session.terminal);
    let name = session.wallet_name(&profile)?;
    let passphrase = session.passphrase.read(terminal, &format!("wallet {name}"), Confirm::Once)?;
    let wallet = crate::wallet::Wallet::open(profile, &name, &passphrase).map_err(failure)?;
    let own = args.own_passphrase || args.backup_passphrase_file.is_some();
    let passphrase = match own {
        true => {
            let file = args.backup_passphrase_file.as_deref();
            new_passphrase(file, "--backup-passphrase-file", terminal, &format!("the backup of {name}"))?
        }
        false => passphrase,
    };
    let summary = wallet.back_up(&args.output, &passphrase).map_err(failure)?;
    terminal.say(style::held(format_args!("{} written, and read back to its end", args.output.display())));
    print(session, &summary);
    let whose = if own { "its own passphrase" } else { "the passphrase that the wallet has now" };
    terminal.note(format_args!("It opens with {whose}, also after the wallet's was changed."));
    if !summary.archival {
        terminal.note(
            "Keys that are destroyed later stay in this file: what was sent to them is readable for whoever has it and \
             its passphrase. Delete old backups.",
        );
    }
    terminal.emit("sealpost/backup/1", &Written { file: args.output.clone(), summary });
    Ok(())
}

pub(super) fn restore_backup(args: &RestoreBackupArgs, session: &Session<'_>) -> Result<(), Failure> {
    let terminal = session.terminal;
    let what = format!("backup {}", args.input.display());
    let passphrase = session.passphrase.read(terminal, &what, Confirm::Once)?;
    let backup = Backup::open(&args.input, &passphrase).map_err(failure)?;
    let summary = backup.summary().clone();
    let (contacts_added, contacts_kept, groups_added, groups_kept) = (0, 0, 0, 0);
    let (restored, drafts) = (None, Vec::new());
    let mut back =
        Back { restored, contacts_added, contacts_kept, groups_added, groups_kept, drafts, summary };
    if args.dry_run {
        terminal.say(style::held("the backup is whole: every byte of it was checked"));
        print(session, &back.summary);
        terminal.note("Nothing was written (--dry-run).");
    } else {
        let restored =
            backup.restore(&session.home()?, args.name.as_deref(), &passphrase).map_err(failure)?;
        back.restored = Some(restored.wallet.name().to_owned());
        (back.contacts_added, back.contacts_kept) = (restored.contacts_added, restored.contacts_kept);
        (back.groups_added, back.groups_kept) = (restored.groups_added, restored.groups_kept);
        terminal.say(style::held(format_args!(
            "wallet {} is back; it opens with the backup's passphrase",
            restored.wallet.name()
        )));
        print(session, &back.summary);
        for (count, what) in [(back.contacts_kept, "contact"), (back.groups_kept, "group")] {
            if count > 0 {
                let count = counted(count as u64, what);
                terminal.note(format_args!("{count} left as it is here, or without room: not taken over"));
            }
        }
        match restored.wallet.drafts() {
            Ok(Listing { drafts, damaged }) => {
                damaged.iter().for_each(|damage| terminal.warn(damage));
                back.drafts = drafts.iter().map(|listed| draft::entry(&restored.wallet, listed)).collect();
            }
            // The wallet is back all the same.
            Err(error) => terminal.warn(format_args!("the drafts can't be listed: {error}")),
        }
        back.drafts.iter().for_each(|entry| draft::print(session, entry));
        if let Some(first) = back.drafts.first() {
            terminal.note("None of these drafts goes on by itself.");
            draft::hint(session, first);
        }
        terminal.note(
            "Keys that were destroyed since the backup was made are back with it: `sealpost keys tend` destroys what is \
             past its grace period. If another copy of this wallet is in use, use one of them only: \
             `sealpost keys list` says whether it published keys since.",
        );
    }
    terminal.emit("sealpost/restore-backup/1", &back);
    Ok(())
}

fn print(session: &Session<'_>, summary: &BackupSummary) {
    let terminal = session.terminal;
    let bundles: Vec<_> = summary.bundles.iter().map(|sequence| format!("#{sequence}")).collect();
    let bundles = if bundles.is_empty() { "none".into() } else { bundles.join(", ") };
    terminal.say(format_args!("Wallet   {} on network {}", printable(&summary.wallet), summary.network));
    terminal.say(format_args!("Address  {}", summary.address));
    terminal.say(format_args!("Made     {}", printable(&summary.made)));
    terminal.say(format_args!("Holds    the words; secrets of key bundles {bundles}"));
    terminal.say(format_args!(
        "         {}, {}, {} in the outbox, {} ({})",
        counted(summary.contacts as u64, "contact"),
        counted(summary.groups as u64, "group"),
        counted(summary.outbox as u64, "transaction"),
        counted(summary.files as u64, "file"),
        bytes(summary.bytes)
    ));
}
