//! Facts about the host: CPUs, memory, name (spec `domain.md` 3.12 and 4).

use esx_vi_api::MoRef;
use esx_vi_api::data::HostCpuIdInfo;
use esx_vi_api::properties::ObjectRow;
use uuid::Uuid;
use virt_api::{Error, ErrorDomain, NodeInfo, Result};
use virt_xml::capabilities::Capabilities;

use crate::error::decode_error;

/// The properties of the host system that do not change while a connection lives.
pub(crate) const PATHS: &[&str] = &[
    "capability.screenshotSupported",
    "config.network.dnsConfig.domainName",
    "config.network.dnsConfig.hostName",
    "configManager.autoStartManager",
    "hardware.cpuFeature",
    "hardware.cpuInfo.hz",
    "hardware.cpuInfo.numCpuCores",
    "hardware.cpuInfo.numCpuPackages",
    "hardware.cpuInfo.numCpuThreads",
    "hardware.memorySize",
    "hardware.numaInfo.numNodes",
    "hardware.systemInfo.uuid",
    "runtime.inMaintenanceMode",
    "summary.hardware.cpuModel",
    "summary.managementServerIp",
];

/// What [`PATHS`] said.
#[derive(Clone, Debug)]
pub(crate) struct HostFacts {
    pub(crate) node: NodeInfo,
    /// `None` if the host does not tell its name.
    pub(crate) hostname: Option<String>,
    /// The SMBIOS UUID, nil if there is none that can be read.
    pub(crate) uuid: Uuid,
    /// Whether the CPUs have long mode.
    pub(crate) long_mode: bool,
    pub(crate) auto_start_manager: Option<MoRef>,
    /// Whether it takes pictures of screens; assumed of one that does not tell.
    pub(crate) screenshots: bool,
    /// The vCenter that manages the host.
    pub(crate) management_server: Option<String>,
}

impl HostFacts {
    pub(crate) fn read(row: &ObjectRow) -> Result<Self> {
        let text = |path| row.get::<String>(path).map_err(decode_error);
        // Hosts send `xsd:short`, simulators other widths: the number is what counts.
        let number = |path| row.get::<i64>(path).map_err(decode_error);
        let count = |path| number(path).map(|n| u32::try_from(n.unwrap_or(0)).unwrap_or(0));
        let packages = count("hardware.cpuInfo.numCpuPackages")?;
        let cores = count("hardware.cpuInfo.numCpuCores")?;
        let threads = count("hardware.cpuInfo.numCpuThreads")?;
        let node = NodeInfo {
            model: compact_model(&text("summary.hardware.cpuModel")?.unwrap_or_default()),
            memory_kib: u64::try_from(number("hardware.memorySize")?.unwrap_or(0)).unwrap_or(0)
                / 1024,
            cpus: cores,
            mhz: u32::try_from(number("hardware.cpuInfo.hz")?.unwrap_or(0) / 1_000_000)
                .unwrap_or(0),
            nodes: count("hardware.numaInfo.numNodes")?,
            sockets: packages,
            cores: cores.checked_div(packages).unwrap_or(0),
            threads: threads.checked_div(cores).unwrap_or(0),
        };
        let hostname = text("config.network.dnsConfig.hostName")?.filter(|name| !name.is_empty());
        let domain = text("config.network.dnsConfig.domainName")?.filter(|name| !name.is_empty());
        let features: Vec<HostCpuIdInfo> =
            row.get_lenient("hardware.cpuFeature").map_err(decode_error)?.unwrap_or_default();
        if row.get::<bool>("runtime.inMaintenanceMode").map_err(decode_error)? == Some(true) {
            tracing::warn!("the host is in maintenance mode");
        }
        Ok(Self {
            node,
            hostname: match (hostname, domain) {
                (Some(host), Some(domain)) => Some(format!("{host}.{domain}")),
                (host, _) => host,
            },
            uuid: text("hardware.systemInfo.uuid")?
                .and_then(|u| parse_uuid(&u))
                .unwrap_or_default(),
            long_mode: has_long_mode(&features),
            auto_start_manager: row.get("configManager.autoStartManager").map_err(decode_error)?,
            screenshots: row
                .get::<bool>("capability.screenshotSupported")
                .map_err(decode_error)?
                .unwrap_or(true),
            management_server: text("summary.managementServerIp")?.filter(|ip| !ip.is_empty()),
        })
    }

    /// The capabilities document.
    pub(crate) fn capabilities(&self) -> String {
        Capabilities { host_uuid: self.uuid, long_mode: self.long_mode }.to_xml()
    }
}

/// A UUID as hosts write it: pairs of hex digits, with `-` or a space between pairs.
pub(crate) fn parse_uuid(text: &str) -> Option<Uuid> {
    let compact: String = text.trim_ascii().chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    (compact.len() == 32).then(|| Uuid::try_parse(&compact).ok()).flatten()
}

