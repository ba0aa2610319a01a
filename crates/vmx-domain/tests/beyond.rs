//! What libvirt drops or breaks, in both directions: one test for each kind of thing.

use esx_vmx::Document;
use esx_vmx_domain::{Context, Mode, merge_into, parse_domain, to_domain, to_vmx};
use virt_xml::{Domain, FormatOptions};

const HARDWARE: u32 = 19;

fn context() -> Context {
    Context { hardware_version: HARDWARE, ..Context::default() }
}

fn document(lines: &str) -> Document {
    let head = "config.version = \"8\"\nvirtualHW.version = \"19\"\ndisplayName = \"a\"\n\
                guestOS = \"other-64\"\nmemsize = \"1024\"\n";
    Document::parse(format!("{head}{lines}").as_bytes()).unwrap()
}

fn xml(domain: &Domain) -> String {
    domain.to_xml(&FormatOptions::default())
}

/// Converts to text and back. The text has `shown`, which exact mode has not; the file has the keys of `lines` again with
/// their values; it converts alike once more; and looking at the domain changes no byte of the file.
fn goes_both_ways(lines: &str, shown: &[&str]) {
    let file = document(lines);
    let domain = to_domain(&file, &context()).unwrap().domain;
    let text = xml(&domain);
    let exact = to_domain(&file, &Context { mode: Mode::Exact, ..context() });
    let exact = exact.map(|c| xml(&c.domain)).unwrap_or_default();
    for part in shown {
        assert!(text.contains(part), "{part}\n{text}");
        assert!(!exact.contains(part), "libvirt has it as well: {part}");
    }
    let read = parse_domain(&text, &context()).unwrap();
    let written = to_vmx(&read, &context()).unwrap().document;
    for line in document(lines).entries().skip(5) {
        let value = written.get(line.key);
        assert!(
            value.is_some_and(|v| v.eq_ignore_ascii_case(line.value)),
            "{} is {value:?}, not {}\n{text}",
            line.key,
            line.value
        );
    }
    let again = to_domain(&written, &context()).unwrap().domain;
    assert_eq!(xml(&again), text);
    let merged = merge_into(&read, &file, &context()).unwrap().document;
    assert_eq!(merged.to_bytes(), file.to_bytes());
}

/// A port behind a concentrator: libvirt drops the proxy, and the port as well if the service is no URI.
#[test]
fn proxied_serial_ports() {
    let port = |number: u32, service: &str, end: &str, proxy: &str| {
        format!(
            "serial{number}.present = \"TRUE\"\nserial{number}.fileType = \"network\"\n\
             serial{number}.fileName = \"{service}\"\nserial{number}.network.endPoint = \"{end}\"\n\
             serial{number}.vspc = \"{proxy}\"\nserial{number}.yieldOnMsrRead = \"TRUE\"\n"
        )
    };
    let thumbprint = ["AB"; 20].join(":");
    let secure = format!("telnets://vspc.example:13370#thumbprint={thumbprint}");
    goes_both_ways(
        &port(0, "virtesx?port=0&key=1", "server", &secure),
        &["service='virtesx?port=0&amp;key=1' direction='server'", &format!("proxy='{secure}'")],
    );
    let token = "t".repeat(200);
    let several = port(1, "telnet://192.0.2.1:23", "client", "telnet://[2001:db8::1]:13370")
        + &port(2, &token, "server", "telnet://192.0.2.9:1 #verify&cipherList=A:B");
    goes_both_ways(
        &several,
        &[
            "service='telnet://192.0.2.1:23' direction='client' proxy='telnet://[2001:db8::1]:13370'",
            &format!("service='{token}'"),
            "proxy='telnet://192.0.2.9:1 #verify&amp;cipherList=A:B'",
        ],
    );
    // What libvirt shows of it is shown as well, and without a direction it is the server.
    let lines = "serial0.present = \"TRUE\"\nserial0.fileType = \"network\"\n\
                 serial0.fileName = \"telnet://192.0.2.1:23\"\nserial0.vspc = \"telnet://h:1\"\n";
    let domain = to_domain(&document(lines), &context()).unwrap().domain;
    let text = xml(&domain);
    let (serial, console) = text.split_once("<console").unwrap();
    assert!(serial.contains("<source mode='bind' host='192.0.2.1' service='23'/>"), "{text}");
    assert!(serial.contains("direction='server' proxy='telnet://h:1'"), "{text}");
    assert!(!console.contains("vmware:backing"), "{text}");
    // A proxy that is empty is none.
    let none = lines.replace("telnet://h:1", "");
    assert!(!xml(&to_domain(&document(&none), &context()).unwrap().domain).contains("backing"));
}

