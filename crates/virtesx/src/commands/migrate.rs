//! `migrate`: a domain to another host of the same vCenter.

use virt_api::{MigrateFlags as Flags, MigrateOptions, domain_migrate};

use super::plain::{Plain, Switches, bits, option, request, shown, with_switches};
use crate::command::{Group, positional, required_value, value};
use crate::commands::domain::{domain_argument, lookup};
use crate::failure::{Context, usage};
use crate::render::Done;
use crate::session::Session;

const SWITCHES: Switches = &[
    ("live", "While it runs; what happens anyway", Flags::LIVE.bits()),
    ("offline", "Only if it is shut off", Flags::OFFLINE.bits()),
    ("p2p", "From host to host", Flags::PEER2PEER.bits()),
    ("tunnelled", "Through the management connection", Flags::TUNNELLED.bits()),
    ("persistent", "Define it at the destination; what happens anyway", Flags::PERSIST_DEST.bits()),
    ("undefinesource", "Undefine it here; what happens anyway", Flags::UNDEFINE_SOURCE.bits()),
    ("suspend", "Leave it paused at the destination", Flags::PAUSED.bits()),
    ("copy-storage-all", "Copy its disks", Flags::NON_SHARED_DISK.bits()),
    ("copy-storage-inc", "Copy the tops of its disks", Flags::NON_SHARED_INC.bits()),
    ("change-protection", "Refuse changes meanwhile", Flags::CHANGE_PROTECTION.bits()),
    ("unsafe", "Even if it may not be safe", Flags::UNSAFE.bits()),
    ("compressed", "Compress", Flags::COMPRESSED.bits()),
    ("auto-converge", "Slow the guest down if needed", Flags::AUTO_CONVERGE.bits()),
    ("rdma-pin-all", "Pin all memory", Flags::RDMA_PIN_ALL.bits()),
    ("abort-on-error", "Stop at an I/O error", Flags::ABORT_ON_ERROR.bits()),
    ("postcopy", "Allow post-copy", Flags::POSTCOPY.bits()),
    ("tls", "Encrypt", Flags::TLS.bits()),
    ("parallel", "Over several connections", Flags::PARALLEL.bits()),
    ("verbose", "Show progress; what a terminal does anyway", 0),
];

/// `migrate`
pub(crate) static MIGRATE: Plain = Plain {
    name: "migrate",
    group: Group::Domain,
    summary: "Move a domain to another host of the same vCenter",
    details: "DESTURI is the vpx:// URI of the destination, or only its path there (/DATACENTER/CLUSTER/HOST). A domain that runs keeps\n\
              running, one that is shut off is moved as it is. Its files stay where they are: both hosts must see them.",
    usage: "DOMAIN DESTURI",
    arguments: |command| {
        let help = "URI of the destination, or its path in this vCenter";
        with_switches(positional(domain_argument(command), "desturi", help, true), SWITCHES)
            .arg(option("migrateuri", "URI", "Where to, as vpxmigr://VCENTER/POOL/HOST"))
            .arg(option("dname", "NAME", "New name; VMware hosts refuse one"))
            .arg(
                option("bandwidth", "MIB/S", "At the most; VMware hosts choose themselves")
                    .value_parser(clap::value_parser!(u64)),
            )
    },
    request: |matches| {
        let domain = required_value(matches, "domain")?;
        let destination = value(matches, "desturi").filter(|uri| !uri.is_empty());
        let destination = destination.ok_or_else(|| usage("argument <DESTURI> is empty"))?;
        let text = |name| matches.get_one::<String>(name).cloned();
        let options = MigrateOptions {
            flags: Flags::from_bits_retain(bits(matches, SWITCHES)),
            name: text("dname"),
            uri: text("migrateuri"),
            bandwidth_mib: matches.get_one("bandwidth").copied().unwrap_or(0),
        };
        Ok(request(async move |session: &Session| {
            let domain = lookup(session.hypervisor().await?, &domain).await?;
            let failed = || format!("failed to migrate domain '{}'", domain.name);
            let uri = match destination.strip_prefix('/') {
                Some(path) => with_path(&session.connection_uri().await?, path),
                None => destination.clone(),
            };
            let other = session.open_other(&uri).await.context(failed)?;
            let migrated =
                domain_migrate(&domain, session.driver().await?, &*other, &options).await;
            session.close_other(&*other).await;
            let migrated = migrated.context(failed)?;
            shown(Done::to_domain("migrate", &migrated).with("destination", uri))
        }))
    },
};

/// The URI with another path; parameters stay.
fn with_path(uri: &str, path: &str) -> String {
    let (front, query) = match uri.split_once('?') {
        Some((front, query)) => (front, format!("?{query}")),
        None => (uri, String::new()),
    };
    let authority = front.find("://").map_or(0, |at| at + 3);
    let end = front[authority..].find('/').map_or(front.len(), |at| authority + at);
    format!("{}/{path}{query}", &front[..end])
}

#[cfg(test)]
mod tests {
    use super::with_path;

    #[test]
    fn a_path_takes_the_place_of_another() {
        for (uri, expected) in [
            ("vpx://u@vc:443/dc/cl/h1?no_verify=1", "vpx://u@vc:443/dc/cl/h2?no_verify=1"),
            ("vpx://vc/dc/h1", "vpx://vc/dc/cl/h2"),
            ("vpx://vc", "vpx://vc/dc/cl/h2"),
        ] {
            assert_eq!(with_path(uri, "dc/cl/h2"), expected);
        }
    }
}
