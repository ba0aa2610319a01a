//! Storage volumes: looked at, one at a time or as a list.

use clap::ArgMatches;
use virt_api::{Error, ErrorCode, NoFlags, Storage, StorageVol};

use super::plain::{Outcome, Plain, request, shown, switch};
use super::pool::{find_pool, pool_argument};
use crate::command::{Group, Request, positional, required_value, value};
use crate::failure::{Context, usage};
use crate::render::Text;
use crate::render::storage::{VolumeInfo, VolumeList};
use crate::session::Session;

/// Adds the arguments `VOLUME` and `POOL`, the second as an option of virsh's name, which virsh also takes in its place.
pub(super) fn volume_arguments(command: clap::Command) -> clap::Command {
    with_pool(positional(command, "vol", "Name, key or path of the volume", true))
}

/// Adds `POOL`, which need not be there.
pub(super) fn with_pool(command: clap::Command) -> clap::Command {
    positional(command, "pool", "Name or UUID of the volume's pool", false)
}

/// The volume that `text` names, in the pool if one is given: by name, by key, by path, as virsh tries.
///
/// # Errors
/// The last one, with what was looked for.
pub(super) async fn find_volume(
    storage: &dyn Storage,
    text: &str,
    pool: Option<&str>,
    option: &str,
) -> Result<StorageVol, Error> {
    let pool = match pool {
        Some(pool) => Some(find_pool(storage, pool).await?),
        None => None,
    };
    let hint = match pool {
        None => format!(", specifying {option} might help"),
        Some(_) => String::new(),
    };
    let failed = || format!("failed to get vol '{text}'{hint}");
    let goes_on = |error: &Error| {
        matches!(
            error.code,
            ErrorCode::NoStorageVol | ErrorCode::NoStoragePool | ErrorCode::InvalidArg
        )
    };
    if let Some(pool) = &pool {
        match storage.storage_vol_lookup_by_name(pool, text).await {
            Err(error) if goes_on(&error) => {}
            result => return result.context(failed),
        }
    }
    let found = match storage.storage_vol_lookup_by_key(text).await {
        // A key may be a path, so that it has been looked for as one.
        Err(error) if goes_on(&error) && !text.starts_with(['[', '/']) => {
            match storage.storage_vol_lookup_by_path(text).await {
                Err(by_path) if goes_on(&by_path) => Err(error),
                result => result,
            }
        }
        result => result,
    };
    let volume = found.context(failed)?;
    match pool {
        Some(pool) if pool.name != volume.pool => {
            Err(usage(format!("volume '{text}' is not in pool '{}'", pool.name)))
        }
        _ => Ok(volume),
    }
}

/// A request about the volume that the arguments name; `run` also gets the text as it was given.
pub(super) fn volume_request<F>(matches: &ArgMatches, run: F) -> Result<Box<dyn Request>, Error>
where
    F: AsyncFn(&dyn Storage, StorageVol, &str) -> Outcome + 'static,
{
    let text = required_value(matches, "vol")?;
    // Commands that take no pool have no such argument.
    let pool = matches.try_contains_id("pool").is_ok().then(|| value(matches, "pool")).flatten();
    Ok(request(async move |session: &Session| {
        let storage = session.storage().await?;
        let volume = find_volume(storage, &text, pool.as_deref(), "--pool").await?;
        run(storage, volume, &text).await
    }))
}

/// `vol-list`
pub(crate) static LIST: Plain = Plain {
    name: "vol-list",
    group: Group::Volume,
    summary: "List the volumes of a storage pool",
    details: "All of them come with one search of the datastore, their sizes included.",
    usage: "POOL",
    arguments: |command| pool_argument(command).arg(switch("details", "Show types and sizes")),
    request: |matches| {
        let details = matches.get_flag("details");
        let text = required_value(matches, "pool")?;
        Ok(request(async move |session: &Session| {
            let storage = session.storage().await?;
            let pool = find_pool(storage, &text).await?;
            let result = storage.storage_pool_list_volume_details(&pool, NoFlags::empty()).await;
            let volumes =
                result.context(|| format!("failed to list the volumes of pool '{text}'"))?;
            shown(VolumeList::new(volumes, details))
        }))
    },
};

