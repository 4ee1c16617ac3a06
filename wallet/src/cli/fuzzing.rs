//! What the fuzzer tries of the command line: what people type or put into files, and what programs ask `serve`.
#![allow(clippy::unwrap_used)]

use super::WalletSettings;
use super::contact::parse_address;
use super::send_many::list;
use super::serve::protocol;
use crate::fuzzing::{memory, write_private};
use confique::Layer;
use sealpost_ledger::examples;
use sealpost_ledger::fuzzing::Target;
use sealpost_terminal::{GlobalArgs, load_config};

/// What is tried.
pub(crate) fn targets() -> Vec<Target> {
    vec![
        Target::new("serve_request", requests, protocol::fuzz),
        Target::new("list_of_messages", lists, list::fuzz),
        link(),
        settings(),
    ]
}

fn requests() -> Vec<Vec<u8>> {
    [
        r#"{"jsonrpc":"2.0","id":1,"method":"authenticate","params":{"token":"x"}}"#,
        r#"{"jsonrpc":"2.0","id":"a","method":"read"}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"read","params":[]}"#,
        r#"[{"jsonrpc":"2.0","id":1}]"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

fn lists() -> Vec<Vec<u8>> {
    [
        "to,subject,text,sealed\nbob carol,Lift,\"out of, service\",true\n",
        "to,text,reply_to,file\nbob,x,0a,plan.pdf\n",
        "{\"to\":[\"bob\"],\"subject\":\"Lift\",\"text\":\"x\",\"sealed\":false}\n\n{\"to\":\"bob\",\"file\":\"x\"}\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// An address or a link with one: what is read is the address, in one of its two spellings.
fn link() -> Target {
    let (genesis, evidence) = examples::evidence();
    let text = evidence.message.transaction.sender().to_text(genesis.prefix());
    let seeds = {
        let text = text.clone();
        move || {
            let upper = text.to_uppercase();
            [text.clone(), format!("sealpost:{text}"), format!("SEALPOST:{upper}")]
                .map(String::into_bytes)
                .to_vec()
        }
    };
    Target::new("link", seeds, move |bytes| {
        let Ok(link) = std::str::from_utf8(bytes) else { return false };
        let Ok(address) = parse_address(link, genesis.prefix()) else { return false };
        let read = address.to_text(genesis.prefix());
        assert!(link.to_ascii_lowercase().ends_with(&read), "{link}");
        true
    })
}

/// The settings' file: read or refused, and refused with words.
fn settings() -> Target {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let path = folder.path().join("wallet.toml");
    let globals = GlobalArgs { config: Some(path.clone()), ..GlobalArgs::default() };
    let seeds = || {
        [
            "node = [\"http://one:17325\"]\ntimeout = \"30s\"\nmax_age = \"10m\"\n[keys]\nrotate_days = 7\n",
            "archive = \"off\"\nnotify = [\"a\", \"b\"]\nmax_postage = 7\nattachment_bytes = 9\nnetwork = \"x\"\n",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    };
    Target::new("wallet_settings", seeds, move |bytes| {
        let _kept = &folder;
        write_private(&path, bytes);
        let none = <WalletSettings as confique::Config>::Layer::empty();
        match load_config::<WalletSettings>("wallet", &globals, none) {
            Ok(_) => true,
            Err(failure) => {
                assert!(!failure.message.is_empty());
                false
            }
        }
    })
}
