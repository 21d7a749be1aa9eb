//! Which core does what.

#[cfg(target_os = "linux")]
use anyhow::Context;

/// Keeps the calling thread, and those it starts, on one core.
///
/// # Errors
/// Those of the system, which may not have that core; any other than Linux.
pub(super) fn pin(core: Option<usize>) -> anyhow::Result<()> {
    core.map_or(Ok(()), pin_to)
}

#[cfg(target_os = "linux")]
fn pin_to(core: usize) -> anyhow::Result<()> {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    rustix::thread::sched_setaffinity(None, &cores).with_context(|| format!("there is no core {core}"))
}

#[cfg(not(target_os = "linux"))]
fn pin_to(_: usize) -> anyhow::Result<()> {
    anyhow::bail!("only Linux keeps a thread on a core")
}
