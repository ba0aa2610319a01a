//! Hosts that refuse: each reason is an error of its own, with one sentence on what to do.

use crate::common::connect;
use esx_sim::Simulator;
use esx_sim::model::Fault;
use virt_api::{DomainCreateFlags, Driver as _, Error, Hypervisor as _, ListAllDomainsFlags};

/// The code and the whole chain, on one line.
fn line(error: &Error) -> String {
    let chain: Vec<_> = error.chain().collect();
    format!("{} {}", error.code.name(), chain.join(": "))
}

#[tokio::test]
async fn each_refusal_says_what_to_do() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    let domain = connection.domain_lookup_by_name("twin-b").await.unwrap();
    let host = sim.model().read(|m| m.hosts())[0].clone();
    let start = async || {
        let result = connection.domain_create_with_flags(&domain, DomainCreateFlags::empty()).await;
        line(&result.unwrap_err())
    };
    let refuse = |fault| sim.model().change(|m| m.refuse_method("PowerOnVM_Task", fault));
    let mut table = Vec::new();

    sim.model().change(|m| m.set_free_license(true));
    table.push(start().await);
    sim.model().change(|m| m.set_free_license(false));

    sim.model().change(|m| m.set_managed_by(&host, Some("10.9.8.7")));
    table.push(start().await);
    sim.model().change(|m| m.set_managed_by(&host, None));

    sim.model().change(|m| m.set_maintenance_mode(&host, true));
    table.push(start().await);
    sim.model().change(|m| m.set_maintenance_mode(&host, false));

    let locked = "Unable to access file [datastore1] twin-b/twin-b.vmdk since it is locked";
    let file = "[datastore1] twin-b/twin-b.vmdk";
    refuse(Some(Fault::new("FileLocked", locked).with("file", file)));
    table.push(start().await);
    let full = "Insufficient disk space on datastore 'datastore1'.";
    refuse(Some(
        Fault::new("NoDiskSpace", full).with("file", file).with("datastore", "datastore1"),
    ));
    table.push(start().await);
    // Names are the host's: they cannot break the line.
    refuse(Some(Fault::new("NoDiskSpace", "").with("datastore", "a\nb")));
    table.push(start().await);
    refuse(None);

    sim.model().change(|m| m.deny_privilege("VirtualMachine.Interact.PowerOn"));
    table.push(start().await);
    let table = table.join("\n");
    insta::assert_snapshot!(table, @r#"
    VIR_ERR_OPERATION_DENIED cannot start domain "twin-b": the host's licence does not allow changes through the API (free ESXi): assign a licence to the host, or make the change in its own web page: PowerOnVM_Task on VirtualMachine:11 was refused: Current license or ESXi version prohibits execution of the requested operation. (RestrictedVersion)
    VIR_ERR_OPERATION_DENIED cannot start domain "twin-b": the host is managed by the vCenter 10.9.8.7, connect to that with vpx:// instead: PowerOnVM_Task on VirtualMachine:11 was refused: The operation is not allowed: the host is managed by the vCenter Server at 10.9.8.7. (HostAccessRestrictedToManagementServer)
    VIR_ERR_OPERATION_INVALID cannot start domain "twin-b": the state of the machine or its host does not allow it (is the host in maintenance mode, or disconnected?): PowerOnVM_Task on VirtualMachine:11 failed: The operation is not allowed in the current state of the host. (InvalidState)
    VIR_ERR_RESOURCE_BUSY cannot start domain "twin-b": the file [datastore1] twin-b/twin-b.vmdk is in use by a running machine, another host or a backup, try again when that has ended: PowerOnVM_Task on VirtualMachine:11 failed: Unable to access file [datastore1] twin-b/twin-b.vmdk since it is locked (FileLocked)
    VIR_ERR_OPERATION_FAILED cannot start domain "twin-b": the datastore datastore1 is full, free some space or use another: PowerOnVM_Task on VirtualMachine:11 failed: Insufficient disk space on datastore 'datastore1'. (NoDiskSpace)
    VIR_ERR_OPERATION_FAILED cannot start domain "twin-b": the datastore a b is full, free some space or use another: PowerOnVM_Task on VirtualMachine:11 failed: NoDiskSpace
    VIR_ERR_OPERATION_DENIED cannot start domain "twin-b": the user lacks the privilege VirtualMachine.Interact.PowerOn, have a role with it assigned: PowerOnVM_Task on VirtualMachine:11 was refused: Permission to perform this operation was denied. (NoPermission)
    "#);
    assert_eq!(
        sim.model().read(|m| m.tasks().iter().filter(|t| m.task_method(t).is_some()).count()),
        4
    );
    // Reading goes on, whatever is refused.
    connection.connect_list_all_domains(ListAllDomainsFlags::empty()).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn too_many_sessions() {
    let sim = Simulator::builder().start().await.unwrap();
    sim.model().change(|m| m.set_session_limit(Some(1)));
    let connection = connect(&sim, "").await;
    let refused =
        esx_driver::open(&sim.uri(), crate::common::options(sim.password())).await.err().unwrap();
    let text = line(&refused).replace(&sim.address().to_string(), "HOST");
    insta::assert_snapshot!(text, @r#"VIR_ERR_HTTP_ERROR cannot log in to HOST as "user": the host is too busy, is just starting, or has too many sessions; wait, or log out other clients: HOST answered POST /sdk with HTTP status 503 (Service Unavailable)"#);
    connection.close().await.unwrap();
    connect(&sim, "").await.close().await.unwrap();
    assert_eq!(sim.model().read(|m| m.session_count()), 0);
}

/// What a connection that only reads is refused, before the host is asked: every change, and what libvirt's front end keeps from
/// it besides (spec `domain.md` section 1).
#[tokio::test]
async fn a_connection_that_only_reads_changes_nothing_and_sees_no_screen() {
    use virt_api::*;
    let sim = Simulator::builder().start().await.unwrap();
    let options =
        esx_driver::OpenOptions { read_only: true, ..crate::common::options(sim.password()) };
    let c = esx_driver::open(&sim.uri(), options).await.unwrap();
    let d = c.domain_lookup_by_name("web01").await.unwrap();
    let d = &d;
    let s = Snapshot { domain: d.clone(), name: "s".to_owned() };
    let none = NoFlags::empty();
    let agent = InterfaceAddressesSource::Agent;
    let uri = "vpxmigr://192.0.2.1/a/b";
    sim.reset_journal();
    let mut tried = Vec::new();
    macro_rules! refused {
        ($($name:ident($($arg:expr),*);)*) => {$(
            let error = c.$name($($arg),*).await.map(drop).unwrap_err();
            assert_eq!(error.code, ErrorCode::OperationDenied, "{}: {error}", stringify!($name));
            tried.push(stringify!($name));
        )*};
    }
    refused! {
        domain_suspend(d);
        domain_resume(d);
        domain_shutdown_flags(d, Default::default());
        domain_reboot(d, Default::default());
        domain_reset(d, none);
        domain_destroy_flags(d, Default::default());
        domain_create_with_flags(d, Default::default());
        domain_create_xml("<domain/>", Default::default());
        domain_define_xml_flags("<domain/>", Default::default());
        domain_undefine_flags(d, Default::default());
        domain_set_autostart(d, true);
        domain_set_max_memory(d, 4096);
        domain_set_memory_flags(d, 4096, Default::default());
        domain_set_memory_parameters(d, &[], Default::default());
        domain_set_vcpus_flags(d, 1, Default::default());
        domain_set_scheduler_parameters_flags(d, &[], Default::default());
        domain_rename(d, "other", none);
        domain_set_metadata(d, MetadataType::Description, Some("x"), None, None, Default::default());
        domain_abort_job(d);
        domain_migrate_prepare(None, Default::default(), None, 0);
        domain_migrate_perform(d, &[], uri, Default::default(), None, 0);
        domain_migrate_finish("web01", &[], uri, Default::default());
        domain_snapshot_create_xml(d, "<domainsnapshot/>", Default::default());
        domain_revert_to_snapshot(&s, Default::default());
        domain_snapshot_delete(&s, Default::default());
        domain_screenshot(d, 0, none);
        domain_get_hostname(d, none);
        domain_interface_addresses(d, agent, none);
        domain_get_xml_desc(d, DomainXmlFlags::SECURE);
        domain_get_xml_desc(d, DomainXmlFlags::MIGRATABLE);
        connect_domain_xml_from_native("vmware-vmx", "", Default::default());
        connect_domain_xml_to_native("vmware-vmx", "", Default::default());
    }
    assert_eq!(sim.requests(), 0, "{tried:?}");
    c.domain_get_xml_desc(d, DomainXmlFlags::empty()).await.unwrap();
    let lease = InterfaceAddressesSource::Lease;
    let error = c.domain_interface_addresses(d, lease, none).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ArgumentUnsupported);
}

/// The guest's name and addresses: who is asked, of which machine, and what its Tools have to say.
#[tokio::test]
async fn a_guest_is_asked_while_it_runs() {
    use virt_api::*;
    let sim = Simulator::builder().start().await.unwrap();
    let c = connect(&sim, "").await;
    let d = c.domain_lookup_by_name("web01").await.unwrap();
    let (agent, lease) = (NoFlags::from_bits_retain(2), NoFlags::from_bits_retain(1));
    let name = c.domain_get_hostname(&d, NoFlags::empty()).await.unwrap();
    assert_eq!(c.domain_get_hostname(&d, agent).await.unwrap(), name);
    let refused = c.domain_get_hostname(&d, lease).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidArg);
    let source = InterfaceAddressesSource::Agent;
    let none = NoFlags::empty();
    assert!(!c.domain_interface_addresses(&d, source, none).await.unwrap().is_empty());

    let machine = sim.model().read(|m| m.machine("web01")).unwrap();
    sim.model().change(|m| m.deny_property(&machine, "guest.hostName"));
    sim.model().change(|m| m.deny_property(&machine, "guest.net"));
    let silent = c.domain_get_hostname(&d, none).await.unwrap_err();
    assert_eq!(silent.code, ErrorCode::OperationInvalid);
    assert!(silent.message.contains("VMware Tools"), "{silent}");
    assert!(c.domain_interface_addresses(&d, source, none).await.unwrap().is_empty());

    sim.model().change(|m| m.set_power_state(&machine, esx_sim::PowerState::Suspended));
    let states = [
        c.domain_get_hostname(&d, none).await.map(drop),
        c.domain_interface_addresses(&d, source, none).await.map(drop),
        c.domain_screenshot(&d, 0, none).await.map(drop),
    ];
    for state in states {
        assert_eq!(state.unwrap_err().code, ErrorCode::OperationInvalid);
    }
    let second = c.domain_screenshot(&d, 1, none).await.map(drop).unwrap_err();
    assert_eq!(second.code, ErrorCode::InvalidArg);
    sim.model().change(|m| m.remove_machine(&machine));
    let gone = c.domain_get_hostname(&d, none).await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::NoDomain);
}
