//! Domain to VMX, in libvirt's order (`spec/vmx.md` 10 to 12, `spec/libvirt-12-deltas.md` 10).

mod chardev;
mod check;
mod disks;
mod extras;
mod network;
mod normal;
mod writer;

use esx_vmx::Document;
use virt_xml::domain::{Domain, Graphics};
use virt_xml::{CpuSet, Uuid};

use crate::bend::Bend as _;
use crate::context::Context;
use crate::error::{Error, Warning};
use crate::keep;
pub use normal::needs_scsi_models;
use writer::Writer;

/// From it on a file gets VMCI and, with SCSI, PCI bridges.
const BRIDGED_HARDWARE: u32 = 7;
/// The first hardware version with a TPM.
const TPM_HARDWARE: u32 = 14;

/// A VMX file made from a domain.
#[derive(Clone, Debug)]
pub struct VmxConversion {
    /// The file. In exact mode its bytes are libvirt's, which may be no valid VMX.
    pub document: Document,
    /// What was bent on the way; none in exact mode.
    pub warnings: Vec<Warning>,
}

/// Reads a domain document for [`to_vmx`]: in exact mode as strictly as libvirt does.
///
/// # Errors
/// The text is no domain document, or has a value that libvirt refuses as well.
pub fn parse_domain(text: &str, context: &Context) -> Result<Domain, Error> {
    let domain = if context.exact() { Domain::parse_strict(text) } else { Domain::parse(text) };
    Ok(domain?)
}

/// Converts a domain to a VMX file (`virVMXFormatConfig` and the checks before it).
///
/// # Errors
/// In exact mode whatever libvirt refuses, with its error code; in default mode what VMware cannot run or
/// a VMX file cannot say.
pub fn to_vmx(domain: &Domain, context: &Context) -> Result<VmxConversion, Error> {
    check::domain(domain, context)?;
    let domain = &normal::normalised(domain, context)?;
    let mut writer = Writer::new(context, hardware_version(domain, context));
    let w = &mut writer;
    header(w, domain)?;
    identity(w, domain)?;
    memory(w, domain);
    cpus(w, domain)?;
    for (i, graphics) in domain.devices.graphics.iter().enumerate() {
        vnc(w, i, graphics)?;
    }
    let scsi = disks::write(w, &domain.devices)?;
    shared_folders(w, domain)?;
    network::write(w, &domain.devices.interfaces)?;
    tpm(w, domain)?;
    video(w, domain)?;
    chardev::serials(w, &domain.devices.serials)?;
    chardev::parallels(w, &domain.devices.parallels)?;
    firmware(w, domain)?;
    trailer(w, scsi);
    extras::write(w, domain);
    let mut conversion = writer.finish()?;
    if !context.exact() {
        keep::restore(domain, &mut conversion.document, &mut conversion.warnings);
    }
    Ok(conversion)
}

/// The hardware version to write: the host's, or in default mode one that has what the domain needs.
fn hardware_version(domain: &Domain, context: &Context) -> u32 {
    let version = context.hardware_version;
    if context.exact() {
        return version;
    }
    // The one the file had, if it tells and nobody asks for another.
    let kept = keep::kept_value(domain, keep::HARDWARE_VERSION).and_then(|text| text.parse().ok());
    let version = kept.filter(|&kept| kept <= context.newest_kept_hardware).unwrap_or(version);
    let on = |bus: &str| domain.devices.disks.iter().any(|d| d.bus.as_deref() == Some(bus));
    let wide = domain.devices.disks.iter().any(|d| {
        let unit = disks::drive_address(d).map_or(0, |(_, _, unit)| unit);
        d.bus.as_deref() == Some("scsi") && unit > 15
    });
    let needs = [
        (on("sata"), 10),
        (on("nvme") || wide, 13),
        (!domain.devices.tpms.is_empty(), TPM_HARDWARE),
    ];
    needs.iter().filter(|(needed, _)| *needed).fold(version, |v, (_, min)| v.max(*min))
}

