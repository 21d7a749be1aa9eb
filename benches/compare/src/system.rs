//! Cores, processor time and memory of this process.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Keeps this process on one core.
///
/// # Errors
/// Those of the system, which may not have that core.
pub fn pin(core: usize) -> Result<()> {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    rustix::thread::sched_setaffinity(None, &cores).with_context(|| format!("there is no core {core}"))
}

/// Processor time used so far.
///
/// # Errors
/// Those of the system.
pub fn processor_time() -> Result<Duration> {
    let clock = rustix::time::ClockId::ProcessCPUTime;
    let time = rustix::time::clock_gettime(clock);
    Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
}

/// Resident memory, in bytes.
///
/// # Errors
/// Those of the system.
pub fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/smaps_rollup").context("no memory map")?;
    let line = status.lines().find_map(|line| line.strip_prefix("Rss:")).context("no resident memory")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes << 10)
}

/// Processor and kernel, for whoever reads the figures.
pub fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let model = model.trim_start_matches([' ', '\t', ':']);
    format!("{model}, {cores} cores, Linux {}", kernel.split(['-', '+']).next().unwrap_or_default().trim())
}
