//! Export leases on the simulated host: what comes, what keeps them alive, and that none stays behind.

use std::time::Duration;

use esx_sim::model::{Fault, LeaseState};
use esx_sim::{FileContent, PowerState, Preset, Reaction, Running, Simulator};
use esx_vi_api::MoRef;
use esx_vi_client::{
    Client, Endpoint, Error, Lease, LeaseError, LeaseOptions, Scheme, Thumbprint, TlsPolicy,
    TransportError,
};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

const MIB: u64 = 1 << 20;

struct Scene {
    sim: Running,
    client: Client,
    machine: MoRef,
}

impl Scene {
    /// A machine that is off, with a disk of 40 MiB, some of it data.
    async fn new(builder: esx_sim::Builder) -> Self {
        let sim = builder.start().await.unwrap();
        let machine = sim.model().change(|model| {
            let machine = model.machine("web01").unwrap();
            model.set_power_state(&machine, PowerState::PoweredOff);
            let mut content = FileContent::hole(40 * MIB);
            content.generate(MIB, MIB, 5);
            content.generate(39 * MIB, 1, 6);
            // On a vCenter it is elsewhere, and as it is.
            model.add_content("datastore1", "web01/web01-flat.vmdk", content);
            machine
        });
        let address = sim.address();
        let scheme = if sim.thumbprint().is_some() { Scheme::Https } else { Scheme::Http };
        let mut endpoint = Endpoint::new(scheme, address.ip().to_string(), address.port());
        if let Some(thumbprint) = sim.thumbprint() {
            endpoint.tls = TlsPolicy::Thumbprint(Thumbprint::parse(thumbprint).unwrap());
        }
        let client = Client::connect(endpoint).await.unwrap();
        client.login(sim.username(), sim.password()).await.unwrap();
        sim.reset_journal();
        Self { sim, client, machine }
    }

    async fn plain() -> Self {
        Self::new(Simulator::builder()).await
    }

    async fn lease(&self) -> Result<Lease, Error> {
        self.client.export_machine(&self.machine, LeaseOptions::default()).await
    }

    fn methods(&self) -> Vec<String> {
        let journal = self.sim.journal();
        let shown = |method: &str| match method.strip_prefix("GET /nfc/") {
            Some(rest) => format!("GET {}", rest.split_once('/').unwrap().1),
            None => method.to_owned(),
        };
        journal.iter().map(|entry| shown(&entry.method)).collect()
    }

    fn calls(&self, method: &str) -> usize {
        self.methods().iter().filter(|own| *own == method).count()
    }

    fn states(&self) -> Vec<LeaseState> {
        self.sim.model().read(|model| model.leases().iter().map(|lease| lease.state).collect())
    }

    /// Waits until no lease is held.
    async fn until_none_is_held(&self) {
        self.sim.until(|model| model.held_leases() == 0).await;
    }
}

async fn read(lease: &Lease) -> Result<Vec<u8>, Error> {
    let mut download = lease.open(0).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = download.chunk().await? {
        bytes.extend_from_slice(&piece);
    }
    // After the end comes nothing more.
    assert!(download.chunk().await?.is_none());
    Ok(bytes)
}

#[tokio::test]
async fn a_disk_is_read_in_five_requests() {
    let scene = Scene::plain().await;
    let lease = scene.lease().await.unwrap();
    let device = &lease.devices()[0];
    assert!(device.is_disk && device.key.ends_with("0:0") && device.file == "disk-0.vmdk");
    // The ticket is nobody's business.
    assert!(!format!("{lease:?}").contains("/nfc/"), "{lease:?}");
    let bytes = read(&lease).await.unwrap();
    assert!(bytes.starts_with(b"KDMV") && bytes.len().is_multiple_of(512));
    // Two blocks that hold data, which cannot be compressed.
    let size = bytes.len() as u64;
    assert!(size > 2 * MIB && size < 3 * MIB, "{size}");
    lease.complete().await.unwrap();
    assert_eq!(
        scene.methods(),
        [
            "ExportVm",
            "RetrievePropertiesEx",
            "GET disk-0.vmdk",
            "HttpNfcLeaseGetManifest",
            "HttpNfcLeaseComplete"
        ]
    );
    drop(lease);
    assert_eq!(scene.states(), [LeaseState::Done]);
    scene.sim.stop().await;
}

