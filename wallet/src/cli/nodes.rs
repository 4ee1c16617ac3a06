//! Which nodes are asked and how, and what is said of the answers as a whole: lies, and an old view.

use super::Session;
use crate::failure;
use crate::light::{Doubt, Light, LightOptions, Listener, Notice, doubts, usual_max_age};
use crate::profile::Profile;
use sealpost_terminal::{Failure, check_url, clock, seconds};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// URLs of nodes: a list, or one text with commas.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub(super) struct NodeList(Vec<String>);

impl NodeList {
    pub(super) fn new(urls: Vec<String>) -> Self {
        Self(urls)
    }
    pub(super) fn urls(&self) -> &[String] {
        &self.0
    }
    fn parse(text: &str) -> Self {
        Self(text.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect())
    }
}

impl<'de> Deserialize<'de> for NodeList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = NodeList;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the URL of a node, or a list of them")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<NodeList, E> {
                Ok(NodeList::parse(text))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<NodeList, A::Error> {
                let mut urls = Vec::new();
                while let Some(url) = list.next_element()? {
                    urls.push(url);
                }
                Ok(NodeList(urls))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A duration as people write it: `30s`, `10m`, `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period(pub(super) Duration);

impl FromStr for Period {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?}: a duration such as 30s, 10m or 1h is expected");
        let duration: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
        let duration = Duration::try_from(duration).map_err(|_| wrong())?;
        if duration.is_zero() { Err(wrong()) } else { Ok(Self(duration)) }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::SignedDuration::try_from(self.0) {
            Ok(duration) => write!(f, "{duration:#}"),
            Err(_) => write!(f, "{}s", self.0.as_secs()),
        }
    }
}

impl Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The key of what JSON output says of an old view, beside the command's answer.
const OLD_VIEW: &str = "old_view";

/// What it says.
#[derive(Serialize)]
pub(super) struct OldView {
    height: u64,
    time: String,
    age_seconds: Option<u64>,
    max_age_seconds: u64,
    clock_behind_seconds: Option<u64>,
}

impl Session<'_> {
    /// How nodes are asked, and how it is told.
    pub(super) fn light_options(&self, profile: &Profile) -> LightOptions {
        let terminal = self.terminal.clone();
        let hear = move |notice: &Notice| match notice {
            Notice::Lie(error) => terminal.warn(format_args!("{error}; another node was asked")),
            Notice::Away(error) => {
                terminal.warn(format_args!("{error}; what it says is not compared with the others'"));
            }
            Notice::Detail(text) if terminal.globals().verbose > 0 => terminal.note(text),
            Notice::Detail(_) => {}
        };
        let usual = LightOptions::default();
        LightOptions {
            patience: self.settings.timeout.map_or(usual.patience, |timeout| timeout.0),
            max_postage: self.settings.max_postage.unwrap_or(usual.max_postage),
            contradictions: Some(profile.contradictions_folder()),
            listener: Listener::new(hear),
        }
    }
    /// Connects to the nodes: the given ones, or those saved with the network.
    pub(super) async fn light(&self, profile: &Profile) -> Result<Light, Failure> {
        let mut urls = self.settings.node.as_ref().map_or(&[][..], NodeList::urls).to_vec();
        if urls.is_empty() {
            urls = profile.nodes();
        }
        if urls.is_empty() {
            urls.push(format!("http://127.0.0.1:{}", sealpost_api::DEFAULT_PORT));
        }
        for url in &urls {
            check_url("node", url)?;
        }
        let head = profile.head().map_err(failure)?;
        let options = self.light_options(profile);
        let light = Light::connect_to(&urls, profile.genesis().clone(), head, options).await;
        let light = light.map_err(failure)?;
        self.warn_of_age(&light);
        Ok(light)
    }
    /// The same, for what is encrypted to other people's keys.
    pub(super) async fn light_for_keys(&self, profile: &Profile) -> Result<Light, Failure> {
        let light = self.light(profile).await?;
        if let Some(Doubt::Old { .. }) = self.doubt(&light) {
            self.terminal.warn(
                "the recipients' keys are proven for that old block only: they may be superseded or withdrawn since, \
                 and whoever holds an old secret could read the message",
            );
        }
        Ok(light)
    }
    fn max_age(&self, light: &Light) -> Duration {
        self.settings.max_age.map_or_else(|| usual_max_age(light.genesis()), |max_age| max_age.0)
    }
    fn doubt(&self, light: &Light) -> Option<Doubt> {
        doubts(&light.newest()?, light.genesis(), self.max_age(light), crate::wallet::now_ms())
    }
    /// Says loudly that the view is old, or that it can't be told.
    fn warn_of_age(&self, light: &Light) {
        let (Some(doubt), Some(head)) = (self.doubt(light), light.newest()) else { return };
        let (height, time) = (head.height, clock(head.time_ms));
        match doubt {
            Doubt::Old { age, max_age } => {
                self.terminal.warn(format_args!(
                    "the newest block that the nodes show, block {height}, is of {time}: {} old, more than {} \
                     (max_age). Newer blocks may be withheld, or the network stands still, or this machine's clock is \
                     wrong; ask another node with --node URL",
                    seconds(age),
                    seconds(max_age),
                ));
            }
            Doubt::ClockBehind { by } => {
                self.terminal.warn(format_args!(
                    "this machine's clock is at least {} behind: block {height}, which is final, is of {time}. How old \
                     the newest block is can't be told until the clock is right",
                    seconds(by),
                ));
            }
        }
        self.terminal.attach(OLD_VIEW, &self.old_view(light));
    }
    /// Says it when the view becomes old while a command goes on, once, and when it is new again.
    pub(super) fn watch_age(&self, light: &Light) {
        match (self.old_view(light), self.terminal.attaches(OLD_VIEW)) {
            (Some(_), false) => self.warn_of_age(light),
            (Some(view), true) => self.terminal.attach(OLD_VIEW, &view),
            (None, true) => {
                self.terminal.detach(OLD_VIEW);
                self.terminal.note("the nodes show new blocks again");
            }
            (None, false) => {}
        }
    }
    /// What is to be said beside an answer that rests on this view of the ledger, if that is old or can't be told.
    pub(super) fn old_view(&self, light: &Light) -> Option<OldView> {
        let (doubt, head) = (self.doubt(light)?, light.newest()?);
        let (age, behind) = match doubt {
            Doubt::Old { age, .. } => (Some(age), None),
            Doubt::ClockBehind { by } => (None, Some(by)),
        };
        Some(OldView {
            height: head.height.get(),
            time: sealpost_terminal::rfc3339(head.time_ms),
            age_seconds: age.map(|age| age.as_secs()),
            max_age_seconds: self.max_age(light).as_secs(),
            clock_behind_seconds: behind.map(|by| by.as_secs()),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_a_list_or_one_text() {
        let expected = NodeList::new(vec!["http://a:1".into(), "http://b:2".into()]);
        assert_eq!(serde_json::from_str::<NodeList>("\"http://a:1, http://b:2,\"").unwrap(), expected);
        assert_eq!(serde_json::from_str::<NodeList>("[\"http://a:1\",\"http://b:2\"]").unwrap(), expected);
        assert!(serde_json::from_str::<NodeList>("7").unwrap_err().to_string().contains("URL of a node"));
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        for (text, seconds) in [("30s", 30), ("10m", 600), ("1h 30m", 5400)] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.0, Duration::from_secs(seconds), "{text}");
            assert_eq!(period.to_string().parse::<Period>().unwrap(), period);
        }
        for wrong in ["", "30", "-1s", "0s", "soon"] {
            assert!(wrong.parse::<Period>().unwrap_err().contains("30s"), "{wrong}");
        }
    }
}
