//! Small cases in both modes: the worked examples of `spec/vmx.md` 19, its acceptance cases, and what default
//! mode makes of files that libvirt refuses or loses parts of.

use esx_vmx::Document;
use esx_vmx_domain::{
    Context, Datastore, Mode, ScsiModel, needs_datastores, parse_domain, to_domain, to_vmx,
};
use proptest::prelude::*;
use virt_xml::FormatOptions;

fn context(mode: Mode) -> Context {
    let datastore = Datastore { name: "ds1".into(), mount_path: "/vmfs/volumes/ds1".into() };
    Context {
        mode,
        vmx_path: Some("[datastore] directory/a.vmx".into()),
        datastores: vec![datastore],
        hardware_version: 4,
        ..Context::default()
    }
}

fn vmx(lines: &str) -> Document {
    let head = "config.version = \"8\"\nvirtualHW.version = \"13\"\ndisplayName = \"a\"\n";
    Document::parse(format!("{head}{lines}").as_bytes()).unwrap()
}

/// The devices and the warnings, in default mode.
fn default_mode(lines: &str) -> String {
    let conversion = to_domain(&vmx(lines), &context(Mode::Default)).unwrap();
    let xml = conversion.domain.to_xml(&FormatOptions::default());
    let (_, rest) = xml.split_once("  <devices>\n").unwrap();
    let (devices, _) = rest.split_once("    <video>\n").unwrap();
    let warnings: String = conversion.warnings.iter().map(|w| format!("! {w}\n")).collect();
    format!("{devices}{warnings}")
}

#[test]
fn worked_example_from_vmx() {
    let file = include_bytes!("../testdata/worked.vmx");
    let mut context = context(Mode::Exact);
    context.datacenter_path = Some("Lab/DC1".into());
    context.moref = Some("vm-42".into());
    let conversion = to_domain(&Document::parse(file).unwrap(), &context).unwrap();
    let secure = FormatOptions { secure: true, ..FormatOptions::default() };
    insta::assert_snapshot!(conversion.domain.to_xml(&secure));
    assert!(!conversion.domain.to_xml(&FormatOptions::default()).contains("passwd"));
    assert!(!format!("{conversion:?}").contains("s&p"));
}

#[test]
fn worked_example_to_vmx() {
    let context = context(Mode::Exact);
    let domain = parse_domain(include_str!("../testdata/worked.xml"), &context).unwrap();
    let file = to_vmx(&domain, &context).unwrap().document.to_bytes();
    assert_eq!(String::from_utf8(file).unwrap(), include_str!("../testdata/worked.out.vmx"),);
}

#[test]
fn syntax_errors() {
    for text in ["\n\n", "a = 1", "config.version = \"8\" x", "\u{feff}config.version = \"8\""] {
        let document = Document::parse(text.as_bytes()).unwrap();
        let error = to_domain(&document, &context(Mode::Exact)).unwrap_err();
        assert_eq!((error.code.number(), error.domain.number()), (33, 9), "{text:?}");
    }
    let loose = "config.version = 8\nvirtualHW.version = \"13\nmemsize=64\n";
    let document = Document::parse(loose.as_bytes()).unwrap();
    let conversion = to_domain(&document, &context(Mode::Default)).unwrap();
    assert_eq!(conversion.domain.memory_kib, 65536);
    assert_eq!(conversion.warnings.len(), 3);
    let html = Document::parse(b"<html><body>404</body></html>").unwrap();
    assert!(to_domain(&html, &context(Mode::Default)).is_err());
}

#[test]
fn hosts_are_asked_only_if_need_be() {
    assert!(!needs_datastores(&vmx("scsi0:0.fileName = \"a/b.vmdk\"\nnvram = \"a.nvram\"\n")));
    assert!(needs_datastores(&vmx("ide1:0.fileName = \"/vmfs/volumes/x/y.iso\"\n")));
    assert!(needs_datastores(&vmx("nvram = \"D:\\\\VMs\\\\a.nvram\"\n")));
}

#[test]
fn sixty_four_bit_guests_need_long_mode() {
    let document = vmx("guestOS = \"x-64\"\n");
    let mut context = Context { long_mode: false, ..context(Mode::Exact) };
    let error = to_domain(&document, &context).unwrap_err();
    assert_eq!((error.code.number(), error.domain.number()), (8, 44));
    context.mode = Mode::Default;
    let conversion = to_domain(&document, &context).unwrap();
    assert_eq!(conversion.domain.os.arch.as_deref(), Some("x86_64"));
    assert_eq!(conversion.warnings.len(), 1);
}

