//! Which datacenter, compute resource and host a connection is bound to (spec `connection.md` 1.7 and 10).

use std::collections::HashMap;

use esx_escape::percent;
use esx_vi_api::MoRef;
use esx_vi_api::data::AnySelectionSpec;
use esx_vi_api::properties::ObjectRow;
use esx_vi_client::{Client, Retrieval, Retrieved, named, traversal};
use virt_api::{Error, ErrorDomain, Result};

use crate::error::decode_error;
use crate::error::vi_error;

/// The objects that everything else of a connection hangs on.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    /// The datacenter.
    pub(crate) datacenter: MoRef,
    /// Its inventory path as `/folder` wants it, `ha-datacenter` or `folder/dc`.
    pub(crate) datacenter_path: String,
    /// Where the datacenter's machines are.
    pub(crate) vm_folder: MoRef,
    /// The compute resource's own resource pool, where new machines go.
    pub(crate) resource_pool: Option<MoRef>,
    /// What tells the hardware versions that a new machine may have.
    pub(crate) environment_browser: Option<MoRef>,
    /// The host system.
    pub(crate) host: MoRef,
}

/// The steps from the root folder to every host system; `then` goes on from the hosts.
pub(crate) fn steps_to_hosts(
    then: impl IntoIterator<Item = AnySelectionSpec>,
) -> [AnySelectionSpec; 3] {
    let next = || [named("folder"), named("datacenter"), named("computeResource")];
    [
        traversal("folder", "Folder", "childEntity", next()),
        traversal("datacenter", "Datacenter", "hostFolder", next()),
        traversal("computeResource", "ComputeResource", "host", then),
    ]
}

/// What is read of the objects between the root folder and a host.
pub(crate) fn read_way(retrieval: Retrieval) -> Retrieval {
    retrieval
        .read("Folder", ["name", "parent"])
        .read("Datacenter", ["name", "parent", "hostFolder", "vmFolder"])
        .read("ComputeResource", ["name", "parent", "resourcePool", "environmentBrowser"])
}

/// The inventory between the root folder and the hosts, by parent.
pub(crate) struct Inventory<'a> {
    rows: HashMap<&'a MoRef, &'a ObjectRow>,
    children: HashMap<MoRef, Vec<&'a ObjectRow>>,
}

impl<'a> Inventory<'a> {
    pub(crate) fn new(found: &'a Retrieved) -> Result<Self> {
        let mut inventory = Self { rows: HashMap::new(), children: HashMap::new() };
        for row in &found.objects {
            inventory.rows.insert(&row.moref, row);
            if let Some(parent) = row.get::<MoRef>("parent").map_err(decode_error)? {
                inventory.children.entry(parent).or_default().push(row);
            }
        }
        Ok(inventory)
    }

    fn children_of(&self, parent: &MoRef) -> &[&'a ObjectRow] {
        self.children.get(parent).map_or(&[], Vec::as_slice)
    }

