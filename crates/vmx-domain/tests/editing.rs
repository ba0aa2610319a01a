//! Devices and keys that libvirt drops, kept; and domains written into the files they came from.

use esx_vmx::Document;
use esx_vmx_domain::{Context, Mode, merge_into, parse_domain, to_domain, to_vmx};
use virt_xml::domain::{Interface, InterfaceSource};
use virt_xml::{Domain, FormatOptions};

const FILE: &str = "\
config.version = \"8\"
virtualHW.version = \"19\"
displayName = \"vm\"
guestOS = \"ubuntu-64\"
scsi0.present = \"TRUE\"
scsi0:0.present = \"TRUE\"
scsi0:0.fileName = \"a.vmdk\"
scsi0:1.present = \"TRUE\"
scsi0:1.fileName = \"b.vmdk\"
scsi0:1.redo = \"\"
sched.scsi0:1.shares = \"normal\"
ethernet2.present = \"TRUE\"
ethernet2.networkName = \"LAN\"
ethernet2.wakeOnPcktRcv = \"FALSE\"
usb_xhci.present = \"TRUE\"
sound.present = \"TRUE\"
sound.virtualDev = \"hdaudio\"
pciPassthru3.present = \"TRUE\"
pciPassthru3.id = \"00000:129:00.1\"
vhv.enable = \"TRUE\"
mem.hotadd = \"TRUE\"
cpuid.1.ecx = \"----:--0-\"
guestinfo.hostname = \"a <b> & 'c'\"
";

fn domain(file: &str, context: &Context) -> Domain {
    to_domain(&Document::parse(file.as_bytes()).unwrap(), context).unwrap().domain
}

#[test]
fn devices_and_keys_survive_the_xml() {
    let context = Context { keep_keys: true, hardware_version: 19, ..Context::default() };
    let xml = domain(FILE, &context).to_xml(&FormatOptions::default());
    for expected in [
        "  <metadata>\n    <vmx:keys xmlns:vmx='urn:virtesx:vmx:1'>\n",
        "      <vmx:key name='guestinfo.hostname'>a &lt;b&gt; &amp; &apos;c&apos;</vmx:key>\n",
        "    <feature policy='require' name='vmx'/>\n",
        "    <controller type='usb' index='2' model='qemu-xhci'/>\n",
        "    <sound model='ich6'/>\n",
        "        <address domain='0x0000' bus='0x81' slot='0x00' function='0x1'/>\n",
    ] {
        assert!(xml.contains(expected), "{expected}\n{xml}");
    }
    let read = parse_domain(&xml, &context).unwrap();
    let written = to_vmx(&read, &context).unwrap().document;
    let table = [
        ("guestOS", "ubuntu-64"),
        ("usb_xhci.present", "TRUE"),
        ("sound.virtualDev", "hdaudio"),
        ("pciPassthru0.id", "00000:129:00.1"),
        ("vhv.enable", "TRUE"),
        ("mem.hotadd", "TRUE"),
        ("cpuid.1.ecx", "----:--0-"),
        ("guestinfo.hostname", "a <b> & 'c'"),
        ("scsi0:1.redo", ""),
    ];
    for (key, value) in table {
        assert_eq!(written.get(key), Some(value), "{key}");
    }
    assert_eq!(written.problems(), []);
}

#[test]
fn exact_mode_and_default_settings_keep_no_keys() {
    for context in
        [Context::default(), Context { mode: Mode::Exact, keep_keys: true, ..Context::default() }]
    {
        assert_eq!(domain(FILE, &context).metadata, None);
    }
    let exact = domain(FILE, &Context { mode: Mode::Exact, ..Context::default() });
    assert_eq!((exact.cpu, exact.devices.other), (None, vec![]));
}

#[test]
fn edits_touch_their_lines_only() {
    let context = Context { hardware_version: 19, ..Context::default() };
    let document = Document::parse(FILE.as_bytes()).unwrap();
    let merged = |edit: fn(&mut Domain)| {
        let mut domain = domain(FILE, &context);
        edit(&mut domain);
        let bytes = merge_into(&domain, &document, &context).unwrap().document.to_bytes();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(merged(|_| {}), FILE);

    let gone = merged(|d| drop(d.devices.disks.remove(1)));
    let expected: String =
        FILE.split_inclusive('\n').filter(|line| !line.contains("scsi0:1.")).collect();
    assert_eq!(gone, expected);

    let renamed = merged(|d| {
        let network = InterfaceSource { bridge: Some("DMZ".into()), ..Default::default() };
        d.devices.interfaces[0].source = Some(network);
    });
    assert_eq!(renamed, FILE.replace("LAN", "DMZ"));

    let silent = merged(|d| d.devices.other.retain(|e| e.name != "sound"));
    assert_eq!(silent.lines().count(), FILE.lines().count() - 2);

    let added = merged(|d| {
        let nat = Interface { kind: "user".into(), ..Default::default() };
        d.devices.interfaces.push(nat);
    });
    // The first number that is free; nothing else moves.
    assert!(added.contains("ethernet0.connectionType = \"nat\"\n"), "{added}");
    for line in FILE.lines() {
        assert!(added.contains(line), "{line}");
    }
}
