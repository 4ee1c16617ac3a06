//! Nothing here: the tests are in `main.rs` and beside it.
