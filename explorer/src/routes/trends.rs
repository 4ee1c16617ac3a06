//! Charts over the last blocks: neighbouring blocks are drawn as one point, so that a chart has no more
//! points than can be told apart.

use crate::charts::{Chart, Series, Shape};
use crate::page::Time;
use crate::reader::Summary;
use sealpost_terminal::{bytes, grouped, seconds};
use std::sync::Arc;
use std::time::Duration;

/// Points of a chart, at most.
const MAX_POINTS: usize = 50;

/// Some blocks in a row, drawn as one point.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    first: u64,
    last: u64,
    time_ms: u64,
    /// Time since the block before the first; nothing if that block is not known.
    took: Option<Duration>,
    blocks: u64,
    messages: u64,
    receipts: u64,
    bytes: u64,
    price: u64,
}

/// A group in the table beside the charts.
pub(super) struct Row {
    pub(super) blocks: String,
    pub(super) until: Time,
    pub(super) rate: String,
    pub(super) block_time: String,
    pub(super) size: String,
    pub(super) price: String,
    pub(super) receipts: u64,
}

impl Group {
    /// Messages per minute.
    fn rate(&self) -> Option<f64> {
        let minutes = self.took?.as_secs_f64() / 60.0;
        (minutes > 0.0).then(|| self.messages as f64 / minutes)
    }
    /// Mean seconds from one block to the next.
    fn block_time(&self) -> Option<f64> {
        Some(self.took?.as_secs_f64() / self.blocks as f64)
    }
    fn mean_bytes(&self) -> f64 {
        self.bytes as f64 / self.blocks as f64
    }
    fn name(&self) -> String {
        if self.first == self.last {
            format!("#{}", self.first)
        } else {
            format!("#{}–{}", self.first, self.last)
        }
    }
    pub(super) fn row(&self) -> Row {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "not known".into());
        Row {
            blocks: self.name(),
            until: Time::new(self.time_ms),
            rate: or_none(self.rate().map(write_rate)),
            block_time: or_none(self.block_time().map(write_seconds)),
            size: write_bytes(self.mean_bytes()),
            price: grouped(self.price),
            receipts: self.receipts,
        }
    }
}

/// Groups of the newest `count` of some blocks that are given the newest first; the oldest group first. One
/// more block than that gives the time before the first.
pub(super) fn groups(newest_first: &[Arc<Summary>], count: usize) -> Vec<Group> {
    let shown = newest_first.get(..count).unwrap_or(newest_first);
    let mut before = newest_first.get(count).map(|summary| summary.header.time_ms);
    let size = shown.len().div_ceil(MAX_POINTS).max(1);
    let mut groups = Vec::new();
    // Grouped from the newest on, so that only the oldest group is smaller than the others.
    for chunk in shown.chunks(size).rev() {
        let (Some(last), Some(first)) = (chunk.first(), chunk.last()) else { continue };
        let time_ms = last.header.time_ms;
        let sum =
            |of: fn(&Summary) -> u64| chunk.iter().fold(0_u64, |sum, block| sum.saturating_add(of(block)));
        groups.push(Group {
            first: first.header.height.get(),
            last: last.header.height.get(),
            time_ms,
            took: before.map(|before| Duration::from_millis(time_ms.saturating_sub(before))),
            blocks: chunk.len() as u64,
            messages: sum(|block| block.messages.into()),
            receipts: sum(|block| block.receipts.into()),
            bytes: sum(|block| block.bytes),
            price: last.header.postage_price,
        });
        before = Some(time_ms);
    }
    groups
}

/// A chart of some groups.
fn chart(
    groups: &[Group],
    key: &'static str,
    title: &'static str,
    shape: Shape,
    write: fn(f64) -> String,
    value: fn(&Group) -> Option<f64>,
) -> Chart {
    let points = groups.iter().map(|group| (group.name(), value(group))).collect();
    Chart::new(Series { key, title, shape, points, write })
}

/// Everything that is drawn on the first page.
pub(super) fn charts(groups: &[Group]) -> Vec<Chart> {
    vec![
        chart(groups, "rate", "Messages per minute", Shape::Bar, write_rate, Group::rate),
        chart(groups, "time", "Time from block to block", Shape::Line, write_seconds, Group::block_time),
        chart(groups, "size", "Mean size of a block", Shape::Bar, write_bytes, |group| {
            Some(group.mean_bytes())
        }),
        price(groups),
        chart(groups, "receipts", "Receipts returned", Shape::Bar, write_count, |g| Some(g.receipts as f64)),
    ]
}

/// The price of postage.
pub(super) fn price(groups: &[Group]) -> Chart {
    chart(groups, "price", "Postage, hashes per KiB", Shape::Line, write_count, |group| {
        Some(group.price as f64)
    })
}

fn write_rate(value: f64) -> String {
    if value >= 10.0 || value == 0.0 { format!("{value:.0}/min") } else { format!("{value:.1}/min") }
}

fn write_seconds(value: f64) -> String {
    seconds(Duration::try_from_secs_f64(value.max(0.0)).unwrap_or(Duration::MAX))
}

fn write_bytes(value: f64) -> String {
    bytes(value.max(0.0) as u64)
}

/// Counts have no halves, but the middle of a scale may.
fn write_count(value: f64) -> String {
    let rounded = value.max(0.0).round();
    if (value - rounded).abs() < 0.01 { grouped(rounded as u64) } else { format!("{value:.1}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::reader::testing::blocks;

    #[test]
    fn groups_lose_no_block_and_count_none_twice() {
        for count in [0_u64, 1, 49, 50, 51, 120, 500] {
            let groups = groups(&blocks(count), usize::try_from(count).unwrap());
            assert!(groups.len() <= MAX_POINTS);
            assert_eq!(groups.iter().map(|group| group.messages).sum::<u64>(), count * 2);
            assert_eq!(groups.iter().map(|group| group.blocks).sum::<u64>(), count);
            assert!(groups.iter().zip(groups.iter().skip(1)).all(|(one, next)| one.last + 1 == next.first));
        }
    }

    #[test]
    fn rates_are_measured_from_the_block_before() {
        let found = groups(&blocks(11), 10);
        let first = found.first().unwrap();
        assert_eq!((first.first, first.took), (2, Some(Duration::from_secs(2))));
        assert_eq!((first.rate(), first.block_time()), (Some(60.0), Some(2.0)));
        // Without a block before there is nothing to measure from.
        let found = groups(&blocks(10), 10);
        assert_eq!(found.first().unwrap().rate(), None);
        assert_eq!(found.first().unwrap().row().rate, "not known");
    }
}
