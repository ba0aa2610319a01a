//! What stands in the way of taking a machine elsewhere: read in one look, judged in `findings`. Beyond libvirt.

mod findings;
mod machine;

use esx_vi_api::properties::ObjectRow;
use esx_vi_api::{MoRef, Value};
use esx_vi_client::{Retrieval, Retrieved, traversal};
use virt_api::{Domain, DomainInspection, Result};

use super::device::{DEVICES, VERSION};
use super::identity_paths;
use crate::connection::Session;
use crate::error::vi_error;

pub(super) use machine::inspect;

/// What is read of each machine, besides what identifies it.
pub(super) const PATHS: &[&str] = &[
    "config.bootOptions.efiSecureBootEnabled",
    "config.changeTrackingEnabled",
    "config.files.vmPathName",
    "config.firmware",
    "config.ftInfo",
    "config.guestId",
    "config.keyId",
    "config.managedBy",
    "config.template",
    DEVICES,
    VERSION,
    "guest.toolsRunningStatus",
    "runtime.connectionState",
    "runtime.consolidationNeeded",
    "runtime.question",
    "snapshot.rootSnapshotList",
];

/// What is the same for all machines of a look.
#[derive(Default)]
pub(super) struct Surroundings {
    datastores: Vec<Store>,
    /// The host has the licence without charge, under which the API changes nothing.
    free_licence: bool,
    /// The vCenter that manages the host, if the connection is to the host itself.
    managed_by: Option<String>,
}

pub(super) struct Store {
    moref: MoRef,
    name: String,
    kind: Option<String>,
    accessible: bool,
}

impl Surroundings {
    fn read(found: &Retrieved, managed_by: Option<String>) -> Self {
        let text = |row: &ObjectRow, path| row.get::<String>(path).ok().flatten();
        let datastores = found.of("Datastore").map(|row| Store {
            moref: row.moref.clone(),
            name: text(row, "summary.name").unwrap_or_default(),
            kind: text(row, "summary.type").filter(|kind| !kind.is_empty()),
            accessible: row.get("summary.accessible").ok().flatten().unwrap_or(true),
        });
        let licences = found
            .of("LicenseManager")
            .filter_map(|row| row.get_lenient::<Value>("licenses").ok().flatten())
            .any(|licences| {
                let mut items = licences.items().iter().filter_map(Value::as_object);
                items.any(|licence| {
                    licence.str("editionKey").is_some_and(|key| key.starts_with("esxBasic"))
                })
            });
        Self { datastores: datastores.collect(), free_licence: licences, managed_by }
    }

    fn store(&self, moref: &MoRef) -> Option<&Store> {
        self.datastores.iter().find(|store| store.moref == *moref)
    }
}

impl Session {
    /// Looks at `domains`, or at all of the host's machines: one request and one per further page, besides one for the
    /// facts of the host if they are not known yet, and one for each named machine that is not.
    pub(crate) async fn inspect(&self, domains: &[Domain]) -> Result<Vec<DomainInspection>> {
        let uuid_path = self.uuid_path();
        let mut paths = identity_paths(uuid_path);
        paths.extend(PATHS);
        let stores = || traversal("vmToDatastore", "VirtualMachine", "datastore", []);
        let mut managed_by = None;
        let mut licences = None;
        if !self.is_vcenter() {
            managed_by = self.facts().await?.management_server.clone();
            licences = self.client.content().license_manager.as_ref();
        }
        let with_surroundings = |machines: Retrieval| {
            let stores = ["summary.name", "summary.type", "summary.accessible"];
            let all = machines.read("Datastore", stores);
            match licences {
                Some(manager) => all.and(manager).read("LicenseManager", ["licenses"]),
                None => all,
            }
        };
        let what = "cannot look at the domains";
        let found = if domains.is_empty() {
            let all = with_surroundings(self.machines_retrieval_then(&paths, [stores()]));
            self.client.retrieve(&all).await.map_err(|e| vi_error(what, e))?
        } else {
            let build = |first: &MoRef, rest: &[MoRef]| {
                let first = Retrieval::from(first).via([stores()]);
                let all = rest.iter().fold(first, |all, one| all.and(one).via([stores()]));
                with_surroundings(all.read("VirtualMachine", paths.iter().copied()))
            };
            match self.retrieve_of(domains, build, what).await? {
                Some(found) => found,
                None => return Ok(Vec::new()),
            }
        };
        let around = Surroundings::read(&found, managed_by);
        Ok(found.of("VirtualMachine").map(|row| inspect(row, uuid_path, &around)).collect())
    }
}
