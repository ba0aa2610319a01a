//! The one table of procedures: number, name, who may call it, layout of arguments and reply (libvirt-rpc.md 13).
//!
//! Dispatch, the check of read-only connections, names in logs and the client's half are all derived from it. A new
//! procedure is a line here and an arm in [`dispatch`](crate::dispatch).

use uuid::Uuid;
use virt_api::{
    Domain, DomainBlockDevice, DomainConsoleFlags, DomainCreateFlags, DomainDefineFlags,
    DomainDestroyFlags, DomainDetails, DomainDeviceModifyFlags, DomainInfo, DomainInspection,
    DomainInterface, DomainInterfaceDevice, DomainMemoryFlags, DomainModificationFlags,
    DomainQuestion, DomainRebootFlags, DomainSelector, DomainShutdownFlags, DomainStats,
    DomainStatsFlags, DomainStatsTypes, DomainUndefineFlags, DomainVcpuFlags, DomainXmlFlags,
    InterfaceAddressesSource, InterfaceHandle, InterfaceXmlFlags, ListAllDomainsFlags,
    ListAllInterfacesFlags, ListAllNetworksFlags, ListAllStoragePoolsFlags, ListedDomain,
    ListedPool, ListedVolume, MetadataType, MigrateFlags, NativeConversionFlags,
    NetworkDefineFlags, NetworkHandle, NetworkXmlFlags, NoFlags, NodeInfo, SchedulerType, Snapshot,
    SnapshotCreateFlags, SnapshotDeleteFlags, SnapshotListFlags, SnapshotRevertFlags,
    SnapshotXmlFlags, StoragePool, StoragePoolInfo, StorageVol, StorageVolCreateFlags,
    StorageVolDeleteFlags, StorageVolInfo, StorageVolResizeFlags, StorageVolTransferFlags,
    StorageXmlFlags, TypedParam,
};

use crate::frame::{Header, OWN_PROGRAM, REMOTE_PROGRAM};
use crate::types::own::{Document, Tagged, Wide};
use crate::types::{
    Count, MAX_COOKIE, MAX_GUEST, MAX_SASL, Max, Names, NodeDevice, Objects, Params, StateAndReason,
};
use crate::xdr::{Chars, List, Opaque, Xdr};

/// A procedure with its layouts. The types of [`call`] implement it.
pub trait Layout {
    /// Which procedure this is.
    const PROCEDURE: Procedure;
    /// The arguments, one after the other.
    type Args: Xdr;
    /// The reply.
    type Reply: Xdr;

    /// Whether a call with these arguments is refused on a read-only connection.
    fn needs_write(args: &Self::Args) -> bool;
}

/// A byte stream that a call opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamDirection {
    /// From client to host.
    Upload,
    /// From host to client.
    Download,
    /// Both ways at once: a console.
    Both,
}

macro_rules! procedures {
    ($($number:literal $name:ident $function:literal [$($access:tt)*] ($($arg:ty),*) -> $reply:ty;)*) => {
        /// A procedure that we know, by its number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum Procedure {
            $(#[doc = concat!("`", $function, "`")] $name = $number,)*
        }

        impl Procedure {
            /// Every procedure, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> i32 {
                self as i32
            }

            /// The procedure with this number.
            #[must_use]
            pub const fn from_number(number: i32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The public function that it carries, as libvirt names it.
            #[must_use]
            pub const fn function(self) -> &'static str {
                match self {
                    $(Self::$name => $function,)*
                }
            }

            /// Name of the type of the first argument; empty if there is none.
            pub(crate) fn first_argument(self) -> &'static str {
                let names: &[&str] = match self {
                    $(Self::$name => &[$(stringify!($arg)),*],)*
                };
                names.first().copied().unwrap_or_default()
            }
        }

        /// A type per procedure, for its layouts.
        pub mod call {
            $(#[doc = concat!("Layouts of `", $function, "`.")]
            #[derive(Debug, Clone, Copy)]
            pub struct $name;)*
        }

        $(impl Layout for call::$name {
            const PROCEDURE: Procedure = Procedure::$name;
            type Args = ($($arg,)*);
            type Reply = $reply;

            fn needs_write(_args: &Self::Args) -> bool {
                needs_write!(_args, $($access)*)
            }
        })*
    };
}