#[test]
fn disks_that_libvirt_refuses_or_loses() {
    insta::assert_snapshot!(default_mode(
        "scsi0.present = \"TRUE\"\n\
         scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a.img\"\n\
         scsi0:1.present = \"TRUE\"\nscsi0:1.fileName = \"/vmfs/devices/disks/x\"\n\
         scsi0:1.deviceType = \"scsi-passthru\"\n\
         sata1.present = \"TRUE\"\n\
         sata1:9.present = \"TRUE\"\nsata1:9.fileName = \"b.vmdk\"\n\
         ide0:0.present = \"TRUE\"\nide0:0.fileName = \"c.vmdk\"\n\
         ide0:0.deviceType = \"cdrom-image\"\n\
         ide1:0.present = \"TRUE\"\nide1:0.clientDevice = \"TRUE\"\n\
         floppy0.present = \"TRUE\"\nfloppy0.clientDevice = \"TRUE\"\n",
    ));
}

#[test]
fn ports_and_adapters_that_libvirt_refuses_or_loses() {
    insta::assert_snapshot!(default_mode(
        "ethernet0.present = \"TRUE\"\nethernet0.connectionType = \"hostonly\"\n\
         ethernet0.virtualDev = \"sriov\"\nethernet0.checkMACAddress = \"True\"\n\
         ethernet7.present = \"TRUE\"\nethernet7.connectionType = \"bridged\"\n\
         ethernetfoo = \"x\"\n\
         serial0.present = \"TRUE\"\nserial0.fileType = \"network\"\n\
         serial0.fileName = \"telnet://:7001\"\n\
         serial1.present = \"TRUE\"\nserial1.fileType = \"thinprint\"\n\
         serial9.present = \"TRUE\"\nserial9.fileType = \"device\"\nserial9.fileName = \"/dev/x\"\n\
         parallel0.present = \"TRUE\"\n",
    ));
}

fn written(devices: &str, mode: Mode) -> Result<(String, usize), (i32, i32)> {
    let text = format!(
        "<domain type='vmware'><name>a</name><uuid>500a9988-7766-5544-3322-1100ffeeddcc</uuid>\
         <memory>4096</memory><os><type>hvm</type></os><devices>{devices}</devices></domain>",
    );
    let mut context = context(mode);
    context.scsi_models = vec![("[ds1] a.vmdk".into(), ScsiModel::VmPvScsi)];
    let file = parse_domain(&text, &context).and_then(|domain| to_vmx(&domain, &context));
    match file {
        Ok(file) => {
            let text = String::from_utf8(file.document.to_bytes()).unwrap();
            Ok((text, file.warnings.len()))
        }
        Err(error) => Err((error.code.number(), error.domain.number())),
    }
}

/// Of two faults libvirt tells the first that it comes upon; the order is measured (virsh 12.8).
#[test]
fn the_first_of_two_faults_is_told() {
    let os = |kind: &str, more: &str| format!("<os><type arch='x86_64'>{kind}</type>{more}</os>");
    let nvram = os("hvm", "<nvram type='file'><source file='/x'/></nvram>");
    let sata = |target: &str, controller: u32, unit: u32| {
        format!(
            "<disk type='file'><source file='[d] a.vmdk'/><target dev='{target}' bus='sata'/>\
             <address type='drive' controller='{controller}' bus='0' target='0' unit='{unit}'/></disk>"
        )
    };
    let listen = "listen='::'><listen type='address' address='192.0.2.7'/></graphics>";
    for (os, devices, code) in [
        (&nvram, "<serial type='udp'/>".to_owned(), 1),
        (&nvram, "<serial type='udp'><source mode='bind' service='1'/></serial>".to_owned(), 1),
        (
            &nvram,
            "<serial type='udp'><source mode='bind'/><source service='1'/></serial>".to_owned(),
            35,
        ),
        (&nvram, "<serial type='unix'/>".to_owned(), 1),
        (&nvram, "<serial type='pty'/>".to_owned(), 35),
        (
            &os("hvm", ""),
            "<interface type='bridge'><source/><model type='a b'/></interface>".to_owned(),
            8,
        ),
        (&os("hvm", ""), sata("sdav", 0, 47), 1),
        (&os("hvm", ""), sata("sdh", 1, 1), 67),
        (&os("xen", ""), format!("<graphics type='vnc' {listen}"), 67),
        (&os("xen", ""), format!("<graphics type='sdl' autoport='x' port='x' {listen}"), 8),
    ] {
        let text = format!(
            "<domain type='vmware'><name>x</name><memory>65536</memory>{os}<devices>{devices}</devices></domain>"
        );
        let context = context(Mode::Exact);
        let converted = parse_domain(&text, &context).and_then(|d| to_vmx(&d, &context));
        assert_eq!(converted.err().map(|e| e.code.number()), Some(code), "{devices}");
    }
}

