//! A proposal: a file that goes from validator to validator and collects approvals, until more than two
//! thirds of the power have signed and somebody submits it. The same for a change of validators and of a
//! member.

use super::asking::{Asked, NodeArgs, set_of};
use super::init::{new_secret, random};
use super::{home, runtime};
use clap::Args;
use rayon::prelude::*;
use sealpost_api::{Hex, SealpostRpcClient, Submitted, TransactionStatus, WaitFor};
use sealpost_ledger::address::Address;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{ChainId, ValidatorsHash};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::membership::{
    MemberChange, MemberStatus, ValidatorsChange, member_approval, validators_approval,
};
use sealpost_ledger::postage;
use sealpost_ledger::signature::{PublicKey, Signature, SigningKey};
use sealpost_ledger::transaction::{Payload, SignedTransaction, TRANSACTION_VERSION, Transaction};
use sealpost_ledger::validator::{Validator, ValidatorSet};
use sealpost_terminal::{Failure, Terminal, short, write_atomically, write_new_file};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const FORMAT: &str = "sealpost-proposal/1";
/// A proposal is no longer than this, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// Blocks that a submitted change of validators may wait.
const EXPIRY_BLOCKS: u64 = 1_000;

/// The file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proposal {
    format: String,
    chain: ChainId,
    /// The set whose approval counts.
    present: ValidatorsHash,
    change: Change,
    approvals: Vec<Approval>,
}

/// What is proposed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Change {
    /// Another set of validators.
    Validators { effective: BlockHeight, validators: Vec<Power> },
    /// A member comes or goes.
    Member { address: String, status: Status, expiry: BlockHeight },
}

/// A validator of a set.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Power {
    pub(super) public_key: PublicKey,
    pub(super) power: u64,
}

/// In or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// A member from then on.
    Admitted,
    /// No longer a member.
    Ended,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    public_key: PublicKey,
    signature: Hex,
}

/// What a command says about a proposal.
#[derive(Serialize)]
struct Told<'a> {
    file: String,
    change: &'a Change,
    present: ValidatorsHash,
    approvals: Vec<PublicKey>,
}

#[derive(Serialize)]
struct Taken {
    id: String,
    height: Option<BlockHeight>,
    approvals: usize,
}

/// `approve`: which proposal.
#[derive(Debug, Args)]
pub(super) struct ApproveArgs {
    /// The proposal
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// `submit`: which proposal, and to which node.
#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    /// The proposal
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    node: NodeArgs,
}

impl Proposal {
    pub(super) fn new(chain: ChainId, present: ValidatorsHash, change: Change) -> Self {
        Self { format: FORMAT.into(), chain, present, change, approvals: Vec::new() }
    }
    fn read(path: &Path, genesis: &Genesis) -> Result<Self, Failure> {
        let shown = path.display();
        let bytes = std::fs::read(path).map_err(|error| Failure::usage(format_args!("{shown}: {error}")))?;
        if bytes.len() > MAX_BYTES {
            return Err(Failure::usage(format_args!("{shown}: longer than a proposal can be")));
        }
        let proposal: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::usage(format_args!("{shown}: not a proposal: {error}")))?;
        if proposal.format != FORMAT {
            return Err(Failure::usage(format_args!("{shown}: its format is not {FORMAT}")));
        }
        if proposal.chain != genesis.chain_id() {
            return Err(Failure::usage(format_args!(
                "{shown}: a proposal for chain {}, this home is of chain {}",
                proposal.chain,
                genesis.chain_id()
            )));
        }
        Ok(proposal)
    }
    fn to_json(&self) -> Result<Vec<u8>, Failure> {
        let mut json = serde_json::to_vec_pretty(self).map_err(Failure::bug)?;
        json.push(b'\n');
        Ok(json)
    }
    /// Writes a new file and says what is in it.
    pub(super) fn write_new(&self, path: &Path, terminal: &Terminal) -> Result<(), Failure> {
        // Whatever can't be signed is noticed before it is passed around.
        if let Change::Validators { validators, .. } = &self.change {
            ordered(validators)?;
        }
        write_new_file(path, &self.to_json()?)?;
        self.tell(path, terminal);
        terminal.say("next       every validator: approve FILE, then one of them: submit FILE");
        Ok(())
    }
    fn tell(&self, path: &Path, terminal: &Terminal) {
        match &self.change {
            Change::Validators { effective, validators } => {
                terminal.say(format_args!("validators from height {effective} on"));
                for Power { public_key, power } in validators {
                    terminal.say(format_args!("           {public_key}  power {power}"));
                }
            }
            Change::Member { address, status, expiry } => {
                let status = MemberStatus::from(*status).name();
                terminal.say(format_args!("member     {address}  {status}, if final by height {expiry}"));
            }
        }
        terminal.say(format_args!("present    validators {}", short(self.present)));
        terminal.say(format_args!("approvals  {}", self.approvals.len()));
        let told = Told {
            file: path.display().to_string(),
            change: &self.change,
            present: self.present,
            approvals: self.approvals.iter().map(|approval| approval.public_key).collect(),
        };
        terminal.emit("sealpost/proposal/1", &told);
    }
    /// What an approval signs.
    fn digest(&self, genesis: &Genesis) -> Result<[u8; 32], Failure> {
        Ok(match &self.change {
            Change::Validators { effective, validators } => {
                let set = ordered(validators)?;
                validators_approval(&self.chain, &self.present, *effective, set.validators())
            }
            Change::Member { address, status, expiry } => {
                let address = Address::parse(address, genesis.prefix()).map_err(Failure::usage)?;
                member_approval(&self.chain, &self.present, *expiry, &address, (*status).into())
            }
        })
    }
    /// The transaction's payload, with the approvals in the order of the present set.
    fn payload(&self, genesis: &Genesis, present: &ValidatorSet) -> Result<Payload, Failure> {
        let digest = self.digest(genesis)?;
        let mut approvals = Vec::with_capacity(self.approvals.len());
        for Approval { public_key, signature } in &self.approvals {
            let malformed = || Failure::usage(format_args!("the approval of {public_key} is malformed"));
            let bytes = <[u8; 64]>::try_from(signature.as_bytes()).map_err(|_| malformed())?;
            let Some((position, _)) = present.find(public_key) else {
                let text = format!("{public_key} approves and is not a present validator");
                return Err(Failure::refused("approval.foreign", text));
            };
            approvals.push((position, Signature::from_bytes(bytes)));
        }
        approvals.sort_by_key(|(position, _)| *position);
        // The ledger checks the same; here it costs no postage.
        present.verify_quorum(digest, approvals.iter().copied()).map_err(|error| {
            let refusal = sealpost_ledger::execution::Refusal::from(error);
            Failure::refused(refusal.code(), refusal)
        })?;
        Ok(match &self.change {
            Change::Validators { effective, validators } => {
                let validators = ordered(validators)?.validators().to_vec();
                Payload::Validators(ValidatorsChange { validators, effective: *effective, approvals })
            }
            Change::Member { address, status, .. } => {
                let address = Address::parse(address, genesis.prefix()).map_err(Failure::usage)?;
                Payload::Member(MemberChange { address, status: (*status).into(), approvals })
            }
        })
    }
}

