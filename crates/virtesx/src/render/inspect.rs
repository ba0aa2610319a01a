//! `inspect`.

use std::fmt::Write as _;

use serde_json::{Value, json};
use virt_api::{DomainInspection, Finding, InspectedDisk, Severity};

use super::{Render, printable};

/// The result of `inspect`, by name.
pub(crate) struct Report {
    machines: Vec<DomainInspection>,
}

impl Report {
    /// Sorts the machines.
    pub(crate) fn new(mut machines: Vec<DomainInspection>) -> Self {
        machines
            .sort_by(|a, b| (&a.domain.name, a.domain.uuid).cmp(&(&b.domain.name, b.domain.uuid)));
        Self { machines }
    }
}

/// `1 blocker, 2 warnings`; nothing that is only good to know.
fn summary(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let words: Vec<_> = [Severity::Blocker, Severity::Warning]
        .into_iter()
        .filter_map(|severity| match count(severity) {
            0 => None,
            1 => Some(format!("1 {severity}")),
            n => Some(format!("{n} {severity}s")),
        })
        .collect();
    if words.is_empty() { "nothing in the way".to_owned() } else { words.join(", ") }
}

/// A size in the largest unit that leaves a whole number.
fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while unit + 1 < units.len() && value >= 1024 && value.is_multiple_of(1024) {
        value /= 1024;
        unit += 1;
    }
    format!("{value} {}", units[unit])
}

impl Render for Report {
    fn table(&self, quiet: bool) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for (index, machine) in self.machines.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            let mut facts = vec![machine.state.to_string()];
            facts.extend(machine.hardware_version.map(|version| format!("hardware {version}")));
            facts.extend(machine.firmware.as_deref().map(printable));
            let (name, facts) = (printable(&machine.domain.name), facts.join(", "));
            let _ = writeln!(text, "{name} ({facts}): {}", summary(&machine.findings));
            for disk in machine.disks.iter().filter(|_| !quiet) {
                let _ = writeln!(text, "  disk     {}", disk_line(disk));
            }
            for finding in &machine.findings {
                let subject = finding.subject.as_deref().map(|s| format!(" {}", printable(s)));
                let _ = writeln!(
                    text,
                    "  {:<8} {}{}: {}",
                    finding.severity.as_str(),
                    finding.code,
                    subject.unwrap_or_default(),
                    printable(&finding.message)
                );
                if !finding.advice.is_empty() && !quiet {
                    let _ = writeln!(text, "           {}", finding.advice);
                }
            }
        }
        text
    }

    fn value(&self) -> Value {
        self.machines.iter().map(machine_value).collect()
    }
}

fn disk_line(disk: &InspectedDisk) -> String {
    let mut words = vec![disk.target.clone(), size(disk.capacity_bytes), printable(&disk.format)];
    words.extend(disk.mode.as_deref().filter(|mode| *mode != "persistent").map(printable));
    if disk.chain > 1 {
        words.push(format!("{} files", disk.chain));
    }
    words.extend(disk.datastore_kind.as_deref().map(printable));
    words.extend(disk.path.as_deref().map(printable));
    words.join(", ")
}

fn machine_value(machine: &DomainInspection) -> Value {
    let disk = |disk: &InspectedDisk| {
        json!({
            "target": disk.target,
            "bus": disk.bus,
            "path": disk.path,
            "capacity_bytes": disk.capacity_bytes,
            "format": disk.format,
            "mode": disk.mode,
            "shared": disk.shared,
            "encrypted": disk.encrypted,
            "chain": disk.chain,
            "datastore": disk.datastore,
            "datastore_kind": disk.datastore_kind,
        })
    };
    let finding = |finding: &Finding| {
        json!({
            "severity": finding.severity.as_str(),
            "code": finding.code,
            "subject": finding.subject,
            "message": finding.message,
            "advice": finding.advice,
        })
    };
    json!({
        "name": machine.domain.name,
        "uuid": machine.domain.uuid.to_string(),
        "state": machine.state.as_str(),
        "vmx_path": machine.vmx_path,
        "guest_id": machine.guest_id,
        "hardware_version": machine.hardware_version,
        "firmware": machine.firmware,
        "secure_boot": machine.secure_boot,
        "vtpm": machine.vtpm,
        "encrypted": machine.encrypted,
        "change_tracking": machine.change_tracking,
        "snapshots": machine.snapshots,
        "snapshot_depth": machine.snapshot_depth,
        "tools": machine.tools,
        "severity": machine.severity().map(Severity::as_str),
        "disks": machine.disks.iter().map(disk).collect::<Value>(),
        "findings": machine.findings.iter().map(finding).collect::<Value>(),
    })
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_exact() {
        for (bytes, text) in [
            (0, "0 B"),
            (512, "512 B"),
            (1536, "1536 B"),
            (16 << 30, "16 GiB"),
            (1 << 50, "1024 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
