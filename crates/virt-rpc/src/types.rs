//! Layouts of `virt-api`'s types, and a few that only the wire has (libvirt-rpc.md 8).
//!
//! The handles of `virt-api` are what travels: every call carries the whole reference that an earlier reply handed
//! out, and nothing has to be remembered between calls.

use uuid::Uuid;
use virt_api::{
    Domain, DomainConsoleFlags, DomainCreateFlags, DomainDefineFlags, DomainDestroyFlags,
    DomainDeviceModifyFlags, DomainInfo, DomainInterface, DomainMemoryFlags,
    DomainModificationFlags, DomainRebootFlags, DomainShutdownFlags, DomainState,
    DomainStateReason, DomainStats, DomainStatsFlags, DomainStatsTypes, DomainUndefineFlags,
    DomainVcpuFlags, DomainXmlFlags, InterfaceAddressesSource, InterfaceHandle, InterfaceXmlFlags,
    IpAddress, IpAddressType, ListAllDomainsFlags, ListAllInterfacesFlags, ListAllNetworksFlags,
    ListAllStoragePoolsFlags, MetadataType, MigrateFlags, NativeConversionFlags,
    NetworkDefineFlags, NetworkHandle, NetworkXmlFlags, NoFlags, NodeInfo, SchedulerType, Snapshot,
    SnapshotCreateFlags, SnapshotDeleteFlags, SnapshotListFlags, SnapshotRevertFlags,
    SnapshotXmlFlags, StoragePool, StoragePoolInfo, StoragePoolState, StorageVol,
    StorageVolCreateFlags, StorageVolDeleteFlags, StorageVolInfo, StorageVolResizeFlags,
    StorageVolTransferFlags, StorageVolType, StorageXmlFlags, TypedParam, TypedValue,
};

use crate::xdr::{Char, List, Reader, Result, Writer, Xdr, XdrError};

/// Most domains, pools, volumes, networks, interfaces or snapshots in one list.
pub const MAX_LIST: usize = 16_384;
/// Most scheduler or memory parameters of a domain.
pub const MAX_PARAMS: usize = 16;
/// Most parameters in one record of statistics.
pub const MAX_STATS_PARAMS: usize = 262_144;
/// Most interfaces of a guest, addresses of one, messages of a domain.
pub const MAX_GUEST: usize = 2_048;
/// Longest name of a parameter, in bytes.
pub const MAX_PARAM_NAME: usize = 79;
/// Most bytes of SASL data.
pub const MAX_SASL: usize = 65_536;
/// Most bytes of a migration cookie.
pub const MAX_COOKIE: usize = 4_194_304;

/// Objects of one kind.
pub type Objects<T> = List<T, MAX_LIST>;
/// Names of objects.
pub type Names = Objects<String>;
/// Scheduler or memory parameters.
pub type Params = List<TypedParam, MAX_PARAMS>;

/// Gives a struct a layout: its fields in this order; `field => codec` goes through a module of this file.
macro_rules! layouts {
    ($($type:ty, $min:literal { $($field:ident $(=> $codec:ident)?),* $(,)? })*) => {
        $(impl Xdr for $type {
            const MIN_BYTES: usize = $min;

            fn encode(&self, out: &mut Writer) -> Result<()> {
                $(layouts!(@encode self.$field, out $(, $codec)?)?;)*
                Ok(())
            }

            fn decode(input: &mut Reader<'_>) -> Result<Self> {
                Ok(Self { $($field: layouts!(@decode input $(, $codec)?)?),* })
            }
        })*
    };
    (@encode $value:expr, $out:ident) => { $value.encode($out) };
    (@encode $value:expr, $out:ident, $codec:ident) => { $codec::encode(&$value, $out) };
    (@decode $input:ident) => { Xdr::decode($input) };
    (@decode $input:ident, $codec:ident) => { $codec::decode($input) };
}

