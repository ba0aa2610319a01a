//! Defining a domain: VMX file written, uploaded, registered (spec `domain.md` 12.1).

use bytes::Bytes;
use esx_escape::{DatastorePath, datastore_item};
use esx_vi_api::methods::{DeleteDatastoreFileTask, QueryConfigOptionDescriptor, RegisterVMTask};
use esx_vi_api::{MoRef, Value};
use esx_vi_client::Error as ViError;
use esx_vmx_domain::{Context, Mode, ProductLine, parse_domain, to_vmx, virtual_hardware_version};
use uuid::Uuid;
use virt_api::{
    Domain, DomainDefineFlags, Error, ErrorCode, ErrorDomain, NativeConversionFlags, Result,
    check_flags,
};

use super::lookup::Wanted;
use super::xml::{conversion_error, mode};
use crate::connection::Session;
use crate::error::vi_error;
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

impl Session {
    /// libvirt `virConnectDomainXMLToNative` (spec `domain.md` 11.3).
    pub(crate) async fn xml_to_native(
        &self,
        format: &str,
        xml: &str,
        flags: NativeConversionFlags,
    ) -> Result<String> {
        self.check_native("virConnectDomainXMLToNative", format, flags)?;
        let mode = mode(flags.contains(NativeConversionFlags::EXACT));
        let document = self.vmx_of(xml, mode).await?.1;
        Ok(String::from_utf8_lossy(&document).into_owned())
    }

    /// Converts a document; returns the domain and the VMX file.
    async fn vmx_of(&self, xml: &str, mode: Mode) -> Result<(virt_xml::Domain, Vec<u8>)> {
        let context = Context {
            mode,
            datastores: if xml.contains('[') { self.datastores().await? } else { Vec::new() },
            long_mode: self.facts().await?.long_mode,
            hardware_version: match mode {
                Mode::Exact => self.libvirt_hardware_version(),
                Mode::Default => self.hardware_version().await?,
            },
            seed: seed(),
            ..Context::default()
        };
        let domain = parse_domain(xml, &context).map_err(conversion_error)?;
        let conversion = to_vmx(&domain, &context).map_err(conversion_error)?;
        for warning in &conversion.warnings {
            tracing::warn!(%warning, "conversion");
        }
        Ok((domain, conversion.document.to_bytes()))
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

    /// libvirt `virDomainDefineXMLFlags`: the VMX file goes beside the first disk. An existing file is never
    /// overwritten, and a file whose registration fails is taken away again.
    ///
    /// `VALIDATE` is accepted: the document is always checked by our own reader, not by the RELAX NG schema.
    pub(crate) async fn define(&self, xml: &str, flags: DomainDefineFlags) -> Result<Domain> {
        self.check_writable("virDomainDefineXMLFlags")?;
        check_flags("virDomainDefineXMLFlags", flags, DomainDefineFlags::VALIDATE)?;
        let (definition, vmx) = self.vmx_of(xml, Mode::Default).await?;
        let name = definition.name.clone().unwrap_or_default();
        if name.is_empty() || name.contains('\n') {
            let message = "the name of a domain must be one line and not empty";
            return Err(Error::new(ErrorCode::XmlDetail, ErrorDomain::Esx, message));
        }
        self.refuse_existing(&name, definition.uuid).await?;
        let disk = definition
            .devices
            .disks
            .iter()
            .find(|disk| disk.device == "disk" && disk.kind == "file");
        let unsupported =
            |message: String| Error::new(ErrorCode::ConfigUnsupported, ErrorDomain::Esx, message);
        let source = disk.and_then(|disk| disk.source.as_ref()?.file.clone()).ok_or_else(|| {
            unsupported(
                "a domain needs a disk in a datastore: its VMX file is stored beside it".to_owned(),
            )
        })?;
        let beside: DatastorePath = source.parse().map_err(|e| {
            Error::invalid_arg(ErrorDomain::Esx, format!("the disk {source:?} is in no datastore"))
                .with_source(e)
        })?;
        if !source.to_ascii_lowercase().ends_with(".vmdk") {
            return Err(unsupported(format!("the disk {source:?} is no .vmdk file")));
        }
        let path = beside.sibling(&format!("{}.vmx", datastore_item::escape(&name)));
        let binding = self.binding().await?;
        let failed = |what: String| move |e| vi_error(&what, e);
        let exists = self.client.file_exists(&path, &binding.datacenter_path).await;
        if exists.map_err(failed(format!("cannot look for the file \"{path}\"")))? {
            let message = format!("the file \"{path}\" exists already and is not overwritten");
            return Err(Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message));
        }
        let upload = self.client.upload(&path, &binding.datacenter_path, Bytes::from(vmx)).await;
        upload.map_err(failed(format!("cannot write the file \"{path}\"")))?;
        match self.register(&path, &binding).await {
            Ok(machine) => self.defined(&machine, &name).await,
            Err(error) => {
                self.take_back(&path, &binding).await;
                Err(vi_error(&format!("cannot define domain {name:?}"), error))
            }
        }
    }

    /// Refuses a name or UUID that is taken: editing a domain that exists is another matter.
    async fn refuse_existing(&self, name: &str, uuid: Option<Uuid>) -> Result<()> {
        let taken = |what: String| Err(Error::new(ErrorCode::DomExist, ErrorDomain::Esx, what));
        let no_domain = |error: &Error| error.code == ErrorCode::NoDomain;
        if let Some(uuid) = uuid.filter(|uuid| !uuid.is_nil()) {
            match self.find(&virt_api::DomainSelector::Uuid(uuid), Wanted::default()).await {
                Ok(found) => {
                    return taken(format!(
                        "domain {:?} has the UUID {uuid} already",
                        found.machine.domain.name
                    ));
                }
                Err(error) if no_domain(&error) => {}
                Err(error) => return Err(error),
            }
        }
        match self.find(&virt_api::DomainSelector::Name(name.to_owned()), Wanted::default()).await {
            Ok(_) => taken(format!("a domain {name:?} exists already")),
            Err(error) if no_domain(&error) => Ok(()),
            Err(error) => Err(error),
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
        if let Err(error) = self.client.run_plain_task(manager, &operation).await {
            tracing::warn!(%error, %path, "the file is left on the datastore");
        }
    }
}

/// A random number for what a document leaves open (UUID, MAC addresses).
fn seed() -> u64 {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    high ^ low
}
