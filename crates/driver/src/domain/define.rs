//! Defining a domain: VMX file written, uploaded, registered (spec `domain.md` 12.1).

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use esx_escape::{DatastorePath, datastore_item};
use esx_task::Leftover;
use esx_vi_api::data::DatastoreHostMount;
use esx_vi_api::methods::{
    DeleteDatastoreFileTask, MakeDirectory, QueryConfigOptionDescriptor, RegisterVMTask,
};
use esx_vi_api::{Method as _, MoRef, Value};
use esx_vi_client::{Error as ViError, Retrieval, TaskOptions, TransportError, traversal};
use esx_vmx::Document;
use esx_vmx_domain::{Context, Mode, ProductLine, parse_domain, to_vmx, virtual_hardware_version};
use uuid::Uuid;
use virt_api::{
    Domain, DomainDefineFlags, DomainUndefineFlags, Error, ErrorCode, ErrorDomain,
    NativeConversionFlags, Result, check_flags,
};

use super::lookup::{Found, Wanted};
use super::naming::check_name;
use super::xml::{VMX_PATHS, conversion_error, mode};
use crate::connection::Session;
use crate::error::{decode_error, vi_error};
use crate::inventory::Binding;

/// The newest hardware version of each product line of hosts that tell nothing themselves (spec
/// `domain.md` 2.3), newest product first: at least this product version, this hardware version.
const NEWEST_HARDWARE: &[(u64, u32)] = &[
    (8_000_000, 20),
    (7_000_000, 17),
    (6_007_000, 14),
    (6_005_000, 13),
    (6_000_000, 11),
    (5_005_000, 10),
    (5_001_000, 9),
    (5_000_000, 8),
    (4_000_000, 7),
    (0, 4),
];

/// Where hosts mount datastores.
const VOLUMES: &str = "/vmfs/volumes/";
/// Longest file that is looked at whether it is a definition's leavings.
const MAX_LEFT_OVER_BYTES: u64 = 1 << 20;
/// How long the host may take to remove a file that came to nothing, also if the time for the definition itself is over.
const TAKEN_BACK_WITHIN: Duration = Duration::from_secs(30);

/// What was made for a new machine and goes away with it: its file, or the directory of its own with the file.
pub(super) struct Made(DatastorePath);

impl Session {
    /// libvirt `virConnectDomainXMLToNative` (spec `domain.md` 11.3).
    pub(crate) async fn xml_to_native(
        &self,
        format: &str,
        xml: &str,
        flags: NativeConversionFlags,
    ) -> Result<String> {
        let known = NativeConversionFlags::EXACT;
        self.check_native("virConnectDomainXMLToNative", format, flags, known)?;
        let mode = mode(flags.contains(NativeConversionFlags::EXACT));
        let document = self.vmx_of(xml, mode).await?.1;
        Ok(String::from_utf8_lossy(&document).into_owned())
    }

    /// Converts a document; returns the domain and the VMX file.
    async fn vmx_of(&self, xml: &str, mode: Mode) -> Result<(virt_xml::Domain, Vec<u8>)> {
        let reading = Context { mode, ..Context::default() };
        let domain = parse_domain(xml, &reading).map_err(conversion_error)?;
        let vmx = self.vmx_of_domain(&domain, xml.contains('['), mode).await?;
        Ok((domain, vmx.to_bytes()))
    }

    /// The VMX file of a domain; `names_files` says whether the document names files of datastores.
    async fn vmx_of_domain(
        &self,
        domain: &virt_xml::Domain,
        names_files: bool,
        mode: Mode,
    ) -> Result<Document> {
        let hardware_version = match mode {
            Mode::Exact => self.libvirt_hardware_version(),
            Mode::Default => self.hardware_version().await?,
        };
        let context = Context {
            mode,
            datastores: if names_files { self.datastores().await? } else { Vec::new() },
            long_mode: self.facts().await?.long_mode,
            hardware_version,
            // The host runs no newer machine, whatever a kept key says.
            newest_kept_hardware: hardware_version,
            scsi_models: self.scsi_models(domain).await?,
            seed: seed(),
            ..Context::default()
        };
        let conversion = to_vmx(domain, &context).map_err(conversion_error)?;
        for warning in &conversion.warnings {
            tracing::warn!(%warning, "conversion");
        }
        Ok(conversion.document)
    }