#[test]
fn controller_models_are_detected() {
    let disks = |second: &str| {
        format!(
            "<disk><source file='[ds1] a.vmdk'/><target dev='sda'/></disk>{second}\
             <controller type='scsi' index='0' model='auto'/>",
        )
    };
    let (text, _) = written(&disks(""), Mode::Exact).unwrap();
    assert!(text.contains("scsi0.virtualDev = \"pvscsi\"\n"), "{text}");
    let unknown = disks("<disk><source file='[ds1] b.vmdk'/><target dev='sdb'/></disk>");
    assert_eq!(written(&unknown, Mode::Exact), Err((1, 0)));
    let (text, warnings) = written(&unknown, Mode::Default).unwrap();
    assert!(!text.contains("virtualDev"), "{text}");
    assert_eq!(warnings, 1);
}

#[test]
fn sata_and_nvme_go_both_ways_in_default_mode() {
    let lines = "sata1.present = \"TRUE\"\nsata1:9.present = \"TRUE\"\n\
                 sata1:9.fileName = \"/vmfs/volumes/ds1/a/b.vmdk\"\n\
                 nvme0.present = \"TRUE\"\nnvme0.pciSlotNumber = \"224\"\n\
                 nvme0:3.present = \"TRUE\"\nnvme0:3.fileName = \"/vmfs/volumes/ds1/c.vmdk\"\n";
    let context = context(Mode::Default);
    let domain = to_domain(&vmx(lines), &context).unwrap().domain;
    let xml = domain.to_xml(&FormatOptions::default());
    let again = parse_domain(&xml, &context).unwrap();
    let file = to_vmx(&again, &context).unwrap().document;
    for key in ["sata1:9.fileName", "nvme0:3.fileName", "nvme0.pciSlotNumber"] {
        assert_eq!(file.get(key), vmx(lines).get(key), "{key}");
    }
    assert_eq!(file.get("virtualHW.version"), Some("13"));
    let back = to_domain(&file, &context).unwrap().domain;
    assert_eq!(back.devices.disks, domain.devices.disks);
}

#[test]
fn values_that_break_a_line() {
    let folder = "<filesystem><source dir='a&quot;b'/><target dir='c&#10;d'/></filesystem>";
    let (exact, _) = written(folder, Mode::Exact).unwrap();
    assert!(exact.contains("hostPath = \"a\"b\"\n") && exact.contains("guestName = \"c\nd\"\n"));
    let (text, warnings) = written(folder, Mode::Default).unwrap();
    assert!(text.contains("hostPath = \"a|22b\"\n") && text.contains("guestName = \"c|0Ad\"\n"));
    assert_eq!(warnings, 2);
    assert_eq!(Document::parse(text.as_bytes()).unwrap().syntax_error(), None);
}

#[test]
fn what_is_missing_is_made_from_the_seed() {
    let text = "<domain type='vmware'><name>a</name><memory>4096</memory>\
                <os><type>hvm</type></os>\
                <devices><interface type='user'/><interface type='user'/></devices></domain>";
    let keys = ["uuid.bios", "ethernet0.generatedAddress", "ethernet1.generatedAddress"];
    let values = |seed| {
        let context = Context { seed, ..context(Mode::Exact) };
        let domain = parse_domain(text, &context).unwrap();
        let file = to_vmx(&domain, &context).unwrap().document;
        keys.map(|key| file.get(key).unwrap().to_owned())
    };
    assert_eq!(values(1), values(1));
    assert!(values(1).iter().all(|value| !values(2).contains(value)));
    assert!(values(1)[1].starts_with("00:0c:29:") && values(1)[1] != values(1)[2]);
}

