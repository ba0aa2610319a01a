//! What a machine is called and described as: `domrename`, `desc`. Beyond libvirt's ESX driver.

use std::borrow::Cow;

use esx_escape::percent;
use esx_vi_api::data::VirtualMachineConfigSpec;
use esx_vi_api::methods::{ReconfigVMTask, RenameTask};
use virt_api::{
    Domain, DomainModificationFlags as Impact, DomainState, Error, ErrorCode, ErrorDomain,
    MetadataType, NoFlags, Result, check_flags,
};

use super::lookup::Wanted;
use super::operate::{checked_state, require_state};
use crate::connection::Session;
use crate::error::decode_error;

const ANNOTATION: &str = "config.annotation";

impl Session {
    /// libvirt `virDomainRename`: the machine must be off, as libvirt has it. Files keep their names.
    pub(crate) async fn rename(&self, domain: &Domain, name: &str, flags: NoFlags) -> Result<()> {
        self.check_writable("virDomainRename")?;
        check_flags("virDomainRename", flags, NoFlags::empty())?;
        check_name(name)?;
        if name == domain.name {
            let message = format!("domain {name:?} has that name already");
            return Err(Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message));
        }
        let operation = RenameTask { new_name: percent::escape(name).into_owned() };
        let what = format!("cannot rename domain {:?} to {name:?}", domain.name);
        let allowed = |c: &_| require_state(domain, checked_state(c), &[DomainState::Shutoff]);
        self.run(domain, &what, &operation, &[], allowed).await
    }

    /// libvirt `virDomainGetMetadata`. The description is the machine's notes; a title and elements of other
    /// namespaces have no place on a VMware host.
    pub(crate) async fn metadata(
        &self,
        domain: &Domain,
        kind: MetadataType,
        flags: Impact,
    ) -> Result<String> {
        check_flags("virDomainGetMetadata", flags, Impact::AFFECT_LIVE | Impact::AFFECT_CONFIG)?;
        let found =
            self.find_domain(domain, Wanted { paths: &[ANNOTATION], autostart: false }).await?;
        let text = match kind {
            MetadataType::Description => {
                found.row.get::<String>(ANNOTATION).map_err(decode_error)?
            }
            _ => None,
        };
        text.filter(|text| !text.is_empty()).ok_or_else(|| {
            let message = format!("domain {:?} has no such metadata", domain.name);
            Error::new(ErrorCode::NoDomainMetadata, ErrorDomain::Esx, message)
        })
    }

    /// libvirt `virDomainSetMetadata`; nothing or an empty text takes the description away.
    pub(crate) async fn set_metadata(
        &self,
        domain: &Domain,
        kind: MetadataType,
        metadata: Option<&str>,
        flags: Impact,
    ) -> Result<()> {
        self.check_writable("virDomainSetMetadata")?;
        check_flags("virDomainSetMetadata", flags, Impact::AFFECT_LIVE | Impact::AFFECT_CONFIG)?;
        if kind != MetadataType::Description {
            let message =
                "a VMware host keeps a description (its notes), no title and no other metadata";
            return Err(Error::new(ErrorCode::OperationUnsupported, ErrorDomain::Esx, message));
        }
        let spec = VirtualMachineConfigSpec {
            annotation: Some(metadata.unwrap_or_default().to_owned()),
            ..VirtualMachineConfigSpec::default()
        };
        let what = format!("cannot change the description of domain {:?}", domain.name);
        self.run(domain, &what, &ReconfigVMTask { spec }, &[], |_| Ok(())).await
    }
}

/// Refuses what libvirt takes for no name.
pub(super) fn check_name(name: &str) -> Result<()> {
    let wrong: Cow<'_, str> = match name {
        "" => "the name of a domain must not be empty".into(),
        name if name.contains('\n') => "the name of a domain must be one line".into(),
        // VI API `Rename_Task`: 80 characters, with its escapes.
        name if percent::escape(name).chars().count() > 80 => {
            format!("the name {name:?} is longer than the 80 characters that hosts take").into()
        }
        _ => return Ok(()),
    };
    Err(Error::new(ErrorCode::XmlDetail, ErrorDomain::Esx, wrong))
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_have_a_length() {
        let ok = |name: &str| super::check_name(name).is_ok();
        assert!(ok("a") && ok(&"a".repeat(80)) && ok("a/b"));
        assert!(!ok("") && !ok("a\nb") && !ok(&"a".repeat(81)) && !ok(&"/".repeat(27)));
    }
}