macro_rules! needs_write {
    ($args:ident, R) => {
        false
    };
    ($args:ident, W) => {
        true
    };
    ($args:ident, R unless $pattern:pat => $condition:expr) => {{
        let $pattern = $args;
        $condition
    }};
}

procedures! {
    // Connection and host.
    1 ConnectOpen "virConnectOpen" [R] (Option<String>, u32) -> ();
    2 ConnectClose "virConnectClose" [R] () -> ();
    3 ConnectGetType "virConnectGetType" [R] () -> String;
    4 ConnectGetVersion "virConnectGetVersion" [R] () -> u64;
    5 ConnectGetMaxVcpus "virConnectGetMaxVcpus" [R] (Option<String>) -> i32;
    6 NodeGetInfo "virNodeGetInfo" [R] () -> NodeInfo;
    7 ConnectGetCapabilities "virConnectGetCapabilities" [R] () -> String;
    59 ConnectGetHostname "virConnectGetHostname" [R] () -> String;
    60 ConnectSupportsFeature "virConnectSupportsFeature" [R] (i32) -> bool;
    66 AuthList "virConnectOpenAuth" [R] () -> List<i32, 20>;
    67 AuthSaslInit "virConnectOpenAuth" [R] () -> String;
    68 AuthSaslStart "virConnectOpenAuth" [R] (String, bool, Chars<MAX_SASL>) -> (bool, bool, Chars<MAX_SASL>);
    69 AuthSaslStep "virConnectOpenAuth" [R] (bool, Chars<MAX_SASL>) -> (bool, bool, Chars<MAX_SASL>);
    70 AuthPolkit "virConnectOpenAuth" [R] () -> bool;
    102 NodeGetFreeMemory "virNodeGetFreeMemory" [R] () -> u64;
    110 ConnectGetUri "virConnectGetURI" [R] () -> String;
    149 ConnectIsSecure "virConnectIsSecure" [R] () -> bool;
    157 ConnectGetLibVersion "virConnectGetLibVersion" [R] () -> u64;
    360 ConnectRegisterCloseCallback "virConnectRegisterCloseCallback" [R] () -> ();
    361 ConnectUnregisterCloseCallback "virConnectUnregisterCloseCallback" [R] () -> ();
    419 ConnectSetIdentity "virConnectSetIdentity" [R] (List<TypedParam, 20>, u32) -> ();

    // Domains, reading.
    14 DomainGetXmlDesc "virDomainGetXMLDesc"
        [R unless (_, flags) => flags.intersects(DomainXmlFlags::SECURE | DomainXmlFlags::MIGRATABLE)]
        (Domain, DomainXmlFlags) -> String;
    15 DomainGetAutostart "virDomainGetAutostart" [R] (Domain) -> bool;
    16 DomainGetInfo "virDomainGetInfo" [R] (Domain) -> DomainInfo;
    17 DomainGetMaxMemory "virDomainGetMaxMemory" [R] (Domain) -> u64;
    18 DomainGetMaxVcpus "virDomainGetMaxVcpus" [R] (Domain) -> Count;
    19 DomainGetOsType "virDomainGetOSType" [R] (Domain) -> String;
    21 ConnectListDefinedDomains "virConnectListDefinedDomains" [R] (Max) -> Names;
    22 DomainLookupById "virDomainLookupByID" [R] (i32) -> Domain;
    23 DomainLookupByName "virDomainLookupByName" [R] (String) -> Domain;
    24 DomainLookupByUuid "virDomainLookupByUUID" [R] (Uuid) -> Domain;
    25 ConnectNumOfDefinedDomains "virConnectNumOfDefinedDomains" [R] () -> Count;
    37 ConnectListDomains "virConnectListDomains" [R] (Max) -> Objects<i32>;
    51 ConnectNumOfDomains "virConnectNumOfDomains" [R] () -> Count;
    56 DomainGetSchedulerType "virDomainGetSchedulerType" [R] (Domain) -> SchedulerType;
    57 DomainGetSchedulerParameters "virDomainGetSchedulerParameters" [R] (Domain, Max) -> Params;
    122 NodeGetSecurityModel "virNodeGetSecurityModel" [R] () -> (Chars<257>, Chars<257>);
    150 DomainIsActive "virDomainIsActive" [R] (Domain) -> bool;
    151 DomainIsPersistent "virDomainIsPersistent" [R] (Domain) -> bool;
    159 DomainMemoryStats "virDomainMemoryStats" [R] (Domain, u32, NoFlags) -> List<(u32, u64), 1024>;
    183 DomainHasManagedSaveImage "virDomainHasManagedSaveImage" [R] (Domain, NoFlags) -> bool;
    194 DomainGetBlockInfo "virDomainGetBlockInfo" [R] (Domain, String, NoFlags) -> (u64, u64, u64);
    198 DomainGetMemoryParameters "virDomainGetMemoryParameters" [R] (Domain, Max, DomainModificationFlags) -> (Params, Count);
    200 DomainGetVcpusFlags "virDomainGetVcpusFlags"
        [R unless (_, flags) => flags.contains(DomainVcpuFlags::VCPU_GUEST)]
        (Domain, DomainVcpuFlags) -> Count;
    202 DomainIsUpdated "virDomainIsUpdated" [R] (Domain) -> bool;
    212 DomainGetState "virDomainGetState" [R] (Domain, NoFlags) -> StateAndReason;
    223 DomainGetSchedulerParametersFlags "virDomainGetSchedulerParametersFlags" [R] (Domain, Max, DomainModificationFlags) -> Params;
    265 DomainGetMetadata "virDomainGetMetadata" [R] (Domain, MetadataType, Option<String>, DomainModificationFlags) -> String;
    273 ConnectListAllDomains "virConnectListAllDomains" [R] (bool, ListAllDomainsFlags) -> (Objects<Domain>, u32);
    277 DomainGetHostname "virDomainGetHostname" [W] (Domain, NoFlags) -> String;
    342 ConnectGetDomainCapabilities "virConnectGetDomainCapabilities" [W]
        (Option<String>, Option<String>, Option<String>, Option<String>, NoFlags) -> String;
    344 ConnectGetAllDomainStats "virConnectGetAllDomainStats" [R]
        (Objects<Domain>, DomainStatsTypes, DomainStatsFlags) -> Objects<DomainStats>;
    353 DomainInterfaceAddresses "virDomainInterfaceAddresses"
        [R unless (_, source, _) => *source == InterfaceAddressesSource::Agent]
        (Domain, InterfaceAddressesSource, NoFlags) -> List<DomainInterface, MAX_GUEST>;
    426 DomainGetMessages "virDomainGetMessages" [R] (Domain, u32) -> List<String, MAX_GUEST>;
    449 DomainGetAutostartOnce "virDomainGetAutostartOnce" [R] (Domain) -> bool;

    // Domains, changing.
    8 DomainAttachDevice "virDomainAttachDevice" [W] (Domain, String) -> ();
    9 DomainCreate "virDomainCreate" [W] (Domain) -> ();
    10 DomainCreateXml "virDomainCreateXML" [W] (String, DomainCreateFlags) -> Domain;
    11 DomainDefineXml "virDomainDefineXML" [W] (String) -> Domain;
    12 DomainDestroy "virDomainDestroy" [W] (Domain) -> ();
    13 DomainDetachDevice "virDomainDetachDevice" [W] (Domain, String) -> ();
    27 DomainReboot "virDomainReboot" [W] (Domain, DomainRebootFlags) -> ();
    28 DomainResume "virDomainResume" [W] (Domain) -> ();
    29 DomainSetAutostart "virDomainSetAutostart" [W] (Domain, bool) -> ();
    30 DomainSetMaxMemory "virDomainSetMaxMemory" [W] (Domain, u64) -> ();
    31 DomainSetMemory "virDomainSetMemory" [W] (Domain, u64) -> ();
    32 DomainSetVcpus "virDomainSetVcpus" [W] (Domain, u32) -> ();
    33 DomainShutdown "virDomainShutdown" [W] (Domain) -> ();
    34 DomainSuspend "virDomainSuspend" [W] (Domain) -> ();
    35 DomainUndefine "virDomainUndefine" [W] (Domain) -> ();
    58 DomainSetSchedulerParameters "virDomainSetSchedulerParameters" [W] (Domain, Params) -> ();
    61 DomainMigratePrepare "virDomainMigratePrepare" [W]
        (Option<String>, MigrateFlags, Option<String>, u64) -> (Opaque<MAX_COOKIE>, Option<String>);
    62 DomainMigratePerform "virDomainMigratePerform" [W]
        (Domain, Opaque<MAX_COOKIE>, String, MigrateFlags, Option<String>, u64) -> ();
    63 DomainMigrateFinish "virDomainMigrateFinish" [W] (String, Opaque<MAX_COOKIE>, String, MigrateFlags) -> Domain;
    160 DomainAttachDeviceFlags "virDomainAttachDeviceFlags" [W] (Domain, String, DomainDeviceModifyFlags) -> ();
    161 DomainDetachDeviceFlags "virDomainDetachDeviceFlags" [W] (Domain, String, DomainDeviceModifyFlags) -> ();
    164 DomainAbortJob "virDomainAbortJob" [W] (Domain) -> ();
    174 DomainUpdateDeviceFlags "virDomainUpdateDeviceFlags" [W] (Domain, String, DomainDeviceModifyFlags) -> ();
    196 DomainCreateWithFlags "virDomainCreateWithFlags" [W] (Domain, DomainCreateFlags) -> Domain;
    197 DomainSetMemoryParameters "virDomainSetMemoryParameters" [W] (Domain, Params, DomainModificationFlags) -> ();
    199 DomainSetVcpusFlags "virDomainSetVcpusFlags" [W] (Domain, u32, DomainVcpuFlags) -> ();
    204 DomainSetMemoryFlags "virDomainSetMemoryFlags" [W] (Domain, u64, DomainMemoryFlags) -> ();
    219 DomainSetSchedulerParametersFlags "virDomainSetSchedulerParametersFlags" [W] (Domain, Params, DomainModificationFlags) -> ();
    231 DomainUndefineFlags "virDomainUndefineFlags" [W] (Domain, DomainUndefineFlags) -> ();
    234 DomainDestroyFlags "virDomainDestroyFlags" [W] (Domain, DomainDestroyFlags) -> ();
    245 DomainReset "virDomainReset" [W] (Domain, NoFlags) -> ();
    258 DomainShutdownFlags "virDomainShutdownFlags" [W] (Domain, DomainShutdownFlags) -> ();
    264 DomainSetMetadata "virDomainSetMetadata" [W]
        (Domain, MetadataType, Option<String>, Option<String>, Option<String>, DomainModificationFlags) -> ();
    350 DomainDefineXmlFlags "virDomainDefineXMLFlags" [W] (String, DomainDefineFlags) -> Domain;
    358 DomainRename "virDomainRename" [W] (Domain, Option<String>, NoFlags) -> i32;

    // Documents.
    135 ConnectDomainXmlFromNative "virConnectDomainXMLFromNative" [W] (String, String, NativeConversionFlags) -> String;
    136 ConnectDomainXmlToNative "virConnectDomainXMLToNative" [W] (String, String, NativeConversionFlags) -> String;

    // Snapshots.
    185 DomainSnapshotCreateXml "virDomainSnapshotCreateXML" [W] (Domain, String, SnapshotCreateFlags) -> Snapshot;
    186 DomainSnapshotGetXmlDesc "virDomainSnapshotGetXMLDesc"
        [R unless (_, flags) => flags.contains(SnapshotXmlFlags::SECURE)]
        (Snapshot, SnapshotXmlFlags) -> String;
    187 DomainSnapshotNum "virDomainSnapshotNum" [R] (Domain, SnapshotListFlags) -> Count;
    188 DomainSnapshotListNames "virDomainSnapshotListNames" [R] (Domain, Max, SnapshotListFlags) -> Names;
    189 DomainSnapshotLookupByName "virDomainSnapshotLookupByName" [R] (Domain, String, NoFlags) -> Snapshot;
    190 DomainHasCurrentSnapshot "virDomainHasCurrentSnapshot" [R] (Domain, NoFlags) -> bool;
    191 DomainSnapshotCurrent "virDomainSnapshotCurrent" [R] (Domain, NoFlags) -> Snapshot;
    192 DomainRevertToSnapshot "virDomainRevertToSnapshot" [W] (Snapshot, SnapshotRevertFlags) -> ();
    193 DomainSnapshotDelete "virDomainSnapshotDelete" [W] (Snapshot, SnapshotDeleteFlags) -> ();
    244 DomainSnapshotGetParent "virDomainSnapshotGetParent" [R] (Snapshot, NoFlags) -> Snapshot;
    246 DomainSnapshotNumChildren "virDomainSnapshotNumChildren" [R] (Snapshot, SnapshotListFlags) -> Count;
    247 DomainSnapshotListChildrenNames "virDomainSnapshotListChildrenNames" [R] (Snapshot, Max, SnapshotListFlags) -> Names;
    271 DomainSnapshotIsCurrent "virDomainSnapshotIsCurrent" [R] (Snapshot, NoFlags) -> bool;
    272 DomainSnapshotHasMetadata "virDomainSnapshotHasMetadata" [R] (Snapshot, NoFlags) -> bool;
    274 DomainListAllSnapshots "virDomainListAllSnapshots" [R] (Domain, bool, SnapshotListFlags) -> (Objects<Snapshot>, u32);
    275 DomainSnapshotListAllChildren "virDomainSnapshotListAllChildren" [R]
        (Snapshot, bool, SnapshotListFlags) -> (Objects<Snapshot>, u32);

    // Storage.
    71 ConnectNumOfStoragePools "virConnectNumOfStoragePools" [R] () -> Count;
    72 ConnectListStoragePools "virConnectListStoragePools" [R] (Max) -> Names;
    73 ConnectNumOfDefinedStoragePools "virConnectNumOfDefinedStoragePools" [R] () -> Count;
    74 ConnectListDefinedStoragePools "virConnectListDefinedStoragePools" [R] (Max) -> Names;
    77 StoragePoolDefineXml "virStoragePoolDefineXML" [W] (String, NoFlags) -> StoragePool;
    83 StoragePoolRefresh "virStoragePoolRefresh" [W] (StoragePool, NoFlags) -> ();
    84 StoragePoolLookupByName "virStoragePoolLookupByName" [R] (String) -> StoragePool;
    85 StoragePoolLookupByUuid "virStoragePoolLookupByUUID" [R] (Uuid) -> StoragePool;
    86 StoragePoolLookupByVolume "virStoragePoolLookupByVolume" [R] (StorageVol) -> StoragePool;
    87 StoragePoolGetInfo "virStoragePoolGetInfo" [R] (StoragePool) -> StoragePoolInfo;
    88 StoragePoolGetXmlDesc "virStoragePoolGetXMLDesc" [R] (StoragePool, StorageXmlFlags) -> String;
    89 StoragePoolGetAutostart "virStoragePoolGetAutostart" [R] (StoragePool) -> bool;
    90 StoragePoolSetAutostart "virStoragePoolSetAutostart" [W] (StoragePool, bool) -> ();
    91 StoragePoolNumOfVolumes "virStoragePoolNumOfVolumes" [R] (StoragePool) -> Count;
    92 StoragePoolListVolumes "virStoragePoolListVolumes" [R] (StoragePool, Max) -> Names;
    93 StorageVolCreateXml "virStorageVolCreateXML" [W] (StoragePool, String, StorageVolCreateFlags) -> StorageVol;
    94 StorageVolDelete "virStorageVolDelete" [W] (StorageVol, StorageVolDeleteFlags) -> ();
    95 StorageVolLookupByName "virStorageVolLookupByName" [R] (StoragePool, String) -> StorageVol;
    96 StorageVolLookupByKey "virStorageVolLookupByKey" [R] (String) -> StorageVol;
    97 StorageVolLookupByPath "virStorageVolLookupByPath" [R] (String) -> StorageVol;
    98 StorageVolGetInfo "virStorageVolGetInfo" [R] (StorageVol) -> StorageVolInfo;
    99 StorageVolGetXmlDesc "virStorageVolGetXMLDesc" [R] (StorageVol, NoFlags) -> String;
    100 StorageVolGetPath "virStorageVolGetPath" [R] (StorageVol) -> String;
    125 StorageVolCreateXmlFrom "virStorageVolCreateXMLFrom" [W]
        (StoragePool, String, StorageVol, StorageVolCreateFlags) -> StorageVol;
    154 StoragePoolIsActive "virStoragePoolIsActive" [R] (StoragePool) -> bool;
    155 StoragePoolIsPersistent "virStoragePoolIsPersistent" [R] (StoragePool) -> bool;
    165 StorageVolWipe "virStorageVolWipe" [W] (StorageVol, NoFlags) -> ();
    259 StorageVolWipePattern "virStorageVolWipePattern" [W] (StorageVol, u32, NoFlags) -> ();
    260 StorageVolResize "virStorageVolResize" [W] (StorageVol, u64, StorageVolResizeFlags) -> ();
    281 ConnectListAllStoragePools "virConnectListAllStoragePools" [R]
        (bool, ListAllStoragePoolsFlags) -> (Objects<StoragePool>, u32);
    282 StoragePoolListAllVolumes "virStoragePoolListAllVolumes" [R] (StoragePool, bool, NoFlags) -> (Objects<StorageVol>, u32);
    378 StorageVolGetInfoFlags "virStorageVolGetInfoFlags" [R] (StorageVol, NoFlags) -> StorageVolInfo;

    // Networks and interfaces.
    36 ConnectListDefinedNetworks "virConnectListDefinedNetworks" [R] (Max) -> Names;
    38 ConnectListNetworks "virConnectListNetworks" [R] (Max) -> Names;
    41 NetworkDefineXml "virNetworkDefineXML" [W] (String) -> NetworkHandle;
    43 NetworkGetXmlDesc "virNetworkGetXMLDesc" [R] (NetworkHandle, NetworkXmlFlags) -> String;
    44 NetworkGetAutostart "virNetworkGetAutostart" [R] (NetworkHandle) -> bool;
    45 NetworkGetBridgeName "virNetworkGetBridgeName" [R] (NetworkHandle) -> String;
    46 NetworkLookupByName "virNetworkLookupByName" [R] (String) -> NetworkHandle;
    47 NetworkLookupByUuid "virNetworkLookupByUUID" [R] (Uuid) -> NetworkHandle;
    48 NetworkSetAutostart "virNetworkSetAutostart" [W] (NetworkHandle, bool) -> ();
    49 NetworkUndefine "virNetworkUndefine" [W] (NetworkHandle) -> ();
    50 ConnectNumOfDefinedNetworks "virConnectNumOfDefinedNetworks" [R] () -> Count;
    52 ConnectNumOfNetworks "virConnectNumOfNetworks" [R] () -> Count;
    126 ConnectNumOfInterfaces "virConnectNumOfInterfaces" [R] () -> Count;
    127 ConnectListInterfaces "virConnectListInterfaces" [R] (Max) -> Names;
    128 InterfaceLookupByName "virInterfaceLookupByName" [R] (String) -> InterfaceHandle;
    129 InterfaceLookupByMacString "virInterfaceLookupByMACString" [R] (String) -> InterfaceHandle;
    130 InterfaceGetXmlDesc "virInterfaceGetXMLDesc" [R] (InterfaceHandle, InterfaceXmlFlags) -> String;
    137 ConnectNumOfDefinedInterfaces "virConnectNumOfDefinedInterfaces" [R] () -> Count;
    138 ConnectListDefinedInterfaces "virConnectListDefinedInterfaces" [R] (Max) -> Names;
    152 NetworkIsActive "virNetworkIsActive" [R] (NetworkHandle) -> bool;
    153 NetworkIsPersistent "virNetworkIsPersistent" [R] (NetworkHandle) -> bool;
    156 InterfaceIsActive "virInterfaceIsActive" [R] (InterfaceHandle) -> bool;
    283 ConnectListAllNetworks "virConnectListAllNetworks" [R] (bool, ListAllNetworksFlags) -> (Objects<NetworkHandle>, u32);
    284 ConnectListAllInterfaces "virConnectListAllInterfaces" [R]
        (bool, ListAllInterfacesFlags) -> (Objects<InterfaceHandle>, u32);
    432 NetworkDefineXmlFlags "virNetworkDefineXMLFlags" [W] (String, NetworkDefineFlags) -> NetworkHandle;

    // Streams.
    201 DomainOpenConsole "virDomainOpenConsole" [W] (Domain, Option<String>, DomainConsoleFlags) -> ();
    208 StorageVolUpload "virStorageVolUpload" [W] (StorageVol, u64, u64, StorageVolTransferFlags) -> ();
    209 StorageVolDownload "virStorageVolDownload" [W] (StorageVol, u64, u64, StorageVolTransferFlags) -> ();
    211 DomainScreenshot "virDomainScreenshot" [W] (Domain, u32, NoFlags) -> Option<String>;

    // Registrations for events.
    105 ConnectDomainEventRegister "virConnectDomainEventRegister" [R] () -> bool;
    106 ConnectDomainEventDeregister "virConnectDomainEventDeregister" [R] () -> bool;
    167 ConnectDomainEventRegisterAny "virConnectDomainEventRegisterAny" [R] (i32) -> ();
    168 ConnectDomainEventDeregisterAny "virConnectDomainEventDeregisterAny" [R] (i32) -> ();
    313 ConnectNetworkEventRegisterAny "virConnectNetworkEventRegisterAny" [R] (i32, Option<NetworkHandle>) -> i32;
    314 ConnectNetworkEventDeregisterAny "virConnectNetworkEventDeregisterAny" [R] (i32) -> ();
    316 ConnectDomainEventCallbackRegisterAny "virConnectDomainEventRegisterAny" [R] (i32, Option<Domain>) -> i32;
    317 ConnectDomainEventCallbackDeregisterAny "virConnectDomainEventDeregisterAny" [R] (i32) -> ();
    368 ConnectStoragePoolEventRegisterAny "virConnectStoragePoolEventRegisterAny" [R] (i32, Option<StoragePool>) -> i32;
    369 ConnectStoragePoolEventDeregisterAny "virConnectStoragePoolEventDeregisterAny" [R] (i32) -> ();
    374 ConnectNodeDeviceEventRegisterAny "virConnectNodeDeviceEventRegisterAny" [R] (i32, Option<NodeDevice>) -> i32;
    375 ConnectNodeDeviceEventDeregisterAny "virConnectNodeDeviceEventDeregisterAny" [R] (i32) -> ();

    // Beyond libvirt, in a program of our own: what a client of ours would else ask for object by object.
    1000001 OwnListAllDomains "virtesxListAllDomains" [R] (ListAllDomainsFlags) -> Wide<ListedDomain>;
    1000002 OwnDomainGetDetails "virtesxDomainGetDetails" [R] (DomainSelector) -> DomainDetails;
    1000003 OwnDomainLookupState "virtesxDomainLookupState" [R] (DomainSelector) -> StateAndReason;
    1000004 OwnDomainListBlockDevices "virtesxDomainListBlockDevices" [R] (Domain) -> Objects<DomainBlockDevice>;
    1000005 OwnDomainListInterfaceDevices "virtesxDomainListInterfaceDevices" [R] (Domain) -> Objects<DomainInterfaceDevice>;
    1000006 OwnDomainMemoryStats "virtesxDomainMemoryStats" [R] (Domain, NoFlags) -> Objects<Tagged>;
    1000007 OwnDomainInspect "virtesxDomainInspect" [R] (Wide<Domain>) -> Wide<DomainInspection>;
    1000008 OwnSnapshotsGetXmlDesc "virtesxDomainSnapshotsGetXMLDesc"
        [R unless (_, flags) => flags.contains(SnapshotXmlFlags::SECURE)]
        (Objects<Snapshot>, SnapshotXmlFlags) -> Objects<Document>;
    1000009 OwnListStoragePoolDetails "virtesxListStoragePoolDetails" [R] (ListAllStoragePoolsFlags) -> Objects<ListedPool>;
    1000010 OwnStoragePoolListVolumeDetails "virtesxStoragePoolListVolumeDetails" [R] (StoragePool, NoFlags) -> Wide<ListedVolume>;
    1000011 OwnListQuestions "virtesxListQuestions" [R] (Option<Domain>) -> Objects<DomainQuestion>;
    1000012 OwnAnswerQuestion "virtesxAnswerQuestion" [W] (DomainQuestion, String) -> ();
}

