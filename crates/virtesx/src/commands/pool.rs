//! Storage pools: the datastores and iSCSI targets of the host.

use virt_api::{
    Error, ErrorCode, ListAllStoragePoolsFlags as Filter, NoFlags, Storage, StoragePool,
    StorageXmlFlags,
};

use super::plain::{Outcome, Plain, Switches, bits, option, request, shown, switch, with_switches};
use crate::command::{Group, Request, positional, required_value};
use crate::failure::{Context, usage};
use crate::render::storage::{PoolColumns, PoolInfo, PoolList};
use crate::render::{Done, Text};
use crate::session::Session;

/// The types that `--type` takes, as libvirt names them.
const TYPES: [(&str, Filter); 14] = [
    ("dir", Filter::DIR),
    ("fs", Filter::FS),
    ("netfs", Filter::NETFS),
    ("logical", Filter::LOGICAL),
    ("disk", Filter::DISK),
    ("iscsi", Filter::ISCSI),
    ("iscsi-direct", Filter::ISCSI_DIRECT),
    ("scsi", Filter::SCSI),
    ("mpath", Filter::MPATH),
    ("rbd", Filter::RBD),
    ("sheepdog", Filter::SHEEPDOG),
    ("gluster", Filter::GLUSTER),
    ("zfs", Filter::ZFS),
    ("vstorage", Filter::VSTORAGE),
];

const FILTERS: Switches = &[
    ("transient", "Only pools without a definition", Filter::TRANSIENT.bits()),
    ("persistent", "Only pools with a definition", Filter::PERSISTENT.bits()),
    ("autostart", "Only pools the host starts by itself", Filter::AUTOSTART.bits()),
    ("no-autostart", "Only pools the host does not start by itself", Filter::NO_AUTOSTART.bits()),
];

/// Adds the argument `POOL`.
pub(super) fn pool_argument(command: clap::Command) -> clap::Command {
    positional(command, "pool", "Name or UUID of the pool", true)
}

/// The pool that `text` names: by UUID if it is one, else by name.
///
/// # Errors
/// The driver's, with what was looked for.
pub(super) async fn find_pool(storage: &dyn Storage, text: &str) -> Result<StoragePool, Error> {
    let failed = || format!("failed to get pool '{text}'");
    if matches!(text.len(), 32 | 36)
        && let Ok(uuid) = text.parse()
    {
        match storage.storage_pool_lookup_by_uuid(uuid).await {
            // It may be a name that looks like one.
            Err(error) if error.code == ErrorCode::NoStoragePool => {}
            result => return result.context(failed),
        }
    }
    storage.storage_pool_lookup_by_name(text).await.context(failed)
}

/// A request about the pool that the argument `POOL` names; `run` also gets the text as it was given.
fn pool_request<F>(matches: &clap::ArgMatches, run: F) -> Result<Box<dyn Request>, Error>
where
    F: AsyncFn(&dyn Storage, StoragePool, &str) -> Outcome + 'static,
{
    let text = required_value(matches, "pool")?;
    Ok(request(async move |session: &Session| {
        let storage = session.storage().await?;
        let pool = find_pool(storage, &text).await?;
        run(storage, pool, &text).await
    }))
}

/// `pool-list`
pub(crate) static LIST: Plain = Plain {
    name: "pool-list",
    group: Group::Pool,
    summary: "List storage pools",
    details: "Datastores and iSCSI targets are always active; one that is out of reach says so with --details.\n\
              --type takes one or more types with commas between them: dir, fs, netfs, iscsi.",
    usage: "",
    arguments: |command| {
        with_switches(command, FILTERS)
            .arg(switch("inactive", "List the inactive pools"))
            .arg(switch("all", "List active and inactive pools"))
            .arg(option("type", "TYPES", "Only pools of these types"))
            .arg(switch("details", "Show sizes and more").conflicts_with_all(["uuid", "name"]))
            .arg(switch("uuid", "Show UUIDs only"))
            .arg(switch("name", "Show names only"))
    },
    request: |matches| {
        let on = |name| matches.get_flag(name);
        let mut filter = Filter::from_bits_retain(bits(matches, FILTERS));
        filter.set(Filter::ACTIVE, !on("inactive") || on("all"));
        filter.set(Filter::INACTIVE, on("inactive") || on("all"));
        for word in matches.get_one::<String>("type").iter().flat_map(|types| types.split(',')) {
            let known = TYPES.iter().find(|(name, _)| *name == word);
            let (_, flag) = known.ok_or_else(|| usage(format!("invalid pool type '{word}'")))?;
            filter |= *flag;
        }
        let columns = PoolColumns { details: on("details"), uuid: on("uuid"), name: on("name") };
        Ok(request(async move |session: &Session| {
            let storage = session.storage().await?;
            let pools = storage.connect_list_storage_pool_details(filter).await;
            shown(PoolList::new(pools.context(|| "failed to list pools".to_owned())?, columns))
        }))
    },
};

