//! Invariants, over inputs that nobody would write.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const CLASSES: &[(&str, &[&str])] = &[
    ("Folder", &["childEntity", "parent"]),
    ("Datacenter", &["vmFolder", "hostFolder", "datastore", "network", "parent"]),
    ("ComputeResource", &["host", "resourcePool", "parent"]),
    ("HostSystem", &["vm", "parent", "datastore"]),
    ("VirtualMachine", &["runtime.host", "datastore", "network", "resourcePool", "parent"]),
    ("Datastore", &["vm", "parent"]),
    ("Network", &["vm", "host"]),
    ("ManagedEntity", &["parent"]),
];

/// A traversal: its class and path, whether it skips, and the numbers of those that it selects.
fn any_traversal()
-> impl Strategy<Value = (usize, prop::sample::Index, bool, Vec<prop::sample::Index>)> {
    let select = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    (0..CLASSES.len(), any::<prop::sample::Index>(), any::<bool>(), select)
}

#[derive(Debug, Clone)]
enum Step {
    Power(prop::sample::Index, bool),
    Rename(prop::sample::Index, u8),
    Lose(prop::sample::Index, bool),
    Add(u8),
    Remove(prop::sample::Index),
    Wait(i32),
    /// The reply is lost on its way.
    WaitInVain(i32),
}

fn any_step() -> impl Strategy<Value = Step> {
    let machine = any::<prop::sample::Index>;
    prop_oneof![
        (machine(), any::<bool>()).prop_map(|(machine, on)| Step::Power(machine, on)),
        (machine(), any::<u8>()).prop_map(|(machine, name)| Step::Rename(machine, name)),
        (machine(), any::<bool>())
            .prop_map(|(machine, accessible)| Step::Lose(machine, accessible)),
        any::<u8>().prop_map(Step::Add),
        machine().prop_map(Step::Remove),
        (1..30).prop_map(Step::Wait),
        (1..30).prop_map(Step::WaitInVain),
    ]
}

/// What a client believes: objects with their properties.
#[derive(Debug, Default, PartialEq)]
struct Mirror(BTreeMap<MoRef, BTreeMap<String, Value>>);

impl Mirror {
    /// Applies an update set and returns its version.
    fn apply(&mut self, set: &Object) -> String {
        for filter in set.get("filterSet").unwrap().items() {
            for update in filter.as_object().unwrap().get("objectSet").unwrap().items() {
                let update = update.as_object().unwrap();
                let object = update.get("obj").unwrap().as_moref().unwrap().clone();
                match update.str("kind").unwrap() {
                    "leave" => assert!(self.0.remove(&object).is_some(), "{object} was not there"),
                    "enter" => assert!(self.0.insert(object.clone(), BTreeMap::new()).is_none()),
                    _ => assert!(self.0.contains_key(&object)),
                }
                let Some(own) = self.0.get_mut(&object) else { continue };
                for change in update.get("changeSet").map_or(&[][..], Value::items) {
                    let change = change.as_object().unwrap();
                    let name = change.str("name").unwrap().to_owned();
                    match change.get("val") {
                        Some(value) => own.insert(name, value.clone()),
                        None => own.remove(&name),
                    };
                }
            }
        }
        set.str("version").unwrap().to_owned()
    }
}

fn machine_at(client: &Client, index: &prop::sample::Index) -> Option<MoRef> {
    let machines = client.model.machines();
    (!machines.is_empty()).then(|| index.get(&machines).clone())
}

