//! Domain documents at random: every element that libvirt looks at on the way to a VMX file, mostly good ones.

use super::random::Random;

const UUIDS: &[&str] =
    &["500a9988-7766-5544-3322-1100ffeeddcc", "420a112b3c4d5e6f708192a3b4c5d6e7"];
const MACS: &[&str] = &[
    "00:0c:29:11:22:33",
    "00:50:56:9A:00:01",
    "00:50:56:00:00:01",
    "00:50:56:40:00:01",
    "00:50:56:c0:00:01",
    "00:05:69:00:00:01",
    "52:54:00:1:2:3",
    "00:50:56:3f:ff:ff",
    "00:50:56:bf:ff:ff",
];
/// Devices that a VMX file has no place for, as far as libvirt is concerned.
const OTHERS: &[&str] = &[
    "<sound model='es1370'/>",
    "<input type='mouse' bus='ps2'/>",
    "<memballoon model='none'/>",
    "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>",
    "<watchdog model='itco' action='reset'/>",
];

struct Document {
    random: Random,
    /// Odd values may occur.
    odd: bool,
    text: String,
}

/// The text of document `number` of a run.
pub(super) fn document(seed: u64, number: usize) -> String {
    let mut random = Random::new(seed ^ 0x00d0_3a17, number);
    let odd = random.percent(15);
    let mut d = Document { random, odd, text: String::new() };
    d.domain();
    d.text
}

/// ` name='value'`, if there is a value.
fn attribute(name: &str, value: Option<&str>) -> String {
    value.map_or_else(String::new, |v| format!(" {name}='{v}'"))
}

impl Document {
    fn put(&mut self, text: impl AsRef<str>) {
        self.text += text.as_ref();
    }

