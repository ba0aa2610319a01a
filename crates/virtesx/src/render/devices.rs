//! `domblklist`, `domiflist`, `domblkinfo`, `dommemstat` and `domstats`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use virt_api::{
    DomainBlockDevice, DomainBlockInfo, DomainInterfaceDevice, DomainMemoryStat, DomainStats,
    MemoryStatTag,
};

use super::resources::json_of;
use super::{Render, layout, printable};

fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

/// The result of `domblklist`.
pub(crate) struct BlockDevices {
    /// The disks and drives.
    pub(crate) devices: Vec<DomainBlockDevice>,
    /// Whether type and kind are shown.
    pub(crate) details: bool,
}

impl Render for BlockDevices {
    fn table(&self, quiet: bool) -> String {
        let mut header = vec!["Target", "Source"];
        if self.details {
            header.splice(0..0, ["Type", "Device"]);
        }
        let rows: Vec<Vec<String>> = self
            .devices
            .iter()
            .map(|device| {
                let mut row = vec![device.target.clone(), or_dash(device.source.as_deref())];
                if self.details {
                    row.splice(0..0, [device.kind.clone(), device.device.clone()]);
                }
                row
            })
            .collect();
        layout(&header, &rows, quiet)
    }

    fn value(&self) -> Value {
        let device = |device: &DomainBlockDevice| {
            json!({
                "type": device.kind,
                "device": device.device,
                "target": device.target,
                "bus": device.bus,
                "source": device.source,
            })
        };
        self.devices.iter().map(device).collect()
    }
}

/// The result of `domiflist`.
pub(crate) struct InterfaceDevices(pub(crate) Vec<DomainInterfaceDevice>);

impl Render for InterfaceDevices {
    fn table(&self, quiet: bool) -> String {
        let row = |device: &DomainInterfaceDevice| {
            vec![
                or_dash(device.name.as_deref()),
                device.kind.clone(),
                or_dash(device.source.as_deref()),
                or_dash(device.model.as_deref()),
                or_dash(device.mac.as_deref()),
            ]
        };
        let rows: Vec<Vec<String>> = self.0.iter().map(row).collect();
        layout(&["Interface", "Type", "Source", "Model", "MAC"], &rows, quiet)
    }

    fn value(&self) -> Value {
        let device = |device: &DomainInterfaceDevice| {
            json!({
                "interface": device.name,
                "type": device.kind,
                "source": device.source,
                "model": device.model,
                "mac": device.mac,
                "link_up": device.link_up,
            })
        };
        self.0.iter().map(device).collect()
    }
}

/// The result of `domblkinfo`.
pub(crate) struct BlockSizes {
    /// Targets with their sizes.
    pub(crate) rows: Vec<(String, DomainBlockInfo)>,
    /// Whether sizes have units.
    pub(crate) human: bool,
    /// Whether they stand in a table.
    pub(crate) all: bool,
}

impl BlockSizes {
    fn size(&self, bytes: u64) -> String {
        if self.human { human(bytes) } else { bytes.to_string() }
    }

    /// The three sizes; those of an empty drive are not known.
    fn sizes(&self, info: &DomainBlockInfo) -> [String; 3] {
        let known = info.capacity_bytes > 0;
        [info.capacity_bytes, info.allocation_bytes, info.physical_bytes]
            .map(|bytes| if known { self.size(bytes) } else { "-".to_owned() })
    }
}

/// `16.000 GiB`, as virsh writes sizes.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.3} {}", UNITS[unit])
}

impl Render for BlockSizes {
    fn table(&self, quiet: bool) -> String {
        if self.all {
            let rows: Vec<Vec<String>> = self
                .rows
                .iter()
                .map(|(target, info)| {
                    std::iter::once(target.clone()).chain(self.sizes(info)).collect()
                })
                .collect();
            return layout(&["Target", "Capacity", "Allocation", "Physical"], &rows, quiet);
        }
        let mut text = String::new();
        for (_, info) in &self.rows {
            let labels = ["Capacity:", "Allocation:", "Physical:"];
            for (label, size) in labels.into_iter().zip(self.sizes(info)) {
                let _infallible = writeln!(text, "{label:<15} {size}");
            }
        }
        text
    }

    fn value(&self) -> Value {
        let row = |(target, info): &(String, DomainBlockInfo)| {
            let size = |bytes: u64| (info.capacity_bytes > 0).then_some(bytes);
            json!({
                "target": target,
                "capacity_bytes": size(info.capacity_bytes),
                "allocation_bytes": size(info.allocation_bytes),
                "physical_bytes": size(info.physical_bytes),
            })
        };
        self.rows.iter().map(row).collect()
    }
}

/// The result of `dommemstat`.
pub(crate) struct MemoryStats(pub(crate) Vec<DomainMemoryStat>);

impl Render for MemoryStats {
    fn table(&self, _quiet: bool) -> String {
        self.0.iter().map(|stat| format!("{} {}\n", stat.tag.as_str(), stat.value)).collect()
    }

    fn value(&self) -> Value {
        let mut object = Map::new();
        for stat in &self.0 {
            let unit = if stat.tag == MemoryStatTag::Shares { "" } else { "_kib" };
            object.insert(format!("{}{unit}", stat.tag.as_str()), json!(stat.value));
        }
        Value::Object(object)
    }
}

/// The result of `domstats`.
pub(crate) struct Statistics(pub(crate) Vec<DomainStats>);

impl Render for Statistics {
    fn table(&self, _quiet: bool) -> String {
        let mut text = String::new();
        for (index, stats) in self.0.iter().enumerate() {
            let gap = if index > 0 { "\n" } else { "" };
            let _infallible = writeln!(text, "{gap}Domain: '{}'", printable(&stats.domain.name));
            for param in &stats.params {
                let value = printable(&param.value.to_string());
                let _infallible = writeln!(text, "  {}={value}", printable(&param.name));
            }
        }
        text
    }

    fn value(&self) -> Value {
        let one = |stats: &DomainStats| {
            let params: Map<String, Value> = stats
                .params
                .iter()
                .map(|param| (param.name.clone(), json_of(&param.value)))
                .collect();
            json!({
                "domain": stats.domain.name,
                "uuid": stats.domain.uuid.to_string(),
                "stats": params,
            })
        };
        self.0.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_as_virsh_writes_them() {
        for (bytes, expected) in
            [(0, "0.000 B"), (1023, "1023.000 B"), (17_179_869_184, "16.000 GiB")]
        {
            assert_eq!(super::human(bytes), expected);
        }
    }
}
