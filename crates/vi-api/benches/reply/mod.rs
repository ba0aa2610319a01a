//! A `RetrievePropertiesEx` reply like those of hosts: name, power state, UUID and `config.hardware`
//! of many machines, about 5.6 kB each. Written by the dynamic codec, so no server is needed.

use esx_vi_api::{ApiVersion, Array, EnumValue, MoRef, Object, Value, soap};

fn described(type_name: &'static str, key: i32, label: &str, summary: &str) -> Object {
    Object::new(type_name).with("key", key).with(
        "deviceInfo",
        Object::new("Description").with("label", label).with("summary", summary),
    )
}

fn keys(keys: &[i32]) -> Array {
    Array::new("xsd:int", keys.iter().map(|&k| k.into()).collect())
}

fn connectable(on: bool) -> Object {
    Object::new("VirtualDeviceConnectInfo")
        .with("startConnected", on)
        .with("allowGuestControl", true)
        .with("connected", on)
        .with("status", "ok")
}

fn controllers() -> Vec<Object> {
    let bus = |o: Object, number: i32| o.with("busNumber", number);
    vec![
        bus(described("VirtualIDEController", 200, "IDE 0", "IDE 0"), 0)
            .with("device", keys(&[3002])),
        bus(described("VirtualIDEController", 201, "IDE 1", "IDE 1"), 1),
        bus(described("VirtualPS2Controller", 300, "PS2 controller 0", "PS2 controller 0"), 0)
            .with("device", keys(&[600, 700])),
        bus(described("VirtualPCIController", 100, "PCI controller 0", "PCI controller 0"), 0)
            .with("device", keys(&[500, 12_000, 1000, 4000])),
        bus(described("VirtualSIOController", 400, "SIO controller 0", "SIO controller 0"), 0),
        described("VirtualKeyboard", 600, "Keyboard", "Keyboard")
            .with("controllerKey", 300)
            .with("unitNumber", 0),
        described("VirtualPointingDevice", 700, "Pointing device", "Pointing device; Device")
            .with(
                "backing",
                Object::new("VirtualPointingDeviceDeviceBackingInfo")
                    .with("deviceName", "")
                    .with("useAutoDetect", false)
                    .with("hostPointingDevice", "autodetect"),
            )
            .with("controllerKey", 300)
            .with("unitNumber", 1),
        described("VirtualMachineVideoCard", 500, "Video card ", "Video card")
            .with("controllerKey", 100)
            .with("unitNumber", 0)
            .with("videoRamSizeInKB", 4096i64)
            .with("numDisplays", 1)
            .with("useAutoDetect", false)
            .with("enable3DSupport", false)
            .with("use3dRenderer", "automatic")
            .with("graphicsMemorySizeInKB", 262_144i64),
        described(
            "VirtualMachineVMCIDevice",
            12_000,
            "VMCI device",
            "Device on the virtual machine PCI bus",
        )
        .with("controllerKey", 100)
        .with("unitNumber", 17)
        .with("id", -1i64)
        .with("allowUnrestrictedCommunication", false)
        .with("filterEnable", true),
        bus(
            described(
                "ParaVirtualSCSIController",
                1000,
                "SCSI controller 0",
                "VMware paravirtual SCSI",
            ),
            0,
        )
        .with("controllerKey", 100)
        .with("unitNumber", 3)
        .with("device", keys(&[2000]))
        .with("hotAddRemove", true)
        .with("sharedBus", "noSharing")
        .with("scsiCtlrUnitNumber", 7),
    ]
}

fn devices(number: usize) -> Vec<Value> {
    let mut devices = controllers();
    devices.push(
        described("VirtualCdrom", 3002, "CD/DVD drive 1", "Remote ATAPI")
            .with(
                "backing",
                Object::new("VirtualCdromRemotePassthroughBackingInfo")
                    .with("deviceName", "")
                    .with("useAutoDetect", false)
                    .with("exclusive", false),
            )
            .with("connectable", connectable(false))
            .with("controllerKey", 200)
            .with("unitNumber", 0),
    );
    devices.push(
        described("VirtualVmxnet3", 4000, "Network adapter 1", "VM Network & <more>")
            .with(
                "backing",
                Object::new("VirtualEthernetCardNetworkBackingInfo")
                    .with("deviceName", "VM Network")
                    .with("useAutoDetect", false)
                    .with("network", MoRef::new("Network", "HaNetwork-VM Network"))
                    .with("inPassthroughMode", false),
            )
            .with("connectable", connectable(true))
            .with("controllerKey", 100)
            .with("unitNumber", 7)
            .with("addressType", "generated")
            .with(
                "macAddress",
                format!("00:0c:29:{:02x}:{:02x}:01", number >> 8 & 255, number & 255),
            )
            .with("wakeOnLanEnabled", true),
    );
    devices.push(
        described("VirtualDisk", 2000, "Hard disk 1", "10,485,760 KB")
            .with(
                "backing",
                Object::new("VirtualDiskFlatVer2BackingInfo")
                    .with(
                        "fileName",
                        format!("[datastore1] machine-{number}/machine-{number}.vmdk"),
                    )
                    .with("datastore", MoRef::new("Datastore", "datastore-1"))
                    .with("diskMode", "persistent")
                    .with("split", false)
                    .with("writeThrough", false)
                    .with("thinProvisioned", true)
                    .with("uuid", format!("6000c29{number:025x}"))
                    .with("contentId", "ffffffffffffffffffffffffffffffff")
                    .with("digestEnabled", false),
            )
            .with("controllerKey", 1000)
            .with("unitNumber", 0)
            .with("capacityInKB", 10_485_760i64)
            .with("capacityInBytes", 10_737_418_240i64),
    );
    devices.into_iter().map(Value::from).collect()
}

/// The reply for `count` machines.
pub(crate) fn reply(count: usize) -> String {
    let property = |name: &str, value: Value| -> Value {
        Object::new("DynamicProperty").with("name", name.to_owned()).with("val", value).into()
    };
    let machine = |number: usize| -> Value {
        let hardware = Object::new("VirtualHardware")
            .with("numCPU", 2)
            .with("numCoresPerSocket", 1)
            .with("memoryMB", 2048)
            .with("virtualICH7MPresent", false)
            .with("virtualSMCPresent", false)
            .with("device", Array::new("VirtualDevice", devices(number)));
        let state = EnumValue::new("VirtualMachinePowerState", "poweredOn");
        let properties = vec![
            property("config.hardware", hardware.into()),
            property("config.uuid", format!("564d0000-0000-0000-0000-{number:012x}").into()),
            property("name", format!("machine-{number}").into()),
            property("runtime.powerState", state.into()),
        ];
        Object::new("ObjectContent")
            .with("obj", MoRef::new("VirtualMachine", number.to_string()))
            .with("propSet", Array::new("DynamicProperty", properties))
            .into()
    };
    let result = Object::new("RetrieveResult")
        .with("objects", Array::new("ObjectContent", (0..count).map(machine).collect()));
    soap::encode_response("RetrievePropertiesEx", Some(&result.into()), ApiVersion::new(8, 0, 2, 0))
}
