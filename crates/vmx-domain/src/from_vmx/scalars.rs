//! Keys that stand alone (`spec/vmx.md` 4, `spec/libvirt-12-deltas.md` 2 and 7).

use std::borrow::Cow;

use virt_xml::domain::{Cpu, Domain, FirmwareFeature, Topology};
use virt_xml::{CpuSet, Uuid, parse_uuid};

use super::reader::Reader;
use crate::bend::Bend as _;
use crate::error::Error;

/// The oldest hardware version libvirt reads.
const OLDEST_HARDWARE: i64 = 4;

/// Checks `config.version` and gives `virtualHW.version`.
pub(super) fn hardware_version(r: &mut Reader<'_>) -> Result<i64, Error> {
    let keys = ["config.version", "virtualHW.version"];
    if keys.iter().all(|key| r.get(key).is_none()) {
        let reason = if r.get("encryption.data").is_some() {
            "the configuration is encrypted"
        } else {
            "required key is absent"
        };
        return Err(Error::internal(keys[0], reason));
    }
    let mut read = |key: &str, default: i64, fits: fn(i64) -> bool| {
        let Some(value) = r.integer_opt(key)? else {
            if r.get(key).is_none() {
                r.bend(Error::internal(key, "required key is absent"), "a default is assumed")?;
            }
            return Ok::<_, Error>(default);
        };
        if !fits(value) {
            let reason = format!("version {value} is not supported");
            r.bend(Error::internal(key, reason), "read all the same")?;
        }
        Ok(value)
    };
    read(keys[0], 8, |v| v == 8)?;
    read(keys[1], OLDEST_HARDWARE, |v| v >= OLDEST_HARDWARE)
}

/// `uuid.bios`, `vc.uuid`, `displayName`, `vm.genid` and `annotation`.
pub(super) fn identity(r: &mut Reader<'_>, domain: &mut Domain) -> Result<(), Error> {
    let usable = |uuid: &Uuid| {
        let bytes = uuid.as_bytes();
        bytes.iter().any(|b| *b != bytes[0])
    };
    let bios = uuid(r, "uuid.bios")?;
    let instance = uuid(r, "vc.uuid")?;
    let shown = if usable(&instance) && !r.context.legacy_uuid { instance } else { bios };
    domain.uuid = Some(shown);
    domain.hwuuid = Some(bios).filter(usable);
    domain.name = match r.get("displayName") {
        Some(name) => {
            let bytes = esx_escape::percent_pipe::unescape_bytes(name.as_bytes());
            Some(unescaped(r, "displayName", name, bytes)?)
        }
        None => None,
    };
    let high = r.integer("vm.genid", 0)?;
    let low = r.integer("vm.genidX", 0)?;
    if (high, low) != (0, 0) {
        // Two's complement, both of them.
        domain.genid = Some(Uuid::from_u64_pair(high as u64, low as u64));
    }
    domain.description = match r.get("annotation") {
        Some(text) => {
            let bytes = esx_escape::pipe::unescape_bytes(text.as_bytes());
            Some(unescaped(r, "annotation", text, bytes)?)
        }
        None => None,
    };
    Ok(())
}

fn uuid(r: &mut Reader<'_>, key: &str) -> Result<Uuid, Error> {
    let Some(text) = r.get(key) else { return Ok(Uuid::nil()) };
    match parse_uuid(text) {
        Some(uuid) => Ok(uuid),
        None => {
            r.bend(Error::internal(key, format!("'{text}' is not a UUID")), "ignored")?;
            Ok(Uuid::nil())
        }
    }
}

/// The text without escapes; bytes that are no UTF-8 become U+FFFD.
fn unescaped(
    r: &mut Reader<'_>,
    key: &str,
    text: &str,
    bytes: Result<Cow<'_, [u8]>, esx_escape::UnescapeError>,
) -> Result<String, Error> {
    match bytes {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            if r.exact() || !text.contains('\r') {
                return Ok(text.into_owned());
            }
            r.warn(
                key,
                "carriage returns are shown as line feeds, which readers of XML make of them",
            );
            Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
        }
        Err(error) => {
            r.bend(Error::internal(key, error), "the text is kept as it is")?;
            Ok(text.to_owned())
        }
    }
}

/// `memsize`, `sched.mem.max` and `sched.mem.minsize`, in MiB.
pub(super) fn memory(r: &mut Reader<'_>, domain: &mut Domain) -> Result<(), Error> {
    let mut total = r.integer("memsize", 32)?;
    if total <= 0 || total % 4 != 0 {
        let reason = format!("{total} MiB is not a positive multiple of 4 MiB");
        r.bend(Error::internal("memsize", reason), "taken as it is if positive, else for 32 MiB")?;
        total = if total > 0 { total } else { 32 };
    }
    let limit = r.integer("sched.mem.max", total)?;
    let guarantee = r.integer("sched.mem.minsize", 0)?;
    // libvirt computes in 64 bits and lets them wrap.
    let kib = |mib: i64| (mib as u64).wrapping_mul(1024);
    let limit = if limit <= 0 || limit > total { total } else { limit };
    domain.memory_kib = kib(total);
    domain.current_memory_kib = Some(kib(limit));
    domain.min_guarantee_kib = (guarantee > 0).then(|| kib(guarantee.min(total)));
    Ok(())
}