/// Lines of keys the conversion reads, with values that some of them take.
fn lines() -> impl Strategy<Value = String> {
    let keys = [
        "memsize",
        "numvcpus",
        "cpuid.coresPerSocket",
        "sched.cpu.affinity",
        "sched.cpu.shares",
        "scsi0.present",
        "scsi0:0.present",
        "scsi0:0.fileName",
        "scsi0:0.deviceType",
        "sata3.present",
        "sata3:29.present",
        "sata3:29.fileName",
        "nvme0.present",
        "nvme0:1.present",
        "nvme0:1.fileName",
        "ide0:0.present",
        "ide0:0.fileName",
        "ide0:0.deviceType",
        "floppy0.present",
        "floppy0.fileType",
        "floppy0.fileName",
        "ethernet0.present",
        "ethernet99.present",
        "ethernet0.connectionType",
        "ethernet0.networkName",
        "ethernet0.virtualDev",
        "ethernet0.pciSlotNumber",
        "ethernet4000000000.x",
        "sharedFolder.maxNum",
        "isolation.tools.hgfs.disable",
        "sharedFolder0.present",
        "sharedFolder0.enabled",
        "serial0.present",
        "serial0.fileType",
        "serial0.fileName",
        "parallel0.present",
        "parallel0.fileType",
        "parallel0.fileName",
        "firmware",
        "nvram",
        "vtpm.present",
        "svga.vramSize",
        "uuid.bios",
        "vc.uuid",
        "vm.genid",
        "annotation",
        "displayName",
        "guestOS",
        "RemoteDisplay.vnc.enabled",
        "RemoteDisplay.vnc.port",
        ".encoding",
    ];
    let values = [
        "TRUE",
        "FALSE",
        "",
        "0",
        "1",
        "4",
        "64",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "a.vmdk",
        "a.iso",
        "/vmfs/volumes/x/a.vmdk",
        "D:\\a.vmdk",
        "emptyBackingString",
        "auto detect",
        "atapi-cdrom",
        "cdrom-raw",
        "cdrom-image",
        "device",
        "file",
        "network",
        "tcp://h:1",
        "telnet://:2",
        "tcp://[::1]:3",
        "all",
        "0,1,2,3",
        "high",
        "efi",
        "bios",
        "custom",
        "nat",
        "vmxnet3",
        "50%",
        "a|",
        "é",
        "4294967295",
        "2147483648",
        "42 0a 11 2b 3c 4d 5e 6f-70 81 92 a3 b4 c5 d6 e7",
        "other-64",
    ];
    let line = (prop::sample::select(keys.to_vec()), prop::sample::select(values.to_vec()))
        .prop_map(|(key, value)| format!("{key} = \"{value}\"\n"));
    prop::collection::vec(line, 0..40).prop_map(|lines| lines.concat())
}

proptest! {
    /// Default mode converts whatever is a machine, agrees with exact mode unless it says otherwise, and
    /// writes a VMX file from it or says why not; nothing panics.
    #[test]
    fn default_mode_goes_on(lines in lines()) {
        let head = "config.version = \"8\"\nvirtualHW.version = \"14\"\n";
        let Ok(document) = Document::parse(format!("{head}{lines}").as_bytes()) else {
            return Ok(());
        };
        let options = FormatOptions { secure: true, ..FormatOptions::default() };
        let default = to_domain(&document, &context(Mode::Default)).unwrap();
        if default.warnings.is_empty() {
            let exact = to_domain(&document, &context(Mode::Exact)).unwrap();
            prop_assert_eq!(exact.domain.to_xml(&options), default.domain.to_xml(&options));
        }
        for mode in [Mode::Default, Mode::Exact] {
            if let Ok(conversion) = to_domain(&document, &context(mode))
                && let Ok(file) = to_vmx(&conversion.domain, &context(mode))
                && mode == Mode::Default
            {
                prop_assert_eq!(file.document.syntax_error(), None);
            }
        }
    }

    #[test]
    fn any_bytes_convert_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(document) = Document::parse(&bytes) {
            for mode in [Mode::Default, Mode::Exact] {
                let _ = to_domain(&document, &context(mode));
            }
        }
    }
}
