//! Domain XML: of a registered machine, and to and from VMX text.

use bytes::Bytes;
use esx_escape::DatastorePath;
use esx_vi_api::data::DatastoreHostMount;
use esx_vi_client::{Error as ViError, Retrieval, TransportError, traversal};
use esx_vmx::Document;
use esx_vmx_domain::{Context, Datastore, Mode, needs_datastores, to_domain};
use virt_api::{
    Domain, DomainState, DomainXmlFlags, Error, ErrorCode, ErrorDomain, NativeConversionFlags,
    Result, check_flags,
};
use virt_xml::FormatOptions;

use super::lookup::{Found, Wanted};
use crate::connection::Session;
use crate::error::{decode_error, vi_error};

/// The only format name libvirt knows here.
const VMX: &str = "vmware-vmx";
/// VMX files have a few kilobytes; this is room for very long annotations.
const MAX_VMX_BYTES: u64 = 16 << 20;
/// Where the VMX file is. `summary` has it even if the configuration cannot be read.
pub(crate) const VMX_PATHS: &[&str] = &["config.files.vmPathName", "summary.config.vmPathName"];

impl Session {
    /// libvirt `virDomainGetXMLDesc` (spec `domain.md` 11.1).
    pub(crate) async fn xml_desc(&self, domain: &Domain, flags: DomainXmlFlags) -> Result<String> {
        let known = DomainXmlFlags::SECURE
            | DomainXmlFlags::INACTIVE
            | DomainXmlFlags::MIGRATABLE
            | DomainXmlFlags::KEEP_KEYS
            | DomainXmlFlags::EXACT;
        check_flags("virDomainGetXMLDesc", flags, known)?;
        let (exact, keep_keys) =
            (flags.contains(DomainXmlFlags::EXACT), flags.contains(DomainXmlFlags::KEEP_KEYS));
        check_keep(exact, keep_keys)?;
        if flags.intersects(DomainXmlFlags::SECURE | DomainXmlFlags::MIGRATABLE) && self.read_only {
            return Err(Error::read_only("virDomainGetXMLDesc"));
        }
        let found = self.find_domain(domain, Wanted { paths: VMX_PATHS, autostart: false }).await?;
        let (path, bytes) = self.vmx_file(&found).await?;
        let document = Document::parse(&bytes).map_err(|e| conversion_error(e.into()))?;
        let binding = self.binding().await?;
        let context = Context {
            mode: mode(exact),
            keep_keys,
            vmx_path: Some(path.to_string()),
            datastores: self.datastores_for(&document).await?,
            long_mode: self.facts().await?.long_mode,
            domain_id: (found.machine.state != DomainState::Shutoff)
                .then_some(found.machine.domain.id)
                .flatten(),
            legacy_uuid: self.uri.legacy_uuid(),
            datacenter_path: Some(binding.datacenter_path),
            moref: Some(found.machine.moref.value),
            ..Context::default()
        };
        let options = FormatOptions {
            secure: flags.contains(DomainXmlFlags::SECURE),
            inactive: flags.contains(DomainXmlFlags::INACTIVE),
            migratable: flags.contains(DomainXmlFlags::MIGRATABLE),
        };
        convert(&document, &context, &options)
    }

    /// The VMX file of a machine that was read with [`VMX_PATHS`].
    pub(crate) async fn vmx_file(&self, found: &Found) -> Result<(DatastorePath, Bytes)> {
        let path = vmx_path(found)?;
        let binding = self.binding().await?;
        let bytes = match self.client.download(&path, &binding.datacenter_path, MAX_VMX_BYTES).await
        {
            Ok(bytes) => bytes,
            Err(ViError::Transport(TransportError::Status { status: 404, .. })) => {
                let message = format!(
                    "the VMX file \"{path}\" of domain {:?} does not exist",
                    found.machine.domain.name
                );
                return Err(Error::internal(ErrorDomain::Esx, message));
            }
            Err(error) => {
                return Err(vi_error(&format!("cannot read the VMX file \"{path}\""), error));
            }
        };
        if bytes.is_empty() {
            // vcsim has such files; a real host has one while a machine is being made.
            return Err(Error::internal(
                ErrorDomain::Esx,
                format!("the VMX file \"{path}\" is empty"),
            ));
        }
        Ok((path, bytes))
    }

