//! The words that libvirt knows, as its documentation lists them.

pub(super) const HYPERVISORS: [&str; 16] = [
    "qemu",
    "kqemu",
    "kvm",
    "xen",
    "lxc",
    "uml",
    "openvz",
    "test",
    "vmware",
    "hyperv",
    "vbox",
    "phyp",
    "parallels",
    "bhyve",
    "vz",
    "hvf",
];
pub(super) const OS_TYPES: [&str; 6] = ["hvm", "xen", "linux", "exe", "uml", "xenpvh"];
pub(super) const ARCHITECTURES: [&str; 40] = [
    "aarch64",
    "alpha",
    "armv6l",
    "armv7b",
    "armv7l",
    "cris",
    "i686",
    "ia64",
    "itanium",
    "lm32",
    "loongarch64",
    "m68k",
    "microblaze",
    "microblazeel",
    "mips",
    "mips64",
    "mips64el",
    "mipsel",
    "or32",
    "parisc",
    "parisc64",
    "ppc",
    "ppc64",
    "ppc64le",
    "ppcemb",
    "riscv32",
    "riscv64",
    "s390",
    "s390x",
    "sh4",
    "sh4eb",
    "sparc",
    "sparc64",
    "unicore32",
    "x86_64",
    "xtensa",
    "xtensaeb",
    "amd64",
    "i386",
    "i586",
];
pub(super) const PLACEMENTS: [&str; 2] = ["static", "auto"];
pub(super) const CPU_MODES: [&str; 4] = ["custom", "host-model", "host-passthrough", "maximum"];
pub(super) const ACTIONS: [&str; 6] =
    ["destroy", "restart", "rename-restart", "preserve", "coredump-destroy", "coredump-restart"];
pub(super) const FIRMWARE_FEATURES: [&str; 2] = ["enrolled-keys", "secure-boot"];
pub(super) const LOADER_TYPES: [&str; 3] = ["rom", "pflash", "none"];
pub(super) const BOOT_DEVICES: [&str; 4] = ["fd", "hd", "cdrom", "network"];
pub(super) const SMBIOS_MODES: [&str; 4] = ["none", "emulate", "host", "sysinfo"];

pub(super) const DISK_TYPES: [&str; 8] =
    ["file", "block", "dir", "network", "volume", "nvme", "vhostuser", "vhostvdpa"];
pub(super) const DISK_DEVICES: [&str; 4] = ["disk", "cdrom", "lun", "floppy"];
pub(super) const DISK_BUSES: [&str; 10] =
    ["ide", "fdc", "scsi", "virtio", "xen", "usb", "uml", "sata", "sd", "nvme"];
pub(super) const CACHES: [&str; 6] =
    ["default", "none", "writethrough", "writeback", "directsync", "unsafe"];
pub(super) const STARTUP_POLICIES: [&str; 4] = ["default", "mandatory", "requisite", "optional"];
pub(super) const CONTROLLER_TYPES: [&str; 11] =
    ["ide", "fdc", "scsi", "sata", "virtio-serial", "ccid", "usb", "pci", "xenbus", "isa", "nvme"];
/// libvirt's words for the models of SCSI controllers (virDomainControllerModelSCSI), whichever hypervisor has them.
pub const SCSI_MODELS: [&str; 13] = [
    "auto",
    "buslogic",
    "lsilogic",
    "lsisas1068",
    "vmpvscsi",
    "ibmvscsi",
    "virtio-scsi",
    "lsisas1078",
    "virtio-transitional",
    "virtio-non-transitional",
    "ncr53c90",
    "dc390",
    "am53c974",
];
pub(super) const FILESYSTEM_TYPES: [&str; 7] =
    ["mount", "block", "file", "template", "ram", "bind", "volume"];
pub(super) const INTERFACE_TYPES: [&str; 15] = [
    "null",
    "user",
    "ethernet",
    "vhostuser",
    "server",
    "client",
    "mcast",
    "network",
    "bridge",
    "internal",
    "direct",
    "hostdev",
    "udp",
    "vdpa",
    "vds",
];
pub(super) const MAC_TYPES: [&str; 2] = ["generated", "static"];
pub(super) const CHAR_TYPES: [&str; 15] = [
    "null",
    "vc",
    "pty",
    "dev",
    "file",
    "pipe",
    "stdio",
    "udp",
    "tcp",
    "unix",
    "spicevmc",
    "spiceport",
    "nmdm",
    "qemu-vdagent",
    "dbus",
];
pub(super) const CHAR_MODES: [&str; 2] = ["connect", "bind"];
pub(super) const CHAR_PROTOCOLS: [&str; 4] = ["raw", "telnet", "telnets", "tls"];
pub(super) const CONSOLE_TARGETS: [&str; 9] =
    ["none", "serial", "xen", "uml", "virtio", "lxc", "openvz", "sclp", "sclplm"];
pub(super) const GRAPHICS_TYPES: [&str; 7] =
    ["sdl", "vnc", "rdp", "desktop", "spice", "egl-headless", "dbus"];
pub(super) const LISTEN_TYPES: [&str; 4] = ["none", "address", "network", "socket"];
pub(super) const VIDEO_TYPES: [&str; 13] = [
    "default",
    "vga",
    "cirrus",
    "vmvga",
    "xen",
    "vbox",
    "qxl",
    "parallels",
    "virtio",
    "gop",
    "none",
    "bochs",
    "ramfb",
];
pub(super) const TPM_MODELS: [&str; 4] = ["tpm-tis", "tpm-crb", "tpm-spapr", "spapr-tpm-proxy"];
pub(super) const TPM_BACKENDS: [&str; 3] = ["passthrough", "emulator", "external"];
