//! What `domain_inspect` finds, and what it costs.

use std::fmt::Write as _;

use crate::common::{connect, methods};
use esx_sim::{PowerState, Preset, Simulator};
use virt_api::{DomainInspection, Hypervisor as _, Severity};

fn shown(found: &[DomainInspection]) -> String {
    let mut text = String::new();
    for machine in found {
        let worst = machine.severity().map_or("-", Severity::as_str);
        writeln!(text, "{}: {worst}, {} disks", machine.domain.name, machine.disks.len()).unwrap();
        for disk in &machine.disks {
            let kind = disk.datastore_kind.as_deref().unwrap_or("?");
            writeln!(text, "  {} {} {kind} x{}", disk.target, disk.format, disk.chain).unwrap();
        }
        for finding in &machine.findings {
            let subject = finding.subject.as_deref().unwrap_or("");
            writeln!(text, "  {} {} {subject}", finding.severity, finding.code).unwrap();
        }
    }
    text
}

#[tokio::test]
async fn every_built_in_machine_is_judged_in_one_look() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    sim.reset_journal();
    let found = connection.domain_inspect(&[]).await.unwrap();
    assert_eq!(methods(&sim), ["RetrievePropertiesEx", "RetrievePropertiesEx"]);
    assert_eq!(found.len(), sim.model().read(|m| m.machines().len()));
    insta::assert_snapshot!(shown(&found));
}

#[tokio::test]
async fn the_number_of_machines_costs_pages_and_nothing_else() {
    let sim = Simulator::builder().vms(900).start().await.unwrap();
    let connection = connect(&sim, "").await;
    sim.reset_journal();
    connection.domain_inspect(&[]).await.unwrap();
    assert_eq!(methods(&sim).len(), 2);
}

#[tokio::test]
async fn what_the_host_and_its_state_add() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    let web = connection.domain_lookup_by_name("web01").await.unwrap();
    let codes = |found: Vec<DomainInspection>| -> Vec<(Severity, String)> {
        found[0].findings.iter().map(|f| (f.severity, f.code.to_string())).collect()
    };
    let before = codes(connection.domain_inspect(std::slice::from_ref(&web)).await.unwrap());
    assert!(!before.contains(&(Severity::Warning, "free-licence".to_owned())), "{before:?}");
    sim.model().change(|model| {
        let machine = model.machine("web01").unwrap();
        model.set_free_license(true);
        model.set_power_state(&machine, PowerState::Suspended);
    });
    let after = codes(connection.domain_inspect(&[web]).await.unwrap());
    assert!(after.contains(&(Severity::Warning, "free-licence".to_owned())), "{after:?}");
    assert!(after.contains(&(Severity::Warning, "suspended".to_owned())), "{after:?}");
}

#[tokio::test]
async fn a_vcenter_and_the_oldest_api_answer_as_well() {
    let sim = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
    let connection = connect(&sim, "").await;
    let found = connection.domain_inspect(&[]).await.unwrap();
    assert!(found.iter().any(|machine| machine.domain.name == "web01"));

    let sim = Simulator::builder().api_version("2.5").start().await.unwrap();
    let connection = connect(&sim, "").await;
    let found = connection.domain_inspect(&[]).await.unwrap();
    // API 2.5 knows no firmware; nobody may make one up.
    assert!(!found.is_empty() && found.iter().all(|machine| machine.firmware.is_none()));
}
