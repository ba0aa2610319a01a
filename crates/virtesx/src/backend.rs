//! The only place that names a driver, the way to a daemon, and the simulator.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use esx_driver::{Environment, KnownHosts, OpenOptions};
pub(crate) use esx_driver::{SessionKey, SessionStore};
use virt_api::{AuthCallback, Driver, Error, ErrorDomain};

use crate::failure::{system, usage};
use crate::progress::Progress;
use crate::remote;
use crate::render::pin::Pinned;

/// An open connection, and what there is to say about its URI.
pub(crate) struct Opened {
    /// The connection.
    pub(crate) driver: Arc<dyn Driver>,
    /// One sentence each.
    pub(crate) warnings: Vec<&'static str>,
}

/// Opens a connection, through a daemon if the URI names a way to one; the driver looks for auth files where libvirt does.
///
/// # Errors
/// What the driver says.
pub(crate) async fn open(
    uri: &str,
    read_only: bool,
    auth: Arc<dyn AuthCallback>,
    progress: Option<Arc<Progress>>,
    sessions: Option<Arc<dyn SessionStore>>,
) -> Result<Opened, Error> {
    if remote::is_remote(uri) {
        let driver = remote::open(uri, read_only, &*auth).await?;
        return Ok(Opened { driver: Arc::new(driver), warnings: Vec::new() });
    }
    let options = OpenOptions {
        read_only,
        auth: Some(auth),
        progress: progress.map(|progress| progress as _),
        sessions,
        ..OpenOptions::default()
    };
    let connection = esx_driver::open(uri, options).await?;
    Ok(Opened { warnings: connection.warnings(), driver: Arc::new(connection) })
}

/// The pinned certificates of a known-hosts file.
pub(crate) struct Pins {
    file: PathBuf,
    known: KnownHosts,
}

impl Pins {
    /// Reads the file, or the user's own, if it is there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn load(file: Option<&str>) -> Result<Self, Error> {
        let file = match file {
            Some(file) => PathBuf::from(file),
            None => Environment::from_process().known_hosts().ok_or_else(|| {
                usage("there is no home directory to keep the known hosts in; give --known-hosts FILE")
            })?,
        };
        let known = match file.exists() {
            true => KnownHosts::read(&file).map_err(|error| {
                Error::internal(ErrorDomain::None, "cannot use the known hosts").with_source(error)
            })?,
            false => KnownHosts::default(),
        };
        Ok(Self { file, known })
    }

    /// Asks the server of a URI for its certificate.
    ///
    /// # Errors
    /// What the driver says.
    pub(crate) async fn ask(&self, uri: &str) -> Result<Pinned, Error> {
        let found = esx_driver::server_certificate(uri).await?;
        let server = found.server();
        let (host, port, certificate) = (found.host, found.port, found.certificate);
        let before = self.known.pin(&host, port).ok().flatten();
        let same = |pin: &_| *pin == certificate.sha1 || *pin == certificate.sha256;
        Ok(Pinned {
            server,
            host,
            port,
            before: before.filter(|pin| !same(pin)).map(|pin| pin.to_string()),
            sha1: certificate.sha1.to_string(),
            sha256: certificate.sha256.to_string(),
            subject: certificate.subject,
            issuer: certificate.issuer,
            names: certificate.names,
            version: certificate.version,
            validity: (certificate.not_before, certificate.not_after),
            file: None,
        })
    }

    /// Pins a certificate that was asked for.
    ///
    /// # Errors
    /// If the file cannot be written; it is then as it was.
    pub(crate) fn add(mut self, pinned: &mut Pinned) -> Result<(), Error> {
        self.known.set(&pinned.host, pinned.port, &pinned.sha256);
        let write = || -> std::io::Result<()> {
            // A link stays one.
            let file = self.file.canonicalize().unwrap_or_else(|_| self.file.clone());
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(std::path::Path::new("."));
            std::fs::create_dir_all(folder)?;
            let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
            fresh.write_all(self.known.to_text().as_bytes())?;
            fresh.as_file().sync_all()?;
            fresh.persist(&file)?;
            Ok(())
        };
        let name = self.file.display().to_string();
        write()
            .map_err(|error| system(format!("cannot write the known hosts to '{name}'"), error))?;
        pinned.file = Some(name);
        Ok(())
    }
}

/// A running simulated host of this process; it ends when this is dropped.
pub(crate) struct Simulator(esx_sim::Running);

impl Simulator {
    /// Starts the built-in simulated host on a free port of the loopback interface.
    ///
    /// # Errors
    /// If it cannot listen there.
    pub(crate) async fn start() -> Result<Self, Error> {
        let running = esx_sim::Simulator::builder().start().await.map_err(|error| {
            Error::internal(ErrorDomain::None, "cannot start the built-in simulated host")
                .with_source(error)
        })?;
        Ok(Self(running))
    }

    /// Opens a connection to it. Auth files are left alone: they are about real hosts.
    ///
    /// # Errors
    /// What the driver says.
    pub(crate) async fn open(
        &self,
        read_only: bool,
        progress: Option<Arc<Progress>>,
    ) -> Result<Arc<dyn Driver>, Error> {
        let auth = crate::auth::Known::new(self.0.username(), self.0.password());
        // No file can be below this path.
        let environment =
            Environment { etc_dir: PathBuf::from("/dev/null"), ..Environment::default() };
        let options = OpenOptions {
            read_only,
            auth: Some(Arc::new(auth)),
            environment: Some(environment),
            progress: progress.map(|progress| progress as _),
            ..OpenOptions::default()
        };
        Ok(Arc::new(esx_driver::open(&self.0.uri(), options).await?))
    }
}
