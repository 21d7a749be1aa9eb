//! Inputs that fuzzers have found worth keeping, and mutations of them.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use anyhow::{Context, bail};

use super::{TARGETS, Target, mutate};
use crate::lab::Choices;
use crate::{Attack, Outcome};

/// How many mutations of the corpus each target is shown.
const MUTATIONS: u64 = 20_000;

/// The corpus of a target, and what has ever found something in it: names and contents, in the order of the names.
///
/// # Errors
/// When it cannot be read, or is empty.
pub fn corpus(target: &str) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let directory = fuzz.join("corpus").join(target);
    let mut inputs = read(&directory)?;
    if inputs.is_empty() {
        bail!("no corpus in {}", directory.display());
    }
    let findings = fuzz.join("findings").join(target);
    if findings.exists() {
        inputs.extend(read(&findings)?);
    }
    inputs.sort();
    Ok(inputs)
}

fn read(directory: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let entries = fs::read_dir(directory).with_context(|| format!("no inputs in {}", directory.display()))?;
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        Ok((name, fs::read(entry.path())?))
    };
    entries.map(|entry| read(entry?)).collect()
}

/// An attack for each target.
pub fn attacks() -> Vec<Box<dyn Attack>> {
    TARGETS.into_iter().map(|target| Box::new(Mutations(target)) as Box<dyn Attack>).collect()
}

/// The corpus of a target, and so many mutations of it.
struct Mutations(Target);

impl Attack for Mutations {
    fn name(&self) -> String {
        format!("arbitrary bytes: {}", self.0.attacks)
    }

    fn strength(&self) -> String {
        format!("corpus and {MUTATIONS} mutations")
    }

    fn run(&self) -> anyhow::Result<Outcome> {
        let corpus = corpus(self.0.name)?;
        let mut choices = Choices::seeded(1);
        let mutated = (0..MUTATIONS).map(|_| {
            let mut bytes = choices.pick(&corpus).1.clone();
            mutate(&mut bytes, &mut choices);
            bytes
        });
        let inputs = corpus.iter().map(|(_, bytes)| bytes.clone()).chain(mutated);
        let run = self.0.run;
        let findings = inputs.filter(|bytes| catch_unwind(|| run(bytes)).is_err()).count();
        Ok(Outcome::none_of("findings", findings as u64))
    }
}
