//! Requests for hosts of older APIs: what the matching snapshot does not have must not be sent, and
//! the caller must be told.

use super::samples::Samples;
use super::xsd;
use crate::codec::Typed;
use crate::data::{
    AnyVirtualDevice, VirtualDeviceConfigSpec, VirtualE1000, VirtualMachineConfigSpec,
    VirtualNVMEController,
};
use crate::methods::ReconfigVMTask;
use crate::{ApiVersion, MoRef, Writer, dynamic, schema, soap};

const SNAPSHOTS: [(&str, ApiVersion); 5] = [
    ("2.5", ApiVersion::V2_5),
    ("4.0", ApiVersion::V4_0),
    ("4.1", ApiVersion::V4_1),
    ("6.7", ApiVersion::new(6, 7, 0, 0)),
    ("8.0", ApiVersion::new(8, 0, 2, 0)),
];

/// Every method of the root list with all members set, for each version.
#[test]
fn requests_fit_the_snapshot_of_their_version() {
    for (name, version) in SNAPSHOTS {
        let xsd = xsd::Schema::read(name);
        let known: std::collections::HashMap<_, _> = xsd.enums.clone();
        let (mut sent, mut withheld_total) = (0, 0);
        for call in crate::generated::methods::CALLS.iter().copied().flatten() {
            assert_eq!(
                call.since <= version,
                xsd.has_element(call.name),
                "{} in {name}",
                call.name
            );
            if call.since > version {
                continue;
            }
            for seed in 0..1 {
                let known = known.clone();
                let mut samples = Samples::new(seed);
                samples.full = true;
                samples.enum_values = Box::new(move |e| known.get(e).cloned());
                let args = samples.arguments(call.name);
                let (body, withheld) = typed(call, &args, version);
                // A mandatory value of a type that the host lacks cannot be sent at all.
                let hollow = withheld.iter().any(|w| w.contains(" of type "));
                match xsd.validate_request(&body) {
                    Ok(()) => {}
                    Err(e) if hollow && e.contains(": 0 times") => {}
                    Err(e) => panic!("{name} {}: {e}\n{body}", call.name),
                }
                let dynamic =
                    soap::encode_request(call.name, &MoRef::new("X", "x"), &args, version);
                assert_eq!(dynamic.withheld, withheld, "{name} {}", call.name);
                sent += 1;
                withheld_total += withheld.len();
            }
        }
        assert!(sent > 150, "{name}: only {sent}");
        assert_eq!(withheld_total == 0, name == "8.0", "{name}");
    }
}

fn typed(call: &Typed, args: &crate::Object, version: ApiVersion) -> (String, Vec<String>) {
    let mut writer = Writer::new(ApiVersion::new(8, 0, 2, 0));
    writer.raw("<r xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">");
    for param in schema::method(call.name).unwrap().1.params {
        if let Some(value) = args.get(param.name) {
            dynamic::encode_member(param, value, &mut writer);
        }
    }
    writer.close("r");
    (call.through)(&writer.finish().0, version).unwrap()
}

/// What an old host does not know of a list of devices is left out item by item, and named.
#[test]
fn items_of_newer_types_are_withheld_one_by_one() {
    let device =
        |device: AnyVirtualDevice| VirtualDeviceConfigSpec { device, ..Default::default() };
    let call = ReconfigVMTask {
        spec: VirtualMachineConfigSpec {
            device_change: vec![
                device(VirtualE1000::default().into()).into(),
                device(VirtualNVMEController::default().into()).into(),
            ],
            ..Default::default()
        },
    };
    let encoded = soap::encode_call(&call, &MoRef::new("VirtualMachine", "1"), ApiVersion::V4_1);
    assert_eq!(encoded.withheld, ["device of type VirtualNVMEController (since 6.5)"]);
    assert!(encoded.body.contains("VirtualE1000") && !encoded.body.contains("NVME"));
}

/// The marks of the tables agree with what the snapshots hold. All that differs is a few faults, which are
/// never sent.
#[test]
fn since_marks_agree_with_the_snapshots() {
    let mut wrong = String::new();
    for (name, version) in SNAPSHOTS {
        let xsd = xsd::Schema::read(name);
        for found in schema::data_types() {
            if (found.since <= version) != xsd.has_type(found.name) {
                wrong.push_str(&format!("{name}: {} (since {})\n", found.name, found.since));
            }
        }
    }
    insta::assert_snapshot!(wrong);
}
