//! Envelopes both ways, and replies as other servers write them.

use super::*;
use crate::data::{
    AnySelectionSpec, ObjectSpec, PropertyFilterSpec, PropertySpec, RetrieveOptions, TraversalSpec,
};
use crate::enums::VirtualMachinePowerState;
use crate::methods::{FindByUuid, Login, RetrievePropertiesEx, RetrieveServiceContent};
use crate::{Array, EnumValue};

const V8: ApiVersion = ApiVersion::new(8, 0, 2, 0);

fn retrieve() -> RetrievePropertiesEx {
    RetrievePropertiesEx {
        spec_set: vec![PropertyFilterSpec {
            prop_set: vec![PropertySpec {
                type_: "VirtualMachine".into(),
                path_set: vec!["name".into()],
                ..Default::default()
            }],
            object_set: vec![ObjectSpec {
                obj: MoRef::new("HostSystem", "ha-host"),
                skip: Some(true),
                select_set: vec![
                    TraversalSpec {
                        type_: "HostSystem".into(),
                        path: "vm".into(),
                        ..Default::default()
                    }
                    .into(),
                ],
            }],
            ..Default::default()
        }],
        options: RetrieveOptions::default(),
    }
}

#[test]
fn a_request_reads_back_as_what_was_asked() {
    let this = MoRef::new("PropertyCollector", "ha-property-collector");
    let encoded = encode_call(&retrieve(), &this, V8);
    insta::assert_snapshot!(encoded.body, @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">ha-property-collector</_this><specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet><objectSet><obj type="HostSystem">ha-host</obj><skip>true</skip><selectSet xsi:type="TraversalSpec"><type>HostSystem</type><path>vm</path></selectSet></objectSet></specSet><options></options></RetrievePropertiesEx></soapenv:Body></soapenv:Envelope>
    "#);
    let request = decode_request(encoded.body.as_bytes()).unwrap();
    assert_eq!((request.method.as_str(), &request.this), ("RetrievePropertiesEx", &this));
    // The dynamic tree, encoded again, is the same request.
    assert_eq!(encode_request(&request.method, &this, &request.args, V8).body, encoded.body);
}

#[test]
fn an_old_host_is_not_asked_for_what_it_does_not_know() {
    let call = FindByUuid {
        uuid: "u".into(),
        vm_search: true,
        instance_uuid: Some(true),
        ..Default::default()
    };
    let this = MoRef::new("SearchIndex", "s");
    assert!(encode_call(&call, &this, V8).body.contains("instanceUuid"));
    let old = encode_call(&call, &this, ApiVersion::V2_5);
    assert!(!old.body.contains("instanceUuid"));
    assert_eq!(old.withheld, ["instanceUuid (since 4.0)"]);
}

#[test]
fn passwords_do_not_show() {
    let login = Login { user_name: "root".into(), password: "canary".into(), locale: None };
    let shown = format!("{login:?}");
    assert!(shown.contains("root") && !shown.contains("canary"), "{shown}");
}

#[test]
fn names_cannot_break_out_of_their_element() {
    let login =
        Login { user_name: "a</userName><x>&".into(), password: "<&>\"'".into(), locale: None };
    let encoded = encode_call(&login, &MoRef::new("SessionManager", "s"), V8);
    let request = decode_request(encoded.body.as_bytes()).unwrap();
    assert_eq!(request.args.str("userName"), Some("a</userName><x>&"));
    assert_eq!(request.args.str("password"), Some("<&>\"'"));
}

fn reply<M: Method>(text: &str) -> Result<Reply<M::Output>, DecodeError> {
    decode_reply(M::NAME, text, M::read_output)
}

/// As vcsim writes it: other prefixes, an attribute order of its own, white space in between.
const FOREIGN: &str = r#"<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">
 <s:Header/>
 <s:Body>
  <v:RetrieveServiceContentResponse xmlns:v="urn:vim25"><v:returnval>
    <v:propertyCollector type="PropertyCollector">pc</v:propertyCollector>
    <v:rootFolder type="Folder">root</v:rootFolder>
    <v:about>
      <v:name>n</v:name><v:fullName>f</v:fullName><v:vendor>v</v:vendor><v:version>8</v:version><v:build>1</v:build>
      <v:osType>o</v:osType><v:productLineId>embeddedEsx</v:productLineId><v:apiType>HostAgent</v:apiType>
      <v:apiVersion>8.0.2.0</v:apiVersion><v:newInVersion9><v:x>1</v:x></v:newInVersion9>
    </v:about>
  </v:returnval></v:RetrieveServiceContentResponse>
 </s:Body>
</s:Envelope>"#;

#[test]
fn foreign_prefixes_order_and_white_space_are_fine() {
    let Reply::Result(content) = reply::<RetrieveServiceContent>(FOREIGN).unwrap() else {
        panic!("a fault")
    };
    assert_eq!(content.root_folder, MoRef::new("Folder", "root"));
    assert_eq!(content.about.api_version, "8.0.2.0");
    assert_eq!(content.search_index, None);
}

#[test]
fn a_missing_mandatory_member_names_its_path() {
    let cut = FOREIGN.replace("<v:apiVersion>8.0.2.0</v:apiVersion>", "");
    let error = reply::<RetrieveServiceContent>(&cut).unwrap_err();
    assert_eq!(
        error.to_string(),
        "missing mandatory member apiVersion at Envelope/Body/RetrieveServiceContentResponse/returnval/about"
    );
}

#[test]
fn a_cut_reply_is_never_taken_for_whole() {
    for end in 0..FOREIGN.len() - 1 {
        assert!(reply::<RetrieveServiceContent>(&FOREIGN[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn faults_keep_their_type() {
    let fault = Object::new("InvalidProperty").with("name", "config.nope");
    let text = encode_fault("ServerFaultCode", "no <such> property", Some(&fault), V8);
    let Reply::Fault(read) = reply::<FindByUuid>(&text).unwrap() else { panic!("a result") };
    assert_eq!((read.name(), read.message.as_str()), ("InvalidProperty", "no <such> property"));
    assert_eq!(read.detail, Some(fault));
    let unknown = text.replace("InvalidProperty", "FaultOfVersion99");
    let Reply::Fault(read) = reply::<FindByUuid>(&unknown).unwrap() else { panic!("a result") };
    assert_eq!(read.name(), "FaultOfVersion99");
}

#[test]
fn html_is_no_reply() {
    let error = reply::<FindByUuid>("<html><body>login</body></html>").unwrap_err();
    assert_eq!(error.to_string(), "expected a SOAP envelope, found html at html");
    assert!(reply::<FindByUuid>("").is_err());
    assert!(reply::<FindByUuid>("plain text").is_err());
}

#[test]
fn dynamic_values_survive_the_wire() {
    let device = Object::new("VirtualE1000")
        .with("key", 4000)
        .with("deviceInfo", Object::new("Description").with("label", "NIC").with("summary", "net"))
        .with("addressType", "generated");
    let value = Value::from(Array::new("VirtualDevice", vec![device.into()]));
    let content = Object::new("ObjectContent").with("obj", MoRef::new("VirtualMachine", "7")).with(
        "propSet",
        Array::new(
            "DynamicProperty",
            vec![
                Object::new("DynamicProperty")
                    .with("name", "config.hardware.device")
                    .with("val", value)
                    .into(),
                Object::new("DynamicProperty")
                    .with("name", "runtime.powerState")
                    .with("val", EnumValue::new("VirtualMachinePowerState", "poweredOn"))
                    .into(),
                Object::new("DynamicProperty")
                    .with("name", "x")
                    .with("val", Array::new("xsd:string", vec!["a".into(), "<b>".into()]))
                    .into(),
            ],
        ),
    );
    let result = Value::from(Array::new("ObjectContent", vec![content.into()]));
    let text = encode_response("RetrieveProperties", Some(&result), V8);
    insta::assert_snapshot!(text.split_once("<returnval>").unwrap().1, @r#"<obj type="VirtualMachine">7</obj><propSet><name>config.hardware.device</name><val xsi:type="ArrayOfVirtualDevice"><VirtualDevice xsi:type="VirtualE1000"><key>4000</key><deviceInfo><label>NIC</label><summary>net</summary></deviceInfo><addressType>generated</addressType></VirtualDevice></val></propSet><propSet><name>runtime.powerState</name><val xsi:type="VirtualMachinePowerState">poweredOn</val></propSet><propSet><name>x</name><val xsi:type="ArrayOfString"><string xsi:type="xsd:string">a</string><string xsi:type="xsd:string">&lt;b&gt;</string></val></propSet></returnval></RetrievePropertiesResponse></soapenv:Body></soapenv:Envelope>"#);
    let Reply::Result(read) = decode_response("RetrieveProperties", &text).unwrap() else {
        panic!("a fault")
    };
    assert_eq!(read, Some(result));
}

#[test]
fn unknown_types_and_members_survive() {
    let text = encode_call(&retrieve(), &MoRef::new("PropertyCollector", "pc"), V8).body.replace(
        "<selectSet xsi:type=\"TraversalSpec\"><type>HostSystem</type>",
        "<selectSet xsi:type=\"FutureSpec\"><depth xsi:type=\"xsd:int\">3</depth>",
    );
    let request = decode_request(text.as_bytes()).unwrap();
    let again = encode_request(&request.method, &request.this, &request.args, V8).body;
    assert_eq!(decode_request(again.as_bytes()).unwrap(), request);
    assert!(
        again.contains("xsi:type=\"FutureSpec\"")
            && again.contains("<depth xsi:type=\"xsd:int\">3</depth>"),
        "{again}"
    );
    let spec = AnySelectionSpec::from(Object::new("FutureSpec").with("depth", 3));
    let mut writer = Writer::new(V8);
    writer.value("selectSet", &spec);
    assert!(writer.finish().0.contains("xsi:type=\"FutureSpec\""));
}

#[test]
fn enumerations_keep_unknown_values() {
    assert_eq!(VirtualMachinePowerState::from("poweredOn"), VirtualMachinePowerState::PoweredOn);
    assert_eq!(VirtualMachinePowerState::from("hibernated").as_str(), "hibernated");
}

/// Types of a newer schema keep their names, whatever they hold.
#[test]
fn unknown_types_are_written_back_as_they_came() {
    for value in [
        "<val xsi:type=\"FutureState\">hibernated</val>",
        "<val xsi:type=\"FutureThing\"></val>",
        "<val xsi:type=\"FutureThing\"><a xsi:type=\"xsd:int\">1</a></val>",
        "<val xsi:type=\"ArrayOfFutureThing\"><FutureThing xsi:type=\"FutureThing\"></FutureThing></val>",
        "<fault xsi:type=\"FutureFault\"></fault>",
        "<val xsi:type=\"ManagedObjectReference\" type=\"FutureManager\">f</val>",
    ] {
        let owner =
            if value.starts_with("<fault") { "LocalizedMethodFault" } else { "PropertyChange" };
        let text = format!(
            "<r xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' \
             xmlns:xsd='http://www.w3.org/2001/XMLSchema'>{value}</r>"
        );
        let read = dynamic::from_xml(owner, &text).unwrap();
        let mut writer = Writer::new(ApiVersion::V2_5);
        dynamic::encode_object("r", read.as_object().unwrap(), false, &mut writer);
        let (again, withheld) = writer.finish();
        assert_eq!((again, withheld), (format!("<r>{value}</r>"), Vec::new()));
    }
}

/// What stands in a list without a value is no item.
#[test]
fn nil_items_are_passed_over() {
    let text = "<r xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'>\
                <int>1</int><int xsi:nil='true'/><int>2</int></r>";
    let mut reader = Reader::new(text);
    let root = reader.next_child().unwrap().unwrap();
    assert_eq!(<Vec<i32> as crate::Decode>::decode(&root, &mut reader).unwrap(), [1, 2]);
}
