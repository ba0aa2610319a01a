//! Disk target names: a prefix and the letters of an index (`spec/vmx.md` 5.3), and the places they stand for.

/// From this hardware version on a SCSI controller has 64 disks, before it 15.
const WIDE_SCSI_HARDWARE: u32 = 13;
/// The unit of the SCSI controller itself.
const SCSI_CONTROLLER_UNIT: u32 = 7;

/// A bus that disks and drives hang on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DriveBus {
    /// SCSI, parallel and serial attached.
    Scsi,
    /// SATA (AHCI).
    Sata,
    /// IDE.
    Ide,
    /// NVMe.
    Nvme,
    /// Floppies.
    Floppy,
}

impl DriveBus {
    /// libvirt's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Scsi => "scsi",
            Self::Sata => "sata",
            Self::Ide => "ide",
            Self::Nvme => "nvme",
            Self::Floppy => "fdc",
        }
    }

    /// The bus of libvirt's word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Scsi, Self::Sata, Self::Ide, Self::Nvme, Self::Floppy]
            .into_iter()
            .find(|bus| bus.word() == word)
    }
}

/// Where a disk or drive hangs, in VMware's numbers: `scsi0:1` is unit 1 of controller 0. The two IDE
/// controllers are 0 and 1; floppies have controller 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DrivePlace {
    /// The bus.
    pub bus: DriveBus,
    /// The number of the controller on the bus.
    pub controller: u32,
    /// The number at the controller.
    pub unit: u32,
}

impl DrivePlace {
    /// What libvirt calls it in `<target dev=…>`, on a machine of this hardware version.
    #[must_use]
    pub fn target(self, hardware_version: u32) -> String {
        let Self { bus, controller, unit } = self;
        match bus {
            DriveBus::Scsi => {
                let place = if unit < SCSI_CONTROLLER_UNIT { unit } else { unit.saturating_sub(1) };
                let index = controller.saturating_mul(scsi_disks(hardware_version));
                name("sd", index.saturating_add(place))
            }
            DriveBus::Sata => name("sd", controller.saturating_mul(30).saturating_add(unit)),
            DriveBus::Ide => name("hd", controller.saturating_mul(2).saturating_add(unit)),
            DriveBus::Nvme => format!("nvme{controller}n{}", unit.saturating_add(1)),
            DriveBus::Floppy => name("fd", unit),
        }
    }

    /// The place that a target stands for on a bus; `None` if it is none there.
    #[must_use]
    pub fn of_target(bus: DriveBus, target: &str, hardware_version: u32) -> Option<Self> {
        let at = |controller, unit| Some(Self { bus, controller, unit });
        if bus == DriveBus::Nvme {
            let (controller, unit) = nvme(target)?;
            return at(controller, unit);
        }
        let (prefix, index) = index(target)?;
        match (bus, prefix) {
            (DriveBus::Scsi, "sd") => {
                let disks = scsi_disks(hardware_version);
                let place = index % disks;
                at(index / disks, if place < SCSI_CONTROLLER_UNIT { place } else { place + 1 })
            }
            (DriveBus::Sata, "sd") => at(index / 30, index % 30),
            (DriveBus::Ide, "hd") => at(index / 2, index % 2),
            (DriveBus::Floppy, "fd") => at(0, index),
            _ => None,
        }
    }
}

const fn scsi_disks(hardware_version: u32) -> u32 {
    if hardware_version >= WIDE_SCSI_HARDWARE { 64 } else { 15 }
}

/// `sda`, `sdz`, `sdaa`, …
pub(crate) fn name(prefix: &str, index: u32) -> String {
    // 26^7 is more than there are indices.
    let mut letters = [0; 7];
    let mut first = letters.len();
    let mut rest = Some(index);
    while let Some(n) = rest {
        first -= 1;
        letters[first] = b'a' + (n % 26) as u8;
        rest = (n / 26).checked_sub(1);
    }
    let letters = std::str::from_utf8(&letters[first..]).unwrap_or_default();
    let mut name = String::with_capacity(prefix.len() + letters.len());
    name.push_str(prefix);
    name.push_str(letters);
    name
}

/// The prefix and the index of a name; the number of a partition after the letters is ignored.
pub(crate) fn index(name: &str) -> Option<(&'static str, u32)> {
    // Longer prefixes first: `xvda` is no `vd`.
    let prefixes = ["xvd", "ubd", "hd", "sd", "vd", "fd"];
    let (prefix, rest) = prefixes.iter().find_map(|p| Some((*p, name.strip_prefix(p)?)))?;
    let letters = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    if letters.is_empty() || !letters.bytes().all(|b| b.is_ascii_lowercase()) {
        return None;
    }
    let index = letters.bytes().try_fold(0_u32, |index, letter| {
        index.checked_mul(26)?.checked_add(u32::from(letter - b'a') + 1)
    });
    Some((prefix, index? - 1))
}

/// Controller and unit of an NVMe disk: `nvme0n1` is unit 0 of controller 0.
pub(crate) fn nvme(name: &str) -> Option<(u32, u32)> {
    let (controller, namespace) = name.strip_prefix("nvme")?.split_once('n')?;
    Some((controller.parse().ok()?, namespace.parse::<u32>().ok()?.checked_sub(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_names_and_names_places() {
        let place = |bus, controller, unit| DrivePlace { bus, controller, unit };
        for (hardware, at, target) in [
            (13, place(DriveBus::Scsi, 0, 0), "sda"),
            (13, place(DriveBus::Scsi, 0, 8), "sdh"),
            (13, place(DriveBus::Scsi, 1, 0), "sdbm"),
            (10, place(DriveBus::Scsi, 1, 0), "sdp"),
            (10, place(DriveBus::Scsi, 0, 15), "sdo"),
            (13, place(DriveBus::Sata, 1, 2), "sdag"),
            (13, place(DriveBus::Ide, 1, 0), "hdc"),
            (13, place(DriveBus::Nvme, 0, 1), "nvme0n2"),
            (13, place(DriveBus::Floppy, 0, 1), "fdb"),
        ] {
            assert_eq!(at.target(hardware), target);
            assert_eq!(DrivePlace::of_target(at.bus, target, hardware), Some(at), "{target}");
        }
        for (bus, target) in [
            (DriveBus::Scsi, "hda"),
            (DriveBus::Ide, "sda"),
            (DriveBus::Nvme, "sda"),
            (DriveBus::Floppy, "vda"),
        ] {
            assert_eq!(DrivePlace::of_target(bus, target, 13), None, "{target}");
        }
    }

    #[test]
    fn names_and_indices() {
        for (number, letters) in
            [(0, "a"), (25, "z"), (26, "aa"), (51, "az"), (52, "ba"), (702, "aaa")]
        {
            let target = name("sd", number);
            assert_eq!(target, format!("sd{letters}"));
            assert_eq!(index(&target), Some(("sd", number)));
        }
        assert_eq!(index("sdb12"), Some(("sd", 1)));
        for bad in ["sd", "sd1", "nvme0n1", "sdA", "sdzzzzzzzzzzzz"] {
            assert_eq!(index(bad), None, "{bad}");
        }
    }
}
