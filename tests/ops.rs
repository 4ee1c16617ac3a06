//! What operators are given is true: the tables of metrics and settings say what the programs say, dashboard and
//! alerts ask for metrics that exist, alerts lead to a section that explains them, the files name one another
//! rightly; and the node tells its service manager and its monitor how it is.

use sealpost_tests::{Server, get, json, program, run};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Labels that metrics may have. None of them can be filled with what an outsider makes up.
const LABELS: &[&str] = &[
    "version",
    "kind",
    "code",
    "segment",
    "direction",
    "topic",
    "result",
    "fault",
    "method",
    "validator",
    "route",
    "status",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metrics of the sources: name, kind and labels.
fn metrics() -> BTreeMap<String, (String, BTreeSet<String>)> {
    fn gather(folder: &Path, found: &mut BTreeMap<String, (String, BTreeSet<String>)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                for call in text.split("metrics::").skip(1) {
                    let Some((kind, rest)) = call.split_once("!(") else { continue };
                    if !["counter", "gauge", "histogram"].contains(&kind) {
                        continue;
                    }
                    let call = rest.split([';', '}']).next().unwrap();
                    let mut words = call.split('"').skip(1).step_by(2);
                    let name = words.next().unwrap().to_owned();
                    let arrows = call.match_indices("=>");
                    let labels = arrows.filter_map(|(at, _)| call[..at].rsplit('"').nth(1));
                    let metric = found.entry(name).or_insert_with(|| (kind.to_owned(), BTreeSet::new()));
                    metric.1.extend(labels.map(str::to_owned));
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    gather(&root().join("node/src"), &mut found);
    gather(&root().join("explorer/src"), &mut found);
    assert!(found.len() > 35, "only {} metrics found: is the test looking in the right place?", found.len());
    found
}

/// The rows of a table whose first cell is a metric.
fn table() -> BTreeMap<String, String> {
    let page = read("docs/operations.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `sealpost_")?.split_once("` | "));
    rows.map(|(name, meaning)| (format!("sealpost_{name}"), meaning.to_owned())).collect()
}

/// The metrics that an expression asks for, without what Prometheus puts behind a histogram's name.
fn asked(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("sealpost_") || word.starts_with("process_"));
    ours.map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned()).collect()
}

/// The queries of the dashboard.
fn queries() -> Vec<String> {
    fn gather(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| gather(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| gather(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    gather(&serde_json::from_str(&read("ops/grafana/sealpost.json")).unwrap(), &mut found);
    found
}

#[test]
fn the_table_of_metrics_names_those_of_the_sources_and_no_other() {
    let (sources, table) = (metrics(), table());
    let (used, named): (BTreeSet<_>, BTreeSet<_>) = (sources.keys().collect(), table.keys().collect());
    let missing: Vec<_> = used.difference(&named).collect();
    let stale: Vec<_> = named.difference(&used).collect();
    assert!(missing.is_empty() && stale.is_empty(), "missing: {missing:?}; stale: {stale:?}");
    for (name, (kind, labels)) in &sources {
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert_eq!(kind == "histogram", table[name].starts_with("histogram:"), "{name} is a {kind}");
        for label in labels {
            assert!(LABELS.contains(&label.as_str()), "{name} has the label {label}");
            assert!(
                table[name].contains(&format!("`{label}`")),
                "{name}: the table does not tell of {label}"
            );
        }
    }
}

#[test]
fn dashboard_and_alerts_ask_for_metrics_that_exist_and_for_all_of_them() {
    let (sources, page) = (metrics(), read("docs/operations.md"));
    let queries = queries();
    assert!(queries.len() > 40, "{} queries", queries.len());
    let alerts = read("ops/prometheus/alerts.yml");
    let mut seen = BTreeSet::new();
    for text in queries.iter().chain([&alerts]) {
        for name in asked(text) {
            let known = match name.starts_with("process_") {
                true => page.contains(&format!("`{name}`")),
                false => sources.contains_key(&name),
            };
            assert!(known, "{name} does not exist: {text}");
            if let Some((kind, _)) = sources.get(&name) {
                assert_eq!(kind == "histogram", text.contains(&format!("{name}_bucket")), "{name}: {text}");
            }
            seen.insert(name);
        }
    }
    let unseen: Vec<_> = sources.keys().filter(|name| !seen.contains(*name)).collect();
    assert!(unseen.is_empty(), "measured and never shown: {unseen:?}");
}

#[test]
fn every_alert_leads_to_the_section_that_explains_it() {
    let (alerts, page) = (read("ops/prometheus/alerts.yml"), read("docs/operations.md"));
    let names: Vec<_> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in &names {
        let (_, rest) = alerts.split_once(&format!("- alert: {name}\n")).unwrap();
        let rule = rest.split("- alert: ").next().unwrap();
        let link = format!("docs/operations.md#{}\n", name.to_lowercase());
        assert!(rule.contains(&link), "{name} has no runbook");
        assert!(page.contains(&format!("\n### {name}\n")), "docs/operations.md does not explain {name}");
    }
    let explained = page.split("\n## Alerts\n").nth(1).unwrap().split("\n## ").next().unwrap();
    assert_eq!(explained.matches("\n### ").count(), names.len(), "a section without an alert");
}

/// Names at two spaces below a word at the beginning of a line.
fn below<'a>(text: &'a str, head: &str) -> BTreeSet<&'a str> {
    let lines = text.lines().skip_while(|line| *line != head).skip(1);
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.trim().split_once(':')).map(|(name, _)| name).collect()
}