    /// Everything below `parent`, in the order of the inventory, hosts' machines excepted.
    fn descendants(&self, parent: &MoRef) -> Vec<&'a ObjectRow> {
        // The inventory is a tree; an entry is taken once even if a host says otherwise.
        let mut work: Vec<&ObjectRow> = self.children_of(parent).iter().rev().copied().collect();
        let mut found = Vec::new();
        while let Some(row) = work.pop() {
            if found.len() > self.rows.len() {
                break;
            }
            found.push(row);
            work.extend(self.children_of(&row.moref).iter().rev());
        }
        found
    }

    /// The one host of an `esx://` connection: the first of the first compute resource of the first
    /// datacenter (spec `connection.md` 10.2).
    pub(crate) fn default_binding(&self, root: &MoRef) -> Result<Binding> {
        let datacenter =
            self.descendants(root).into_iter().find(|row| row.moref.kind == "Datacenter");
        let datacenter =
            datacenter.ok_or_else(|| missing("the host's inventory has no datacenter"))?;
        let folder: MoRef = datacenter.require("hostFolder").map_err(decode_error)?;
        let host = self.descendants(&folder).into_iter().find(|row| row.moref.kind == "HostSystem");
        let host = host.ok_or_else(|| missing("the host's inventory has no host system"))?;
        self.binding(datacenter, name_of(datacenter)?, host)
    }

    fn binding(
        &self,
        datacenter: &ObjectRow,
        datacenter_path: String,
        host: &ObjectRow,
    ) -> Result<Binding> {
        let parent: Option<MoRef> = host.get("parent").map_err(decode_error)?;
        let compute = parent.and_then(|parent| self.rows.get(&parent).copied());
        let of_compute = |path| match compute {
            Some(row) => row.get::<MoRef>(path).map_err(decode_error),
            None => Ok(None),
        };
        Ok(Binding {
            resource_pool: of_compute("resourcePool")?,
            environment_browser: of_compute("environmentBrowser")?,
            datacenter: datacenter.moref.clone(),
            datacenter_path,
            vm_folder: datacenter.require("vmFolder").map_err(decode_error)?,
            host: host.moref.clone(),
        })
    }

    /// The host that the path of a `vpx://` URI names: `{folder/}datacenter/{folder/}compute[/host]`.
    ///
    /// # Errors
    /// As in spec `connection.md` 1.7, except that an item that is not there is an error and not
    /// skipped; each error names what there is instead.
    pub(crate) fn resolve(&self, root: &MoRef, items: &[String]) -> Result<Binding> {
        let mut items = items.iter();
        // As they are stored, however they were written: that is what `/folder` wants.
        let mut datacenter_path: Vec<String> = Vec::new();
        let mut at = root.clone();
        let datacenter = loop {
            let Some(item) = items.next() else {
                return Err(invalid(format!(
                    "the path does not name a datacenter, {}",
                    self.candidates(&at, &["Folder", "Datacenter"])
                )));
            };
            let row = self.child(&at, item, &["Folder", "Datacenter"], "datacenter or folder")?;
            datacenter_path.push(name_of(row)?);
            if row.moref.kind == "Datacenter" {
                break row;
            }
            at = row.moref.clone();
        };
        at = datacenter.require("hostFolder").map_err(decode_error)?;
        let compute = loop {
            let kinds = ["Folder", "ComputeResource", "ClusterComputeResource"];
            let Some(item) = items.next() else {
                return Err(invalid(format!(
                    "the path does not name a compute resource, {}",
                    self.candidates(&at, &kinds)
                )));
            };
            let row = self.child(&at, item, &kinds, "compute resource or folder")?;
            if row.moref.kind != "Folder" {
                break row;
            }
            at = row.moref.clone();
        };
        let host = if compute.moref.kind == "ClusterComputeResource" {
            let Some(item) = items.next() else {
                return Err(invalid(format!(
                    "the path ends at the cluster {:?} and does not name a host, {}",
                    name_of(compute)?,
                    self.candidates(&compute.moref, &["HostSystem"])
                )));
            };
            self.child(&compute.moref, item, &["HostSystem"], "host")?
        } else {
            let hosts = self.children_of(&compute.moref);
            let host = hosts.iter().find(|row| row.moref.kind == "HostSystem");
            host.copied().ok_or_else(|| missing("the compute resource has no host"))?
        };
        if let Some(excess) = items.next() {
            return Err(invalid(format!("the path has the excess item {excess:?} after the host")));
        }
        self.binding(datacenter, datacenter_path.join("/"), host)
    }

    fn child(
        &self,
        parent: &MoRef,
        name: &str,
        kinds: &[&str],
        what: &str,
    ) -> Result<&'a ObjectRow> {
        for row in self.children_of(parent) {
            if kinds.contains(&row.moref.kind.as_str()) && name_of(row)? == name {
                return Ok(row);
            }
        }
        // A user writes names as they look, the inventory keeps `%`, `/` and `\` escaped.
        for row in self.children_of(parent) {
            let plain = name_of(row)?;
            if kinds.contains(&row.moref.kind.as_str())
                && percent::unescape(&plain).is_ok_and(|n| n == name)
            {
                return Ok(row);
            }
        }
        Err(missing(&format!("there is no {what} {name:?}, {}", self.candidates(parent, kinds))))
    }

    /// What could stand in the path here, for people.
    fn candidates(&self, parent: &MoRef, kinds: &[&str]) -> String {
        const MOST: usize = 12;
        let mut names: Vec<String> = self
            .children_of(parent)
            .iter()
            .filter(|row| kinds.contains(&row.moref.kind.as_str()))
            .filter_map(|row| Some(format!("{:?}", row.get::<String>("name").ok()??)))
            .collect();
        names.sort();
        let more = names.len().saturating_sub(MOST);
        names.truncate(MOST);
        match (names.is_empty(), more) {
            (true, _) => "and there is none here".to_owned(),
            (false, 0) => format!("there are: {}", names.join(", ")),
            (false, more) => format!("there are: {} and {more} more", names.join(", ")),
        }
    }
}

