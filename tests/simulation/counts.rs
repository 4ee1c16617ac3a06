//! What happened, how often: a fault that hit nothing counts as none.

use std::collections::BTreeMap;
use std::fmt;

/// Numbers by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<(Kind, &'static str), u64>);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What came about.
    Work,
    /// What the network and the machines did.
    Fault,
    /// What validators did that they should not have.
    Misdeed,
    /// What peers told a newcomer that is not true.
    Lie,
}

impl Counts {
    /// Once more.
    pub fn one(&mut self, kind: Kind, name: &'static str) {
        self.add(kind, name, 1);
    }
    /// So many more.
    pub fn add(&mut self, kind: Kind, name: &'static str, count: u64) {
        *self.0.entry((kind, name)).or_default() += count;
    }
    /// How often.
    pub fn get(&self, kind: Kind, name: &'static str) -> u64 {
        self.0.get(&(kind, name)).copied().unwrap_or(0)
    }
    /// Adds another run's.
    pub fn merge(&mut self, other: &Self) {
        for ((kind, name), count) in &other.0 {
            self.add(*kind, name, *count);
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (Kind::Work, "done"),
            (Kind::Fault, "faults"),
            (Kind::Misdeed, "misdeeds"),
            (Kind::Lie, "lies to newcomers"),
        ];
        for (kind, title) in kinds {
            let of_kind = self.0.iter().filter(|((found, _), _)| *found == kind);
            let each: Vec<_> = of_kind.map(|((_, name), count)| format!("{count} {name}")).collect();
            if !each.is_empty() {
                writeln!(f, "  {title}: {}", each.join(", "))?;
            }
        }
        Ok(())
    }
}
