//! Documents read and written.

use super::*;
use crate::ErrorKind;

/// A small domain with `devices` inside `<devices>`.
fn with_devices(devices: &str) -> String {
    format!(
        "<domain type='vmware'><name>a</name><memory>4096</memory><os><type>hvm</type></os>\
         <devices>{devices}</devices></domain>"
    )
}

fn rewritten(text: &str) -> String {
    Domain::parse(text).unwrap().to_xml(&FormatOptions { secure: true, ..Default::default() })
}

#[test]
fn everything_modelled_survives() {
    let text = "\
<domain type='vmware' xmlns:vmware='http://libvirt.org/schemas/domain/vmware/1.0'>
  <name>a &amp; &lt;b&gt;</name>
  <uuid>500a9988-7766-5544-3322-1100ffeeddcc</uuid>
  <hwuuid>420a112b-3c4d-5e6f-7081-92a3b4c5d6e7</hwuuid>
  <genid>00000000-0000-0001-0000-000000000002</genid>
  <title>t</title>
  <description>one
two</description>
  <metadata>
    <x:a xmlns:x='urn:x' n='1'>mixed <x:b/>text</x:a>
    <y:a xmlns:y='urn:y' y:q='1'>
      <y:c/>
    </y:a>
  </metadata>
  <memory unit='KiB'>4194304</memory>
  <currentMemory unit='KiB'>2097152</currentMemory>
  <memtune>
    <min_guarantee unit='KiB'>1024</min_guarantee>
    <hard_limit unit='KiB'>5</hard_limit>
  </memtune>
  <vcpu placement='static' cpuset='0-3,8' current='2'>4</vcpu>
  <cputune>
    <shares>4000</shares>
  </cputune>
  <os firmware='efi'>
    <type arch='x86_64' machine='m'>hvm</type>
    <firmware>
      <feature enabled='yes' name='secure-boot'/>
    </firmware>
    <loader readonly='yes' type='pflash'>/l</loader>
    <nvram type='file'>
      <source file='[ds] a/b.nvram'/>
    </nvram>
    <smbios mode='host'/>
    <boot dev='hd'/>
  </os>
  <cpu>
    <topology sockets='2' dies='1' clusters='1' cores='2' threads='1'/>
  </cpu>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <disk type='block' device='cdrom'>
      <driver cache='writethrough'/>
      <source startupPolicy='optional'/>
      <target dev='hdc' bus='ide'/>
      <readonly/>
      <transient/>
      <serial>WD-1</serial>
      <address type='drive' controller='0' bus='1' target='0' unit='0'/>
    </disk>
    <controller type='scsi' index='0' model='vmpvscsi'>
      <address type='pci' domain='0x0000' bus='0x05' slot='0x0f' function='0x1'/>
    </controller>
    <controller type='sata' index='0'>
      <address type='pci'/>
    </controller>
    <filesystem type='mount' accessmode='passthrough'>
      <source dir='/a'/>
      <target dir='b'/>
      <readonly/>
    </filesystem>
    <interface type='vds'>
      <mac address='00:50:56:00:00:01' type='static' check='no'/>
      <source switchid='503426b2-94e9-3b16-1d68-87bfff4a5440' portid='-1' portgroupid='g' connectionid='0'/>
      <model type='e1000e'/>
      <link state='down'/>
    </interface>
    <serial type='tcp'>
      <source mode='bind' host='0.0.0.0' service='42001'/>
      <protocol type='telnets'/>
      <target port='0'/>
    </serial>
    <console type='tcp'>
      <source mode='bind' host='0.0.0.0' service='42001'/>
      <protocol type='telnets'/>
      <target type='serial' port='0'/>
    </console>
    <tpm model='tpm-crb'>
      <backend type='emulator' version='2.0'/>
    </tpm>
    <graphics type='vnc' port='5901' autoport='no' listen='::1' keymap='de' passwd='p'>
      <listen type='address' address='::1'/>
    </graphics>
    <sound model='es1370'/>
    <video>
      <model type='vmvga' vram='4096' primary='yes'>
        <acceleration accel3d='yes'/>
      </model>
    </video>
  </devices>
  <vmware:datacenterpath>dc</vmware:datacenterpath>
  <vmware:moref>vm-1</vmware:moref>
</domain>
";
    assert_eq!(rewritten(text), text);
    let hidden = Domain::parse(text).unwrap();
    assert!(!hidden.to_xml(&FormatOptions::default()).contains("passwd"));
    assert!(!format!("{hidden:?}").contains("\"p\""));
    let migratable = FormatOptions { migratable: true, ..Default::default() };
    assert!(!hidden.to_xml(&migratable).contains("firmware"));
}

