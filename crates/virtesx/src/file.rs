//! Local files: read with a limit, rewritten in one step. `-` is standard input.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use virt_api::Error;

use crate::failure::{system, usage};

/// Larger files are not VMX files and not XML documents.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The bytes of a file, or of standard input for `-`.
///
/// # Errors
/// If it cannot be read or is far too large.
pub(crate) fn read(file: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut read = |source: &mut dyn Read| source.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    let result = if file == "-" {
        read(&mut std::io::stdin().lock())
    } else {
        File::open(file).and_then(|mut source| read(&mut source))
    };
    result.map_err(|error| system(format!("cannot read file '{file}'"), error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(usage(format!("file '{file}' is larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    Ok(bytes)
}

/// As [`read`], for text.
///
/// # Errors
/// Also if it is not UTF-8.
pub(crate) fn read_text(file: &str) -> Result<String, Error> {
    String::from_utf8(read(file)?)
        .map_err(|error| usage(format!("file '{file}' is not UTF-8")).with_source(error))
}

/// Puts `bytes` in place of a file's contents in one step: whoever reads it finds the old ones or the new ones. The
/// file keeps its permissions; behind a symbolic link, it is the link's target that is replaced.
///
/// # Errors
/// If any step fails; the file is then as it was.
pub(crate) fn replace(file: &str, bytes: &[u8]) -> Result<(), Error> {
    let write = || -> std::io::Result<()> {
        let path = std::fs::canonicalize(file)?;
        let permissions = std::fs::metadata(&path)?.permissions();
        // A rename is one step within a file system only.
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
        fresh.write_all(bytes)?;
        fresh.as_file().set_permissions(permissions)?;
        fresh.as_file().sync_all()?;
        fresh.persist(&path)?;
        Ok(())
    };
    write().map_err(|error| system(format!("cannot write file '{file}'"), error))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::{read, replace};

    #[test]
    fn a_replaced_file_keeps_mode_and_links() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a.vmx"), folder.path().join("link.vmx"));
        std::fs::write(&file, b"old").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        replace(link.to_str().unwrap(), b"\xffnew").unwrap();
        assert_eq!(read(file.to_str().unwrap()).unwrap(), b"\xffnew");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left over");
    }

    #[test]
    fn a_file_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("none.vmx");
        assert!(replace(file.to_str().unwrap(), b"x").is_err());
        assert!(!file.exists());
    }
}
