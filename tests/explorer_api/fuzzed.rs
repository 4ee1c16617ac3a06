//! Schemathesis, a foreign tester of HTTP interfaces, reads the OpenAPI document and asks what it can think of: no
//! answer may be a failure of the server, and none may be undocumented. `tests/run` installs it and names it in
//! `SEALPOST_TEST_SCHEMATHESIS`.

use super::shared;
use crate::interop::absent;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

/// Requests per resource and phase. The same ones each time: the seed is fixed.
const EXAMPLES: &str = "40";

/// The document with things that are there as examples, so that not every answer is 404.
fn with_examples(mut document: Value, values: &[(&str, &[&str])]) -> Value {
    for item in document["paths"].as_object_mut().unwrap().values_mut() {
        let parameters = item["get"].get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap().to_owned();
            for (_, values) in values.iter().filter(|(known, _)| *known == name) {
                let examples = values.iter().enumerate();
                let examples = examples.map(|(n, value)| (n.to_string(), json!({ "value": value })));
                parameter["examples"] = Value::Object(examples.collect());
            }
        }
    }
    document
}

#[test]
fn schemathesis_finds_no_failure_and_nothing_undocumented() {
    let Some(program) = std::env::var_os("SEALPOST_TEST_SCHEMATHESIS") else {
        return absent("schemathesis");
    };
    let stage = &shared();
    let ids = [&stage.opened, &stage.silent, &stage.sealed, &stage.receipt].map(String::as_str);
    let hash = stage.data("/api/v1/blocks/2")["header"]["hash"].as_str().unwrap().to_owned();
    let values: [(&str, &[&str]); 4] = [
        ("id", &ids),
        ("block", &["1", &hash]),
        ("address", &[&stage.alice, &stage.bob]),
        ("q", &[&stage.opened, &stage.bob, "1", "5d0c"]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("openapi.json");
    fs::write(&document, with_examples(stage.get("/openapi.json").json(), &values).to_string()).unwrap();
    let mut run = Command::new(program);
    run.arg("run").arg(&document).args(["--url", &stage.url(), "--seed", "1", "--max-examples", EXAMPLES]);
    // A stream does not end; it has tests of its own.
    run.args(["--exclude-path-regex", "/events$", "--workers", "2", "--continue-on-failure"]);
    // That an address has a checksum and a cursor is opaque can't be said in a schema: what fits the schema may be
    // refused.
    run.args(["--exclude-checks", "positive_data_acceptance"]);
    let output = run.current_dir(folder.path()).env("NO_COLOR", "1").output().expect("it runs");
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{error}");
    assert!(said.contains("passed"), "{said}");
}
