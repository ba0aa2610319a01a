//! Life-cycle events from one filter.

use std::time::Duration;

use crate::common::{connect, methods};
use esx_sim::{PowerState, Simulator};
use virt_api::{
    DomainEvent, DomainEventId, DomainEventKind, Driver as _, EventSubscription, Hypervisor as _,
};

/// Long enough that only a lost event gets there.
const LOST: Duration = Duration::from_secs(20);

async fn next(events: &mut Box<dyn EventSubscription>) -> String {
    let event =
        tokio::time::timeout(LOST, events.next()).await.expect("an event was lost").unwrap();
    shown(&event.expect("the connection is open"))
}

fn shown(event: &DomainEvent) -> String {
    match &event.kind {
        DomainEventKind::Lifecycle { event: step, .. } => format!("{} {step:?}", event.domain.name),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn what_happens_on_the_host_is_told_once() {
    let sim = Simulator::builder().vms(3).start().await.unwrap();
    let connection = connect(&sim, "").await;
    let mut events =
        connection.connect_domain_event_register_any(None, DomainEventId::Lifecycle).await.unwrap();
    let machine = |name: &str| sim.model().read(|m| m.machine(name)).unwrap();
    let one = machine("vm-00001");
    let was_on = connection.domain_lookup_by_name("vm-00001").await.unwrap().id.is_some();
    sim.model().change(|m| {
        m.set_power_state(&one, if was_on { PowerState::PoweredOff } else { PowerState::PoweredOn })
    });
    let expected = if was_on { "vm-00001 Stopped" } else { "vm-00001 Started" };
    assert_eq!(next(&mut events).await, expected);
    sim.model().change(|m| {
        m.add_machine("new one");
    });
    assert_eq!(next(&mut events).await, "new one Defined");
    let new = machine("new one");
    sim.model().change(|m| m.rename(&new, "renamed"));
    assert_eq!(next(&mut events).await, "new one Undefined");
    assert_eq!(next(&mut events).await, "renamed Defined");
    sim.model().change(|m| m.remove_machine(&new));
    assert_eq!(next(&mut events).await, "renamed Undefined");
}

#[tokio::test]
async fn a_wait_does_not_keep_other_calls_waiting_and_costs_nothing() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    let mut events =
        connection.connect_domain_event_register_any(None, DomainEventId::Lifecycle).await.unwrap();
    sim.reset_journal();
    let waiting = tokio::spawn(async move { events.next().await });
    connection.connect_get_hostname().await.unwrap();
    assert_eq!(methods(&sim), ["RetrievePropertiesEx"]);
    connection.close().await.unwrap();
    let ended =
        tokio::time::timeout(LOST, waiting).await.expect("the wait goes on after the end").unwrap();
    assert!(matches!(ended, Ok(None)), "{:?}", ended.map(|e| e.map(|e| shown(&e))));
}

#[tokio::test]
async fn an_ended_session_loses_no_event() {
    let sim = Simulator::builder().vms(2).start().await.unwrap();
    let connection = connect(&sim, "").await;
    let mut events =
        connection.connect_domain_event_register_any(None, DomainEventId::Lifecycle).await.unwrap();
    let machine = sim.model().read(|m| m.machine("vm-00001")).unwrap();
    sim.model().change(|m| {
        m.expire_sessions();
        m.rename(&machine, "renamed");
    });
    assert_eq!(next(&mut events).await, "vm-00001 Undefined");
    assert_eq!(next(&mut events).await, "renamed Defined");
}

#[tokio::test]
async fn other_events_are_refused() {
    let sim = Simulator::builder().start().await.unwrap();
    let connection = connect(&sim, "").await;
    let refused = connection
        .connect_domain_event_register_any(None, DomainEventId::Reboot)
        .await
        .err()
        .unwrap();
    assert_eq!(refused.code, virt_api::ErrorCode::NoSupport);
}