#[test]
fn nvme_disks() {
    // libvirt reads them, and refuses to write them.
    let lines = "nvme1.present = \"TRUE\"\nnvme1.pciSlotNumber = \"224\"\nnvme1:14.present = \"TRUE\"\n\
                 nvme1:14.fileName = \"a.vmdk\"\n";
    goes_both_ways(lines, &[]);
    let domain = to_domain(&document(lines), &context()).unwrap().domain;
    let error = to_vmx(&domain, &Context { mode: Mode::Exact, ..context() }).unwrap_err();
    assert_eq!(error.code.number(), 67);
}

#[test]
fn sata_disks() {
    goes_both_ways(
        "sata0.present = \"TRUE\"\nsata2.present = \"TRUE\"\n\
         sata0:0.present = \"TRUE\"\nsata0:0.fileName = \"a.vmdk\"\n\
         sata2:29.present = \"TRUE\"\nsata2:29.fileName = \"b.vmdk\"\n",
        &["<address type='drive' controller='2' bus='0' target='0' unit='29'/>"],
    );
}

#[test]
fn bios_firmware() {
    goes_both_ways("firmware = \"bios\"\n", &["<os firmware='bios'>"]);
}

#[test]
fn secure_boot() {
    // libvirt shows it, and does not write it.
    goes_both_ways("firmware = \"efi\"\nuefi.secureBoot.enabled = \"TRUE\"\n", &[]);
}

#[test]
fn virtual_tpm() {
    goes_both_ways("firmware = \"efi\"\nvtpm.present = \"TRUE\"\n", &[]);
    // An older machine gets the hardware that a TPM needs; libvirt refuses.
    let domain = to_domain(&document("firmware = \"efi\"\nvtpm.present = \"TRUE\"\n"), &context());
    let old = Context { hardware_version: 10, ..context() };
    let written = to_vmx(&domain.as_ref().unwrap().domain, &old).unwrap().document;
    assert_eq!(written.get("virtualHW.version"), Some("14"));
    let exact = Context { mode: Mode::Exact, ..old };
    assert_eq!(to_vmx(&domain.unwrap().domain, &exact).unwrap_err().code.number(), 67);
}

#[test]
fn usb_controllers() {
    goes_both_ways(
        "usb.present = \"TRUE\"\nusb.pciSlotNumber = \"32\"\nehci.present = \"TRUE\"\n\
         ehci.pciSlotNumber = \"35\"\nusb_xhci.present = \"TRUE\"\nusb_xhci.pciSlotNumber = \"192\"\n",
        &[
            "<controller type='usb' index='0' model='piix3-uhci'>\n      \
             <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>\n",
            "<controller type='usb' index='1' model='ehci'>",
            "<controller type='usb' index='2' model='qemu-xhci'>",
        ],
    );
}

#[test]
fn usb_devices() {
    goes_both_ways(
        "usb.present = \"TRUE\"\nusb:0.present = \"TRUE\"\nusb:0.deviceType = \"hid\"\n\
         usb:0.port = \"0\"\nusb:0.parent = \"-1\"\nusb:1.present = \"TRUE\"\n\
         usb:1.deviceType = \"hub\"\nusb:1.port = \"1\"\nusb:1.parent = \"-1\"\n\
         usb_xhci.present = \"TRUE\"\nusb_xhci:4.present = \"TRUE\"\n\
         usb_xhci:4.deviceType = \"hid\"\nusb_xhci:4.port = \"4\"\nusb_xhci:4.parent = \"-1\"\n",
        &[
            "<input type='mouse' bus='usb'>\n      <address type='usb' bus='0' port='1'/>\n",
            "<hub type='usb'>\n      <address type='usb' bus='0' port='2'/>\n",
            "<input type='mouse' bus='usb'>\n      <address type='usb' bus='2' port='5'/>\n",
        ],
    );
}