    /// libvirt `virConnectDomainXMLFromNative` (spec `domain.md` 11.2).
    pub(crate) async fn xml_from_native(
        &self,
        format: &str,
        config: &str,
        flags: NativeConversionFlags,
    ) -> Result<String> {
        let known = NativeConversionFlags::EXACT | NativeConversionFlags::KEEP_KEYS;
        self.check_native("virConnectDomainXMLFromNative", format, flags, known)?;
        let exact = flags.contains(NativeConversionFlags::EXACT);
        let keep_keys = flags.contains(NativeConversionFlags::KEEP_KEYS);
        check_keep(exact, keep_keys)?;
        let document =
            Document::parse(config.as_bytes()).map_err(|e| conversion_error(e.into()))?;
        let context = Context {
            mode: mode(exact),
            keep_keys,
            datastores: self.datastores_for(&document).await?,
            long_mode: self.facts().await?.long_mode,
            ..Context::default()
        };
        convert(&document, &context, &FormatOptions { inactive: true, ..FormatOptions::default() })
    }

    pub(super) fn check_native(
        &self,
        function: &str,
        format: &str,
        flags: NativeConversionFlags,
        known: NativeConversionFlags,
    ) -> Result<()> {
        if self.read_only {
            return Err(Error::read_only(function));
        }
        check_flags(function, flags, known)?;
        if format != VMX {
            let message =
                format!("unknown configuration format {format:?}, the only one is \"{VMX}\"");
            return Err(Error::invalid_arg(ErrorDomain::Esx, message));
        }
        Ok(())
    }

    /// The host's datastores, asked for only if the file names one: one request.
    pub(super) async fn datastores_for(&self, document: &Document) -> Result<Vec<Datastore>> {
        if needs_datastores(document) { self.datastores().await } else { Ok(Vec::new()) }
    }

    /// The datastores that the host mounts: one request.
    pub(crate) async fn datastores(&self) -> Result<Vec<Datastore>> {
        let host = self.binding().await?.host;
        let retrieval = Retrieval::from(&host)
            .via([traversal("hostSystemToDatastore", "HostSystem", "datastore", [])])
            .read("Datastore", ["summary.name", "host"]);
        let found = self
            .client
            .retrieve(&retrieval)
            .await
            .map_err(|e| vi_error("cannot list datastores", e))?;
        let mut datastores = Vec::new();
        for row in found.of("Datastore") {
            let Some(name) = row.get::<String>("summary.name").map_err(decode_error)? else {
                continue;
            };
            // vcsim leaves the mount path out; a datastore without one holds no file we could name.
            let mounts: Vec<DatastoreHostMount> =
                row.get_lenient("host").map_err(decode_error)?.unwrap_or_default();
            let mount = mounts
                .into_iter()
                .find(|mount| mount.key == host)
                .and_then(|mount| mount.mount_info.path);
            if let Some(mount_path) = mount.filter(|path| !path.is_empty()) {
                datastores.push(Datastore { name, mount_path });
            }
        }
        Ok(datastores)
    }
}

pub(super) fn mode(exact: bool) -> Mode {
    if exact { Mode::Exact } else { Mode::Default }
}

/// libvirt keeps no keys.
fn check_keep(exact: bool, keep_keys: bool) -> Result<()> {
    if exact && keep_keys {
        let message = "the flags EXACT and KEEP_KEYS exclude each other";
        return Err(Error::invalid_arg(ErrorDomain::Esx, message));
    }
    Ok(())
}

fn vmx_path(found: &Found) -> Result<DatastorePath> {
    for path in VMX_PATHS {
        if let Some(text) =
            found.row.get::<String>(path).map_err(decode_error)?.filter(|t| !t.is_empty())
        {
            return text.parse().map_err(|e| {
                Error::internal(
                    ErrorDomain::Esx,
                    format!("the host names the odd VMX file {text:?}"),
                )
                .with_source(e)
            });
        }
    }
    let name = &found.machine.domain.name;
    let message = format!(
        "the host does not tell where the VMX file of domain {name:?} is: the machine is inaccessible or orphaned"
    );
    Err(Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message))
}

fn convert(document: &Document, context: &Context, options: &FormatOptions) -> Result<String> {
    let conversion = to_domain(document, context).map_err(conversion_error)?;
    for warning in &conversion.warnings {
        tracing::warn!(%warning, "conversion");
    }
    Ok(conversion.domain.to_xml(options))
}

/// A failed conversion: the libvirt numbers are its own.
pub(crate) fn conversion_error(error: esx_vmx_domain::Error) -> Error {
    let number = |n: i32| u32::try_from(n).unwrap_or_default();
    let code =
        ErrorCode::from_number(number(error.code.number())).unwrap_or(ErrorCode::InternalError);
    let domain =
        ErrorDomain::from_number(number(error.domain.number())).unwrap_or(ErrorDomain::Esx);
    Error::new(code, domain, "cannot convert the domain's configuration").with_source(error)
}