/// `numvcpus`, `cpuid.coresPerSocket`, `sched.cpu.affinity` and `sched.cpu.shares`.
pub(super) fn cpus(r: &mut Reader<'_>, domain: &mut Domain) -> Result<(), Error> {
    let mut count = r.integer("numvcpus", 1)?;
    if count <= 0 {
        let reason = format!("{count} is not a number of CPUs");
        r.bend(Error::internal("numvcpus", reason), "taken for 1")?;
        count = 1;
    }
    // libvirt keeps the count in 32 bits.
    domain.vcpu.count = count as u32;
    domain.vcpu.placement = Some("static".to_owned());
    domain.cpu = topology(r, count)?;
    domain.vcpu.cpuset = affinity(r, count)?;
    domain.shares = shares(r, count)?;
    Ok(())
}

fn topology(r: &mut Reader<'_>, count: i64) -> Result<Option<Cpu>, Error> {
    let key = "cpuid.coresPerSocket";
    let cores = r.integer(key, 1)?;
    if cores <= 1 {
        return Ok(None);
    }
    if cores > count {
        let reason = format!("{cores} cores per socket are more than {count} CPUs");
        r.bend(Error::internal(key, reason), "the topology is left out")?;
        return Ok(None);
    }
    if count % cores != 0 && !r.exact() {
        r.warn(key, format!("{count} CPUs make no whole sockets; the topology is left out"));
        return Ok(None);
    }
    let topology = Topology {
        sockets: (count / cores) as u32,
        dies: 1,
        clusters: 1,
        cores: cores as u32,
        threads: 1,
    };
    Ok(Some(Cpu { topology: Some(topology), ..Cpu::default() }))
}

fn affinity(r: &mut Reader<'_>, count: i64) -> Result<Option<CpuSet>, Error> {
    let key = "sched.cpu.affinity";
    let Some(text) = r.get(key).filter(|t| !t.eq_ignore_ascii_case("all")) else {
        return Ok(None);
    };
    let number = |entry: &str| {
        let entry = entry.trim_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
        // Rust's parser takes one plus sign, as C's does.
        entry.parse::<u32>().ok().filter(|&cpu| cpu <= 16383)
    };
    let entries: Option<Vec<u32>> = text.split(',').map(number).collect();
    let reason = match entries {
        Some(entries) if i64::try_from(entries.len()).is_ok_and(|n| n >= count) => {
            return Ok(Some(CpuSet(entries.into_iter().collect())));
        }
        Some(_) => format!("'{text}' names fewer host CPUs than the machine has CPUs"),
        None => format!("'{text}' is not a list of host CPUs"),
    };
    r.bend(Error::internal(key, reason), "ignored")?;
    Ok(None)
}

fn shares(r: &mut Reader<'_>, count: i64) -> Result<Option<u64>, Error> {
    let key = "sched.cpu.shares";
    let Some(text) = r.get(key) else { return Ok(None) };
    let count = count as u64;
    let per_cpu = [("low", 500), ("normal", 1000), ("high", 2000)];
    if let Some((_, shares)) = per_cpu.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
        return Ok(Some(count.wrapping_mul(*shares)));
    }
    let digits = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let number = match digits.strip_prefix('-') {
        // C negates what it reads without complaint.
        Some(digits) if !digits.starts_with('+') => digits.parse().map(u64::wrapping_neg).ok(),
        Some(_) => None,
        None => digits.parse().ok(),
    };
    if number.is_none() {
        r.bend(Error::internal(key, format!("'{text}' is not a number of shares")), "ignored")?;
    }
    Ok(number)
}

/// `guestOS` and `smbios.reflecthost`.
pub(super) fn guest(r: &mut Reader<'_>, domain: &mut Domain) -> Result<(), Error> {
    domain.os.kind = "hvm".to_owned();
    let long = r.get("guestOS").is_some_and(|id| id.ends_with("-64"));
    domain.os.arch = Some(if long { "x86_64" } else { "i686" }.to_owned());
    if r.boolean("smbios.reflecthost", false)? {
        domain.os.smbios_mode = Some("host".to_owned());
    }
    Ok(())
}

/// `firmware` and `uefi.secureBoot.enabled`.
pub(super) fn firmware(r: &mut Reader<'_>, domain: &mut Domain) -> Result<(), Error> {
    if let Some(word) = r.get("firmware") {
        let (known, instead) = match word {
            "efi" => (Some("efi"), None),
            _ if word.eq_ignore_ascii_case("efi") => (Some("efi"), Some("taken for efi")),
            _ if word.eq_ignore_ascii_case("bios") => (Some("bios"), Some("shown as bios")),
            _ => (None, Some("ignored")),
        };
        if let Some(instead) = instead {
            let reason = format!("libvirt refuses the value '{word}'");
            r.bend(Error::internal("firmware", reason), instead)?;
        }
        domain.os.firmware = known.map(str::to_owned);
    }
    let secure_boot = r.boolean("uefi.secureBoot.enabled", false)?;
    if secure_boot && domain.os.firmware.as_deref() == Some("efi") {
        let feature = |name: &str| FirmwareFeature { enabled: true, name: name.to_owned() };
        domain.os.firmware_features = vec![feature("enrolled-keys"), feature("secure-boot")];
    }
    Ok(())
}
