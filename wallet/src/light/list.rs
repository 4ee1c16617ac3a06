//! Lists of an address's transactions, as a node has them. That a list is complete can't be proven; that each entry is
//! final and belongs in it, that they are in order, and that every page makes headway is checked. So whoever reads on
//! comes to an end, whatever a node answers.

use super::node::Node;
use super::{Light, LightError, Position, Proven};
use sealpost_api::{MailboxQuery, MailboxSide, Order, SealpostRpcClient};
use sealpost_ledger::address::Address;

/// A page of a list, every entry verified.
#[derive(Debug)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Proven>,
    /// The place beyond which to go on: that of the last entry.
    pub next: Option<Position>,
    /// Whether more follows now.
    pub more: bool,
}

impl Light {
    /// A page of an address's transactions. That a node names all of them can't be proven; for that there is
    /// [`Range`](super::Range).
    pub async fn list(
        &self,
        side: MailboxSide,
        address: &Address,
        order: Order,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page, LightError> {
        self.through(|node| node.list(side, address, order, after, limit)).await
    }
}

impl Node {
    async fn list(
        &self,
        side: MailboxSide,
        address: &Address,
        order: Order,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page, LightError> {
        let text = address.to_text(self.genesis().prefix());
        let what = format!("the list of {text}");
        let cursor = after.map(|Position { height, index }| format!("{height}-{index}"));
        let query = MailboxQuery { address: text, side, after: cursor, limit: Some(limit), order };
        // One that is behind does not know the newest, and whoever asked goes on from there.
        self.make_sure_it_is_up_to_date().await?;
        let page = self.ask(self.client.mailbox_list(query)).await?;
        let mut entries = Vec::with_capacity(page.entries.len());
        for entry in &page.entries {
            let proven = self.verify_final(entry).await?;
            if !belongs(&proven, side, address) {
                return Err(self.untrusted(what, format!("{} does not belong in it", proven.id())));
            }
            entries.push(proven);
        }
        let places: Vec<_> = entries.iter().map(Proven::place).collect();
        check_headway(&places, order, after, page.more).map_err(|reason| self.untrusted(what, reason))?;
        // Not the node's cursor: that could lead back to where it was asked before.
        Ok(Page { next: places.last().copied().or(after), entries, more: page.more })
    }
}

/// Somebody else's receipt among one's own would hide that a message waits for an answer.
fn belongs(entry: &Proven, side: MailboxSide, address: &Address) -> bool {
    match side {
        MailboxSide::Sent => entry.transaction.sender() == *address,
        MailboxSide::Received => {
            entry.transaction.message().is_some_and(|message| message.slot_of(address).is_some())
        }
    }
}

/// That the places of a page are in order, beyond where the page before ended, and not none if more are promised.
fn check_headway(
    places: &[Position],
    order: Order,
    after: Option<Position>,
    more: bool,
) -> Result<(), &'static str> {
    if more && places.is_empty() {
        return Err("a page without any says that more follow");
    }
    let goes_on = |before: Position, place: Position| match order {
        Order::OldestFirst => before < place,
        Order::NewestFirst => before > place,
    };
    let before = after.into_iter().chain(places.iter().copied());
    // Without a place to begin beyond, the first entry has none before it.
    let following = places.iter().copied().skip(usize::from(after.is_none()));
    match before.zip(following).all(|(before, place)| goes_on(before, place)) {
        true => Ok(()),
        false => Err("it is out of order, or repeats itself"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sealpost_ledger::height::BlockHeight;

    fn at(height: u64, index: u32) -> Position {
        Position { height: BlockHeight::new(height), index }
    }

    #[test]
    fn pages_in_order_are_taken_in_either_direction() {
        let (up, down) = ([at(3, 1), at(3, 2), at(5, 0)], [at(5, 0), at(3, 2), at(3, 1)]);
        for more in [true, false] {
            check_headway(&up, Order::OldestFirst, None, more).unwrap();
            check_headway(&up, Order::OldestFirst, Some(at(3, 0)), more).unwrap();
            check_headway(&down, Order::NewestFirst, None, more).unwrap();
            check_headway(&down, Order::NewestFirst, Some(at(5, 1)), more).unwrap();
        }
        check_headway(&[], Order::NewestFirst, Some(at(3, 1)), false).unwrap();
    }

    #[test]
    fn pages_that_make_no_headway_are_refused() {
        for (places, after) in [
            (&[at(3, 1), at(5, 0)][..], None),
            (&[at(5, 0), at(5, 0)], None),
            (&[at(5, 0)], Some(at(5, 0))),
            (&[at(6, 0), at(3, 0)], Some(at(5, 0))),
        ] {
            let refused = check_headway(places, Order::NewestFirst, after, false);
            assert!(refused.unwrap_err().contains("out of order"), "{places:?}");
        }
        let refused = check_headway(&[at(5, 0)], Order::OldestFirst, Some(at(5, 0)), false);
        assert!(refused.unwrap_err().contains("out of order"));
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let refused = check_headway(&[], order, Some(at(5, 0)), true);
            assert!(refused.unwrap_err().contains("more follow"));
        }
    }
}
