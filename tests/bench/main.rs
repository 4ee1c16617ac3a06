//! How fast Sealpost is on this machine: one subcommand for each row of the goals in `docs/benchmarks.md`. Prints a
//! table in Markdown, or JSON with `--json`, and the facts of the machine with it.
//!
//! ```sh
//! cargo run --release -p sealpost-tests --bin sealpost-bench -- --help
//! ```

mod chain;
mod evidence;
mod explorer;
mod filled;
mod finality;
mod growth;
mod ingest;
mod open_loop;
mod overload;
mod peers;
mod people;
mod report;
mod scan;
mod signatures;
mod sync;

use clap::{Parser, Subcommand};
use report::Report;

/// As in the node, whose work `sync` does in this process, as do those that fill ledgers. The wallet, whose work `scan`
/// does, has the system's.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Debug, Parser)]
#[command(about = "Measures Sealpost on this machine", max_term_width = 100)]
struct Args {
    /// Prints JSON in place of a table
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What making and checking evidence costs
    Evidence(evidence::Options),
    /// Pages per second of an explorer over a long ledger, and how long they take
    Explorer(explorer::Options),
    /// Time of one message from submission until it is final, and what an idle network costs
    Finality(finality::Options),
    /// Whether a node stays as fast as its ledger grows
    Growth(growth::Options),
    /// Messages per second from a client until they are final
    Ingest(ingest::Options),
    /// What a node does when several times as much is sent as it can take
    Overload(overload::Options),
    /// The same messages into a Nostr relay and into NATS JetStream
    Peers(peers::Options),
    /// Blocks per second of a node that catches up
    Sync(sync::Options),
    /// What checking signatures costs, alone and in batches
    Signatures,
    /// What looking for sealed messages costs
    Scan(scan::Options),
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    let report: Report = match args.what {
        What::Evidence(options) => evidence::run(&options).await,
        What::Explorer(options) => explorer::run(&options).await,
        What::Finality(options) => finality::run(&options).await,
        What::Growth(options) => growth::run(&options).await,
        What::Ingest(options) => ingest::run(&options).await,
        What::Overload(options) => overload::run(&options).await,
        What::Peers(options) => peers::run(&options).await,
        What::Sync(options) => sync::run(&options),
        What::Signatures => signatures::run(),
        What::Scan(options) => match scan::run(&options) {
            Some(report) => report,
            None => return,
        },
    };
    report.print(args.json);
}
