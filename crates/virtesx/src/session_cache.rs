//! `--session-cache`: sessions that outlive a run, in files of the user's own.
//!
//! `$XDG_CACHE_HOME/virtesx/sessions` (`~/.cache/virtesx/sessions`) has one file for each endpoint and user: the first line
//! says whose session it is, the second is the cookie. Files are written in one step and readable by their owner only;
//! others are not read. The host is asked whether it knows the session before anything else is done with it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use virt_api::Secret;

use crate::backend::{SessionKey, SessionStore};

/// A cookie and its key are a few hundred bytes.
const MAX_FILE_BYTES: u64 = 16 << 10;

/// The files of one folder. Nothing that goes wrong here is an error of a command: the session is then not kept.
#[derive(Debug)]
pub(crate) struct SessionCache {
    folder: PathBuf,
}

impl SessionCache {
    /// The user's own cache; `None` if there is no home directory.
    pub(crate) fn of_user(environment: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let path = |name| environment(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let cache = path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")))?;
        Some(Self { folder: cache.join("virtesx/sessions") })
    }

    fn file(&self, key: &SessionKey) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        (&key.endpoint, &key.user).hash(&mut hasher);
        let host = key.endpoint.rsplit('/').next().unwrap_or_default();
        let host: String = host
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' })
            .take(80)
            .collect();
        self.folder.join(format!("{host}-{:016x}", hasher.finish()))
    }

    fn read(&self, key: &SessionKey) -> io::Result<Option<Secret>> {
        let file = std::fs::File::open(self.file(key))?;
        if !is_private(&file.metadata()?) {
            return Err(io::Error::other("others can read or write it, so it is not used"));
        }
        let mut text = String::new();
        file.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
        let mut lines = text.lines();
        let same = lines.next() == Some(&*whose(key));
        Ok(lines.next().filter(|cookie| same && !cookie.is_empty()).map(Secret::new))
    }

    fn write(&self, key: &SessionKey, session: &Secret) -> io::Result<()> {
        make_private_folder(&self.folder)?;
        // Made for its owner only, and put in place in one step.
        let mut fresh = tempfile::NamedTempFile::new_in(&self.folder)?;
        write!(fresh, "{}\n{}\n", whose(key), session.expose())?;
        fresh.persist(self.file(key))?;
        Ok(())
    }
}

/// The first line of a file.
fn whose(key: &SessionKey) -> String {
    format!("{} {}", key.endpoint, key.user.escape_default())
}

#[cfg(unix)]
fn is_private(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.is_file() && metadata.permissions().mode() & 0o077 == 0
}

#[cfg(not(unix))]
fn is_private(metadata: &std::fs::Metadata) -> bool {
    metadata.is_file()
}

fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

impl SessionStore for SessionCache {
    fn load(&self, key: &SessionKey) -> Option<Secret> {
        match self.read(key) {
            Ok(session) => session,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(%error, file = %self.file(key).display(), "cannot read the saved session");
                None
            }
        }
    }

    fn save(&self, key: &SessionKey, session: &Secret) {
        if let Err(error) = self.write(key, session) {
            tracing::warn!(%error, folder = %self.folder.display(), "cannot save the session");
        }
    }

    fn remove(&self, key: &SessionKey) {
        if let Err(error) = std::fs::remove_file(self.file(key)) {
            tracing::debug!(%error, "cannot remove the saved session");
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn sessions_are_kept_by_endpoint_and_user_and_for_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        let cache = SessionCache::of_user(|name| (name == "HOME").then(|| home.clone())).unwrap();
        let key = |endpoint: &str, user: &str| SessionKey {
            endpoint: endpoint.to_owned(),
            user: user.to_owned(),
        };
        let (root, other) = (key("https://h:443", "root"), key("https://h:443", "a\nb"));
        assert_eq!(cache.load(&root), None);
        cache.save(&root, &Secret::new("s=\"1\""));
        cache.save(&other, &Secret::new("s=\"2\""));
        assert_eq!(cache.load(&root), Some(Secret::new("s=\"1\"")));
        assert_eq!(cache.load(&other), Some(Secret::new("s=\"2\"")));
        assert_eq!(cache.load(&key("http://h:443", "root")), None);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&cache.folder), 0o700);
        assert_eq!(mode(&cache.file(&root)), 0o600);
        assert_eq!(std::fs::read_dir(&cache.folder).unwrap().count(), 2, "nothing is left over");

        // What others can write is not believed; what names somebody else is not theirs.
        std::fs::set_permissions(cache.file(&root), PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(cache.load(&root), None);
        std::fs::copy(cache.file(&other), cache.file(&root)).unwrap();
        std::fs::set_permissions(cache.file(&root), PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(cache.load(&root), None);
        cache.remove(&other);
        assert_eq!(cache.load(&other), None);
    }
}
