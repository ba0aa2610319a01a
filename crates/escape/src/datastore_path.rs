//! Datastore paths, `[datastore] directory/file`.

use std::fmt;
use std::str::FromStr;

use crate::error::DatastorePathError;

/// A file or directory on a datastore, by the datastore's name.
///
/// What reads one is lenient, as libvirt is: spaces after the bracket do not count, and the closing bracket may be
/// missing at the end. [`Display`](fmt::Display) writes the usual form.
///
/// ```
/// # use esx_escape::DatastorePath;
/// let path: DatastorePath = "[ds]  web01/web01.vmx".parse()?;
/// assert_eq!((path.datastore(), path.directory(), path.file_name()), ("ds", "web01", "web01.vmx"));
/// assert_eq!(path.to_string(), "[ds] web01/web01.vmx");
/// # Ok::<(), esx_escape::DatastorePathError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatastorePath {
    datastore: String,
    path: String,
}

impl DatastorePath {
    /// Makes a path from its two parts.
    ///
    /// # Errors
    /// A datastore name that is empty or holds `]`, or a path that starts with a space: no text stands for these.
    pub fn new(datastore: &str, path: &str) -> Result<Self, DatastorePathError> {
        if datastore.is_empty() || datastore.contains(']') || path.starts_with(' ') {
            return Err(DatastorePathError { text: format!("[{datastore}] {path}") });
        }
        Ok(Self { datastore: datastore.to_owned(), path: path.to_owned() })
    }

    /// The datastore's name.
    pub fn datastore(&self) -> &str {
        &self.datastore
    }

    /// Directory and file; empty for the datastore itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path up to its last slash; empty for an item in the datastore's root.
    ///
    /// libvirt disagrees about the latter: see [`libvirt_directory`](Self::libvirt_directory).
    pub fn directory(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }

    /// As [`directory`](Self::directory), but the whole path if it has no slash, as libvirt has it.
    ///
    /// Because of this rule libvirt finds the files of a machine in a datastore's root below `[ds] file.vmx/`.
    pub fn libvirt_directory(&self) -> &str {
        self.path.rsplit_once('/').map_or(&self.path, |(directory, _)| directory)
    }

    /// What follows the last slash; empty for a path that ends with one.
    pub fn file_name(&self) -> &str {
        self.path.rsplit_once('/').map_or(&self.path, |(_, file)| file)
    }

    /// The path of `file`, a relative name, in this path's [`directory`](Self::directory).
    ///
    /// Nothing is normalised: `..` stays.
    #[must_use]
    pub fn sibling(&self, file: &str) -> Self {
        let path = match self.path.rfind('/') {
            Some(slash) => format!("{}{file}", &self.path[..=slash]),
            None => file.trim_start_matches(' ').to_owned(),
        };
        Self { datastore: self.datastore.clone(), path }
    }
}

impl FromStr for DatastorePath {
    type Err = DatastorePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || DatastorePathError { text: text.to_owned() };
        let inside = text.strip_prefix('[').ok_or_else(error)?;
        let (datastore, path) = inside.split_once(']').unwrap_or((inside, ""));
        if datastore.is_empty() {
            return Err(error());
        }
        Ok(Self { datastore: datastore.to_owned(), path: path.trim_start_matches(' ').to_owned() })
    }
}

impl fmt::Display for DatastorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.datastore)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, " {}", self.path) }
    }
}
