//! Pages as hosts and vcsim write them.

use super::*;
use crate::data::{HostCpuIdInfo, LocalizedMethodFault};
use crate::enums::VirtualMachinePowerState;
use crate::soap::Reply;

/// One page: an ESXi-like object, one written as vcsim does, one without properties.
const PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<soapenv:Body><RetrievePropertiesExResponse xmlns="urn:vim25"><returnval><token>2</token>
<objects><obj type="VirtualMachine">1</obj>
<propSet><name>name</name><val xsi:type="xsd:string">a &amp; b</val></propSet>
<propSet><name>runtime.powerState</name><val xsi:type="VirtualMachinePowerState">poweredOn</val></propSet>
<propSet><name>hardware.cpuFeature</name><val xsi:type="ArrayOfHostCpuIdInfo"><HostCpuIdInfo xsi:type="HostCpuIdInfo"><level>-2147483647</level><edx>0010</edx></HostCpuIdInfo></val></propSet>
<missingSet><path>config</path><fault><fault xsi:type="NoPermission"><object type="VirtualMachine">1</object><privilegeId>System.Read</privilegeId></fault><localizedMessage>no</localizedMessage></fault></missingSet>
</objects>
<objects><obj type="VirtualMachine">2</obj>
<propSet><name>name</name><val xmlns:q="http://www.w3.org/2001/XMLSchema-instance" q:type="xsd:string">c</val></propSet>
<propSet><name>snapshot</name><val xmlns:q="http://www.w3.org/2001/XMLSchema-instance" q:type="ArrayOfHostCpuIdInfo"><HostCpuIdInfo><level q:type="xsd:int">1</level></HostCpuIdInfo></val></propSet>
<propSet><name>parent</name><val xsi:type="ManagedObjectReference" type="Folder">f</val></propSet>
</objects>
<objects><obj type="VirtualMachine">3</obj></objects>
</returnval></RetrievePropertiesExResponse></soapenv:Body></soapenv:Envelope>"#;

fn page(text: &str) -> Page {
    match decode_page("RetrievePropertiesEx", text.as_bytes()).unwrap() {
        Reply::Result(page) => page,
        Reply::Fault(fault) => panic!("{fault:?}"),
    }
}

#[test]
fn properties_are_decoded_when_asked_for() {
    let page = page(PAGE);
    assert_eq!(page.token.as_deref(), Some("2"));
    let [one, two, three] = &page.objects[..] else { panic!("{} objects", page.objects.len()) };
    assert_eq!(one.moref, MoRef::new("VirtualMachine", "1"));
    assert_eq!(one.require::<String>("name").unwrap(), "a & b");
    assert_eq!(one.get("runtime.powerState").unwrap(), Some(VirtualMachinePowerState::PoweredOn));
    let features: Vec<HostCpuIdInfo> = one.require("hardware.cpuFeature").unwrap();
    assert_eq!((features[0].level, features[0].edx.as_deref()), (-2_147_483_647, Some("0010")));
    assert_eq!(one.missing_paths().collect::<Vec<_>>(), ["config"]);
    let fault = one.missing("config").unwrap();
    assert_eq!(
        fault.get_path("fault.privilegeId").and_then(crate::Value::as_str),
        Some("System.Read")
    );

    assert_eq!(two.require::<String>("name").unwrap(), "c");
    assert_eq!(two.require::<Vec<HostCpuIdInfo>>("snapshot").unwrap()[0].level, 1);
    assert_eq!(two.require::<MoRef>("parent").unwrap(), MoRef::new("Folder", "f"));
    assert_eq!(three.names().count(), 0);
}

#[test]
fn a_wrong_type_fails_only_who_asks() {
    let page = page(PAGE);
    let error = page.objects[0].require::<i32>("name").unwrap_err();
    assert_eq!(error.to_string(), "expected xsd:int, found \"a & b\" at VirtualMachine:1 name");
    let error = page.objects[2].require::<String>("name").unwrap_err();
    assert_eq!(error.to_string(), "missing mandatory member name at VirtualMachine:3");
}

