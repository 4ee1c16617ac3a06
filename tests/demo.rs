//! `sealpost-node demo` really does what it says.

use sealpost_tests::run;

#[test]
fn every_step_of_the_demo_holds_and_leaves_what_it_promises() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let kept_text = kept.to_str().unwrap();
    let output = run("sealpost-node", dir.path(), &["demo", "--exit", "--json", "--keep", kept_text]);
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{out}\n{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps: Vec<&str> = lines.iter().filter_map(|line| line["step"].as_str()).collect();
    let expected = [
        "started",
        "wallets",
        "published",
        "sealed",
        "final",
        "found",
        "opened",
        "answered",
        "exported",
        "verified",
        "refused",
        "kept",
    ];
    assert_eq!(steps, expected);
    assert!(lines.iter().filter(|line| !line["step"].is_null()).all(|line| line["ok"] == true));
    let (evidence, genesis) = (kept.join("evidence.json"), kept.join("genesis.json"));
    let verify = ["evidence", "verify", evidence.to_str().unwrap(), "--genesis", genesis.to_str().unwrap()];
    assert_eq!(run("sealpost", dir.path(), &verify).status.code(), Some(0));
}
