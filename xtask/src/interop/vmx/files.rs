//! VMX files at random: every key that libvirt looks at, mostly with good values, and lines that are none.

use super::random::Random;

const UUIDS: &[&str] = &[
    "42 0a 11 2b 3c 4d 5e 6f-70 81 92 a3 b4 c5 d6 e7",
    "50 0a 99 88 77 66 55 44-33 22 11 00 ff ee dd cc",
    "00 00 00 00 00 00 00 00-00 00 00 00 00 00 00 00",
    "77777777777777777777777777777777",
    " 420A112B-3c4d-5e6f-7081-92a3b4c5d6e7 ",
    "--42 0a112b3c4d5e6f708192a3b4c5d6e7",
    "420a112b3c4d5e6f708192a3b4c5d6e7-",
    "zz",
    "",
];
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "2",
    "4",
    "8",
    "-1",
    "unlimited",
    "UNLIMITED",
    "15",
    "64",
    "100",
    "1024",
    "4096",
    "4194304",
    "",
    "0x10",
    "1 ",
    " 7",
    "+5",
    "007",
    "-5",
    "abc",
    "9223372036854775807",
    "9223372036854775808",
    "4294967297",
    "2147483648",
    "-2147483648",
    "1.5",
    "--1",
    "+-2",
    "\t3",
];
const BOOLEANS: &[&str] =
    &["TRUE", "true", "True", "FALSE", "false", "", "1", "yes", " true", "TRUE "];
const TEXTS: &[&str] = &[
    "a", "x y", "a&b", "<t>", "q", "é", "/a/b", "a|22b", "a%2fb", "|7C|0A", "%25", "", "|", "%",
    "100%", "a|00b", "%7c41", "a\\b", "50|25",
];
const FILES: &[&str] = &[
    "a.vmdk",
    "A.VMDK",
    "dir/a.vmdk",
    "../b.vmdk",
    "/abs/c.vmdk",
    "/vmfs/volumes/LocalDS_0/d/e.vmdk",
    "/vmfs/volumes/none/d/e.vmdk",
    "/vmfs/volumes/",
    "/vmfs/volumes/LocalDS_0",
    "/vmfs/volumes//x.vmdk",
    "C:\\x\\y.vmdk",
    "a.iso",
    "X.ISO",
    "/abs/x.iso",
    "/vmfs/volumes/none/x.iso",
    "emptyBackingString",
    "auto detect",
    "AUTO DETECT",
    "",
    "a.img",
    "/vmfs/devices/cdrom/mpx:0",
    "/vmfs/devices/disks/x",
    "/dev/cdrom",
    ".vmdk",
    ".iso",
    "vmdk",
    "[ds] a.vmdk",
    "a.vmdk ",
    "b\\.iso",
];
const DEVICE_TYPES: &[&str] = &[
    "scsi-hardDisk",
    "ata-hardDisk",
    "disk",
    "DISK",
    "cdrom-image",
    "atapi-cdrom",
    "cdrom-raw",
    "scsi-passthru",
    "rawDisk",
    "",
    "CDROM-IMAGE",
    "nope",
];
const MODES: &[&str] = &[
    "persistent",
    "independent-nonpersistent",
    "INDEPENDENT-NONPERSISTENT",
    "independent-persistent",
    "",
];
const MACS: &[&str] = &[
    "00:0c:29:11:22:33",
    "00:50:56:9A:00:01",
    "0:c:29:1:2:3",
    "00:50:56:00:00:01",
    "",
    "zz",
    "01:00:5e:00:00:01",
    "00:0c:29:11:22",
    "00:0c:29:11:22:33:44",
    "00:0c:29:11:22:33 junk",
    "00-0c-29-11-22-33",
    "000:0c:29:11:22:33",
    " 00:0c:29:11:22:33",
    "+0:0c:29:11:22:33",
];
const SLOTS: &[&str] =
    &["160", "192", "32", "1184", "0", "1024", "-1", "-2", "16", "33", "abc", ""];