    /// What libvirt writes as the hardware version, whatever the host supports.
    fn libvirt_hardware_version(&self) -> u32 {
        virtual_hardware_version(self.product.line, &self.client.content().about.version)
    }

    /// The newest hardware version that the host makes machines of: the one that it calls its default,
    /// else the newest that it supports, else what its product is known for.
    async fn hardware_version(&self) -> Result<u32> {
        let known = NEWEST_HARDWARE.iter().find(|(product, _)| self.product.version.0 >= *product);
        let known = match self.product.line {
            ProductLine::Gsx => 7,
            _ => known.map_or(4, |(_, version)| *version),
        };
        let Some(browser) = self.binding().await?.environment_browser else { return Ok(known) };
        let options = match self.client.call(&browser, &QueryConfigOptionDescriptor {}).await {
            Ok(options) => options,
            Err(ViError::Fault { .. }) => return Ok(known),
            Err(error) => {
                return Err(vi_error("cannot ask for the host's hardware versions", error));
            }
        };
        let version =
            |key: &str| key.strip_prefix("vmx-").and_then(|digits| digits.parse::<u32>().ok());
        let default = options.iter().find(|o| o.default_config_option == Some(true));
        let newest = options
            .iter()
            .filter(|o| o.create_supported != Some(false))
            .filter_map(|o| version(&o.key))
            .max();
        Ok(default.and_then(|o| version(&o.key)).or(newest).unwrap_or(known))
    }

    /// libvirt `virDomainDefineXMLFlags`. A new machine's VMX file goes beside its first disk; without a disk it gets a
    /// directory of its own on the datastore with the most room. An existing file is never overwritten, and what was
    /// made for a machine that could not be registered is taken away again. A document with name and UUID of a machine
    /// that exists changes that machine.
    ///
    /// `VALIDATE` is accepted: the document is always checked by our own reader, not by the RELAX NG schema.
    pub(crate) async fn define(&self, xml: &str, flags: DomainDefineFlags) -> Result<Domain> {
        self.check_writable("virDomainDefineXMLFlags")?;
        let known = DomainDefineFlags::VALIDATE | DomainDefineFlags::EXACT;
        check_flags("virDomainDefineXMLFlags", flags, known)?;
        let mode = mode(flags.contains(DomainDefineFlags::EXACT));
        let (name, definition, names_files) = self.read_definition(xml, mode).await?;
        match self.defined_already(&name, definition.uuid).await? {
            Some(_) if mode == Mode::Exact => {
                let message = format!("domain {name:?} exists, and libvirt defines none anew");
                Err(Error::internal(ErrorDomain::Esx, message))
            }
            Some(found) => self.redefine(found, &definition, names_files).await,
            None => Ok(self.define_new(&name, &definition, names_files, mode).await?.0),
        }
    }

    /// Name and content of a document, and whether it names files of datastores. Disks may be named by absolute paths of the host,
    /// `/vmfs/volumes/NAME/...`: virt-install takes others for files of its own machine.
    pub(super) async fn read_definition(
        &self,
        xml: &str,
        mode: Mode,
    ) -> Result<(String, virt_xml::Domain, bool)> {
        let reading = Context { mode, ..Context::default() };
        let mut definition = parse_domain(xml, &reading).map_err(conversion_error)?;
        let name = definition.name.clone().unwrap_or_default();
        check_name(&name)?;
        let mut names_files = xml.contains('[');
        if mode == Mode::Default {
            let disks = definition.devices.disks.iter_mut().filter(|disk| disk.kind == "file");
            for file in disks.filter_map(|disk| disk.source.as_mut()?.file.as_mut()) {
                if file.starts_with(VOLUMES) {
                    *file = self.datastore_path(file).await?.to_string();
                    names_files = true;
                }
            }
        }
        Ok((name, definition, names_files))
    }

