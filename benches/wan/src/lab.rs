//! One run in the lab: what it is told, and what it says.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::flow::Contender;
use crate::outcome::{FlowOutcome, Outcome};
use crate::scenario::{Amount, Group, Scenario, Set};
use crate::watch;

/// The namespaces' prefix.
const NAME: &str = "wan";
/// How long a run may take beyond its flows, in seconds: uploads have to arrive.
const PATIENCE: u32 = 30;

/// The lab's program.
#[derive(Clone, Debug)]
pub(crate) struct Lab(PathBuf);

impl Lab {
    /// Finds the lab's program: `path` itself, or below it, where its own build puts it.
    ///
    /// # Errors
    /// When it is not there, or cannot be run here; the message says what to do.
    pub(crate) fn find(path: &Path) -> Result<Self> {
        let built = path.join("target/release/netlab");
        let program = if path.is_dir() { built } else { path.to_owned() };
        let path = path.display();
        ensure!(program.is_file(), "no lab at {path}: build it there with `cargo build --release`");
        ensure!(is_root()?, "the lab makes network namespaces: it needs root");
        ensure!(Path::new("/dev/net/tun").exists(), "the lab needs /dev/net/tun");
        Ok(Self(program))
    }

    /// Runs a scenario: all its groups together, or `contender` alone.
    ///
    /// # Errors
    /// When the lab fails, or a flow leaves no record. A flow that failed has an outcome.
    pub(crate) fn run(&self, scenario: &Scenario, contender: Contender, seed: u32) -> Result<Outcome> {
        let directory = tempfile::tempdir()?;
        let single = [Group { contender, flows: 1, after: 0 }];
        let groups = if scenario.groups.is_empty() { &single[..] } else { &scenario.groups };
        let (mut clients, mut records) = (Vec::new(), Vec::new());
        for group in groups {
            for _ in 0..group.flows {
                let record = directory.path().join(format!("{}.jsonl", records.len()));
                clients.push(client(scenario, group, &record)?);
                records.push((group.contender, record));
            }
        }
        let (ping, kernel) = (directory.path().join("ping"), directory.path().join("kernel"));
        let mut beside = Vec::new();
        if scenario.set == Set::Beside {
            beside.push(["--in".into(), "client".into(), watch::ping(scenario.seconds, &ping)]);
        }
        let is_watched = scenario.shows_course() && contender != Contender::Trickles;
        if is_watched {
            beside.push(["--in".into(), "server".into(), watch::kernel(&kernel)]);
        }
        let text = self.call(scenario, seed, &clients, beside.as_flattened())?;
        let last = text.lines().last().context("the lab said nothing")?;
        let totals: Value = serde_json::from_str(last).context("the lab's last line is not JSON")?;
        let mut flows = records
            .iter()
            .map(|(contender, record)| FlowOutcome::read(*contender, record))
            .collect::<Result<Vec<_>>>()?;
        if let [flow] = &mut flows[..]
            && is_watched
        {
            watch::add_kernel(&kernel, &mut flow.points)?;
        }
        let mut outcome = Outcome::new(flows, &totals, scenario.direction)?;
        if scenario.set == Set::Beside {
            outcome.pings = watch::read_ping(&ping)?;
        }
        Ok(outcome)
    }

    fn call(&self, scenario: &Scenario, seed: u32, clients: &[String], beside: &[String]) -> Result<String> {
        let program = std::env::current_exe()?;
        let mut command = Command::new("taskset");
        command.args(["-c", "1"]).arg(&self.0).args(["run", "--quiet", "--name", NAME]);
        command.args(scenario.path.options()).args(&scenario.options);
        command.args(["--seed", &seed.to_string()]);
        command.args(["--duration", &(scenario.seconds + PATIENCE).to_string()]);
        command.args(["--server", &format!("exec taskset -c 0 {} serve", program.display())]);
        command.args(beside);
        for client in clients {
            command.args(["--client", client]);
        }
        let errors = tempfile::NamedTempFile::new()?;
        command.stdout(Stdio::piped()).stderr(File::create(errors.path())?);
        let output = command.spawn().context("cannot start the lab")?.wait_with_output()?;
        if !output.status.success() {
            let _ = Command::new(&self.0).args(["clean", NAME]).status();
            bail!("the lab failed: {}", std::fs::read_to_string(errors.path())?.trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn client(scenario: &Scenario, group: &Group, record: &Path) -> Result<String> {
    let direction = scenario.direction.name();
    let amount = match scenario.amount {
        Amount::Bytes(bytes) => format!("--bytes {bytes} --count 20"),
        Amount::Endless => String::new(),
    };
    Ok(format!(
        "exec taskset -c 0 {} flow {} {direction} --record {} --path-bytes {} --after {} --seconds {} {amount}",
        std::env::current_exe()?.display(),
        group.contender.name(),
        record.display(),
        scenario.path.bytes(),
        group.after,
        scenario.seconds - group.after,
    ))
}

/// Whether this process may do what the lab does.
fn is_root() -> Result<bool> {
    let status = std::fs::read_to_string("/proc/self/status").context("this needs Linux")?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    Ok(ids.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0"))
}