#[test]
fn defaults_are_filled_in() {
    let text = with_devices(
        "<disk device='cdrom' type='block'><target dev='ioemu:hda'/></disk>\
         <disk device='floppy'><source file='/f'/><target dev='fda'/></disk>\
         <interface type='bridge'><source bridge='b'/><target dev='vnet0'/></interface>\
         <serial/>",
    );
    insta::assert_snapshot!(rewritten(&text), @r"
    <domain type='vmware'>
      <name>a</name>
      <memory unit='KiB'>4096</memory>
      <currentMemory unit='KiB'>4096</currentMemory>
      <vcpu>1</vcpu>
      <os>
        <type>hvm</type>
      </os>
      <devices>
        <disk type='file' device='cdrom'>
          <target dev='hda' bus='ide'/>
        </disk>
        <disk type='file' device='floppy'>
          <source file='/f'/>
          <target dev='fda' bus='fdc'/>
        </disk>
        <interface type='bridge'>
          <source bridge='b'/>
        </interface>
        <serial type='pty'/>
      </devices>
    </domain>
    ");
}

#[test]
fn errors_name_the_element() {
    let domain = |inner: &str| format!("<domain type='vmware'>{inner}</domain>");
    let os = "<name>a</name><os><type>hvm</type></os>";
    let rest = "<name>a</name><memory>1</memory><os><type>hvm</type></os>";
    let table: Vec<(String, ErrorKind, &str)> = vec![
        ("<domain".into(), ErrorKind::NotWellFormed, "/"),
        ("<!DOCTYPE a><domain/>".into(), ErrorKind::NotWellFormed, "/"),
        (format!("{}{}", "<a>".repeat(5000), "</a>".repeat(5000)), ErrorKind::NotWellFormed, "/"),
        ("<network/>".into(), ErrorKind::Attribute, "/network"),
        ("<domain/>".into(), ErrorKind::NoName, "/domain"),
        ("<domain><name>a</name></domain>".into(), ErrorKind::Value, "/domain"),
        (domain("<name>a</name><uuid>x</uuid>"), ErrorKind::Value, "/domain/uuid"),
        (domain(&format!("{os}<memory>2 </memory>")), ErrorKind::Attribute, "/domain/memory"),
        (
            domain(&format!("{os}<memory unit='x'>2</memory>")),
            ErrorKind::Argument,
            "/domain/memory",
        ),
        (domain("<name>a</name>"), ErrorKind::Element, "/domain"),
        (domain(os), ErrorKind::Element, "/domain/memory"),
        (domain(&format!("{rest}<vcpu>0</vcpu>")), ErrorKind::Value, "/domain"),
        (
            domain(&format!("{rest}<vcpu cpuset='^0'>1</vcpu>")),
            ErrorKind::Unsupported,
            "/domain/vcpu",
        ),
        (with_devices("<disk/>"), ErrorKind::NoTarget, "/domain/devices/disk[1]"),
        (
            with_devices("<interface type='null'/><interface type='vds'><source/></interface>"),
            ErrorKind::Attribute,
            "/domain/devices/interface[2]/source/@switchid",
        ),
        (
            with_devices("<controller type='ide' index='-1'/>"),
            ErrorKind::Attribute,
            "/domain/devices/controller/@index",
        ),
    ];
    for (text, kind, path) in table {
        let error = Domain::parse(&text).unwrap_err();
        assert_eq!((error.kind, error.path.as_str()), (kind, path), "{error}");
    }
}

/// What is written can be read, and then nothing changes any more.
fn write_read_write(domain: &Domain) {
    let options = FormatOptions { secure: true, ..Default::default() };
    let first = domain.to_xml(&options);
    let again = Domain::parse(&first).unwrap();
    assert_eq!(again.to_xml(&options), first);
}

proptest::proptest! {
    #[test]
    fn texts_survive(name in "[ -~é\n\t]{1,20}", description in "\\PC{0,20}") {
        let mut domain = Domain::parse(&with_devices("")).unwrap();
        domain.name = Some(name.clone());
        domain.description = Some(description).filter(|d| !d.is_empty());
        write_read_write(&domain);
        let again = Domain::parse(&domain.to_xml(&FormatOptions::default())).unwrap();
        proptest::prop_assert_eq!(again.name, Some(name));
    }

    #[test]
    fn any_text_is_read_without_panic(text in "[<>/a-z ='\"!&;-]{0,60}") {
        let _ = Domain::parse(&text);
        let _ = Domain::parse(&with_devices(&text));
    }
}
