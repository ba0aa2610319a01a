//! Devices attached, detached and changed on the simulated host.

use crate::common::{connect, methods};
use esx_driver::Connection;
use esx_sim::{Running, Simulator};
use virt_api::{
    Definitions, Domain, DomainDeviceModifyFlags as Flags, Error, ErrorCode, Hypervisor as _,
    Result,
};

struct Scene {
    sim: Running,
    connection: Connection,
    domain: Domain,
}

impl Scene {
    async fn new(name: &str) -> Self {
        Self::on(Simulator::builder().vms(3).start().await.unwrap(), name).await
    }

    async fn on(sim: Running, name: &str) -> Self {
        let connection = connect(&sim, "").await;
        let domain = connection.domain_lookup_by_name(name).await.unwrap();
        sim.reset_journal();
        Self { sim, connection, domain }
    }

    async fn attach(&self, xml: &str) -> Result<()> {
        self.connection.domain_attach_device_flags(&self.domain, xml, Flags::empty()).await
    }

    async fn detach(&self, xml: &str) -> Result<()> {
        self.connection.domain_detach_device_flags(&self.domain, xml, Flags::empty()).await
    }

    async fn update(&self, xml: &str) -> Result<()> {
        self.connection.domain_update_device_flags(&self.domain, xml, Flags::empty()).await
    }

    /// The lines of the machine's VMX file that begin like this.
    fn lines(&self, start: &str) -> Vec<String> {
        let machine = self.sim.model().read(|m| m.machine(&self.domain.name)).unwrap();
        let text = self.sim.model().read(|m| m.vmx(&machine)).unwrap();
        text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
    }

    /// The value of a key of the machine's VMX file.
    fn key(&self, key: &str) -> Option<String> {
        let line = self.lines(&format!("{key} = ")).pop()?;
        Some(line.split('"').nth(1)?.to_owned())
    }
}

fn code(result: Result<()>) -> Option<ErrorCode> {
    result.err().map(|error| error.code)
}

fn told(error: &Error) -> String {
    error.chain().collect::<Vec<_>>().join(": ")
}

fn disk(target: &str, inner: &str) -> String {
    format!("<disk type='file' device='disk'>{inner}<target dev='{target}'/></disk>")
}

const NEW_DISK: &str = "<source file='[datastore1] vm-00001/data.vmdk'><capacity unit='G'>2</capacity><allocation>0</allocation></source>";

#[tokio::test]
async fn a_disk_is_made_taken_away_and_put_back() {
    let scene = Scene::new("vm-00001").await;
    scene.attach(&disk("sdb", NEW_DISK)).await.unwrap();
    assert!(scene.sim.requests() <= 6, "{:?}", methods(&scene.sim));
    assert_eq!(scene.key("scsi0:1.fileName").as_deref(), Some("data.vmdk"));
    // The place is taken, and so is the file.
    assert_eq!(code(scene.attach(&disk("sdb", NEW_DISK)).await), Some(ErrorCode::OperationFailed));
    assert_eq!(code(scene.attach(&disk("sdc", NEW_DISK)).await), Some(ErrorCode::StorageVolExist));
    scene.sim.reset_journal();
    scene.detach(&disk("sdb", "")).await.unwrap();
    assert!(scene.sim.requests() <= 6, "{:?}", methods(&scene.sim));
    assert!(scene.lines("scsi0:1.").is_empty());
    assert_eq!(code(scene.detach(&disk("sdb", "")).await), Some(ErrorCode::DeviceMissing));
    // The file has stayed; elsewhere it is found by its name, and at another controller, which is made.
    let again = "<source file='[datastore1] vm-00001/data.vmdk'/>";
    scene.attach(&disk("sdbm", again)).await.unwrap();
    assert_eq!(scene.lines("scsi0:").len() + scene.lines("scsi1:").len(), 6);
    scene.detach(&format!("<disk type='file'>{again}<target dev=''/></disk>")).await.unwrap();
    let missing = "<source file='[datastore1] vm-00001/none.vmdk'/>";
    let error = scene.attach(&disk("sdb", missing)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoStorageVol, "{}", told(&error));
    let elsewhere = "<source file='[nowhere] none.vmdk'/>";
    assert_eq!(code(scene.attach(&disk("sdb", elsewhere)).await), Some(ErrorCode::NoStoragePool));
    let local = "<source file='none.vmdk'/>";
    assert_eq!(code(scene.attach(&disk("sdb", local)).await), Some(ErrorCode::InvalidArg));
}

