//! Clients on the network: TLS and TCP, and what they may not do there.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use esx_sim::{Running, Simulator};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use virt_api::ErrorCode;
use virt_rpc::procedure::call;
use virtesxd::config::Config;
use virtesxd::hub;
use virtesxd::server::Socket;

use crate::common::{Daemon, Peer, in_time};

/// An authority, a certificate for 127.0.0.1 and one for a client, as files.
struct Certificates(TempDir);

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let write =
            |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", authority.pem());
        for (name, subject) in [("server", "127.0.0.1"), ("client", "client.test")] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![subject.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &authority).unwrap();
            write(&format!("{name}.pem"), certificate.pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn config(&self, more: &str) -> String {
        let path = self.path().display();
        format!("[tls]\ncertificate = '{path}/server.pem'\nkey = '{path}/server.key'\n{more}\n")
    }

    fn connector(&self, with_certificate: bool) -> tokio_rustls::TlsConnector {
        let read = |name: &str| CertificateDer::from_pem_file(self.path().join(name)).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(read("ca.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match with_certificate {
            false => builder.with_no_client_auth(),
            true => {
                let key = PrivateKeyDer::from_pem_file(self.path().join("client.key")).unwrap();
                builder.with_client_auth_cert(vec![read("client.pem")], key).unwrap()
            }
        };
        tokio_rustls::TlsConnector::from(Arc::new(config))
    }

    /// A client that was let in; `None` if it was not.
    async fn connect(&self, address: SocketAddr, with_certificate: bool) -> Option<Peer> {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = self.connector(with_certificate).connect(name, stream).await.ok()?;
        let mut byte = [0];
        in_time(stream.read_exact(&mut byte)).await.ok()?;
        assert_eq!(byte, [1]);
        Some(Peer::over(stream))
    }
}

/// A daemon that listens on the network too.
async fn daemon(sim: &Running, more: &str, tls: bool) -> (Daemon, SocketAddr) {
    let socket = Socket::network("127.0.0.1:0".parse().unwrap(), tls).await.unwrap();
    let uri = socket.uri();
    let address = uri.trim_end_matches('/').rsplit('/').next().unwrap().parse().unwrap();
    let text = format!("{more}\n[target.sim]\nuri = '{}'\n", sim.uri());
    let config = Config::parse(&text).unwrap();
    (Daemon::start_at(config, hub::esx(), vec![socket]), address)
}

#[tokio::test]
async fn by_tls_a_password_opens_the_host_and_nothing_else_does() {
    let sim = Simulator::builder().start().await.unwrap();
    let certificates = Certificates::new();
    let (daemon, address) = daemon(&sim, &certificates.config(""), true).await;
    let mut peer = certificates.connect(address, false).await.unwrap();
    assert_eq!(peer.call::<call::AuthList>(&()).await.unwrap().0, [1], "there is no other way");
    let refused = peer.open("esx:///sim").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Rpc, "{refused}");
    peer.sasl(sim.username(), sim.password()).await.unwrap();
    peer.open("esx:///sim").await.unwrap();
    assert_eq!(peer.call::<call::ConnectGetType>(&()).await.unwrap(), "ESX");
    // Who speaks no TLS is gone at once, and keeps nobody else out.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(&[0, 0, 0, 28, 0x20, 0, 0x80, 0x86, 0, 0, 0, 1]).await.unwrap();
    let mut rest = Vec::new();
    let _ = in_time(plain.read_to_end(&mut rest)).await;
    assert_eq!(peer.call::<call::ConnectGetType>(&()).await.unwrap(), "ESX");
    drop(peer);
    daemon.stopped().await;
}

#[tokio::test]
async fn certificates_of_clients_may_be_asked_for() {
    let sim = Simulator::builder().start().await.unwrap();
    let certificates = Certificates::new();
    let authority = format!("client_ca = '{}/ca.pem'", certificates.path().display());
    let (daemon, address) = daemon(&sim, &certificates.config(&authority), true).await;
    assert!(certificates.connect(address, false).await.is_none());
    let mut peer = certificates.connect(address, true).await.unwrap();
    peer.sasl(sim.username(), sim.password()).await.unwrap();
    peer.open("esx:///sim").await.unwrap();
    drop(peer);
    daemon.stopped().await;
}

