//! Layouts beyond libvirt, of the procedures that only `virtesxd` has: rows that carry all that a list shows.

use std::borrow::Cow;

use virt_api::{
    DomainBlockDevice, DomainDetails, DomainInspection, DomainInterfaceDevice, DomainMemoryStat,
    DomainQuestion, DomainSelector, Error, Finding, InspectedDisk, ListedDomain, ListedPool,
    ListedVolume, MemoryStatTag, QuestionChoice, Severity,
};

use super::{Objects, bad, domain_state, encode_slice};
use crate::error::WireError;
use crate::xdr::{List, Reader, Result, Writer, Xdr};

/// Most rows of a list here: a vCenter may have more machines than libvirt's lists may.
pub const MAX_ROWS: usize = 262_144;

/// Many rows.
pub type Wide<T> = List<T, MAX_ROWS>;

layouts! {
    ListedDomain, 52 {
        domain, state => domain_state, autostart, has_snapshot, managed_save, title, moref, problem,
    }
    DomainDetails, 72 { domain, os_type, info, persistent, autostart, managed_save }
    DomainBlockDevice, 20 { kind, device, target, bus, source }
    DomainInterfaceDevice, 24 { name, kind, source, model, mac, link_up }
    ListedPool, 60 { pool, info, autostart, persistent, problem }
    ListedVolume, 36 { volume, path, info }
    DomainQuestion, 40 { domain, id, text, choices => many, default => place }
    QuestionChoice, 8 { key, label }
    Finding, 20 { severity, code => text, subject, message, advice => text }
    InspectedDisk, 48 {
        target, bus, path, capacity_bytes, format, mode, shared, encrypted, chain, datastore,
        datastore_kind,
    }
    DomainInspection, 80 {
        domain, state => domain_state, vmx_path, guest_id, hardware_version, firmware, secure_boot,
        vtpm, encrypted, change_tracking, snapshots, snapshot_depth, tools, disks => many,
        findings => many,
    }
}

/// A kind, then the ID, UUID or name.
impl Xdr for DomainSelector {
    const MIN_BYTES: usize = 8;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        match self {
            Self::Id(id) => (0_u32, *id).encode(out),
            Self::Uuid(uuid) => (1_u32, *uuid).encode(out),
            Self::Name(name) => {
                2_u32.encode(out)?;
                name.encode(out)
            }
        }
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        Ok(match u32::decode(input)? {
            0 => Self::Id(Xdr::decode(input)?),
            1 => Self::Uuid(Xdr::decode(input)?),
            2 => Self::Name(Xdr::decode(input)?),
            other => return Err(bad("way to name a domain", other.into())),
        })
    }
}

impl Xdr for Severity {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        (*self as u32).encode(out)
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        match u32::decode(input)? {
            0 => Ok(Self::Info),
            1 => Ok(Self::Warning),
            2 => Ok(Self::Blocker),
            other => Err(bad("severity", other.into())),
        }
    }
}

/// A figure of a domain's memory by its word, as most have no number of libvirt's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tagged(pub DomainMemoryStat);

const TAGS: [MemoryStatTag; 12] = [
    MemoryStatTag::Actual,
    MemoryStatTag::Rss,
    MemoryStatTag::Active,
    MemoryStatTag::Ballooned,
    MemoryStatTag::Swapped,
    MemoryStatTag::Compressed,
    MemoryStatTag::Shared,
    MemoryStatTag::Private,
    MemoryStatTag::Overhead,
    MemoryStatTag::Reservation,
    MemoryStatTag::Limit,
    MemoryStatTag::Shares,
];

impl Xdr for Tagged {
    const MIN_BYTES: usize = 12;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        self.0.tag.as_str().to_owned().encode(out)?;
        self.0.value.encode(out)
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        let word = String::decode(input)?;
        let tag = TAGS.into_iter().find(|tag| tag.as_str() == word);
        let tag = tag.ok_or(bad("figure of a domain's memory", 0))?;
        Ok(Self(DomainMemoryStat { tag, value: u64::decode(input)? }))
    }
}

/// A document, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document(pub std::result::Result<String, WireError>);

impl From<std::result::Result<String, Error>> for Document {
    fn from(result: std::result::Result<String, Error>) -> Self {
        Self(result.map_err(|error| (&error).into()))
    }
}

impl Xdr for Document {
    const MIN_BYTES: usize = 8;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        self.0.is_ok().encode(out)?;
        match &self.0 {
            Ok(document) => document.encode(out),
            Err(error) => error.encode(out),
        }
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        Ok(Self(match bool::decode(input)? {
            true => Ok(Xdr::decode(input)?),
            false => Err(Xdr::decode(input)?),
        }))
    }
}

/// A list inside of a row.
mod many {
    use super::{Objects, Reader, Result, Writer, Xdr, encode_slice};
    use crate::types::MAX_LIST;

    pub(super) fn encode<T: Xdr>(values: &[T], out: &mut Writer) -> Result<()> {
        encode_slice(values, MAX_LIST, out)
    }

    pub(super) fn decode<T: Xdr>(input: &mut Reader<'_>) -> Result<Vec<T>> {
        Ok(Objects::<T>::decode(input)?.0)
    }
}

