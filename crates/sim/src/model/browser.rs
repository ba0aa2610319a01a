//! `HostDatastoreBrowser`: searches for files on datastores.
//!
//! What a search finds follows the API's reference: queries are united, a query without the file type gives bare
//! `FileInfo`, details are those that were asked for. A disk is its descriptor, the data files that descriptors name are
//! no disks; one whose descriptor is lost is shown as a disk about which nothing is known.

use std::collections::{BTreeMap, BTreeSet};

use esx_escape::DatastorePath;
use esx_vi_api::{MoRef, Object, Value};

use super::Model;
use super::datastore::{Datastore, Listed, extents};
use super::disks::Descriptor;
use super::fault::Fault;
use super::inventory::{Inventory, Item};
use super::machine::device_change::file_fault;
use super::tree::{objects, strings};

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    Disk,
    Iso,
    Floppy,
    Config,
    Template,
    Log,
    Nvram,
    Snapshot,
    Other,
}

impl Kind {
    fn of(name: &str) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        match extension.to_ascii_lowercase().as_str() {
            "vmdk" => Self::Disk,
            "iso" => Self::Iso,
            "flp" => Self::Floppy,
            "vmx" => Self::Config,
            "vmtx" => Self::Template,
            "log" => Self::Log,
            "nvram" => Self::Nvram,
            "vmsn" => Self::Snapshot,
            _ => Self::Other,
        }
    }

    /// The class of what is told about such a file.
    const fn info(self) -> &'static str {
        match self {
            Self::Folder => "FolderFileInfo",
            Self::Disk => "VmDiskFileInfo",
            Self::Iso => "IsoImageFileInfo",
            Self::Floppy => "FloppyImageFileInfo",
            Self::Config => "VmConfigFileInfo",
            Self::Template => "TemplateConfigFileInfo",
            Self::Log => "VmLogFileInfo",
            Self::Nvram => "VmNvramFileInfo",
            Self::Snapshot => "VmSnapshotFileInfo",
            Self::Other => "FileInfo",
        }
    }

    /// Whether a query of this class asks for such files.
    fn answers(self, query: &str) -> bool {
        match query {
            "FileQuery" => true,
            "FolderFileQuery" => self == Self::Folder,
            "VmDiskFileQuery" => self == Self::Disk,
            "IsoImageFileQuery" => self == Self::Iso,
            "FloppyImageFileQuery" => self == Self::Floppy,
            // Templates are machines, too.
            "VmConfigFileQuery" => matches!(self, Self::Config | Self::Template),
            "TemplateConfigFileQuery" => self == Self::Template,
            "VmLogFileQuery" => self == Self::Log,
            "VmNvramFileQuery" => self == Self::Nvram,
            "VmSnapshotFileQuery" => self == Self::Snapshot,
            _ => false,
        }
    }
}

/// A file or folder in a directory.
struct File<'a> {
    name: &'a str,
    kind: Kind,
    facts: Listed,
    /// The content of a disk's descriptor, and the sum of what its data files take.
    descriptor: Option<(Descriptor, u64)>,
    /// `config.version` of a machine.
    config_version: Option<String>,
}

/// The search that a client asked for.
struct Spec<'a> {
    queries: Vec<&'a Object>,
    patterns: Vec<&'a str>,
    details: Option<&'a Object>,
    any_case: bool,
    folders_first: bool,
}

impl<'a> Spec<'a> {
    fn read(args: &'a Object) -> Self {
        let spec = args.get("searchSpec").and_then(Value::as_object);
        let list = |name: &str| spec.and_then(|spec| spec.get(name)).map_or(&[][..], Value::items);
        let flag = |name: &str| spec.and_then(|spec| spec.get(name)).and_then(Value::as_bool);
        Self {
            queries: list("query").iter().filter_map(Value::as_object).collect(),
            patterns: list("matchPattern").iter().filter_map(Value::as_str).collect(),
            details: spec.and_then(|spec| spec.get("details")).and_then(Value::as_object),
            any_case: flag("searchCaseInsensitive").unwrap_or(false),
            folders_first: flag("sortFoldersFirst").unwrap_or(false),
        }
    }

