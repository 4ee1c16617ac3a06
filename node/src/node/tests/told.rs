//! What becomes of transactions that peers tell: admission and pool alone, with gossip's ends in the test's hands.

use super::super::admission;
use super::super::measuring::Measuring;
use super::super::pool::Pool;
use super::*;
use crate::mempool::{Mempool, StrangersPart};
use crate::rpc::{self, PoolQuery, PoolSizes, Submission, SubmissionRefusal, Submissions, Taken};
use crate::store::testing::Chain;
use crate::waiting::Waiting;
use crate::wire::{Judgement, Tell, ToldTransactions, TransactionMessage, Verdict, Way};
use sealpost_ledger::chain::CommittedBlock;
use sealpost_ledger::transaction::SignedTransaction;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Admission and pool at work, without consensus: nothing becomes final.
struct Rooms {
    genesis: Arc<Genesis>,
    submissions: Submissions,
    telling: mpsc::Sender<ToldTransactions>,
    tellings: mpsc::Receiver<Tell>,
    _held: Box<dyn std::any::Any>,
    _dir: tempfile::TempDir,
}

/// What the test holds of a pool at work.
struct Ends {
    verified: mpsc::Sender<admission::Admitted>,
    queries: mpsc::Sender<PoolQuery>,
    synced: mpsc::Sender<Arc<CommittedBlock>>,
    tellings: mpsc::Receiver<Tell>,
    waiting: Waiting,
    room: watch::Receiver<StrangersPart>,
    _held: Box<dyn std::any::Any>,
}

/// Starts a pool over a store.
fn start_pool(store: &Store, limits: MempoolLimits, tellings: usize, stop: &CancellationToken) -> Ends {
    let (verified, admitted) = mpsc::channel(64);
    let (tell, tellings) = mpsc::channel(tellings);
    let (queries, queried) = mpsc::channel(1);
    let (mempool, wanted) = mpsc::channel(1);
    let (refused, refusals) = mpsc::channel(1);
    let (committed, decided) = mpsc::channel(1);
    let (synced, synced_of) = mpsc::channel(1);
    let (wish, wishes) = mpsc::channel(1);
    let percent = store.tip().genesis_file().postage().strangers_percent;
    let mempool_now = Mempool::new(limits, percent);
    let waiting = Waiting::default();
    let (room_of, room) = watch::channel(mempool_now.strangers_part());
    let pool = Pool {
        mempool: mempool_now,
        admitted,
        queried,
        wanted,
        refusals,
        decided,
        synced: synced_of,
        wishes,
        tell: Some(tell),
        waiting: watch::channel(0).0,
        sizes: watch::channel(PoolSizes::default()).0,
        room: room_of,
        height: watch::channel(BlockHeight::GENESIS).0,
        measuring: Measuring::new(store, &limits),
        verified: waiting.clone(),
        store: store.clone(),
    };
    tokio::spawn(pool.run(stop.clone()));
    Ends {
        verified,
        queries,
        synced,
        tellings,
        waiting,
        room,
        _held: Box::new((mempool, refused, committed, wish)),
    }
}

