//! The vCenter beside a host (`vcenter=`, spec `connection.md` 3.3), reached in unusual ways.

use std::net::SocketAddr;

use crate::common::{methods, options};
use esx_driver::{Environment, OpenOptions};
use esx_sim::{Preset, Simulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use virt_api::{Driver as _, Hypervisor as _};

/// An HTTP proxy that alone knows the addresses behind some names. Returns where it listens.
async fn proxy(names: Vec<(String, SocketAddr)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let names = names.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.contains(&b'\n') {
                    if client.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let line = String::from_utf8_lossy(&head).into_owned();
                let known = names.iter().find(|(name, _)| line.contains(&format!("//{name}:")));
                let Some((_, address)) = known else { return };
                let mut server = TcpStream::connect(address).await.unwrap();
                server.write_all(&head).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

/// Names that only the proxy knows are no obstacle: libvirt looks up every name itself.
#[tokio::test]
async fn names_that_only_the_proxy_knows() {
    let host = Simulator::builder().start().await.unwrap();
    let vcenter = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
    let system = esx_vi_api::MoRef::new("HostSystem", "ha-host");
    assert!(host.model().change(|m| m.set_managed_by(&system, Some("192.0.2.7"))));
    // No resolver asks anybody for a label of 70 letters.
    let (host_name, vcenter_name) = ("h".repeat(70), "v".repeat(70));
    let proxy =
        proxy(vec![(host_name.clone(), host.address()), (vcenter_name.clone(), vcenter.address())])
            .await;
    let uri = format!("esx://user@{host_name}:4711/?transport=http&vcenter={vcenter_name}");
    let open = async |uri: &str| esx_driver::open(uri, options(host.password())).await;
    let connection = open(&format!("{uri}&proxy={proxy}")).await.unwrap();
    assert_eq!(methods(&vcenter), ["RetrieveServiceContent", "Login", "FindByUuid"]);
    assert!(connection.connect_num_of_domains().await.unwrap() > 0);
    connection.close().await.unwrap();
    for sim in [&host, &vcenter] {
        assert_eq!(sim.model().read(|m| m.session_count()), 0);
    }
    let error = open(&uri).await.err().unwrap();
    assert_eq!(error.code, virt_api::ErrorCode::UnknownHost, "{error}");
}

/// One IPv6 address may be written in several ways.
#[tokio::test]
async fn an_address_is_compared_as_an_address() {
    let host = Simulator::builder().start().await.unwrap();
    let system = esx_vi_api::MoRef::new("HostSystem", "ha-host");
    let open = async |query: &str| {
        let uri = format!("{}&connect_timeout=5&vcenter={query}", host.uri());
        esx_driver::open(&uri, options(host.password())).await.err().unwrap().to_string()
    };
    assert!(host.model().change(|m| m.set_managed_by(&system, Some("0:0:0:0:0:0:0:1"))));
    let right = open("::1").await;
    assert!(!right.contains("managed by the vCenter"), "{right}");
    let wrong = open("::2").await;
    assert!(wrong.contains("managed by the vCenter 0:0:0:0:0:0:0:1"), "{wrong}");
    assert!(host.model().change(|m| m.set_managed_by(&system, Some("::1"))));
    let right = open("0::1").await;
    assert!(!right.contains("managed by the vCenter"), "{right}");
}

/// A vCenter has a port and a user of its own: libvirt gives it those of the host. The credentials file knows it by its name, or
/// by its address as for libvirt.
#[tokio::test]
async fn a_vcenter_has_its_own_port_and_user() {
    // At an address that the file does not have.
    let host = Simulator::builder().listen(SocketAddr::from(([127, 0, 0, 3], 0)));
    let host = host.credentials("root", "canary-host").start().await.unwrap();
    let vcenter = Simulator::builder()
        .preset(Preset::VCenter)
        .credentials("administrator@vsphere.local", "canary-vcenter")
        .start()
        .await
        .unwrap();
    let system = esx_vi_api::MoRef::new("HostSystem", "ha-host");
    assert!(host.model().change(|m| m.set_managed_by(&system, Some("127.0.0.1"))));
    let known = vcenter.model().read(|m| m.hosts()[0].clone());
    assert!(vcenter.model().change(|m| m.set_host_address(&known, "127.0.0.3")));
    let folder = tempfile::tempdir().unwrap();
    let port = vcenter.address().port();
    for (query, group) in
        [("localhost", "localhost"), ("localhost", "127.0.0.1"), ("*", "127.0.0.1")]
    {
        let file = folder.path().join("auth.conf");
        let text = format!(
            "[credentials-host]\nusername=root\npassword=canary-host\n\
             [credentials-vc]\nusername=administrator@vsphere.local\npassword=canary-vcenter\n\
             [auth-esx-default]\ncredentials=host\n[auth-esx-{group}]\ncredentials=vc\n"
        );
        std::fs::write(&file, text).unwrap();
        let uri = format!("{}&vcenter={query}:{port}", host.uri());
        let environment =
            Environment { libvirt_auth_file: Some(file.into()), ..Environment::default() };
        let options = OpenOptions { environment: Some(environment), ..OpenOptions::default() };
        let connection = match esx_driver::open(&uri, options).await {
            Ok(connection) => connection,
            Err(error) => {
                panic!("{query} {group}: {}", error.chain().collect::<Vec<_>>().join("; "))
            }
        };
        connection.close().await.unwrap();
    }
}
