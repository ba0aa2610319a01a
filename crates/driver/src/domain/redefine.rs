//! Defining a domain that exists: its VMX file is edited, and the host told to read it again.
//!
//! libvirt's ESX driver refuses this. VMware keeps one configuration, which belongs to the running machine while
//! there is one; so the machine must be off. The document is merged into the file that is there: what it does not
//! speak of stays as it is. `ManagedEntity.Reload` makes the host take the file up, as for files that are edited by
//! hand. Should the host not take it, the old file is put back.
//!
//! The new file is uploaded under a name of its own and then given the old one's: whoever dies in the middle leaves the
//! machine its old file or the new one, whole.

use bytes::Bytes;
use esx_escape::DatastorePath;
use esx_task::Question;
use esx_vi_api::Value;
use esx_vi_api::methods::Reload;
use esx_vi_client::{Error as ViError, Existing, FilePlace, Retrieval, TransportError, traversal};
use esx_vmx::Document;
use esx_vmx_domain::{Context, merge_into};
use virt_api::{Domain, DomainState, Error, ErrorCode, ErrorDomain, Result};

use super::define::seed;
use super::lookup::{Found, Wanted};
use super::state_of;
use super::xml::conversion_error;
use crate::connection::Session;
use crate::error::{decode_error, vi_error};
use crate::inventory::Binding;

const QUESTION: &str = "runtime.question";
const CONNECTION: &str = "runtime.connectionState";

impl Session {
    /// Changes a machine after a document that has its name and UUID; `found` was read with `VMX_PATHS`.
    pub(super) async fn redefine(
        &self,
        found: Found,
        definition: &virt_xml::Domain,
        names_files: bool,
    ) -> Result<Domain> {
        let domain = &found.machine.domain;
        let (path, old) = self.vmx_file(&found).await?;
        let document = Document::parse(&old).map_err(|e| conversion_error(e.into()))?;
        let datastores = if names_files {
            self.datastores().await?
        } else {
            self.datastores_for(&document).await?
        };
        let version = document.get_integer("virtualHW.version").ok().flatten();
        let context = Context {
            vmx_path: Some(path.to_string()),
            datastores,
            long_mode: self.facts().await?.long_mode,
            legacy_uuid: self.uri.legacy_uuid(),
            hardware_version: version.and_then(|version| u32::try_from(version).ok()).unwrap_or(4),
            scsi_models: self.scsi_models(definition).await?,
            seed: seed(),
            ..Context::default()
        };
        let merged = merge_into(definition, &document, &context).map_err(conversion_error)?;
        for warning in &merged.warnings {
            tracing::warn!(%warning, "conversion");
        }
        let new = Bytes::from(merged.document.to_bytes());
        if new == old {
            // Whoever was cut off after the file was exchanged has not told the host to read it.
            if state_of(&found.row)? == DomainState::Shutoff
                && let Err(error) = self.client.call(&found.machine.moref, &Reload {}).await
                // Without the licence for it the file cannot have been exchanged.
                && !error.is_fault("RestrictedVersion")
            {
                return Err(vi_error(&format!("cannot redefine domain {:?}", domain.name), error));
            }
            return Ok(domain.clone());
        }
        // Clients that have just made and started a machine define it once more: it is what the document says.
        if only_choices_left(&document, &merged.document)
            && state_of(&found.row)? != DomainState::Shutoff
        {
            return Ok(domain.clone());
        }
        let binding = self.binding().await?;
        self.check_at_rest(&found).await?;
        let edited = Edited { found: &found, path: &path, binding: &binding, old };
        self.write_and_reload(edited, new).await
    }