const URIS: &[&str] = &[
    "tcp://h:1",
    "telnet://:13370",
    "telnets://0.0.0.0:42001",
    "ssl://[::1]:9",
    "//h:5",
    "tcp://u@h:7/p?q#f",
    "udp://h:5",
    "tcp://h",
    "tcp://h:0",
    "tcp://h:abc",
    "TCP4://h:5",
    "tcp+ssl://h:99999",
    "h:5",
    "",
    "tcp://h%20x:5",
    "tcp://[::1]",
    "tcp://h:5x",
    "tcp://h:4294967297",
    "tcp6://h_x:5",
    "tcp://a b:5",
    "tcp://h:-5",
    "tcp://%zz:5",
    "tcp4+ssl://1.2.3.4:5",
    "1tcp://h:5",
    "tcp://h:2147483648",
    "tcp:///p",
    "tcp://[x]:5",
    "tcp://h:5/[a]",
    "tcp://ü:5",
];
const AFFINITIES: &[&str] = &[
    "all",
    "ALL",
    "0,1,2,3",
    "3,1,0,2",
    "0,1,2,3,8",
    "",
    "0-3",
    "0,",
    "16384,1",
    "1,1,1,1",
    " 0 , 1 ,2,3",
    "+1,2,3,4",
    "-1",
    "a",
    "0x1,1,2,3",
    "1 2,3,4,5",
];
const SHARES: &[&str] = &[
    "low",
    "NORMAL",
    "high",
    "123",
    "0",
    "-1",
    " 7",
    "7 ",
    "abc",
    "",
    "18446744073709551615",
    "18446744073709551616",
    "+3",
    "- 1",
];
/// Keys that make libvirt refuse the file, by their names alone or not.
const ODD_ADAPTERS: &[&str] = &[
    "ethernet.x",
    "ethernet0",
    "ethernetX.y",
    "ethernet-1.a",
    "ethernet-0.a",
    "ethernet0:1.z",
    "Ethernetfoo",
    "ethernet01.present",
    "ethernet12345678901.a",
];
/// Keys that it does not look at.
const IGNORED: &[&str] = &[
    "tools.syncTime",
    "guestinfo.a",
    "pciBridge0.present",
    "foo*.bar",
    "usb.present",
    "scsi0.sharedBus",
    "vhv.enable",
    "mem.hotadd",
    "sound.present",
    "pciPassthru0.id",
    "uuid.location",
    "cpuid.1.ecx",
];

struct File {
    random: Random,
    /// Bad values are rare in most files.
    clean: bool,
    lines: Vec<(String, String)>,
}

/// The text of file `number` of a run.
pub(super) fn file(seed: u64, number: usize) -> String {
    let mut random = Random::new(seed, number);
    let clean = random.percent(85);
    let mut f = File { random, clean, lines: Vec::new() };
    f.scalars();
    for (bus, types, units, percent) in [
        ("scsi", ["scsi-hardDisk", "disk"].as_slice(), 66, 45),
        ("sata", ["disk", "x"].as_slice(), 31, 30),
        ("nvme", ["x", "disk"].as_slice(), 16, 20),
    ] {
        f.controllers(bus, types, units, percent);
    }
    for bus in 0..3 {
        for unit in 0..3 {
            if f.random.percent(12) {
                f.disk(&format!("ide{bus}:{unit}."), &["ata-hardDisk", "disk"]);
            }
        }
    }
    f.floppies();
    f.folders();
    f.adapters();
    f.ports();
    f.text()
}

impl File {
    fn add(&mut self, key: &str, value: &str) {
        let key = match self.random.below(20) {
            0 => key.to_ascii_uppercase(),
            1 => key.to_ascii_lowercase(),
            _ => key.to_owned(),
        };
        self.lines.push((key, value.to_owned()));
    }

    fn any(&mut self, percent: u64, key: &str, values: &[&str]) {
        if self.random.percent(percent) {
            let value = self.random.pick(values);
            self.add(key, value);
        }
    }

    /// One of the first `good` values, or rarely any of them.
    fn mostly(&mut self, percent: u64, key: &str, values: &[&str], good: usize) {
        let odd = if self.clean { 4 } else { 120 };
        let from = if self.random.permille(odd) { values } else { &values[..good] };
        self.any(percent, key, from);
    }

