//! Asking a running node over its RPC: which one, and how its refusals end a command.

use crate::config::NodeSettings;
use clap::Args;
use confique::Layer as _;
use jsonrpsee::core::ClientError;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use sealpost_api::{ApiError, Category, NamedValidator, SealpostRpcClient, Validators};
use sealpost_ledger::validator::ValidatorSet;
use sealpost_terminal::{Exit, Failure, Terminal, check_url, first_url, load_config};

/// The set that validators form, as a node tells them.
pub(super) fn set_of(told: &Validators) -> Result<ValidatorSet, Failure> {
    NamedValidator::set(&told.validators).map_err(|error| Failure::untrusted("node.untrusted", error))
}

/// Which node is asked.
#[derive(Debug, Clone, Args)]
pub(super) struct NodeArgs {
    /// The node to ask; without it the one that the settings name
    #[arg(long, value_name = "URL", env = "SEALPOST_NODE")]
    node: Option<String>,
}

/// A node that can be asked.
pub(super) struct Asked {
    pub(super) url: String,
    pub(super) client: HttpClient,
}

impl NodeArgs {
    pub(super) fn connect(&self, terminal: &Terminal) -> Result<Asked, Failure> {
        let url = match &self.node {
            Some(url) => first_url(url).to_owned(),
            None => {
                let none = <NodeSettings as confique::Config>::Layer::empty();
                let settings: NodeSettings = load_config("node", terminal.globals(), none)?;
                format!("http://{}", settings.rpc.listen)
            }
        };
        check_url("node", &url)?;
        let client = HttpClientBuilder::default()
            .build(&url)
            .map_err(|error| Failure::usage(format_args!("node: {url:?}: {error}")))?;
        Ok(Asked { url, client })
    }
}

impl Asked {
    /// The validators that decide the next block, as the node tells them.
    pub(super) async fn validators(&self) -> Result<Validators, Failure> {
        self.client.chain_validators(None).await.map_err(|error| self.failure(&error))
    }
    /// The node's refusal, or that it does not answer.
    pub(super) fn failure(&self, error: &ClientError) -> Failure {
        let Some(ApiError { category, code, message, help }) = ApiError::from_client(error) else {
            return Failure::unavailable("node.unreachable", format_args!("{}: {error}", self.url))
                .help("start it with `sealpost-node run`, or name another one with --node URL");
        };
        let exit = match category {
            Category::Input => Exit::Usage,
            Category::NotFound => Exit::No,
            Category::Refused => Exit::Refused,
            Category::Busy | Category::Internal => Exit::Unavailable,
        };
        let failure = Failure::new(exit, code, message);
        match help {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}
