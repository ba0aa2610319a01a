//! The conformance suite over the wire: a client's driver, the daemon, our driver, a simulated host.

use async_trait::async_trait;
use esx_conformance::Expectations;
use esx_sim::Simulator;
use tokio::sync::Mutex;
use virt_api::{Driver as _, Result};
use virt_rpc::frame::{Header, Packet};
use virt_rpc::procedure::{Procedure, call};
use virt_rpc::remote::{Remote, Transport};
use virtesxd::config::Config;
use virtesxd::hub;

use crate::common::{Daemon, Peer};

/// One call at a time.
struct Wire(Mutex<(Peer, u32)>);

#[async_trait]
impl Transport for Wire {
    async fn call(&self, procedure: Procedure, arguments: Vec<u8>) -> Result<Packet> {
        let (peer, serial) = &mut *self.0.lock().await;
        *serial += 1;
        let header = Header::call(procedure, *serial);
        peer.send(&Packet::new(header, arguments)).await;
        let reply = peer.receive().await.expect("the daemon has ended the connection");
        assert_eq!(reply.header, header.reply(reply.header.status));
        Ok(reply)
    }

    async fn close(&self) -> Result<()> {
        self.call(Procedure::ConnectClose, Vec::new()).await.map(drop)
    }
}

#[tokio::test]
async fn a_driver_behind_the_wire_conforms() {
    let sim = Simulator::builder().vms(6).start().await.unwrap();
    let text = format!("[target.sim]\nuri = '{}'\n", sim.uri());
    let daemon = Daemon::start(Config::parse(&text).unwrap(), hub::esx());
    let mut peer = daemon.connect().await;
    peer.sasl(sim.username(), sim.password()).await.unwrap();
    peer.open("esx:///sim").await.unwrap();
    peer.call::<call::ConnectGetType>(&()).await.unwrap();
    // The suite wants a URI that names the host; the daemon is never asked for one.
    let remote = Remote::new(Wire(Mutex::new((peer, 1_000))), sim.uri());
    let expectations =
        Expectations { scratch_domain: Some("vm-00001".to_owned()), ..Expectations::default() };
    let report = esx_conformance::run(&remote, &expectations).await;
    remote.close().await.unwrap();
    report.assert();
    daemon.stopped().await;
    assert_eq!(sim.model().read(|model| model.session_count()), 0);
}
