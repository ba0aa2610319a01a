//! Storage volumes: made, copied, changed, deleted.

use clap::ArgMatches;
use virt_api::{
    Error, NoFlags, StoragePool, StorageVol, StorageVolCreateFlags as Create,
    StorageVolDeleteFlags as Delete, StorageVolResizeFlags as Resize,
};
use virt_xml::storage::{DiskRequest, VolumeRequest};

use super::plain::{Plain, Switches, bits, option, request, shown, switch, with_switches};
use super::pool::{find_pool, pool_argument};
use super::volume::{find_volume, volume_arguments, volume_request, with_pool};
use crate::command::{Group, positional, required_value, value};
use crate::failure::{Context, usage};
use crate::file::read_text;
use crate::render::{Done, Text};
use crate::session::Session;
use crate::size::parse_bytes;

const CREATE_SWITCHES: Switches = &[
    ("prealloc-metadata", "Fill the disk with zeros at once", Create::PREALLOC_METADATA.bits()),
    ("validate", "Refuse elements that libvirt does not know", Create::VALIDATE.bits()),
];

const COPY_SWITCHES: Switches = &[
    ("prealloc-metadata", "Fill the disk with zeros at once", Create::PREALLOC_METADATA.bits()),
    ("reflink", "Share blocks with the original", Create::REFLINK.bits()),
    ("validate", "Refuse elements that libvirt does not know", Create::VALIDATE.bits()),
];

const RESIZE_SWITCHES: Switches = &[
    ("allocate", "Fill what is added with zeros at once", Resize::ALLOCATE.bits()),
    ("delta", "CAPACITY is an amount to add", Resize::DELTA.bits()),
    ("shrink", "Let it become smaller, which VMware hosts cannot do", Resize::SHRINK.bits()),
];

/// Without what libvirt has no words for.
fn with_disk_options(command: clap::Command) -> clap::Command {
    command
        .arg(option("disk-type", "TYPE", "thin, preallocated or eagerZeroedThick (not in virsh)"))
        .arg(option("adapter", "ADAPTER", "lsiLogic, busLogic or ide (not in virsh)"))
}

fn disk_options(matches: &ArgMatches) -> DiskRequest {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    DiskRequest { disk_type: text("disk-type"), adapter: text("adapter") }
}

fn create_flags(matches: &ArgMatches, switches: Switches) -> Create {
    Create::from_bits_retain(bits(matches, switches))
}

fn done(command: &str, volume: &StorageVol) -> Done {
    Done::new(command)
        .with("pool", volume.pool.as_str())
        .with("volume", volume.name.as_str())
        .with("key", volume.key.as_str())
}

/// `vol-create`
pub(crate) static CREATE: Plain = Plain {
    name: "vol-create",
    group: Group::Volume,
    summary: "Make a volume as an XML file says",
    details: "Directories in its name are made, too. FILE may be - for standard input.",
    usage: "POOL FILE",
    arguments: |command| {
        let help = "File with the volume's XML, or - for standard input";
        with_switches(positional(pool_argument(command), "file", help, true), CREATE_SWITCHES)
    },
    request: |matches| {
        let (pool, file) = (required_value(matches, "pool")?, required_value(matches, "file")?);
        let flags = create_flags(matches, CREATE_SWITCHES);
        Ok(request(async move |session: &Session| {
            let xml = read_text(&file)?;
            let storage = session.storage().await?;
            let pool = find_pool(storage, &pool).await?;
            let volume = storage.storage_vol_create_xml(&pool, &xml, flags).await;
            let volume = volume.context(|| format!("failed to create vol from {file}"))?;
            let sentence = format!("Vol {} created from {file}", volume.name);
            shown(done("vol-create", &volume).saying(&sentence))
        }))
    },
};

