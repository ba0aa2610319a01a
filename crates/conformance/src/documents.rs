//! Domains as documents.

use virt_api::{DomainXmlFlags, Driver, ErrorCode};
use virt_xml::{Element, FormatOptions};

use crate::domains::{all, askable};
use crate::{Expectations, Findings};

/// Each domain's document can be read, tells the domain's name and, while it is active, its ID; written again and
/// read again it stays the same.
pub async fn documents_agree_with_handles(
    driver: &dyn Driver,
    expect: &Expectations,
    found: &mut Findings,
) {
    let hypervisor = driver.hypervisor();
    let list = all(hypervisor, found).await;
    for item in askable(&list, expect) {
        let handle = &item.domain;
        for flags in [DomainXmlFlags::empty(), DomainXmlFlags::INACTIVE] {
            let result = hypervisor.domain_get_xml_desc(handle, flags).await;
            if !expect.every_domain_has_a_document
                && let Err(error) = &result
            {
                found.skipped(format!("document of {handle:?}: {error}"));
                continue;
            }
            let Some(xml) =
                found.answer(format!("domain_get_xml_desc({handle:?}, {flags:?})"), result)
            else {
                continue;
            };
            let domain = match virt_xml::Domain::parse(&xml) {
                Ok(domain) => domain,
                Err(error) => {
                    found.wrong(format!("the document of {handle:?} cannot be read: {error}"));
                    continue;
                }
            };
            let id = if flags.contains(DomainXmlFlags::INACTIVE) { None } else { handle.id };
            // The typed document leaves out what only an active domain has.
            let told =
                Element::parse(&xml).ok().and_then(|root| root.attribute("id").map(str::to_owned));
            let id = id.map(|id| id.to_string());
            found.equal(format!("ID in the document of {handle:?} ({flags:?})"), &told, &id);
            if expect.every_domain_has_a_document {
                found.equal(
                    "name in the document",
                    &domain.name.as_deref(),
                    &Some(handle.name.as_str()),
                );
            }
            let again = domain.to_xml(&FormatOptions::default());
            match virt_xml::Domain::parse(&again) {
                Ok(same) => found.equal(
                    format!("the document of {handle:?}, written and read again"),
                    &same.to_xml(&FormatOptions::default()),
                    &again,
                ),
                Err(error) => found.wrong(format!(
                    "the document of {handle:?}, written again, cannot be read: {error}"
                )),
            }
        }
    }
}

/// A flag bit that libvirt does not have is an invalid argument.
pub async fn unknown_xml_flags_are_refused(
    driver: &dyn Driver,
    expect: &Expectations,
    found: &mut Findings,
) {
    let hypervisor = driver.hypervisor();
    let list = all(hypervisor, found).await;
    let Some(item) = askable(&list, expect).first().copied() else { return };
    let flags = DomainXmlFlags::from_bits_retain(1 << 29);
    let result = hypervisor.domain_get_xml_desc(&item.domain, flags).await;
    found.refused("domain_get_xml_desc with an unknown flag", result, &[ErrorCode::InvalidArg]);
}
