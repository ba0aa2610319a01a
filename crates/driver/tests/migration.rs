//! Migration between the hosts of a simulated vCenter: libvirt's three steps, and the front end above them.

use crate::common::{methods, options};
use esx_driver::Connection;
use esx_sim::model::{Model, TaskState};
use esx_sim::{PowerState, Preset, Running, Simulator};
use virt_api::{
    Domain, DomainState, ErrorCode, Feature, Hypervisor as _, MigrateFlags as Flags,
    MigrateOptions, NoFlags, domain_migrate,
};

/// Two hosts of a cluster, one beside it that sees the same datastores, and one that does not.
const ESX1: &str = "dc1/cluster1/esx1.sim.test";
const ESX2: &str = "dc1/cluster1/esx2.sim.test";
const ESX3: &str = "dc1/racks/esx3.sim.test";
const FAR: &str = "Europe%252fWest/dc%202/esx4.sim.test";

async fn open(sim: &Running, path: &str, query: &str) -> Connection {
    let uri = format!("vpx://user@{}/{path}?transport=http{query}", sim.address());
    esx_driver::open(&uri, options(sim.password())).await.unwrap()
}

struct Scene {
    sim: Running,
    source: Connection,
    destination: Connection,
    domain: Domain,
}

impl Scene {
    async fn new(to: &str, query: &str) -> Self {
        let sim = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
        let source = open(&sim, ESX1, query).await;
        let destination = open(&sim, to, "").await;
        let domain = source.domain_lookup_by_name("web01").await.unwrap();
        sim.reset_journal();
        Self { sim, source, destination, domain }
    }

    async fn migrate(&self, flags: Flags) -> virt_api::Result<Domain> {
        let options = MigrateOptions { flags, ..MigrateOptions::default() };
        domain_migrate(&self.domain, &self.source, &self.destination, &options).await
    }

    fn set_power(&self, state: PowerState) {
        let machine = self.sim.model().read(|m| m.machine("web01")).unwrap();
        self.sim.model().change(|m| m.set_power_state(&machine, state));
    }

    fn calls(&self, method: &str) -> usize {
        self.sim.journal().iter().filter(|entry| entry.method == method).count()
    }
}

/// An error as programs print it: with its causes.
fn told(error: &virt_api::Error) -> String {
    error.chain().collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn a_machine_moves_as_it_is() {
    for (state, is) in [
        (PowerState::PoweredOn, DomainState::Running),
        (PowerState::PoweredOff, DomainState::Shutoff),
        (PowerState::Suspended, DomainState::Paused),
    ] {
        for to in [ESX2, ESX3] {
            let scene = Scene::new(to, "").await;
            scene.set_power(state);
            let flags = Flags::LIVE | Flags::PERSIST_DEST | Flags::UNDEFINE_SOURCE;
            let moved = scene.migrate(flags).await.unwrap();
            assert_eq!((&moved.name, moved.uuid), (&scene.domain.name, scene.domain.uuid));
            let now = scene.destination.domain_get_state(&moved, NoFlags::empty()).await.unwrap();
            assert_eq!(now.0, is);
            let gone = scene.source.domain_get_state(&scene.domain, NoFlags::empty()).await;
            assert_eq!(gone.unwrap_err().code, ErrorCode::NoDomain, "{to}");
            assert_eq!((scene.calls("ValidateMigration"), scene.calls("MigrateVM_Task")), (1, 1));
            // And back.
            let options = MigrateOptions::default();
            let back = domain_migrate(&moved, &scene.destination, &scene.source, &options).await;
            assert_eq!(back.unwrap().uuid, scene.domain.uuid);
        }
    }
}

/// Somebody else moves the machine: by its name it is where the lists have it, on the destination.
#[tokio::test]
async fn a_machine_that_another_moved_is_found_by_name_where_it_is() {
    let scene = Scene::new(ESX2, "").await;
    let bystander = open(&scene.sim, ESX1, "").await;
    bystander.domain_lookup_by_name("web01").await.unwrap();
    scene.migrate(Flags::LIVE).await.unwrap();
    let gone = bystander.domain_lookup_by_name("web01").await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::NoDomain);
    let by_uuid = bystander.domain_lookup_by_uuid(scene.domain.uuid).await.unwrap_err();
    assert_eq!(by_uuid.code, ErrorCode::NoDomain);
    scene.destination.domain_lookup_by_name("web01").await.unwrap();
}

