//! placeholder
use std::path::Path;
pub(crate) const RUNS: &str = "runs.jsonl";
pub(crate) fn write(out: &Path) -> anyhow::Result<()> {
    let runs = crate::store::load(&out.join(RUNS))?;
    for run in &runs {
        let flows: Vec<String> = run
            .outcome
            .flows
            .iter()
            .map(|f| {
                format!(
                    "{} {:.2}{} fct {:?}/{:?} gap {:?}",
                    f.contender.name(),
                    f.goodput / 1e6,
                    f.failure.as_ref().map_or(String::new(), |e| format!("!{e}")),
                    f.completion(0.5),
                    f.completion(0.95),
                    f.gaps.iter().map(|g| g[1]).max()
                )
            })
            .collect();
        println!(
            "{:60} {:8} eff {:.3} q {:.1}/{:.1} drop {} late {} over {} | {}",
            run.name,
            run.contender.name(),
            run.outcome.efficiency(),
            run.outcome.queue[0],
            run.outcome.queue[1],
            run.outcome.dropped,
            run.outcome.late,
            run.outcome.overflown,
            flows.join("; ")
        );
    }
    Ok(())
}