    /// One of the good values, or rarely any value.
    fn good(&mut self, percent: u64, key: &str, good: &[&str], any: &[&str]) {
        let odd = if self.clean { 4 } else { 120 };
        let from = if self.random.permille(odd) { any } else { good };
        self.any(percent, key, from);
    }

    fn flag(&mut self, percent: u64, key: &str) {
        self.good(percent, key, &["TRUE"], BOOLEANS);
    }

    fn scalars(&mut self) {
        self.good(99, "config.version", &["8"], &["7", "", "9", "abc", "08"]);
        let versions = ["4", "7", "10", "12", "13", "14", "19", "20", "21", "22"];
        self.good(99, "virtualHW.version", &versions, &["3", "", "x", "-1", "4 "]);
        self.good(90, "displayName", &["vm", "vm 2"], TEXTS);
        self.mostly(40, "uuid.bios", UUIDS, 4);
        self.mostly(30, "vc.uuid", UUIDS, 4);
        self.good(15, "vm.genid", &["1", "-5", "81985529216486895"], INTEGERS);
        self.good(15, "vm.genidX", &["2", "-1"], INTEGERS);
        self.mostly(20, "annotation", TEXTS, 11);
        self.good(40, "memsize", &["64", "4096", "1024"], INTEGERS);
        self.good(20, "sched.mem.max", &["0", "-1", "32", "unlimited", "9999"], INTEGERS);
        self.good(20, "sched.mem.minsize", &["0", "-1", "16", "unlimited", "9999"], INTEGERS);
        self.good(40, "numvcpus", &["1", "2", "4", "3"], INTEGERS);
        self.good(30, "cpuid.coresPerSocket", &["1", "2", "0", "-1"], INTEGERS);
        self.mostly(20, "sched.cpu.affinity", AFFINITIES, 5);
        self.mostly(20, "sched.cpu.shares", SHARES, 4);
        let guests =
            ["other", "other-64", "windows9-64", "x-64 ", "-64", "arm-debian-64", "", "OTHER-64"];
        self.any(40, "guestOS", &guests);
        self.good(10, "smbios.reflecthost", &["TRUE", "FALSE"], BOOLEANS);
        if self.random.percent(30) {
            self.flag(95, "RemoteDisplay.vnc.enabled");
            self.good(70, "RemoteDisplay.vnc.port", &["5901", "-1", "0", "70000"], INTEGERS);
            self.any(30, "RemoteDisplay.vnc.ip", TEXTS);
            self.any(30, "RemoteDisplay.vnc.keymap", TEXTS);
            self.any(30, "RemoteDisplay.vnc.password", &["s"]);
        }
        self.good(20, "svga.vramSize", &["4194304", "16777216", "1", "1025", "4194305"], INTEGERS);
        self.good(20, "firmware", &["efi"], &["efi", "bios", "EFI", ""]);
        self.good(15, "uefi.secureBoot.enabled", &["TRUE", "FALSE"], BOOLEANS);
        self.good(30, "nvram", &["a.nvram", "d/e.nvram", "/abs/a.nvram"], FILES);
        self.good(15, "vtpm.present", &["TRUE", "FALSE"], BOOLEANS);
        // Those in which every text of ours has a meaning, the same in libvirt and here.
        let encodings = ["UTF-8", "utf-8", "utf8", "", "windows-1252", "ISO-8859-1", "latin1"];
        self.good(8, ".encoding", &encodings, &["klingon"]);
        for _ in 0..self.random.below(3) {
            let key = self.random.pick(IGNORED);
            self.any(100, key, TEXTS);
        }
        if self.random.percent(1) {
            let key = self.random.pick(ODD_ADAPTERS);
            self.add(key, "TRUE");
        }
    }

    fn controllers(&mut self, bus: &str, types: &[&str], units: usize, percent: u64) {
        for controller in 0..5 {
            if !self.random.percent(if controller == 0 { percent } else { percent / 3 }) {
                continue;
            }
            let at = format!("{bus}{controller}");
            self.flag(95, &format!("{at}.present"));
            if bus == "scsi" {
                let good = ["buslogic", "LSILogic", "lsisas1068", "pvscsi"];
                let any = ["auto", "vmpvscsi", "", "x"];
                self.good(60, &format!("{at}.virtualDev"), &good, &any);
            }
            self.mostly(40, &format!("{at}.pciSlotNumber"), SLOTS, 10);
            for _ in 0..self.random.below(4) {
                let low = self.random.percent(50);
                let unit = self.random.below(if low { 4 } else { units });
                self.disk(&format!("{at}:{unit}."), types);
            }
        }
    }

