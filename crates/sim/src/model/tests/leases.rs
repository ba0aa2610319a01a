//! Export leases.

use super::*;
use crate::model::LeaseState;

fn export(client: &mut Client, entity: &MoRef, method: &str) -> MoRef {
    let lease = client.result(entity.clone(), method, Object::new("")).unwrap().unwrap();
    lease.as_moref().unwrap().clone()
}

fn look(client: &mut Client, lease: &MoRef, path: &str) -> Option<Value> {
    let contents = client.retrieve(filter(properties("HttpNfcLease", &[path]), root(lease)));
    value(&contents.unwrap()[0], path)
}

fn state(client: &mut Client, lease: &MoRef) -> String {
    look(client, lease, "state").unwrap().as_str().unwrap().to_owned()
}

/// Key and URL of each device.
fn urls(client: &mut Client, lease: &MoRef) -> Vec<(String, String)> {
    let info = look(client, lease, "info").unwrap();
    let info = info.as_object().unwrap();
    let devices = info.get("deviceUrl").unwrap().items().iter().filter_map(Value::as_object);
    devices
        .map(|device| {
            (device.str("key").unwrap().to_owned(), device.str("url").unwrap().to_owned())
        })
        .collect()
}

fn open(client: &Client, url: &str) -> Option<DiskStream> {
    let (ticket, file) = url.split_once("/nfc/").unwrap().1.split_once('/').unwrap();
    client.model.lease_file(ticket, file)
}

#[test]
fn a_lease_gives_disks_for_as_long_as_it_is_held() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("console01");
    let lease = export(&mut client, &machine, "ExportVm");
    assert_eq!(state(&mut client, &lease), "ready");
    let urls = urls(&mut client, &lease);
    let url = &urls[0].1;
    assert!(url.starts_with("https://*/nfc/") && url.ends_with("/disk-0.vmdk"), "{url}");
    assert!(urls[0].0.contains("Controller0:0"), "{urls:?}");
    let mut disk = open(&client, url).unwrap();
    assert!(disk.piece().unwrap().unwrap().starts_with(b"KDMV"));

    // What would change the machine is refused meanwhile.
    for method in ["PowerOnVM_Task", "Destroy_Task", "UnregisterVM"] {
        let refused = client.refused(&machine, method, Object::new(""));
        assert_eq!(refused.type_name, "InvalidState", "{method}");
    }
    // Nothing has been sent to its end.
    let manifest = "HttpNfcLeaseGetManifest";
    let sent = client.result(lease.clone(), manifest, Object::new("")).unwrap().unwrap();
    assert!(sent.items().is_empty());
    let mut whole = open(&client, url).unwrap();
    while whole.piece().unwrap().is_some() {}
    let sent = client.result(lease.clone(), manifest, Object::new("")).unwrap().unwrap();
    let entry = sent.items()[0].as_object().unwrap();
    assert_eq!(entry.str("key"), Some(&*urls[0].0));
    assert_eq!(entry.str("sha1").map(str::len), Some(40));

    client.result(lease.clone(), "HttpNfcLeaseComplete", Object::new("")).unwrap();
    assert_eq!(state(&mut client, &lease), "done");
    assert!(open(&client, url).is_none() && disk.piece().is_err());
    let again = client.refused(&lease, "HttpNfcLeaseComplete", Object::new(""));
    assert_eq!(again.type_name, "InvalidState");
    client.result(machine, "PowerOnVM_Task", Object::new("")).unwrap();
}

#[test]
fn a_lease_of_which_nothing_is_heard_expires() {
    let mut client = Client::logged_in(Preset::VCenter);
    let machine = client.model.machines()[0].clone();
    client.model.set_power_state(&machine, PowerState::PoweredOff);
    client.model.set_lease_timeout(Duration::from_secs(60));
    let lease = export(&mut client, &machine, "ExportVm");
    let percent = |percent: i32| Object::new("").with("percent", percent);
    for (later, told) in [(50, 10), (100, 20), (150, 100)] {
        client.now = NOW.after(Duration::from_secs(later));
        client.result(lease.clone(), "HttpNfcLeaseProgress", percent(told)).unwrap();
    }
    let wrong = client.refused(&lease, "HttpNfcLeaseProgress", percent(101));
    assert_eq!(wrong.type_name, "InvalidArgument");
    assert_eq!(client.model.leases()[0].percent, 100);
    client.now = NOW.after(Duration::from_secs(209));
    assert_eq!(state(&mut client, &lease), "ready");
    client.now = NOW.after(Duration::from_secs(210));
    assert_eq!(state(&mut client, &lease), "error");
    let error = look(&mut client, &lease, "error").unwrap();
    let fault = error.as_object().unwrap().get("fault").and_then(Value::as_object).unwrap();
    assert_eq!(fault.type_name, "Timedout");
    assert_eq!(client.model.held_leases(), 0);
    let late = client.refused(&lease, "HttpNfcLeaseProgress", percent(100));
    assert_eq!(late.type_name, "InvalidState");
}

#[test]
fn machines_must_be_off_and_snapshots_need_not() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("web01");
    let refused = client.refused(&machine, "ExportVm", Object::new(""));
    assert_eq!(refused.type_name, "InvalidPowerState");
    let args = Object::new("").with("name", "s").with("memory", false).with("quiesce", false);
    client.result(machine.clone(), "CreateSnapshot_Task", args).unwrap();
    let spec = filter(properties("VirtualMachine", &["snapshot.currentSnapshot"]), root(&machine));
    let contents = client.retrieve(spec).unwrap();
    let snapshot = value(&contents[0], "snapshot.currentSnapshot").unwrap();
    let snapshot = snapshot.as_moref().unwrap().clone();
    client.model.hold_leases(true);
    let lease = export(&mut client, &snapshot, "ExportSnapshot");
    assert_eq!(state(&mut client, &lease), "initializing");
    assert!(look(&mut client, &lease, "info").is_none());
    assert!(client.model.settle_lease(&lease, Ok(())));
    assert_eq!(urls(&mut client, &lease).len(), 1);

    // The snapshot stays as long as it is read.
    let keep = Object::new("").with("removeChildren", false);
    let refused = client.refused(&snapshot, "RemoveSnapshot_Task", keep.clone());
    assert_eq!(refused.type_name, "InvalidState");
    client.result(lease.clone(), "HttpNfcLeaseAbort", Object::new("")).unwrap();
    client.result(snapshot, "RemoveSnapshot_Task", keep).unwrap();
    assert_eq!(client.model.leases()[0].state, LeaseState::Error);
}