/// The first number of [`OWN_PROGRAM`].
const OWN_NUMBERS: i32 = 1_000_001;

impl Procedure {
    /// The program that it belongs to.
    #[must_use]
    pub const fn program(self) -> u32 {
        if self.number() >= OWN_NUMBERS { OWN_PROGRAM } else { REMOTE_PROGRAM }
    }

    /// The procedure that a packet is about: number and program fit together.
    #[must_use]
    pub fn of(header: &Header) -> Option<Self> {
        Self::from_number(header.procedure).filter(|found| found.program() == header.program)
    }

    /// The stream that the call opens, if it opens one.
    #[must_use]
    pub const fn stream(self) -> Option<StreamDirection> {
        match self {
            Self::DomainOpenConsole => Some(StreamDirection::Both),
            Self::StorageVolUpload => Some(StreamDirection::Upload),
            Self::StorageVolDownload | Self::DomainScreenshot => Some(StreamDirection::Download),
            _ => None,
        }
    }
}

/// Procedures that common clients call and no VMware driver has: the reply names the function (libvirt-rpc.md 13.8).
const UNSUPPORTED: &[(i32, &str)] = &[
    (55, "virDomainSave"),
    (111, "virNodeNumOfDevices"),
    (139, "virConnectNumOfSecrets"),
    (163, "virDomainGetJobInfo"),
    (178, "virConnectNumOfNWFilters"),
    (182, "virDomainManagedSave"),
    (203, "virConnectGetSysinfo"),
    (210, "virDomainInjectNMI"),
    (227, "virNodeGetCPUStats"),
    (228, "virNodeGetMemoryStats"),
    (249, "virDomainOpenGraphics"),
    (285, "virConnectListAllNodeDevices"),
    (286, "virConnectListAllNWFilters"),
    (287, "virConnectListAllSecrets"),
    (298, "virDomainGetJobStats"),
    (312, "virConnectGetCPUModelNames"),
    (337, "virDomainGetTime"),
    (338, "virDomainSetTime"),
    (343, "virDomainOpenGraphicsFD"),
    (349, "virDomainGetFSInfo"),
    (418, "virDomainGetGuestInfo"),
];