fn header(w: &mut Writer<'_>, domain: &Domain) -> Result<(), Error> {
    w.line(".encoding", "UTF-8");
    w.line("config.version", 8);
    let hardware = w.hardware;
    w.line("virtualHW.version", hardware);
    if hardware != w.context.hardware_version
        && keep::kept_value(domain, keep::HARDWARE_VERSION).is_none()
    {
        let reason = format!(
            "hardware version {hardware} instead of {}, for the sake of its devices",
            w.context.hardware_version
        );
        w.warn("virtualHW.version", reason);
    }
    match domain.os.arch.as_deref() {
        None | Some("i686") => w.line("guestOS", "other"),
        Some("x86_64") => w.line("guestOS", "other-64"),
        Some(arch) => {
            let reason = format!("architecture '{arch}' is not supported");
            return Err(Error::internal("/domain/os/type/@arch", reason));
        }
    }
    match domain.os.smbios_mode.as_deref() {
        Some("host") => w.line("smbios.reflecthost", true),
        Some("sysinfo") => {
            let reason = "a VMX file cannot set SMBIOS texts";
            w.bend(Error::unsupported("/domain/os/smbios/@mode", reason), "ignored")?;
        }
        _ => {}
    }
    Ok(())
}

/// A UUID in the form of VMX files.
fn vmx_uuid(uuid: Uuid) -> String {
    let bytes = uuid.as_bytes().map(|b| format!("{b:02x}"));
    format!("{}-{}", bytes[..8].join(" "), bytes[8..].join(" "))
}

fn identity(w: &mut Writer<'_>, domain: &Domain) -> Result<(), Error> {
    let uuid = domain.uuid.unwrap_or_default();
    match domain.hwuuid.filter(|hw| !w.exact() && !hw.is_nil() && *hw != uuid) {
        Some(hardware) => {
            w.line("uuid.bios", vmx_uuid(hardware));
            w.line("vc.uuid", vmx_uuid(uuid));
            w.warn(
                "/domain/hwuuid",
                "written to uuid.bios, and the uuid to vc.uuid; libvirt drops it",
            );
        }
        None if uuid.is_nil() => w.line("uuid.action", "create"),
        None => w.line("uuid.bios", vmx_uuid(uuid)),
    }
    // libvirt does not read a domain without a name.
    let name = domain.name.as_deref().unwrap_or_default();
    w.line("displayName", esx_escape::percent_pipe::escape(name));
    if let Some(genid) = domain.genid.filter(|g| !w.exact() && !g.is_nil()) {
        let (high, low) = genid.as_u64_pair();
        // Two's complement, both of them.
        w.line("vm.genid", high as i64);
        w.line("vm.genidX", low as i64);
        w.warn("/domain/genid", "written, which libvirt does not");
    }
    if let Some(description) = &domain.description {
        w.line("annotation", esx_escape::pipe::escape(description));
    }
    Ok(())
}

fn memory(w: &mut Writer<'_>, domain: &Domain) {
    // VMware wants multiples of 4 MiB.
    let total_mib = domain.memory_kib.div_ceil(4096) * 4;
    w.line("memsize", total_mib);
    let current = domain.current_memory_kib.filter(|&c| c != 0 && c <= domain.memory_kib);
    let current_kib = current.unwrap_or(domain.memory_kib);
    if current_kib < total_mib.saturating_mul(1024) {
        w.line("sched.mem.max", current_kib.div_ceil(1024));
    }
    if let Some(guarantee) = domain.min_guarantee_kib.filter(|&g| g > 0) {
        w.line("sched.mem.minsize", guarantee.div_ceil(1024));
    }
}

fn cpus(w: &mut Writer<'_>, domain: &Domain) -> Result<(), Error> {
    let vcpu = &domain.vcpu;
    let mut count = u64::from(vcpu.count);
    let plugged = vcpu.current.filter(|&current| current != vcpu.count && current != 0);
    if let Some(current) = plugged {
        let reason = "libvirt writes no CPUs that are not plugged in";
        let instead = "they can be added, up to what the host allows; the maximum is left out";
        w.bend(Error::unsupported("/domain/vcpu/@current", reason), instead)?;
        count = u64::from(current);
    }
    w.line("numvcpus", count);
    if plugged.is_some() {
        w.line("vcpu.hotadd", "TRUE");
    }
    topology(w, domain, count)?;
    if let Some(CpuSet(cpus)) = &vcpu.cpuset {
        let list: Vec<String> = cpus.iter().map(u32::to_string).collect();
        if (list.len() as u64) < count {
            let reason = format!("fewer host CPUs than the domain's {count}");
            let error = Error::internal("/domain/vcpu/@cpuset", reason);
            w.bend(error, "ignored")?;
        } else {
            w.line("sched.cpu.affinity", list.join(","));
        }
    }
    if let Some(shares) = domain.shares {
        match () {
            () if shares == count * 500 => w.line("sched.cpu.shares", "low"),
            () if shares == count * 1000 => w.line("sched.cpu.shares", "normal"),
            () if shares == count * 2000 => w.line("sched.cpu.shares", "high"),
            () => w.line("sched.cpu.shares", shares),
        }
    }
    Ok(())
}