/// `vol-info`
pub(crate) static INFO: Plain = Plain {
    name: "vol-info",
    group: Group::Volume,
    summary: "Show a volume's type and sizes",
    details: "",
    usage: "VOLUME [POOL]",
    arguments: |command| {
        volume_arguments(command).arg(switch("bytes", "Sizes in bytes")).arg(switch(
            "physical",
            "The physical size in place of the allocation, which is the same here",
        ))
    },
    request: |matches| {
        let (bytes, physical) = (matches.get_flag("bytes"), matches.get_flag("physical"));
        volume_request(matches, async move |storage, volume, _| {
            let info = storage.storage_vol_get_info(&volume).await;
            let info = info.context(|| format!("failed to look at vol '{}'", volume.name))?;
            shown(VolumeInfo { volume, info, bytes, physical })
        })
    },
};

/// `vol-dumpxml`
pub(crate) static DUMPXML: Plain = Plain {
    name: "vol-dumpxml",
    group: Group::Volume,
    summary: "Show a volume as libvirt XML",
    details: "",
    usage: "VOLUME [POOL]",
    arguments: volume_arguments,
    request: |matches| {
        volume_request(matches, async |storage, volume, _| {
            let xml = storage.storage_vol_get_xml_desc(&volume, NoFlags::empty()).await;
            let xml = xml.context(|| format!("failed to get the XML of vol '{}'", volume.name))?;
            shown(Text::document("xml", xml))
        })
    },
};

/// `vol-name`
pub(crate) static NAME: Plain = Plain {
    name: "vol-name",
    group: Group::Volume,
    summary: "Convert a volume's key or path to its name",
    details: "",
    usage: "VOLUME",
    arguments: |command| positional(command, "vol", "Key or path of the volume", true),
    request: |matches| {
        volume_request(matches, async |_, volume, _| shown(Text::line("name", volume.name)))
    },
};

/// `vol-path`
pub(crate) static PATH: Plain = Plain {
    name: "vol-path",
    group: Group::Volume,
    summary: "Convert a volume's name or key to its path",
    details: "",
    usage: "VOLUME [POOL]",
    arguments: volume_arguments,
    request: |matches| {
        volume_request(matches, async |storage, volume, _| {
            let path = storage.storage_vol_get_path(&volume).await;
            let path =
                path.context(|| format!("failed to get the path of vol '{}'", volume.name))?;
            shown(Text::line("path", path))
        })
    },
};

/// `vol-key`
pub(crate) static KEY: Plain = Plain {
    name: "vol-key",
    group: Group::Volume,
    summary: "Convert a volume's name or path to its key",
    details: "A disk's key is its UUID on a host, and its path on a vCenter; both are taken everywhere.",
    usage: "VOLUME [POOL]",
    arguments: volume_arguments,
    request: |matches| {
        volume_request(matches, async |_, volume, _| shown(Text::line("key", volume.key)))
    },
};

/// `vol-pool`
pub(crate) static POOL: Plain = Plain {
    name: "vol-pool",
    group: Group::Volume,
    summary: "Show which pool a volume is in",
    details: "",
    usage: "VOLUME",
    arguments: |command| {
        positional(command, "vol", "Key or path of the volume", true)
            .arg(switch("uuid", "The pool's UUID in place of its name"))
    },
    request: |matches| {
        let uuid = matches.get_flag("uuid");
        volume_request(matches, async move |storage, volume, text| {
            let pool = storage.storage_pool_lookup_by_volume(&volume).await;
            let pool = pool.context(|| format!("failed to get the pool of vol '{text}'"))?;
            shown(match uuid {
                true => Text::line("uuid", pool.uuid.to_string()),
                false => Text::line("pool", pool.name),
            })
        })
    },
};
