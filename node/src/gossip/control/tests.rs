use super::*;
use futures::AsyncReadExt;
use proptest::prelude::*;
use std::time::Duration;

const HEADER: &[u8] = b"/multistream/1.0.0\n";
const MESH: &[u8] = b"/meshsub/1.1.0\n";

/// A number as it is sent, in more bytes than it needs if wanted.
fn number(mut value: u64, more: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    for _ in 0..more {
        *bytes.last_mut().unwrap() |= 0x80;
        bytes.push(0);
    }
    bytes
}
fn chunk(bytes: &[u8]) -> Vec<u8> {
    [number(bytes.len() as u64, 0), bytes.to_vec()].concat()
}
fn field(number_of: u64, bytes: &[u8]) -> Vec<u8> {
    [number(number_of << 3 | 2, 0), chunk(bytes)].concat()
}
fn topic() -> Vec<u8> {
    format!("/sealpost/{}/transactions/1", "0a".repeat(32)).into_bytes()
}
fn graft() -> Vec<u8> {
    field(3, &field(1, &topic()))
}
fn prune(topic: &[u8]) -> Vec<u8> {
    field(4, &[field(1, topic), number(3 << 3, 0), number(3_600, 0)].concat())
}
/// A message with words of these kinds, among which nobody needs to look for anything.
fn others() -> Vec<u8> {
    let ids: Vec<u8> = (0..200).flat_map(|_| field(2, &[0x22; 32])).collect();
    let ihave = field(1, &[field(1, &topic()), ids].concat());
    let iwant = field(2, &(0..100).flat_map(|_| field(1, &[0x1a; 32])).collect::<Vec<_>>());
    let idontwant = field(5, &(0..100).flat_map(|_| field(1, &[0x22; 32])).collect::<Vec<_>>());
    [ihave, iwant, idontwant].concat()
}
fn message(length: usize) -> Vec<u8> {
    // What looks like a flood of PRUNE, as somebody's text.
    let data: Vec<u8> = prune(b"x").into_iter().cycle().take(length).collect();
    field(2, &[field(2, &data), field(4, &topic())].concat())
}
fn subscription() -> Vec<u8> {
    field(1, &[number(1 << 3, 0), vec![1], field(2, &topic())].concat())
}
/// A stream of gossipsub's with these messages.
fn stream(messages: &[Vec<u8>]) -> Vec<u8> {
    let messages = messages.iter().flat_map(|message| chunk(message));
    [chunk(HEADER), chunk(MESH), messages.collect()].concat()
}

/// What comes of bytes that come in pieces of these lengths: the verdict, and the entries that were counted.
fn followed(bytes: &[u8], pieces: &[usize]) -> (Result<Course, Stop>, Vec<u32>) {
    let (mut follower, mut paid, mut rest) = (Follower::new(), Vec::new(), bytes);
    let mut pieces = pieces.iter().copied().map(|piece| piece.max(1)).chain(std::iter::repeat(usize::MAX));
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(pieces.next().unwrap().min(rest.len()));
        rest = later;
        let course = follower.follow(piece, &mut |length| {
            paid.push(length);
            if paid.len() > 40 { Err(Excess::Peer) } else { Ok(()) }
        });
        if course != Ok(Course::On) {
            return (course, paid);
        }
    }
    (Ok(Course::On), paid)
}
fn whole(bytes: &[u8]) -> (Result<Course, Stop>, Vec<u32>) {
    followed(bytes, &[])
}

#[test]
fn what_honest_peers_say_passes_and_its_graft_and_prune_are_counted() {
    let control = field(3, &[others(), graft(), prune(&topic()), graft()].concat());
    let rpc: Vec<u8> = [subscription(), control, message(60_000), message(0)].concat();
    let (course, paid) = whole(&stream(&vec![rpc; 10]));
    assert_eq!(course, Ok(Course::On));
    assert_eq!(paid.len(), 30);
    assert!(paid.iter().all(|length| *length < 120), "{paid:?}");
}

#[test]
fn graft_and_prune_are_found_wherever_they_stand_and_however_they_are_written() {
    let unknown = [number(9 << 3, 0), number(u64::MAX, 0), number(10 << 3 | 1, 0), vec![0x22; 8]].concat();
    let fixed = [number(11 << 3 | 5, 0), vec![0x22; 4], field(12, b"what is this?")].concat();
    // A tag and lengths in more bytes than they need, as gossipsub's reader takes them.
    let wide = [number(4 << 3 | 2, 9), number(7, 8), field(1, b"topic")].concat();
    let twice = [field(3, &[fixed.clone(), prune(b"a")].concat()), unknown.clone(), field(3, &wide)].concat();
    let control = [number(3 << 3 | 2, 6), number(wide.len() as u64, 5), wide].concat();
    let rpc = [unknown, message(10), twice, fixed, field(3, &[]), control].concat();
    let (course, paid) = whole(&stream(&[Vec::new(), rpc]));
    assert_eq!((course, paid.len()), (Ok(Course::On), 3));
    // More than 32 bits: the upper ones are dropped, and this is a PRUNE to gossipsub.
    let high = [number(1 << 35 | 4 << 3 | 2, 0), chunk(&field(1, b"topic"))].concat();
    assert_eq!(whole(&stream(&[field(3, &high)])), (Ok(Course::On), vec![7]));
}

