//! `net-list`, `net-info` and `iface-list`.

use serde_json::{Value, json};
use virt_api::{InterfaceHandle, NetworkHandle};

use super::{Fields, Render, printable, table};

fn state(active: bool) -> &'static str {
    if active { "active" } else { "inactive" }
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// virsh's order: what is active first, then by name without regard to case.
fn order(active: bool, name: &str) -> (bool, String) {
    (!active, name.to_ascii_lowercase())
}

/// A network with what virsh tells about it.
pub(crate) struct ListedNetwork {
    /// Which.
    pub(crate) network: NetworkHandle,
    /// Whether it is active.
    pub(crate) active: bool,
    /// Whether its definition is kept.
    pub(crate) persistent: bool,
    /// Whether the host starts it by itself.
    pub(crate) autostart: bool,
}

impl ListedNetwork {
    fn value(&self) -> Value {
        json!({
            "name": self.network.name,
            "uuid": self.network.uuid.to_string(),
            "active": self.active,
            "persistent": self.persistent,
            "autostart": self.autostart,
        })
    }
}

/// What to show of networks; with neither `uuid` nor `name`, a table.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NetworkColumns {
    /// UUIDs only.
    pub(crate) uuid: bool,
    /// Names only.
    pub(crate) name: bool,
    /// Titles in the table.
    pub(crate) title: bool,
}

/// The result of `net-list`.
pub(crate) struct NetworkList {
    networks: Vec<ListedNetwork>,
    columns: NetworkColumns,
}

impl NetworkList {
    /// Sorts the networks.
    pub(crate) fn new(mut networks: Vec<ListedNetwork>, columns: NetworkColumns) -> Self {
        networks.sort_by_cached_key(|listed| order(listed.active, &listed.network.name));
        Self { networks, columns }
    }
}

impl Render for NetworkList {
    fn table(&self, quiet: bool) -> String {
        if self.columns.uuid || self.columns.name {
            let line = |listed: &ListedNetwork| match self.columns.uuid {
                true => format!("{}\n", listed.network.uuid),
                false => format!("{}\n", listed.network.name),
            };
            return self.networks.iter().map(line).collect();
        }
        let mut header = vec!["Name", "State", "Autostart", "Persistent"];
        header.extend(self.columns.title.then_some("Title"));
        let rows: Vec<Vec<String>> = self
            .networks
            .iter()
            .map(|listed| {
                let mut row = vec![
                    listed.network.name.clone(),
                    state(listed.active).to_owned(),
                    yes_no(listed.autostart).to_owned(),
                    yes_no(listed.persistent).to_owned(),
                ];
                row.extend(self.columns.title.then(String::new));
                row
            })
            .collect();
        table::layout(&header, &rows, quiet)
    }

    fn value(&self) -> Value {
        let NetworkColumns { uuid, name, .. } = self.columns;
        self.networks
            .iter()
            .map(|listed| match (uuid, name) {
                (true, _) => json!({"uuid": listed.network.uuid.to_string()}),
                (_, true) => json!({"name": listed.network.name}),
                _ => listed.value(),
            })
            .collect()
    }
}

/// The result of `net-info`.
pub(crate) struct NetworkInfo(pub(crate) ListedNetwork);

impl Render for NetworkInfo {
    fn table(&self, _quiet: bool) -> String {
        let listed = &self.0;
        Fields::new(15)
            .with("Name:", printable(&listed.network.name))
            .with("UUID:", listed.network.uuid)
            .with("Active:", yes_no(listed.active))
            .with("Persistent:", yes_no(listed.persistent))
            .with("Autostart:", yes_no(listed.autostart))
            .into_text()
    }

    fn value(&self) -> Value {
        self.0.value()
    }
}

/// The result of `iface-list`.
pub(crate) struct InterfaceList(Vec<(InterfaceHandle, bool)>);

impl InterfaceList {
    /// Sorts the interfaces, each with whether it is active.
    pub(crate) fn new(mut interfaces: Vec<(InterfaceHandle, bool)>) -> Self {
        interfaces.sort_by_cached_key(|(interface, active)| order(*active, &interface.name));
        Self(interfaces)
    }
}

impl Render for InterfaceList {
    fn table(&self, quiet: bool) -> String {
        let rows = self.0.iter().map(|(interface, active)| {
            vec![interface.name.clone(), state(*active).to_owned(), interface.mac.clone()]
        });
        table::layout(&["Name", "State", "MAC Address"], &rows.collect::<Vec<_>>(), quiet)
    }

    fn value(&self) -> Value {
        self.0
            .iter()
            .map(|(interface, active)| {
                json!({"name": interface.name, "mac": interface.mac, "active": active})
            })
            .collect()
    }
}
