//! What the light client does when there is no honest node to ask. With honest nodes it is tested in
//! `tests/`.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::genesis;

#[tokio::test]
async fn no_node_is_told_apart_from_a_lying_node() {
    let error = Light::connect("http://127.0.0.1:1", genesis(), HeadFile::in_memory()).await.unwrap_err();
    assert!(matches!(error, LightError::Unreachable { .. }), "{error}");
}

#[test]
fn a_head_file_that_is_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("head.json");
    std::fs::write(&path, "{}").unwrap();
    assert!(HeadFile::load(path).unwrap_err().to_string().contains("head.json"));
    assert!(HeadFile::load(dir.path().join("absent.json")).is_ok());
}

#[test]
fn a_head_file_from_before_validators_changed_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("head.json");
    std::fs::write(&path, format!("{{\"height\":3,\"block\":\"{}\"}}", "ab".repeat(32))).unwrap();
    let head = HeadFile::load(path).unwrap();
    assert_eq!(head.height(), BlockHeight::new(3));
    assert!(head.known_sets().is_empty());
}
