//! `validator`: who decides, a key for a new one, and changes of the set.

use super::asking::{NodeArgs, set_of};
use super::init::new_secret;
use super::proposal::{self, ApproveArgs, Change, Power, Proposal, SubmitArgs};
use super::{home, runtime};
use clap::{Args, Subcommand};
use sealpost_api::NamedValidator;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::{PublicKey, SigningKey};
use sealpost_terminal::{Exit, Failure, Terminal, create_private_folder, short, write_new_secret_file};
use serde::Serialize;
use std::path::PathBuf;
use std::str::FromStr;
use zeroize::Zeroizing;

#[derive(Debug, Subcommand)]
pub(super) enum ValidatorCommand {
    /// Show the set in office, and the change that is scheduled
    Show(NodeArgs),
    /// Make a validator key; its public half is printed
    New(NewArgs),
    /// Write a proposal for another set, to be approved by the present validators
    Propose(ProposeArgs),
    /// Approve a proposal with the validator key of this home
    Approve(ApproveArgs),
    /// Hand in a proposal that enough validators have approved
    Submit(SubmitArgs),
}

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// Where to put the secret; without it the place where this home's node looks for it
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ProposeArgs {
    /// The whole new set: a JSON list of `public_key` and `power`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["add", "remove"], required_unless_present_any = ["add", "remove"])]
    set: Option<PathBuf>,
    /// Add a validator to the present set, or give one another power; may be repeated
    #[arg(long, value_name = "KEY:POWER")]
    add: Vec<KeyAndPower>,
    /// Take a validator out of the present set; may be repeated
    #[arg(long, value_name = "KEY")]
    remove: Vec<PublicKey>,
    /// First height that the new set decides
    #[arg(long, value_name = "HEIGHT")]
    effective: BlockHeight,
    /// Where to write the proposal
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Clone, Copy)]
struct KeyAndPower(Power);

impl FromStr for KeyAndPower {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (key, power) = text.split_once(':').ok_or("expected KEY:POWER")?;
        let public_key = key.parse().map_err(|error| format!("{error}"))?;
        let power = power.parse().map_err(|error| format!("power: {error}"))?;
        Ok(Self(Power { public_key, power }))
    }
}

#[derive(Serialize)]
struct Made {
    file: String,
    public_key: PublicKey,
}

pub(super) fn validator(command: &ValidatorCommand, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        ValidatorCommand::Show(node) => show(node, terminal),
        ValidatorCommand::New(args) => new(args, terminal),
        ValidatorCommand::Propose(args) => propose(args, terminal),
        ValidatorCommand::Approve(args) => proposal::approve(args, terminal),
        ValidatorCommand::Submit(args) => proposal::submit(args, terminal),
    }
}

fn show(node: &NodeArgs, terminal: &Terminal) -> Result<(), Failure> {
    let asked = node.connect(terminal)?;
    let told = runtime()?.block_on(asked.validators())?;
    terminal.say(format_args!("height     {}  decided by {}", told.height, short(told.hash)));
    list(terminal, &told.validators);
    match &told.scheduled {
        None => terminal.say("scheduled  nothing"),
        Some(scheduled) => {
            terminal.say(format_args!(
                "scheduled  from height {} on  {}",
                scheduled.effective,
                short(scheduled.hash)
            ));
            list(terminal, &scheduled.validators);
        }
    }
    terminal.emit("sealpost/validator-show/1", &told);
    Ok(())
}

fn list(terminal: &Terminal, validators: &[NamedValidator]) {
    for validator in validators {
        let name = validator.name.as_deref().unwrap_or("unnamed");
        terminal.say(format_args!("           {}  power {}  {name}", validator.public_key, validator.power));
    }
}

fn new(args: &NewArgs, terminal: &Terminal) -> Result<(), Failure> {
    let path = match &args.out {
        Some(path) => path.clone(),
        None => {
            let home = home(terminal)?;
            create_private_folder(home.root())?;
            home.validator_path()
        }
    };
    let secret = new_secret()?;
    let public_key = SigningKey::from_bytes(&secret).map_err(Failure::bug)?.public_key();
    let text = Zeroizing::new(format!("{}\n", const_hex::encode(*secret)));
    write_new_secret_file(&path, text.as_bytes())?;
    terminal.say(format_args!("secret     {}", path.display()));
    terminal.say(format_args!("validator  {public_key}"));
    terminal.emit("sealpost/validator-new/1", &Made { file: path.display().to_string(), public_key });
    Ok(())
}

fn propose(args: &ProposeArgs, terminal: &Terminal) -> Result<(), Failure> {
    let genesis = home(terminal)?.genesis()?;
    let asked = args.node.connect(terminal)?;
    let told = runtime()?.block_on(asked.validators())?;
    check_effective(args.effective, told.height, genesis.limits().expiry_window, terminal)?;
    let present = set_of(&told)?;
    let mut validators: Vec<Power> = match &args.set {
        Some(path) => {
            let shown = path.display();
            let bytes =
                std::fs::read(path).map_err(|error| Failure::usage(format_args!("{shown}: {error}")))?;
            serde_json::from_slice(&bytes)
                .map_err(|error| Failure::usage(format_args!("{shown}: {error}")))?
        }
        None => {
            let present = present.validators().iter();
            present.map(|v| Power { public_key: v.key, power: v.power }).collect()
        }
    };
    for key in &args.remove {
        let count = validators.len();
        validators.retain(|validator| validator.public_key != *key);
        if validators.len() == count {
            return Err(Failure::usage(format_args!("remove: {key} is not a present validator")));
        }
    }
    for KeyAndPower(added) in &args.add {
        validators.retain(|validator| validator.public_key != added.public_key);
        validators.push(*added);
    }
    validators.sort_by_key(|validator| validator.public_key);
    let change = Change::Validators { effective: args.effective, validators };
    Proposal::new(genesis.chain_id(), present.hash(), change).write_new(&args.out, terminal)
}

/// What no block will accept is not worth anybody's approval.
fn check_effective(
    effective: BlockHeight,
    height: BlockHeight,
    window: u64,
    terminal: &Terminal,
) -> Result<(), Failure> {
    if effective <= height {
        let what = format!("effective: {effective} has passed: the next block is {height}");
        return Err(Failure::new(Exit::Usage, "validator.effective", what)
            .help("name a height that leaves time for the approvals"));
    }
    if effective.blocks_since(height) > window {
        terminal.warn(format_args!(
            "effective: a block takes a change for {window} blocks ahead at most (genesis: limits.expiry_window); this \
             one can be submitted from about block {} on",
            effective.saturating_sub(window)
        ));
    }
    Ok(())
}
