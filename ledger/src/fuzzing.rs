//! What a fuzz target is. The fuzzer itself is in `tests/fuzz`; targets stand beside what they try where that is
//! private, and there where it is not.

mod script;

pub use script::Script;

use std::fmt;

/// Something that takes bytes from outside, and what must be true of it.
pub struct Target {
    name: String,
    seeds: Box<Seeds>,
    run: Box<Run>,
}

type Seeds = dyn Fn() -> Vec<Vec<u8>> + Send + Sync;
type Run = dyn Fn(&[u8]) -> Reached + Send + Sync;

/// How far an input came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// It was refused at once.
    Refusal,
    /// It was taken, so that something was claimed of it. A target that no input brings here shows nothing.
    Claim,
}

impl From<bool> for Reached {
    /// Whether an input was taken.
    fn from(taken: bool) -> Self {
        if taken { Reached::Claim } else { Reached::Refusal }
    }
}

impl Target {
    /// A target: its name, real values to begin with, and what is done with an input. It panics when something is
    /// not as it must be.
    pub fn new<R: Into<Reached>>(
        name: impl Into<String>,
        seeds: impl Fn() -> Vec<Vec<u8>> + Send + Sync + 'static,
        run: impl Fn(&[u8]) -> R + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), seeds: Box::new(seeds), run: Box::new(move |bytes| run(bytes).into()) }
    }
    /// A decoder: whatever it reads it has to write again as it stood.
    pub fn decoder(
        name: impl Into<String>,
        seeds: impl Fn() -> Vec<Vec<u8>> + Send + Sync + 'static,
        again: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, seeds, move |bytes| {
            let written = again(bytes);
            assert!(
                written.as_deref().is_none_or(|written| written == bytes),
                "a second spelling of one value"
            );
            written.is_some()
        })
    }
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Real values, or nearly.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        (self.seeds)()
    }
    /// Tries an input.
    ///
    /// # Panics
    /// When something is not as it must be: that is what it is for.
    pub fn run(&self, input: &[u8]) -> Reached {
        (self.run)(input)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.name)
    }
}