#[tokio::test]
async fn what_is_not_ready_is_awaited() {
    let scene = Scene::plain().await;
    scene.sim.model().change(|model| model.hold_leases(true));
    let settle = async {
        scene.sim.until(|model| model.held_leases() == 1).await;
        // As soon as somebody waits for it.
        while scene.calls("CreateFilter") == 0 {
            tokio::task::yield_now().await;
        }
        scene.sim.model().change(|model| {
            let lease = model.leases()[0].moref.clone();
            assert!(model.settle_lease(&lease, Ok(())));
        });
    };
    let (lease, ()) = tokio::join!(scene.lease(), settle);
    let lease = lease.unwrap();
    read(&lease).await.unwrap();
    lease.abort().await.unwrap();
    // Nothing is left to watch it.
    assert_eq!(scene.calls("DestroyPropertyFilter"), 1);

    // A lease that fails says why.
    let settle = async {
        scene.sim.until(|model| model.held_leases() == 1).await;
        scene.sim.model().change(|model| {
            let lease = model.leases().into_iter().find(|lease| lease.state.is_held()).unwrap();
            let fault = Fault::new("FileLocked", "the disk is in use");
            assert!(model.settle_lease(&lease.moref, Err(fault)));
        });
    };
    let (lease, ()) = tokio::join!(scene.lease(), settle);
    let error = lease.unwrap_err();
    assert!(error.is_fault("FileLocked"), "{error}");
    assert_eq!(
        error.to_string(),
        format!("ExportVm on {} failed: the disk is in use (FileLocked)", scene.machine)
    );

    // One that does not get ready in time is given back.
    let options = LeaseOptions { ready: Duration::from_millis(50) };
    let error = scene.client.export_machine(&scene.machine, options).await.unwrap_err();
    assert!(matches!(error, Error::Lease(LeaseError::NotReady { .. })), "{error}");
    scene.until_none_is_held().await;
    scene.sim.stop().await;
}

#[tokio::test]
async fn whoever_goes_leaves_no_lease() {
    let scene = Scene::plain().await;
    // In the middle of the wait for it.
    scene.sim.model().change(|model| model.hold_leases(true));
    {
        let mut waiting = Box::pin(scene.lease());
        let held = scene.sim.until(|model| model.held_leases() == 1);
        tokio::select! {
            lease = &mut waiting => panic!("{lease:?}"),
            () = held => {}
        }
    }
    scene.until_none_is_held().await;
    // Before the host has answered at all: the answer is still heard.
    scene.sim.model().change(|model| model.hold_leases(false));
    scene.sim.set_plan(|arrival| match arrival.method.as_deref() {
        Some("ExportVm") => Reaction::DelayAnswer { by: Duration::from_millis(50) },
        _ => Reaction::Serve,
    });
    {
        let mut waiting = Box::pin(scene.lease());
        let held = scene.sim.until(|model| model.held_leases() == 1);
        tokio::select! {
            lease = &mut waiting => panic!("{lease:?}"),
            () = held => {}
        }
    }
    scene.until_none_is_held().await;
    // In the middle of a transfer.
    scene.sim.set_plan(|arrival| match arrival.line.starts_with("GET /nfc/") {
        true => Reaction::StallAnswer { after: 100_000 },
        false => Reaction::Serve,
    });
    let lease = scene.lease().await.unwrap();
    let mut download = lease.open(0).await.unwrap();
    assert!(download.chunk().await.unwrap().is_some());
    drop((lease, download));
    scene.until_none_is_held().await;
    assert_eq!(scene.calls("HttpNfcLeaseComplete"), 0);
    assert_eq!(scene.calls("HttpNfcLeaseAbort"), 3);
    scene.sim.stop().await;
}