#[test]
fn a_stream_of_another_protocol_is_left_alone() {
    for name in ["/ipfs/ping/1.0.0\n", "/sealpost/0a/sync/1\n", "/meshsu/1\n"] {
        let (course, paid) = whole(&[chunk(HEADER), chunk(name.as_bytes()), vec![200; 300]].concat());
        assert_eq!((course, paid), (Ok(Course::Aside), vec![]), "{name}");
    }
}

#[test]
fn no_way_of_negotiating_leads_past() {
    let flood = chunk(&field(3, &prune(b"topic").repeat(100)));
    let ways: [&[&[u8]]; 6] = [
        &[MESH],
        &[b"/meshsub/1.2.0\n"],
        &[b"/floodsub/1.0.0\n"],
        &[b"ls\n", MESH],
        &[b"/nobody/knows/this\n", MESH],
        &[b"/meshsub/99\n", b"/nobody/knows/this\n", b"/meshsub/98\n", b"ls\n", MESH],
    ];
    for way in ways {
        let lines: Vec<u8> = way.iter().flat_map(|line| chunk(line)).collect();
        let (course, paid) = whole(&[chunk(HEADER), lines, flood.clone()].concat());
        assert_eq!((course, paid.len()), (Err(Stop::Excess(Excess::Peer)), 41));
    }
}

#[test]
fn what_gossipsub_could_not_read_ends_the_stream() {
    let malformed: [Vec<u8>; 6] = [
        // Kinds of fields that there are not.
        vec![3 << 3 | 3],
        vec![3 << 3 | 6],
        // Longer than what it is in.
        vec![3 << 3 | 2, 5, 0],
        field(3, &[4 << 3 | 2, 5, 0]),
        field(3, &[10 << 3 | 1, 0]),
        // A number without end.
        vec![0xff; 11],
    ];
    for rpc in malformed {
        // Some of them show in the byte after.
        let (course, _) = whole(&[stream(std::slice::from_ref(&rpc)), vec![1, 1]].concat());
        assert_eq!(course, Err(Stop::Malformed), "{rpc:?}");
    }
    let endless = [chunk(HEADER), chunk(MESH), vec![0xff; 10]].concat();
    assert_eq!(whole(&endless).0, Err(Stop::Malformed));
}

#[test]
fn a_long_line_ends_the_watch_because_it_ends_the_negotiation() {
    let long = [chunk(HEADER), vec![0x80, 0x80, 1], vec![b'/'; 16_384]].concat();
    assert_eq!(whole(&long).0, Ok(Course::Aside));
}

fn address(ip: &str) -> Multiaddr {
    format!("/ip4/{ip}/tcp/1").parse().unwrap()
}

#[test]
fn a_connection_has_a_budget_that_comes_back_slowly() {
    let (now, budget) = (Instant::now(), Budgets::default().of(&address("192.0.2.1")));
    for _ in 0..64 {
        budget.pay(100, now).unwrap();
    }
    assert_eq!(budget.pay(100, now), Err(Excess::Peer));
    let later = now + Duration::from_secs(60);
    for _ in 0..15 {
        budget.pay(100, later).unwrap();
    }
    assert_eq!(budget.pay(100, later), Err(Excess::Peer));
}

#[test]
fn neither_long_entries_nor_many_bytes_pass() {
    let (now, budgets) = (Instant::now(), Budgets::default());
    assert_eq!(budgets.of(&address("192.0.2.1")).pay(LONGEST + 1, now), Err(Excess::Peer));
    let budget = budgets.of(&address("192.0.2.1"));
    for _ in 0..4 {
        budget.pay(LONGEST, now).unwrap();
    }
    assert_eq!(budget.pay(1, now), Err(Excess::Peer));
}

#[test]
fn a_new_connection_brings_no_new_budget_to_an_address() {
    let (now, budgets) = (Instant::now(), Budgets::default());
    let said = |ip: &str, connections: usize| {
        let all = (0..connections).flat_map(|_| {
            let budget = budgets.of(&address(ip));
            (0..50).map(move |_| budget.pay(100, now))
        });
        all.filter(Result::is_ok).count()
    };
    assert_eq!(said("192.0.2.1", 1_000), 512);
    // Others have their own, and this machine is not bounded so.
    assert_eq!(said("192.0.2.2", 1), 50);
    assert_eq!(said("127.0.0.1", 1_000), 50_000);
    assert_eq!(budgets.of(&address("192.0.2.1")).pay(100, now), Err(Excess::Address));
}