/// The public function of a procedure that we know of but do not have.
pub(crate) fn unsupported(number: i32) -> Option<&'static str> {
    UNSUPPORTED.iter().find(|(known, _)| *known == number).map(|(_, function)| *function)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::types::no_domain;

    #[test]
    fn numbers_are_unique_and_go_both_ways() {
        let mut seen = BTreeSet::new();
        for &procedure in Procedure::ALL {
            assert!(seen.insert(procedure.number()), "{procedure:?}");
            assert_eq!(Procedure::from_number(procedure.number()), Some(procedure));
            assert!(procedure.function().starts_with("vir"));
            let mut header = Header::call(procedure, 1);
            assert_eq!(Procedure::of(&header), Some(procedure));
            header.program ^= 1;
            assert_eq!(Procedure::of(&header), None);
        }
        for (number, function) in UNSUPPORTED {
            assert!(seen.insert(*number), "{function}");
        }
        assert_eq!(Procedure::from_number(0), None);
        assert_eq!(Procedure::from_number(-1), None);
        assert_eq!(unsupported(111), Some("virNodeNumOfDevices"));
        assert_eq!(unsupported(9999), None);
    }

    #[test]
    fn some_readings_need_a_full_connection() {
        let xml = |flags| call::DomainGetXmlDesc::needs_write(&(no_domain(), flags));
        assert!(!xml(DomainXmlFlags::INACTIVE));
        assert!(xml(DomainXmlFlags::SECURE | DomainXmlFlags::INACTIVE));
        assert!(xml(DomainXmlFlags::MIGRATABLE));
        let addresses = |source| {
            call::DomainInterfaceAddresses::needs_write(&(no_domain(), source, NoFlags::empty()))
        };
        assert!(!addresses(InterfaceAddressesSource::Lease));
        assert!(addresses(InterfaceAddressesSource::Agent));
        let vcpus = |flags| call::DomainGetVcpusFlags::needs_write(&(no_domain(), flags));
        assert!(!vcpus(DomainVcpuFlags::VCPU_MAXIMUM));
        assert!(vcpus(DomainVcpuFlags::VCPU_GUEST));
        assert!(call::DomainGetHostname::needs_write(&(no_domain(), NoFlags::empty())));
        assert!(call::DomainCreate::needs_write(&(no_domain(),)));
    }

    #[test]
    fn streams_are_opened_by_four_procedures() {
        let streams: Vec<_> =
            Procedure::ALL.iter().filter_map(|p| Some((p.number(), p.stream()?))).collect();
        assert_eq!(
            streams,
            [
                (201, StreamDirection::Both),
                (208, StreamDirection::Upload),
                (209, StreamDirection::Download),
                (211, StreamDirection::Download)
            ]
        );
    }
}
