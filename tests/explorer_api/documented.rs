//! Every resource of the OpenAPI document answers with a status, a content type and a shape that stand there.

use super::client::Reply;
use super::{HOSTILE_CLASS, HOSTILE_NAME, Stage, shared};
use crate::world::home_of;
use sealpost_tests::run;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What stands for the variable part of a path: things that are there, and things that are not.
fn samples(stage: &Stage, variable: &str) -> Vec<String> {
    let (zeros, hash) = ("00".repeat(32), stage.data("/api/v1/blocks/1")["header"]["hash"].clone());
    let nobody = stage.bob.chars().rev().collect::<String>();
    match variable {
        "{block}" => vec!["1".into(), hash.as_str().unwrap().into(), "0".into(), "999999999".into(), zeros],
        "{id}" => {
            let there = [&stage.opened, &stage.refused, &stage.silent, &stage.sealed, &stage.receipt];
            there.into_iter().cloned().chain([zeros, "5d0c".into()]).collect()
        }
        "{address}" => vec![stage.alice.clone(), stage.bob.to_uppercase(), nobody],
        other => panic!("no samples for {other}"),
    }
}

/// Strings that nothing expects, ready for a URL.
const ODD: [&str; 6] = ["%00", "%ff", "..%2f", "%3Cscript%3E", "-1", "%E2%80%AE"];

/// A document and the schemas that were made of it.
struct Document {
    json: Value,
    validators: BTreeMap<String, jsonschema::Validator>,
}

impl Document {
    fn of(stage: &Stage) -> Self {
        let reply = stage.get("/openapi.json");
        assert_eq!((reply.status, reply.kind()), (200, "application/json"));
        let printed = run("sealpost-explorer", home_of(&stage.world), &["openapi"]);
        assert_eq!(printed.stdout, reply.body, "the program prints another document than it serves");
        Self { json: reply.json(), validators: BTreeMap::new() }
    }
    /// That an answer stands in the document: its status, its type, its shape.
    fn check(&mut self, path: &str, url: &str, reply: &Reply) {
        let said = format!("{url}: {} {}", reply.status, String::from_utf8_lossy(&reply.body));
        let response = &self.json["paths"][path]["get"]["responses"][reply.status.to_string()];
        assert!(response.is_object(), "not documented: {said}");
        let content = &response["content"][reply.kind()];
        assert!(content.is_object(), "{} is not documented: {said}", reply.kind());
        if !reply.kind().ends_with("json") {
            return;
        }
        let schema = content["schema"].clone();
        let components = self.json["components"].clone();
        let validator = self.validators.entry(schema.to_string()).or_insert_with(|| {
            let whole = json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "allOf": [schema],
                "components": components,
            });
            jsonschema::validator_for(&whole).unwrap()
        });
        let json = reply.json();
        let errors: Vec<_> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}: {said}");
        if reply.status >= 400 {
            assert_eq!(reply.kind(), "application/problem+json", "{said}");
            assert_eq!(json["status"], reply.status, "{said}");
        }
    }
}

#[test]
fn every_resource_answers_as_the_document_says() {
    let stage = &shared();
    let mut document = Document::of(stage);
    assert!(document.json["openapi"].as_str().unwrap().starts_with("3.1"));
    let errors = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md")).unwrap();
    let chain = document.json["paths"].as_object().unwrap().clone();
    assert!(chain.len() >= 19, "{:?}", chain.keys());
    let mut codes = BTreeSet::new();
    for (path, item) in &chain {
        let variable = path.split('/').find(|part| part.starts_with('{'));
        let names = match variable {
            Some(variable) => samples(stage, variable).into_iter().chain(ODD.map(String::from)).collect(),
            None => vec![String::new()],
        };
        let fill = |name: &str| variable.map_or(path.clone(), |variable| path.replace(variable, name));
        let mut urls: Vec<_> = names.iter().map(|name| fill(name)).collect();
        // Each parameter with values that are allowed, and with some that are not.
        let parameters = item["get"]["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in parameters.iter().filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            let values = [
                "",
                "0",
                "1",
                "2",
                "100",
                "101",
                "1-0",
                "99999999999999999999",
                "x",
                "true",
                "sent",
                "oldest",
                "csv",
            ];
            let allowed = values.iter().chain(&ODD);
            urls.extend(allowed.map(|value| format!("{}?{name}={value}", fill(&names[0]))));
        }
        urls.push(format!("{}?no_such_parameter=1", fill(&names[0])));
        let mut answered = 0;
        for url in urls {
            // A stream does not end; it has tests of its own.
            if path.ends_with("/events")
                && !url.contains("no_such")
                && !ODD.iter().any(|odd| url.contains(odd))
            {
                answered += 1;
                continue;
            }
            let reply = stage.get(&url);
            document.check(path, &url, &reply);
            assert!(reply.status < 500, "{url}: {reply:?}");
            match reply.status {
                200 => answered += 1,
                _ => drop(codes.insert(reply.json()["code"].as_str().unwrap().to_owned())),
            }
            if url.contains("no_such_parameter") {
                assert_eq!((reply.status, &reply.json()["code"]), (400, &json!("input.parameter")), "{url}");
            }
        }
        assert!(answered > 0, "{path} never answered");
    }
    for code in
        ["block.unknown", "tx.unknown", "tx.not_a_message", "input.id", "input.address", "input.cursor"]
    {
        assert!(codes.contains(code), "{code} was never met: {codes:?}");
    }
    let unnamed: Vec<_> = codes.iter().filter(|code| !errors.contains(&format!("| `{code}` |"))).collect();
    assert!(unnamed.is_empty(), "not in docs/errors.md: {unnamed:?}");
}