    /// What is told about a file; nothing if it was not asked for.
    fn info(&self, file: &File<'_>, directory: &str) -> Option<Object> {
        let matches = |pattern: &&str| {
            if self.any_case {
                glob(&pattern.to_lowercase(), &file.name.to_lowercase())
            } else {
                glob(pattern, file.name)
            }
        };
        if !self.patterns.is_empty() && !self.patterns.iter().any(matches) {
            return None;
        }
        let query =
            self.queries.iter().find(|q| file.kind.answers(&q.type_name) && passes(q, file));
        if query.is_none() && !self.queries.is_empty() {
            return None;
        }
        let wanted = |flag: &str| flag_of(self.details, flag);
        let typed = wanted("fileType");
        let mut info = Object::new(if typed { file.kind.info() } else { "FileInfo" })
            .with("path", file.name)
            .with_opt("fileSize", wanted("fileSize").then(|| size(file)))
            .with_opt(
                "modification",
                wanted("modification").then(|| file.facts.modified.date_time()),
            )
            .with_opt("owner", wanted("fileOwner").then_some("root"));
        let query = query.filter(|_| typed).and_then(|query| query.get("details"));
        if let Some(details) = query.and_then(Value::as_object) {
            add_details(&mut info, file, details, directory);
        }
        Some(info)
    }
}

fn flag_of(details: Option<&Object>, flag: &str) -> bool {
    details.and_then(|details| details.get(flag)).and_then(Value::as_bool).unwrap_or(false)
}