/// A place in a list: `usize` here, `u32` on the wire.
mod place {
    use super::{Reader, Result, Writer, Xdr};

    pub(super) fn encode(place: &Option<usize>, out: &mut Writer) -> Result<()> {
        place.and_then(|place| u32::try_from(place).ok()).encode(out)
    }

    pub(super) fn decode(input: &mut Reader<'_>) -> Result<Option<usize>> {
        Ok(Option::<u32>::decode(input)?.and_then(|place| usize::try_from(place).ok()))
    }
}

mod text {
    use super::{Cow, Reader, Result, Writer, Xdr};

    pub(super) fn encode(text: &str, out: &mut Writer) -> Result<()> {
        text.to_owned().encode(out)
    }

    pub(super) fn decode(input: &mut Reader<'_>) -> Result<Cow<'static, str>> {
        String::decode(input).map(Cow::Owned)
    }
}

/// Rows are as many as there are bytes for, whatever a count says.
#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use virt_api::{Domain, DomainInfo, DomainState, StoragePool, StoragePoolInfo};

    use super::*;
    use crate::xdr::{from_bytes, to_bytes};

    fn comes_back<T: Xdr + PartialEq + std::fmt::Debug>(value: &T) {
        let bytes = to_bytes(value).unwrap();
        assert!(bytes.len() >= T::MIN_BYTES, "{value:?}");
        let (read, left) = from_bytes::<T>(&bytes).unwrap();
        assert_eq!((&read, left), (value, 0));
        for end in 0..bytes.len() {
            assert!(from_bytes::<T>(&bytes[..end]).is_err(), "{value:?} cut at {end}");
        }
    }

    /// The least that a type takes is what a value without anything takes.
    fn least<T: Xdr>(value: &T) {
        assert_eq!(to_bytes(value).unwrap().len(), T::MIN_BYTES);
    }

    #[test]
    fn rows_come_back() {
        let domain = Domain { name: "vm".to_owned(), uuid: Uuid::from_u128(7), id: Some(3) };
        let nobody = Domain { name: String::new(), uuid: Uuid::nil(), id: None };
        least(&ListedDomain::new(nobody.clone(), DomainState::NoState));
        comes_back(&ListedDomain {
            autostart: Some(true),
            has_snapshot: Some(false),
            managed_save: true,
            title: Some("t".to_owned()),
            moref: Some("vm-42".to_owned()),
            problem: Some("it has no UUID".to_owned()),
            ..ListedDomain::new(domain.clone(), DomainState::Paused)
        });
        let details = DomainDetails {
            domain: nobody.clone(),
            os_type: String::new(),
            info: DomainInfo::default(),
            persistent: None,
            autostart: None,
            managed_save: None,
        };
        least(&details);
        comes_back(&DomainDetails { domain: domain.clone(), persistent: Some(true), ..details });
        least(&DomainBlockDevice::default());
        comes_back(&DomainBlockDevice {
            source: Some("[s] a".to_owned()),
            ..DomainBlockDevice::default()
        });
        least(&DomainInterfaceDevice::default());
        comes_back(&DomainInterfaceDevice {
            link_up: Some(false),
            ..DomainInterfaceDevice::default()
        });
        let pool = StoragePool { name: "s".to_owned(), uuid: Uuid::nil() };
        comes_back(&ListedPool {
            pool,
            info: StoragePoolInfo::default(),
            autostart: true,
            persistent: true,
            problem: Some("away".to_owned()),
        });
        let question = DomainQuestion {
            domain: nobody.clone(),
            id: String::new(),
            text: String::new(),
            choices: Vec::new(),
            default: None,
        };
        least(&question);
        let choice = QuestionChoice { key: "0".to_owned(), label: "Yes".to_owned() };
        comes_back(&DomainQuestion { choices: vec![choice], default: Some(0), ..question });
        least(&InspectedDisk::default());
        let finding = Finding {
            severity: Severity::Blocker,
            code: "rdm".into(),
            subject: Some("sdb".to_owned()),
            message: "m".to_owned(),
            advice: "a".into(),
        };
        let inspection = DomainInspection {
            domain: nobody,
            state: DomainState::Running,
            vmx_path: None,
            guest_id: None,
            hardware_version: None,
            firmware: None,
            secure_boot: None,
            vtpm: false,
            encrypted: false,
            change_tracking: None,
            snapshots: 0,
            snapshot_depth: 0,
            tools: None,
            disks: Vec::new(),
            findings: Vec::new(),
        };
        least(&inspection);
        comes_back(&DomainInspection {
            hardware_version: Some(19),
            disks: vec![InspectedDisk::default()],
            findings: vec![finding],
            ..inspection
        });
        for selector in [
            DomainSelector::Id(4),
            DomainSelector::Uuid(domain.uuid),
            DomainSelector::Name("vm".to_owned()),
        ] {
            comes_back(&selector);
        }
        for tag in TAGS {
            comes_back(&Tagged(DomainMemoryStat { tag, value: 9 }));
        }
        comes_back(&Document(Ok("<x/>".to_owned())));
        comes_back(&Document::from(Err(Error::no_domain("none"))));
    }
}