layouts! {
    Domain, 24 { name, uuid, id => domain_id }
    NetworkHandle, 20 { name, uuid }
    StoragePool, 20 { name, uuid }
    StorageVol, 12 { pool, name, key }
    InterfaceHandle, 8 { name, mac }
    Snapshot, 28 { name, domain }
    DomainStats, 28 { domain, params => stats_params }
    DomainInterface, 12 { name, hwaddr, addrs => guest_list }
    IpAddress, 12 { kind => address_type, addr, prefix }
    DomainInfo, 32 {
        state => domain_state, max_memory_kib, memory_kib, vcpus => u16_widened, cpu_time_ns,
    }
    NodeInfo, 160 {
        model => model_chars, memory_kib, cpus => as_i32, mhz => as_i32, nodes => as_i32,
        sockets => as_i32, cores => as_i32, threads => as_i32,
    }
    SchedulerType, 8 { name, params => as_i32 }
    StoragePoolInfo, 28 { state => pool_state, capacity, allocation, available }
    StorageVolInfo, 20 { kind => vol_type, capacity, allocation }
    NodeDevice, 4 { name }
}

/// A device of the host; VMware hosts tell of none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDevice {
    /// Its name.
    pub name: String,
}

/// A number of objects: `u32` here, `i32` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u32);

impl Xdr for Count {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        as_i32::encode(&self.0, out)
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        as_i32::decode(input).map(Self)
    }
}

/// How many objects a list may hold: `usize` here, `i32` on the wire, never more than [`MAX_LIST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Max(pub usize);

impl Xdr for Max {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        i32::try_from(self.0.min(MAX_LIST)).unwrap_or(i32::MAX).encode(out)
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        let value = i32::decode(input)?;
        let max = usize::try_from(value).map_err(|_| bad("number of things", value.into()))?;
        Ok(Self(max.min(MAX_LIST)))
    }
}

/// Run state and reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateAndReason(pub DomainState, pub DomainStateReason);

impl Xdr for StateAndReason {
    const MIN_BYTES: usize = 8;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        domain_state::encode(&self.0, out)?;
        self.1.0.encode(out)
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        Ok(Self(domain_state::decode(input)?, DomainStateReason(u32::decode(input)?)))
    }
}

/// Every bit is kept: a driver refuses those it does not know.
macro_rules! flags {
    ($($type:ident)*) => {
        $(impl Xdr for $type {
            const MIN_BYTES: usize = 4;

            fn encode(&self, out: &mut Writer) -> Result<()> {
                self.bits().encode(out)
            }

            fn decode(input: &mut Reader<'_>) -> Result<Self> {
                u32::decode(input).map(Self::from_bits_retain)
            }
        })*
    };
}

flags! {
    DomainConsoleFlags DomainCreateFlags DomainDefineFlags DomainDestroyFlags DomainDeviceModifyFlags DomainMemoryFlags
    DomainModificationFlags DomainRebootFlags DomainShutdownFlags DomainStatsFlags DomainStatsTypes
    DomainUndefineFlags DomainVcpuFlags DomainXmlFlags InterfaceXmlFlags ListAllDomainsFlags
    ListAllInterfacesFlags ListAllNetworksFlags ListAllStoragePoolsFlags NativeConversionFlags
    NetworkDefineFlags NetworkXmlFlags NoFlags SnapshotCreateFlags SnapshotDeleteFlags
    SnapshotListFlags SnapshotRevertFlags SnapshotXmlFlags StorageVolCreateFlags
    StorageVolDeleteFlags StorageVolResizeFlags StorageVolTransferFlags StorageXmlFlags
}

/// The only flags of eight bytes.
impl Xdr for MigrateFlags {
    const MIN_BYTES: usize = 8;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        u64::from(self.bits()).encode(out)
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        let bits = u64::decode(input)?;
        let low = u32::try_from(bits);
        low.map(Self::from_bits_retain).map_err(|_| bad("migration flag", bits.cast_signed()))
    }
}

impl Xdr for InterfaceAddressesSource {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        self.number().encode(out)
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        match u32::decode(input)? {
            0 => Ok(Self::Lease),
            1 => Ok(Self::Agent),
            2 => Ok(Self::Arp),
            other => Err(bad("source of addresses", other.into())),
        }
    }
}

