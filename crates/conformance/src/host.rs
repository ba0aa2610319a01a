//! Facts about the host.

use virt_api::Driver;
use virt_xml::Element;

use crate::{Expectations, Findings};

/// Type, version, name, URI and hardware of the host are there and fit each other.
pub async fn host_facts_make_sense(driver: &dyn Driver, _: &Expectations, found: &mut Findings) {
    let hypervisor = driver.hypervisor();
    if let Some(kind) = found.answer("connect_get_type", hypervisor.connect_get_type().await)
        && kind.is_empty()
    {
        found.wrong("the type of the hypervisor is empty");
    }
    if let Some(version) =
        found.answer("connect_get_version", hypervisor.connect_get_version().await)
        && version.0 < 1_000_000
    {
        found.wrong(format!("the version {version} is below 1.0.0"));
    }
    if let Some(name) =
        found.answer("connect_get_hostname", hypervisor.connect_get_hostname().await)
        && (name.is_empty() || name.ends_with('.') || name.contains(char::is_whitespace))
    {
        found.wrong(format!("{name:?} is not a host name"));
    }
    if let Some(uri) = found.answer("connect_get_uri", hypervisor.connect_get_uri().await) {
        let authority = uri
            .split_once("://")
            .map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
        if authority.is_empty() {
            found.wrong(format!("the URI {uri:?} names no host"));
        }
        if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
            found.wrong("the URI tells a password");
        }
    }
    if let Some(node) = found.answer("node_get_info", hypervisor.node_get_info().await) {
        if node.memory_kib == 0 || node.cpus == 0 {
            found.wrong(format!("the host has no memory or no CPUs: {node:?}"));
        }
        if node.model.len() > 31 {
            found.wrong(format!("the CPU model {:?} is longer than 31 bytes", node.model));
        }
    }
    if let Some(alive) = found.answer("connect_is_alive", hypervisor.connect_is_alive().await) {
        found.equal("connect_is_alive", &alive, &true);
    }
    let encrypted = found.answer("connect_is_encrypted", hypervisor.connect_is_encrypted().await);
    let secure = found.answer("connect_is_secure", hypervisor.connect_is_secure().await);
    if let (Some(encrypted), Some(secure)) = (encrypted, secure) {
        found.equal("connect_is_secure as against connect_is_encrypted", &secure, &encrypted);
    }
}

/// The capabilities are XML with a host architecture and a guest type that domains can use.
pub async fn capabilities_describe_a_host(
    driver: &dyn Driver,
    _: &Expectations,
    found: &mut Findings,
) {
    let hypervisor = driver.hypervisor();
    let Some(xml) =
        found.answer("connect_get_capabilities", hypervisor.connect_get_capabilities().await)
    else {
        return;
    };
    let root = match Element::parse(&xml) {
        Ok(root) => root,
        Err(error) => return found.wrong(format!("the capabilities are not XML: {error}")),
    };
    found.equal("root element of the capabilities", &root.name.as_str(), &"capabilities");
    if descend(&root, &["host", "cpu", "arch"]).is_none_or(|arch| arch.text().trim().is_empty()) {
        found.wrong("the capabilities tell no host architecture");
    }
    if root.children_named("guest").next().is_none() {
        found.wrong("the capabilities tell of no guest type");
    }
    for guest in root.children_named("guest") {
        let paths: [&[&str]; 3] = [&["os_type"], &["arch", "wordsize"], &["arch", "domain"]];
        if paths.iter().any(|path| descend(guest, path).is_none()) {
            found.wrong("a guest type of the capabilities is not complete");
        }
    }
}

/// The first element at the end of a path of names.
fn descend<'a>(root: &'a Element, path: &[&'a str]) -> Option<&'a Element> {
    path.iter().try_fold(root, |element, name| element.children_named(name).next())
}
