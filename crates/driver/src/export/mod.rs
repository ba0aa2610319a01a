//! Exports: a machine's configuration and disks, as they lie on datastores (`docs/export.md`). Beyond libvirt.

mod chain;
mod cleanup;
mod lease;
mod names;

use std::sync::Arc;

use async_trait::async_trait;
use esx_escape::DatastorePath;
use esx_vi_api::{MoRef, Object, Value};
use esx_vi_client::DownloadOptions;
use esx_vmx::Document;
use esx_vmx_domain::DrivePlace;
use uuid::Uuid;
use virt_api::{
    Domain, DomainExport, DomainState, DomainXmlFlags, Error, ErrorCode, ErrorDomain, ExportDisk,
    ExportFile, ExportOptions, ExportPlan, ExportRole, ExportWay, Result, SnapshotCreateFlags,
    Stream,
};

use self::chain::{Link, Unread};
use self::cleanup::Cleanup;
use self::lease::{Held, LeasedDisk};
use self::names::Names;
use crate::connection::Session;
use crate::domain::{DEVICES, DeviceRow, DriveKind, VERSION, VMX_PATHS, Wanted, conversion_error};
use crate::error::{storage_error, vi_error};
use crate::stream::DownloadStream;

/// The file that whoever writes the export keeps its list in.
const MANIFEST: &str = "manifest.json";
/// The file with the domain's XML.
const XML: &str = "domain.xml";

/// An export under way.
struct Export {
    session: Arc<Session>,
    plan: ExportPlan,
    /// One for each file of the plan.
    sources: Vec<Source>,
    /// What a lease would be taken on.
    machine: MoRef,
    /// Held while a lease is asked for, so that there is one.
    leasing: tokio::sync::Mutex<()>,
    cleanup: Cleanup,
}

/// Where a file of the plan comes from.
enum Source {
    Datastore(DatastorePath),
    Lease(LeasedDisk),
}

/// A disk as the machine's configuration names it.
struct Disk {
    target: String,
    path: DatastorePath,
    place: DrivePlace,
    /// Changes with the content.
    content_id: Option<String>,
    capacity_bytes: u64,
}

fn refused(what: &str, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::OperationUnsupported, ErrorDomain::Esx, format!("{what}: {why}"))
}

impl Session {
    /// Begins an export (`virt_api::Hypervisor::domain_export`).
    pub(crate) async fn export(
        this: &Arc<Self>,
        domain: &Domain,
        options: ExportOptions,
    ) -> Result<Box<dyn DomainExport>> {
        // As a volume's download.
        this.check_writable("virtesxDomainExport")?;
        let what = format!("cannot export domain {:?}", domain.name);
        let mut paths = VMX_PATHS.to_vec();
        paths.extend([DEVICES, VERSION]);
        let wanted = Wanted { paths: &paths, autostart: false };
        let found = this.find_domain(domain, wanted).await?;
        let domain = found.machine.domain.clone();
        let machine = found.machine.moref.clone();
        let live = found.machine.state == DomainState::Running;
        let before = DeviceRow::read(&found.row)?;
        let disks = disks(&before, false, live, &what)?;
        // Before a snapshot changes it.
        let (vmx_path, vmx) = this.vmx_file(&found).await?;
        let xml = this.xml_desc(&domain, DomainXmlFlags::INACTIVE).await?;
        let cleanup = Cleanup::new(Arc::clone(this), domain.clone());
        let disks = if live {
            let name = snapshot_name();
            cleanup.will_make(&name);
            let below = async {
                this.make_snapshot(&domain, &name, options.quiesce).await?;
                cleanup.has_made();
                let wanted = Wanted { paths: &paths, autostart: false };
                let found = this.find_domain(&domain, wanted).await?;
                // What was written to until now is below the snapshot's files, and stays as it is.
                self::disks(&DeviceRow::read(&found.row)?, true, false, &what)
            };
            match below.await {
                Ok(disks) => disks,
                Err(error) => return Err(ended(&cleanup, error).await),
            }
        } else {
            disks
        };
        let draft = Draft {
            names: Names::new(&vmx_path, &[MANIFEST, XML]),
            plan: ExportPlan {
                domain,
                live,
                vmx_name: String::new(),
                vmx,
                xml,
                files: Vec::new(),
                disks: Vec::new(),
                warnings: Vec::new(),
            },
            sources: Vec::new(),
            vmx_path,
        };
        match draft.fill(this, &disks, options.way, &what).await {
            Ok((plan, sources)) => Ok(Box::new(Export {
                session: Arc::clone(this),
                plan,
                sources,
                machine,
                leasing: tokio::sync::Mutex::default(),
                cleanup,
            })),
            Err(error) => Err(ended(&cleanup, error).await),
        }
    }