#[test]
fn what_is_at_no_address_or_asked_in_another_way_is_a_problem_too() {
    let stage = &shared();
    let reply = stage.get("/api/v1/nothing");
    assert_eq!((reply.status, reply.kind()), (404, "application/problem+json"));
    assert_eq!(reply.json()["code"], "explorer.route");
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let reply = super::client::request(&stage.url(), method, "/api/v1/blocks", &[]);
        assert_eq!((reply.status, reply.header("allow")), (405, "GET,HEAD"), "{method}: {reply:?}");
        assert_eq!(reply.json()["code"], "explorer.method");
    }
}

#[test]
fn the_ledger_is_told_as_it_is() {
    let stage = &shared();
    let status = stage.get("/api/v1/status").json();
    let genesis =
        run("sealpost-explorer", home_of(&stage.world), &["check", "--node", &stage.world.node.said("rpc")]);
    assert!(genesis.status.success(), "{genesis:?}");
    assert_eq!(status["data"]["chain_name"], "world");
    assert_eq!(status["observed"], json!(["node"]));

    let slot = |id: &str| stage.data(&format!("/api/v1/messages/{id}/receipts"))["items"][0].clone();
    let opened = slot(&stage.opened);
    assert_eq!((&opened["state"], &opened["recipient"]), (&json!("opened"), &json!(stage.bob)));
    assert_eq!(opened["receipt"], json!(stage.receipt));
    let refused = slot(&stage.refused);
    assert_eq!((&refused["state"], &refused["reason"]), (&json!("refused"), &json!("unwanted")));
    let silent = slot(&stage.silent);
    assert_eq!(silent["state"], "silent");
    assert!(silent["silent_until"].as_u64().unwrap() > 0);
    let sealed = slot(&stage.sealed);
    assert_eq!((&sealed["state"], &sealed["recipient"]), (&json!("unknowable"), &Value::Null));

    // The evidence is what the wallet verifies.
    let evidence = stage.get(&format!("/api/v1/messages/{}/evidence?body=true", stage.opened));
    let file = stage.world.path("from-api.json");
    fs::write(&file, &evidence.body).unwrap();
    let genesis = stage.world.path("node/genesis.json");
    let verify = ["evidence", "verify", &file, "--genesis", &genesis];
    assert_eq!(run("sealpost", home_of(&stage.world), &verify).status.code(), Some(0));

    let body = stage.get(&format!("/api/v1/messages/{}/body", stage.opened));
    let message = stage.data(&format!("/api/v1/messages/{}", stage.opened));
    assert_eq!(message["transaction"]["payload"]["body_bytes"], body.body.len());

    let names = stage.data("/api/v1/validators")["validators"].clone();
    assert_eq!(names[0]["name"], HOSTILE_NAME);

    for (wanted, kind) in [
        (&stage.opened, "message"),
        (&stage.receipt, "transaction"),
        (&stage.bob, "address"),
        (&"1".into(), "block"),
    ] {
        let hits = stage.data(&format!("/api/v1/search?q={wanted}"))["hits"].clone();
        assert_eq!((hits.as_array().unwrap().len(), &hits[0]["kind"]), (1, &json!(kind)), "{hits}");
        assert_eq!(stage.get(hits[0]["url"].as_str().unwrap()).status, 200);
    }
    assert_eq!(stage.data("/api/v1/search?q=5d0c")["hits"], json!([]));
}