/// `vol-create-as`
pub(crate) static CREATE_AS: Plain = Plain {
    name: "vol-create-as",
    group: Group::Volume,
    summary: "Make a volume from arguments",
    details: "Without --allocation all of CAPACITY is allocated; --allocation 0 makes a thin disk. Sizes are bytes\n\
              unless a unit says otherwise: 10G, 512MiB, 1TB.",
    usage: "POOL NAME CAPACITY",
    arguments: |command| {
        let command = pool_argument(command);
        let command = positional(command, "name", "Name of the volume, with directories", true);
        let command = positional(command, "capacity", "Size of the volume", true);
        let command = with_disk_options(command)
            .arg(option("allocation", "SIZE", "What is allocated at once: nothing or all"))
            .arg(option("format", "FORMAT", "vmdk, which is the default"))
            .arg(switch("print-xml", "Show the XML and make nothing"));
        with_switches(command, CREATE_SWITCHES)
    },
    request: |matches| {
        let pool = required_value(matches, "pool")?;
        let name = required_value(matches, "name")?;
        let allocation = matches.get_one::<String>("allocation");
        let volume = VolumeRequest {
            kind: "file".to_owned(),
            name: name.clone(),
            capacity: parse_bytes(&required_value(matches, "capacity")?, "CAPACITY")?,
            allocation: allocation.map(|text| parse_bytes(text, "SIZE")).transpose()?,
            format: matches.get_one::<String>("format").cloned(),
            disk: disk_options(matches),
            ..VolumeRequest::default()
        };
        let xml = volume.to_xml();
        let print = matches.get_flag("print-xml");
        let flags = create_flags(matches, CREATE_SWITCHES);
        Ok(request(async move |session: &Session| {
            if print {
                return shown(Text::document("xml", xml.clone()));
            }
            let storage = session.storage().await?;
            let pool = find_pool(storage, &pool).await?;
            let volume = storage.storage_vol_create_xml(&pool, &xml, flags).await;
            let volume = volume.context(|| format!("failed to create vol {name}"))?;
            shown(done("vol-create-as", &volume).saying(&format!("Vol {name} created")))
        }))
    },
};

/// `vol-create-from`
pub(crate) static CREATE_FROM: Plain = Plain {
    name: "vol-create-from",
    group: Group::Volume,
    summary: "Copy a volume to one that an XML file describes",
    details: "The copy has the original's size. FILE may be - for standard input.",
    usage: "POOL FILE VOLUME",
    arguments: |command| {
        let help = "File with the new volume's XML, or - for standard input";
        let command = positional(pool_argument(command), "file", help, true);
        let command = positional(command, "vol", "Name, key or path of the original", true)
            .arg(option("inputpool", "POOL", "Name or UUID of the original's pool"));
        with_switches(command, COPY_SWITCHES)
    },
    request: |matches| {
        let (pool, file) = (required_value(matches, "pool")?, required_value(matches, "file")?);
        let text = required_value(matches, "vol")?;
        let input_pool = matches.get_one::<String>("inputpool").cloned();
        let flags = create_flags(matches, COPY_SWITCHES);
        Ok(request(async move |session: &Session| {
            let xml = read_text(&file)?;
            let storage = session.storage().await?;
            let pool = find_pool(storage, &pool).await?;
            let original =
                find_volume(storage, &text, input_pool.as_deref(), "--inputpool").await?;
            let volume = storage.storage_vol_create_xml_from(&pool, &xml, &original, flags).await;
            let volume = volume.context(|| format!("failed to create vol from {file}"))?;
            let sentence = format!("Vol {} created from input vol {}", volume.name, original.name);
            shown(
                done("vol-create-from", &volume).with("original", original.name).saying(&sentence),
            )
        }))
    },
};

/// `vol-clone`
pub(crate) static CLONE: Plain = Plain {
    name: "vol-clone",
    group: Group::Volume,
    summary: "Copy a volume within its pool",
    details: "",
    usage: "VOLUME NEWNAME [POOL]",
    arguments: |command| {
        let command = positional(command, "vol", "Name, key or path of the original", true);
        let command = positional(command, "newname", "Name of the copy", true);
        let command = with_disk_options(with_pool(command))
            .arg(switch("print-xml", "Show the copy's XML and make nothing"));
        with_switches(command, &COPY_SWITCHES[..2])
    },
    request: |matches| {
        let new_name = required_value(matches, "newname")?;
        let disk = disk_options(matches);
        let print = matches.get_flag("print-xml");
        let flags = create_flags(matches, &COPY_SWITCHES[..2]);
        volume_request(matches, async move |storage, original, text| {
            let failed = || format!("failed to clone vol '{text}'");
            let xml = storage.storage_vol_get_xml_desc(&original, NoFlags::empty()).await;
            let described = VolumeRequest::parse(&xml.context(failed)?)
                .map_err(|error| usage("the volume's XML cannot be read").with_source(error))?;
            let xml =
                VolumeRequest { name: new_name.clone(), disk: disk.clone(), ..described }.to_xml();
            if print {
                return shown(Text::document("xml", xml));
            }
            let pool: StoragePool =
                storage.storage_pool_lookup_by_volume(&original).await.context(failed)?;
            let copy = storage.storage_vol_create_xml_from(&pool, &xml, &original, flags).await;
            let copy = copy.context(failed)?;
            let sentence = format!("Vol {} cloned from {}", copy.name, original.name);
            shown(done("vol-clone", &copy).with("original", original.name).saying(&sentence))
        })
    },
};

