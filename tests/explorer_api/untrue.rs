//! A node that lies: nothing of it is passed on. Where the answer rests on signed bytes, a lie beside them changes
//! nothing; where the bytes are wrong, the answer is 502.

use super::client::get;
use super::{explore, shared};
use sealpost_tests::harness::liar::{Answer, Call, Liar};
use serde_json::{Value, json};

/// The honest answer with something changed in it.
fn changed(call: &Call<'_>, change: impl FnOnce(&mut Value)) -> Answer {
    let mut result = call.said.clone().unwrap();
    change(&mut result);
    Answer::Lie(result)
}

fn flip(text: &mut Value) {
    let old = text.as_str().unwrap();
    let last = if old.ends_with('0') { "1" } else { "0" };
    *text = format!("{}{last}", &old[..old.len() - 1]).into();
}

#[test]
fn a_lie_is_answered_with_502_and_not_passed_on() {
    let stage = &shared();
    let (opened, silent, alice, bob) =
        (stage.opened.clone(), stage.silent.clone(), stage.alice.clone(), stage.bob.clone());
    type Rule = Box<dyn Fn(&Call<'_>) -> Answer + Send + Sync>;
    let lie = |method: &'static str, change: fn(&mut Value)| -> Rule {
        Box::new(move |call| if call.method == method { changed(call, change) } else { Answer::Truth })
    };
    let other = {
        let (opened, silent) = (opened.clone(), silent.clone());
        move |call: &Call<'_>| match (call.method, call.params["id"].as_str()) {
            ("tx_get", Some(id)) if id == opened => {
                Answer::Lie(call.honest("tx_get", json!({ "id": silent })))
            }
            _ => Answer::Truth,
        }
    };
    let list_of_another = move |call: &Call<'_>| match call.method {
        "mailbox_list" => {
            let query = json!({ "query": { "address": alice, "side": "sent" } });
            Answer::Lie(call.honest("mailbox_list", query))
        }
        _ => Answer::Truth,
    };
    let cases: Vec<(String, Rule)> = vec![
        (format!("/api/v1/transactions/{opened}"), Box::new(other)),
        (format!("/api/v1/transactions/{opened}"), lie("tx_get", |said| flip(&mut said["transaction"]))),
        (format!("/api/v1/messages/{opened}/body"), lie("tx_body", flip)),
        (
            format!("/api/v1/messages/{opened}/evidence"),
            lie("evidence_get", |said| {
                *said = said.as_str().unwrap().replacen("\"index\": 0", "\"index\": 1", 1).into()
            }),
        ),
        (
            format!("/api/v1/messages/{silent}/receipts"),
            lie("proof_absence", |said| flip(&mut said["proof"])),
        ),
        (format!("/api/v1/addresses/{bob}/messages?side=received"), Box::new(list_of_another)),
        (format!("/api/v1/addresses/{bob}"), lie("directory_bundle", |said| flip(&mut said["record"]))),
        (
            format!("/api/v1/addresses/{bob}/keys"),
            lie("directory_history", |said| said["bundles"][0]["sequence"] = 9.into()),
        ),
        ("/api/v1/blocks".into(), lie("chain_headers", |said| drop(said.as_array_mut().unwrap().remove(0)))),
        ("/api/v1/blocks/1".into(), lie("chain_header", |said| flip(&mut said["certificate"]))),
        (
            "/api/v1/blocks/2/transactions".into(),
            lie("chain_transactions", |said| {
                drop(said["blocks"][0]["transactions"].as_array_mut().unwrap().pop())
            }),
        ),
        (
            "/api/v1/validators".into(),
            lie("chain_validators", |said| said["validators"][0]["power"] = 9.into()),
        ),
    ];
    for (path, rule) in cases {
        let liar = Liar::before(&stage.world.node.said("rpc"), rule);
        let explorer = explore(&stage.world, liar.url(), &[]);
        let reply = get(&explorer.said("explorer"), &path, &[]);
        assert!(liar.told() > 0, "{path}: no lie was told");
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (502, &json!("node.untrusted")),
            "{path}: {reply:?}"
        );
        assert_eq!(reply.header("cache-control"), "no-store");
    }
}

#[test]
fn what_stands_beside_signed_bytes_changes_nothing() {
    let stage = &shared();
    let liar = Liar::before(&stage.world.node.said("rpc"), |call| match call.method {
        "tx_get" => changed(call, |said| {
            said["view"]["sender"] = "mallory".into();
            said["place"]["time_ms"] = 0.into();
            said["view"]["payload"]["suite"] = 9.into();
        }),
        "chain_header" => changed(call, |said| {
            said["view"]["time_ms"] = 0.into();
            said["view"]["transaction_count"] = 77.into();
        }),
        _ => Answer::Truth,
    });
    let explorer = explore(&stage.world, liar.url(), &[]);
    for path in ["/api/v1/blocks/2".to_owned(), format!("/api/v1/transactions/{}", stage.opened)] {
        let (told, truth) = (get(&explorer.said("explorer"), &path, &[]), stage.get(&path));
        assert_eq!((told.status, told.text()), (200, truth.text()), "{path}");
    }
    assert!(liar.told() > 0);
}