#[test]
fn the_compose_file_runs_the_homes_that_testnet_makes() {
    let (compose, scrape) = (read("ops/compose.yaml"), read("ops/prometheus/scrape.yml"));
    let services = below(&compose, "services:");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("network");
    let args = ["testnet", "--compose", "--validators", "4", "--full-nodes", "1", "--out"];
    let made = json("sealpost-node", dir.path(), &[&args[..], &[out.to_str().unwrap()]].concat());
    let nodes: Vec<_> =
        made["nodes"].as_array().unwrap().iter().map(|n| n["name"].as_str().unwrap()).collect();
    for name in &nodes {
        assert!(services.contains(name), "{name} is no service");
        assert!(compose.contains(&format!("SEALPOST_HOME: /var/lib/sealpost/network/{name} ")), "{name}");
        assert!(scrape.contains(&format!("- {name}:17328\n")), "{name} is not scraped");
    }
    for name in ["network", "explorer", "prometheus", "grafana"] {
        assert!(services.contains(name), "{name} is no service");
    }
    assert_eq!(services.len(), nodes.len() + 4);
    assert!(compose.contains(&args[..6].join(" ")), "the homes are made in another way than here");
    for path in ["ops/Dockerfile", "ops/grafana/provisioning", "ops/grafana/sealpost.json", "ops/prometheus"]
    {
        assert!(root().join(path).exists() && compose.contains(path.trim_start_matches("ops/")), "{path}");
    }
    // By name everywhere, since nobody knows the addresses before the containers run.
    let settings = fs::read_to_string(out.join("validator-2/node.toml")).unwrap();
    assert!(settings.contains("\"/dns4/validator-1/tcp/17326/p2p/"), "{settings}");
    assert!(settings.contains("metrics = \"0.0.0.0:17328\"\n"), "{settings}");
    let rpc = "[rpc]\nlisten = \"0.0.0.0:17325\"\nhosts = [\"validator-2\"]\n";
    assert!(settings.contains(rpc), "{settings}");
    let output = run("sealpost-node", &out.join("validator-2"), &["config", "check"]);
    assert!(output.status.success(), "{output:?}");
}

/// What it calls proven would be its node's word otherwise.
#[test]
fn the_explorer_is_delivered_with_a_genesis_of_its_own_and_sees_no_key() {
    let place = "/etc/sealpost/genesis.json";
    let unit = read("ops/systemd/sealpost-explorer.service");
    assert!(unit.contains(&format!("\nEnvironment=SEALPOST_EXPLORER_GENESIS={place}\n")), "{unit}");
    let install = format!("install -D -m 644 genesis.json {place}");
    assert!(read("docs/operations.md").contains(&install), "nobody puts it there");
    let compose = read("ops/compose.yaml");
    let service = |name: &str| {
        let rest = compose.split(&format!("\n  {name}:\n")).nth(1).unwrap();
        rest.split("\n\n").next().unwrap().to_owned()
    };
    let (explorer, maker) = (service("explorer"), service("network"));
    assert!(explorer.contains(&format!("SEALPOST_EXPLORER_GENESIS: {place}\n")), "{explorer}");
    assert!(explorer.contains("genesis:/etc/sealpost:ro") && !explorer.contains("homes:"), "{explorer}");
    assert!(maker.contains("genesis:/etc/sealpost\"") && maker.contains(place), "{maker}");
}

#[test]
fn the_files_for_operators_name_variables_that_exist() {
    let settings = read("docs/config.md") + &read("node/terminal/src/flags.rs") + &read("ops/Dockerfile");
    let ops = ["ops/compose.yaml", "ops/Dockerfile", "ops/systemd/sealpost-node.service"];
    for path in ops.into_iter().chain(["ops/systemd/sealpost-explorer.service", "docs/operations.md"]) {
        let text = read(path);
        let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        for name in words.filter(|word| word.len() > 9 && word.starts_with("SEALPOST_")) {
            assert!(
                settings.contains(&format!("`{name}`"))
                    || settings.contains(&format!("\"{name}\""))
                    || settings.contains(&format!("ARG {name}")),
                "{path} names {name}"
            );
        }
    }
}

#[test]
fn the_page_of_settings_is_what_the_programs_print() {
    let (page, dir) = (read("docs/config.md"), tempfile::tempdir().unwrap());
    let blocks: Vec<_> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    for (name, block) in ["sealpost-node", "sealpost-explorer"].into_iter().zip(&blocks) {
        let output = run(name, dir.path(), &["config"]);
        assert!(output.status.success(), "{name}: {output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            printed.trim_end(),
            block.trim_end(),
            "put the output of `{name} config` into docs/config.md"
        );
    }
    assert_eq!(blocks.len(), 2);
}