    async fn make_snapshot(&self, domain: &Domain, name: &str, quiesce: bool) -> Result<()> {
        let xml = format!(
            "<domainsnapshot><name>{name}</name><description>Made for an export; may be deleted</description></domainsnapshot>"
        );
        let mut flags = SnapshotCreateFlags::DISK_ONLY;
        flags.set(SnapshotCreateFlags::QUIESCE, quiesce);
        self.create_snapshot(domain, &xml, flags).await.map(|_| ())
    }
}

/// Takes away what there is before an error is reported.
async fn ended(cleanup: &Cleanup, error: Error) -> Error {
    if let Err(left) = cleanup.run().await {
        tracing::warn!(error = %left, "an export left something behind");
    }
    error
}

/// No other's, whoever else exports the machine at the same moment: what has this name is ours to delete.
fn snapshot_name() -> String {
    format!("virtesx-export-{}", Uuid::new_v4())
}

/// The disks of a machine; `parents` names what their present files are based on.
fn disks(row: &DeviceRow, parents: bool, live: bool, what: &str) -> Result<Vec<Disk>> {
    let hardware = row.hardware();
    let mut disks = Vec::new();
    for drive in hardware.sorted_drives() {
        if drive.kind != DriveKind::Disk {
            continue;
        }
        let target = &drive.target;
        let backing = drive.device.get("backing").and_then(Value::as_object);
        let text = |object: Option<&Object>, name: &str| {
            object.and_then(|o| o.str(name)).map(str::to_owned).unwrap_or_default()
        };
        if live && text(backing, "diskMode").starts_with("independent") {
            let why = format!(
                "the disk {target} is independent, so that no snapshot holds it: shut the domain down first"
            );
            return Err(refused(what, why));
        }
        let backing = if parents {
            backing.and_then(|b| b.get("parent")).and_then(Value::as_object)
        } else {
            backing
        };
        let file = text(backing, "fileName");
        let path = file.parse::<DatastorePath>().map_err(|error| {
            let message = format!("{what}: the disk {target} is in {file:?}");
            Error::internal(ErrorDomain::Esx, message).with_source(error)
        })?;
        disks.push(Disk {
            target: target.clone(),
            path,
            place: drive.place,
            content_id: backing.and_then(|backing| backing.str("contentId")).map(str::to_owned),
            capacity_bytes: row.sizes(&drive).capacity_bytes,
        });
    }
    Ok(disks)
}

/// A plan that is being made.
struct Draft {
    names: Names,
    plan: ExportPlan,
    sources: Vec<Source>,
    vmx_path: DatastorePath,
}

impl Draft {
    async fn fill(
        mut self,
        session: &Session,
        disks: &[Disk],
        way: ExportWay,
        what: &str,
    ) -> Result<(ExportPlan, Vec<Source>)> {
        self.plan.vmx_name = self.names.give(&self.vmx_path);
        self.nvram(session).await?;
        for disk in disks {
            if way == ExportWay::Lease {
                self.whole(disk, disks.len() == 1);
                continue;
            }
            let auto = way == ExportWay::Auto;
            match session.chain(disk.path.clone(), auto, what).await {
                Ok(links) => self.disk(disk, links),
                Err(Unread::NotServed(error)) if auto => {
                    let why: Vec<_> = error.chain().skip(1).collect();
                    let why = if why.is_empty() {
                        String::new()
                    } else {
                        format!(": {}", why.join(": "))
                    };
                    let target = &disk.target;
                    self.plan.warnings.push(format!(
                        "The host does not serve the files of {target}, a lease does: it comes whole, without snapshots{why}."
                    ));
                    self.whole(disk, disks.len() == 1);
                }
                Err(unread) => return Err(unread.into_error()),
            }
        }
        Ok((self.plan, self.sources))
    }

    /// A disk in one file, by a lease.
    fn whole(&mut self, disk: &Disk, only: bool) {
        let file = ExportFile {
            name: self.names.give(&disk.path),
            role: ExportRole::StreamOptimized,
            source: disk.path.to_string(),
            size_bytes: None,
            content: None,
            content_id: disk.content_id.clone(),
        };
        let leased = LeasedDisk { place: disk.place, capacity_bytes: disk.capacity_bytes, only };
        let index = self.add(file, Source::Lease(leased));
        self.plan.disks.push(ExportDisk {
            target: disk.target.clone(),
            source: disk.path.to_string(),
            capacity_bytes: disk.capacity_bytes,
            files: vec![index],
        });
    }

    fn add(&mut self, file: ExportFile, source: Source) -> usize {
        self.plan.files.push(file);
        self.sources.push(source);
        self.plan.files.len() - 1
    }