/// `vol-delete`
pub(crate) static DELETE: Plain = Plain {
    name: "vol-delete",
    group: Group::Volume,
    summary: "Delete a volume",
    details: "A disk goes with its data. A directory goes only if it is empty.",
    usage: "VOLUME [POOL]",
    arguments: |command| {
        volume_arguments(command)
            .arg(switch("delete-snapshots", "With its snapshots, which volumes here do not have"))
    },
    request: |matches| {
        let mut flags = Delete::empty();
        flags.set(Delete::WITH_SNAPSHOTS, matches.get_flag("delete-snapshots"));
        volume_request(matches, async move |storage, volume, text| {
            let result = storage.storage_vol_delete(&volume, flags).await;
            result.context(|| format!("failed to delete vol {text}"))?;
            shown(done("vol-delete", &volume).saying(&format!("Vol {text} deleted")))
        })
    },
};

/// The algorithms of libvirt (`virStorageVolWipeAlgorithm`), in the order of their numbers.
const ALGORITHMS: [&str; 10] = [
    "zero",
    "nnsa",
    "dod",
    "bsi",
    "gutmann",
    "schneier",
    "pfitzner7",
    "pfitzner33",
    "random",
    "trim",
];

/// `vol-wipe`
pub(crate) static WIPE: Plain = Plain {
    name: "vol-wipe",
    group: Group::Volume,
    summary: "Overwrite a volume with zeros",
    details: "",
    usage: "VOLUME [POOL]",
    arguments: |command| {
        volume_arguments(command).arg(option(
            "algorithm",
            "ALGORITHM",
            "zero, the only one that VMware hosts know",
        ))
    },
    request: |matches| {
        let algorithm = match matches.get_one::<String>("algorithm") {
            None => None,
            Some(word) => {
                let number = ALGORITHMS.iter().position(|known| known == word);
                let number = number.and_then(|number| u32::try_from(number).ok());
                Some(number.ok_or_else(|| usage(format!("unsupported algorithm '{word}'")))?)
            }
        };
        volume_request(matches, async move |storage, volume, text| {
            let none = NoFlags::empty();
            let result: Result<(), Error> = match algorithm {
                None => storage.storage_vol_wipe(&volume, none).await,
                Some(algorithm) => storage.storage_vol_wipe_pattern(&volume, algorithm, none).await,
            };
            result.context(|| format!("failed to wipe vol {text}"))?;
            shown(done("vol-wipe", &volume).saying(&format!("Vol {text} wiped")))
        })
    },
};

/// `vol-resize`
pub(crate) static RESIZE: Plain = Plain {
    name: "vol-resize",
    group: Group::Volume,
    summary: "Make a volume larger",
    details: "CAPACITY is bytes unless a unit says otherwise. The disk of a machine that runs cannot be changed so.",
    usage: "VOLUME CAPACITY [POOL]",
    arguments: |command| {
        let command = positional(command, "vol", "Name, key or path of the volume", true);
        let command =
            positional(command, "capacity", "The new size, or with --delta what is added", true);
        with_switches(with_pool(command), RESIZE_SWITCHES)
    },
    request: |matches| {
        let size = value(matches, "capacity").unwrap_or_default();
        let flags = Resize::from_bits_retain(bits(matches, RESIZE_SWITCHES));
        // As virsh, a negative number is an amount to take away.
        let capacity = match size.strip_prefix('-') {
            Some(_) if !flags.contains(Resize::DELTA | Resize::SHRINK) => {
                return Err(usage("a negative size requires --delta and --shrink"));
            }
            Some(amount) => parse_bytes(amount, "CAPACITY")?,
            None => parse_bytes(&size, "CAPACITY")?,
        };
        volume_request(matches, async move |storage, volume, text| {
            let by = if flags.contains(Resize::DELTA) { "by" } else { "to" };
            let result = storage.storage_vol_resize(&volume, capacity, flags).await;
            result.context(|| format!("failed to change size of volume '{text}' {by} {size}"))?;
            let sentence =
                format!("Size of volume '{}' successfully changed {by} {size}", volume.name);
            shown(done("vol-resize", &volume).saying(&sentence))
        })
    },
};
