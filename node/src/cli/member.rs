//! `member`: who is one, and who is to come or go.

use super::asking::{NodeArgs, set_of};
use super::proposal::{self, ApproveArgs, Change, Proposal, Status, SubmitArgs};
use super::{home, runtime};
use clap::{Args, Subcommand};
use sealpost_ledger::address::Address;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, Terminal};
use std::path::PathBuf;

/// Blocks for which approvals are collected, unless the network's window is shorter.
const EXPIRY_BLOCKS: u64 = 10_000;

#[derive(Debug, Subcommand)]
pub(super) enum MemberCommand {
    /// Write a proposal to admit a member or end a membership, to be approved by the validators
    Propose(ProposeArgs),
    /// Approve a proposal with the validator key of this home
    Approve(ApproveArgs),
    /// Hand in a proposal that enough validators have approved
    Submit(SubmitArgs),
}

#[derive(Debug, Args)]
pub(super) struct ProposeArgs {
    /// Whom: an address
    address: String,
    /// What is to become of it
    #[arg(long, value_enum, default_value = "admitted")]
    status: Status,
    /// Last height whose block may make it so; without it, in 10,000 blocks, or as late as the network allows
    #[arg(long, value_name = "HEIGHT")]
    expiry: Option<BlockHeight>,
    /// Where to write the proposal
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn member(command: &MemberCommand, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        MemberCommand::Propose(args) => propose(args, terminal),
        MemberCommand::Approve(args) => proposal::approve(args, terminal),
        MemberCommand::Submit(args) => proposal::submit(args, terminal),
    }
}

fn propose(args: &ProposeArgs, terminal: &Terminal) -> Result<(), Failure> {
    let genesis = home(terminal)?.genesis()?;
    Address::parse(&args.address, genesis.prefix()).map_err(Failure::usage)?;
    let asked = args.node.connect(terminal)?;
    let told = runtime()?.block_on(asked.validators())?;
    let window = genesis.limits().expiry_window.min(EXPIRY_BLOCKS);
    let expiry = args.expiry.unwrap_or_else(|| told.height.saturating_add(window));
    let change = Change::Member { address: args.address.clone(), status: args.status, expiry };
    Proposal::new(genesis.chain_id(), set_of(&told)?.hash(), change).write_new(&args.out, terminal)
}
