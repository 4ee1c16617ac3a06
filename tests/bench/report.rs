//! What a measurement prints: rows with their goals, and the machine they were measured on.

use serde::Serialize;
use std::time::Duration;

/// A measurement: what was done, on what, and what came out.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    title: String,
    machine: Machine,
    rows: Vec<Row>,
}

/// Facts without which a number means nothing.
#[derive(Debug, Serialize)]
struct Machine {
    processor: String,
    cores: usize,
    memory_mib: u64,
    kernel: String,
    build: &'static str,
}

#[derive(Debug, Serialize)]
struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<Goal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reached: Option<bool>,
}

/// What a value is held against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_reached(self, value: f64) -> bool {
        match self {
            Goal::AtMost(bound) => value <= bound,
            Goal::AtLeast(bound) => value >= bound,
        }
    }
}

impl Report {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), machine: Machine::read(), rows: Vec::new() }
    }
    /// A value that stands for itself.
    pub(crate) fn row(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.rows.push(Row { what: what.into(), value, unit, goal: None, reached: None });
    }
    /// A value with a goal.
    pub(crate) fn goal(&mut self, what: impl Into<String>, value: f64, unit: &'static str, goal: Goal) {
        let reached = Some(goal.is_reached(value));
        self.rows.push(Row { what: what.into(), value, unit, goal: Some(goal), reached });
    }
    pub(crate) fn print(&self, json: bool) {
        if json {
            println!("{}", serde_json::to_string_pretty(self).expect("numbers and texts"));
            return;
        }
        let Machine { processor, cores, memory_mib, kernel, build } = &self.machine;
        println!("{}\n", self.title);
        println!("{processor}, {cores} cores, {memory_mib} MiB, {kernel}, {build} build.\n");
        println!("| what | value | goal | |\n|---|---|---|---|");
        for Row { what, value, unit, goal, reached } in &self.rows {
            let goal = match goal {
                Some(Goal::AtMost(bound)) => format!("at most {}", number(*bound)),
                Some(Goal::AtLeast(bound)) => format!("at least {}", number(*bound)),
                None => String::new(),
            };
            let reached = match reached {
                Some(true) => "reached",
                Some(false) => "missed",
                None => "",
            };
            println!("| {what} | {} {unit} | {goal} | {reached} |", number(*value));
        }
    }
}

impl Machine {
    fn read() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let line = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
            line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
        };
        let processor = line(&read("/proc/cpuinfo"), "model name");
        let memory = line(&read("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        Self {
            processor: if processor.is_empty() { "unknown processor".into() } else { processor },
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: kib / 1024,
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }
}

/// As many digits as say something.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 1000.0 => {
            let digits = format!("{value:.0}");
            let mut grouped = String::new();
            for (place, digit) in digits.chars().enumerate() {
                if place > 0 && (digits.len() - place).is_multiple_of(3) && digit != '-' {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Milliseconds below which a share of the times lies: 0.5 for the median.
pub(crate) fn quantile_ms(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    let place = (last as f64 * share).round() as usize;
    times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// The middle one of some values.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
