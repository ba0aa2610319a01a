//! The built program against a simulated host: devices, figures, names, screenshots, defining.

use std::process::Output;

use esx_sim::Simulator;

use crate::common::Host;

fn start() -> Host {
    Host::start(Simulator::builder().vms(2))
}

#[test]
fn disks() {
    let host = start();
    let source = "[datastore1] vm-00001/data.vmdk";
    let attach = ["attach-disk", "vm-00001", source, "sdb", "--create", "2G", "--thin"];
    insta::assert_snapshot!(host.good(&[&attach[..], &["--print-xml"]].concat()), @"
    <disk type='file'>
      <source file='[datastore1] vm-00001/data.vmdk'>
        <capacity unit='KiB'>2097152</capacity>
        <allocation unit='KiB'>0</allocation>
      </source>
      <target dev='sdb'/>
    </disk>
    ");
    assert_eq!(host.good(&attach), "Disk attached successfully\n\n");
    let requests = host.running.requests();
    assert!(requests <= 12, "with connecting, looking up and logging out: {requests}");
    insta::assert_snapshot!(host.good(&["domblklist", "vm-00001", "--details"]), @r"
     Type   Device   Target   Source
    ---------------------------------------------------------------
     file   disk     sda      [datastore1] vm-00001/vm-00001.vmdk
     file   disk     sdb      [datastore1] vm-00001/data.vmdk
    ");
    insta::assert_snapshot!(host.good(&["domblkinfo", "vm-00001", "sdb", "--human"]), @"
    Capacity:       2.000 GiB
    Allocation:     512.000 MiB
    Physical:       512.000 MiB
    ");
    assert!(host.bad(&attach).contains("already exists"));
    let detach = ["detach-disk", "vm-00001", source];
    assert_eq!(host.good(&detach), "Disk detached successfully\n\n");
    assert!(host.bad(&detach).contains("No disk found whose source path or target is"));
    // The file is still there, and goes where it is told.
    let back = ["attach-disk", "vm-00001", source, "sdc", "--address", "scsi:0.0.4"];
    host.good(&back);
    assert!(host.good(&["domblklist", "vm-00001"]).contains(" sde "));
    assert!(
        host.bad(&["attach-disk", "vm-00001", "[datastore1] a.vmdk", "vdb"]).contains("virtio")
    );
    host.stop();
}

#[test]
fn media() {
    let host = start();
    host.running.model().change(|m| {
        m.add_file("datastore1", "vm-00001/a.iso", b"a")
            && m.add_file("datastore1", "vm-00001/b.iso", b"b")
    });
    let (a, b) = ("[datastore1] vm-00001/a.iso", "[datastore1] vm-00001/b.iso");
    let drive = ["attach-disk", "vm-00001", "", "hdc", "--type", "cdrom", "--mode", "readonly"];
    host.good(&drive);
    let change = |more: &[&str]| host.run(&[&["change-media", "vm-00001", "hdc"], more].concat());
    let said = |output: Output| {
        let text = if output.status.success() { output.stdout } else { output.stderr };
        String::from_utf8(text).unwrap()
    };
    assert!(said(change(&["--eject"])).contains("The disk device 'hdc' doesn't have media"));
    assert_eq!(said(change(&["--insert", a])), "Successfully inserted media.\n\n");
    assert!(said(change(&["--insert", b])).contains("The disk device 'hdc' already has media"));
    assert_eq!(said(change(&[b])), "Successfully updated media.\n\n");
    assert!(host.good(&["domblklist", "vm-00001"]).contains("b.iso"));
    assert_eq!(said(change(&["--eject"])), "Successfully ejected media.\n\n");
    assert!(said(change(&[])).contains("no SOURCE"));
    let disk = host.bad(&["change-media", "vm-00001", "sda", "--eject"]);
    assert!(disk.contains("is not removable"), "{disk}");
    host.stop();
}

#[test]
fn cards() {
    let host = start();
    let mac = "00:50:56:00:00:99";
    let attach =
        ["attach-interface", "vm-00002", "network", "storage", "--mac", mac, "--model", "e1000"];
    assert_eq!(host.good(&attach), "Interface attached successfully\n\n");
    let list = host.good(&["domiflist", "vm-00002"]);
    assert!(
        list.contains(&format!(" -           bridge   storage      e1000     {mac}")),
        "{list}"
    );
    assert_eq!(host.good(&["domif-getlink", "vm-00002", mac]), format!("{mac} up\n\n"));
    let set = ["domif-setlink", "vm-00002", mac, "down"];
    assert_eq!(host.good(&set), "Device updated successfully\n\n");
    assert_eq!(host.good(&["domif-getlink", "vm-00002", mac]), format!("{mac} down\n\n"));
    assert!(host.good(&["domiflist", "vm-00002"]).contains("storage"), "it is where it was");
    assert!(host.bad(&["detach-interface", "vm-00002", "bridge"]).contains("using --mac"));
    let detach = ["detach-interface", "vm-00002", "bridge", "--mac", mac];
    assert_eq!(host.good(&detach), "Interface detached successfully\n\n");
    assert!(host.bad(&detach).contains("No interface with MAC address"));
    host.stop();
}

#[test]
fn devices_from_files_and_serial_ports() {
    let host = start();
    let file = host.home.path("serial.xml");
    let file = file.to_str().unwrap();
    std::fs::write(file, "<serial type='pipe'><source path='/tmp/p'/><target port='0'/></serial>")
        .unwrap();
    let attach = ["attach-device", "vm-00001", file, "--persistent"];
    assert_eq!(host.good(&attach), "Device attached successfully\n\n");
    assert!(host.good(&["dumpxml", "vm-00001"]).contains("<serial type='pipe'>"));
    std::fs::write(
        file,
        "<serial type='dev'><source path='/dev/ttyS0'/><target port='0'/></serial>",
    )
    .unwrap();
    assert_eq!(host.good(&["update-device", "vm-00001", file]), "Device updated successfully\n\n");
    assert_eq!(host.good(&["detach-device", "vm-00001", file]), "Device detached successfully\n\n");
    let remote =
        ["attach-serial", "vm-00001", "virtesx?port=0", "--proxy", "telnets://vspc.example:13370"];
    assert_eq!(host.good(&remote), "Serial port attached successfully\n\n");
    let machine = host.running.model().read(|m| m.machine("vm-00001")).unwrap();
    let vmx = host.running.model().read(|m| m.vmx(&machine)).unwrap();
    assert!(vmx.contains("serial0.vspc = \"telnets://vspc.example:13370\""), "{vmx}");
    // A running machine has no other configuration.
    let config = host.bad(&["attach-device", "vm-00002", file, "--config"]);
    assert!(config.contains("one configuration"), "{config}");
    host.stop();
}

#[test]
fn names_descriptions_and_pictures() {
    let host = start();
    assert_eq!(host.good(&["desc", "vm-00001"]), "No description for domain: vm-00001\n");
    let set = ["desc", "vm-00001", "two words"];
    assert_eq!(host.good(&set), "Domain description updated successfully\n");
    assert_eq!(host.good(&["desc", "vm-00001"]), "two words\n");
    assert_eq!(host.good(&["domrename", "vm-00001", "a/b"]), "Domain successfully renamed\n\n");
    assert!(host.bad(&["domrename", "vm-00002", "x"]).contains("running"));
    let file = host.home.path("shot.png");
    let shot = host.good(&["screenshot", "vm-00002", file.to_str().unwrap()]);
    assert!(shot.ends_with(", with type of image/png\n"), "{shot}");
    assert!(std::fs::read(&file).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"));
    assert!(host.bad(&["screenshot", "a/b", file.to_str().unwrap()]).contains("not running"));
    host.stop();
}

#[test]
fn statistics() {
    let host = start();
    insta::assert_snapshot!(host.good(&["domstats", "--state", "--vcpu", "vm-00001", "vm-00002"]), @r"
    Domain: 'vm-00001'
      state.state=5
      state.reason=0
      vcpu.current=2
      vcpu.maximum=2

    Domain: 'vm-00002'
      state.state=1
      state.reason=0
      vcpu.current=3
      vcpu.maximum=3
    ");
    let all = host.good(&["domstats"]);
    assert!(all.contains("block.0.capacity=") && all.contains("net.0.name="), "{all}");
    let sent = host.running.requests();
    assert!(sent <= 5, "{sent}");
    assert!(host.bad(&["domstats", "--cpu-total", "--enforce"]).contains("no statistics"));
    let memory = host.good(&["-o", "json", "dommemstat", "vm-00002"]);
    assert!(
        memory.contains("\"actual_kib\": 4194304") && memory.contains("\"shares\": "),
        "{memory}"
    );
    host.stop();
}

#[test]
fn defined_and_redefined() {
    let host = start();
    let file = host.home.path("vm.xml");
    let xml = host.good(&["dumpxml", "vm-00001"]);
    let more = xml.replace("<memory unit='KiB'>2097152", "<memory unit='KiB'>4194304");
    let more =
        more.replace("<currentMemory unit='KiB'>2097152", "<currentMemory unit='KiB'>4194304");
    assert_ne!(xml, more);
    std::fs::write(&file, more).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(host.good(&["define", file]), format!("Domain 'vm-00001' defined from {file}\n\n"));
    assert!(host.good(&["dominfo", "vm-00001"]).contains("4194304 KiB"));
    host.stop();
}