#[tokio::test]
async fn the_destination_says_where_to_with_one_request() {
    let scene = Scene::new(ESX2, "").await;
    let prepared =
        scene.destination.domain_migrate_prepare(None, Flags::LIVE, None, 0).await.unwrap();
    assert_eq!(methods(&scene.sim), ["RetrievePropertiesEx"]);
    let expected =
        "vpxmigr://127.0.0.1/resgroup-23/host-22?instance=6d1f0c4e-5a1e-4b8e-9d57-0f3a2b1c4d5e";
    assert_eq!(prepared.uri.as_deref(), Some(expected));
    // As libvirt writes it, and with a URI of the caller's nothing is said.
    let plain = "vpxmigr://127.0.0.1/resgroup-23/host-22";
    let nothing =
        scene.destination.domain_migrate_prepare(Some(plain), Flags::LIVE, None, 0).await.unwrap();
    assert_eq!(nothing.uri, None);
    let perform = scene.source.domain_migrate_perform(
        &scene.domain,
        &[],
        plain,
        Flags::LIVE,
        Some("web01"),
        100,
    );
    perform.await.unwrap();
    let finish = scene.destination.domain_migrate_finish("web01", &[], plain, Flags::LIVE);
    assert_eq!(finish.await.unwrap().uuid, scene.domain.uuid);
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_started() {
    let scene = Scene::new(ESX2, "").await;
    let uri = "vpxmigr://127.0.0.1/resgroup-23/host-22";
    let other =
        "vpxmigr://127.0.0.1/resgroup-23/host-22?instance=00000000-0000-0000-0000-000000000001";
    for (uri, flags, name, code) in [
        ("tcp://127.0.0.1/a/b", Flags::LIVE, None, ErrorCode::InvalidArg),
        ("vpxmigr://127.0.0.1/resgroup-23", Flags::LIVE, None, ErrorCode::InvalidArg),
        ("vpxmigr://192.0.2.1/resgroup-23/host-22", Flags::LIVE, None, ErrorCode::InvalidArg),
        (other, Flags::LIVE, None, ErrorCode::InvalidArg),
        (uri, Flags::LIVE, Some("other"), ErrorCode::InvalidArg),
        (uri, Flags::NON_SHARED_DISK, None, ErrorCode::InvalidArg),
        (uri, Flags::OFFLINE, None, ErrorCode::OperationInvalid),
        (uri, Flags::PAUSED, None, ErrorCode::ArgumentUnsupported),
        ("vpxmigr://127.0.0.1/resgroup-29/host-28", Flags::LIVE, None, ErrorCode::OperationFailed),
        ("vpxmigr://127.0.0.1/resgroup-23/host-99", Flags::LIVE, None, ErrorCode::OperationFailed),
    ] {
        let perform =
            scene.source.domain_migrate_perform(&scene.domain, &[], uri, flags, name, 0).await;
        let error = perform.unwrap_err();
        assert_eq!(error.code, code, "{uri} {flags:?}: {}", told(&error));
    }
    assert_eq!(scene.calls("MigrateVM_Task"), 0);
    for (flags, code) in
        [(Flags::PEER2PEER, ErrorCode::NoSupport), (Flags::TUNNELLED, ErrorCode::OperationInvalid)]
    {
        assert_eq!(scene.migrate(flags).await.unwrap_err().code, code);
    }
}

#[tokio::test]
async fn the_vcenter_s_objections_are_told() {
    let scene = Scene::new(FAR, "").await;
    let error = scene.migrate(Flags::LIVE).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OperationFailed);
    assert!(told(&error).contains("does not see the datastore"), "{}", told(&error));
    assert_eq!(scene.calls("MigrateVM_Task"), 0);
    // In maintenance.
    let scene = Scene::new(ESX2, "").await;
    let host = scene
        .sim
        .model()
        .read(|m| m.hosts().into_iter().find(|host| host.value == "host-22").unwrap());
    scene.sim.model().change(|m| m.set_maintenance_mode(&host, true));
    let error = scene.migrate(Flags::LIVE).await.unwrap_err();
    assert!(told(&error).contains("current state of the host"), "{}", told(&error));
    assert_eq!(scene.calls("MigrateVM_Task"), 0);
}

#[tokio::test]
async fn questions_and_other_tasks_are_looked_for_as_for_every_task() {
    for (query, answers) in [("", 0), ("&auto_answer=1", 1)] {
        let scene = Scene::new(ESX2, query).await;
        let machine = scene.sim.model().read(|m| m.machine("web01")).unwrap();
        scene.sim.model().change(|m| m.ask(&machine, "Really?", &[("y", "Yes")], Some(0)));
        let error = scene.migrate(Flags::LIVE).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::OperationInvalid);
        assert!(told(&error).contains("Really?"), "{}", told(&error));
        assert_eq!((scene.calls("MigrateVM_Task"), scene.calls("AnswerVM")), (0, answers));
        scene.sim.model().change(|m: &mut Model| {
            m.withdraw_question(&machine);
            m.add_task(&machine, "CreateSnapshot_Task", TaskState::Queued).unwrap();
        });
        let error = scene.migrate(Flags::LIVE).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::OperationInvalid);
        assert_eq!(scene.calls("MigrateVM_Task"), 0);
    }
}

#[tokio::test]
async fn without_a_vcenter_there_is_no_migration() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = crate::common::connect(&sim, "").await;
    assert!(!connection.connect_supports_feature(Feature::MigrationV1).await.unwrap());
    let domain = connection.domain_lookup_by_name("web01").await.unwrap();
    let options = MigrateOptions::default();
    let error = domain_migrate(&domain, &connection, &connection, &options).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoSupport);
    let prepare = connection.domain_migrate_prepare(None, Flags::LIVE, None, 0).await;
    assert_eq!(prepare.unwrap_err().code, ErrorCode::InvalidArg);
}

