//! libvirt's flags, with its names and values.
//!
//! Names lose libvirt's prefix: `VIR_CONNECT_LIST_DOMAINS_ACTIVE` is [`ListAllDomainsFlags::ACTIVE`]. A server that
//! takes bits from the wire builds flags with `from_bits_retain`; drivers refuse unknown bits with
//! [`check_flags`](crate::check_flags).

use bitflags::bitflags;

/// Declares flag types that can be copied, compared and printed.
macro_rules! flags {
    ($($(#[$meta:meta])* $type:ident { $($(#[$flag_meta:ident $($flag_args:tt)*])* $flag:ident = $bits:expr;)* })*) => {
        bitflags! {
            $($(#[$meta])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
            pub struct $type: u32 {
                $($(#[$flag_meta $($flag_args)*])* const $flag = $bits;)*
            })*
        }
    };
}

flags! {
    /// The flags argument of a function that knows no flag: only 0 is accepted.
    NoFlags {}

    /// How a connection is opened (`virConnectFlags`).
    ConnectFlags {
        /// Read-only (`VIR_CONNECT_RO`).
        RO = 1 << 0;
        /// Do not resolve URI aliases (`VIR_CONNECT_NO_ALIASES`).
        NO_ALIASES = 1 << 1;
    }

    /// Which domains to list (`virConnectListAllDomainsFlags`). Flags of one group are alternatives; a group
    /// without a flag does not filter; groups are conjunctive.
    ListAllDomainsFlags {
        /// Active (`VIR_CONNECT_LIST_DOMAINS_ACTIVE`).
        ACTIVE = 1 << 0;
        /// Shut off (`VIR_CONNECT_LIST_DOMAINS_INACTIVE`).
        INACTIVE = 1 << 1;
        /// Persistent (`VIR_CONNECT_LIST_DOMAINS_PERSISTENT`).
        PERSISTENT = 1 << 2;
        /// Transient (`VIR_CONNECT_LIST_DOMAINS_TRANSIENT`).
        TRANSIENT = 1 << 3;
        /// State running (`VIR_CONNECT_LIST_DOMAINS_RUNNING`).
        RUNNING = 1 << 4;
        /// State paused (`VIR_CONNECT_LIST_DOMAINS_PAUSED`).
        PAUSED = 1 << 5;
        /// State shut off (`VIR_CONNECT_LIST_DOMAINS_SHUTOFF`).
        SHUTOFF = 1 << 6;
        /// Any other state (`VIR_CONNECT_LIST_DOMAINS_OTHER`).
        OTHER = 1 << 7;
        /// With a managed save image (`VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE`).
        MANAGEDSAVE = 1 << 8;
        /// Without a managed save image (`VIR_CONNECT_LIST_DOMAINS_NO_MANAGEDSAVE`).
        NO_MANAGEDSAVE = 1 << 9;
        /// Started by the host (`VIR_CONNECT_LIST_DOMAINS_AUTOSTART`).
        AUTOSTART = 1 << 10;
        /// Not started by the host (`VIR_CONNECT_LIST_DOMAINS_NO_AUTOSTART`).
        NO_AUTOSTART = 1 << 11;
        /// With snapshots (`VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT`).
        HAS_SNAPSHOT = 1 << 12;
        /// Without snapshots (`VIR_CONNECT_LIST_DOMAINS_NO_SNAPSHOT`).
        NO_SNAPSHOT = 1 << 13;
        /// With checkpoints (`VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT`).
        HAS_CHECKPOINT = 1 << 14;
        /// Without checkpoints (`VIR_CONNECT_LIST_DOMAINS_NO_CHECKPOINT`).
        NO_CHECKPOINT = 1 << 15;
    }

    /// How a domain is described (`virDomainXMLFlags`).
    DomainXmlFlags {
        /// With passwords (`VIR_DOMAIN_XML_SECURE`).
        SECURE = 1 << 0;
        /// As it will be at the next start (`VIR_DOMAIN_XML_INACTIVE`).
        INACTIVE = 1 << 1;
        /// With the host's CPU features (`VIR_DOMAIN_XML_UPDATE_CPU`).
        UPDATE_CPU = 1 << 2;
        /// Fit for migration (`VIR_DOMAIN_XML_MIGRATABLE`).
        MIGRATABLE = 1 << 3;
        /// Not libvirt's: what has no place in domain XML is kept in `<metadata>`.
        KEEP_KEYS = 1 << 30;
        /// Not libvirt's: byte for byte what libvirt prints, its mistakes included.
        EXACT = 1 << 31;
    }

    /// How native configurations are converted; libvirt knows no flag here.
    NativeConversionFlags {
        /// Not libvirt's: what has no place in domain XML is kept in `<metadata>`.
        KEEP_KEYS = 1 << 30;
        /// Not libvirt's: byte for byte what libvirt gives, its mistakes included.
        EXACT = 1 << 31;
    }

    /// How a console is opened (`virDomainConsoleFlags`).
    DomainConsoleFlags {
        /// End the session of whoever writes to it (`VIR_DOMAIN_CONSOLE_FORCE`).
        FORCE = 1 << 0;
        /// Only if nobody else can write to it meanwhile (`VIR_DOMAIN_CONSOLE_SAFE`).
        SAFE = 1 << 1;
    }

    /// How a domain is started (`virDomainCreateFlags`).
    DomainCreateFlags {
        /// Do not run yet (`VIR_DOMAIN_START_PAUSED`).
        PAUSED = 1 << 0;
        /// Destroy when the connection ends (`VIR_DOMAIN_START_AUTODESTROY`).
        AUTODESTROY = 1 << 1;
        /// Avoid the file system cache (`VIR_DOMAIN_START_BYPASS_CACHE`).
        BYPASS_CACHE = 1 << 2;
        /// Discard a managed save image (`VIR_DOMAIN_START_FORCE_BOOT`).
        FORCE_BOOT = 1 << 3;
        /// Check the document against its schema (`VIR_DOMAIN_START_VALIDATE`).
        VALIDATE = 1 << 4;
        /// Start with fresh firmware variables (`VIR_DOMAIN_START_RESET_NVRAM`).
        RESET_NVRAM = 1 << 5;
    }

    /// How a domain is stopped hard (`virDomainDestroyFlagsValues`).
    DomainDestroyFlags {
        /// Only if it reacts (`VIR_DOMAIN_DESTROY_GRACEFUL`).
        GRACEFUL = 1 << 0;
        /// Remove its logs (`VIR_DOMAIN_DESTROY_REMOVE_LOGS`).
        REMOVE_LOGS = 1 << 1;
    }

    /// How a guest is told to shut down (`virDomainShutdownFlagValues`).
    DomainShutdownFlags {
        /// Power button (`VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN`).
        ACPI_POWER_BTN = 1 << 0;
        /// Guest agent (`VIR_DOMAIN_SHUTDOWN_GUEST_AGENT`).
        GUEST_AGENT = 1 << 1;
        /// initctl (`VIR_DOMAIN_SHUTDOWN_INITCTL`).
        INITCTL = 1 << 2;
        /// Signal (`VIR_DOMAIN_SHUTDOWN_SIGNAL`).
        SIGNAL = 1 << 3;
        /// Paravirtual call (`VIR_DOMAIN_SHUTDOWN_PARAVIRT`).
        PARAVIRT = 1 << 4;
    }

    /// How a guest is told to reboot (`virDomainRebootFlagValues`).
    DomainRebootFlags {
        /// Power button (`VIR_DOMAIN_REBOOT_ACPI_POWER_BTN`).
        ACPI_POWER_BTN = 1 << 0;
        /// Guest agent (`VIR_DOMAIN_REBOOT_GUEST_AGENT`).
        GUEST_AGENT = 1 << 1;
        /// initctl (`VIR_DOMAIN_REBOOT_INITCTL`).
        INITCTL = 1 << 2;
        /// Signal (`VIR_DOMAIN_REBOOT_SIGNAL`).
        SIGNAL = 1 << 3;
        /// Paravirtual call (`VIR_DOMAIN_REBOOT_PARAVIRT`).
        PARAVIRT = 1 << 4;
    }

    /// How a domain is defined (`virDomainDefineFlags`).
    DomainDefineFlags {
        /// Check the document against its schema (`VIR_DOMAIN_DEFINE_VALIDATE`).
        VALIDATE = 1 << 0;
        /// Not libvirt's: byte for byte the configuration that libvirt writes, its mistakes included.
        EXACT = 1 << 31;
    }

    /// What goes with an undefined domain (`virDomainUndefineFlagsValues`).
    DomainUndefineFlags {
        /// Its managed save image (`VIR_DOMAIN_UNDEFINE_MANAGED_SAVE`).
        MANAGED_SAVE = 1 << 0;
        /// Metadata of its snapshots (`VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA`).
        SNAPSHOTS_METADATA = 1 << 1;
        /// Its firmware variables (`VIR_DOMAIN_UNDEFINE_NVRAM`).
        NVRAM = 1 << 2;
        /// Not its firmware variables (`VIR_DOMAIN_UNDEFINE_KEEP_NVRAM`).
        KEEP_NVRAM = 1 << 3;
        /// Metadata of its checkpoints (`VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA`).
        CHECKPOINTS_METADATA = 1 << 4;
        /// Its TPM state (`VIR_DOMAIN_UNDEFINE_TPM`).
        TPM = 1 << 5;
        /// Not its TPM state (`VIR_DOMAIN_UNDEFINE_KEEP_TPM`).
        KEEP_TPM = 1 << 6;
    }

    /// Which definition is read or changed (`virDomainModificationImpact`), with the bit libvirt's front end adds.
    DomainModificationFlags {
        /// The running domain (`VIR_DOMAIN_AFFECT_LIVE`).
        AFFECT_LIVE = 1 << 0;
        /// The next start (`VIR_DOMAIN_AFFECT_CONFIG`).
        AFFECT_CONFIG = 1 << 1;
        /// `VIR_TYPED_PARAM_STRING_OKAY`: strings may be among the parameters.
        TYPED_PARAM_STRING_OKAY = 1 << 2;
    }

    /// Which memory is changed (`virDomainMemoryModFlags`).
    DomainMemoryFlags {
        /// The running domain (`VIR_DOMAIN_AFFECT_LIVE`).
        AFFECT_LIVE = 1 << 0;
        /// The next start (`VIR_DOMAIN_AFFECT_CONFIG`).
        AFFECT_CONFIG = 1 << 1;
        /// The maximum instead of the current memory (`VIR_DOMAIN_MEM_MAXIMUM`).
        MEM_MAXIMUM = 1 << 2;
    }

    /// Which number of CPUs is read or changed (`virDomainVcpuFlags`).
    DomainVcpuFlags {
        /// The running domain (`VIR_DOMAIN_AFFECT_LIVE`).
        AFFECT_LIVE = 1 << 0;
        /// The next start (`VIR_DOMAIN_AFFECT_CONFIG`).
        AFFECT_CONFIG = 1 << 1;
        /// The maximum (`VIR_DOMAIN_VCPU_MAXIMUM`).
        VCPU_MAXIMUM = 1 << 2;
        /// As the guest sees it (`VIR_DOMAIN_VCPU_GUEST`).
        VCPU_GUEST = 1 << 3;
        /// Make the added ones removable (`VIR_DOMAIN_VCPU_HOTPLUGGABLE`).
        VCPU_HOTPLUGGABLE = 1 << 4;
    }

    /// Which definition a device is changed in (`virDomainDeviceModifyFlags`).
    DomainDeviceModifyFlags {
        /// The running domain (`VIR_DOMAIN_DEVICE_MODIFY_LIVE`).
        LIVE = 1 << 0;
        /// The next start (`VIR_DOMAIN_DEVICE_MODIFY_CONFIG`).
        CONFIG = 1 << 1;
        /// Even if the guest has it in use (`VIR_DOMAIN_DEVICE_MODIFY_FORCE`).
        FORCE = 1 << 2;
    }

    /// Which statistics (`virDomainStatsTypes`); none is all.
    DomainStatsTypes {
        /// State (`VIR_DOMAIN_STATS_STATE`).
        STATE = 1 << 0;
        /// CPU time (`VIR_DOMAIN_STATS_CPU_TOTAL`).
        CPU_TOTAL = 1 << 1;
        /// Memory balloon (`VIR_DOMAIN_STATS_BALLOON`).
        BALLOON = 1 << 2;
        /// Each virtual CPU (`VIR_DOMAIN_STATS_VCPU`).
        VCPU = 1 << 3;
        /// Network interfaces (`VIR_DOMAIN_STATS_INTERFACE`).
        INTERFACE = 1 << 4;
        /// Disks (`VIR_DOMAIN_STATS_BLOCK`).
        BLOCK = 1 << 5;
        /// Performance events (`VIR_DOMAIN_STATS_PERF`).
        PERF = 1 << 6;
        /// I/O threads (`VIR_DOMAIN_STATS_IOTHREAD`).
        IOTHREAD = 1 << 7;
        /// Memory (`VIR_DOMAIN_STATS_MEMORY`).
        MEMORY = 1 << 8;
        /// Dirty page rate (`VIR_DOMAIN_STATS_DIRTYRATE`).
        DIRTYRATE = 1 << 9;
        /// Hypervisor's own (`VIR_DOMAIN_STATS_VM`).
        VM = 1 << 10;
    }

    /// Whose statistics and how (`virConnectGetAllDomainStatsFlags`); the low bits are those of
    /// [`ListAllDomainsFlags`].
    DomainStatsFlags {
        /// Active (`VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE`).
        ACTIVE = 1 << 0;
        /// Shut off (`VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE`).
        INACTIVE = 1 << 1;
        /// Persistent (`VIR_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT`).
        PERSISTENT = 1 << 2;
        /// Transient (`VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT`).
        TRANSIENT = 1 << 3;
        /// State running (`VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING`).
        RUNNING = 1 << 4;
        /// State paused (`VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED`).
        PAUSED = 1 << 5;
        /// State shut off (`VIR_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF`).
        SHUTOFF = 1 << 6;
        /// Any other state (`VIR_CONNECT_GET_ALL_DOMAINS_STATS_OTHER`).
        OTHER = 1 << 7;
        /// Leave out what would take long (`VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT`).
        NOWAIT = 1 << 29;
        /// With backing chains (`VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING`).
        BACKING = 1 << 30;
        /// Fail if a kind is not supported (`VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS`).
        ENFORCE_STATS = 1 << 31;
    }

    /// How a domain migrates (`virDomainMigrateFlags`).
    MigrateFlags {
        /// While running (`VIR_MIGRATE_LIVE`).
        LIVE = 1 << 0;
        /// Hosts talk to each other (`VIR_MIGRATE_PEER2PEER`).
        PEER2PEER = 1 << 1;
        /// Through the management connection (`VIR_MIGRATE_TUNNELLED`).
        TUNNELLED = 1 << 2;
        /// Define it at the destination (`VIR_MIGRATE_PERSIST_DEST`).
        PERSIST_DEST = 1 << 3;
        /// Undefine it at the source (`VIR_MIGRATE_UNDEFINE_SOURCE`).
        UNDEFINE_SOURCE = 1 << 4;
        /// Leave it paused (`VIR_MIGRATE_PAUSED`).
        PAUSED = 1 << 5;
        /// Copy all of the disks (`VIR_MIGRATE_NON_SHARED_DISK`).
        NON_SHARED_DISK = 1 << 6;
        /// Copy the top images (`VIR_MIGRATE_NON_SHARED_INC`).
        NON_SHARED_INC = 1 << 7;
        /// Refuse changes meanwhile (`VIR_MIGRATE_CHANGE_PROTECTION`).
        CHANGE_PROTECTION = 1 << 8;
        /// Even if not safe (`VIR_MIGRATE_UNSAFE`).
        UNSAFE = 1 << 9;
        /// Only the definition (`VIR_MIGRATE_OFFLINE`).
        OFFLINE = 1 << 10;
        /// Compress (`VIR_MIGRATE_COMPRESSED`).
        COMPRESSED = 1 << 11;
        /// Stop at an I/O error (`VIR_MIGRATE_ABORT_ON_ERROR`).
        ABORT_ON_ERROR = 1 << 12;
        /// Slow the guest down if needed (`VIR_MIGRATE_AUTO_CONVERGE`).
        AUTO_CONVERGE = 1 << 13;
        /// Pin all memory (`VIR_MIGRATE_RDMA_PIN_ALL`).
        RDMA_PIN_ALL = 1 << 14;
        /// Allow post-copy (`VIR_MIGRATE_POSTCOPY`).
        POSTCOPY = 1 << 15;
        /// Encrypt (`VIR_MIGRATE_TLS`).
        TLS = 1 << 16;
        /// Several connections (`VIR_MIGRATE_PARALLEL`).
        PARALLEL = 1 << 17;
        /// Mirror writes at once (`VIR_MIGRATE_NON_SHARED_SYNCHRONOUS_WRITES`).
        NON_SHARED_SYNCHRONOUS_WRITES = 1 << 18;
        /// Resume a post-copy migration (`VIR_MIGRATE_POSTCOPY_RESUME`).
        POSTCOPY_RESUME = 1 << 19;
        /// Send without copies (`VIR_MIGRATE_ZEROCOPY`).
        ZEROCOPY = 1 << 20;
    }

    /// How a snapshot is made (`virDomainSnapshotCreateFlags`).
    SnapshotCreateFlags {
        /// Restore metadata only (`VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE`).
        REDEFINE = 1 << 0;
        /// Make it the current one (`VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT`).
        CURRENT = 1 << 1;
        /// Keep no metadata (`VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA`).
        NO_METADATA = 1 << 2;
        /// Stop the domain afterwards (`VIR_DOMAIN_SNAPSHOT_CREATE_HALT`).
        HALT = 1 << 3;
        /// Without memory (`VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY`).
        DISK_ONLY = 1 << 4;
        /// Use existing files (`VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT`).
        REUSE_EXT = 1 << 5;
        /// Let the guest quiesce its file systems (`VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE`).
        QUIESCE = 1 << 6;
        /// All disks or none (`VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC`).
        ATOMIC = 1 << 7;
        /// While running (`VIR_DOMAIN_SNAPSHOT_CREATE_LIVE`).
        LIVE = 1 << 8;
        /// Check the document against its schema (`VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE`).
        VALIDATE = 1 << 9;
    }

    /// Which snapshots are counted or listed (`virDomainSnapshotListFlags`).
    SnapshotListFlags {
        /// Of a domain: only those without parent. Of a snapshot (`DESCENDANTS`): all below, not only children
        /// (`VIR_DOMAIN_SNAPSHOT_LIST_ROOTS`).
        ROOTS = 1 << 0;
        /// With metadata at the client (`VIR_DOMAIN_SNAPSHOT_LIST_METADATA`).
        METADATA = 1 << 1;
        /// Without children (`VIR_DOMAIN_SNAPSHOT_LIST_LEAVES`).
        LEAVES = 1 << 2;
        /// With children (`VIR_DOMAIN_SNAPSHOT_LIST_NO_LEAVES`).
        NO_LEAVES = 1 << 3;
        /// Without metadata at the client (`VIR_DOMAIN_SNAPSHOT_LIST_NO_METADATA`).
        NO_METADATA = 1 << 4;
        /// Taken while shut off (`VIR_DOMAIN_SNAPSHOT_LIST_INACTIVE`).
        INACTIVE = 1 << 5;
        /// Taken while active (`VIR_DOMAIN_SNAPSHOT_LIST_ACTIVE`).
        ACTIVE = 1 << 6;
        /// Without memory (`VIR_DOMAIN_SNAPSHOT_LIST_DISK_ONLY`).
        DISK_ONLY = 1 << 7;
        /// Inside the disk image (`VIR_DOMAIN_SNAPSHOT_LIST_INTERNAL`).
        INTERNAL = 1 << 8;
        /// In files of their own (`VIR_DOMAIN_SNAPSHOT_LIST_EXTERNAL`).
        EXTERNAL = 1 << 9;
        /// Parents before children (`VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL`).
        TOPOLOGICAL = 1 << 10;
    }

    /// How a snapshot is described (`virDomainSnapshotXMLFlags`).
    SnapshotXmlFlags {
        /// With passwords (`VIR_DOMAIN_SNAPSHOT_XML_SECURE`).
        SECURE = 1 << 0;
    }

    /// How to go back (`virDomainSnapshotRevertFlags`).
    SnapshotRevertFlags {
        /// Run afterwards (`VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING`).
        RUNNING = 1 << 0;
        /// Be paused afterwards (`VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED`).
        PAUSED = 1 << 1;
        /// Even if risky (`VIR_DOMAIN_SNAPSHOT_REVERT_FORCE`).
        FORCE = 1 << 2;
        /// With fresh firmware variables (`VIR_DOMAIN_SNAPSHOT_REVERT_RESET_NVRAM`).
        RESET_NVRAM = 1 << 3;
    }

    /// What is deleted (`virDomainSnapshotDeleteFlags`).
    SnapshotDeleteFlags {
        /// The children too (`VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN`).
        CHILDREN = 1 << 0;
        /// Metadata only (`VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY`).
        METADATA_ONLY = 1 << 1;
        /// Only the children (`VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY`).
        CHILDREN_ONLY = 1 << 2;
    }

    /// Which pools to list (`virConnectListAllStoragePoolsFlags`).
    ListAllStoragePoolsFlags {
        /// Inactive (`VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE`).
        INACTIVE = 1 << 0;
        /// Active (`VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE`).
        ACTIVE = 1 << 1;
        /// Persistent (`VIR_CONNECT_LIST_STORAGE_POOLS_PERSISTENT`).
        PERSISTENT = 1 << 2;
        /// Transient (`VIR_CONNECT_LIST_STORAGE_POOLS_TRANSIENT`).
        TRANSIENT = 1 << 3;
        /// Autostarted (`VIR_CONNECT_LIST_STORAGE_POOLS_AUTOSTART`).
        AUTOSTART = 1 << 4;
        /// Not autostarted (`VIR_CONNECT_LIST_STORAGE_POOLS_NO_AUTOSTART`).
        NO_AUTOSTART = 1 << 5;
        /// Directories (`VIR_CONNECT_LIST_STORAGE_POOLS_DIR`).
        DIR = 1 << 6;
        /// File systems (`VIR_CONNECT_LIST_STORAGE_POOLS_FS`).
        FS = 1 << 7;
        /// Network file systems (`VIR_CONNECT_LIST_STORAGE_POOLS_NETFS`).
        NETFS = 1 << 8;
        /// Volume groups (`VIR_CONNECT_LIST_STORAGE_POOLS_LOGICAL`).
        LOGICAL = 1 << 9;
        /// Disks (`VIR_CONNECT_LIST_STORAGE_POOLS_DISK`).
        DISK = 1 << 10;
        /// iSCSI targets (`VIR_CONNECT_LIST_STORAGE_POOLS_ISCSI`).
        ISCSI = 1 << 11;
        /// SCSI adapters (`VIR_CONNECT_LIST_STORAGE_POOLS_SCSI`).
        SCSI = 1 << 12;
        /// Multipath (`VIR_CONNECT_LIST_STORAGE_POOLS_MPATH`).
        MPATH = 1 << 13;
        /// RBD (`VIR_CONNECT_LIST_STORAGE_POOLS_RBD`).
        RBD = 1 << 14;
        /// Sheepdog (`VIR_CONNECT_LIST_STORAGE_POOLS_SHEEPDOG`).
        SHEEPDOG = 1 << 15;
        /// Gluster (`VIR_CONNECT_LIST_STORAGE_POOLS_GLUSTER`).
        GLUSTER = 1 << 16;
        /// ZFS (`VIR_CONNECT_LIST_STORAGE_POOLS_ZFS`).
        ZFS = 1 << 17;
        /// Vstorage (`VIR_CONNECT_LIST_STORAGE_POOLS_VSTORAGE`).
        VSTORAGE = 1 << 18;
        /// Direct iSCSI (`VIR_CONNECT_LIST_STORAGE_POOLS_ISCSI_DIRECT`).
        ISCSI_DIRECT = 1 << 19;
    }

    /// How a pool is described (`virStorageXMLFlags`).
    StorageXmlFlags {
        /// Its stored definition (`VIR_STORAGE_XML_INACTIVE`).
        INACTIVE = 1 << 0;
    }

    /// How a volume is made (`virStorageVolCreateFlags`).
    StorageVolCreateFlags {
        /// Allocate metadata at once (`VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA`).
        PREALLOC_METADATA = 1 << 0;
        /// Share blocks with the original (`VIR_STORAGE_VOL_CREATE_REFLINK`).
        REFLINK = 1 << 1;
        /// Check the document against its schema (`VIR_STORAGE_VOL_CREATE_VALIDATE`).
        VALIDATE = 1 << 2;
    }

    /// How a volume is deleted (`virStorageVolDeleteFlags`).
    StorageVolDeleteFlags {
        /// Overwrite with zeroes (`VIR_STORAGE_VOL_DELETE_ZEROED`).
        ZEROED = 1 << 0;
        /// With its snapshots (`VIR_STORAGE_VOL_DELETE_WITH_SNAPSHOTS`).
        WITH_SNAPSHOTS = 1 << 1;
    }

    /// How a volume is resized (`virStorageVolResizeFlags`).
    StorageVolResizeFlags {
        /// Allocate the new size (`VIR_STORAGE_VOL_RESIZE_ALLOCATE`).
        ALLOCATE = 1 << 0;
        /// The size is an amount to add (`VIR_STORAGE_VOL_RESIZE_DELTA`).
        DELTA = 1 << 1;
        /// Allow it to become smaller (`VIR_STORAGE_VOL_RESIZE_SHRINK`).
        SHRINK = 1 << 2;
    }

    /// How a volume is up- or downloaded (`virStorageVolUploadFlags`, `virStorageVolDownloadFlags`).
    StorageVolTransferFlags {
        /// Holes are not transferred (`VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM`).
        SPARSE_STREAM = 1 << 0;
    }

    /// Which networks to list (`virConnectListAllNetworksFlags`).
    ListAllNetworksFlags {
        /// Inactive (`VIR_CONNECT_LIST_NETWORKS_INACTIVE`).
        INACTIVE = 1 << 0;
        /// Active (`VIR_CONNECT_LIST_NETWORKS_ACTIVE`).
        ACTIVE = 1 << 1;
        /// Persistent (`VIR_CONNECT_LIST_NETWORKS_PERSISTENT`).
        PERSISTENT = 1 << 2;
        /// Transient (`VIR_CONNECT_LIST_NETWORKS_TRANSIENT`).
        TRANSIENT = 1 << 3;
        /// Autostarted (`VIR_CONNECT_LIST_NETWORKS_AUTOSTART`).
        AUTOSTART = 1 << 4;
        /// Not autostarted (`VIR_CONNECT_LIST_NETWORKS_NO_AUTOSTART`).
        NO_AUTOSTART = 1 << 5;
    }

    /// How a network is described (`virNetworkXMLFlags`).
    NetworkXmlFlags {
        /// Its stored definition (`VIR_NETWORK_XML_INACTIVE`).
        INACTIVE = 1 << 0;
    }

    /// How a network is defined (`virNetworkDefineFlags`).
    NetworkDefineFlags {
        /// Check the document against its schema (`VIR_NETWORK_DEFINE_VALIDATE`).
        VALIDATE = 1 << 0;
    }

    /// Which interfaces to list (`virConnectListAllInterfacesFlags`).
    ListAllInterfacesFlags {
        /// Inactive (`VIR_CONNECT_LIST_INTERFACES_INACTIVE`).
        INACTIVE = 1 << 0;
        /// Active (`VIR_CONNECT_LIST_INTERFACES_ACTIVE`).
        ACTIVE = 1 << 1;
    }

    /// How an interface is described (`virInterfaceXMLFlags`).
    InterfaceXmlFlags {
        /// Its stored definition (`VIR_INTERFACE_XML_INACTIVE`).
        INACTIVE = 1 << 0;
    }

    /// How an interface is defined (`virInterfaceDefineFlags`).
    InterfaceDefineFlags {
        /// Check the document against its schema (`VIR_INTERFACE_DEFINE_VALIDATE`).
        VALIDATE = 1 << 0;
    }

}

#[cfg(test)]
mod tests {
    use super::{
        DomainStatsFlags, DomainXmlFlags, ListAllDomainsFlags, MigrateFlags, SnapshotCreateFlags,
        SnapshotDeleteFlags,
    };

    #[test]
    fn values_are_libvirts() {
        for (flag, bits) in [
            (ListAllDomainsFlags::ACTIVE, 1),
            (ListAllDomainsFlags::OTHER, 128),
            (ListAllDomainsFlags::NO_AUTOSTART, 2048),
            (ListAllDomainsFlags::HAS_SNAPSHOT, 4096),
            (ListAllDomainsFlags::NO_CHECKPOINT, 32768),
        ] {
            assert_eq!(flag.bits(), bits);
        }
        assert_eq!(ListAllDomainsFlags::all().bits(), 0xffff);
        assert_eq!(DomainXmlFlags::MIGRATABLE.bits(), 8);
        assert_eq!(SnapshotCreateFlags::QUIESCE.bits(), 64);
        assert_eq!(SnapshotDeleteFlags::CHILDREN_ONLY.bits(), 4);
        assert_eq!(MigrateFlags::ZEROCOPY.bits(), 1 << 20);
        assert_eq!(DomainStatsFlags::ENFORCE_STATS.bits(), 0x8000_0000);
    }

    #[test]
    fn bits_from_a_wire_survive() {
        let flags = ListAllDomainsFlags::from_bits_retain(0x8000_0001);
        assert!(flags.contains(ListAllDomainsFlags::ACTIVE));
        assert_eq!(flags.bits(), 0x8000_0001);
    }
}