fn topology(w: &mut Writer<'_>, domain: &Domain, count: u64) -> Result<(), Error> {
    let Some(cpu) = &domain.cpu else { return Ok(()) };
    let at = "/domain/cpu";
    if cpu.mode.as_deref().is_some_and(|mode| mode != "custom") {
        w.bend(Error::internal(at, "the mode must be custom"), "the CPU is the host's")?;
    }
    // Features alone are no topology gone wrong.
    if cpu.topology.is_none() && !cpu.other.is_empty() && !w.exact() {
        return Ok(());
    }
    let Some(t) = &cpu.topology else {
        return w.bend(Error::unsupported(at, "the topology is missing"), "ignored");
    };
    let product = u64::from(t.sockets) * u64::from(t.cores);
    let error = match () {
        () if t.threads != 1 => Error::unsupported(at, "a core has one thread"),
        () if t.dies != 1 => Error::unsupported(at, "a socket has one die"),
        () if t.clusters != 1 => Error::unsupported(at, "a die has one cluster"),
        () if product != count && (w.exact() || product != u64::from(domain.vcpu.count)) => {
            Error::internal(at, format!("the topology does not make {count} CPUs"))
        }
        // Of the CPUs that are plugged in.
        () if count.checked_rem(u64::from(t.cores)) != Some(0) => {
            Error::internal(at, format!("{count} CPUs make no whole sockets"))
        }
        () => {
            w.line("cpuid.coresPerSocket", t.cores);
            return Ok(());
        }
    };
    w.bend(error, "the topology is ignored")
}

fn vnc(w: &mut Writer<'_>, number: usize, graphics: &Graphics) -> Result<(), Error> {
    let at = format!("/domain/devices/graphics[{}]", number + 1);
    if graphics.kind != "vnc" {
        let reason = format!("graphics of type '{}' are not supported", graphics.kind);
        return w.bend(Error::unsupported(at, reason), "left out");
    }
    if number > 0 && !w.exact() {
        w.warn(at, "there can be one VNC server only; left out");
        return Ok(());
    }
    w.line("RemoteDisplay.vnc.enabled", true);
    let auto = match graphics.autoport {
        Some(auto) => auto,
        None => matches!(graphics.port, None | Some(0 | -1)),
    };
    match graphics.port.unwrap_or(0) {
        _ if auto => {}
        // Fixed, but no port: libvirt writes one that VMware cannot use.
        0 | -1 if !w.exact() => w.warn(at, "a port that is fixed but not given is left out"),
        port => w.line("RemoteDisplay.vnc.port", port),
    }
    let address = match graphics.listens.first() {
        Some(listen) => listen.address.as_ref().filter(|_| listen.kind == "address"),
        None => graphics.listen.as_ref(),
    };
    if let Some(address) = address {
        w.line("RemoteDisplay.vnc.ip", address);
    }
    if let Some(keymap) = &graphics.keymap {
        w.line("RemoteDisplay.vnc.keymap", keymap);
    }
    if let Some(password) = &graphics.password {
        w.line("RemoteDisplay.vnc.password", password.expose());
    }
    Ok(())
}

fn shared_folders(w: &mut Writer<'_>, domain: &Domain) -> Result<(), Error> {
    let folders = &domain.devices.filesystems;
    if folders.is_empty() {
        return Ok(());
    }
    w.line("isolation.tools.hgfs.disable", false);
    w.line("sharedFolder.maxNum", folders.len());
    for (number, folder) in folders.iter().enumerate() {
        if folder.kind != "mount" {
            let at = format!("/domain/devices/filesystem[{}]", number + 1);
            let reason = format!("a shared folder cannot be of type '{}'", folder.kind);
            w.bend(Error::unsupported(at, reason), "left out")?;
            continue;
        }
        let key = |name: &str| format!("sharedFolder{number}.{name}");
        w.line(&key("present"), true);
        w.line(&key("enabled"), true);
        w.line(&key("readAccess"), true);
        w.line(&key("writeAccess"), !folder.readonly);
        w.line(&key("hostPath"), folder.source_dir.as_deref().unwrap_or_default());
        w.line(&key("guestName"), folder.target_dir.as_deref().unwrap_or_default());
    }
    Ok(())
}