/// What a disk takes, or how long any other file is.
fn size(file: &File<'_>) -> i64 {
    let size = file.descriptor.as_ref().map_or(file.facts.size, |(_, taken)| *taken);
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Whether a file passes the filter of a query.
fn passes(query: &Object, file: &File<'_>) -> bool {
    let Some(filter) = query.get("filter").and_then(Value::as_object) else { return true };
    let list = |name: &str| filter.get(name).map_or(&[][..], Value::items);
    let one_of = |name: &str, own: Option<&str>| {
        let wanted = list(name);
        wanted.is_empty() || wanted.iter().any(|w| w.as_str().is_some() && w.as_str() == own)
    };
    if file.kind != Kind::Disk {
        let wanted = list("matchConfigVersion");
        let own = file.config_version.as_deref().and_then(|version| version.parse().ok());
        return wanted.is_empty() || wanted.iter().any(|w| w.as_i64() == own && own.is_some());
    }
    let disk = file.descriptor.as_ref().map(|(disk, _)| disk);
    let versions = list("matchHardwareVersion");
    let version = disk.map(|disk| i64::from(disk.hardware_version));
    one_of("diskType", disk.map(Descriptor::backing))
        && one_of("controllerType", disk.map(Descriptor::controller))
        && (versions.is_empty()
            || versions.iter().any(|w| w.as_i64() == version && version.is_some()))
        && filter
            .get("thin")
            .and_then(Value::as_bool)
            .is_none_or(|thin| disk.map(|disk| disk.thin) == Some(thin))
        && filter.get("encrypted").and_then(Value::as_bool) != Some(true)
}

/// The details of disks and of machines' configurations.
fn add_details(info: &mut Object, file: &File<'_>, details: &Object, directory: &str) {
    let wanted = |flag: &str| flag_of(Some(details), flag);
    if let Some(version) = file.config_version.as_deref().filter(|_| wanted("configVersion")) {
        info.set("configVersion", version.parse::<i32>().unwrap_or(0));
    }
    let Some((disk, _)) = &file.descriptor else { return };
    let path = match directory {
        "" => file.name.to_owned(),
        directory => format!("{directory}/{}", file.name),
    };
    let mut set = |name: &'static str, flag: &str, value: Value| {
        if wanted(flag) {
            info.set(name, value);
        }
    };
    set("diskType", "diskType", disk.backing().into());
    set("capacityKb", "capacityKb", disk.capacity_kib.into());
    set("hardwareVersion", "hardwareVersion", disk.hardware_version.into());
    set("controllerType", "controllerType", disk.controller().into());
    let data = extents(&path, disk.text().as_bytes());
    set("diskExtents", "diskExtents", strings(data.iter().map(|(path, _)| file_name(path))));
    set("thin", "thin", disk.thin.into());
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A snapshot's disk has its base's adapter: whoever opens one opens the whole chain.
fn inherit_adapters(files: &mut [File<'_>]) {
    let links: BTreeMap<String, (Option<String>, Option<String>)> = files
        .iter()
        .filter_map(|file| {
            let (disk, _) = file.descriptor.as_ref()?;
            Some((file.name.to_owned(), (disk.parent.clone(), disk.adapter.clone())))
        })
        .collect();
    for file in files {
        let Some((disk, _)) = &mut file.descriptor else { continue };
        let mut at = disk.parent.clone();
        // A chain is no longer than there are files.
        for _ in 0..links.len() {
            let Some((parent, adapter)) = at.as_ref().and_then(|name| links.get(name)) else {
                break;
            };
            if disk.adapter.is_none() {
                disk.adapter.clone_from(adapter);
            }
            at.clone_from(parent);
        }
    }
}

/// Whether a name fits a pattern of `*` and `?`.
fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            // Back to the last star, which takes one character more.
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Everything on a datastore, by path.
struct Tree {
    files: BTreeMap<String, Listed>,
    directories: BTreeSet<String>,
}

impl Inventory {
    fn tree(&self, datastore: &Datastore) -> Tree {
        let mut files: BTreeMap<String, Listed> =
            datastore.files.iter().map(|(path, file)| (path.clone(), file.into())).collect();
        let mut directories: BTreeSet<String> = datastore.directories.clone();
        let here = self
            .machines()
            .filter(|machine| machine.accessible && machine.place.datastore == datastore.moref);
        for machine in here {
            directories.insert(machine.directory().to_owned());
            for path in self.machine_files(machine) {
                if !files.contains_key(&path)
                    && let Some(file) = self.machine_file(machine, &path)
                {
                    files.insert(path, (&file).into());
                }
            }
        }
        let mut above: BTreeSet<String> = BTreeSet::new();
        for path in files.keys().chain(&directories) {
            let mut rest = path.as_str();
            while let Some((parent, _)) = rest.rsplit_once('/') {
                if !above.insert(parent.to_owned()) {
                    break;
                }
                rest = parent;
            }
        }
        directories.extend(above);
        directories.remove("");
        Tree { files, directories }
    }

    /// The datastore of this name that a browser can look into: its own, or one of its host's.
    fn browsed(&self, browser: &MoRef, name: &str) -> Option<&Datastore> {
        let hosts = self.hosts_with(|host| host.browser == *browser);
        let of_host = |moref: &MoRef| {
            hosts
                .iter()
                .any(|host| self.host(host).is_some_and(|host| host.datastores.contains(moref)))
        };
        self.morefs().filter_map(|moref| self.datastore(moref)).find(|store| {
            store.name == name && (store.browser == *browser || of_host(&store.moref))
        })
    }

    /// What there is in a directory, sorted by name.
    fn files_in<'a>(&self, store: &Datastore, tree: &'a Tree, directory: &str) -> Vec<File<'a>> {
        let inside = |path: &'a str| {
            let name = match directory {
                "" => path,
                directory => path.strip_prefix(directory)?.strip_prefix('/')?,
            };
            (!name.is_empty() && !name.contains('/')).then_some(name)
        };
        let full = |name: &str| match directory {
            "" => name.to_owned(),
            directory => format!("{directory}/{name}"),
        };
        let text = |name: &str| match self.entry(store, &full(name)) {
            Some(super::Entry::File(file)) => file.content.text(),
            _ => Vec::new(),
        };
        let mut found = Vec::new();
        let mut data = BTreeSet::new();
        for (path, facts) in &tree.files {
            let Some(name) = inside(path) else { continue };
            let mut file = File {
                name,
                kind: Kind::of(name),
                facts: *facts,
                descriptor: None,
                config_version: None,
            };
            match file.kind {
                // A descriptor is a short text.
                Kind::Disk if facts.size < 1 << 20 => {
                    let text = text(name);
                    if let Some(disk) = Descriptor::parse(&text) {
                        let parts: Vec<String> =
                            extents(path, &text).into_iter().map(|(path, _)| path).collect();
                        let taken = parts
                            .iter()
                            .filter_map(|part| tree.files.get(part))
                            .map(|facts| facts.allocated)
                            .sum();
                        data.extend(parts);
                        file.descriptor = Some((disk, taken));
                    }
                }
                Kind::Config | Kind::Template => {
                    let text = String::from_utf8_lossy(&text(name)).into_owned();
                    file.config_version = text.lines().find_map(|line| {
                        let value = line.strip_prefix("config.version")?.trim_start();
                        Some(value.strip_prefix('=')?.trim().trim_matches('"').to_owned())
                    });
                }
                _ => {}
            }
            found.push(file);
        }
        // With its descriptor, a data file is a part of a disk and no disk.
        for file in &mut found {
            if data.contains(&full(file.name)) {
                file.kind = Kind::Other;
            }
        }
        inherit_adapters(&mut found);
        for path in &tree.directories {
            if let Some(name) = inside(path) {
                let facts = Listed::default();
                found.push(File {
                    name,
                    kind: Kind::Folder,
                    facts,
                    descriptor: None,
                    config_version: None,
                });
            }
        }
        found.sort_by(|a, b| a.name.cmp(b.name));
        found
    }
}