    fn disk(&mut self, prefix: &str, types: &[&str]) {
        let key = |name: &str| [prefix, name].concat();
        self.flag(97, &key("present"));
        self.good(5, &key("startConnected"), &["TRUE", "FALSE"], BOOLEANS);
        let odd = if self.clean { 10 } else { 150 };
        if self.random.permille(odd) {
            self.any(70, &key("deviceType"), DEVICE_TYPES);
            self.any(90, &key("fileName"), FILES);
        } else {
            match self.random.below(10) {
                0..=4 => {
                    self.any(50, &key("deviceType"), types);
                    self.any(100, &key("fileName"), &[FILES[0], FILES[2], FILES[4], FILES[5]]);
                }
                5..=6 => {
                    self.any(70, &key("deviceType"), &["cdrom-image", "CDROM-image"]);
                    let images =
                        ["a.iso", "/vmfs/volumes/none/x.iso", "/x/y.ISO", "emptyBackingString"];
                    self.any(100, &key("fileName"), &images);
                }
                _ => {
                    self.any(100, &key("deviceType"), &["atapi-cdrom", "cdrom-raw"]);
                    self.any(80, &key("fileName"), &["auto detect", "/dev/cdrom", "", FILES[20]]);
                }
            }
        }
        self.good(10, &key("clientDevice"), &["TRUE", "FALSE"], BOOLEANS);
        self.good(15, &key("writeThrough"), &["TRUE", "FALSE"], BOOLEANS);
        self.any(20, &key("mode"), MODES);
    }

    fn floppies(&mut self) {
        for number in 0..3 {
            if !self.random.percent(15) {
                continue;
            }
            let key = |name: &str| format!("floppy{number}.{name}");
            self.flag(90, &key("present"));
            self.good(95, &key("fileType"), &["device", "file"], &["FILE", "x", ""]);
            self.good(
                80,
                &key("fileName"),
                &["/dev/fd0", "a.flp", "d/b.img", "auto detect"],
                FILES,
            );
            for (percent, name) in
                [(10, "clientDevice"), (10, "writeThrough"), (5, "startConnected")]
            {
                self.good(percent, &key(name), &["TRUE", "FALSE"], BOOLEANS);
            }
        }
    }

    fn folders(&mut self) {
        if !self.random.percent(15) {
            return;
        }
        self.good(90, "isolation.tools.hgfs.disable", &["FALSE"], BOOLEANS);
        self.good(
            90,
            "sharedFolder.maxNum",
            &["1", "2", "3"],
            &["0", "-1", "", "abc", "unlimited"],
        );
        for number in 0..3 {
            let key = |name: &str| format!("sharedFolder{number}.{name}");
            self.flag(80, &key("present"));
            self.flag(90, &key("enabled"));
            self.any(95, &key("hostPath"), TEXTS);
            self.any(95, &key("guestName"), TEXTS);
            self.good(50, &key("writeAccess"), &["TRUE", "FALSE"], BOOLEANS);
        }
    }

