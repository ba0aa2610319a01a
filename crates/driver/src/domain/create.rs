//! `virDomainCreateXML`: a domain is made and started in one call. libvirt's ESX driver has no such function; virt-install
//! and others that make machines have no other.

use esx_vmx_domain::Mode;
use virt_api::{
    Domain, DomainCreateFlags, DomainState, Error, ErrorCode, ErrorDomain, Result, check_flags,
};

use super::define::Made;
use super::state_of;
use crate::connection::Session;

impl Session {
    /// libvirt `virDomainCreateXML`: the document is defined, then started. VMware hosts know no transient machines, so it
    /// stays when it stops. One that cannot be started is taken away again, with the file that was made for it, unless it was
    /// there before. A document with name and UUID of a machine that is off changes that machine.
    ///
    /// `VALIDATE` is accepted as for a definition, `BYPASS_CACHE` and `FORCE_BOOT` as for a start.
    pub(crate) async fn create_xml(&self, xml: &str, flags: DomainCreateFlags) -> Result<Domain> {
        self.check_writable("virDomainCreateXML")?;
        let harmless = DomainCreateFlags::BYPASS_CACHE | DomainCreateFlags::FORCE_BOOT;
        let known = harmless | DomainCreateFlags::VALIDATE;
        check_flags("virDomainCreateXML", flags, known)?;
        let (name, definition, names_files) = self.read_definition(xml, Mode::Default).await?;
        let (domain, made): (Domain, Option<Made>) =
            match self.defined_already(&name, definition.uuid).await? {
                Some(found) => {
                    let state = state_of(&found.row)?;
                    if state != DomainState::Shutoff {
                        let message = format!("domain {name:?} exists already and is {state}");
                        let (code, domain) = (ErrorCode::OperationInvalid, ErrorDomain::Esx);
                        return Err(Error::new(code, domain, message));
                    }
                    (self.redefine(found, &definition, names_files).await?, None)
                }
                None => {
                    let (domain, made) =
                        self.define_new(&name, &definition, names_files, Mode::Default).await?;
                    (domain, Some(made))
                }
            };
        let started = self.create(&domain, flags & harmless).await;
        if let (Err(error), Some(made)) = (&started, made) {
            tracing::debug!(%error, name, "what was made for a machine that does not start is taken away");
            self.undo(&domain, made).await;
        }
        started
    }
}
