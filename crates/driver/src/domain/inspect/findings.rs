//! What follows from the facts: each finding has a code, a severity and what to do.

use std::borrow::Cow;

use virt_api::{DomainInspection, DomainState, Finding, Severity};

use super::Surroundings;

/// Facts that are of no use but for a finding.
#[derive(Default)]
pub(super) struct Seen {
    /// What is wrong with the machine's row.
    pub(super) problem: Option<String>,
    /// The host does not tell its configuration.
    pub(super) unreadable: bool,
    /// `VirtualMachineConnectionState`.
    pub(super) connection: Option<String>,
    pub(super) template: bool,
    pub(super) consolidation: bool,
    /// The text of an open question.
    pub(super) question: Option<String>,
    pub(super) fault_tolerant: bool,
    /// The extension that looks after the machine.
    pub(super) managed_by: Option<String>,
    pub(super) passthrough: Vec<String>,
    pub(super) usb: Vec<String>,
    pub(super) nvme: bool,
    pub(super) connected_cdrom: Option<String>,
    /// A datastore with disks of it that the host cannot reach.
    pub(super) inaccessible: Option<String>,
}

/// What was found, the worst first and otherwise in the order of this function.
pub(super) fn judge(
    machine: &DomainInspection,
    seen: &Seen,
    around: &Surroundings,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |severity, code: &'static str, subject: Option<&str>, message: String, advice| {
        let subject = subject.map(str::to_owned);
        let (code, advice) = (Cow::Borrowed(code), Cow::Borrowed(advice));
        found.push(Finding { severity, code, subject, message, advice });
    };
    use Severity::{Blocker, Info, Warning};

    if seen.unreadable {
        let why = seen.problem.clone().or_else(|| seen.connection.clone());
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        add(
            Blocker,
            "unreadable",
            None,
            format!("the host does not tell the machine's configuration{why}"),
            "Make its datastore and its VMX file accessible, or remove the machine from the inventory.",
        );
    } else if let Some(problem) = &seen.problem {
        add(Warning, "odd", None, problem.clone(), "");
    }
    match machine.state {
        DomainState::Running => add(
            Info,
            "running",
            None,
            "the machine is running, so its disks are locked".to_owned(),
            "Shut it down, or let the export make a snapshot for the time of the copy.",
        ),
        DomainState::Paused => add(
            Warning,
            "suspended",
            None,
            "the machine is suspended; its memory cannot be taken along".to_owned(),
            "Resume it and shut it down.",
        ),
        _ => {}
    }
    if let Some(question) = &seen.question {
        add(
            Blocker,
            "question",
            None,
            format!("the machine waits for an answer: {question}"),
            "Answer it: virtesx question answer DOMAIN.",
        );
    }
    if let Some(name) = &seen.inaccessible {
        add(
            Blocker,
            "datastore-inaccessible",
            Some(name),
            "the host cannot reach the datastore".to_owned(),
            "Bring the datastore back.",
        );
    }
    snapshots(machine, seen, &mut add);
    for disk in &machine.disks {
        let at = Some(&*disk.target);
        match &*disk.format {
            "rdm-physical" | "remote" => add(
                Blocker,
                "rdm",
                at,
                "the disk is a raw device in physical mode; no snapshot holds it and no export reads it".to_owned(),
                "Copy the device itself, or turn it into a virtual disk first.",
            ),
            "rdm-virtual" => add(
                Warning,
                "rdm",
                at,
                "the disk is a raw device in virtual mode".to_owned(),
                "It is copied as a whole; the device itself stays where it is.",
            ),
            _ => {}
        }
        let independent = disk.mode.as_deref().is_some_and(|mode| mode.starts_with("independent"));
        if independent {
            let running = machine.state != DomainState::Shutoff;
            add(
                if running { Blocker } else { Warning },
                "independent-disk",
                at,
                "the disk is independent: snapshots leave it out".to_owned(),
                "Shut the machine down before the export, or make the disk dependent.",
            );
        }
        if disk.shared {
            add(
                Warning,
                "shared-disk",
                at,
                "other machines may write to the disk".to_owned(),
                "Shut down all machines that share it, and export it once.",
            );
        }
        if disk.encrypted {
            add(
                Blocker,
                "encrypted-disk",
                at,
                "the disk is encrypted".to_owned(),
                "Decrypt it in the vSphere Client (VM storage policy) first.",
            );
        }
        if matches!(disk.datastore_kind.as_deref(), Some("vsan" | "vsanD" | "VVOL")) {
            add(
                Warning,
                "object-storage",
                at,
                format!(
                    "the disk is an object on {}, not a file",
                    disk.datastore_kind.as_deref().unwrap_or_default()
                ),
                "It is exported through an NFC lease, not as a file.",
            );
        }
    }
    if machine.encrypted {
        add(
            Blocker,
            "encrypted",
            None,
            "the machine is encrypted".to_owned(),
            "Decrypt it in the vSphere Client (VM storage policy) first.",
        );
    }
    if machine.vtpm {
        add(
            Warning,
            "vtpm",
            None,
            "the machine has a virtual TPM, whose secrets cannot be taken along".to_owned(),
            "Suspend BitLocker or have its recovery key at hand.",
        );
    }
    if machine.secure_boot == Some(true) {
        add(
            Warning,
            "secure-boot",
            None,
            "secure boot is on".to_owned(),
            "Choose firmware with secure boot and enrolled keys at the destination.",
        );
    } else if machine.firmware.as_deref() == Some("efi") {
        add(
            Info,
            "efi",
            None,
            "the firmware is EFI; its variables are in the NVRAM file".to_owned(),
            "Choose EFI firmware at the destination; boot entries may have to be made anew.",
        );
    }
    if seen.nvme {
        add(
            Info,
            "nvme",
            None,
            "the machine has an NVMe controller".to_owned(),
            "See that the destination has one, or change the boot device.",
        );
    }
    for name in &seen.passthrough {
        add(
            Warning,
            "passthrough",
            Some(name),
            "a device of the host is passed through".to_owned(),
            "It stays on this host: take it out, and give the machine another at the destination.",
        );
    }
    for name in &seen.usb {
        add(
            Warning,
            "usb",
            Some(name),
            "a USB device is passed through".to_owned(),
            "Plug it in at the destination and pass it through again.",
        );
    }
    if seen.fault_tolerant {
        add(
            Blocker,
            "fault-tolerance",
            None,
            "the machine is protected by Fault Tolerance".to_owned(),
            "Turn Fault Tolerance off first.",
        );
    }
    if let Some(key) = &seen.managed_by {
        add(
            Warning,
            "managed-machine",
            None,
            format!("the machine belongs to the extension {key}"),
            "Ask the product behind it before the machine is taken away.",
        );
    }
    if let Some(path) = &seen.connected_cdrom {
        add(
            Info,
            "cdrom",
            Some(path),
            "a CD-ROM is connected".to_owned(),
            "Eject it, or copy the image by hand.",
        );
    }
    match machine.tools.as_deref() {
        Some("guestToolsRunning") => add(
            Info,
            "tools",
            None,
            "VMware Tools are running in the guest".to_owned(),
            "Remove them before or after the move.",
        ),
        Some("guestToolsNotRunning") if machine.state == DomainState::Running => add(
            Warning,
            "no-tools",
            None,
            "VMware Tools do not run: the guest cannot be shut down or quiesced from outside"
                .to_owned(),
            "Shut it down from within.",
        ),
        _ => {}
    }
    if seen.template {
        add(Info, "template", None, "it is a template".to_owned(), "");
    }
    if around.free_licence {
        add(
            Warning,
            "free-licence",
            None,
            "the host has the free licence: its API only reads".to_owned(),
            "Shut the machine down by hand in the host's own client; a snapshot cannot be made through the API.",
        );
    }
    if let Some(server) = &around.managed_by {
        add(
            Info,
            "managed-host",
            None,
            format!("the host is managed by the vCenter {server}"),
            "Changes are better made through the vCenter: vpx://.",
        );
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

fn snapshots(
    machine: &DomainInspection,
    seen: &Seen,
    add: &mut impl FnMut(Severity, &'static str, Option<&str>, String, &'static str),
) {
    if machine.snapshots > 0 {
        let plural = if machine.snapshots == 1 { "" } else { "s" };
        let (count, depth) = (machine.snapshots, machine.snapshot_depth);
        add(
            Severity::Warning,
            "snapshots",
            None,
            format!("the machine has {count} snapshot{plural} ({depth} deep)"),
            "Only the present state is usable elsewhere: delete the snapshots, or keep the whole chain.",
        );
    }
    if seen.consolidation {
        add(
            Severity::Warning,
            "consolidation",
            None,
            "disks are left over from a deleted snapshot".to_owned(),
            "Consolidate the disks in the host's client.",
        );
    }
    if machine.snapshots == 0 && !seen.consolidation {
        for disk in machine.disks.iter().filter(|disk| disk.chain > 1) {
            add(
                Severity::Warning,
                "linked-clone",
                Some(&disk.target),
                format!("the disk is on top of {} other files", disk.chain - 1),
                "All of them are needed; they may belong to another machine.",
            );
        }
    }
}
