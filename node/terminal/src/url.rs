//! The address of a node, as a person writes it.

use crate::{Exit, Failure};

/// Makes sure that a text is an `http` URL, before anything is asked there. `what` names the setting.
pub fn check_url(what: &str, text: &str) -> Result<(), Failure> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    if rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) {
        return Ok(());
    }
    let failure =
        Failure::new(Exit::Usage, "input.url", format_args!("{what}: {text:?} is no URL of a node"));
    // Most often just the scheme was left out.
    let host = text.rsplit("//").next().unwrap_or_default();
    let host = if host.is_empty() { "127.0.0.1:17325" } else { host };
    Err(failure.help(format!("write http://{host}")))
}

/// The first of several URLs: `SEALPOST_NODE` may be a list, of which a program that asks one node takes that one.
pub fn first_url(list: &str) -> &str {
    list.split(',').next().unwrap_or(list).trim()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_url_is_answered_with_one() {
        for good in ["http://127.0.0.1:1", "https://node.example/rpc"] {
            assert_eq!(check_url("node", good), Ok(()));
        }
        assert_eq!(first_url("http://a:1, http://b:2"), "http://a:1");
        assert_eq!(first_url("http://a:1"), "http://a:1");
        for (wrong, help) in [
            ("127.0.0.1:1", "write http://127.0.0.1:1"),
            ("ws://node:7", "write http://node:7"),
            ("http://", "write http://127.0.0.1:17325"),
            ("", "write http://127.0.0.1:17325"),
        ] {
            let failure = check_url("node", wrong).unwrap_err();
            assert_eq!((failure.exit, failure.help.as_deref()), (Exit::Usage, Some(help)), "{wrong}");
        }
    }
}