fn wait_now(client: &mut Client, version: &str, limit: i32) -> Option<Object> {
    let options =
        Object::new("WaitOptions").with("maxWaitSeconds", 0).with("maxObjectUpdates", limit);
    let args = Object::new("").with("version", version).with("options", options);
    let collector = client.manager("propertyCollector");
    let found = client.result(collector, "WaitForUpdatesEx", args).unwrap()?;
    found.as_object().cloned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_walk_ends_and_finds_each_object_once(
        traversals in prop::collection::vec(any_traversal(), 1..6),
        first in any::<prop::sample::Index>(),
        start in any::<prop::sample::Index>(),
    ) {
        let mut client = Client::logged_in(Preset::VCenter);
        let mut starts: Vec<MoRef> = client.model.inventory.morefs().cloned().collect();
        starts.sort();
        let name = |index: usize| format!("t{index}");
        let specs: Vec<Object> = traversals
            .iter()
            .enumerate()
            .map(|(index, (class, path, skip, selected))| {
                let (class, paths) = CLASSES[*class];
                let path = paths[path.index(paths.len())];
                let spec = traversal(&name(index), class, path).with("skip", *skip);
                select(spec, selected.iter().map(|to| named(&name(to.index(traversals.len())))).collect())
            })
            .collect();
        let mut selections = specs;
        selections.push(named(&name(first.index(traversals.len()))));
        let asked = filter(properties("ManagedEntity", &["name"]), select(root(start.get(&starts)), selections));
        let found = client.retrieve(asked).unwrap();
        let mut objects: Vec<_> = found.iter().filter_map(|content| content.get("obj")?.as_moref()).collect();
        let count = objects.len();
        objects.sort();
        objects.dedup();
        prop_assert_eq!(objects.len(), count);
    }

    #[test]
    fn updates_lead_to_what_is_there(steps in prop::collection::vec(any_step(), 0..30)) {
        let mut client = Client::logged_in(Preset::Esx);
        let host = MoRef::new("HostSystem", "ha-host");
        let paths = ["name", "runtime.powerState", "config.uuid", "guest.ipAddress"];
        let asked = filter(
            properties("VirtualMachine", &paths),
            select(root(&host), vec![traversal("v", "HostSystem", "vm")]),
        );
        let args = Object::new("").with("spec", asked.clone()).with("partialUpdates", false);
        let collector = client.manager("propertyCollector");
        client.result(collector, "CreateFilter", args).unwrap();
        let (mut mirror, mut version) = (Mirror::default(), String::new());
        for step in &steps {
            let power = |on: bool| if on { PowerState::PoweredOn } else { PowerState::PoweredOff };
            match step {
                Step::Power(index, on) => {
                    let Some(machine) = machine_at(&client, index) else { continue };
                    client.model.set_power_state(&machine, power(*on));
                }
                Step::Rename(index, name) => {
                    let Some(machine) = machine_at(&client, index) else { continue };
                    client.model.rename(&machine, &format!("renamed {name}"));
                }
                Step::Lose(index, accessible) => {
                    let Some(machine) = machine_at(&client, index) else { continue };
                    client.model.set_accessible(&machine, *accessible);
                }
                Step::Add(name) => {
                    client.model.add_machine(&format!("added {name}"));
                }
                Step::Remove(index) => {
                    let Some(machine) = machine_at(&client, index) else { continue };
                    client.model.remove_machine(&machine);
                }
                Step::Wait(limit) => {
                    if let Some(set) = wait_now(&mut client, &version, *limit) {
                        version = mirror.apply(&set);
                    }
                }
                // Without a version, the server would begin anew: that is no loss.
                Step::WaitInVain(limit) if !version.is_empty() => {
                    wait_now(&mut client, &version, *limit);
                }
                Step::WaitInVain(_) => {}
            }
        }
        while let Some(set) = wait_now(&mut client, &version, 7) {
            version = mirror.apply(&set);
        }
        let mut expect = Mirror::default();
        for content in client.retrieve(asked).unwrap() {
            let object = content.get("obj").unwrap().as_moref().unwrap().clone();
            let own = paths.iter().filter_map(|path| Some(((*path).to_owned(), value(&content, path)?))).collect();
            expect.0.insert(object, own);
        }
        prop_assert_eq!(mirror, expect);
    }

    #[test]
    fn any_text_can_be_asked_for(text in "[a-z.\\[\\]\"0-9é]{0,24}") {
        if let Ok(path) = PropertyPath::parse("VirtualMachine", &text, NEWEST) {
            prop_assert_eq!(path.text(), text);
        }
    }
}