#[tokio::test]
async fn absolute_names_are_looked_up_among_the_mounts() {
    let scene = Scene::new("vm-00001").await;
    scene.attach(&disk("sdb", NEW_DISK)).await.unwrap();
    scene.detach(&disk("sdb", "")).await.unwrap();
    let absolute = "<source file='/vmfs/volumes/datastore1/vm-00001/data.vmdk'/>";
    scene.attach(&disk("sdb", absolute)).await.unwrap();
    assert_eq!(scene.key("scsi0:1.fileName").as_deref(), Some("data.vmdk"));
    let unmounted = "<source file='/srv/data.vmdk'/>";
    assert_eq!(code(scene.attach(&disk("sdc", unmounted)).await), Some(ErrorCode::InvalidArg));
}

#[tokio::test]
async fn controllers_are_made_where_there_is_none() {
    let scene = Scene::new("vm-00001").await;
    let on = |target: &str, bus: &str, name: &str| {
        format!(
            "<disk type='file'><source file='[datastore1] vm-00001/{name}.vmdk'><capacity unit='M'>8</capacity></source><target dev='{target}' bus='{bus}'/></disk>"
        )
    };
    scene.attach(&on("sda", "sata", "a")).await.unwrap();
    assert_eq!(scene.key("sata0.present").as_deref(), Some("TRUE"));
    assert_eq!(scene.key("sata0:0.fileName").as_deref(), Some("a.vmdk"));
    scene.attach(&on("nvme0n2", "nvme", "b")).await.unwrap();
    assert_eq!(scene.key("nvme0:1.fileName").as_deref(), Some("b.vmdk"));
    scene.attach(&on("hdc", "ide", "c")).await.unwrap();
    assert_eq!(scene.key("ide1:0.fileName").as_deref(), Some("c.vmdk"));
    // `sda` is a disk of two buses now: the document says which one.
    let sata = "<disk type='file'><target dev='sda' bus='sata'/></disk>";
    scene.detach(sata).await.unwrap();
    assert!(scene.lines("sata0:0.").is_empty() && !scene.lines("scsi0:0.").is_empty());
    // A second SCSI controller is of the first one's kind, or of the one that the document names.
    let at = |controller: u8, driver: &str| {
        format!(
            "<disk type='file'>{driver}<source file='[datastore1] vm-00001/s{controller}.vmdk'><capacity unit='M'>8</capacity></source>\
             <target dev='sdz' bus='scsi'/><address type='drive' controller='{controller}' unit='0'/></disk>"
        )
    };
    scene.attach(&at(1, "")).await.unwrap();
    assert_eq!(scene.key("scsi1.virtualDev").as_deref(), Some("pvscsi"));
    scene.attach(&at(2, "<driver name='lsisas1068'/>")).await.unwrap();
    assert_eq!(scene.key("scsi2.virtualDev").as_deref(), Some("lsisas1068"));
}

#[tokio::test]
async fn a_running_machine_takes_what_can_be_plugged_in() {
    let scene = Scene::new("vm-00002").await;
    let flags = |flags| {
        let xml = disk("sdb", &NEW_DISK.replace("vm-00001", "vm-00002"));
        let (connection, domain) = (&scene.connection, &scene.domain);
        async move { connection.domain_attach_device_flags(domain, &xml, flags).await }
    };
    assert_eq!(code(flags(Flags::CONFIG).await), Some(ErrorCode::OperationUnsupported));
    assert_eq!(code(flags(Flags::FORCE).await), Some(ErrorCode::InvalidArg));
    flags(Flags::LIVE | Flags::CONFIG).await.unwrap();
    assert_eq!(scene.key("scsi0:1.fileName").as_deref(), Some("data.vmdk"));
    let ide = "<disk type='file'><source file='[datastore1] vm-00002/i.vmdk'><capacity unit='M'>8</capacity></source><target dev='hda' bus='ide'/></disk>";
    let error = scene.attach(ide).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OperationInvalid, "{}", told(&error));
    // A machine that is off has nothing that could be live.
    let off = Scene::new("vm-00001").await;
    let live = off.connection.domain_attach_device_flags(&off.domain, ide, Flags::LIVE).await;
    assert_eq!(code(live), Some(ErrorCode::OperationInvalid));
    assert!(!methods(&off.sim).contains(&"ReconfigVM_Task".to_owned()));
}

