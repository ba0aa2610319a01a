//! `cargo xtask tidy`: the house rules that the compiler does not know.
//!
//! [`arrows`] compares `cargo metadata` with the table of `ARCHITECTURE.md`; [`sources`] reads the files. Every
//! breach is one line; all of them are printed before the command fails.

mod arrows;
mod sources;

#[cfg(test)]
mod tests;

use anyhow::bail;

use crate::workspace;

/// What a check found: breaches fail the command, remarks are only printed.
#[derive(Debug, Default)]
struct Findings {
    breaches: Vec<String>,
    remarks: Vec<String>,
}

impl Findings {
    fn breach(&mut self, text: impl Into<String>) {
        self.breaches.push(text.into());
    }

    fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }
}

/// Runs every check on this workspace.
pub(crate) fn run() -> anyhow::Result<()> {
    let metadata = workspace::metadata()?;
    let mut found = Findings::default();
    let crates = arrows::check(&metadata, &mut found)?;
    let files = sources::check(&workspace::root(), &metadata, &mut found)?;
    for text in &found.remarks {
        println!("note: {text}");
    }
    for text in &found.breaches {
        eprintln!("error: {text}");
    }
    if !found.breaches.is_empty() {
        bail!("tidy: {} breaches of the house rules", found.breaches.len());
    }
    println!("tidy: {crates} crates and {files} files keep the rules");
    Ok(())
}
