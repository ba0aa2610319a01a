//! Storage pools and volumes.

use serde_json::{Value, json};
use virt_api::{
    ListedPool, ListedVolume, StoragePool, StoragePoolInfo, StoragePoolState, StorageVol,
    StorageVolInfo, StorageVolType,
};

use super::{Fields, Render, layout, printable};

/// What is shown of each pool; with neither, a table.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PoolColumns {
    /// A table with sizes.
    pub(crate) details: bool,
    /// UUIDs only.
    pub(crate) uuid: bool,
    /// Names only.
    pub(crate) name: bool,
}

/// A state in virsh's words.
const fn state_word(state: StoragePoolState) -> &'static str {
    match state {
        StoragePoolState::Inactive => "inactive",
        StoragePoolState::Building => "building",
        StoragePoolState::Running => "running",
        StoragePoolState::Degraded => "degraded",
        StoragePoolState::Inaccessible => "inaccessible",
        _ => "unknown",
    }
}

/// A type in virsh's words.
const fn type_word(kind: StorageVolType) -> &'static str {
    match kind {
        StorageVolType::File => "file",
        StorageVolType::Block => "block",
        StorageVolType::Dir => "dir",
        StorageVolType::Network => "network",
        StorageVolType::NetDir => "netdir",
        StorageVolType::Ploop => "ploop",
        _ => "unknown",
    }
}

const fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// A number of bytes as virsh shows it, `1.50 GiB`.
pub(crate) fn pretty_bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = (bytes.max(1).ilog2() / 10) as usize;
    // No more than 2^53 is shown exactly; two digits are shown.
    #[allow(clippy::cast_precision_loss, reason = "two digits behind the point are shown")]
    let number = bytes as f64 / (1_u64 << (10 * power)) as f64;
    format!("{number:.2} {}", UNITS[power])
}

/// The bytes as `strcasecmp` compares them.
fn caseless(name: &str) -> impl Iterator<Item = u8> + '_ {
    name.bytes().map(|byte| byte.to_ascii_lowercase())
}

/// The result of `pool-list`: by name, without regard to case.
pub(crate) struct PoolList {
    pools: Vec<ListedPool>,
    columns: PoolColumns,
}

impl PoolList {
    /// Sorts the pools.
    pub(crate) fn new(mut pools: Vec<ListedPool>, columns: PoolColumns) -> Self {
        pools.sort_by(|a, b| caseless(&a.pool.name).cmp(caseless(&b.pool.name)));
        Self { pools, columns }
    }
}

/// All that is listed is not stopped, whether it can be reached or not.
fn is_active(state: StoragePoolState) -> bool {
    state != StoragePoolState::Inactive
}

/// Whether the sizes of such a pool mean anything.
const fn has_sizes(state: StoragePoolState) -> bool {
    matches!(state, StoragePoolState::Running | StoragePoolState::Degraded)
}

impl Render for PoolList {
    fn table(&self, quiet: bool) -> String {
        let PoolColumns { details, uuid, name } = self.columns;
        if uuid || name {
            let line = |listed: &ListedPool| {
                // virsh fills names up to twenty bytes.
                let padded = printable(&listed.pool.name);
                let blanks = " ".repeat(20_usize.saturating_sub(padded.len()));
                match (uuid, name) {
                    (true, true) => format!("{} {padded}{blanks}\n", listed.pool.uuid),
                    (true, false) => format!("{}\n", listed.pool.uuid),
                    _ => format!("{padded}{blanks}\n"),
                }
            };
            return self.pools.iter().map(line).collect();
        }
        let row = |listed: &ListedPool| {
            let name = listed.pool.name.clone();
            let autostart = yes_no(listed.autostart).to_owned();
            let info = &listed.info;
            if !details {
                let state = if is_active(info.state) { "active" } else { "inactive" };
                return vec![name, state.to_owned(), autostart];
            }
            let size = |bytes| match has_sizes(info.state) {
                true => pretty_bytes(bytes),
                false => "-".to_owned(),
            };
            vec![
                name,
                state_word(info.state).to_owned(),
                autostart,
                yes_no(listed.persistent).to_owned(),
                size(info.capacity),
                size(info.allocation),
                size(info.available),
            ]
        };
        let rows: Vec<_> = self.pools.iter().map(row).collect();
        let header: &[&str] = if details {
            &["Name", "State", "Autostart", "Persistent", "Capacity", "Allocation", "Available"]
        } else {
            &["Name", "State", "Autostart"]
        };
        layout(header, &rows, quiet)
    }

    fn value(&self) -> Value {
        let value = |listed: &ListedPool| {
            let mut value = pool_value(&listed.pool, &listed.info);
            value["autostart"] = json!(listed.autostart);
            value["persistent"] = json!(listed.persistent);
            value["problem"] = json!(listed.problem);
            value
        };
        self.pools.iter().map(value).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let warning = |listed: &ListedPool| {
            Some(format!("{}: {}", listed.pool.name, listed.problem.as_ref()?))
        };
        self.pools.iter().filter_map(warning).collect()
    }
}