#[tokio::test]
async fn certificates_are_read_again_for_whoever_comes_next() {
    let sim = Simulator::builder().start().await.unwrap();
    let (old, new) = (Certificates::new(), Certificates::new());
    let config = old.config("");
    let (daemon, address) = daemon(&sim, &config, true).await;
    let mut peer = old.connect(address, false).await.unwrap();
    peer.sasl(sim.username(), sim.password()).await.unwrap();
    peer.open("esx:///sim").await.unwrap();
    assert!(new.connect(address, false).await.is_none());
    for name in ["server.pem", "server.key"] {
        std::fs::copy(new.path().join(name), old.path().join(name)).unwrap();
    }
    // Nothing happens before it is told to.
    assert!(new.connect(address, false).await.is_none());
    daemon.reload(Config::parse(&config).unwrap()).await;
    let renewed = in_time(async {
        loop {
            if let Some(peer) = new.connect(address, false).await {
                break peer;
            }
        }
    });
    let mut renewed = renewed.await;
    assert!(
        old.connect(address, false).await.is_none(),
        "the old certificate is not shown any more"
    );
    // Who was there before notices nothing, and files that cannot be used change nothing.
    assert_eq!(peer.call::<call::ConnectGetType>(&()).await.unwrap(), "ESX");
    std::fs::write(old.path().join("server.key"), "").unwrap();
    daemon.reload(Config::parse(&config).unwrap()).await;
    // There is room for one in the channel: with the second sent, the first has been looked at.
    daemon.reload(Config::parse(&config).unwrap()).await;
    daemon.reload(Config::parse(&config).unwrap()).await;
    assert!(new.connect(address, false).await.is_some());
    assert_eq!(renewed.call::<call::AuthList>(&()).await.unwrap().0, [1]);
    drop((peer, renewed));
    daemon.stopped().await;
}

#[tokio::test]
async fn by_tcp_no_password_is_taken() {
    let sim = Simulator::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth.conf");
    let text = format!(
        "[credentials-a]\nusername={}\npassword={}\n[auth-esx-default]\ncredentials=a\n",
        sim.username(),
        sim.password()
    );
    std::fs::write(&file, text).unwrap();
    let more = format!(
        "[target.open]\nuri = '{}'\nauth_file = '{}'\nfrom_network = true\n",
        sim.uri(),
        file.display()
    );
    let (daemon, address) = daemon(&sim, &more, false).await;
    let mut peer = Peer::over(TcpStream::connect(address).await.unwrap());
    assert_eq!(peer.call::<call::AuthList>(&()).await.unwrap().0, [0]);
    let refused = peer.sasl(sim.username(), sim.password()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::AuthFailed);
    // The stored credentials of one target are for everybody, those of the other are not.
    let refused = peer.open("esx:///sim").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::AuthFailed, "{refused}");
    let refused = peer.open(&sim.uri()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::AuthFailed, "{refused}");
    peer.open("esx:///open").await.unwrap();
    drop(peer);
    daemon.stopped().await;
}

#[test]
fn files_that_fit_nothing_are_told() {
    let certificates = Certificates::new();
    let path = certificates.path().display();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    for (text, part) in [
        (format!("[tls]\ncertificate = '{path}/none.pem'\nkey = '{path}/server.key'"), "none.pem"),
        (
            format!("[tls]\ncertificate = '{path}/server.key'\nkey = '{path}/server.key'"),
            "no certificate",
        ),
        (
            format!("[tls]\ncertificate = '{path}/server.pem'\nkey = '{path}/client.key'"),
            "and its key",
        ),
        (certificates.config(&format!("client_ca = '{path}/server.key'")), "no certificate"),
    ] {
        let config = Config::parse(&text).unwrap();
        let error = virtesxd::server::Server::new(config, hub::esx()).err().unwrap();
        let error = format!("{error:#}");
        assert!(error.contains(part), "{text}: {error}");
    }
}