#[tokio::test]
async fn a_lease_is_kept_alive_and_its_end_is_noticed() {
    let scene = Scene::plain().await;
    scene.sim.model().change(|model| model.set_lease_timeout(Duration::from_secs(1)));
    scene.sim.set_plan(|arrival| match arrival.line.starts_with("GET /nfc/") {
        true => Reaction::StallAnswer { after: 100_000 },
        false => Reaction::Serve,
    });
    let lease = scene.lease().await.unwrap();
    let mut download = lease.open(0).await.unwrap();
    assert!(download.chunk().await.unwrap().is_some());
    lease.report(0, 10 * MIB);
    // More often than one timeout would need.
    scene
        .sim
        .until(|model| model.leases()[0].renewals >= 6 && model.leases()[0].percent == 25)
        .await;
    assert_eq!(scene.states(), [LeaseState::Ready]);

    // The host takes it away: whoever waits for the stalled transfer is told.
    scene.sim.advance_clock(Duration::from_secs(3600));
    let error = loop {
        match download.chunk().await {
            Ok(piece) => assert!(piece.is_some()),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Lease(LeaseError::Lost { .. })), "{error}");
    // There is nothing to give back any more.
    let aborts = scene.calls("HttpNfcLeaseAbort");
    drop((lease, download));
    scene.until_none_is_held().await;
    assert_eq!(scene.states(), [LeaseState::Error]);
    assert_eq!(scene.calls("HttpNfcLeaseAbort"), aborts);
    scene.sim.stop().await;
}

#[tokio::test]
async fn a_transfer_that_breaks_off_says_so() {
    let scene = Scene::plain().await;
    let lease = scene.lease().await.unwrap();
    scene.sim.set_plan(|arrival| match arrival.line.starts_with("GET /nfc/") {
        true => Reaction::CutAnswer { after: 1_000_000 },
        false => Reaction::Serve,
    });
    let error = read(&lease).await.unwrap_err();
    let Error::Lease(LeaseError::Broken { device, bytes, source }) = &error else {
        panic!("{error}")
    };
    assert_eq!((device.as_str(), *bytes), ("disk-0.vmdk", 1_000_000));
    assert!(matches!(**source, TransportError::Closed { .. }), "{source}");
    // A busy host is waited for, and the disk can be read anew in the same lease.
    let busy = std::sync::atomic::AtomicU32::new(0);
    scene.sim.set_plan(move |arrival| {
        let first = arrival.line.starts_with("GET /nfc/")
            && busy.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        if first { Reaction::Refuse { status: 503, retry_after: Some(0) } } else { Reaction::Serve }
    });
    let bytes = read(&lease).await.unwrap();
    lease.complete().await.unwrap();
    let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    assert_eq!(sum.as_ref().len(), 20);
    scene.sim.stop().await;
}

#[tokio::test]
async fn the_host_behind_a_vcenter_is_known_by_its_thumbprint() {
    let builder = || Simulator::builder().preset(Preset::VCenter).tls(true).lease_door();
    let scene = Scene::new(builder()).await;
    let lease = scene.lease().await.unwrap();
    let bytes = read(&lease).await.unwrap();
    assert!(bytes.starts_with(b"KDMV"));
    lease.complete().await.unwrap();
    // The session is the vCenter's alone: a host that has never seen it is not told.
    let journal = scene.sim.journal();
    let get = journal.iter().find(|entry| entry.method.starts_with("GET /nfc/")).unwrap();
    assert_eq!(get.session, None);
    scene.sim.stop().await;

    // Another certificate than the one that the vCenter tells.
    let scene = Scene::new(builder()).await;
    let told = scene.sim.model().change(|model| {
        let door = model.lease_door().to_owned();
        let wrong = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33";
        model.set_lease_door(door.clone(), wrong);
        door
    });
    assert!(told.starts_with("https://127.0.0.1:"));
    let lease = scene.lease().await.unwrap();
    let error = read(&lease).await.unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::Tls { .. })), "{error}");
    assert_eq!(scene.calls("GET disk-0.vmdk"), 0);
    drop(lease);
    scene.until_none_is_held().await;
    scene.sim.stop().await;
}

#[tokio::test]
async fn refusals_are_the_hosts_own() {
    let scene = Scene::plain().await;
    let machine = scene.machine.clone();
    scene.sim.model().change(|model| model.set_power_state(&machine, PowerState::PoweredOn));
    let error = scene.lease().await.unwrap_err();
    assert!(error.is_fault("InvalidPowerState"), "{error}");
    let old = Scene::new(Simulator::builder().api_version("4.1")).await;
    let snapshot = MoRef::new("VirtualMachineSnapshot", "1-snapshot-1");
    let error = old.client.export_snapshot(&snapshot, LeaseOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::TooOld { method: "ExportSnapshot", .. }), "{error}");
    // Machines can be exported all the same.
    let lease = old.lease().await.unwrap();
    read(&lease).await.unwrap();
    lease.complete().await.unwrap();
    old.sim.stop().await;
    scene.sim.stop().await;
}
