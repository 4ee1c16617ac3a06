//! Numbers that look random and that a seed repeats, for faults that can be had again.

/// A small generator of numbers (splitmix64). Its state is what it shows: the seed of what comes next.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends, and is no iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// A number below a bound that is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
    /// At least one of them, and not all.
    pub fn some_of(&mut self, all: &[usize]) -> Vec<usize> {
        let mut rest = all.to_vec();
        let count = 1 + self.below(all.len() - 1);
        (0..count).map(|_| rest.swap_remove(self.below(rest.len()))).collect()
    }
}