#[tokio::test]
async fn a_disk_changes_its_mode_and_not_its_file() {
    let scene = Scene::new("vm-00001").await;
    scene.update(&disk("sda", "<transient/>")).await.unwrap();
    assert_eq!(scene.key("scsi0:0.mode").as_deref(), Some("independent-nonpersistent"));
    scene.update(&disk("sda", "")).await.unwrap();
    assert_eq!(scene.key("scsi0:0.mode"), None);
    let other = disk("sda", "<source file='[datastore1] x/y.vmdk'/>");
    assert_eq!(code(scene.update(&other).await), Some(ErrorCode::OperationUnsupported));
    let cdrom = "<disk device='cdrom'><target dev='sda'/></disk>";
    assert_eq!(code(scene.update(cdrom).await), Some(ErrorCode::OperationUnsupported));
}

#[tokio::test]
async fn media_are_put_in_and_taken_out() {
    let scene = Scene::new("vm-00001").await;
    let drive = |kind: &str, target: &str, source: &str| {
        format!("<disk type='file' device='{kind}'>{source}<target dev='{target}'/></disk>")
    };
    scene.sim.model().change(|m| {
        for name in ["a.iso", "b.iso", "c.flp"] {
            assert!(m.add_file("datastore1", &format!("vm-00001/{name}"), b"content"));
        }
    });
    let source = |name: &str| format!("<source file='[datastore1] vm-00001/{name}'/>");
    scene.attach(&drive("cdrom", "hda", &source("a.iso"))).await.unwrap();
    assert_eq!(scene.key("ide0:0.deviceType").as_deref(), Some("cdrom-image"));
    scene.update(&drive("cdrom", "hda", &source("b.iso"))).await.unwrap();
    assert_eq!(scene.key("ide0:0.fileName").as_deref(), Some("b.iso"));
    scene.update(&drive("cdrom", "hda", "")).await.unwrap();
    assert_eq!(scene.key("ide0:0.clientDevice").as_deref(), Some("TRUE"));
    let missing = scene.update(&drive("cdrom", "hda", &source("none.iso"))).await;
    assert_eq!(code(missing), Some(ErrorCode::NoStorageVol));
    // A floppy drive, with and without something in it.
    scene.attach(&drive("floppy", "fda", &source("c.flp"))).await.unwrap();
    assert_eq!(scene.key("floppy0.fileName").as_deref(), Some("c.flp"));
    scene.update(&drive("floppy", "fda", "")).await.unwrap();
    assert_eq!(scene.key("floppy0.clientDevice").as_deref(), Some("TRUE"));
    // While the machine runs, media change and drives do not.
    scene.connection.domain_create(&scene.domain).await.unwrap();
    scene.update(&drive("cdrom", "hda", &source("a.iso"))).await.unwrap();
    scene.update(&drive("floppy", "fda", &source("c.flp"))).await.unwrap();
    let taken_out = scene.detach(&drive("floppy", "fda", "")).await;
    assert_eq!(code(taken_out), Some(ErrorCode::OperationInvalid));
    scene.connection.domain_destroy(&scene.domain).await.unwrap();
    scene.detach(&drive("floppy", "fda", "")).await.unwrap();
    scene.detach(&drive("cdrom", "hda", "")).await.unwrap();
    assert!(scene.lines("ide0:0.").is_empty());
    assert_eq!(scene.key("floppy0.present").as_deref(), Some("FALSE"));
    // The host's own drive.
    let host = "<disk type='block' device='cdrom'><source dev='/vmfs/devices/cdrom/mpx'/><target dev='hdb' bus='ide'/></disk>";
    scene.attach(host).await.unwrap();
    assert_eq!(scene.key("ide0:1.fileName").as_deref(), Some("/vmfs/devices/cdrom/mpx"));
}

fn card(inner: &str) -> String {
    format!("<interface type='bridge'><source bridge='VM Network'/>{inner}</interface>")
}

