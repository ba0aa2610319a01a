//! Clients of the daemon against a simulated host: what they get, and what the host is asked.

use esx_sim::{PowerState, Running, Simulator};
use tokio::io::AsyncWriteExt as _;
use virt_api::{DomainState, DomainXmlFlags, ErrorCode, ListAllDomainsFlags, NoFlags};
use virt_rpc::frame::{Header, Packet, PacketType, Status};
use virt_rpc::procedure::call;
use virt_rpc::types::StateAndReason;
use virtesxd::config::Config;
use virtesxd::hub;

use crate::common::{Daemon, Peer, in_time};

const ALL: ListAllDomainsFlags = ListAllDomainsFlags::ACTIVE.union(ListAllDomainsFlags::INACTIVE);

async fn host(vms: u32) -> Running {
    Simulator::builder().vms(vms).start().await.unwrap()
}

/// A daemon that knows the host as `sim`, without credentials.
fn daemon(sim: &Running, more: &str) -> Daemon {
    let text = format!("{more}\n[target.sim]\nuri = '{}'\n", sim.uri());
    Daemon::start(Config::parse(&text).unwrap(), hub::esx())
}

async fn open(daemon: &Daemon, sim: &Running) -> Peer {
    let mut peer = daemon.connect().await;
    assert_eq!(peer.call::<call::AuthList>(&()).await.unwrap().0, [0, 1]);
    peer.sasl(sim.username(), sim.password()).await.unwrap();
    peer.open("esx:///sim").await.unwrap();
    peer
}

fn count(sim: &Running, method: &str) -> usize {
    sim.journal().iter().filter(|entry| entry.method == method).count()
}

#[tokio::test]
async fn a_client_reads_and_clients_share_a_login() {
    let sim = host(3).await;
    let daemon = daemon(&sim, "");
    let mut peer = open(&daemon, &sim).await;
    assert_eq!(peer.call::<call::ConnectGetType>(&()).await.unwrap(), "ESX");
    let (domains, total) = peer.call::<call::ConnectListAllDomains>(&(true, ALL)).await.unwrap();
    assert_eq!(domains.0.len(), total as usize);
    let machine = peer.call::<call::DomainLookupByName>(&("vm-00001".to_owned(),)).await.unwrap();
    assert!(domains.0.iter().any(|domain| domain.uuid == machine.uuid));
    let xml = peer
        .call::<call::DomainGetXmlDesc>(&(machine.clone(), DomainXmlFlags::empty()))
        .await
        .unwrap();
    assert!(xml.contains("<name>vm-00001</name>"), "{xml}");
    let StateAndReason(state, _) =
        peer.call::<call::DomainGetState>(&(machine, NoFlags::empty())).await.unwrap();
    assert_eq!(state, DomainState::Shutoff);
    let missing = peer.call::<call::DomainLookupByName>(&("nobody".to_owned(),)).await.unwrap_err();
    assert_eq!(missing.code, ErrorCode::NoDomain);
    assert!(missing.message.starts_with("Domain not found: "), "{missing}");
    // What the table does not know, and what it knows and nobody has.
    for (number, code, part) in [
        (9999, ErrorCode::Rpc, "unknown procedure: 9999"),
        (163, ErrorCode::NoSupport, "virDomainGetJobInfo"),
    ] {
        let header = Header::remote(number, PacketType::Call, 77, Status::Ok);
        peer.send(&Packet::new(header, Vec::new())).await;
        let error = virt_rpc::client::error(&peer.receive().await.unwrap()).unwrap();
        assert_eq!(error.code, code);
        assert!(error.message.contains(part), "{error}");
    }
    peer.call::<call::ConnectClose>(&()).await.unwrap();
    assert!(peer.receive().await.is_none());
    let mut second = open(&daemon, &sim).await;
    second.call::<call::ConnectListAllDomains>(&(true, ALL)).await.unwrap();
    assert_eq!(count(&sim, "Login"), 1);
    drop(second);
    daemon.stopped().await;
    assert_eq!(count(&sim, "Logout"), 1, "the daemon logs out when it stops");
}