/// Resolves the path of a `vpx://` URI: one request.
pub(crate) async fn resolve_path(client: &Client, items: &[String]) -> Result<Binding> {
    let root = &client.content().root_folder;
    let retrieval = read_way(Retrieval::from(root).via(steps_to_hosts([])))
        .read("HostSystem", ["name", "parent"]);
    let found =
        client.retrieve(&retrieval).await.map_err(|e| vi_error("cannot read the inventory", e))?;
    Inventory::new(&found)?.resolve(root, items)
}

fn name_of(row: &ObjectRow) -> Result<String> {
    row.require("name").map_err(decode_error)
}

fn invalid(message: String) -> Error {
    Error::invalid_arg(ErrorDomain::Esx, message)
}

fn missing(message: &str) -> Error {
    Error::internal(ErrorDomain::Esx, message)
}

#[cfg(test)]
mod tests {
    use esx_vi_api::Value;

    use super::*;

    /// A name with a percent sign, as it looks and as it is stored, leads to the same datacenter, whose path is the stored one.
    #[test]
    fn the_path_of_a_datacenter_is_the_stored_one() {
        let moref = |kind: &str| MoRef::new(kind, kind.to_lowercase());
        let row = |kind: &str, parent: &str, name: &str, more: &[(&str, Value)]| {
            let mut values =
                vec![("name", Value::from(name)), ("parent", Value::from(moref(parent)))];
            values.extend(more.iter().cloned());
            let values = values.iter().map(|(path, value)| (*path, value));
            ObjectRow::from_values(&moref(kind), values, [])
        };
        let folders =
            [("hostFolder", moref("HostFolder").into()), ("vmFolder", moref("VmFolder").into())];
        let objects = vec![
            row("Folder", "Root", "f%2f1", &[]),
            row("Datacenter", "Folder", "50%25 dc", &folders),
            row("ComputeResource", "HostFolder", "srv1", &[]),
            row("HostSystem", "ComputeResource", "srv1", &[]),
        ];
        let found = Retrieved { objects, ..Retrieved::default() };
        let inventory = Inventory::new(&found).unwrap();
        let resolve = |items: [&str; 3]| {
            inventory.resolve(&moref("Root"), &items.map(str::to_owned)).map(|b| b.datacenter_path)
        };
        for items in [["f%2f1", "50%25 dc", "srv1"], ["f/1", "50% dc", "srv1"]] {
            assert_eq!(resolve(items).unwrap(), "f%2f1/50%25 dc", "{items:?}");
        }
        assert!(resolve(["f%2f1", "50 dc", "srv1"]).is_err());
    }
}