    /// Refuses a machine that is not off, asks something or is being worked on.
    async fn check_at_rest(&self, found: &Found) -> Result<()> {
        let name = &found.machine.domain.name;
        let refuse = |why: String| {
            let message = format!("domain {name:?} cannot be redefined: {why}");
            Err(Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message))
        };
        let retrieval = Retrieval::from(&found.machine.moref)
            .via([traversal("recentTask", "VirtualMachine", "recentTask", [])])
            .read("VirtualMachine", [super::operate::POWER, QUESTION])
            .read("Task", ["info.state", "info.descriptionId"]);
        let now = self.client.retrieve(&retrieval).await;
        let now = now.map_err(|e| vi_error("cannot read the domain", e))?;
        for task in now.of("Task") {
            let text = |path| task.get::<String>(path).map_err(decode_error);
            if matches!(text("info.state")?.as_deref(), Some("queued" | "running")) {
                let task = text("info.descriptionId")?.unwrap_or_default();
                return refuse(format!("the task {task:?} has not ended"));
            }
        }
        let Some(row) = now.of("VirtualMachine").next() else {
            return Err(Error::no_domain(format!("domain {name:?} has gone")));
        };
        let question: Option<Value> = row.get(QUESTION).map_err(decode_error)?;
        if let Some(question) = question.as_ref().map(Question::from_value) {
            return refuse(format!("it asks {:?}", question.text));
        }
        match state_of(row)? {
            DomainState::Shutoff => Ok(()),
            state => refuse(format!(
                "it is {state}; a machine that is not off can be changed device by device"
            )),
        }
    }

    async fn write_and_reload(&self, edited: Edited<'_>, new: Bytes) -> Result<Domain> {
        let Edited { found, path, binding, .. } = edited;
        let machine = &found.machine.moref;
        let name = &found.machine.domain.name;
        let what = format!("cannot redefine domain {name:?}");
        if let Err(error) = self.replace_file(path, binding, new).await {
            // A refusal comes before the first byte is written; what goes wrong with the other file is nothing to the old one.
            let refused = match &error {
                ViError::Transport(e) => {
                    e.is_before_send() || matches!(e, TransportError::Status { .. })
                }
                error => matches!(error, ViError::Transfer(_)),
            };
            let error = vi_error(&what, error);
            return Err(if refused { error } else { self.put_back(&edited, error).await });
        }
        if let Err(error) = self.client.call(machine, &Reload {}).await {
            let error = vi_error(&what, error);
            return Err(self.put_back(&edited, error).await);
        }
        let wanted = Wanted { paths: &[CONNECTION], autostart: false };
        let Some(now) = self.read_machine(machine, wanted).await? else {
            return Err(Error::no_domain(format!("domain {name:?} was redefined and has gone")));
        };
        let connected = now.row.get::<String>(CONNECTION).map_err(decode_error)?;
        if connected.as_deref().is_some_and(|state| state != "connected")
            || now.machine.problem.is_some()
        {
            let message = format!("{what}: the host does not accept the new configuration");
            let error = Error::new(ErrorCode::ConfigUnsupported, ErrorDomain::Esx, message);
            return Err(self.put_back(&edited, error).await);
        }
        Ok(now.machine.domain)
    }

    /// Replaces a file that was just read, all of it or nothing.
    async fn replace_file(
        &self,
        path: &DatastorePath,
        binding: &Binding,
        content: Bytes,
    ) -> Result<(), ViError> {
        if self.client.content().file_manager.is_some() {
            let place = FilePlace {
                path,
                datacenter_path: &binding.datacenter_path,
                datacenter: Some(&binding.datacenter),
            };
            let exchange = async {
                let size = content.len() as u64;
                let mut upload = self.client.open_upload(place, size, Existing::Seen).await?;
                upload.send(content.clone()).await?;
                upload.finish().await
            };
            match exchange.await {
                Err(error) if error.fault().is_some() => {
                    tracing::info!(%error, %path, "the host does not exchange the file, which is now overwritten");
                }
                result => return result,
            }
        }
        self.client.upload(path, &binding.datacenter_path, content).await
    }

    /// Puts the old file back; the error tells if that did not work.
    async fn put_back(&self, edited: &Edited<'_>, mut error: Error) -> Error {
        let Edited { found, path, binding, old } = edited;
        let upload = self.replace_file(path, binding, old.clone()).await;
        let again = match upload {
            Ok(()) => self.client.call(&found.machine.moref, &Reload {}).await,
            Err(error) => Err(error),
        };
        if let Err(again) = again {
            tracing::warn!(error = %again, %path, "the old configuration could not be put back");
            error.message.push_str(", and the old configuration could not be put back");
        }
        error
    }
}

/// A machine's file before it is edited.
struct Edited<'a> {
    found: &'a Found,
    path: &'a DatastorePath,
    binding: &'a Binding,
    old: Bytes,
}

/// Whether `new` differs from `old` only in that it leaves choices to the host that were made long ago: models of controllers and
/// adapters, their places on the bus, the file of the firmware's variables, the video memory.
fn only_choices_left(old: &Document, new: &Document) -> bool {
    let is_choice = |key: &str| {
        let key = key.to_ascii_lowercase();
        matches!(key.as_str(), "nvram" | "svga.vramsize")
            || key.ends_with(".virtualdev")
            || key.ends_with(".pcislotnumber")
    };
    old.entries().all(|entry| match new.get(entry.key) {
        Some(value) => value == entry.value,
        None => is_choice(entry.key),
    }) && new.entries().all(|entry| old.contains(entry.key))
}