#[tokio::test]
async fn credentials_are_the_clients_or_there_are_none() {
    let sim = host(0).await;
    let daemon = daemon(&sim, "linger_seconds = 0");
    let mut peer = daemon.connect().await;
    peer.sasl(sim.username(), "wrong").await.unwrap();
    let error = peer.open("esx:///sim").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::AuthFailed, "{error}");
    assert!(error.message.starts_with("authentication failed"), "{error}");
    assert!(!error.message.contains("wrong,"), "{error}");
    // The right ones are asked for again, on the same connection.
    peer.sasl(sim.username(), sim.password()).await.unwrap();
    peer.open("esx:///sim").await.unwrap();
    // Another password does not get the connection that is open.
    let mut other = daemon.connect().await;
    other.sasl(sim.username(), "guess").await.unwrap();
    assert_eq!(other.open("esx:///sim").await.unwrap_err().code, ErrorCode::AuthFailed);
    let error = other.open("esx:///elsewhere").await.unwrap_err();
    assert!(error.message.contains("known: sim"), "{error}");
    let closed = daemon_that_asks(&sim);
    let mut peer = closed.connect().await;
    assert_eq!(peer.call::<call::AuthList>(&()).await.unwrap().0, [1]);
    let error = peer.open("esx:///sim").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Rpc);
    assert!(error.message.contains("authentication required"), "{error}");
}

fn daemon_that_asks(sim: &Running) -> Daemon {
    daemon(sim, "auth = ['sasl']")
}

#[tokio::test]
async fn stored_credentials_are_for_the_users_that_are_named() {
    let sim = host(0).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth.conf");
    let text = format!(
        "[credentials-a]\nusername={}\npassword={}\n[auth-esx-default]\ncredentials=a\n",
        sim.username(),
        sim.password()
    );
    std::fs::write(&file, text).unwrap();
    let empty = folder.path().join("empty.conf");
    std::fs::write(&empty, "").unwrap();
    let uri = sim.uri();
    let text = format!(
        "default = 'mine'\n[target.mine]\nuri = '{uri}'\nauth_file = '{0}'\n\
         [target.none]\nuri = '{uri}'\nauth_file = '{1}'\n\
         [target.others]\nuri = '{uri}'\nauth_file = '{0}'\nusers = [4294967294]\n",
        file.display(),
        empty.display()
    );
    let daemon = Daemon::start(Config::parse(&text).unwrap(), hub::esx());
    let mut peer = daemon.connect().await;
    for name in ["esx:///others", "esx:///none"] {
        let error = peer.open(name).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::AuthFailed, "{name}");
        assert!(error.message.contains("auth=sasl"), "{name}: {error}");
    }
    peer.open("").await.unwrap();
}

#[tokio::test]
async fn a_reader_changes_nothing() {
    let sim = host(1).await;
    let daemon = daemon(&sim, "");
    let mut peer = daemon.connect_read_only().await;
    peer.sasl(sim.username(), sim.password()).await.unwrap();
    peer.open("esx:///sim").await.unwrap();
    // A list waits for the live view, which is not to be counted below.
    peer.call::<call::ConnectListAllDomains>(&(true, ALL)).await.unwrap();
    let machine = peer.call::<call::DomainLookupByName>(&("vm-00001".to_owned(),)).await.unwrap();
    sim.reset_journal();
    let error = peer.call::<call::DomainCreate>(&(machine.clone(),)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OperationDenied);
    let secure = (machine.clone(), DomainXmlFlags::SECURE);
    let error = peer.call::<call::DomainGetXmlDesc>(&secure).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OperationDenied);
    assert!(sim.journal().is_empty(), "the host was not asked");
    peer.call::<call::DomainGetXmlDesc>(&(machine, DomainXmlFlags::empty())).await.unwrap();
}

