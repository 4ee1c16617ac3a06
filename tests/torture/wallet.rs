//! The commands of the wallet that write, each with a fault at every call that changes a file or says something to the
//! node. Afterwards the same command, or the next that a person would give, has to work: no secret is lost or lies about
//! in the clear, no half-written file is taken for a whole one, and no message is sent twice or lost unheard.

use crate::cases::{Case, cases};
use crate::jobs::{Done, Job, copy, said};
use crate::station::Station;
use crate::traced::{Call, Effect};
use crate::writes::Boundaries;
use sealpost_tests::harness::random::Random;
use sealpost_tests::{Server, command, json};
use serde_json::Value;
use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What must be found nowhere in the clear.
pub(crate) const CANARY: &str = "Kanarienvogel-7f3a9c";
pub(crate) const PASSPHRASE: &str = "correct horse";
/// The passphrase after a change.
pub(crate) const NEW_PASSPHRASE: &str = "battery staple";

/// The codes that there are.
const CODES: &str = include_str!("../../docs/errors.md");

/// A node, and a home with wallets from which a command begins each time. Each case has one of its own: what others have
/// sent would all be fetched by it, with more writes than anybody kills at.
pub(crate) struct World {
    node: Server,
    folder: tempfile::TempDir,
}

/// A copy of that home, in which a command is run and what comes after it.
pub(crate) struct Scene<'a> {
    pub(crate) home: &'a Path,
    /// Where the node answers.
    pub(crate) node: String,
}

impl World {
    pub(crate) fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let station = Station::new(&folder.path().join("ledger"));
        let node = station.start()?;
        let world = Self { node, folder };
        let home = world.home();
        fs::create_dir_all(&home).map_err(|error| error.to_string())?;
        let genesis = folder_of(&station).join("genesis.json");
        fs::copy(&genesis, home.join("genesis.json")).map_err(|error| error.to_string())?;
        secret(&home.join("passphrase"), PASSPHRASE)?;
        secret(&home.join("new-passphrase"), NEW_PASSPHRASE)?;
        let scene = world.scene(&home);
        let genesis = scene.path("genesis.json");
        json("sealpost", &home, &["network", "add", "--genesis", &genesis, "--node", &scene.node]);
        for name in ["alice", "bob"] {
            let made = scene.new_wallet(name)?;
            json("sealpost", &home, &["contact", "add", name, &made]);
        }
        Ok(world)
    }
    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }
    fn scene<'a>(&self, home: &'a Path) -> Scene<'a> {
        Scene { home, node: self.node.said("rpc") }
    }
    /// What lies beside that home.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
    /// Makes a case ready in a place, and gives its command and the arguments of that.
    pub(crate) fn begin(&self, case: &Case, place: &Path) -> Result<(Command, Vec<String>), String> {
        copy(&self.home(), place)?;
        let scene = self.scene(place);
        let args = (case.begin)(&scene)?;
        Ok((scene.command(&args), args))
    }
    /// What must hold there after a fault.
    pub(crate) fn holds(&self, case: &Case, place: &Path, args: &[String]) -> Result<(), String> {
        let scene = self.scene(place);
        (case.after)(&scene, args)?;
        scene.nothing_lies_about()
    }
    /// Puts a case to faults.
    pub(crate) fn put(
        &self,
        case: &Case,
        effect: Effect,
        is_meant: &dyn Fn(&Call) -> bool,
        after: &dyn Fn(&Scene<'_>, &Output, &Call) -> Result<(), String>,
        done: &mut Done,
        chosen: (Option<u64>, &mut Random),
    ) -> Result<(), String> {
        let known = RefCell::new(Vec::new());
        let begin = |place: &Path| {
            let (command, args) = self.begin(case, place)?;
            *known.borrow_mut() = args;
            Ok(command)
        };
        let after = |place: &Path, output: &Output, call: &Call| {
            after(&self.scene(place), output, call)?;
            self.holds(case, place, &known.borrow())
        };
        let job = Job { name: case.name, begin: &begin, after: &after };
        done.every_fault(self.folder(), &job, effect, is_meant, chosen)
    }
}

/// Kills at all write boundaries, or at some of each command.
pub(crate) fn writes(boundaries: &Boundaries, random: &mut Random) -> Result<String, String> {
    let mut done = Done::default();
    for case in boundaries.some_of(cases(), |case| case.name, random) {
        let world = World::new()?;
        let killed = |scene: &Scene<'_>, _: &Output, _: &Call| scene.nothing_lies_about();
        let put =
            world.put(&case, Effect::Kill, &|_| true, &killed, &mut done, (boundaries.count, &mut *random));
        done.note(put);
        done.told_of(case.name, "kills");
    }
    done.held()?;
    Ok(done.summary("kills of the wallet at write boundaries"))
}