#[tokio::test]
async fn network_cards_come_go_and_move() {
    let scene = Scene::new("vm-00002").await;
    scene.attach(&card("<mac address='00:50:56:00:00:77'/><model type='e1000e'/>")).await.unwrap();
    assert!(scene.sim.requests() <= 6, "{:?}", methods(&scene.sim));
    assert_eq!(scene.key("ethernet1.address").as_deref(), Some("00:50:56:00:00:77"));
    assert_eq!(scene.key("ethernet1.virtualDev").as_deref(), Some("e1000e"));
    let twice = scene.attach(&card("<mac address='00:50:56:00:00:77'/>")).await;
    assert_eq!(code(twice), Some(ErrorCode::OperationFailed));
    // Without an address the host makes one up, without a model it is that of the neighbours.
    scene.attach(&card("")).await.unwrap();
    assert_eq!(scene.key("ethernet2.addressType").as_deref(), Some("generated"));
    assert_eq!(scene.key("ethernet2.virtualDev").as_deref(), Some("vmxnet3"));
    // Three cards are like that.
    assert_eq!(code(scene.detach(&card("")).await), Some(ErrorCode::OperationFailed));
    let one = card("<mac address='00:50:56:00:00:77'/>");
    let moved = one.replace("VM Network", "storage");
    scene.update(&moved).await.unwrap();
    assert_eq!(scene.key("ethernet1.networkName").as_deref(), Some("storage"));
    scene.update(&moved.replace("<mac", "<link state='down'/><mac")).await.unwrap();
    assert_eq!(scene.key("ethernet1.startConnected").as_deref(), Some("FALSE"));
    scene.update(&moved).await.unwrap();
    assert_eq!(scene.key("ethernet1.startConnected"), None);
    let model = moved.replace("<mac", "<model type='e1000'/><mac");
    assert_eq!(code(scene.update(&model).await), Some(ErrorCode::OperationUnsupported));
    let nowhere = one.replace("VM Network", "no such");
    assert_eq!(code(scene.update(&nowhere).await), Some(ErrorCode::ConfigUnsupported));
    // Only one is in the other network, so that its name will do.
    scene
        .detach("<interface type='network'><source network='storage'/></interface>")
        .await
        .unwrap();
    assert!(scene.lines("ethernet1.").is_empty());
    assert_eq!(code(scene.detach(&one).await), Some(ErrorCode::DeviceMissing));
}

#[tokio::test]
async fn serial_and_parallel_ports() {
    let scene = Scene::new("vm-00001").await;
    scene
        .attach("<serial type='file'><source path='[datastore1] vm-00001/s.log'/></serial>")
        .await
        .unwrap();
    assert_eq!(scene.key("serial0.fileName").as_deref(), Some("s.log"));
    scene
        .attach("<serial type='tcp'><source mode='bind' host='' service='2301'/><protocol type='telnet'/><target port='2'/></serial>")
        .await
        .unwrap();
    assert_eq!(scene.key("serial2.fileName").as_deref(), Some("telnet://:2301"));
    assert_eq!(scene.key("serial2.network.endPoint").as_deref(), Some("server"));
    let proxied = "<serial type='tcp' xmlns:v='http://libvirt.org/schemas/domain/vmware/1.0'>\
        <v:backing service='virtesx?port=2' direction='server' proxy='telnets://vspc.example:13370#thumbprint=AA:BB'/>\
        <target port='2'/></serial>";
    scene.update(proxied).await.unwrap();
    assert_eq!(scene.key("serial2.fileName").as_deref(), Some("virtesx?port=2"));
    let proxy = scene.key("serial2.vspc");
    assert_eq!(proxy.as_deref(), Some("telnets://vspc.example:13370#thumbprint=AA:BB"));
    let two = scene.detach("<serial/>").await;
    assert_eq!(code(two), Some(ErrorCode::OperationFailed));
    scene.detach("<serial><target port='2'/></serial>").await.unwrap();
    scene.attach("<serial type='pipe'><source path='/tmp/p'/></serial>").await.unwrap();
    assert_eq!(scene.key("serial1.pipe.endPoint").as_deref(), Some("client"));
    scene.attach("<parallel type='dev'><source path='/dev/lp0'/></parallel>").await.unwrap();
    assert_eq!(scene.key("parallel0.fileName").as_deref(), Some("/dev/lp0"));
    scene.detach("<parallel/>").await.unwrap();
    assert_eq!(code(scene.detach("<parallel/>").await), Some(ErrorCode::DeviceMissing));
    // Ports cannot be plugged in.
    scene.connection.domain_create(&scene.domain).await.ok();
    let graphics = scene.attach("<graphics type='vnc'/>").await;
    assert_eq!(code(graphics), Some(ErrorCode::ConfigUnsupported));
}

