//! Networks of real processes over a real network, with faults on demand, and what must hold all the same.
//!
//! | file | what it is |
//! |---|---|
//! | `namespace` | a lab: network namespaces joined by a bridge or by the delaying switch |
//! | `clock` | a wrong clock for a program, by libfaketime |
//! | `delay` | the switch that keeps each frame for a while, for kernels without netem |
//! | `faults` | loss, partition, slow and late links, each with a counter that proves that it fired |
//! | `byzantine` | validators that break the rules: what they do, and what the others must make of it |
//! | `stand_in` | a small program to try a lab with |
//! | `network` | validators and full nodes as processes: start, stop, kill, pause, wipe |
//! | `load` | signed and sealed messages at a chosen rate, and which of them were reported final |
//! | `invariants` | what must hold after every fault |
//! | `pulse` | how a node answers while something is done to it |
//! | `random` | numbers that a seed repeats |
//! | `soak` | random faults for a while, repeated by a seed |
//! | `hostile` | a libp2p peer that sends what it should not |
//! | `skip` | tests that need what is not everywhere: skipped aloud, or failing in continuous integration |
//! | `liar` | a node that lies to wallets, as a rule says |

pub mod byzantine;
pub mod clock;
pub mod delay;
pub mod faults;
pub mod hostile;
pub mod invariants;
pub mod liar;
pub mod load;
pub mod namespace;
pub mod network;
pub mod pulse;
pub mod random;
pub mod skip;
pub mod soak;
pub mod stand_in;