fn tpm(w: &mut Writer<'_>, domain: &Domain) -> Result<(), Error> {
    let Some(tpm) = domain.devices.tpms.first() else { return Ok(()) };
    let at = "/domain/devices/tpm";
    if domain.devices.tpms.len() > 1 {
        w.bend(Error::unsupported(at, "there can be one TPM only"), "the first one counts")?;
    }
    if w.hardware < TPM_HARDWARE {
        let reason = format!("a TPM needs hardware version {TPM_HARDWARE}");
        return Err(Error::unsupported(at, reason));
    }
    if domain.os.firmware.as_deref() != Some("efi") {
        w.bend(Error::unsupported(at, "a TPM needs EFI firmware"), "written all the same")?;
    }
    let backend = tpm.backend.as_ref();
    let version = backend.and_then(|b| b.version.as_deref());
    if tpm.model.as_deref() != Some("tpm-crb")
        || backend.is_none_or(|b| b.kind != "emulator")
        || version != Some("2.0")
    {
        let reason = "only an emulated TPM 2.0 of model tpm-crb is supported";
        w.bend(Error::unsupported(at, reason), "written as one")?;
    }
    w.line("vtpm.present", "TRUE");
    Ok(())
}

fn video(w: &mut Writer<'_>, domain: &Domain) -> Result<(), Error> {
    let at = "/domain/devices/video";
    let videos = &domain.devices.videos;
    let Some(video) = videos.first() else { return Ok(()) };
    if videos.len() > 1 {
        w.bend(Error::internal(at, "there can be one video device only"), "the first one counts")?;
    }
    let model = video.model.clone().unwrap_or_default();
    let kind = model.kind.as_deref().unwrap_or("vmvga");
    if kind != "vmvga" {
        let error = Error::unsupported(at, format!("video of type '{kind}' is not supported"));
        w.bend(error, "written as vmvga")?;
    }
    if model.heads.is_some_and(|heads| heads > 1) {
        let error = Error::unsupported(at, "libvirt does not write more than one head");
        w.bend(error, "one head is written")?;
    }
    let vram = u64::from(model.vram_kib.unwrap_or(4096));
    w.line("svga.vramSize", vram.div_ceil(64) * 64 * 1024);
    Ok(())
}

fn firmware(w: &mut Writer<'_>, domain: &Domain) -> Result<(), Error> {
    let efi = domain.os.firmware.as_deref() == Some("efi");
    if efi {
        w.line("firmware", "efi");
    } else if domain.os.firmware.as_deref() == Some("bios") && !w.exact() {
        w.line("firmware", "bios");
        w.warn("/domain/os/@firmware", "written, which libvirt does not");
    }
    let secure = domain.os.firmware_features.iter().any(|f| f.name == "secure-boot" && f.enabled);
    if efi && secure && !w.exact() {
        w.line("uefi.secureBoot.enabled", "TRUE");
        w.warn("/domain/os/firmware", "secure boot is written, which libvirt does not");
    }
    if let Some(path) = domain.os.nvram.as_ref().and_then(|nvram| nvram.path.as_deref()) {
        let at = "/domain/os/nvram";
        match w.file_name(at, path) {
            Ok(name) => {
                w.line("nvram", name);
                if !efi && !w.exact() && domain.os.loader.is_none() {
                    w.warn(at, "written without EFI firmware, which libvirt refuses to");
                }
            }
            // libvirt says nothing.
            Err(_) if w.exact() => {}
            Err(error) => {
                w.warn(at, format!("{}; left out", error.reason));
            }
        }
    }
    Ok(())
}

fn trailer(w: &mut Writer<'_>, scsi: bool) {
    if w.hardware < BRIDGED_HARDWARE {
        return;
    }
    if scsi {
        w.line("pciBridge0.present", true);
        for bridge in 4..8 {
            w.line(&format!("pciBridge{bridge}.present"), true);
            w.line(&format!("pciBridge{bridge}.virtualDev"), "pcieRootPort");
            w.line(&format!("pciBridge{bridge}.functions"), 8);
        }
    }
    w.line("vmci0.present", true);
}