    /// The firmware's variables, if the VMX file names a file with them that is there.
    async fn nvram(&mut self, session: &Session) -> Result<()> {
        let document =
            Document::parse(&self.plan.vmx).map_err(|error| conversion_error(error.into()))?;
        let Some(name) = document.get("nvram").filter(|name| !name.is_empty()) else {
            return Ok(());
        };
        if name.contains('/') {
            self.plan
                .warnings
                .push(format!("The NVRAM file {name:?} is elsewhere; it is left out."));
            return Ok(());
        }
        let path = self.vmx_path.sibling(name);
        let datacenter_path = session.binding().await?.datacenter_path;
        match session.client.file_exists(&path, &datacenter_path).await {
            Ok(true) => {
                let file = ExportFile {
                    name: self.names.give(&path),
                    role: ExportRole::Nvram,
                    source: path.to_string(),
                    size_bytes: None,
                    content: None,
                    content_id: None,
                };
                self.add(file, Source::Datastore(path));
            }
            Ok(false) => {}
            // Without it a machine starts all the same.
            Err(error) => {
                let error = vi_error("", error);
                self.plan.warnings.push(format!("The NVRAM file cannot be read: {error}."));
            }
        }
        Ok(())
    }

    fn disk(&mut self, disk: &Disk, links: Vec<Link>) {
        let capacity = links.first().and_then(|link| link.capacity_bytes);
        let mut files = Vec::new();
        for link in links {
            // Linked clones share what they are based on.
            let known = |plan: &ExportPlan, path: &DatastorePath| {
                let source = path.to_string();
                let whole = ExportRole::StreamOptimized;
                plan.files.iter().position(|file| file.source == source && file.role != whole)
            };
            match known(&self.plan, &link.path) {
                Some(index) => files.push(index),
                None => {
                    let role = match link.text {
                        Some(_) => ExportRole::Descriptor,
                        None => ExportRole::Extent,
                    };
                    let file = ExportFile {
                        name: self.names.give(&link.path),
                        role,
                        source: link.path.to_string(),
                        size_bytes: link.text.as_ref().map(|text| text.len() as u64),
                        content: link.text,
                        content_id: None,
                    };
                    files.push(self.add(file, Source::Datastore(link.path)));
                }
            }
            for (path, size_bytes) in link.extents {
                match known(&self.plan, &path) {
                    Some(index) => files.push(index),
                    None => {
                        let file = ExportFile {
                            name: self.names.give(&path),
                            role: ExportRole::Extent,
                            source: path.to_string(),
                            size_bytes,
                            content: None,
                            content_id: None,
                        };
                        files.push(self.add(file, Source::Datastore(path)));
                    }
                }
            }
        }
        self.plan.disks.push(ExportDisk {
            target: disk.target.clone(),
            source: disk.path.to_string(),
            capacity_bytes: capacity.unwrap_or(disk.capacity_bytes),
            files,
        });
    }
}

impl Export {
    /// The lease of the export, which is asked for when it is first needed: what is there already needs none.
    async fn lease(&self) -> Result<Held> {
        let _leasing = self.leasing.lock().await;
        if let Some(lease) = self.cleanup.lease() {
            return Ok(lease);
        }
        let domain = &self.plan.domain;
        let source = match self.cleanup.snapshot() {
            Some(name) => lease::Source::Snapshot(name),
            None => lease::Source::Machine(self.machine.clone()),
        };
        let what = format!("cannot get a lease for the disks of domain {:?}", domain.name);
        let lease = Held::begin(&self.session, domain, &source, &what).await?;
        self.cleanup.has(lease.clone());
        Ok(lease)
    }
}

#[async_trait]
impl DomainExport for Export {
    fn plan(&self) -> &ExportPlan {
        &self.plan
    }

    async fn open(&self, file: usize, offset: u64) -> Result<Box<dyn Stream>> {
        let (Some(entry), Some(source)) = (self.plan.files.get(file), self.sources.get(file))
        else {
            let message = format!("the export has no file {file}");
            return Err(Error::invalid_arg(ErrorDomain::Esx, message));
        };
        let what = format!("cannot read {}", entry.source);
        let path = match source {
            Source::Datastore(path) => path,
            Source::Lease(_) if offset > 0 => {
                let message = format!("{what}: a lease gives a disk from its first byte on only");
                return Err(Error::invalid_arg(ErrorDomain::Esx, message));
            }
            Source::Lease(disk) => {
                let lease = self.lease().await?;
                return Ok(Box::new(lease.open(disk, what).await?));
            }
        };
        let datacenter_path = self.session.binding().await?.datacenter_path;
        let options = DownloadOptions { offset, holes: true, ..DownloadOptions::default() };
        let download = self.session.client.open_download(path, &datacenter_path, options).await;
        let download = download.map_err(|e| storage_error(&what, e))?;
        Ok(Box::new(DownloadStream::new(download, what)))
    }

    async fn finish(&self) -> Result<()> {
        self.cleanup.run().await
    }
}
