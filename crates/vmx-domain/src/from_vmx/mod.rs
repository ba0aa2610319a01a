//! VMX to domain, in libvirt's order of evaluation (`spec/vmx.md` 3 to 8, `spec/libvirt-12-deltas.md` 2 to 9).

mod chardev;
mod disks;
pub(crate) mod extras;
mod network;
mod reader;
mod scalars;
mod uri;

use std::collections::BTreeSet;

use esx_vmx::Document;
use virt_xml::Domain;
use virt_xml::domain::{
    CharDevice, Clock, Filesystem, Graphics, Listen, Secret, Tpm, TpmBackend, Video, VideoModel,
    VmwareData,
};

use crate::bend::Bend as _;
use crate::context::Context;
use crate::error::{Code, Error, ErrorDomain, Warning};
use crate::files::Missing;
use crate::keep;
use reader::Reader;

/// A domain made from a VMX file.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// The domain, passwords included; [`Domain::to_xml`] writes them only if told so.
    pub domain: Domain,
    /// What was bent on the way; none in exact mode.
    pub warnings: Vec<Warning>,
}

/// Converts a VMX file to a domain (`virVMXParseConfig` and what libvirt's domain code adds to it).
///
/// # Errors
/// In exact mode whatever libvirt refuses, with its error code; in default mode a file that has neither
/// `config.version` nor `virtualHW.version`, which is no virtual machine.
pub fn to_domain(document: &Document, context: &Context) -> Result<Conversion, Error> {
    let keys = document.devices();
    let mut reader = Reader::new(document, &keys, context);
    let r = &mut reader;
    syntax(r)?;
    let adapters = adapter_numbers(r)?;

    let mut domain = Domain { kind: "vmware".to_owned(), ..Domain::default() };
    let hardware = scalars::hardware_version(r)?;
    scalars::identity(r, &mut domain)?;
    scalars::memory(r, &mut domain)?;
    scalars::cpus(r, &mut domain)?;
    scalars::guest(r, &mut domain)?;
    if let Some(graphics) = graphics(r)? {
        domain.devices.graphics.push(graphics);
    }
    disks::read(r, hardware, &mut domain.devices)?;
    domain.devices.filesystems = shared_folders(r)?;
    for number in adapters {
        if let Some(interface) = network::adapter(r, number)? {
            domain.devices.interfaces.push(interface);
        }
    }
    domain.devices.videos.push(video(r)?);
    if r.boolean("vtpm.present", false)? {
        domain.devices.tpms.push(tpm());
    }
    domain.devices.serials = chardev::serials(r)?;
    domain.devices.parallels = chardev::parallels(r)?;
    scalars::firmware(r, &mut domain)?;
    if let Some(name) = r.get("nvram") {
        let path = r.source(|| "nvram".to_owned(), name, Missing::Fail)?;
        domain.os.nvram =
            path.map(|path| virt_xml::domain::Nvram { path: Some(path), ..Default::default() });
    }

    extras::read(r, &mut domain)?;
    // What libvirt adds to every domain.
    domain.devices.consoles = domain.devices.serials.first().map(console).into_iter().collect();
    domain.clock = Some(Clock { offset: "utc".to_owned(), other: Vec::new() });
    domain.on_poweroff = Some("destroy".to_owned());
    domain.on_reboot = Some("restart".to_owned());
    domain.on_crash = Some("destroy".to_owned());
    if domain.os.arch.as_deref() == Some("x86_64") && !context.long_mode {
        let reason = "the host runs no 64-bit guests";
        let error =
            Error::new(Code::InvalidArg, "guestOS", reason).in_domain(ErrorDomain::Capabilities);
        r.bend(error, "shown all the same")?;
    }
    domain.id = context.domain_id;
    domain.vmware = VmwareData {
        datacenter_path: context.datacenter_path.clone(),
        moref: context.moref.clone(),
    };
    if context.keep_keys && !context.exact() {
        domain.metadata = keep::element(document, &domain, context);
    }
    Ok(Conversion { domain, warnings: reader.warnings })
}

fn syntax(r: &mut Reader<'_>) -> Result<(), Error> {
    let document = r.document;
    for problem in document.syntax_errors() {
        let location = format!("line {}", problem.line);
        let error = Error::new(Code::ConfSyntax, location, problem.kind);
        r.bend(error.in_domain(ErrorDomain::Conf), "read as well as possible")?;
    }
    Ok(())
}