#[tokio::test]
async fn a_long_call_keeps_nobody_from_anything() {
    let sim = host(2).await;
    let daemon = daemon(&sim, "");
    let mut peer = open(&daemon, &sim).await;
    let machine = peer.call::<call::DomainLookupByName>(&("vm-00001".to_owned(),)).await.unwrap();
    let other = peer.call::<call::DomainLookupByName>(&("vm-00003".to_owned(),)).await;
    let other = other.or(peer.call::<call::DomainLookupByName>(&("vm-00002".to_owned(),)).await);
    sim.model().change(esx_sim::Model::hold_tasks);
    let start = peer.begin::<call::DomainCreate>(&(machine.clone(),)).await;
    peer.ping().await;
    // Another machine is read while the first one starts; the same one only afterwards.
    peer.call::<call::DomainGetState>(&(other.unwrap(), NoFlags::empty())).await.unwrap();
    let state = peer.begin::<call::DomainGetState>(&(machine, NoFlags::empty())).await;
    peer.ping().await;
    assert!(peer.others.is_empty(), "{:?}", peer.others);
    sim.model().change(esx_sim::Model::release_tasks);
    peer.end::<call::DomainCreate>(start).await.unwrap();
    let StateAndReason(found, _) = peer.end::<call::DomainGetState>(state).await.unwrap();
    assert_eq!(found, DomainState::Running);
}

#[tokio::test]
async fn quick_calls_in_one_go_are_answered_in_their_order_and_the_host_is_not_asked() {
    let sim = host(1).await;
    // Were each of them a call that waits, the client would be cut off.
    let daemon = daemon(&sim, "[limits]\nwaiting_calls = 5");
    let mut peer = open(&daemon, &sim).await;
    peer.call::<call::ConnectListAllDomains>(&(true, ALL)).await.unwrap();
    let machine = peer.call::<call::DomainLookupByName>(&("vm-00001".to_owned(),)).await.unwrap();
    sim.reset_journal();
    let args = (machine, NoFlags::empty());
    let mut bytes = Vec::new();
    for serial in 1000..2000 {
        let packet = virt_rpc::client::call::<call::DomainGetState>(serial, &args).unwrap();
        bytes.extend(packet.to_bytes().unwrap());
    }
    peer.stream.write_all(&bytes).await.unwrap();
    for serial in 1000..2000 {
        let packet = peer.receive().await.unwrap();
        assert_eq!((packet.header.serial, packet.header.status), (serial, Status::Ok));
    }
    let asked: Vec<_> = sim.journal().into_iter().map(|entry| entry.method).collect();
    assert!(asked.iter().all(|method| method == "WaitForUpdatesEx"), "{asked:?}");
}

#[tokio::test]
async fn events_reach_whoever_has_registered() {
    let sim = host(1).await;
    let daemon = daemon(&sim, "");
    let mut peer = open(&daemon, &sim).await;
    let callback =
        peer.call::<call::ConnectDomainEventCallbackRegisterAny>(&(0, None)).await.unwrap();
    let mut old = open(&daemon, &sim).await;
    assert!(old.call::<call::ConnectDomainEventRegister>(&()).await.unwrap());
    assert_eq!(
        peer.call::<call::ConnectDomainEventCallbackRegisterAny>(&(29, None))
            .await
            .unwrap_err()
            .code,
        ErrorCode::NoSupport
    );
    let set_power = |state| {
        sim.model().change(|model| {
            let machine = model.machine("vm-00001").unwrap();
            model.set_power_state(&machine, state);
        });
    };
    set_power(PowerState::PoweredOn);
    let event = peer.event().await;
    assert_eq!((event.header.procedure, event.header.serial), (318, 0));
    assert_eq!(event.payload[..4], callback.to_be_bytes());
    assert_eq!(event.payload[event.payload.len() - 8..][..4], [0, 0, 0, 2], "started");
    assert_eq!(old.event().await.header.procedure, 107);
    peer.call::<call::ConnectDomainEventCallbackDeregisterAny>(&(callback,)).await.unwrap();
    set_power(PowerState::PoweredOff);
    assert_eq!(old.event().await.header.procedure, 107);
    peer.ping().await;
    assert!(peer.others.iter().all(|packet| packet.header.kind != PacketType::Message));
}

