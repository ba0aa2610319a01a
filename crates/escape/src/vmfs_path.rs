//! Paths of datastore files as a host's file system has them, `/vmfs/volumes/NAME/directory/file`.

use std::fmt;
use std::str::FromStr;

use crate::DatastorePath;
use crate::error::DatastorePathError;

const MOUNTS: &str = "/vmfs/volumes/";

/// A file or directory below `/vmfs/volumes`, where the volume stands under its UUID and under its datastore's name.
///
/// Which of the two it is cannot be seen: only the host knows which names there are.
///
/// ```
/// # use esx_escape::VmfsPath;
/// let path: VmfsPath = "/vmfs/volumes/65a1b2c3-0d4e5f60-7a8b-000c29d1e2f3/web01/web01.vmdk".parse()?;
/// assert_eq!((path.volume(), path.path()), ("65a1b2c3-0d4e5f60-7a8b-000c29d1e2f3", "web01/web01.vmdk"));
/// assert_eq!(path.on_datastore("ds1")?.to_string(), "[ds1] web01/web01.vmdk");
/// # Ok::<(), esx_escape::DatastorePathError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VmfsPath {
    volume: String,
    path: String,
}

impl VmfsPath {
    /// The UUID or the name of the volume.
    pub fn volume(&self) -> &str {
        &self.volume
    }

    /// Directory and file; empty for the volume itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same as a datastore path, once the datastore's name is known.
    ///
    /// # Errors
    /// If no datastore has such a name, as in [`DatastorePath::new`].
    pub fn on_datastore(&self, name: &str) -> Result<DatastorePath, DatastorePathError> {
        DatastorePath::new(name, &self.path)
    }
}

impl FromStr for VmfsPath {
    type Err = DatastorePathError;

    /// Slashes between the volume and the path, and at the end of the volume itself, may be doubled.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || DatastorePathError { text: text.to_owned() };
        let rest = text.strip_prefix(MOUNTS).ok_or_else(error)?;
        let (volume, path) = rest.split_once('/').unwrap_or((rest, ""));
        if volume.is_empty() {
            return Err(error());
        }
        Ok(Self { volume: volume.to_owned(), path: path.trim_start_matches('/').to_owned() })
    }
}

impl fmt::Display for VmfsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MOUNTS}{}", self.volume)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", self.path) }
    }
}
