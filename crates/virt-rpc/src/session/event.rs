//! Events as packets (libvirt-rpc.md 12).

use virt_api::{Domain, DomainEvent, DomainEventId, DomainEventKind, DomainLifecycle};

use crate::frame::{Header, Packet, PacketType, Status};
use crate::xdr::{self, Xdr};

const CONNECTION_CLOSED: i32 = 362;
const OLD_LIFECYCLE: i32 = 107;
const LIFECYCLE: i32 = 318;
const REBOOT: i32 = 319;
const BALLOON_CHANGE: i32 = 331;
const AGENT_LIFECYCLE: i32 = 348;
const METADATA_CHANGE: i32 = 379;
const AGENT_CONNECTED: i32 = 1;
const AGENT_DISCONNECTED: i32 = 2;
const STEPS: [DomainLifecycle; 9] = [
    DomainLifecycle::Defined,
    DomainLifecycle::Undefined,
    DomainLifecycle::Started,
    DomainLifecycle::Suspended,
    DomainLifecycle::Resumed,
    DomainLifecycle::Stopped,
    DomainLifecycle::Shutdown,
    DomainLifecycle::PmSuspended,
    DomainLifecycle::Crashed,
];
/// `VIR_CONNECT_CLOSE_REASON_ERROR`.
const CLOSED_BY_ERROR: i32 = 0;

/// What a client has registered for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Registration {
    pub(super) event: DomainEventId,
    /// By procedure 105 or 167: the packets carry no number of the registration.
    pub(super) old_form: bool,
    /// Whether the client has its reply; no event goes out before it.
    pub(super) confirmed: bool,
}

impl Registration {
    pub(super) fn packet(&self, callback: i32, event: &DomainEvent) -> Option<Packet> {
        if !self.confirmed || event.kind.id() != self.event {
            return None;
        }
        if self.old_form {
            let DomainEventKind::Lifecycle { event: step, detail } = event.kind else {
                return None;
            };
            return message(OLD_LIFECYCLE, &(event.domain.clone(), step.number(), detail));
        }
        let head: (i32, Domain) = (callback, event.domain.clone());
        match &event.kind {
            DomainEventKind::Lifecycle { event, detail } => {
                message(LIFECYCLE, &(head, (event.number(), *detail)))
            }
            DomainEventKind::Reboot => message(REBOOT, &head),
            DomainEventKind::BalloonChange { actual_kib } => {
                message(BALLOON_CHANGE, &(head, *actual_kib))
            }
            // Why is not known.
            DomainEventKind::AgentLifecycle { connected } => {
                let state = if *connected { AGENT_CONNECTED } else { AGENT_DISCONNECTED };
                message(AGENT_LIFECYCLE, &(head, (state, 0_i32)))
            }
            DomainEventKind::MetadataChange { kind } => {
                message(METADATA_CHANGE, &(head, *kind, None::<String>))
            }
            _ => None,
        }
    }
}

/// The kind of event with this number, if it is one that our drivers may tell of.
pub(super) fn known(number: i32) -> Option<DomainEventId> {
    [
        DomainEventId::Lifecycle,
        DomainEventId::Reboot,
        DomainEventId::BalloonChange,
        DomainEventId::AgentLifecycle,
        DomainEventId::MetadataChange,
    ]
    .into_iter()
    .find(|event| i32::try_from(event.number()) == Ok(number))
}

/// What a message says, read by a client.
pub(crate) enum Decoded {
    Event(i32, DomainEvent),
    Closed,
}