#[test]
fn usb_devices_of_the_host() {
    goes_both_ways(
        "usb.present = \"TRUE\"\nusb.autoConnect.device0 = \"0x0e0f:0x0003\"\n\
         usb.autoConnect.device1 = \"0x046d:0xc077\"\n",
        &["<hostdev mode='subsystem' type='usb' managed='no'>\n      <source>\n        \
           <vendor id='0x0e0f'/>\n        <product id='0x0003'/>\n"],
    );
    // Taken out of the middle, the others stay what they are.
    let file = document(
        "usb.present = \"TRUE\"\nusb.autoConnect.device1 = \"path:1/2\"\n\
         usb.autoConnect.device3 = \"vid:0e0f pid:0003\"\nusb.autoConnect.device4 = \"0x46d:0xc077\"\n",
    );
    let mut domain = to_domain(&file, &context()).unwrap().domain;
    domain.devices.other.remove(0);
    let merged = merge_into(&domain, &file, &context()).unwrap().document;
    let kept: Vec<&str> = merged.entries().skip(6).map(|e| e.value).collect();
    assert_eq!(kept, ["path:1/2", "0x046d:0xc077"]);
}

#[test]
fn pci_passthrough() {
    goes_both_ways(
        "pciPassthru0.present = \"TRUE\"\npciPassthru0.id = \"00000:129:00.1\"\n\
         pciPassthru0.pciSlotNumber = \"256\"\n",
        &["<hostdev mode='subsystem' type='pci' managed='yes'>\n      <source>\n        \
           <address domain='0x0000' bus='0x81' slot='0x00' function='0x1'/>\n      </source>\n      \
           <address type='pci' domain='0x0000' bus='0x08' slot='0x00' function='0x0'/>\n"],
    );
}

#[test]
fn sound_cards() {
    for (card, model) in [("es1371", "es1370"), ("sb16", "sb16"), ("hdaudio", "ich6")] {
        goes_both_ways(
            &format!("sound.present = \"TRUE\"\nsound.virtualDev = \"{card}\"\n"),
            &[&format!("<sound model='{model}'/>")],
        );
    }
}

#[test]
fn sixty_four_disks_on_a_controller() {
    let mut lines = String::from("scsi1.present = \"TRUE\"\nscsi1.virtualDev = \"pvscsi\"\n");
    for unit in (0..=64).filter(|&unit| unit != 7) {
        lines +=
            &format!("scsi1:{unit}.present = \"TRUE\"\nscsi1:{unit}.fileName = \"{unit}.vmdk\"\n");
    }
    goes_both_ways(&lines, &[]);
    let domain = to_domain(&document(&lines), &context()).unwrap().domain;
    assert_eq!(domain.devices.disks.len(), 64);
    // libvirt cannot write what it has read.
    assert!(to_vmx(&domain, &Context { mode: Mode::Exact, ..context() }).is_err());
}

#[test]
fn drives_of_clients() {
    let lines = "ide1:0.present = \"TRUE\"\nide1:0.deviceType = \"atapi-cdrom\"\n\
                 ide1:0.clientDevice = \"TRUE\"\nide1:0.fileName = \"\"\n\
                 floppy0.present = \"TRUE\"\nfloppy0.clientDevice = \"TRUE\"\n";
    let shown = to_domain(&document(lines), &context()).unwrap().domain;
    let drives: Vec<_> = shown.devices.disks.iter().map(|d| (&*d.device, &d.source)).collect();
    assert_eq!(drives, [("cdrom", &None), ("floppy", &None)]);
    let written = to_vmx(&shown, &context()).unwrap().document;
    assert_eq!(written.get("ide1:0.fileName"), Some("emptyBackingString"));
    let merged = merge_into(&shown, &document(lines), &context()).unwrap().document;
    assert_eq!(merged.to_bytes(), document(lines).to_bytes());
    // With the kept keys it is the client's again.
    let kept = kept_and_back(lines);
    assert_eq!(kept.get("ide1:0.clientDevice"), Some("TRUE"));
}

#[test]
fn controllers_without_disks() {
    goes_both_ways(
        "scsi0.present = \"TRUE\"\nscsi0.virtualDev = \"lsilogic\"\nscsi3.present = \"TRUE\"\n\
         scsi3.virtualDev = \"pvscsi\"\nsata1.present = \"TRUE\"\nnvme2.present = \"TRUE\"\n",
        &[],
    );
    let lines = "scsi3.present = \"TRUE\"\nscsi3.virtualDev = \"pvscsi\"\n";
    let domain = to_domain(&document(lines), &context()).unwrap().domain;
    let exact = to_vmx(&domain, &Context { mode: Mode::Exact, ..context() }).unwrap().document;
    assert_eq!(exact.get("scsi3.present"), None);
}