#[test]
fn lenient_reading_forgives_missing_members() {
    let text = PAGE.replace("<level>-2147483647</level>", "");
    let row = &page(&text).objects[0];
    assert!(row.get::<Vec<HostCpuIdInfo>>("hardware.cpuFeature").is_err());
    let features: Vec<HostCpuIdInfo> = row.get_lenient("hardware.cpuFeature").unwrap().unwrap();
    assert_eq!(features[0].level, 0);
}

#[test]
fn a_bare_list_is_a_page_too() {
    let text = PAGE
        .replace("RetrievePropertiesExResponse", "RetrievePropertiesResponse")
        .replace("<returnval><token>2</token>", "")
        .replace("</returnval>", "")
        .replace("<objects>", "<returnval>")
        .replace("</objects>", "</returnval>");
    let Reply::Result(page) = decode_page("RetrieveProperties", text.as_bytes()).unwrap() else {
        panic!("a fault")
    };
    assert_eq!((page.objects.len(), page.token), (3, None));
}

#[test]
fn an_empty_result_is_an_empty_page() {
    let text = r#"<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><RetrievePropertiesExResponse xmlns="urn:vim25"/></e:Body></e:Envelope>"#;
    assert!(page(text).objects.is_empty());
}

#[test]
fn one_bad_byte_does_not_cost_the_page() {
    let mut bytes = PAGE.as_bytes().to_vec();
    let at = bytes.windows(5).position(|w| w == b"a &am").unwrap();
    bytes[at] = 0xff;
    bytes[at + 1] = 0x01;
    let Reply::Result(page) = decode_page("RetrievePropertiesEx", &bytes).unwrap() else {
        panic!("a fault")
    };
    assert_eq!(page.objects[0].require::<String>("name").unwrap(), "\u{fffd}\u{fffd}& b");
    assert_eq!(page.objects.len(), 3);
}

#[test]
fn faults_are_data() {
    let fault =
        LocalizedMethodFault { fault: Object::new("NoPermission"), localized_message: None };
    assert_eq!(fault.fault.type_name, "NoPermission");
}

#[test]
fn a_row_of_values_reads_as_one_that_came() {
    let page = page(PAGE);
    for row in &page.objects {
        let paths: Vec<_> = row.names().map(str::to_owned).collect();
        let values: Vec<crate::Value> =
            paths.iter().map(|path| row.require(path).unwrap()).collect();
        let faults = [("config", "NoPermission"), ("name", "Some<Fault")];
        let made = ObjectRow::from_values(
            &row.moref,
            paths.iter().map(String::as_str).zip(&values),
            faults.into_iter().take(row.missing_paths().count()),
        );
        assert_eq!(made.names().collect::<Vec<_>>(), paths);
        for (path, value) in paths.iter().zip(&values) {
            assert_eq!(made.require::<crate::Value>(path).unwrap(), *value, "{path}");
        }
        assert_eq!(
            made.missing_paths().collect::<Vec<_>>(),
            row.missing_paths().collect::<Vec<_>>()
        );
        if let Some(fault) = made.missing("config") {
            assert_eq!(fault.get("fault").unwrap().as_object().unwrap().type_name, "NoPermission");
        }
    }
    let [one, two, _] = &page.objects[..] else { panic!("{} objects", page.objects.len()) };
    let features: crate::Value = one.require("hardware.cpuFeature").unwrap();
    let parent: crate::Value = two.require("parent").unwrap();
    let values = [("hardware.cpuFeature", &features), ("parent", &parent)];
    let made = ObjectRow::from_values(&one.moref, values, []);
    let features: Vec<HostCpuIdInfo> = made.require("hardware.cpuFeature").unwrap();
    assert_eq!((features[0].level, features[0].edx.as_deref()), (-2_147_483_647, Some("0010")));
    assert_eq!(made.require::<MoRef>("parent").unwrap(), MoRef::new("Folder", "f"));
}