impl Xdr for MetadataType {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        self.number().encode(out)
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        match u32::decode(input)? {
            0 => Ok(Self::Description),
            1 => Ok(Self::Title),
            2 => Ok(Self::Element),
            other => Err(bad("kind of metadata", other.into())),
        }
    }
}

/// Name, number of the type, value.
impl Xdr for TypedParam {
    const MIN_BYTES: usize = 12;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        check_param_name(&self.name)?;
        self.name.encode(out)?;
        self.value.type_number().encode(out)?;
        match &self.value {
            TypedValue::Int(value) => value.encode(out),
            TypedValue::UInt(value) => value.encode(out),
            TypedValue::LLong(value) => value.encode(out),
            TypedValue::ULLong(value) => value.encode(out),
            TypedValue::Double(value) => value.encode(out),
            TypedValue::Boolean(value) => value.encode(out),
            TypedValue::String(value) => value.encode(out),
        }
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        let name = String::decode(input)?;
        check_param_name(&name)?;
        let value = match u32::decode(input)? {
            1 => TypedValue::Int(Xdr::decode(input)?),
            2 => TypedValue::UInt(Xdr::decode(input)?),
            3 => TypedValue::LLong(Xdr::decode(input)?),
            4 => TypedValue::ULLong(Xdr::decode(input)?),
            5 => TypedValue::Double(Xdr::decode(input)?),
            6 => TypedValue::Boolean(Xdr::decode(input)?),
            7 => TypedValue::String(Xdr::decode(input)?),
            other => return Err(bad("type of a parameter", other.into())),
        };
        Ok(Self { name, value })
    }
}

fn check_param_name(name: &str) -> Result<()> {
    if name.len() > MAX_PARAM_NAME {
        return Err(XdrError::TooLong { len: name.len(), max: MAX_PARAM_NAME });
    }
    Ok(())
}

const fn bad(what: &'static str, value: i64) -> XdrError {
    XdrError::BadValue { what, value }
}

/// `-1` is no ID, as for every negative number.
mod domain_id {
    use super::{Reader, Result, Writer, Xdr};

    pub(super) fn encode(id: &Option<i32>, out: &mut Writer) -> Result<()> {
        id.unwrap_or(-1).encode(out)
    }

    pub(super) fn decode(input: &mut Reader<'_>) -> Result<Option<i32>> {
        i32::decode(input).map(|id| (id >= 0).then_some(id))
    }
}

/// A number that is never negative in an `i32`; what does not fit is the largest that does.
mod as_i32 {
    use super::{Reader, Result, Writer, Xdr, bad};

    pub(super) fn encode(value: &u32, out: &mut Writer) -> Result<()> {
        i32::try_from(*value).unwrap_or(i32::MAX).encode(out)
    }

    pub(super) fn decode(input: &mut Reader<'_>) -> Result<u32> {
        let value = i32::decode(input)?;
        u32::try_from(value).map_err(|_| bad("number of things", value.into()))
    }
}

mod u16_widened {
    use super::{Reader, Result, Writer, Xdr};

    pub(super) fn encode(value: &u32, out: &mut Writer) -> Result<()> {
        u32::from(u16::try_from(*value).unwrap_or(u16::MAX)).encode(out)
    }

    pub(super) fn decode(input: &mut Reader<'_>) -> Result<u32> {
        u32::decode(input).map(|value| value & 0xffff)
    }
}

mod domain_state {
    use super::{DomainState, Reader, Result, Writer, Xdr, bad};

    pub(super) fn encode(state: &DomainState, out: &mut Writer) -> Result<()> {
        state.number().encode(out)
    }

    pub(super) fn decode(input: &mut Reader<'_>) -> Result<DomainState> {
        let number = u32::decode(input)?;
        DomainState::from_number(number).ok_or(bad("state of a domain", number.into()))
    }
}

mod pool_state {
    use super::{Reader, Result, StoragePoolState, Writer, Xdr, bad};

    pub(super) fn encode(state: &StoragePoolState, out: &mut Writer) -> Result<()> {
        (*state as u32).encode(out)
    }