#[test]
fn init_writes_the_commented_settings_and_never_over_others() {
    let dir = tempfile::tempdir().unwrap();
    let (new, old) = (dir.path().join("new"), dir.path().join("old"));
    let made = json("sealpost-node", &new, &["init", "--new-network", "commented"]);
    let path = new.join("node.toml");
    assert_eq!(made["config"], path.to_str().unwrap());
    assert_eq!(fs::read(&path).unwrap(), run("sealpost-node", &new, &["config"]).stdout);
    assert!(run("sealpost-node", &new, &["config", "check"]).status.success());
    fs::create_dir(&old).unwrap();
    fs::write(old.join("node.toml"), "name = \"mine\"\n").unwrap();
    json("sealpost-node", &old, &["init", "--new-network", "commented"]);
    assert_eq!(fs::read_to_string(old.join("node.toml")).unwrap(), "name = \"mine\"\n");
}

const ALONE: [&str; 9] = [
    "run",
    "--rpc",
    "127.0.0.1:0",
    "--metrics",
    "127.0.0.1:0",
    "--p2p",
    "off",
    "--consensus",
    "/ip4/127.0.0.1/tcp/0",
];

#[test]
fn a_node_tells_what_it_measures_and_is_not_ready_when_the_disk_is_too_full() {
    let dir = tempfile::tempdir().unwrap();
    json("sealpost-node", dir.path(), &["init", "--new-network", "measured"]);
    let check = |floor: &str| {
        fs::write(dir.path().join("node.toml"), format!("disk_floor_mib = {floor}\n")).unwrap();
        let node = Server::start("sealpost-node", dir.path(), &ALONE, &dir.path().join("node.log"));
        let url = format!("http://{}", node.said("metrics"));
        // A node that has just started may call itself behind with its first block already there.
        let status = |until| {
            let args = ["status", "--wait", until, "--node", &node.said("rpc")];
            run("sealpost-node", dir.path(), &args).status.success()
        };
        assert!(status("final") | status("synced"));
        let (head, body) = get(&format!("{url}/readyz"));
        let ready: Value = serde_json::from_str(&body).unwrap();
        let checks = ready["checks"].as_array().unwrap().clone();
        let disk = checks.into_iter().find(|check| check["name"] == "disk").unwrap();
        (head.contains(" 200 "), disk["ok"].as_bool().unwrap(), get(&format!("{url}/metrics")).1)
    };
    let (ready, disk, text) = check("1");
    assert!(ready && disk, "{text}");
    let table = table();
    let told: BTreeSet<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for name in told.iter().filter(|name| name.starts_with("sealpost_")) {
        assert!(table.contains_key(*name), "{name} is told and not in docs/operations.md");
    }
    for name in ["sealpost_disk_free_bytes", "sealpost_mempool_limit_bytes", "sealpost_equivocations"] {
        assert!(told.contains(name), "{name} is missing in {told:?}");
    }
    assert!(text.contains("sealpost_consensus_validator_power{validator=\"validator-1\"} 1\n"), "{text}");
    #[cfg(target_os = "linux")]
    assert!(told.contains("process_resident_memory_bytes"), "{told:?}");
    let (ready, disk, _) = check("1_000_000_000_000");
    assert!(!ready && !disk, "a million terabytes are not free here");
}

/// What systemd hears, on a socket like its own.
#[cfg(unix)]
#[test]
fn the_service_manager_hears_when_the_node_is_ready_that_it_lives_and_that_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    json("sealpost-node", dir.path(), &["init", "--new-network", "supervised"]);
    let path = dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let heard = || {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let mut child = Command::new(program("sealpost-node"))
        .args(["--home", dir.path().to_str().unwrap()])
        .args(ALONE)
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "100000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!([heard(), heard(), heard()], ["READY=1\n", "WATCHDOG=1\n", "WATCHDOG=1\n"]);
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    while heard() != "STOPPING=1\n" {}
    assert!(child.wait().unwrap().success());
}

/// The tools' own word on their files, where they are installed.
#[test]
fn the_tools_that_read_the_files_accept_them() {
    let checks: [&[&str]; 3] = [
        &["promtool", "check", "config", "ops/prometheus/scrape.yml"],
        &["promtool", "test", "rules", "ops/prometheus/alerts.test.yml"],
        &["promtool", "check", "rules", "ops/prometheus/alerts.yml"],
    ];
    for check in checks {
        match Command::new(check[0]).args(&check[1..]).current_dir(root()).output() {
            Ok(output) => assert!(output.status.success(), "{check:?}: {output:?}"),
            Err(_) => {
                println!("skipped: {check:?}: {} is not installed (apt-get install prometheus)", check[0])
            }
        }
    }
}