#[tokio::test]
async fn garbage_ends_one_connection_only() {
    let sim = host(0).await;
    let daemon = daemon(&sim, "");
    let mut good = open(&daemon, &sim).await;
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0, 0, 0, 27],
        &[255; 64],
        // A megabyte is announced before anything is open.
        &[0, 16, 0, 0],
        // A descriptor.
        &[
            0, 0, 0, 28, 0x20, 0, 0x80, 0x86, 0, 0, 0, 1, 0, 0, 0, 66, 0, 0, 0, 4, 0, 0, 0, 0, 0,
            0, 0, 0,
        ],
    ] {
        let mut bad = daemon.connect().await;
        bad.stream.write_all(bytes).await.unwrap();
        assert!(bad.receive().await.is_none(), "{bytes:?}");
    }
    let mut half = daemon.connect().await;
    half.stream.write_all(&[0, 0, 0]).await.unwrap();
    half.stream.shutdown().await.unwrap();
    assert!(half.receive().await.is_none());
    assert_eq!(good.call::<call::ConnectGetType>(&()).await.unwrap(), "ESX");
}

#[tokio::test]
async fn many_clients_and_no_more_than_that() {
    let sim = host(5).await;
    let daemon = daemon(&sim, "[limits]\nclients = 50\nnew_clients = 50");
    let mut peers = Vec::new();
    for _ in 0..50 {
        peers.push(open(&daemon, &sim).await);
    }
    let mut late = daemon.connect().await;
    let _ = late.stream.write_all(&[0]).await;
    assert!(late.receive().await.is_none(), "sent away");
    let lists = peers.into_iter().map(|mut peer| {
        tokio::spawn(async move {
            peer.call::<call::ConnectListAllDomains>(&(true, ALL)).await.unwrap().1
        })
    });
    let lists: Vec<_> = lists.collect();
    for list in lists {
        assert!(in_time(list).await.unwrap() >= 5);
    }
    assert_eq!(count(&sim, "Login"), 1);
}

#[tokio::test]
async fn too_many_waiting_calls_end_a_connection() {
    let sim = host(1).await;
    let daemon = daemon(&sim, "[limits]\ncalls = 1\nwaiting_calls = 4");
    let mut peer = open(&daemon, &sim).await;
    let machine = peer.call::<call::DomainLookupByName>(&("vm-00001".to_owned(),)).await.unwrap();
    sim.model().change(esx_sim::Model::hold_tasks);
    peer.begin::<call::DomainCreate>(&(machine,)).await;
    for _ in 0..4 {
        peer.begin::<call::ConnectGetType>(&()).await;
    }
    peer.ping().await;
    peer.begin::<call::ConnectGetType>(&()).await;
    assert!(peer.receive().await.is_none());
}

#[tokio::test]
async fn too_many_waiting_bytes_end_a_connection() {
    let sim = host(1).await;
    let daemon = daemon(&sim, "[limits]\ncalls = 1");
    let mut peer = open(&daemon, &sim).await;
    let machine = peer.call::<call::DomainLookupByName>(&("vm-00001".to_owned(),)).await.unwrap();
    sim.model().change(esx_sim::Model::hold_tasks);
    peer.begin::<call::DomainCreate>(&(machine,)).await;
    let large = Packet::new(
        Header::remote(163, PacketType::Call, 77, Status::Ok),
        vec![0; 24 * 1024 * 1024],
    );
    for _ in 0..2 {
        peer.send(&large).await;
    }
    peer.ping().await;
    peer.send(&large).await;
    assert!(peer.receive().await.is_none());
}