    pub(super) fn decode(input: &mut Reader<'_>) -> Result<StoragePoolState> {
        Ok(match u32::decode(input)? {
            0 => StoragePoolState::Inactive,
            1 => StoragePoolState::Building,
            2 => StoragePoolState::Running,
            3 => StoragePoolState::Degraded,
            4 => StoragePoolState::Inaccessible,
            other => return Err(bad("state of a pool", other.into())),
        })
    }
}

mod vol_type {
    use super::{Char, Reader, Result, StorageVolType, Writer, Xdr, bad};

    pub(super) fn encode(kind: &StorageVolType, out: &mut Writer) -> Result<()> {
        (*kind as u32).encode(out)
    }

    pub(super) fn decode(input: &mut Reader<'_>) -> Result<StorageVolType> {
        Ok(match Char::decode(input)?.0 {
            0 => StorageVolType::File,
            1 => StorageVolType::Block,
            2 => StorageVolType::Dir,
            3 => StorageVolType::Network,
            4 => StorageVolType::NetDir,
            5 => StorageVolType::Ploop,
            other => return Err(bad("type of a volume", other.into())),
        })
    }
}

mod address_type {
    use super::{IpAddressType, Reader, Result, Writer, Xdr, bad};

    pub(super) fn encode(kind: &IpAddressType, out: &mut Writer) -> Result<()> {
        (*kind as u32).encode(out)
    }

    pub(super) fn decode(input: &mut Reader<'_>) -> Result<IpAddressType> {
        match u32::decode(input)? {
            0 => Ok(IpAddressType::Ipv4),
            1 => Ok(IpAddressType::Ipv6),
            other => Err(bad("type of an address", other.into())),
        }
    }
}

/// 32 widened bytes without a count, the text cut at 31 and filled up with NUL.
mod model_chars {
    use super::{Char, Reader, Result, Writer, Xdr, XdrError};

    pub(super) fn encode(model: &str, out: &mut Writer) -> Result<()> {
        let mut end = model.len().min(31);
        while !model.is_char_boundary(end) {
            end -= 1;
        }
        let bytes = model[..end].bytes().chain(std::iter::repeat(0)).take(32);
        bytes.map(Char).try_for_each(|char| char.encode(out))
    }

    pub(super) fn decode(input: &mut Reader<'_>) -> Result<String> {
        let mut bytes = Vec::with_capacity(32);
        for _ in 0..32 {
            bytes.push(Char::decode(input)?.0);
        }
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        String::from_utf8(text.to_vec()).map_err(|_| XdrError::NotUtf8)
    }
}

mod stats_params {
    use super::{List, MAX_STATS_PARAMS, Reader, Result, TypedParam, Writer, Xdr, encode_slice};

    pub(super) fn encode(params: &[TypedParam], out: &mut Writer) -> Result<()> {
        encode_slice(params, MAX_STATS_PARAMS, out)
    }

    pub(super) fn decode(input: &mut Reader<'_>) -> Result<Vec<TypedParam>> {
        Ok(List::<TypedParam, MAX_STATS_PARAMS>::decode(input)?.0)
    }
}

mod guest_list {
    use super::{IpAddress, List, MAX_GUEST, Reader, Result, Writer, Xdr, encode_slice};

    pub(super) fn encode(addresses: &[IpAddress], out: &mut Writer) -> Result<()> {
        encode_slice(addresses, MAX_GUEST, out)
    }

    pub(super) fn decode(input: &mut Reader<'_>) -> Result<Vec<IpAddress>> {
        Ok(List::<IpAddress, MAX_GUEST>::decode(input)?.0)
    }
}

/// What [`List`] does, without owning the values.
fn encode_slice<T: Xdr>(values: &[T], max: usize, out: &mut Writer) -> Result<()> {
    let Some(count) = u32::try_from(values.len()).ok().filter(|_| values.len() <= max) else {
        return Err(XdrError::TooLong { len: values.len(), max });
    };
    count.encode(out)?;
    values.iter().try_for_each(|value| value.encode(out))
}

/// A domain handle without a domain behind it, where the wire wants one.
#[must_use]
pub fn no_domain() -> Domain {
    Domain { name: String::new(), uuid: Uuid::nil(), id: None }
}

pub mod own;

#[cfg(test)]
mod tests;