    /// A good value, or in odd documents now and then another one.
    fn word<'a>(&mut self, good: &[&'a str], odd: &[&'a str]) -> &'a str {
        let from = if self.odd && self.random.percent(12) { odd } else { good };
        self.random.pick(from)
    }

    /// As [`Document::word`]; `-` stands for none.
    fn maybe<'a>(&mut self, good: &[&'a str], odd: &[&'a str]) -> Option<&'a str> {
        Some(self.word(good, odd)).filter(|w| *w != "-")
    }

    /// An attribute; `-` stands for none.
    fn attr(&mut self, name: &str, good: &[&str], odd: &[&str]) -> String {
        attribute(name, self.maybe(good, odd))
    }

    /// An element with a text in so many of a hundred documents.
    fn element(&mut self, percent: u64, name: &str, good: &[&str], odd: &[&str]) {
        if self.random.percent(percent) {
            let value = self.word(good, odd);
            self.put(format!("<{name}>{value}</{name}>"));
        }
    }

    fn domain(&mut self) {
        let kind = self.attr("type", &["vmware"], &["kvm", "foo", "", "-", "qemu"]);
        self.put(format!("<domain{kind}>"));
        let names = ["a", "a/b", "50% | &quot;x&quot;", "é\\x", " b "];
        self.element(if self.odd { 98 } else { 100 }, "name", &names, &[""]);
        self.element(100, "uuid", UUIDS, &["zz", "", " 500a9988-7766-5544-3322-1100ffeeddcc "]);
        self.element(15, "hwuuid", UUIDS, &["zz", ""]);
        self.element(10, "genid", UUIDS, &["zz"]);
        self.element(10, "title", &["t", ""], &["a\nb"]);
        self.element(20, "description", &["d", "", "a\nb", "x|y\"z\"", "50%"], &[""]);
        let sizes = ["4194304", "65536", "1000001", "4096", "1"];
        let odd = ["0", "", "-4", " 2 ", "2 ", " 7", "+8", "abc", "9223372036854775807", "0x10"];
        self.size(98, "memory", &sizes, &odd);
        self.size(30, "currentMemory", &["1024", "4194304", "999", "1"], &odd);
        if self.random.percent(15) {
            self.put("<memtune>");
            self.size(100, "min_guarantee", &["1024", "0", "5000"], &["", "abc"]);
            self.put("</memtune>");
        }
        let count = self.vcpu();
        let shares = [500, 1000, 2000].map(|n| (n * count).to_string());
        let good = [shares[0].as_str(), &shares[1], &shares[2], "123", "0"];
        if self.random.percent(20) {
            self.put("<cputune>");
            self.element(100, "shares", &good, &["", "abc", "-1", " 5", "18446744073709551616"]);
            self.put("</cputune>");
        }
        self.os();
        if self.random.percent(20) {
            self.cpu(count);
        }
        for name in ["on_poweroff", "on_reboot", "on_crash"] {
            let odd = ["foo", "preserve", "rename-restart", "coredump-destroy"];
            self.element(10, name, &["destroy", "restart"], &odd);
        }
        self.put("<devices>");
        self.devices();
        self.put("</devices>");
        if self.random.percent(5) {
            self.put("<metadata><a xmlns='urn:a'>x</a></metadata>");
        }
        self.put("</domain>");
        if self.random.permille(3) {
            let broken = [&self.text[..self.text.len() - 5], "<network/>", "", "<domain>"];
            self.text = self.random.pick(&broken).to_owned();
        }
    }

    fn size(&mut self, percent: u64, name: &str, good: &[&str], odd: &[&str]) {
        if self.random.percent(percent) {
            let units = ["-", "KiB", "MiB", "k", "kb", "GB", "b", "bytes", "M"];
            let unit = self.attr("unit", &units, &["foo", "", "PiB", "EiB", "Kib", " k"]);
            let value = self.word(good, odd);
            self.put(format!("<{name}{unit}>{value}</{name}>"));
        }
    }

    fn vcpu(&mut self) -> usize {
        if self.random.percent(40) {
            return 1;
        }
        let count = [1, 2, 4][self.random.below(3)];
        let placement = self.attr("placement", &["-", "static"], &["auto", "foo"]);
        let sets = ["-", "-", "0-3,8", "0,1,2,3"];
        let odd = ["0", "^0", "a", "3-1", "", "0-3,^1", "16384", "0, 1 ,2,3"];
        let cpuset = self.attr("cpuset", &sets, &odd);
        let current = self.attr("current", &["-"], &["1", "0", "9", "x"]);
        let text = count.to_string();
        let text = self.word(&[&text], &["0", "", "abc", "-1", "1 ", " 2"]).to_owned();
        self.put(format!("<vcpu{placement}{cpuset}{current}>{text}</vcpu>"));
        count
    }

    fn os(&mut self) {
        let firmware = self.attr("firmware", &["-", "-", "efi"], &["bios", "foo", ""]);
        self.put(format!("<os{firmware}>"));
        let arch = self.attr("arch", &["-", "i686", "x86_64"], &["aarch64", "foo", "ppc64", ""]);
        let machine = self.attr("machine", &["-", "-", "m"], &["m"]);
        let kind = self.word(&["hvm"], &["xen", "foo", "", " hvm"]);
        self.put(format!("<type{arch}{machine}>{kind}</type>"));
        if self.random.percent(10) {
            self.put("<firmware>");
            for _ in 0..=self.random.below(2) {
                let enabled = self.attr("enabled", &["yes", "no"], &["x", "-"]);
                let name = self.attr("name", &["secure-boot", "enrolled-keys"], &["foo", "-"]);
                self.put(format!("<feature{enabled}{name}/>"));
            }
            self.put("</firmware>");
        }
        if self.random.percent(8) {
            let readonly = self.attr("readonly", &["-", "yes"], &["no", "x"]);
            let kind = self.attr("type", &["-", "pflash", "rom"], &["x"]);
            self.put(format!("<loader{readonly}{kind}>/l</loader>"));
        }
        if self.random.percent(20) {
            let nvram = self.random.pick(&[
                "<nvram>/a/b.nvram</nvram>",
                "<nvram/>",
                "<nvram>plain</nvram>",
                "<nvram type='file'><source file='/x.nvram'/></nvram>",
                "<nvram type='block'><source dev='/dev/x'/></nvram>",
            ]);
            self.put(nvram);
        }
        if self.random.percent(10) {
            let mode = self.attr("mode", &["host", "none", "emulate"], &["sysinfo", "foo"]);
            self.put(format!("<smbios{mode}/>"));
        }
        if self.random.percent(10) {
            self.put("<boot dev='hd'/>");
        }
        self.put("</os>");
    }

    fn cpu(&mut self, count: usize) {
        let cores = if count > 1 && self.random.percent(50) { 2 } else { 1 };
        let mode = self.attr("mode", &["-", "custom"], &["host-passthrough", "host-model", "foo"]);
        let (sockets, cores) = ((count / cores).to_string(), cores.to_string());
        let sockets = self.attr("sockets", &[&sockets], &["0", "x", "-", "3"]);
        let dies = self.attr("dies", &["-", "1"], &["2"]);
        let clusters = self.attr("clusters", &["-", "1"], &["2"]);
        let cores = self.attr("cores", &[&cores], &["0", "5"]);
        let threads = self.attr("threads", &["1"], &["2", "-"]);
        let topology = format!("<topology{sockets}{dies}{clusters}{cores}{threads}/>");
        self.put(format!("<cpu{mode}>{topology}</cpu>"));
    }

    fn devices(&mut self) {
        for _ in 0..self.random.below(4) {
            self.disk();
        }
        if self.random.percent(40) {
            for _ in 0..=self.random.below(2) {
                self.controller();
            }
        }
        if self.random.percent(20) {
            let kind = self.attr("type", &["-", "mount"], &["block", "foo", "file"]);
            let source = self.word(&["<source dir='/a b'/>"], &["", "<source/>"]);
            let target = self.word(&["<target dir='t'/>"], &["", "<target/>"]);
            let readonly = self.random.pick(&["", "<readonly/>"]);
            self.put(format!("<filesystem{kind}>{source}{target}{readonly}</filesystem>"));
        }
        let many = self.random.percent(3);
        for _ in 0..if many { 11 } else { self.random.below(4) } {
            self.interface();
        }
        for (name, percent, most) in [("serial", 40, 2), ("parallel", 30, 2), ("console", 30, 1)] {
            if self.random.percent(percent) {
                let most = if self.odd { 2 } else { most };
                for _ in 0..=self.random.below(most) {
                    self.port(name);
                }
            }
        }
        if self.random.percent(15) {
            self.graphics();
        }
        if self.random.percent(25) {
            let kind = self.attr("type", &["vmvga"], &["qxl", "foo", "cirrus", "-"]);
            let vram = self.attr("vram", &["-", "4096", "5000", "1", "65536"], &["x", "0"]);
            let heads = self.attr("heads", &["-", "1"], &["2", "x"]);
            let primary = self.attr("primary", &["-", "yes"], &["no", "x"]);
            let video = format!("<video><model{kind}{vram}{heads}{primary}/></video>");
            let twice = self.odd && self.random.percent(12);
            self.put(video.repeat(if twice { 2 } else { 1 }));
        }
        if self.random.percent(5) {
            let other = self.random.pick(OTHERS);
            self.put(other);
        }
    }

    fn disk(&mut self) {
        let bus =
            self.word(&["scsi", "scsi", "ide", "fdc"], &["sata", "virtio", "nvme", "usb", "foo"]);
        let index = match bus {
            "ide" => self.random.below(4),
            "fdc" => self.random.below(2),
            _ if self.random.percent(30) => self.random.below(61),
            _ => self.random.below(6),
        };
        let letters = match index {
            0..26 => char::from(b'a' + index as u8).to_string(),
            _ => [index / 26 - 1, index % 26].map(|n| char::from(b'a' + n as u8)).iter().collect(),
        };
        let name = match bus {
            "ide" => format!("hd{letters}"),
            "fdc" => format!("fd{letters}"),
            "virtio" => format!("vd{letters}"),
            "nvme" => format!("nvme0n{}", index + 1),
            _ => format!("sd{letters}"),
        };
        let usual = if bus == "fdc" { "floppy" } else { "-" };
        let usual = if bus != "fdc" && self.random.percent(50) {
            self.random.pick(&["disk", "cdrom", "lun"])
        } else {
            usual
        };
        let device = self.maybe(&[usual], &["disk", "floppy", "lun", "foo", "cdrom"]);
        let what = device.unwrap_or("disk");
        let kinds: &[&str] = match what {
            "lun" => &["block"],
            "disk" => &["file"],
            _ => &["file", "block"],
        };
        let kind = self.word(kinds, &["file", "block", "dir", "network", "volume", "foo"]);
        let device = attribute("device", device);
        let mut disk = format!("<disk type='{kind}'{device}>");
        disk += &self.disk_source(kind, what);
        let bare = format!("{name}1");
        let odd = [bare.as_str(), "sda", "hda", "xx", "", "-", "vda"];
        let dev = self.attr("dev", &[&name], &odd);
        let on = self.attr("bus", &[bus], &["-"]);
        disk += &format!("<target{dev}{on}/>");
        if self.random.percent(20) {
            let models = ["-", "lsilogic", "BusLogic", "vmpvscsi"];
            let model = self.attr("name", &models, &["pvscsi", "auto", "foo", "qemu"]);
            let caches = ["-", "writethrough", "default"];
            let cache = self.attr("cache", &caches, &["none", "foo", "writeback"]);
            disk += &format!("<driver{model}{cache}/>");
        }
        for (percent, flag) in [(10, "<readonly/>"), (10, "<transient/>")] {
            if self.random.percent(percent) {
                disk += flag;
            }
        }
        if self.random.percent(15) {
            let unit = index % 15;
            let (controller, on_bus, mut unit) = match bus {
                "scsi" => (index / 15, 0, if unit < 7 { unit } else { unit + 1 }),
                "ide" => (0, index / 2, index % 2),
                _ => (0, 0, index),
            };
            if self.odd && self.random.percent(30) {
                unit = self.random.below(21);
            }
            let kind = self.attr("type", &["drive"], &["pci"]);
            disk += &format!(
                "<address{kind} controller='{controller}' bus='{on_bus}' target='0' unit='{unit}'/>"
            );
        }
        self.put(disk + "</disk>");
    }

    /// No datastore path is good here: vcsim's datastore has no mount path, for lack of which libvirt crashes.
    fn disk_source(&mut self, kind: &str, what: &str) -> String {
        match kind {
            "network" => {
                return "<source protocol='http' name='x'><host name='h' port='80'/></source>"
                    .into();
            }
            "volume" => return "<source pool='p' volume='v'/>".into(),
            _ => {}
        }
        if !self.random.percent(if what == "disk" { 99 } else { 80 }) {
            return String::new();
        }
        if what != "disk" && self.random.percent(15) {
            let policy =
                self.attr("startupPolicy", &["optional"], &["requisite", "mandatory", "foo"]);
            return format!("<source{policy}/>");
        }
        let files: &[&str] = match what {
            "disk" => &["/a/b.vmdk", "/A.VMDK"],
            "cdrom" => &["/x.iso", "/y/Z.ISO"],
            _ => &["/f.img"],
        };
        let path = match kind {
            "file" => {
                let odd =
                    ["/x.iso", "/a.vmdk", "plain.vmdk", "", "rel/a.vmdk", "[none] a.vmdk", "[] a"];
                self.attr("file", files, &odd)
            }
            "block" => {
                let devices = ["/dev/sr0", "/vmfs/devices/cdrom/x"];
                self.attr("dev", &devices, &["auto detect", "-", "/d"])
            }
            _ => " dir='/d'".to_owned(),
        };
        format!("<source{path}/>")
    }

    fn controller(&mut self) {
        let kinds = ["scsi", "scsi", "ide", "sata", "nvme", "usb"];
        let kind = self.word(&kinds, &["foo", "fdc", "pci", "virtio-serial"]);
        let index = self.attr("index", &["-", "0", "1", "2", "3"], &["-1", "x", "99", "4"]);
        let model = if kind == "scsi" {
            let models = ["-", "lsilogic", "buslogic", "lsisas1068", "vmpvscsi"];
            self.attr("model", &models, &["auto", "virtio-scsi", "foo", "pvscsi", "ibmvscsi"])
        } else {
            String::new()
        };
        self.put(format!("<controller type='{kind}'{index}{model}/>"));
    }

    fn interface(&mut self) {
        let kinds = ["bridge", "bridge", "user", "null", "vds"];
        let kind = self.word(&kinds, &["network", "ethernet", "foo", "direct", "internal"]);
        let mut text = format!("<interface type='{kind}'>");
        let address = self.attr("address", MACS, &["zz", "01:00:5e:00:00:01"]);
        let mac = self.attr("type", &["-", "-", "generated", "static"], &["foo"]);
        let check = self.attr("check", &["-", "-", "yes", "no"], &["x"]);
        text += &format!("<mac{address}{mac}{check}/>");
        text += &match kind {
            "bridge" => {
                let good = ["<source bridge='VM Network'/>", "<source bridge='a&amp;b'/>"];
                self.word(&good, &["", "<source/>"]).to_owned()
            }
            "network" => "<source network='n'/>".to_owned(),
            "direct" => "<source dev='eth0' mode='bridge'/>".to_owned(),
            "vds" => {
                let switch = self.attr("switchid", UUIDS, &["zz", "-"]);
                let port = self.attr("portid", &["0", "7", "0x10"], &["x", "010", "-1", "-"]);
                let group = self.attr("portgroupid", &["g", "a&amp;b", "-"], &[""]);
                let connection = self.attr("connectionid", &["0", "9", "-"], &["x"]);
                format!("<source{switch}{port}{group}{connection}/>")
            }
            _ => String::new(),
        };
        if self.random.percent(30) {
            let dev = self.random.pick(&["vnet0", "VMnet8", "macvtap1", "/dev/vmnet1"]);
            text += &format!("<target dev='{dev}'/>");
        }
        if self.random.percent(60) {
            let models = ["e1000", "VMXNET3", "vmxnet2", "vlance", "vmxnet", "e1000e"];
            let odd = ["virtio", "rtl8139", "foo", "a b", "igb", "unknown", ""];
            text += &format!("<model type='{}'/>", self.word(&models, &odd));
        }
        if self.random.percent(10) {
            text += "<address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>";
        }
        self.put(text + "</interface>");
    }

    fn port(&mut self, name: &str) {
        let kinds = ["dev", "file", "pipe", "tcp"];
        let kind = self.maybe(&kinds, &["pty", "null", "unix", "udp", "foo", "-"]);
        let mut text = format!("<{name}{}>", attribute("type", kind));
        match kind {
            Some("dev" | "file" | "pipe") => {
                let path = self.attr("path", &["/dev/x", "/a/b.out"], &["rel/x", "-"]);
                text += &format!("<source{path}/>");
            }
            Some("tcp") => {
                let mode = self.attr("mode", &["bind", "connect"], &["x", "-"]);
                let host = self.attr("host", &["h", "::1"], &["-"]);
                let service = self.attr("service", &["123", "http"], &["-"]);
                text += &format!("<source{mode}{host}{service}/>");
                if self.random.percent(70) {
                    let protocols = ["raw", "telnet", "telnets", "tls"];
                    let protocol = self.attr("type", &protocols, &["foo", "-"]);
                    text += &format!("<protocol{protocol}/>");
                }
            }
            Some("unix") => text += "<source mode='bind' path='/x'/>",
            _ => {}
        }
        if self.random.percent(70) {
            let port = self.attr("port", &["-", "0", "1", "2", "3"], &["4", "x", "-1"]);
            let serial = name == "console" && self.random.percent(60);
            let kind = if serial { " type='serial'" } else { "" };
            text += &format!("<target{kind}{port}/>");
        }
        self.put(format!("{text}</{name}>"));
    }

    fn graphics(&mut self) {
        let kind = self.attr("type", &["vnc"], &["sdl", "spice", "foo", "-"]);
        let port = self.attr("port", &["-", "-1", "5901"], &["0", "x", "70000"]);
        let auto = self.attr("autoport", &["-", "yes", "no"], &["foo"]);
        let listen = self.attr("listen", &["-", "192.0.2.7"], &["::"]);
        let keymap = self.attr("keymap", &["-", "de"], &[""]);
        let password = self.attr("passwd", &["-", "s"], &[""]);
        let good = ["", "", "<listen type='address' address='192.0.2.7'/>"];
        let odd =
            ["<listen type='address' address='1.2.3.4'/>", "<listen type='none'/>", "<listen/>"];
        let inner = self.word(&good, &odd);
        self.put(format!(
            "<graphics{kind}{port}{auto}{listen}{keymap}{password}>{inner}</graphics>"
        ));
    }
}