#[test]
fn annotations_of_several_lines() {
    let lines = "annotation = \"one|0Atwo |22three|22|0A|7C\"\n";
    goes_both_ways(lines, &[]);
    let domain = to_domain(&document(lines), &context()).unwrap().domain;
    assert_eq!(domain.description.as_deref(), Some("one\ntwo \"three\"\n|"));
    // No reader of XML hands on a carriage return; a look at the domain keeps it in the file.
    let windows = document("annotation = \"one|0D|0Atwo\"\n");
    let read = to_domain(&windows, &context()).unwrap().domain;
    let read = parse_domain(&xml(&read), &context()).unwrap();
    assert_eq!(read.description.as_deref(), Some("one\ntwo"));
    let merged = merge_into(&read, &windows, &context()).unwrap().document;
    assert_eq!(merged.to_bytes(), windows.to_bytes());
    let exact = to_vmx(&domain, &Context { mode: Mode::Exact, ..context() }).unwrap().document;
    assert!(exact.syntax_error().is_some(), "libvirt cannot read what it writes");
}

#[test]
fn nested_virtualisation() {
    goes_both_ways("vhv.enable = \"TRUE\"\n", &["<feature policy='require' name='vmx'/>"]);
}

#[test]
fn cpu_id_masks() {
    goes_both_ways(
        "cpuid.1.ecx = \"---0:----:----:----:----:----:----:---1\"\n\
         cpuid.80000001.edx = \"----:----:---0:----:----:----:----:----\"\n",
        &[
            "<feature policy='force' name='pni'/>",
            "<feature policy='disable' name='avx'/>",
            "<feature policy='disable' name='nx'/>",
        ],
    );
    // A mask that says more is left as it is; editing adds to it.
    let file = document("cpuid.1.ecx = \"R--0:----:----:----:----:----:----:----\"\n");
    let mut domain = to_domain(&file, &context()).unwrap().domain;
    assert!(domain.cpu.is_none());
    let same = merge_into(&domain, &file, &context()).unwrap().document;
    assert_eq!(same.to_bytes(), file.to_bytes());
    let aes = "<domain type='vmware'><name>a</name><memory>4096</memory><os><type>hvm</type></os>\
               <cpu><feature policy='disable' name='aes'/></cpu></domain>";
    domain.cpu = parse_domain(aes, &context()).unwrap().cpu;
    let merged = merge_into(&domain, &file, &context()).unwrap().document;
    assert_eq!(merged.get("cpuid.1.ecx"), Some("R--0:--0-:----:----:----:----:----:----"));
}

/// The file from the text that keeps keys.
fn kept_and_back(lines: &str) -> Document {
    let context = Context { keep_keys: true, hardware_version: 10, ..Context::default() };
    let text = xml(&to_domain(&document(lines), &context).unwrap().domain);
    to_vmx(&parse_domain(&text, &context).unwrap(), &context).unwrap().document
}

#[test]
fn hot_add_flags_guest_info_and_other_keys() {
    let lines = "vcpu.hotadd = \"TRUE\"\nmem.hotadd = \"TRUE\"\nguestinfo.role = \"web & db\"\n\
                 cpuid.1.ecx = \"R---:----:----:----:----:----:----:----\"\n\
                 cpuid.1.ecx.amd = \"----:----:----:----:----:----:----:---0\"\n\
                 scsi0.present = \"TRUE\"\nscsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a.vmdk\"\n\
                 scsi0:0.mode = \"independent-persistent\"\nscsi0.sharedBus = \"none\"\n\
                 ethernet3.present = \"TRUE\"\nethernet3.wakeOnPcktRcv = \"FALSE\"\n\
                 ethernet5.present = \"FALSE\"\nethernet5.networkName = \"spare\"\n\
                 nvme0.present = \"TRUE\"\nnvme0:2.present = \"TRUE\"\nnvme0:2.clientDevice = \"TRUE\"\n\
                 usb.autoConnect.device0 = \"path:1/1/3 autoclean:1\"\n\
                 uuid.location = \"56 4d 00 00 00 00 00 00-00 00 00 00 00 00 00 01\"\n";
    let without = to_domain(&document(lines), &context()).unwrap().domain;
    assert!(without.metadata.is_none());
    let back = kept_and_back(lines);
    for entry in document(lines).entries() {
        // A domain has no numbers of adapters: they are closed up.
        let key = entry.key.replace("ethernet3", "ethernet0").replace("ethernet5", "ethernet1");
        let value = back.get(&key);
        assert!(value.is_some_and(|v| v.eq_ignore_ascii_case(entry.value)), "{key} is {value:?}");
    }
    assert_eq!(back.get("virtualHW.version"), Some("19"));
    // And looking at the domain changes nothing in the file, with the kept keys or without.
    for keep_keys in [false, true] {
        let context = Context { keep_keys, ..context() };
        let domain = to_domain(&document(lines), &context).unwrap().domain;
        let merged = merge_into(&domain, &document(lines), &context).unwrap().document;
        assert_eq!(merged.to_bytes(), document(lines).to_bytes(), "{keep_keys}");
    }
}

