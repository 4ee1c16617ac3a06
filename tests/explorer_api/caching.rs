//! What can't change may be kept for ever; what can is asked for again, and answered with nothing if it did not.

use super::client::{get, request};
use super::shared;

const FOREVER: &str = "public, max-age=31536000, immutable";

#[test]
fn what_is_final_may_be_kept_and_the_rest_is_asked_for_again() {
    let stage = &shared();
    let hash = stage.data("/api/v1/blocks/2")["header"]["hash"].as_str().unwrap().to_owned();
    let finals = [
        format!("/api/v1/blocks/{hash}/transactions"),
        format!("/api/v1/transactions/{}", stage.receipt),
        format!("/api/v1/messages/{}/body", stage.opened),
    ];
    // Signatures under a block may be others at another node, and a height is one of any chain.
    let moving = [
        format!("/api/v1/blocks/{hash}"),
        "/api/v1/blocks/2/transactions".to_owned(),
        "/api/v1/status".to_owned(),
        "/api/v1/blocks".to_owned(),
        format!("/api/v1/messages/{}", stage.opened),
        format!("/api/v1/messages/{}/receipts", stage.silent),
        format!("/api/v1/addresses/{}", stage.bob),
        format!("/api/v1/addresses/{}/messages", stage.bob),
        format!("/api/v1/addresses/{}/feed.atom", stage.bob),
        "/api/v1/validators".to_owned(),
    ];
    let kept = finals.iter().map(|path| (path, FOREVER)).chain(moving.iter().map(|path| (path, "no-cache")));
    for (path, cache) in kept {
        let first = stage.get(path);
        let tag = first.header("etag");
        assert_eq!((first.status, first.header("cache-control")), (200, cache), "{path}");
        assert!(tag.starts_with("W/\"") && tag.ends_with('"') && tag.len() > 16, "{path}: {tag}");
        let strong = tag.trim_start_matches("W/").to_owned();
        for known in [tag.to_owned(), strong, format!("\"x\", {tag}"), "*".to_owned()] {
            let again = get(&stage.url(), path, &[("If-None-Match", &known)]);
            assert_eq!((again.status, again.body.len()), (304, 0), "{path}: {again:?}");
            assert_eq!((again.header("etag"), again.header("cache-control")), (tag, cache), "{path}");
        }
        let other = get(&stage.url(), path, &[("If-None-Match", "\"0123456789abcdef\"")]);
        assert_eq!((other.status, &other.body), (200, &first.body), "{path}");
        let head = request(&stage.url(), "HEAD", path, &[]);
        assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, tag), "{path}");
    }
    // What is not there may be there later.
    let absent = stage.get("/api/v1/blocks/999999999");
    assert_eq!((absent.status, absent.header("cache-control")), (404, "no-store"));
}

#[test]
fn a_tag_ends_with_what_it_names() {
    let stage = super::Stage::new(&[]);
    let path = format!("/api/v1/messages/{}/receipts", stage.silent);
    let before = stage.get(&path);
    stage.world.wallet("bob", &["refuse", &stage.silent]);
    let after = get(&stage.url(), &path, &[("If-None-Match", before.header("etag"))]);
    assert_eq!(after.status, 200);
    assert_eq!(after.json()["data"]["items"][0]["state"], "refused");
}