/// The numbers in keys `ethernetN.…`. libvirt refuses a file with an `ethernet` key of another form.
fn adapter_numbers(r: &mut Reader<'_>) -> Result<BTreeSet<u32>, Error> {
    let mut numbers = BTreeSet::new();
    for key in r.devices().map(|device| device.prefix()) {
        let Some((head, rest)) = key.split_at_checked("ethernet".len()) else { continue };
        if !head.eq_ignore_ascii_case("ethernet") {
            continue;
        }
        let number = rest.split_once('.').and_then(|(number, _)| number.parse::<i32>().ok());
        match number.and_then(|n| u32::try_from(n).ok()) {
            Some(number) => {
                numbers.insert(number);
            }
            None => {
                let error = Error::internal(key, "not the number of an adapter and a dot");
                r.bend(error, "ignored")?;
            }
        }
    }
    Ok(numbers)
}

fn graphics(r: &mut Reader<'_>) -> Result<Option<Graphics>, Error> {
    if !r.boolean("RemoteDisplay.vnc.enabled", false)? {
        return Ok(None);
    }
    let port = r.integer("RemoteDisplay.vnc.port", -1)?;
    let owned = |key: &str| r.get(key).map(str::to_owned);
    let listen = owned("RemoteDisplay.vnc.ip");
    let password = owned("RemoteDisplay.vnc.password");
    let auto = port < 0;
    Ok(Some(Graphics {
        kind: "vnc".to_owned(),
        // libvirt keeps the port in 32 bits.
        port: if auto { Some(-1) } else { Some(port as i32).filter(|&p| p != 0) },
        autoport: Some(auto),
        listen: listen.clone(),
        keymap: owned("RemoteDisplay.vnc.keymap"),
        password: password.map(Secret::new),
        listens: vec![Listen { kind: "address".to_owned(), address: listen, ..Listen::default() }],
        ..Graphics::default()
    }))
}

fn shared_folders(r: &mut Reader<'_>) -> Result<Vec<Filesystem>, Error> {
    let mut folders = Vec::new();
    if r.boolean("isolation.tools.hgfs.disable", true)? {
        return Ok(folders);
    }
    let count = r.integer("sharedFolder.maxNum", 0)?;
    // A folder without a key is not there: only the numbers in the file are looked at, not all up to
    // a count that may be any number.
    let numbers: BTreeSet<i64> = r.numbers("sharedFolder");
    for number in numbers.into_iter().filter(|&n| n < count) {
        let prefix = format!("sharedFolder{number}.");
        let group = r.group(&prefix);
        let present = r.flag(group, "present", false)?;
        let enabled = r.flag(group, "enabled", false)?;
        if !present || !enabled {
            continue;
        }
        let Some(source_dir) = r.essential(group, "hostPath")? else { continue };
        let Some(target_dir) = r.essential(group, "guestName")? else { continue };
        let writable = r.flag(group, "writeAccess", false)?;
        folders.push(Filesystem {
            kind: "mount".to_owned(),
            access_mode: Some("passthrough".to_owned()),
            source_dir: Some(source_dir),
            target_dir: Some(target_dir),
            readonly: !writable,
            other: Vec::new(),
        });
    }
    Ok(folders)
}

fn video(r: &mut Reader<'_>) -> Result<Video, Error> {
    let bytes = r.integer("svga.vramSize", 4 * 1024 * 1024)?;
    // libvirt keeps KiB in 32 bits, takes none for 4096, and rounds up to a power of two.
    let kib = match bytes {
        1.. => ((bytes - 1) / 1024 + 1) as u32,
        _ => 0,
    };
    let kib = if kib == 0 { 4096 } else { kib.checked_next_power_of_two().unwrap_or(0) };
    let model = VideoModel {
        kind: Some("vmvga".to_owned()),
        vram_kib: Some(kib),
        primary: true,
        ..VideoModel::default()
    };
    Ok(Video { model: Some(model), other: Vec::new() })
}

fn tpm() -> Tpm {
    let backend =
        TpmBackend { kind: "emulator".to_owned(), version: Some("2.0".to_owned()), other: vec![] };
    Tpm { model: Some("tpm-crb".to_owned()), backend: Some(backend), other: Vec::new() }
}

/// The console that libvirt shows for the first serial port.
fn console(serial: &CharDevice) -> CharDevice {
    let other = Vec::new();
    CharDevice { target_type: Some("serial".to_owned()), other, ..serial.clone() }
}
