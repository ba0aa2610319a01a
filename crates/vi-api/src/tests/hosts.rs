//! Replies that other people's servers sent, recorded as they came (testdata/hosts).

use std::path::Path;

use crate::data::{
    AnyVirtualDevice, HostHardwareInfo, HostListSummary, HostNetworkInfo, TaskInfo,
    VirtualMachineConfigInfo, VirtualMachineRuntimeInfo,
};
use crate::enums::TaskInfoState;
use crate::methods::{
    CreateContainerView, FindByUuid, Login, PowerOffVMTask, RetrieveServiceContent,
    WaitForUpdatesEx,
};
use crate::properties::{ObjectRow, Page, decode_page};
use crate::soap::{self, Reply, SoapFault};
use crate::{ApiVersion, Decode, Method, Value, faults};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/hosts")
}

fn recorded(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

fn typed<M: Method>(name: &str) -> M::Output {
    match soap::decode_reply(M::NAME, &recorded(name), M::read_output).unwrap() {
        Reply::Result(result) => result,
        Reply::Fault(fault) => panic!("{fault:?}"),
    }
}

fn page(method: &str, name: &str) -> Page {
    match decode_page(method, recorded(name).as_bytes()).unwrap() {
        Reply::Result(page) => page,
        Reply::Fault(fault) => panic!("{fault:?}"),
    }
}

/// As vcsim leaves out members that the schema calls mandatory, reading is lenient.
fn property<T: Decode>(row: &ObjectRow, path: &str) -> T {
    row.get_lenient(path).unwrap_or_else(|e| panic!("{e}")).unwrap_or_else(|| panic!("no {path}"))
}

/// Decoded by the tables, encoded and decoded again, every reply is the same tree.
#[test]
fn every_reply_survives_as_a_tree() {
    let mut count = 0;
    for server in ["vcsim", "vcsim-vcenter"] {
        for entry in std::fs::read_dir(folder().join(server)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let method = name.split('.').next().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let version = ApiVersion::new(8, 0, 2, 0);
            match soap::decode_response(method, &text).unwrap() {
                Reply::Result(value) => {
                    let again = soap::encode_response(method, value.as_ref(), version);
                    let Reply::Result(read) = soap::decode_response(method, &again).unwrap() else {
                        panic!("a fault")
                    };
                    assert_eq!(read, value, "{name}");
                }
                Reply::Fault(fault) => {
                    let again = soap::encode_fault(
                        &fault.code,
                        &fault.message,
                        fault.detail.as_ref(),
                        version,
                    );
                    let Reply::Fault(read) = soap::decode_response(method, &again).unwrap() else {
                        panic!("a result")
                    };
                    assert_eq!(read, fault, "{name}");
                }
            }
            count += 1;
        }
    }
    assert_eq!(count, 14);
}

#[test]
fn sessions_and_service_content() {
    let content = typed::<RetrieveServiceContent>("vcsim/RetrieveServiceContent.xml");
    assert_eq!(
        (content.about.api_type.as_str(), content.root_folder.kind.as_str()),
        ("HostAgent", "Folder")
    );
    assert_eq!(
        typed::<RetrieveServiceContent>("vcsim-vcenter/RetrieveServiceContent.xml").about.api_type,
        "VirtualCenter"
    );
    assert_eq!(typed::<Login>("vcsim/Login.xml").user_name, "user");
    assert_eq!(
        typed::<CreateContainerView>("vcsim-vcenter/CreateContainerView.xml").kind,
        "ContainerView"
    );
    assert_eq!(typed::<FindByUuid>("vcsim/FindByUuid.none.xml"), None);
    let refused =
        soap::decode_reply(Login::NAME, &recorded("vcsim/Login.wrong.xml"), Login::read_output)
            .unwrap();
    let Reply::Fault(SoapFault { detail: Some(detail), .. }) = refused else { panic!("no fault") };
    assert!(faults::InvalidLogin::from_object(&detail).is_some());
}

#[test]
fn machines_and_their_devices() {
    let page = page("RetrievePropertiesEx", "vcsim/RetrievePropertiesEx.vm.xml");
    assert_eq!(page.objects.len(), 2);
    for row in &page.objects {
        let config: VirtualMachineConfigInfo = property(row, "config");
        assert_eq!(config.name, row.require::<String>("name").unwrap());
        let devices: Vec<AnyVirtualDevice> = property(row, "config.hardware.device");
        assert_eq!(devices, config.hardware.device);
        assert!(
            devices.iter().any(
                |d| matches!(d, AnyVirtualDevice::VirtualDisk(disk) if disk.capacity_in_kb > 0)
            )
        );
        assert!(!devices.iter().any(|d| matches!(d, AnyVirtualDevice::Unrecognized(_))));
        let runtime: VirtualMachineRuntimeInfo = property(row, "runtime");
        assert_eq!(runtime.host.map(|h| h.kind).as_deref(), Some("HostSystem"));
    }
}

#[test]
fn hosts() {
    let page = page("RetrievePropertiesEx", "vcsim/RetrievePropertiesEx.host.xml");
    let row = &page.objects[0];
    let hardware: HostHardwareInfo = property(row, "hardware");
    assert!(hardware.memory_size > 0 && !hardware.cpu_pkg.is_empty());
    let network: HostNetworkInfo = property(row, "config.network");
    assert!(network.vswitch.iter().all(|s| !s.name.is_empty()) && !network.portgroup.is_empty());
    let summary: HostListSummary = property(row, "summary");
    assert_eq!(summary.host.as_ref(), Some(&row.moref));
}

/// A whole machine, as `all` gives it: every property is read as the type that the tables name.
#[test]
fn every_property_of_a_machine_is_of_its_declared_type() {
    let page = page("RetrieveProperties", "vcsim-vcenter/RetrieveProperties.vm.xml");
    for row in &page.objects {
        for name in row.names() {
            let value: Value = property(row, name);
            let declared =
                crate::schema::properties("VirtualMachine").find(|p| p.name == name).unwrap();
            match value {
                Value::Object(object) => assert!(
                    crate::schema::is_subtype(&object.type_name, declared.wire_type.name()),
                    "{name}"
                ),
                Value::Array(array) => {
                    assert_eq!(array.item_type, declared.wire_type.name(), "{name}")
                }
                _ => {}
            }
        }
    }
}

#[test]
fn tasks_and_what_became_of_them() {
    assert_eq!(typed::<PowerOffVMTask>("vcsim/PowerOffVM_Task.xml").kind, "Task");
    let set = typed::<WaitForUpdatesEx>("vcsim/WaitForUpdatesEx.xml").expect("an update set");
    let changes = set.filter_set.iter().flat_map(|f| &f.object_set).flat_map(|o| &o.change_set);
    let infos: Vec<TaskInfo> = changes
        .map(|change| {
            let Some(Value::Object(info)) = &change.val else { panic!("{change:?}") };
            info.to_typed().unwrap()
        })
        .collect();
    assert_eq!(
        infos.iter().map(|i| &i.state).collect::<Vec<_>>(),
        [&TaskInfoState::Success, &TaskInfoState::Error]
    );
    let error = infos[1].error.as_ref().expect("an error");
    let view = faults::InvalidPowerState::from_object(&error.fault)
        .expect("the fault of a second power off");
    assert_eq!(view.existing_state, "poweredOff");
}

#[test]
fn what_a_host_cannot_read_is_named() {
    let page = page("RetrievePropertiesEx", "vcsim/RetrievePropertiesEx.fault.xml");
    let fault = page.objects[0].missing("config.nope").unwrap();
    assert_eq!(faults::InvalidProperty::from_object(&fault).unwrap().name, "config.nope");
}