/// What dumpxml says of a port behind a concentrator is taken by attach, update, detach and define alike.
#[tokio::test]
async fn a_proxied_port_through_its_life() {
    let scene = Scene::new("vm-00001").await;
    let proxy = "telnets://vspc.example:13370#thumbprint=AA:BB";
    let backing = |service: &str, direction: &str| {
        format!("service='{service}' direction='{direction}' proxy='{proxy}'")
    };
    let attach = format!(
        "<serial type='tcp' xmlns:v='http://libvirt.org/schemas/domain/vmware/1.0'><v:backing {}/></serial>",
        backing("virtesx?port=0", "server")
    );
    scene.attach(&attach).await.unwrap();
    let xml = async || {
        let flags = virt_api::DomainXmlFlags::empty();
        scene.connection.domain_get_xml_desc(&scene.domain, flags).await.unwrap()
    };
    let text = xml().await;
    assert!(text.contains(&backing("virtesx?port=0", "server")), "{text}");
    let start = text.find("<serial").unwrap();
    let end = text.find("</serial>").unwrap() + "</serial>".len();
    // As it was shown, though the prefix is declared at the domain's own element; and the other way round.
    let shown = &text[start..end];
    assert!(!shown.contains("xmlns"), "{shown}");
    scene.update(shown).await.unwrap();
    assert_eq!(scene.key("serial0.vspc").as_deref(), Some(proxy));
    scene.update(&shown.replace("'server'", "'client'")).await.unwrap();
    assert_eq!(scene.key("serial0.network.endPoint").as_deref(), Some("client"));
    assert!(xml().await.contains(&backing("virtesx?port=0", "client")));
    scene.detach(shown).await.unwrap();
    assert!(scene.lines("serial0.").iter().all(|line| !line.contains("vspc")));
    scene.attach(shown).await.unwrap();
    // A domain that is defined again keeps it, changed where the document is.
    let changed = text.replace("virtesx?port=0", "virtesx?port=0&amp;key=7");
    let flags = virt_api::DomainDefineFlags::empty();
    scene.connection.domain_define_xml_flags(&changed, flags).await.unwrap();
    assert_eq!(scene.key("serial0.fileName").as_deref(), Some("virtesx?port=0&key=7"));
    assert_eq!(scene.key("serial0.vspc").as_deref(), Some(proxy));
    assert_eq!(scene.key("serial0.network.endPoint").as_deref(), Some("server"));
    // libvirt's own document has neither.
    let exact = virt_api::DomainXmlFlags::EXACT;
    let exact = scene.connection.domain_get_xml_desc(&scene.domain, exact).await.unwrap();
    assert!(!exact.contains("vspc.example"), "{exact}");
}

const REMOTE: &str = "<serial type='tcp'><source mode='bind' host='' service='2301'/><protocol type='telnet'/></serial>";

#[tokio::test]
async fn without_the_licence_the_error_names_the_feature() {
    let scene = Scene::new("vm-00001").await;
    scene.sim.model().change(|m| m.set_serial_uri_license(false));
    let error = scene.attach(REMOTE).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OperationDenied);
    assert!(told(&error).contains("serialuri"), "{}", told(&error));
    assert!(scene.lines("serial0.").is_empty());
}

#[tokio::test]
async fn older_hosts_have_no_ports_on_the_network() {
    let sim = Simulator::builder().vms(3).api_version("4.0").start().await.unwrap();
    let scene = Scene::on(sim, "vm-00001").await;
    let error = scene.attach(REMOTE).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ConfigUnsupported);
    assert!(scene.sim.journal().is_empty(), "nothing is sent");
}

#[tokio::test]
async fn a_read_only_connection_changes_no_device() {
    let sim = Simulator::builder().vms(3).start().await.unwrap();
    let options =
        esx_driver::OpenOptions { read_only: true, ..crate::common::options(sim.password()) };
    let connection = esx_driver::open(&sim.uri(), options).await.unwrap();
    let domain = connection.domain_lookup_by_name("vm-00001").await.unwrap();
    let result = connection.domain_attach_device_flags(&domain, &card(""), Flags::empty()).await;
    assert_eq!(code(result), Some(ErrorCode::OperationDenied));
}

#[tokio::test]
async fn force_overrides_the_lock_of_a_drive() {
    const LOCKED: &str =
        "The guest has locked the CD-ROM door. Disconnect anyway and override the lock?";
    let drive = "<disk type='file' device='cdrom'><target dev='hda'/></disk>";
    for (flags, asked, expected) in [
        (Flags::FORCE, LOCKED, None),
        (Flags::FORCE, "Shall the host do something else?", Some(ErrorCode::OperationFailed)),
        (Flags::empty(), LOCKED, Some(ErrorCode::OperationFailed)),
    ] {
        let scene = Scene::new("vm-00001").await;
        scene.attach(drive).await.unwrap();
        scene.sim.model().change(|model| {
            model.hold_tasks();
            model.before("ReconfigVM_Task", move |model| {
                model.before("WaitForUpdatesEx", move |model| {
                    // The task ends when the question is answered.
                    let machine = model.machine("vm-00001").unwrap();
                    model.ask(&machine, asked, &[("0", "Yes"), ("1", "No")], Some(1)).unwrap();
                    let task = model.task_of(&machine).unwrap();
                    assert!(model.finish_task(&task));
                });
            });
        });
        let change = scene.connection.domain_update_device_flags(&scene.domain, drive, flags);
        assert_eq!(code(change.await), expected, "{flags:?} {asked}");
    }
}