    pub(super) async fn define_new(
        &self,
        name: &str,
        definition: &virt_xml::Domain,
        names_files: bool,
        mode: Mode,
    ) -> Result<(Domain, Made)> {
        let beside = first_disk(definition)?;
        let mut vmx = self.vmx_of_domain(definition, names_files, mode).await?;
        // Without it the host makes a UUID up, by which the domain would be known from then on.
        if mode == Mode::Default
            && self.uuid_path() == "config.instanceUuid"
            && !vmx.contains("vc.uuid")
            && let Some(uuid) = vmx.get("uuid.bios").map(str::to_owned)
        {
            vmx.set("vc.uuid", &uuid).map_err(|e| {
                Error::internal(ErrorDomain::Esx, "the UUID cannot be written").with_source(e)
            })?;
        }
        let vmx = vmx.to_bytes();
        let binding = self.binding().await?;
        let stem = datastore_item::escape(name);
        let (path, directory) = match beside {
            Some(disk) => (disk.sibling(&format!("{stem}.vmx")), None),
            None => {
                let (directory, is_new) = self.new_directory(&stem, &binding).await?;
                let path = format!("{}/{stem}.vmx", directory.path());
                let path = DatastorePath::new(directory.datastore(), &path).map_err(|e| {
                    Error::internal(ErrorDomain::Esx, "a datastore has an odd name").with_source(e)
                })?;
                (path, is_new.then_some(directory))
            }
        };
        let written = self.write_new(&path, vmx, &binding).await;
        let result = match written {
            Ok(()) => self.register(&path, &binding).await.map_err(|error| {
                let refused = is_refusal(&error);
                let mut error = vi_error(&format!("cannot define domain {name:?}"), error);
                if !refused {
                    let _ = write!(
                        error.message,
                        "; the host may have registered it, so its file \"{path}\" stays"
                    );
                }
                (refused, error)
            }),
            Err(error) => Err(error),
        };
        let made = Made(directory.unwrap_or(path));
        match result {
            Ok(machine) => Ok((self.defined(&machine, name).await?, made)),
            Err((ours, error)) => {
                if ours {
                    self.take_back(&made.0, &binding).await;
                }
                Err(error)
            }
        }
    }