/// Source and destination are hosts, each with `vcenter=`: the vCenter, which knows them by their addresses and the machine by
/// its UUID, is asked to move it, and the hosts are not.
#[tokio::test]
async fn hosts_with_a_vcenter_beside_them_migrate_through_it() {
    let first = Simulator::builder().start().await.unwrap();
    let beside = |last| std::net::SocketAddr::from(([127, 0, 0, last], first.address().port()));
    let at = |last| Simulator::builder().listen(beside(last));
    let (vcenter, second) = (at(2).preset(Preset::VCenter).start(), at(3).start());
    let (vcenter, second) = (vcenter.await.unwrap(), second.await.unwrap());
    let system = esx_vi_api::MoRef::new("HostSystem", "ha-host");
    for host in [&first, &second] {
        assert!(host.model().change(|m| m.set_managed_by(&system, Some("127.0.0.2"))));
    }
    for (host, address) in [("host-21", "127.0.0.1"), ("host-22", "127.0.0.3")] {
        let host = esx_vi_api::MoRef::new("HostSystem", host);
        assert!(vcenter.model().change(|m| m.set_host_address(&host, address)));
    }
    let both = async |host: &Running| {
        let uri = format!("{}&vcenter=*", host.uri());
        esx_driver::open(&uri, options(host.password())).await.unwrap()
    };
    let (source, destination) = (both(&first).await, both(&second).await);
    let domain = source.domain_lookup_by_name("web01").await.unwrap();
    for sim in [&first, &second, &vcenter] {
        sim.reset_journal();
    }
    let options = MigrateOptions { flags: Flags::LIVE, ..MigrateOptions::default() };
    let moved = domain_migrate(&domain, &source, &destination, &options).await.unwrap();
    assert_eq!(moved.uuid, domain.uuid);
    let asked = methods(&vcenter);
    let count = |method: &str| asked.iter().filter(|asked| *asked == method).count();
    assert_eq!((count("ValidateMigration"), count("MigrateVM_Task")), (1, 1), "{asked:?}");
    let there = open(&vcenter, ESX2, "").await.domain_lookup_by_uuid(domain.uuid).await.unwrap();
    assert_eq!(there.uuid, domain.uuid);
    for host in [&first, &second] {
        assert!(
            methods(host).iter().all(|method| !method.contains("Migrat")),
            "{:?}",
            methods(host)
        );
    }
    for connection in [source, destination] {
        virt_api::Driver::close(&connection).await.unwrap();
    }
    // Only the one that looked is left. (The simulated vCenter calls the machine with this UUID by another name.)
    assert_eq!(vcenter.model().read(|m| m.session_count()), 1);
}

#[tokio::test]
async fn features_are_libvirt_s() {
    let sim = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
    let connection = open(&sim, ESX1, "").await;
    for (feature, has) in [
        (Feature::MigrationV1, true),
        (Feature::Remote, false),
        (Feature::MigrationV2, false),
        (Feature::MigrationP2p, false),
        (Feature::MigrationDirect, false),
        (Feature::MigrationV3, false),
        (Feature::MigrateChangeProtection, false),
        (Feature::FdPassing, true),
        (Feature::TypedParamString, true),
        (Feature::ProgramKeepalive, false),
        (Feature::XmlMigratable, false),
        (Feature::MigrationOffline, false),
        (Feature::MigrationParams, false),
        (Feature::RemoteEventCallback, false),
        (Feature::RemoteCloseCallback, false),
        (Feature::NetworkUpdateHasCorrectOrder, true),
    ] {
        assert_eq!(connection.connect_supports_feature(feature).await.unwrap(), has, "{feature:?}");
    }
    // What the host does not tell it cannot do.
    let host = sim.model().read(|m| m.hosts()[0].clone());
    sim.model().change(|m| m.deny_property(&host, "capability"));
    assert!(!connection.connect_supports_feature(Feature::MigrationV1).await.unwrap());
}

/// A vCenter has a name as often as it likes: the machine has arrived all the same.
#[tokio::test]
async fn another_of_that_name_is_no_obstacle() {
    let scene = Scene::new(ESX2, "").await;
    let other = scene.source.domain_lookup_by_name("twin-b").await.unwrap();
    let options = MigrateOptions::default();
    domain_migrate(&other, &scene.source, &scene.destination, &options).await.unwrap();
    scene.sim.model().change(|m| {
        let machine = m.machine("twin-b").unwrap();
        m.rename(&machine, "web01");
    });
    let moved = scene.migrate(Flags::LIVE).await.unwrap();
    assert_eq!((&moved.name, moved.uuid), (&scene.domain.name, scene.domain.uuid));
    let several = scene.destination.domain_lookup_by_name("web01").await.unwrap_err();
    assert_eq!(several.code, ErrorCode::MultipleDomains);
}