#[test]
fn lists_are_read_to_their_end_without_a_gap() {
    let stage = &shared();
    let all = |list: &str, size: usize| {
        let (mut items, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = stage.data(&format!("{list}limit={size}{after}"));
            let part = page["items"].as_array().unwrap().clone();
            assert!(part.len() <= size);
            items.extend(part);
            pages += 1;
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return (items, pages),
            }
        }
    };
    let sent = format!("/api/v1/addresses/{}/messages?side=sent&", stage.alice);
    for list in ["/api/v1/blocks?", &sent, &format!("{sent}order=oldest&"), "/api/v1/validators/changes?"] {
        let ((whole, _), (parts, pages)) = (all(list, 100), all(list, 2));
        assert_eq!(whole, parts, "{list}");
        assert!(pages > 1 || whole.len() <= 2, "{list}");
    }
    let (mut newest, mut oldest) = (all(&sent, 100).0, all(&format!("{sent}order=oldest&"), 3).0);
    // Keys, three open messages, a designation.
    assert_eq!(newest.len(), 5, "{newest:?}");
    oldest.reverse();
    assert_eq!(newest, oldest);
    newest.retain(|item| item["payload"]["kind"] == "message");
    // The sealed one was signed by another key.
    assert_eq!(newest.len(), 3);
}

#[test]
fn a_spreadsheet_gets_text_where_a_formula_was_meant() {
    let stage = &shared();
    let path = format!("/api/v1/addresses/{}/messages?side=sent", stage.alice);
    let csv = super::client::get(&stage.url(), &path, &[("Accept", "text/csv")]);
    assert_eq!((csv.status, csv.kind()), (200, "text/csv"));
    assert!(csv.header("vary").split(", ").any(|name| name == "accept"), "{csv:?}");
    assert_eq!(csv.body, stage.get(&format!("{path}&format=csv")).body);
    let lines: Vec<_> = csv.text().split("\r\n").collect();
    assert!(lines[0].starts_with("chain,height,index,time,block,kind,id,sender,recipients"), "{}", lines[0]);
    let items = stage.data(&path)["items"].as_array().unwrap().clone();
    assert_eq!(lines.len(), items.len() + 2);
    for (line, item) in lines[1..].iter().zip(&items) {
        assert!(line.contains(item["id"].as_str().unwrap()), "{line}");
        for cell in line.split(',') {
            assert!(!cell.starts_with(['=', '+', '-', '@']), "{line}");
        }
    }
    assert!(csv.text().contains(&format!(",'{HOSTILE_CLASS},")), "{}", csv.text());
    // The next page is named outside the table.
    let page = stage.get(&format!("{path}&format=csv&limit=2"));
    let next = page.header("link").strip_prefix('<').unwrap().split('>').next().unwrap();
    assert_eq!(stage.get(next).text().split("\r\n").nth(1), Some(lines[3]));
}

#[test]
fn the_feed_is_well_formed_and_names_what_happened() {
    let stage = &shared();
    for address in [&stage.alice, &stage.bob] {
        let reply = stage.get(&format!("/api/v1/addresses/{address}/feed.atom"));
        assert_eq!((reply.status, reply.kind()), (200, "application/atom+xml"));
        let feed = roxmltree::Document::parse(reply.text()).unwrap();
        let atom = "http://www.w3.org/2005/Atom";
        let root = feed.root_element();
        assert_eq!((root.tag_name().name(), root.tag_name().namespace()), ("feed", Some(atom)));
        for needed in ["id", "title", "updated", "author"] {
            assert_eq!(
                root.children().filter(|child| child.has_tag_name((atom, needed))).count(),
                1,
                "{needed}"
            );
        }
        let entries: Vec<_> = root.children().filter(|child| child.has_tag_name((atom, "entry"))).collect();
        let text = |entry: &roxmltree::Node<'_, '_>, name| {
            let child = entry.children().find(|child| child.has_tag_name((atom, name)));
            child.and_then(|child| child.text()).unwrap().to_owned()
        };
        let ids: BTreeSet<_> = entries.iter().map(|entry| text(entry, "id")).collect();
        assert_eq!(ids.len(), entries.len(), "an id stands twice");
        for id in [&stage.opened, &stage.refused, &stage.silent] {
            assert!(ids.iter().any(|urn| urn.ends_with(id.as_str())), "{id} is not in {ids:?}");
        }
        let updated: Vec<_> = entries.iter().map(|entry| text(entry, "updated")).collect();
        assert!(updated.is_sorted_by(|a, b| a >= b), "{updated:?}");
        assert_eq!(text(&root, "updated"), updated[0]);
    }
}

#[test]
fn the_reference_is_a_page_that_names_every_resource() {
    let stage = &shared();
    let page = stage.get("/api");
    assert_eq!((page.status, page.kind()), (200, "text/html"));
    let text = page.text();
    for path in stage.get("/openapi.json").json()["paths"].as_object().unwrap().keys() {
        assert!(text.contains(&format!("GET {path}</code>")), "{path}");
    }
    assert!(!text.contains("https://") && !text.contains("style="), "{text}");
    assert_eq!(text.matches("<h1").count(), 1);
    // The kind of a problem leads to its explanation.
    let kind = stage.get("/api/v1/blocks/x").json()["type"].as_str().unwrap().to_owned();
    let anchor = kind.strip_prefix("/api#").unwrap();
    assert!(text.contains(&format!("id=\"{anchor}\"")), "{kind}");
}