impl Rooms {
    fn start(limits: MempoolLimits, tellings: usize) -> Self {
        Self::start_with(limits, tellings, &[])
    }
    /// A network with these members.
    fn start_with(limits: MempoolLimits, tellings: usize, members: &[u8]) -> Self {
        let (dir, genesis) = network();
        let genesis = if members.is_empty() { genesis } else { with_members(&genesis, members) };
        let (store, _) = Store::open(dir.path(), genesis.clone(), StoreOptions::default()).unwrap();
        let stop = CancellationToken::new();
        let (submissions, submitted) = rpc::submissions(64, 1);
        let (telling, told) = mpsc::channel(64);
        let Ends { verified, queries, synced, tellings, waiting, room, _held } =
            start_pool(&store, limits, tellings, &stop);
        let against = admission::Against { store, waiting, room };
        tokio::spawn(admission::run(submitted, told, verified, against, stop.clone()));
        let held = (queries, synced, _held, stop.drop_guard());
        Self { genesis, submissions, telling, tellings, _held: Box::new(held), _dir: dir }
    }
    /// One that may stand in the next block.
    fn good(&self, seed: u8) -> TransactionMessage {
        (&key_bundle(&self.genesis, &key(seed), 1, BlockHeight::new(100))).into()
    }
    /// One whose time has not come.
    fn early(&self, seed: u8) -> TransactionMessage {
        (&key_bundle(&self.genesis, &key(seed), 2, BlockHeight::new(100))).into()
    }
    /// One that somebody else has signed.
    fn forged(&self, seed: u8) -> TransactionMessage {
        let (good, other) = (self.good(seed), self.good(seed.wrapping_add(1)));
        let (words, signature) = (good.transaction.transaction(), other.transaction.signature());
        TransactionMessage { transaction: SignedTransaction::new(words.clone(), *signature), body: None }
    }
    async fn hear(&self, way: Way, transactions: &[TransactionMessage]) -> Judgement {
        let (judged, judgement) = oneshot::channel();
        let told = ToldTransactions { transactions: transactions.to_vec(), way, judged };
        self.telling.send(told).await.unwrap();
        judgement.await.unwrap()
    }
    async fn is_told(&self, transactions: &[TransactionMessage]) -> Verdict {
        self.hear(Way::Told, transactions).await.verdict()
    }
    async fn submit(&self, told: &TransactionMessage) -> Result<Taken, SubmissionRefusal> {
        let (reply, answer) = oneshot::channel();
        let (transaction, body, wait) = (told.transaction.clone(), told.body.clone(), WaitFor::Accepted);
        let submission = Submission { transaction, body, wait, reply };
        self.submissions.hand_in(submission, |_| false).unwrap();
        answer.await.unwrap()
    }
    /// What is said of one's own accord: everything before the last verdict was, if anything.
    fn says(&mut self) -> Option<Vec<TransactionMessage>> {
        match self.tellings.try_recv().ok()? {
            Tell::Rescued(batch) => Some(batch.into_transactions()),
            other => panic!("{other:?}"),
        }
    }
}