#[test]
fn kept_keys_can_be_edited() {
    let lines = "guestinfo.a = \"1\"\nethernet3.present = \"TRUE\"\nethernet3.wakeOnPcktRcv = \"FALSE\"\n\
                 ethernet5.present = \"FALSE\"\nmem.hotadd = \"TRUE\"\n";
    let context = Context { keep_keys: true, ..context() };
    let file = document(lines);
    let text = xml(&to_domain(&file, &context).unwrap().domain);
    let edited = text
        .replace("'guestinfo.a'>1<", "'guestinfo.b'>2<")
        .replace("'ethernet0.wakeOnPcktRcv'>FALSE<", "'ethernet0.wakeOnPcktRcv'>TRUE<")
        .replace("</interface>", "</interface><interface type='user'/>");
    let domain = parse_domain(&edited, &context).unwrap();
    let merged = merge_into(&domain, &file, &context).unwrap().document;
    let table = [
        ("guestinfo.a", None),
        ("guestinfo.b", Some("2")),
        ("ethernet3.wakeOnPcktRcv", Some("TRUE")),
        ("ethernet5.present", Some("FALSE")),
        ("ethernet0.connectionType", Some("nat")),
        ("mem.hotadd", Some("TRUE")),
    ];
    for (key, value) in table {
        assert_eq!(merged.get(key), value, "{key}");
    }
}

#[test]
fn cpus_and_memory_that_can_be_added() {
    let text = "<domain type='vmware'><name>a</name><memory>4194304</memory>\
                <maxMemory slots='4'>8388608</maxMemory><vcpu current='2'>8</vcpu>\
                <os><type>hvm</type></os><cpu><topology sockets='4' cores='2' threads='1'/></cpu></domain>";
    let written = to_vmx(&parse_domain(text, &context()).unwrap(), &context()).unwrap();
    let table = [
        ("numvcpus", "2"),
        ("cpuid.coresPerSocket", "2"),
        ("vcpu.hotadd", "TRUE"),
        ("memsize", "4096"),
        ("mem.hotadd", "TRUE"),
    ];
    for (key, value) in table {
        assert_eq!(written.document.get(key), Some(value), "{key}");
    }
    assert_eq!(written.warnings.len(), 2);
    assert_eq!(written.document.syntax_error(), None);
}

#[test]
fn hardware_versions_up_to_22() {
    for version in 4..=22 {
        let text = format!(
            "config.version = \"8\"\nvirtualHW.version = \"{version}\"\ndisplayName = \"a\"\n"
        );
        let file = Document::parse(text.as_bytes()).unwrap();
        for mode in [Mode::Exact, Mode::Default] {
            let context = Context { mode, hardware_version: version, ..Context::default() };
            let read = to_domain(&file, &context).unwrap();
            assert!(read.warnings.is_empty(), "{version}");
            let written = to_vmx(&read.domain, &context).unwrap().document;
            assert_eq!(written.get("virtualHW.version"), Some(version.to_string().as_str()));
            assert_eq!(written.contains("vmci0.present"), version >= 7);
        }
        // The file's own, if it is kept, unless somebody wants another one.
        let context = Context { keep_keys: true, hardware_version: 8, ..Context::default() };
        let kept = to_domain(&file, &context).unwrap().domain;
        let written = to_vmx(&kept, &context).unwrap().document;
        assert_eq!(written.get("virtualHW.version"), Some(version.to_string().as_str()));
        let asked = Context { newest_kept_hardware: 3, ..context };
        let written = to_vmx(&kept, &asked).unwrap().document;
        assert_eq!(written.get("virtualHW.version"), Some("8"));
    }
}