impl Scene<'_> {
    pub(crate) fn path(&self, name: &str) -> String {
        self.home.join(name).display().to_string()
    }
    pub(crate) fn wallet_folder(&self, wallet: &str) -> PathBuf {
        self.home.join("networks/tortured/wallets").join(wallet)
    }
    /// The wallet's program with these arguments.
    pub(crate) fn command(&self, args: &[String]) -> Command {
        let mut sealpost = command("sealpost", self.home);
        sealpost.current_dir(self.home);
        if !args.iter().any(|arg| arg == "--passphrase-file") {
            sealpost.args(["--passphrase-file", &self.path("passphrase")]);
        }
        // On a busy machine a node takes long, which is no fault.
        sealpost.args(args).args(["--json", "--timeout", "10m"]);
        sealpost
    }
    /// Runs it: what it says, or how it fails.
    pub(crate) fn run<S: AsRef<str>>(&self, args: &[S]) -> Result<Value, Failed> {
        let args: Vec<String> = args.iter().map(|arg| arg.as_ref().to_owned()).collect();
        let output = self.command(&args).output().expect("the program runs");
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).unwrap_or_default());
        }
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let told = error.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
        let code = told.and_then(|told| told["code"].as_str().map(str::to_owned));
        Err(Failed { code: code.unwrap_or_default(), said: format!("{args:?}: {}", said(&output)) })
    }
    /// Runs it; it must end well.
    pub(crate) fn ok<S: AsRef<str>>(&self, args: &[S]) -> Result<Value, String> {
        self.run(args).map_err(|failed| failed.said)
    }
    /// Runs it; it must end well, or with one of these codes.
    pub(crate) fn ok_or<S: AsRef<str>>(&self, args: &[S], codes: &[&str]) -> Result<(), String> {
        // One that nothing ever says would wait for the day on which the right one is missing.
        let unknown = codes.iter().find(|code| !CODES.contains(&format!("| `{code}` |")));
        if let Some(code) = unknown {
            return Err(format!("docs/errors.md knows no {code}: the harness expects what nobody says"));
        }
        match self.run(args) {
            Err(failed) if !codes.contains(&failed.code.as_str()) => Err(failed.said),
            _ => Ok(()),
        }
    }
    /// Makes a wallet with published keys. Returns its address.
    pub(crate) fn new_wallet(&self, name: &str) -> Result<String, String> {
        let address = self.unpublished(name)?;
        self.ok(&["-w", name, "keys", "publish"])?;
        Ok(address)
    }
    /// Makes a wallet without keys. Returns its address.
    pub(crate) fn unpublished(&self, name: &str) -> Result<String, String> {
        let words = self.path(&format!("{name}.words"));
        let made = self.ok(&["-w", name, "new", name, "--mnemonic-out", &words])?;
        text(&made["address"])
    }
    /// Sends a message that is in the clear nowhere. Returns its id.
    pub(crate) fn send(&self, from: &str, to: &str, more: &[&str]) -> Result<String, String> {
        let sent = self.ok(&[&["-w", from, "send", to, "-m", CANARY][..], more].concat())?;
        text(&sent["id"])
    }
    /// A file that is too long for one message. Returns its path.
    pub(crate) fn plan(&self) -> Result<String, String> {
        let bytes: Vec<u8> =
            (0..200_000_u32).flat_map(|n| (n ^ (n >> 3)).to_le_bytes()).take(200_000).collect();
        fs::write(self.home.join("plan"), bytes).map_err(|error| error.to_string())?;
        Ok(self.path("plan"))
    }
    /// Whether a wallet opens with such a passphrase.
    pub(crate) fn opens(&self, wallet: &str, passphrase: &str) -> bool {
        let path = self.path(passphrase);
        self.run(&["-w", wallet, "--passphrase-file", &path, "draft", "list"]).is_ok()
    }
    /// Whether nothing that a writer left holds a secret in the clear. What was asked for in the clear is at its place
    /// and whole, or not there.
    fn nothing_lies_about(&self) -> Result<(), String> {
        for path in files(self.home) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let bytes = fs::read(&path).unwrap_or_default();
            let words = bytes.split(|byte| *byte == b' ').filter(|word| word.is_ascii()).count();
            let plain = bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_whitespace());
            let canary = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
            if name.starts_with(".sealpost-") && (canary || plain && words >= 4) {
                return Err(format!("{} holds a secret in the clear", path.display()));
            }
            if canary && path.starts_with(self.home.join("networks")) {
                return Err(format!("{} holds a message in the clear", path.display()));
            }
        }
        Ok(())
    }
}

/// A command that did not end well.
pub(crate) struct Failed {
    pub(crate) code: String,
    pub(crate) said: String,
}

pub(crate) fn text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("no text: {value}"))
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn folder_of(station: &Station) -> PathBuf {
    station.home().join("node")
}

fn secret(path: &Path, text: &str) -> Result<(), String> {
    let written = fs::write(path, format!("{text}\n"));
    let written = written.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)));
    written.map_err(|error| error.to_string())
}
