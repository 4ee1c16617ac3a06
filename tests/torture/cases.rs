//! The wallet's commands that write, each with how things are before it, and what must hold after a fault in it.

use crate::wallet::{CANARY, Scene, files, text};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A command.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Makes ready what it needs, and gives its arguments.
    pub(crate) begin: fn(&Scene<'_>) -> Result<Vec<String>, String>,
    /// What must hold afterwards; given the arguments.
    pub(crate) after: fn(&Scene<'_>, &[String]) -> Result<(), String>,
}

fn args<S: AsRef<str>>(args: &[S]) -> Result<Vec<String>, String> {
    Ok(args.iter().map(|arg| arg.as_ref().to_owned()).collect())
}

fn is(claim: bool, what: &str) -> Result<(), String> {
    if claim { Ok(()) } else { Err(what.to_owned()) }
}

fn count(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

/// Works as well when it was done already.
fn again(scene: &Scene<'_>, given: &[String]) -> Result<(), String> {
    scene.ok(given).map(drop)
}

/// The ids of what bob has kept.
fn found(scene: &Scene<'_>) -> Result<Vec<String>, String> {
    match scene.run(&["-w", "bob", "search", CANARY]) {
        Ok(found) => found["hits"].as_array().into_iter().flatten().map(|hit| text(&hit["id"])).collect(),
        // Nothing found is no success, and no error.
        Err(failed) if failed.code.is_empty() && failed.said.contains("sealpost/search/1") => Ok(Vec::new()),
        Err(failed) => Err(failed.said),
    }
}

/// All of the wallet's commands that write.
pub(crate) fn cases() -> Vec<Case> {
    [making(), keys(), messages(), answers(), kept()].into_iter().flatten().collect()
}

/// Networks, wallets and contacts.
fn making() -> Vec<Case> {
    vec![
        Case {
            name: "network add",
            begin: |scene| {
                fs::remove_dir_all(scene.home.join("networks")).map_err(|error| error.to_string())?;
                args(&["network", "add", "--genesis", &scene.path("genesis.json"), "--node", &scene.node])
            },
            after: |scene, given| {
                again(scene, given)?;
                let listed = scene.ok(&["network", "list"])?;
                is(listed.to_string().contains(&scene.node), "the node is not saved")
            },
        },
        Case {
            name: "new",
            begin: |scene| {
                args(&["-w", "carol", "new", "carol", "--mnemonic-out", &scene.path("carol.words")])
            },
            after: |scene, given| {
                let words = fs::read_to_string(scene.home.join("carol.words")).unwrap_or_default();
                if scene.wallet_folder("carol").join("keystore.json").exists() {
                    is(words.split_whitespace().count() >= 12, "a wallet whose words nobody has")?;
                } else if words.is_empty() {
                    again(scene, given)?;
                } else {
                    let path = scene.path("carol.words");
                    scene.ok(&["-w", "carol", "restore", "carol", "--mnemonic-file", &path])?;
                }
                is(scene.opens("carol", "passphrase"), "the wallet does not open")
            },
        },
        Case {
            name: "restore",
            begin: |scene| {
                args(&["-w", "back", "restore", "back", "--mnemonic-file", &scene.path("alice.words")])
            },
            after: |scene, given| {
                scene.ok_or(given, &["wallet.exists"])?;
                let addresses = ["alice", "back"].map(|name| scene.ok(&["-w", name, "address"]));
                let [alice, back] = addresses;
                is(alice?["address"] == back?["address"], "it is another identity")?;
                is(scene.opens("back", "passphrase"), "the wallet does not open")
            },
        },
        Case {
            name: "passphrase",
            begin: |scene| {
                args(&["-w", "alice", "passphrase", "--new-passphrase-file", &scene.path("new-passphrase")])
            },
            after: |scene, given| {
                let (old, new) = (scene.opens("alice", "passphrase"), scene.opens("alice", "new-passphrase"));
                is(old != new, &format!("it opens with the old one: {old}, with the new one: {new}"))?;
                if old {
                    again(scene, given)?;
                }
                is(scene.opens("alice", "new-passphrase"), "the new one does not open it")
            },
        },
        Case {
            name: "contact add",
            begin: |scene| {
                let bob = text(&scene.ok(&["-w", "bob", "address"])?["address"])?;
                scene.ok(&["contact", "remove", "bob"])?;
                args(&["contact", "add", "bob", &bob])
            },
            after: |scene, given| {
                scene.ok_or(given, &["contact.known", "contact.exists"])?;
                is(count(&scene.ok(&["contact", "list"])?["contacts"]) == 2, "contacts are missing")
            },
        },
        Case {
            name: "contact rename",
            begin: |_| args(&["contact", "rename", "bob", "robert"]),
            after: |scene, given| {
                scene.ok_or(given, &["contact.unknown"])?;
                is(count(&scene.ok(&["contact", "list"])?["contacts"]) == 2, "contacts are missing")
            },
        },
        Case {
            name: "contact group add",
            begin: |_| args(&["contact", "group", "add", "residents", "alice", "bob"]),
            after: |scene, given| {
                again(scene, given)?;
                let shown = scene.ok(&["contact", "group", "show", "residents"])?;
                is(count(&shown["members"]) == 2, "members are missing")
            },
        },
        Case { name: "use", begin: |_| args(&["use", "alice"]), after: again },
        Case {
            name: "remove",
            begin: |scene| {
                scene.new_wallet("dave")?;
                scene.send("dave", "bob", &[])?;
                args(&["remove", "dave", "--yes"])
            },
            after: |scene, given| {
                scene.ok_or(given, &["wallet.missing"])?;
                is(!scene.opens("dave", "passphrase"), "it is still there")?;
                fs::remove_file(scene.home.join("dave.words")).map_err(|error| error.to_string())?;
                scene.unpublished("dave")?;
                let outbox = scene.ok(&["-w", "dave", "outbox"])?;
                is(count(&outbox["entries"]) == 0, "a new wallet has the outbox of one that was removed")
            },
        },
    ]
}

/// The life of keys.
fn keys() -> Vec<Case> {
    vec![
        Case {
            name: "keys publish",
            begin: |scene| {
                scene.unpublished("dave")?;
                args(&["-w", "dave", "keys", "publish"])
            },
            after: |scene, given| {
                again(scene, given)?;
                can_be_written_to(scene, "dave", None)
            },
        },
        Case {
            name: "keys rotate",
            begin: |scene| {
                let address = scene.new_wallet("dave")?;
                scene.ok(&["contact", "add", "dave", &address])?;
                scene.send("alice", "dave", &[])?;
                args(&["-w", "dave", "keys", "rotate"])
            },
            after: |scene, given| {
                let earlier = text(&scene.ok(&["-w", "dave", "inbox"])?["messages"][0]["id"])?;
                can_be_written_to(scene, "dave", Some(&earlier))?;
                again(scene, given)?;
                can_be_written_to(scene, "dave", Some(&earlier))
            },
        },
        Case {
            name: "keys revoke",
            begin: |scene| {
                scene.new_wallet("dave")?;
                args(&["-w", "dave", "keys", "revoke"])
            },
            after: |scene, given| {
                scene.ok_or(given, &["bundle.already_revoked"])?;
                scene.ok(&["-w", "dave", "keys", "rotate"])?;
                can_be_written_to(scene, "dave", None)
            },
        },
    ]
}

/// Whether others can write to a wallet, and it reads that, and an earlier message.
fn can_be_written_to(scene: &Scene<'_>, wallet: &str, earlier: Option<&str>) -> Result<(), String> {
    let address = text(&scene.ok(&["-w", wallet, "address"])?["address"])?;
    let id = scene.send("alice", &address, &[])?;
    for id in [Some(id.as_str()), earlier].into_iter().flatten() {
        let read = scene.ok(&["-w", wallet, "read", id])?;
        is(read["text"] == CANARY, &format!("{id} does not read"))?;
    }
    Ok(())
}

/// Sending.
fn messages() -> Vec<Case> {
    vec![
        Case {
            name: "send",
            begin: |scene| {
                scene.ok(&["contact", "add", "dave", &scene.new_wallet("dave")?])?;
                args(&["-w", "alice", "send", "dave", "-m", CANARY])
            },
            after: |scene, given| arrives_once(scene, given, 1),
        },
        Case {
            name: "send --sealed",
            begin: |scene| {
                scene.ok(&["contact", "add", "dave", &scene.new_wallet("dave")?])?;
                args(&["-w", "alice", "send", "dave", "--sealed", "-m", CANARY])
            },
            after: |scene, given| arrives_once(scene, given, 1),
        },
        Case {
            name: "send --attach",
            begin: |scene| {
                scene.ok(&["contact", "add", "dave", &scene.new_wallet("dave")?])?;
                args(&["-w", "alice", "send", "dave", "-m", CANARY, "--attach", &scene.plan()?])
            },
            after: |scene, given| {
                arrives_once(scene, given, 1)?;
                let id = text(&scene.ok(&["-w", "dave", "inbox"])?["messages"][0]["id"])?;
                scene.ok(&["-w", "dave", "read", &id, "-o", &scene.path("saved")])?;
                let files =
                    ["plan", "saved/plan"].map(|name| fs::read(scene.home.join(name)).unwrap_or_default());
                is(files[0] == files[1] && !files[0].is_empty(), "the file is another one")
            },
        },
        Case {
            name: "send-many",
            begin: |scene| {
                scene.ok(&["contact", "add", "dave", &scene.new_wallet("dave")?])?;
                let line = |n| format!("{{\"to\":\"dave\",\"text\":\"{CANARY} {n}\"}}\n");
                let list: String = (1..=3).map(line).collect();
                fs::write(scene.home.join("list.jsonl"), list).map_err(|error| error.to_string())?;
                args(&["-w", "alice", "send-many", &scene.path("list.jsonl")])
            },
            after: |scene, given| {
                again(scene, given)?;
                let inbox = scene.ok(&["-w", "dave", "inbox"])?;
                is(count(&inbox["messages"]) == 3, &format!("{} of 3 arrived", count(&inbox["messages"])))
            },
        },
        Case {
            name: "reply",
            begin: |scene| {
                scene.ok(&["contact", "add", "dave", &scene.new_wallet("dave")?])?;
                let id = scene.send("dave", "alice", &[])?;
                args(&["-w", "alice", "reply", &id, "-m", CANARY])
            },
            after: |scene, given| arrives_once(scene, given, 1),
        },
        Case {
            name: "draft discard",
            begin: |scene| {
                let away = "http://127.0.0.1:1";
                let _no_node = scene.run(&["-w", "alice", "--node", away, "send", "bob", "-m", CANARY]);
                let drafts = scene.ok(&["-w", "alice", "draft", "list"])?;
                args(&["-w", "alice", "draft", "discard", &text(&drafts["drafts"][0]["id"])?])
            },
            after: |scene, given| {
                scene.ok_or(given, &["draft.unknown"])?;
                is(count(&scene.ok(&["-w", "alice", "draft", "list"])?["drafts"]) == 0, "it is still there")
            },
        },
    ]
}

/// What has begun to leave is gone on with; what is only a draft is sent on purpose; what is nowhere is sent anew. In the
/// end it is there so many times.
fn arrives_once(scene: &Scene<'_>, given: &[String], times: usize) -> Result<(), String> {
    let outbox = scene.ok(&["-w", "alice", "outbox"])?;
    let drafts = outbox["drafts"].as_array().cloned().unwrap_or_default();
    let arrived = || Ok::<_, String>(count(&scene.ok(&["-w", "dave", "inbox"])?["messages"]));
    match (drafts.as_slice(), arrived()?) {
        ([], 0) => again(scene, given)?,
        ([], _) => {}
        ([draft], 0) => drop(scene.ok(&["-w", "alice", "send", "--draft", &text(&draft["id"])?])?),
        (drafts, there) => {
            return Err(format!("it has arrived {there} times, and there are {} drafts", drafts.len()));
        }
    }
    let there = arrived()?;
    is(there == times, &format!("it has arrived {there} times"))
}

/// Reading and answering.
fn answers() -> Vec<Case> {
    vec![
        Case {
            name: "read -o",
            begin: |scene| {
                fs::write(scene.home.join("plan"), format!("{CANARY} plan")).map_err(|e| e.to_string())?;
                let id = scene.send("alice", "bob", &["--attach", &scene.path("plan")])?;
                args(&["-w", "bob", "read", &id, "-o", &scene.path("saved")])
            },
            after: |scene, given| {
                scene.ok_or(given, &["file.exists"])?;
                let saved = fs::read_to_string(scene.home.join("saved/plan")).unwrap_or_default();
                is(saved == format!("{CANARY} plan"), "the file is not whole")?;
                let folder = fs::metadata(scene.home.join("saved")).map_err(|error| error.to_string())?;
                is(folder.permissions().mode() & 0o077 == 0, "others see what is saved")?;
                scene.ok(&["-w", "bob", "read", &given[3]])?;
                is(!found(scene)?.is_empty(), "it was not kept")
            },
        },
        Case {
            name: "read -o of a file in parts",
            begin: |scene| {
                let id = scene.send("alice", "bob", &["--attach", &scene.plan()?])?;
                args(&["-w", "bob", "read", &id, "-o", &scene.path("saved")])
            },
            after: |scene, given| {
                scene.ok_or(given, &["file.exists"])?;
                let files =
                    ["plan", "saved/plan"].map(|name| fs::read(scene.home.join(name)).unwrap_or_default());
                is(files[0] == files[1] && !files[0].is_empty(), "the file is another one")
            },
        },
        Case {
            name: "receipt give",
            begin: |scene| args(&["-w", "bob", "receipt", "give", &scene.send("alice", "bob", &[])?]),
            after: |scene, given| {
                scene.ok_or(given, &["receipt.already_answered"])?;
                let status = scene.ok(&["-w", "alice", "status", &given[4]])?.to_string();
                is(status.contains("opened") || status.contains("receipt"), &status)
            },
        },
        Case {
            name: "refuse",
            begin: |scene| args(&["-w", "bob", "refuse", &scene.send("alice", "bob", &[])?]),
            after: |scene, given| {
                scene.ok_or(given, &["receipt.already_answered"])?;
                let status = scene.ok(&["-w", "alice", "status", &given[3]])?.to_string();
                is(status.contains("refused"), &status)
            },
        },
        Case {
            name: "inbox with sealed mail",
            begin: |scene| {
                scene.ok(&["contact", "add", "dave", &scene.new_wallet("dave")?])?;
                scene.send("alice", "dave", &["--sealed"])?;
                scene.send("alice", "dave", &[])?;
                args(&["-w", "dave", "inbox"])
            },
            after: |scene, given| {
                let inbox = scene.ok(given)?;
                is(count(&inbox["messages"]) == 2, &format!("{} of 2", count(&inbox["messages"])))
            },
        },
        Case {
            name: "designate",
            begin: |scene| {
                scene.new_wallet("dave")?;
                args(&["-w", "dave", "designate", "lift", "bob"])
            },
            after: again,
        },
    ]
}

/// What is kept and written for people.
fn kept() -> Vec<Case> {
    vec![
        Case {
            name: "sync",
            begin: |scene| {
                scene.send("alice", "bob", &[])?;
                args(&["-w", "bob", "sync"])
            },
            after: |scene, given| {
                again(scene, given)?;
                is(!found(scene)?.is_empty(), "it was not kept")
            },
        },
        Case {
            name: "mark read",
            begin: |scene| args(&["-w", "bob", "mark", "read", &scene.send("alice", "bob", &[])?]),
            after: again,
        },
        Case {
            name: "forget",
            begin: |scene| {
                let id = scene.send("alice", "bob", &[])?;
                scene.ok(&["-w", "bob", "sync"])?;
                args(&["-w", "bob", "forget", &id, "--yes"])
            },
            after: |scene, given| {
                again(scene, given)?;
                scene.ok(&["-w", "bob", "sync", "--all"])?;
                is(!found(scene)?.contains(&given[3]), "it is still there")
            },
        },
        Case {
            name: "forget --all",
            begin: |scene| {
                scene.send("alice", "bob", &[])?;
                scene.ok(&["-w", "bob", "sync"])?;
                args(&["-w", "bob", "forget", "--all", "--yes"])
            },
            after: |scene, given| {
                found(scene)?;
                again(scene, given)?;
                is(found(scene)?.is_empty(), "letters are still there")
            },
        },
        Case {
            name: "export all --mbox",
            begin: |scene| {
                scene.send("alice", "bob", &[])?;
                scene.ok(&["-w", "bob", "sync"])?;
                args(&["-w", "bob", "export", "all", "--offline", "--mbox", &scene.path("mail.mbox")])
            },
            after: |scene, given| {
                scene.ok_or(given, &["file.exists"])?;
                let mail = fs::read_to_string(scene.home.join("mail.mbox")).unwrap_or_default();
                is(mail.contains("From ") && mail.ends_with('\n'), "the file is not whole")
            },
        },
        Case {
            name: "export all --eml",
            begin: |scene| {
                scene.send("alice", "bob", &[])?;
                scene.ok(&["-w", "bob", "sync"])?;
                args(&["-w", "bob", "export", "all", "--offline", "--eml", &scene.path("mail")])
            },
            after: |scene, given| {
                scene.ok_or(given, &["file.exists"])?;
                let whole = files(&scene.home.join("mail")).into_iter().any(|path| {
                    fs::read_to_string(path)
                        .is_ok_and(|mail| mail.contains("Subject") || mail.contains("From:"))
                });
                is(whole, "no letter is whole")
            },
        },
        Case {
            name: "evidence create",
            begin: |scene| {
                let id = scene.send("alice", "bob", &[])?;
                args(&["-w", "alice", "evidence", "create", &id, "-o", &scene.path("evidence.json")])
            },
            after: |scene, given| {
                scene.ok_or(given, &["file.exists"])?;
                let (file, genesis) = (scene.path("evidence.json"), scene.path("genesis.json"));
                scene.ok(&["evidence", "verify", &file, "--genesis", &genesis]).map(drop)
            },
        },
        Case {
            name: "backup",
            begin: |scene| {
                scene.send("alice", "bob", &[])?;
                args(&["-w", "alice", "backup", &scene.path("alice.backup")])
            },
            after: |scene, given| {
                scene.ok_or(given, &["file.exists"])?;
                scene.ok(&["restore-backup", &scene.path("alice.backup"), "--dry-run"]).map(drop)
            },
        },
        Case {
            name: "restore-backup",
            begin: |scene| {
                scene.send("alice", "bob", &[])?;
                scene.ok(&["-w", "alice", "backup", &scene.path("alice.backup")])?;
                args(&["restore-backup", &scene.path("alice.backup"), "--name", "back"])
            },
            after: |scene, given| {
                scene.ok_or(given, &["wallet.exists"])?;
                is(count(&scene.ok(&["-w", "back", "outbox"])?["entries"]) > 0, "its outbox is empty")
            },
        },
    ]
}
