//! What the thread does that speaks with all clients, and what it leaves to others.

use std::sync::Arc;

use async_trait::async_trait;
use virt_api::{Definitions, Driver, Hypervisor, Result, Snapshots};
use virt_rpc::procedure::call;
use virtesxd::config::Config;
use virtesxd::hub::Opener;

use crate::common::Daemon;

/// Tells where it does what.
struct Fake;

impl Driver for Fake {
    fn hypervisor(&self) -> &dyn Hypervisor {
        self
    }
}

fn thread() -> Option<String> {
    std::thread::current().name().map(str::to_owned)
}

#[async_trait]
impl Hypervisor for Fake {
    /// At once.
    async fn connect_get_type(&self) -> Result<String> {
        Ok(thread().unwrap_or_default())
    }

    /// After a wait, with what it starts meanwhile.
    async fn connect_get_hostname(&self) -> Result<String> {
        let started = tokio::spawn(async { thread().unwrap_or_default() });
        // It may have ended already: this waits in any case.
        tokio::task::yield_now().await;
        let started = started.await.unwrap();
        Ok(format!("{started} {}", thread().unwrap_or_default()))
    }
}

impl Definitions for Fake {}

impl Snapshots for Fake {}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn calls_that_wait_do_so_where_no_client_is_spoken_with() {
    let opener: Opener = Box::new(|_, _| Box::pin(async { Ok(Arc::new(Fake) as Arc<dyn Driver>) }));
    let config = Config::parse("[target.t]\nuri = 'esx://h/'\n").unwrap();
    let daemon = Daemon::start(config, opener);
    let mut peer = daemon.connect().await;
    peer.open("esx:///t").await.unwrap();
    assert_eq!(peer.call::<call::ConnectGetType>(&()).await.unwrap(), "clients");
    let places = peer.call::<call::ConnectGetHostname>(&()).await.unwrap();
    assert!(!places.contains("clients"), "{places}");
    daemon.stopped().await;
}