    /// Takes away a machine that was just made, and what was made for it; that it stays is told, and no further error.
    pub(super) async fn undo(&self, domain: &Domain, made: Made) {
        let undefined = self.undefine(domain, DomainUndefineFlags::empty()).await;
        match (undefined, self.binding().await) {
            (Ok(()), Ok(binding)) => self.take_back(&made.0, &binding).await,
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, name = domain.name, "the domain is left defined");
            }
        }
    }

    /// Writes a file that does not exist yet, or that a definition has left which was cut off before it registered the file:
    /// a second attempt finds its own words. The error says whether something of ours may be there now.
    async fn write_new(
        &self,
        path: &DatastorePath,
        content: Vec<u8>,
        binding: &Binding,
    ) -> Result<(), (bool, Error)> {
        let exists = self.client.file_exists(path, &binding.datacenter_path).await;
        let failed = |what: String| move |e| vi_error(&what, e);
        let exists = exists
            .map_err(failed(format!("cannot look for the file \"{path}\"")))
            .map_err(|error| (false, error))?;
        if exists && !self.is_left_over(path, &content, binding).await {
            let message = format!("the file \"{path}\" exists already and is not overwritten");
            let error = Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message);
            return Err((false, error));
        }
        match self.client.upload(path, &binding.datacenter_path, Bytes::from(content)).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // A status is an answer from before the first byte; what broke later has left something behind.
                let status = match &error {
                    ViError::Transport(TransportError::Status { status, .. }) => Some(*status),
                    _ => None,
                };
                let mut what = format!("cannot write the file \"{path}\"");
                if status == Some(404) {
                    what.push_str(": its directory does not exist");
                }
                Err((status.is_none(), vi_error(&what, error)))
            }
        }
    }

    /// Whether the file has nothing in it that `content` does not say as well.
    async fn is_left_over(&self, path: &DatastorePath, content: &[u8], binding: &Binding) -> bool {
        match self.client.download(path, &binding.datacenter_path, MAX_LEFT_OVER_BYTES).await {
            Ok(found) => is_contained(&found, content),
            Err(error) => {
                tracing::debug!(%error, %path, "a file that cannot be read is nobody's leavings");
                false
            }
        }
    }

    /// Makes a directory for a machine without disks, on the datastore with the most room. The second is whether it is new: a
    /// definition that was cut off has left it there, or it is somebody's, and then it stays whatever happens.
    async fn new_directory(&self, stem: &str, binding: &Binding) -> Result<(DatastorePath, bool)> {
        let datastore = self.roomiest_datastore().await?;
        let directory = DatastorePath::new(&datastore, stem).map_err(|e| {
            Error::internal(ErrorDomain::Esx, "a datastore has an odd name").with_source(e)
        })?;
        let what = format!("cannot make the directory \"{directory}\"");
        let failed = |e| vi_error(&what, e);
        let manager = &self.client.content().file_manager;
        let manager = self.client.service("fileManager", manager).map_err(failed)?;
        let operation = MakeDirectory {
            name: directory.to_string(),
            datacenter: Some(binding.datacenter.clone()),
            create_parent_directories: Some(false),
        };
        match self.client.call(manager, &operation).await {
            Ok(()) => Ok((directory, true)),
            Err(ViError::Fault { fault, .. }) if fault.name == "FileAlreadyExists" => {
                Ok((directory, false))
            }
            Err(error) => Err(failed(error)),
        }
    }

    async fn roomiest_datastore(&self) -> Result<String> {
        let host = self.binding().await?.host;
        let retrieval = Retrieval::from(&host)
            .via([traversal("hostSystemToDatastore", "HostSystem", "datastore", [])])
            .read("Datastore", ["summary.name", "summary.freeSpace", "summary.accessible", "host"]);
        let found = self.client.retrieve(&retrieval).await;
        let found = found.map_err(|e| vi_error("cannot list datastores", e))?;
        let mut best: Option<(i64, String)> = None;
        for row in found.of("Datastore") {
            let name = row.get::<String>("summary.name").map_err(decode_error)?;
            let free = row.get::<i64>("summary.freeSpace").map_err(decode_error)?.unwrap_or(0);
            let there = row.get::<bool>("summary.accessible").map_err(decode_error)?;
            let mounts: Vec<DatastoreHostMount> =
                row.get_lenient("host").map_err(decode_error)?.unwrap_or_default();
            let read_only =
                |m: &DatastoreHostMount| m.key == host && m.mount_info.access_mode == "readOnly";
            let usable = there != Some(false) && !mounts.iter().any(read_only);
            if let Some(name) = name.filter(|_| usable)
                && best.as_ref().is_none_or(|(most, _)| free > *most)
            {
                best = Some((free, name));
            }
        }
        best.map(|(_, name)| name).ok_or_else(|| {
            let message = "the host has no datastore for the domain's VMX file";
            Error::new(ErrorCode::ConfigUnsupported, ErrorDomain::Esx, message)
        })
    }

    /// The machine that a document with this name and UUID changes. libvirt's rules: name and UUID belong together.
    pub(super) async fn defined_already(
        &self,
        name: &str,
        uuid: Option<Uuid>,
    ) -> Result<Option<Found>> {
        let wanted = Wanted { paths: VMX_PATHS, autostart: false };
        let taken = |what: String| Err(Error::new(ErrorCode::DomExist, ErrorDomain::Esx, what));
        let found = |result: Result<Found>| match result {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.code == ErrorCode::NoDomain => Ok(None),
            Err(error) => Err(error),
        };
        if let Some(uuid) = uuid.filter(|uuid| !uuid.is_nil()) {
            let selector = virt_api::DomainSelector::Uuid(uuid);
            if let Some(machine) = found(self.find(&selector, wanted).await)? {
                let other = &machine.machine.domain.name;
                if other == name {
                    return Ok(Some(machine));
                }
                return taken(format!("domain {other:?} has the UUID {uuid} already"));
            }
        }
        let selector = virt_api::DomainSelector::Name(name.to_owned());
        match found(self.find(&selector, wanted).await)? {
            Some(other) => taken(format!(
                "a domain {name:?} exists already, with the UUID {}",
                other.machine.domain.uuid
            )),
            None => Ok(None),
        }
    }

    async fn register(&self, path: &DatastorePath, binding: &Binding) -> Result<MoRef, ViError> {
        let operation = RegisterVMTask {
            path: path.to_string(),
            name: None,
            as_template: false,
            pool: binding.resource_pool.clone(),
            host: Some(binding.host.clone()),
        };
        let result = self.client.run_plain_task(&binding.vm_folder, &operation).await?;
        match result.as_ref().and_then(Value::as_moref) {
            Some(machine) => Ok(machine.clone()),
            None => Err(ViError::TaskVanished {
                method: "RegisterVM_Task",
                target: binding.vm_folder.clone(),
            }),
        }
    }

    /// The handle of the new machine, with the UUID that the host gave it.
    async fn defined(&self, machine: &MoRef, name: &str) -> Result<Domain> {
        match self.read_machine(machine, Wanted::default()).await? {
            Some(found) => Ok(found.machine.domain),
            None => {
                Err(Error::no_domain(format!("domain {name:?} was defined and has gone again")))
            }
        }
    }

    /// Removes a file that came to nothing; that it stays is told, and no further error.
    async fn take_back(&self, path: &DatastorePath, binding: &Binding) {
        let Some(manager) = &self.client.content().file_manager else { return };
        let operation = DeleteDatastoreFileTask {
            name: path.to_string(),
            datacenter: Some(binding.datacenter.clone()),
        };
        let options = TaskOptions { deadline: Some(TAKEN_BACK_WITHIN), ..TaskOptions::default() };
        let result = self.client.run_plain_task_with(manager, &operation, &options).await;
        if let Err(error) = result {
            tracing::warn!(%error, %path, "the file is left on the datastore");
        }
    }
}