/// Reads what [`Registration::packet`] has written, the old form left out: a client of ours never asks for it.
pub(crate) fn decode(procedure: i32, payload: &[u8]) -> xdr::Result<Option<Decoded>> {
    fn head<T: Xdr>(payload: &[u8]) -> xdr::Result<((i32, Domain), T)> {
        Ok(xdr::from_bytes(payload)?.0)
    }
    let ((callback, domain), kind) = match procedure {
        CONNECTION_CLOSED => return Ok(Some(Decoded::Closed)),
        LIFECYCLE => {
            let (head, (step, detail)) = head::<(u32, u32)>(payload)?;
            // A step of a later day is none that anybody here could name.
            let Some(event) = STEPS.into_iter().find(|known| known.number() == step) else {
                return Ok(None);
            };
            (head, DomainEventKind::Lifecycle { event, detail })
        }
        REBOOT => (head::<()>(payload)?.0, DomainEventKind::Reboot),
        BALLOON_CHANGE => {
            let (head, (actual_kib,)) = head::<(u64,)>(payload)?;
            (head, DomainEventKind::BalloonChange { actual_kib })
        }
        AGENT_LIFECYCLE => {
            let (head, (state, _reason)) = head::<(i32, i32)>(payload)?;
            (head, DomainEventKind::AgentLifecycle { connected: state == AGENT_CONNECTED })
        }
        METADATA_CHANGE => {
            let (head, (kind, _uri)) = head::<(u32, Option<String>)>(payload)?;
            (head, DomainEventKind::MetadataChange { kind })
        }
        _ => return Ok(None),
    };
    Ok(Some(Decoded::Event(callback, DomainEvent { domain, kind })))
}

/// The connection to the host is lost.
pub(super) fn connection_closed() -> Packet {
    let header = Header::remote(CONNECTION_CLOSED, PacketType::Message, 0, Status::Ok);
    Packet::new(header, CLOSED_BY_ERROR.to_be_bytes().to_vec())
}

fn message<T: Xdr>(procedure: i32, payload: &T) -> Option<Packet> {
    match xdr::to_bytes(payload) {
        Ok(bytes) => {
            let header = Header::remote(procedure, PacketType::Message, 0, Status::Ok);
            Some(Packet::new(header, bytes))
        }
        Err(error) => {
            tracing::warn!(procedure, %error, "an event that cannot be sent");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn events_have_the_payloads_of_the_table() {
        let domain = Domain { name: "vm".to_owned(), uuid: Uuid::nil(), id: Some(7) };
        let wire: Vec<u8> = [&b"\0\0\0\x02vm\0\0"[..], &[0; 16], &[0, 0, 0, 7]].concat();
        let started = DomainEventKind::Lifecycle { event: DomainLifecycle::Started, detail: 1 };
        for (kind, procedure, rest) in [
            (started.clone(), 318, &[0, 0, 0, 2, 0, 0, 0, 1][..]),
            (DomainEventKind::Reboot, 319, &[]),
            (DomainEventKind::BalloonChange { actual_kib: 5 }, 331, &[0, 0, 0, 0, 0, 0, 0, 5]),
            (DomainEventKind::AgentLifecycle { connected: false }, 348, &[0, 0, 0, 2, 0, 0, 0, 0]),
            (DomainEventKind::MetadataChange { kind: 1 }, 379, &[0, 0, 0, 1, 0, 0, 0, 0]),
        ] {
            let event = DomainEvent { domain: domain.clone(), kind };
            let new = Registration { event: event.kind.id(), old_form: false, confirmed: true };
            let packet = new.packet(9, &event).unwrap();
            assert_eq!(packet.header.procedure, procedure);
            assert_eq!((packet.header.kind, packet.header.serial), (PacketType::Message, 0));
            assert_eq!(packet.payload, [&[0, 0, 0, 9][..], &wire, rest].concat());
            match decode(procedure, &packet.payload).unwrap() {
                Some(Decoded::Event(9, read)) => assert_eq!(read, event),
                _ => panic!("{procedure}"),
            }
            assert!(decode(procedure, &packet.payload[..20]).is_err());
            assert_eq!(known(event.kind.id().number().cast_signed()), Some(event.kind.id()));
            assert!(Registration { confirmed: false, ..new }.packet(9, &event).is_none());
        }
        let event = DomainEvent { domain, kind: started };
        let old = Registration { event: DomainEventId::Lifecycle, old_form: true, confirmed: true };
        let packet = old.packet(9, &event).unwrap();
        assert_eq!(packet.header.procedure, 107);
        assert_eq!(packet.payload, [&wire[..], &[0, 0, 0, 2, 0, 0, 0, 1]].concat());
        assert_eq!(known(29), None);
    }
}