    fn adapters(&mut self) {
        for _ in 0..self.random.below(4) {
            let number = self.random.below(13);
            let key = |name: &str| format!("ethernet{number}.{name}");
            self.flag(95, &key("present"));
            self.good(5, &key("startConnected"), &["TRUE", "FALSE"], BOOLEANS);
            let odd = ["hostonly", "", "none", "pvn", "NAT", "Custom"];
            self.good(60, &key("connectionType"), &["bridged", "nat", "custom"], &odd);
            let types = ["generated", "vpx", "static", "STATIC"];
            self.good(70, &key("addressType"), &types, &["manual", ""]);
            self.mostly(60, &key("generatedAddress"), MACS, 4);
            self.mostly(50, &key("address"), MACS, 4);
            self.any(20, &key("checkMACAddress"), BOOLEANS);
            let models = ["vlance", "VMXNET", "vmxnet3", "e1000", "E1000E"];
            self.good(70, &key("virtualDev"), &models, &["vmxnet2", "flexible", ""]);
            self.good(20, &key("features"), &["15", "0"], INTEGERS);
            self.good(92, &key("networkName"), &["VM Network", "a&b"], TEXTS);
            let vnets = ["vnet0", "macvtap1", "VMnet8", "/dev/vmnet1", "", "a<b"];
            self.any(85, &key("vnet"), &vnets);
            if self.random.percent(20) {
                self.mostly(90, &key("dvs.switchId"), UUIDS, 4);
                self.good(50, &key("dvs.portId"), &["7", "-1"], INTEGERS);
                self.any(50, &key("dvs.portgroupId"), TEXTS);
                self.good(50, &key("dvs.connectionId"), &["9"], INTEGERS);
            }
            self.mostly(40, &key("pciSlotNumber"), SLOTS, 10);
        }
    }

    fn ports(&mut self) {
        for number in 0..5 {
            if !self.random.percent(15) {
                continue;
            }
            let key = |name: &str| format!("serial{number}.{name}");
            self.flag(95, &key("present"));
            self.good(5, &key("startConnected"), &["TRUE", "FALSE"], BOOLEANS);
            let kinds = ["device", "file", "pipe", "network", "NETWORK"];
            let odd = ["thinprint", ""];
            let kind = if self.random.percent(if self.clean { 1 } else { 10 }) {
                self.random.pick(&odd)
            } else {
                self.random.pick(&kinds)
            };
            self.any(90, &key("fileType"), &[kind]);
            if kind.eq_ignore_ascii_case("network") {
                self.mostly(95, &key("fileName"), URIS, 6);
            } else {
                self.good(95, &key("fileName"), &["/dev/ttyS0", "a.txt", "d/e.out", "z"], FILES);
            }
            self.good(70, &key("network.endPoint"), &["server", "client", "SERVER"], &["x", ""]);
        }
        for number in 0..4 {
            if !self.random.percent(10) {
                continue;
            }
            let key = |name: &str| format!("parallel{number}.{name}");
            self.flag(95, &key("present"));
            self.good(98, &key("fileType"), &["device", "file", "DEVICE"], &["x", ""]);
            self.good(98, &key("fileName"), &["/dev/lp0", "a.out"], FILES);
            self.good(5, &key("startConnected"), &["TRUE", "FALSE"], BOOLEANS);
        }
    }

    /// The lines, spelled in many ways.
    fn text(mut self) -> String {
        let mut lines = std::mem::take(&mut self.lines);
        let r = &mut self.random;
        if r.percent(30) {
            for i in (1..lines.len()).rev() {
                lines.swap(i, r.below(i + 1));
            }
        }
        if r.percent(20) && !lines.is_empty() {
            let twin = lines[r.below(lines.len())].clone();
            let at = r.below(lines.len() + 1);
            lines.insert(at, twin);
        }
        let end = r.pick(&["\n", "\n", "\n", "\r\n", "\r"]);
        let mut text = String::new();
        if r.percent(2) {
            text += "#!/usr/bin/vmware\n";
        }
        for (key, value) in lines {
            let equals = r.pick(&[" = ", " = ", " = ", "=", "  =\t"]);
            let line = format!("{key}{equals}\"{value}\"");
            text += &match r.below(1000) {
                0..20 => format!("{line} # c{end}"),
                20..40 => format!("# comment{end}{line}{end}"),
                40..50 => format!("{line};"),
                50..60 => format!("\t {line}  {end}"),
                60..65 => format!("{key} = \"\"\"{value}\"\"\"{end}"),
                65..70 => format!("{key} = '{value}'{end}"),
                70 => format!("{line} x{end}"),
                71 => format!("{key} = 5{end}"),
                72 => format!("foo{end}"),
                73 => format!(";{line}{end}"),
                74 => format!("a/b = \"1\"{end}"),
                75 => format!("{line};;{end}"),
                76 => format!("{}{end}", &line[..line.len() - 1]),
                _ => format!("{line}{end}"),
            };
        }
        if r.percent(10) {
            text.truncate(text.trim_end().len());
        }
        text
    }
}