/// Whether the host has said that it did not register the machine: a broken wait says nothing, and the file of a machine that is
/// registered must not go.
fn is_refusal(error: &ViError) -> bool {
    match error {
        ViError::TaskFailed { .. } => true,
        ViError::TaskGivenUp { task, .. } => {
            matches!(task, Leftover::NotStarted | Leftover::Cancelled)
        }
        ViError::Fault { method, .. } => *method == RegisterVMTask::NAME,
        _ => false,
    }
}

/// The disk that a new machine's VMX file goes beside, if it has one.
fn first_disk(definition: &virt_xml::Domain) -> Result<Option<DatastorePath>> {
    let unsupported =
        |message: String| Error::new(ErrorCode::ConfigUnsupported, ErrorDomain::Esx, message);
    let disks = &definition.devices.disks;
    let Some(disk) = disks.iter().find(|disk| disk.device == "disk" && disk.kind == "file") else {
        return Ok(None);
    };
    let source = disk.source.as_ref().and_then(|source| source.file.clone());
    let source =
        source.ok_or_else(|| unsupported(format!("the disk '{}' has no source", disk.target)))?;
    let beside: DatastorePath = source.parse().map_err(|e| {
        Error::invalid_arg(ErrorDomain::Esx, format!("the disk {source:?} is in no datastore"))
            .with_source(e)
    })?;
    if !source.to_ascii_lowercase().ends_with(".vmdk") {
        return Err(unsupported(format!("the disk {source:?} is no .vmdk file")));
    }
    Ok(Some(beside))
}

/// Whether every line of the file `found` is one of `content` too, but for the values that are made up at each attempt. The last
/// line of a file that was cut off may be the beginning of one. An empty file has nothing to lose.
fn is_contained(found: &[u8], content: &[u8]) -> bool {
    let key = |line: &[u8]| {
        line.split(|&byte| byte == b'=').next().map(<[u8]>::trim_ascii).map(<[u8]>::to_vec)
    };
    let made_up = |key: &[u8]| {
        matches!(key, b"uuid.bios" | b"vc.uuid")
            || key.starts_with(b"ethernet") && key.to_ascii_lowercase().ends_with(b"address")
    };
    let lines: Vec<&[u8]> = content.split(|&byte| byte == b'\n').collect();
    let mut found = found.split(|&byte| byte == b'\n').peekable();
    while let Some(line) = found.next() {
        let cut = found.peek().is_none();
        let name = key(line).unwrap_or_default();
        let own = |own: &&[u8]| {
            *own == line
                || cut && own.starts_with(line)
                || made_up(&name) && key(own).as_ref() == Some(&name)
        };
        if !lines.iter().any(own) {
            return false;
        }
    }
    true
}

/// A random number for what a document leaves open (UUID, MAC addresses).
pub(super) fn seed() -> u64 {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    high ^ low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leavings_of_a_definition_are_its_own_words() {
        let content = b".encoding = \"UTF-8\"\ndisplayName = \"a\"\nuuid.bios = \"1 2\"\nethernet0.address = \"3\"\n";
        for (found, expected) in [
            (&content[..], true),
            (b"", true),
            (b".encoding = \"UTF-8\"\ndisplayN", true),
            (b".encoding = \"UTF-8\"\nuuid.bios = \"7 7\"\nethernet0.address = \"8\"\n", true),
            (b"somebody's", false),
            (b"displayName = \"b\"\n", false),
            (b"displayName = \"a\"\nmemSize = \"4\"\n", false),
            // Cut off in the middle of the file, not at its end.
            (b"displayN\nuuid.bios = \"1 2\"\n", false),
            (b"vc.uuid = \"1\"\n", false),
        ] {
            assert_eq!(is_contained(found, content), expected, "{}", found.escape_ascii());
        }
    }
}
