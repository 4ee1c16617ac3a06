//! What README and documentation point at is there.

use std::fs;
use std::path::{Path, PathBuf};

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// Targets of `[text](target)` that are files of this repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let plain = targets.map(|target| target.split('#').next().unwrap_or_default());
    plain.filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
}

#[test]
fn every_relative_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root.join(name)).into();
    pages(&root.join("docs"), &mut found);
    let (mut broken, mut count) = (Vec::new(), 0);
    for page in &found {
        let text = fs::read_to_string(page).unwrap();
        for target in links(&text) {
            count += 1;
            if !page.parent().unwrap().join(target).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(count > 5, "the links are not found any more");
    assert!(broken.is_empty(), "{broken:#?}");
}