fn roomy() -> Rooms {
    Rooms::start(MempoolLimits::default(), 64)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_goes_on_as_it_came_and_what_is_known_goes_nowhere() {
    let mut rooms = roomy();
    let told = [rooms.good(10), rooms.good(11), rooms.good(12)];
    assert_eq!(rooms.is_told(&told).await, Verdict::Forward);
    // In other words: another message to gossip, and nothing new to anybody.
    assert_eq!(rooms.is_told(&[told[2].clone(), told[0].clone()]).await, Verdict::Drop);
    assert_eq!(rooms.is_told(&told[..1]).await, Verdict::Drop);
    // Half of it is new, or less.
    assert_eq!(rooms.is_told(&[told[0].clone(), rooms.good(13)]).await, Verdict::Forward);
    assert_eq!(rooms.says(), None);
    let padded = [told[0].clone(), rooms.good(14), told[1].clone()];
    assert_eq!(rooms.is_told(&padded).await, Verdict::Drop);
    assert_eq!(rooms.says(), Some(vec![rooms.good(14)]));
    assert_eq!(rooms.is_told(&padded).await, Verdict::Drop);
    assert_eq!(rooms.says(), None);
}

/// Whoever could put a bad one among good ones could keep those from spreading.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_one_among_good_ones_does_not_keep_them_from_going_on() {
    let mut rooms = roomy();
    let mixed = [rooms.good(10), rooms.forged(20), rooms.good(11), rooms.early(30)];
    let judgement = rooms.hear(Way::Told, &mixed).await;
    assert_eq!((judgement.new, judgement.faulty, judgement.untaken), (2, 1, 1));
    assert_eq!(judgement.verdict(), Verdict::Refuse);
    assert_eq!(rooms.says(), Some(vec![rooms.good(10), rooms.good(11)]));
    // What depends on the state is nobody's fault.
    assert_eq!(rooms.is_told(&[rooms.early(31), rooms.good(12)]).await, Verdict::Drop);
    assert_eq!(rooms.says(), Some(vec![rooms.good(12)]));
    assert_eq!(rooms.is_told(&[rooms.early(31)]).await, Verdict::Drop);
    assert_eq!(rooms.is_told(&[rooms.forged(21)]).await, Verdict::Refuse);
    assert_eq!(rooms.says(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_the_mempool_stays_and_the_rest_goes_on() {
    let mut rooms = Rooms::start(MempoolLimits { count: 2, ..MempoolLimits::default() }, 64);
    let three = [rooms.good(10), rooms.good(11), rooms.good(12)];
    let judgement = rooms.hear(Way::Told, &three).await;
    assert_eq!((judgement.new, judgement.untaken, judgement.verdict()), (2, 1, Verdict::Drop));
    assert_eq!(rooms.says(), Some(three[..2].to_vec()));
}

/// A flood costs no signature for which there is no room, and members are no part of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_no_room_for_is_refused_unverified_unless_a_member_signs() {
    let limits = MempoolLimits { count: 100, ..MempoolLimits::default() };
    let rooms = Rooms::start_with(limits, 64, &[40, 41]);
    let strangers: Vec<_> = (50..150).map(|seed| rooms.good(seed)).collect();
    assert_eq!(rooms.hear(Way::Told, &strangers[..74]).await.new, 74);
    // Room for one: whoever comes first has it, whatever the signature is worth.
    let judgement = rooms.hear(Way::Told, &[rooms.forged(20), rooms.good(10), rooms.forged(22)]).await;
    assert_eq!((judgement.new, judgement.faulty, judgement.untaken), (0, 1, 2));
    assert_eq!(rooms.hear(Way::Told, &[rooms.good(10)]).await.new, 1);
    let full = [rooms.forged(20), rooms.good(11), strangers[0].clone(), rooms.good(40), rooms.forged(41)];
    let judgement = rooms.hear(Way::Told, &full).await;
    assert_eq!((judgement.new, judgement.known), (1, 1), "a member, and one that waits");
    assert_eq!(
        (judgement.faulty, judgement.untaken),
        (1, 2),
        "one that a member did not sign, and two strangers"
    );
    let refused = rooms.submit(&rooms.forged(20)).await.unwrap_err();
    assert!(matches!(refused, SubmissionRefusal::Busy { code: "mempool.full", .. }), "{refused}");
}

/// Otherwise what a node has fetched would end at it: to others who hear of it from this node alone it is new.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_goes_on_when_it_is_told() {
    let mut rooms = roomy();
    let fetched = [rooms.good(10), rooms.forged(20), rooms.good(11)];
    assert_eq!(rooms.hear(Way::Fetched, &fetched).await.verdict(), Verdict::Refuse);
    assert_eq!(rooms.says(), None);
    assert_eq!(rooms.is_told(&[rooms.good(10), rooms.good(11)]).await, Verdict::Forward);
    assert_eq!(rooms.is_told(&[rooms.good(11), rooms.good(10)]).await, Verdict::Drop);
    assert_eq!(rooms.says(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gossip_was_too_busy_for_goes_on_when_others_tell_of_it() {
    let mut rooms = Rooms::start(MempoolLimits::default(), 1);
    assert_eq!(rooms.submit(&rooms.good(10)).await.unwrap(), Taken::Accepted);
    assert_eq!(rooms.submit(&rooms.good(11)).await.unwrap(), Taken::Accepted);
    assert_eq!(rooms.is_told(&[rooms.good(10)]).await, Verdict::Drop);
    assert_eq!(rooms.is_told(&[rooms.good(11)]).await, Verdict::Forward);
    let Ok(Tell::Transactions(batch)) = rooms.tellings.try_recv() else { panic!("the first is not told") };
    assert_eq!(batch.into_transactions(), [rooms.good(10)]);
    assert!(rooms.tellings.try_recv().is_err());
}

#[tokio::test]
async fn what_a_block_brings_while_it_is_verified_does_not_wait_for_another() {
    let chain = Chain::new("meanwhile");
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
    let stop = CancellationToken::new();
    let ends = start_pool(&store, MempoolLimits::default(), 64, &stop);
    let (checked_at, messages) = (store.tip().height(), ["one", "two"].map(|text| chain.message(text)));
    let block = chain.next(&store, vec![messages[0].clone()]);
    store.append(&block).unwrap();
    ends.synced.send(Arc::new(block)).await.unwrap();
    // Verified before that block, and told of after it.
    let (told, judged) = admission::Told::new(messages.to_vec(), Way::Told);
    let admitted =
        admission::Admitted { submitted: Vec::new(), told: vec![told], first_seen_ms: 0, checked_at };
    ends.verified.send(admitted).await.unwrap();
    let judgement = judged.await.unwrap();
    assert_eq!((judgement.new, judgement.known), (1, 1));
    let (reply, answers) = oneshot::channel();
    let ids = messages.iter().map(VerifiedTransaction::id).collect();
    ends.queries.send(PoolQuery { ids, reply }).await.unwrap();
    let waiting: Vec<_> = answers.await.unwrap().iter().map(|answer| answer.waiting).collect();
    assert_eq!(waiting, [false, true]);
    stop.cancel();
}