impl Model {
    /// `SearchDatastore_Task`, or if it is `deep` `SearchDatastoreSubFolders_Task`.
    pub(super) fn search_datastore(
        &self,
        browser: &MoRef,
        args: &Object,
        deep: bool,
    ) -> Result<Option<Value>, Fault> {
        let text = args.str("datastorePath").unwrap_or_default();
        let path: DatastorePath = text.parse().map_err(|_| {
            Fault::new("InvalidDatastorePath", format!("Invalid datastore path '{text}'."))
                .with("datastorePath", text)
        })?;
        let store = self.inventory.browsed(browser, path.datastore()).ok_or_else(|| {
            let name = path.datastore();
            Fault::new("InvalidDatastore", format!("Invalid datastore '{name}'."))
                .with("name", name)
        })?;
        store.check_accessible()?;
        let spec = Spec::read(args);
        let start = path.path().trim_matches('/');
        let tree = self.inventory.tree(store);
        if !start.is_empty() && !tree.directories.contains(start) {
            return Err(file_fault("FileNotFound", text));
        }
        let below = |directory: &&String| {
            start.is_empty()
                || directory.strip_prefix(start).is_some_and(|rest| rest.starts_with('/'))
        };
        let directories = std::iter::once(start).chain(
            tree.directories
                .iter()
                .filter(|directory| deep && below(directory))
                .map(String::as_str),
        );
        let mut results = directories.map(|directory| {
            let mut files = self.inventory.files_in(store, &tree, directory);
            if spec.folders_first {
                files.sort_by_key(|file| file.kind != Kind::Folder);
            }
            let found = files.iter().filter_map(|file| spec.info(file, directory));
            let name = &store.name;
            let shown = match directory {
                "" => format!("[{name}]"),
                directory => format!("[{name}] {directory}/"),
            };
            Object::new("HostDatastoreBrowserSearchResults")
                .with("datastore", &store.moref)
                .with("folderPath", shown)
                .with("file", objects("FileInfo", found))
        });
        Ok(if deep {
            Some(objects("HostDatastoreBrowserSearchResults", results))
        } else {
            results.next().map(Value::from)
        })
    }

    /// Makes a datastore unreachable, or reachable again. Returns whether there is such a datastore.
    pub fn set_datastore_accessible(&mut self, datastore: &str, accessible: bool) -> bool {
        self.change_store(datastore, |store| store.accessible = accessible).is_some()
    }

    /// Renames a datastore. Returns whether there is such a datastore.
    pub fn rename_datastore(&mut self, datastore: &str, name: &str) -> bool {
        self.change_store(datastore, |store| store.name = name.to_owned()).is_some()
    }

    /// `RefreshDatastore`, `RefreshDatastoreStorageInfo`.
    pub(super) fn refresh_datastore(&self, datastore: &MoRef) -> Result<super::Answer, Fault> {
        match self.inventory.get(datastore) {
            Some(Item::Datastore(store)) => {
                store.check_accessible()?;
                Ok(super::Answer::Result(None))
            }
            _ => Err(Fault::object_not_found(datastore)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("*.vmdk", "a.vmdk", true),
            ("*.vmdk", "a.vmdk.bak", false),
            ("a?c*", "abcdef", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "abab", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
            ("?", "ü", true),
        ] {
            assert_eq!(glob(pattern, name), fits, "{pattern:?} {name:?}");
        }
    }
}