fn pool_value(pool: &StoragePool, info: &StoragePoolInfo) -> Value {
    json!({
        "name": pool.name,
        "uuid": pool.uuid.to_string(),
        "state": state_word(info.state),
        "active": is_active(info.state),
        "capacity_bytes": info.capacity,
        "allocation_bytes": info.allocation,
        "available_bytes": info.available,
    })
}

/// The result of `pool-info`.
pub(crate) struct PoolInfo {
    /// The pool.
    pub(crate) pool: StoragePool,
    /// Its state and sizes.
    pub(crate) info: StoragePoolInfo,
    /// Whether its definition is kept.
    pub(crate) persistent: bool,
    /// Whether it starts by itself.
    pub(crate) autostart: bool,
    /// Sizes in bytes.
    pub(crate) bytes: bool,
}

impl Render for PoolInfo {
    fn table(&self, _: bool) -> String {
        let size = |bytes: u64| if self.bytes { bytes.to_string() } else { pretty_bytes(bytes) };
        let fields = Fields::new(15)
            .with("Name:", printable(&self.pool.name))
            .with("UUID:", self.pool.uuid)
            .with("State:", state_word(self.info.state))
            .with("Persistent:", yes_no(self.persistent))
            .with("Autostart:", yes_no(self.autostart));
        if !has_sizes(self.info.state) {
            return fields.into_text();
        }
        fields
            .with("Capacity:", size(self.info.capacity))
            .with("Allocation:", size(self.info.allocation))
            .with("Available:", size(self.info.available))
            .into_text()
    }

    fn value(&self) -> Value {
        let mut value = pool_value(&self.pool, &self.info);
        value["autostart"] = json!(self.autostart);
        value["persistent"] = json!(self.persistent);
        value
    }
}

/// The result of `vol-list`: by name, without regard to case.
pub(crate) struct VolumeList {
    volumes: Vec<ListedVolume>,
    details: bool,
}

impl VolumeList {
    /// Sorts the volumes.
    pub(crate) fn new(mut volumes: Vec<ListedVolume>, details: bool) -> Self {
        volumes.sort_by(|a, b| caseless(&a.volume.name).cmp(caseless(&b.volume.name)));
        Self { volumes, details }
    }
}

impl Render for VolumeList {
    fn table(&self, quiet: bool) -> String {
        let row = |listed: &ListedVolume| {
            let mut row = vec![listed.volume.name.clone(), listed.path.clone()];
            if self.details {
                row.push(type_word(listed.info.kind).to_owned());
                row.push(pretty_bytes(listed.info.capacity));
                row.push(pretty_bytes(listed.info.allocation));
            }
            row
        };
        let rows: Vec<_> = self.volumes.iter().map(row).collect();
        let header = ["Name", "Path", "Type", "Capacity", "Allocation"];
        layout(&header[..if self.details { 5 } else { 2 }], &rows, quiet)
    }

    fn value(&self) -> Value {
        let value = |listed: &ListedVolume| {
            let mut value = volume_value(&listed.volume, &listed.info);
            value["path"] = json!(listed.path);
            value
        };
        self.volumes.iter().map(value).collect()
    }
}

fn volume_value(volume: &StorageVol, info: &StorageVolInfo) -> Value {
    json!({
        "name": volume.name,
        "pool": volume.pool,
        "key": volume.key,
        "type": type_word(info.kind),
        "capacity_bytes": info.capacity,
        "allocation_bytes": info.allocation,
    })
}

/// The result of `vol-info`.
pub(crate) struct VolumeInfo {
    /// The volume.
    pub(crate) volume: StorageVol,
    /// Its type and sizes.
    pub(crate) info: StorageVolInfo,
    /// Sizes in bytes.
    pub(crate) bytes: bool,
    /// The last one is called physical.
    pub(crate) physical: bool,
}

impl Render for VolumeInfo {
    fn table(&self, _: bool) -> String {
        let size = |bytes: u64| match self.bytes {
            true => format!("{bytes} bytes"),
            false => pretty_bytes(bytes),
        };
        Fields::new(15)
            .with("Name:", printable(&self.volume.name))
            .with("Type:", type_word(self.info.kind))
            .with("Capacity:", size(self.info.capacity))
            .with(
                if self.physical { "Physical:" } else { "Allocation:" },
                size(self.info.allocation),
            )
            .into_text()
    }

    fn value(&self) -> Value {
        volume_value(&self.volume, &self.info)
    }
}

#[cfg(test)]
mod tests {
    use super::pretty_bytes;

    // Held against Debian's virsh 9.0.0 with its test driver.
    #[test]
    fn sizes_are_virshs() {
        for (bytes, text) in [
            (0, "0.00 B"),
            (1, "1.00 B"),
            (1023, "1023.00 B"),
            (1024, "1.00 KiB"),
            (5 << 20, "5.00 MiB"),
            (3_000_000_000, "2.79 GiB"),
            (100 << 30, "100.00 GiB"),
            (u64::MAX, "16.00 EiB"),
        ] {
            assert_eq!(pretty_bytes(bytes), text);
        }
    }
}
