//! Documents and configurations beyond libvirt's flags: exact, or with the keys that have no place in domain XML.

use crate::common::connect;
use esx_sim::Simulator;
use virt_api::{
    Definitions, DomainDefineFlags, DomainSelector, DomainXmlFlags, Driver as _, ErrorCode,
    Hypervisor as _, NativeConversionFlags,
};

const KEPT: &str = "urn:virtesx:vmx:1";
const FILE: &str = "config.version = \"8\"\nvirtualHW.version = \"11\"\ndisplayName = \"a\"\n\
                    guestinfo.role = \"web\"\nusb.present = \"TRUE\"\n";

#[tokio::test]
async fn native_files_keep_keys_or_convert_exactly() {
    let sim = Simulator::builder().vms(1).start().await.unwrap();
    let connection = connect(&sim, "").await;
    let convert =
        async |flags| connection.connect_domain_xml_from_native("vmware-vmx", FILE, flags).await;
    let plain = convert(NativeConversionFlags::empty()).await.unwrap();
    assert!(plain.contains("type='usb'") && !plain.contains(KEPT), "{plain}");
    let exact = convert(NativeConversionFlags::EXACT).await.unwrap();
    assert!(!exact.contains("type='usb'") && !exact.contains(KEPT), "{exact}");
    let kept = convert(NativeConversionFlags::KEEP_KEYS).await.unwrap();
    assert!(kept.contains("name='guestinfo.role'>web<"), "{kept}");
    let both = convert(NativeConversionFlags::EXACT | NativeConversionFlags::KEEP_KEYS).await;
    assert_eq!(both.unwrap_err().code, ErrorCode::InvalidArg);

    let back = async |xml: &str, flags| {
        connection.connect_domain_xml_to_native("vmware-vmx", xml, flags).await
    };
    let file = back(&kept, NativeConversionFlags::empty()).await.unwrap();
    assert!(file.contains("guestinfo.role = \"web\"\n"), "{file}");
    // The file's own hardware version, not the host's newest one.
    assert!(file.contains("virtualHW.version = \"11\"\n"), "{file}");
    // Unless the host has none so new.
    let newer = back(&kept.replace(">11<", ">99<"), NativeConversionFlags::empty()).await.unwrap();
    assert!(!newer.contains("virtualHW.version = \"99\"\n"), "{newer}");
    let exact = back(&kept, NativeConversionFlags::EXACT).await.unwrap();
    assert!(!exact.contains("guestinfo") && !exact.contains("usb"), "{exact}");
    let keeping = back(&kept, NativeConversionFlags::KEEP_KEYS).await;
    assert_eq!(keeping.unwrap_err().code, ErrorCode::InvalidArg);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn dumps_keep_keys() {
    let sim = Simulator::builder().vms(1).start().await.unwrap();
    let connection = connect(&sim, "").await;
    let web = connection.domain_get_details(&DomainSelector::Name("web01".into())).await.unwrap();
    let dump = async |flags| connection.domain_get_xml_desc(&web.domain, flags).await;
    let plain = dump(DomainXmlFlags::empty()).await.unwrap();
    let kept = dump(DomainXmlFlags::KEEP_KEYS).await.unwrap();
    assert!(!plain.contains(KEPT) && kept.contains(KEPT), "{kept}");
    let (before, rest) = kept.split_once("  <metadata>").unwrap();
    let (_, after) = rest.split_once("</metadata>\n").unwrap();
    assert_eq!([before, after].concat(), plain);
    let both = dump(DomainXmlFlags::EXACT | DomainXmlFlags::KEEP_KEYS).await;
    assert_eq!(both.unwrap_err().code, ErrorCode::InvalidArg);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn domains_are_defined_as_libvirt_would_if_asked() {
    let sim = Simulator::builder().vms(1).start().await.unwrap();
    let connection = connect(&sim, "").await;
    let web = connection.domain_get_details(&DomainSelector::Name("web01".into())).await.unwrap();
    let inactive = DomainXmlFlags::INACTIVE;
    let xml = connection.domain_get_xml_desc(&web.domain, inactive).await.unwrap();
    let (_, disk) = xml.split_once("<source file='").unwrap();
    let (folder, _) = disk.split_once('/').unwrap();
    for (name, flags, usb) in
        [("plain", DomainDefineFlags::empty(), true), ("exact", DomainDefineFlags::EXACT, false)]
    {
        let xml = format!(
            "<domain type='vmware'><name>{name}</name><memory unit='MiB'>64</memory>\
             <os><type>hvm</type></os><devices>\
             <disk type='file' device='disk'><source file='{folder}/{name}.vmdk'/>\
             <target dev='sda' bus='scsi'/></disk><controller type='usb' model='ehci'/>\
             </devices></domain>",
        );
        let domain = connection.domain_define_xml_flags(&xml, flags).await.unwrap();
        let defined = connection.domain_get_xml_desc(&domain, inactive).await.unwrap();
        assert_eq!(defined.contains("type='usb'"), usb, "{defined}");
    }
    connection.close().await.unwrap();
}