impl From<Status> for MemberStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Admitted => MemberStatus::Admitted,
            Status::Ended => MemberStatus::Ended,
        }
    }
}

fn ordered(validators: &[Power]) -> Result<ValidatorSet, Failure> {
    let validators = validators.iter().map(|v| Validator { key: v.public_key, power: v.power });
    ValidatorSet::new(validators.collect()).map_err(Failure::usage)
}

/// `approve`: signs a proposal with the validator key of the home.
pub(super) fn approve(ApproveArgs { file }: &ApproveArgs, terminal: &Terminal) -> Result<(), Failure> {
    let home = home(terminal)?;
    let genesis = home.genesis()?;
    let mut proposal = Proposal::read(file, &genesis)?;
    let key = home.validator()?.ok_or_else(|| {
        Failure::usage("no validator key is here").help("--home names the folder of the validator's node")
    })?;
    let digest = proposal.digest(&genesis)?;
    let signature = key.sign(&digest, &*random()?).map_err(Failure::bug)?;
    let public_key = key.public_key();
    proposal.approvals.retain(|approval| approval.public_key != public_key);
    let signature = Hex(signature.as_bytes().to_vec());
    proposal.approvals.push(Approval { public_key, signature });
    write_atomically(file, &proposal.to_json()?)?;
    proposal.tell(file, terminal);
    Ok(())
}

/// `submit`: makes the transaction of a proposal and hands it in. A throw-away key is its sender: what
/// counts are the approvals.
pub(super) fn submit(SubmitArgs { file, node }: &SubmitArgs, terminal: &Terminal) -> Result<(), Failure> {
    let asked = node.connect(terminal)?;
    let genesis = home(terminal)?.genesis()?;
    let proposal = Proposal::read(file, &genesis)?;
    let submitted = runtime()?.block_on(async {
        let told = asked.validators().await?;
        let present = set_of(&told)?;
        if present.hash() != proposal.present {
            let text = "the validators have changed since this was proposed, so its approvals are void";
            return Err(Failure::refused("validator.other_set", text).help("propose and approve it again"));
        }
        let expiry = match &proposal.change {
            Change::Validators { .. } => {
                told.height.saturating_add(genesis.limits().expiry_window.min(EXPIRY_BLOCKS))
            }
            Change::Member { expiry, .. } => *expiry,
        };
        let signed = pay_and_sign(&asked, &genesis, expiry, proposal.payload(&genesis, &present)?).await?;
        let sent = asked.client.tx_submit(Hex(signed.to_bytes()), None, Some(WaitFor::Final)).await;
        sent.map_err(|error| asked.failure(&error))
    })?;
    let Submitted { id, status } = submitted;
    let height = match status {
        TransactionStatus::Final(place) => Some(place.height),
        _ => None,
    };
    let place = height.map_or("accepted".into(), |height| format!("final in block {height}"));
    terminal.say(format_args!("{place}  {}", short(id)));
    let approvals = proposal.approvals.len();
    terminal.emit("sealpost/proposal-submit/1", &Taken { id: id.to_string(), height, approvals });
    Ok(())
}

async fn pay_and_sign(
    asked: &Asked,
    genesis: &Genesis,
    expiry: BlockHeight,
    payload: Payload,
) -> Result<SignedTransaction, Failure> {
    let key = SigningKey::from_bytes(&*new_secret()?).map_err(Failure::bug)?;
    let mut transaction = Transaction {
        version: TRANSACTION_VERSION,
        chain: genesis.chain_id(),
        sender: Address::new(key.public_key()),
        expiry,
        payload,
        nonce: 0,
    };
    let bytes = transaction.charged_bytes(0);
    let quote = asked.client.postage_price(bytes as u64).await.map_err(|error| asked.failure(&error))?;
    // The price may rise before the block that takes it.
    let work = postage::work(quote.price.max(quote.price_after), bytes);
    if work > 1 {
        let core = transaction.postage_hash();
        let paid = (0..u64::MAX).into_par_iter().find_any(|nonce| postage::is_paid(&core, *nonce, work));
        transaction.nonce = paid.ok_or_else(|| Failure::bug("no nonce pays"))?;
    }
    transaction.sign(&key, &[0; 32]).map_err(Failure::bug)
}