/// `pool-info`
pub(crate) static INFO: Plain = Plain {
    name: "pool-info",
    group: Group::Pool,
    summary: "Show a storage pool's state and sizes",
    details: "",
    usage: "POOL",
    arguments: |command| pool_argument(command).arg(switch("bytes", "Sizes in bytes")),
    request: |matches| {
        let bytes = matches.get_flag("bytes");
        pool_request(matches, async move |storage, pool, _| {
            let failed = || format!("failed to get the state of pool '{}'", pool.name);
            let info = storage.storage_pool_get_info(&pool).await.context(failed)?;
            let persistent = storage.storage_pool_is_persistent(&pool).await.context(failed)?;
            let autostart = storage.storage_pool_get_autostart(&pool).await.context(failed)?;
            shown(PoolInfo { pool, info, persistent, autostart, bytes })
        })
    },
};

/// `pool-dumpxml`
pub(crate) static DUMPXML: Plain = Plain {
    name: "pool-dumpxml",
    group: Group::Pool,
    summary: "Show a storage pool as libvirt XML",
    details: "",
    usage: "POOL",
    arguments: |command| {
        pool_argument(command).arg(switch("inactive", "As it is defined, which is the same here"))
    },
    request: |matches| {
        let mut flags = StorageXmlFlags::empty();
        flags.set(StorageXmlFlags::INACTIVE, matches.get_flag("inactive"));
        pool_request(matches, async move |storage, pool, _| {
            let xml = storage.storage_pool_get_xml_desc(&pool, flags).await;
            shown(Text::document(
                "xml",
                xml.context(|| format!("failed to get the XML of pool '{}'", pool.name))?,
            ))
        })
    },
};

/// `pool-name`
pub(crate) static NAME: Plain = Plain {
    name: "pool-name",
    group: Group::Pool,
    summary: "Convert a storage pool's UUID to its name",
    details: "",
    usage: "POOL",
    arguments: pool_argument,
    request: |matches| {
        pool_request(matches, async |_, pool, _| shown(Text::line("name", pool.name)))
    },
};

/// `pool-uuid`
pub(crate) static UUID: Plain = Plain {
    name: "pool-uuid",
    group: Group::Pool,
    summary: "Convert a storage pool's name to its UUID",
    details: "",
    usage: "POOL",
    arguments: pool_argument,
    request: |matches| {
        pool_request(matches, async |_, pool, _| shown(Text::line("uuid", pool.uuid.to_string())))
    },
};

/// `pool-refresh`
pub(crate) static REFRESH: Plain = Plain {
    name: "pool-refresh",
    group: Group::Pool,
    summary: "Let the host look at a storage pool again",
    details: "A datastore's sizes are read anew; the adapters of an iSCSI target are rescanned.",
    usage: "POOL",
    arguments: pool_argument,
    request: |matches| {
        pool_request(matches, async |storage, pool, text| {
            let result = storage.storage_pool_refresh(&pool, NoFlags::empty()).await;
            result.context(|| format!("failed to refresh pool '{text}'"))?;
            let done = done("pool-refresh", &pool);
            shown(done.saying(&format!("Pool {text} refreshed")))
        })
    },
};

/// `pool-autostart`
pub(crate) static AUTOSTART: Plain = Plain {
    name: "pool-autostart",
    group: Group::Pool,
    summary: "Have the host start a storage pool by itself, or not",
    details: "VMware hosts mount their storage by themselves: --disable fails.",
    usage: "POOL",
    arguments: |command| pool_argument(command).arg(switch("disable", "Do not start it any more")),
    request: |matches| {
        let autostart = !matches.get_flag("disable");
        pool_request(matches, async move |storage, pool, text| {
            let un = if autostart { "" } else { "un" };
            let result = storage.storage_pool_set_autostart(&pool, autostart).await;
            result.context(|| format!("failed to {un}mark pool '{text}' as autostarted"))?;
            let done = done("pool-autostart", &pool).with("autostart", autostart);
            shown(done.saying(&format!("Pool {text} {un}marked as autostarted")))
        })
    },
};

fn done(command: &str, pool: &StoragePool) -> Done {
    Done::new(command).with("pool", pool.name.as_str()).with("uuid", pool.uuid.to_string())
}