#[tokio::test]
async fn a_client_that_goes_leaves_no_half_definition() {
    let sim = host(1).await;
    let daemon = daemon(&sim, "");
    let mut peer = open(&daemon, &sim).await;
    let machine = peer.call::<call::DomainLookupByName>(&("vm-00001".to_owned(),)).await.unwrap();
    let xml =
        peer.call::<call::DomainGetXmlDesc>(&(machine, DomainXmlFlags::empty())).await.unwrap();
    let new = |line: &&str| !line.contains("uuid>");
    let xml = xml.lines().filter(new).collect::<Vec<_>>().join("\n");
    let xml = xml.replace("<name>vm-00001</name>", "<name>left behind</name>");
    sim.reset_journal();
    peer.begin::<call::DomainDefineXml>(&(xml,)).await;
    // It has begun; what has not is not begun for a client that has gone.
    in_time(async {
        while sim.journal().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(peer);
    let mut other = open(&daemon, &sim).await;
    in_time(async {
        let name = ("left behind".to_owned(),);
        while other.call::<call::DomainLookupByName>(&name).await.is_err() {}
    })
    .await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_does_not_keep_the_daemon() {
    let sim = host(0).await;
    let daemon = daemon(&sim, "[limits]\nstop_seconds = 0\ncalls = 50");
    let mut peer = open(&daemon, &sim).await;
    let ping = virt_rpc::keepalive::packet(virt_rpc::keepalive::Message::Ping).to_bytes().unwrap();
    let pings = ping.repeat(4096);
    // Until neither side has room for more.
    while let Ok(sent) =
        tokio::time::timeout(std::time::Duration::from_millis(200), peer.stream.write_all(&pings))
            .await
    {
        sent.unwrap();
    }
    daemon.stopped().await;
}

#[tokio::test]
async fn stopping_finishes_what_runs() {
    let sim = host(1).await;
    let mut daemon = daemon(&sim, "");
    let mut peer = open(&daemon, &sim).await;
    let machine = peer.call::<call::DomainLookupByName>(&("vm-00001".to_owned(),)).await.unwrap();
    sim.model().change(esx_sim::Model::hold_tasks);
    let start = peer.begin::<call::DomainCreate>(&(machine,)).await;
    in_time(async {
        while sim.model().change(|model| model.unfinished_tasks().is_empty()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    daemon.stop();
    sim.model().change(esx_sim::Model::release_tasks);
    peer.end::<call::DomainCreate>(start).await.unwrap();
    assert!(peer.receive().await.is_none());
    daemon.stopped().await;
}

#[tokio::test]
async fn who_only_stops_sending_gets_its_answers() {
    let sim = host(1).await;
    let daemon = daemon(&sim, "");
    let mut peer = open(&daemon, &sim).await;
    let machine = peer.call::<call::DomainLookupByName>(&("vm-00001".to_owned(),)).await.unwrap();
    sim.model().change(esx_sim::Model::hold_tasks);
    let start = peer.begin::<call::DomainCreate>(&(machine,)).await;
    in_time(async {
        while sim.model().change(|model| model.unfinished_tasks().is_empty()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Half of the connection is closed; the call has begun and is answered by the other half.
    peer.stream.shutdown().await.unwrap();
    sim.model().change(esx_sim::Model::release_tasks);
    peer.end::<call::DomainCreate>(start).await.unwrap();
    assert!(peer.receive().await.is_none());
}

#[tokio::test]
async fn bytes_at_random_end_nobody_elses_connection() {
    let sim = host(1).await;
    let daemon = daemon(&sim, "[limits]\nnew_clients = 200\nclients = 200");
    let mut good = open(&daemon, &sim).await;
    // A xorshift, so that a failure can be repeated.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..150 {
        let mut bad = match round % 3 {
            0 => open(&daemon, &sim).await,
            _ => daemon.connect().await,
        };
        let mut bytes: Vec<u8> = (0..random() % 300).map(|_| (random() >> 32) as u8).collect();
        if round % 2 == 0 && bytes.len() >= 28 {
            // A packet by its head: length, program and version are right, the rest is what it is.
            let length = u32::try_from(bytes.len()).unwrap();
            bytes[..4].copy_from_slice(&length.to_be_bytes());
            bytes[4..12].copy_from_slice(&[0x20, 0, 0x80, 0x86, 0, 0, 0, 1]);
            bytes[12..16].copy_from_slice(&u32::try_from(random() % 455).unwrap().to_be_bytes());
            bytes[16..20].copy_from_slice(&[0; 4]);
            bytes[24..28].copy_from_slice(&[0; 4]);
        }
        let _ = bad.stream.write_all(&bytes).await;
        let _ = bad.stream.shutdown().await;
        while bad.receive().await.is_some() {}
    }
    assert_eq!(good.call::<call::ConnectGetType>(&()).await.unwrap(), "ESX");
    // A packet of more than 32 MiB is announced on a connection that is open.
    let mut large = open(&daemon, &sim).await;
    large.stream.write_all(&33_554_437_u32.to_be_bytes()).await.unwrap();
    assert!(large.receive().await.is_none());
    assert_eq!(good.call::<call::ConnectGetType>(&()).await.unwrap(), "ESX");
}

#[tokio::test]
async fn a_slow_reader_keeps_only_itself_waiting() {
    let sim = host(400).await;
    let daemon = daemon(&sim, "[limits]\nstop_seconds = 1");
    let mut slow = open(&daemon, &sim).await;
    let mut quick = open(&daemon, &sim).await;
    // Far more answers than its socket and its queue hold, and it reads none of them.
    let ask = virt_rpc::client::call::<call::ConnectListAllDomains>(1, &(true, ALL)).unwrap();
    let ask = ask.to_bytes().unwrap();
    for _ in 0..250 {
        if tokio::time::timeout(std::time::Duration::from_millis(100), slow.stream.write_all(&ask))
            .await
            .is_err()
        {
            break;
        }
    }
    for _ in 0..20 {
        let (domains, _) = quick.call::<call::ConnectListAllDomains>(&(true, ALL)).await.unwrap();
        assert!(domains.0.len() >= 400);
    }
    // It takes its time, and then has them all.
    for _ in 0..30 {
        let packet = slow.receive().await.unwrap();
        assert_eq!(packet.header.status, Status::Ok);
    }
    drop(slow);
    daemon.stopped().await;
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_of_an_upload_leaves_the_old_data_and_nothing_else() {
    let sim = host(1).await;
    let daemon = daemon(&sim, "");
    let old = vec![7_u8; 100_000];
    sim.model().change(|model| assert!(model.add_file("datastore1", "iso/new.iso", &old)));
    let names = || {
        let mut names = sim.model().read(|model| model.file_names("datastore1", "iso"));
        names.sort();
        names
    };
    let before = names();
    let mut peer = open(&daemon, &sim).await;
    let pool =
        peer.call::<call::StoragePoolLookupByName>(&("datastore1".to_owned(),)).await.unwrap();
    let volume = (pool, "iso/new.iso".to_owned());
    let volume = peer.call::<call::StorageVolLookupByName>(&volume).await.unwrap();
    let upload = (volume, 0, 1_000_000, virt_api::StorageVolTransferFlags::empty());
    let serial = peer.begin::<call::StorageVolUpload>(&upload).await;
    peer.end::<call::StorageVolUpload>(serial).await.unwrap();
    let header = Header::remote(208, PacketType::Stream, serial, Status::Continue);
    for _ in 0..4 {
        peer.send(&Packet::new(header, vec![9; 100_000])).await;
    }
    in_time(async {
        while names() == before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(peer);
    in_time(async {
        while names() != before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let stored = sim.model().read(|model| model.file("datastore1", "iso/new.iso")).unwrap();
    assert_eq!(stored.content.size(), 100_000, "the old data is still there");
    daemon.stopped().await;
}