#[test]
fn addresses_without_number_share_a_budget_and_take_no_memory() {
    let (now, budgets) = (Instant::now(), Budgets::default());
    let address = |n: u32| address(&std::net::Ipv4Addr::from_bits(0x0b00_0000 + n).to_string());
    let said = |n: u32| budgets.of(&address(n)).pay(100, now).is_ok();
    let heard = (0..5_000).filter(|n| said(*n)).count();
    assert_eq!(heard, MAX_ADDRESSES + 512);
    assert!(lock(&budgets.addresses).len() <= MAX_ADDRESSES + 1);
    // Who has not said anything for a while makes room.
    assert!(budgets.of(&address(6_000)).pay(100, now + Duration::from_secs(600)).is_ok());
    assert!(lock(&budgets.addresses).len() < 3);
}

#[test]
fn an_excess_is_found_in_what_boxes_make_of_it() {
    let error = io::Error::other(io::Error::other(Excess::Peer));
    assert_eq!(Excess::in_error(&error), Some(Excess::Peer));
    assert_eq!(Excess::in_error(&io::ErrorKind::TimedOut.into()), None);
    assert_eq!(Excess::in_error(&io::Error::other("another")), None);
}

#[tokio::test]
async fn a_stream_gives_what_came_and_fails_at_the_excess() {
    let honest = stream(&[[message(5_000), field(3, &prune(&topic()))].concat()]);
    let flood = chunk(&field(3, &prune(b"topic").repeat(1_000)));
    let budget = Budgets::default().of(&address("192.0.2.1"));
    let came = futures::io::Cursor::new([honest.clone(), flood].concat());
    let mut watched = Watched::new(SubstreamBox::new(came), budget.clone());
    let mut read = vec![0; honest.len()];
    watched.read_exact(&mut read).await.unwrap();
    assert!(read == honest, "the bytes were changed");
    let context = &Context::from_waker(Waker::noop());
    assert_eq!(budget.excess(context), None);
    for _ in 0..2 {
        let failed = watched.read(&mut read).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::InvalidData);
    }
    assert_eq!(budget.excess(context), Some(Excess::Peer));
}

/// Bytes near to what gossipsub sends, so that they reach every corner.
fn nearly_gossip() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(graft()),
        Just(prune(b"topic")),
        Just(others()),
        (0_u64..20, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(n, bytes)| field(n, &bytes)),
        (any::<u64>(), 0_usize..4).prop_map(|(n, more)| [number(9 << 3, more), number(n, 0)].concat()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    let part = prop_oneof![
        prop::collection::vec(word, 0..6).prop_map(|words| field(3, &words.concat())),
        (0_usize..300).prop_map(message),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    let line = prop_oneof![
        4 => Just(chunk(MESH)),
        1 => Just(chunk(b"/x/1\n")),
        1 => Just(chunk(b"ls\n")),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| chunk(&bytes)),
    ];
    let rpc = prop::collection::vec(part, 0..4).prop_map(|parts| chunk(&parts.concat()));
    (prop::collection::vec(line, 0..3), prop::collection::vec(rpc, 0..8))
        .prop_map(|(lines, rpcs)| [chunk(HEADER), lines.concat(), rpcs.concat()].concat())
}

proptest! {
    #[test]
    fn any_split_into_reads_gives_the_same_verdict(
        bytes in nearly_gossip(),
        pieces in prop::collection::vec(1_usize..50, 0..200),
    ) {
        let expected = whole(&bytes);
        prop_assert_eq!(&followed(&bytes, &pieces), &expected);
        prop_assert_eq!(&followed(&bytes, &vec![1; bytes.len()]), &expected);
    }
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), spoken in any::<bool>()) {
        let _ = whole(&bytes);
        let lines = if spoken { stream(&[]) } else { chunk(HEADER) };
        let all = [lines, bytes].concat();
        prop_assert_eq!(followed(&all, &vec![1; all.len()]), whole(&all));
    }
    /// However many words of whatever kinds stand between them.
    #[test]
    fn every_graft_and_prune_is_counted(kinds in prop::collection::vec(0_u8..5, 0..60)) {
        let words = kinds.iter().map(|kind| match kind {
            0 => field(3, &graft()),
            1 => field(3, &[others(), prune(b"topic")].concat()),
            2 => field(3, &others()),
            3 => subscription(),
            _ => message(100),
        });
        let expected = kinds.iter().filter(|kind| **kind < 2).count();
        let (_, paid) = whole(&stream(&[words.collect::<Vec<_>>().concat()]));
        prop_assert_eq!(paid.len(), expected.min(41));
    }
}