/// The same of a host whose register cannot be read: that is no reason to tell nothing of the host at all, so it is taken for a
/// 64-bit one (spec `domain.md` 19 no. 54).
fn has_long_mode(features: &[HostCpuIdInfo]) -> bool {
    long_mode(features).unwrap_or_else(|error| {
        tracing::warn!(%error, "the host is taken for a 64-bit one");
        true
    })
}

/// Whether leaf 0x80000001 has bit 29 of EDX set (spec `domain.md` 3.12). A host that does not report
/// the leaf at all is taken for a 64-bit one, as every ESX since 5.0 is; libvirt fails to open then.
fn long_mode(features: &[HostCpuIdInfo]) -> Result<bool> {
    /// 0x80000001 as the signed number that the API carries.
    const EXTENDED_FEATURES: i32 = -0x7fff_ffff;
    let Some(leaf) = features.iter().find(|leaf| leaf.level == EXTENDED_FEATURES) else {
        return Ok(true);
    };
    let Some(edx) = &leaf.edx else { return Ok(true) };
    let bits: Vec<char> = edx.chars().filter(|c| *c != ':').collect();
    let well_formed =
        edx.len() == 39 && edx.split(':').all(|group| group.len() == 4) && bits.len() == 32;
    match bits.get(31 - 29) {
        Some('1') if well_formed => Ok(true),
        Some('0') if well_formed => Ok(false),
        _ => Err(Error::internal(
            ErrorDomain::Esx,
            format!("the host describes register EDX of CPUID leaf 0x80000001 as {edx:?}"),
        )),
    }
}

/// The CPU model without doubled spaces and trade marks, at most 31 bytes (spec `domain.md` 4.5).
fn compact_model(model: &str) -> String {
    let mut out = String::new();
    let mut rest = model;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = ["(R)", "(C)", "(TM)"].iter().find_map(|mark| rest.strip_prefix(mark))
        {
            rest = after;
        } else if rest.starts_with("  ") {
            rest = &rest[1..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    let mut end = out.len().min(31);
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    out.truncate(end);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_compacted_as_libvirt_does() {
        for (model, expected) in [
            ("Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", "Intel Xeon Gold 6338 CPU @ 2.00"),
            ("AMD EPYC 7543 32-Core Processor                 ", "AMD EPYC 7543 32-Core Processor"),
            ("Intel(R) Xeon(R) CPU           X5650  @ 2.67GHz", "Intel Xeon CPU X5650 @ 2.67GHz"),
            ("Foo (R) Bar", "Foo  Bar"),
            ("", ""),
        ] {
            assert_eq!(compact_model(model), expected);
        }
    }

    fn leaf(edx: &str) -> Vec<HostCpuIdInfo> {
        vec![HostCpuIdInfo {
            level: -2_147_483_647,
            edx: Some(edx.to_owned()),
            ..Default::default()
        }]
    }

    #[test]
    fn long_mode_is_bit_29() {
        let rest = ":1000:0001:0000:0000:1000:0000:0000";
        assert!(long_mode(&leaf(&format!("0010{rest}"))).unwrap());
        assert!(!long_mode(&leaf(&format!("0000{rest}"))).unwrap());
        assert!(!long_mode(&leaf(&format!("1101{rest}"))).unwrap());
        assert!(long_mode(&leaf(&format!("00H0{rest}"))).is_err());
        assert!(long_mode(&leaf(&format!("010{rest}"))).is_err());
        assert!(long_mode(&leaf("")).is_err());
        assert!(has_long_mode(&leaf(&format!("00H0{rest}"))), "the connection goes on");
        assert!(!has_long_mode(&leaf(&format!("0000{rest}"))));
        assert!(long_mode(&[]).unwrap(), "a host that does not tell");
    }

    #[test]
    fn uuids_are_read_liberally() {
        let uuid = Uuid::from_u128(0x4c4c_4544_0042_4a10_8057_b4c0_4f4d_3032);
        for text in [
            "4c4c4544-0042-4a10-8057-b4c04f4d3032",
            " 4C 4C 45 44 00 42 4a 10-80 57 b4 c0 4f 4d 30 32",
            "4c4c454400424a108057b4c04f4d3032",
        ] {
            assert_eq!(parse_uuid(text), Some(uuid), "{text}");
        }
        for text in [
            "",
            "4c4c4544",
            "4c4c4544-0042-4a10-8057-b4c04f4d303x",
            "{4c4c4544-0042-4a10-8057-b4c04f4d3032}",
        ] {
            assert_eq!(parse_uuid(text), None, "{text}");
        }
    }
}
