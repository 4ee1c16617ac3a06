//! `docs/cli-json.md` names every JSON schema in the sources, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn gather(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(schemas(&fs::read_to_string(&path).unwrap(), '"'));
        }
    }
}

fn schemas(text: &str, quote: char) -> BTreeSet<String> {
    let is_schema = |word: &&str| {
        let name = word.strip_prefix("sealpost/").and_then(|rest| rest.strip_suffix("/1"));
        name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
    };
    text.split(quote).filter(is_schema).map(str::to_owned).collect()
}

#[test]
fn the_page_of_json_names_every_schema_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut used = BTreeSet::new();
    for room in ["node/src", "wallet/src", "explorer/src"] {
        gather(&root.join(room), &mut used);
    }
    // Those of every program; the tests there make up others.
    for name in ["error", "warning", "progress", "config-show", "config-check", "config-path"] {
        used.insert(format!("sealpost/{name}/1"));
    }
    let page = fs::read_to_string(root.join("docs/cli-json.md")).unwrap();
    let named: BTreeSet<String> = schemas(&page, '`').union(&schemas(&page, '"')).cloned().collect();
    let missing: Vec<_> = used.difference(&named).collect();
    let stale: Vec<_> = named.difference(&used).collect();
    assert!(missing.is_empty() && stale.is_empty(), "missing: {missing:?}; stale: {stale:?}");
}
