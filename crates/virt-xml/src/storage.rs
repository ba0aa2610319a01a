//! Storage pools and volumes (`virStoragePoolGetXMLDesc`, `virStorageVolGetXMLDesc`, `spec/storage-network.md` 2.6, 3.3,
//! 4.7, 5.1 and 9.5).

use uuid::Uuid;

use crate::element::{Element, Reader};
use crate::error::{Error, ErrorKind};
use crate::number::size_bytes;
use crate::writer::Writer;

/// A storage pool, as far as VMware hosts have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoragePool {
    /// libvirt's type: `dir`, `fs`, `netfs`, `iscsi`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UUID; `None` in a document that leaves it to the host.
    pub uuid: Option<Uuid>,
    /// Size in bytes.
    pub capacity: u64,
    /// Used bytes.
    pub allocation: u64,
    /// Free bytes.
    pub available: u64,
    /// Where it comes from.
    pub source: PoolSource,
    /// Where it is mounted.
    pub target_path: Option<String>,
    /// Mode, owner and group of that place, if known.
    pub permissions: Option<Permissions>,
}

/// The source of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolSource {
    /// The servers, with their ports.
    pub hosts: Vec<(String, Option<u16>)>,
    /// Devices, such as the name of an iSCSI target.
    pub devices: Vec<String>,
    /// A directory, of a server if there is one.
    pub directory: Option<String>,
    /// The iSCSI name that the host uses.
    pub initiator: Option<String>,
    /// The format, such as `vmfs` or `nfs`.
    pub format: Option<String>,
}

/// Who may do what with a place in a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Access bits.
    pub mode: u32,
    /// Number of the owner.
    pub owner: u32,
    /// Number of the group.
    pub group: u32,
}

impl StoragePool {
    /// The document as libvirt writes it, with a line feed at its end.
    pub fn to_xml(&self) -> String {
        let mut w = Writer::new();
        w.tag("pool").attr("type", &self.kind).open();
        w.text("name", &self.name);
        if let Some(uuid) = self.uuid {
            w.text("uuid", uuid);
        }
        for (name, bytes) in [
            ("capacity", self.capacity),
            ("allocation", self.allocation),
            ("available", self.available),
        ] {
            w.tag(name).attr("unit", "bytes").text(bytes);
        }
        // Empty or not, it has two tags.
        w.tag("source").open();
        self.source.write(&mut w);
        w.close("source");
        if self.target_path.is_some() || self.permissions.is_some() {
            w.tag("target").open();
            w.text_opt("path", self.target_path.as_deref());
            if let Some(permissions) = &self.permissions {
                permissions.write(&mut w);
            }
            w.close("target");
        }
        w.close("pool");
        w.finish()
    }

    /// Reads a document.
    ///
    /// # Errors
    /// Where the text is no pool document, with the path of the element.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut root = read_root(text, "pool")?;
        let kind = root
            .attr_string("type")
            .ok_or_else(|| root.attr_error("type", "the pool has no type"))?;
        let size =
            |root: &mut Reader, name| root.take(name).map_or(Ok(0), |reader| read_size(&reader));
        let mut pool = Self {
            kind,
            name: root.take_text("name").unwrap_or_default(),
            uuid: match root.take_text("uuid") {
                Some(text) => Some(crate::parse_uuid(&text).ok_or_else(|| {
                    root.error(ErrorKind::Value, format!("'{text}' is not a UUID"))
                })?),
                None => None,
            },
            capacity: size(&mut root, "capacity")?,
            allocation: size(&mut root, "allocation")?,
            available: size(&mut root, "available")?,
            ..Self::default()
        };
        if let Some(source) = root.take("source") {
            pool.source = PoolSource::read(source)?;
        }
        if let Some(mut target) = root.take("target") {
            pool.target_path = target.take_text("path");
            pool.permissions = target.take("permissions").map(Permissions::read).transpose()?;
        }
        if pool.name.is_empty() {
            // libvirt falls back on the source's name, which VMware pools do not have.
            return Err(root.error(ErrorKind::Element, "the pool has no name"));
        }
        Ok(pool)
    }
}

impl PoolSource {
    fn write(&self, w: &mut Writer) {
        for (name, port) in &self.hosts {
            w.tag("host").attr("name", name).attr_opt("port", port.map(u32::from)).empty();
        }
        for device in &self.devices {
            w.tag("device").attr("path", device).empty();
        }
        if let Some(directory) = &self.directory {
            w.tag("dir").attr("path", directory).empty();
        }
        if let Some(name) = &self.initiator {
            w.tag("initiator").open();
            w.tag("iqn").attr("name", name).empty();
            w.close("initiator");
        }
        if let Some(format) = &self.format {
            w.tag("format").attr("type", format).empty();
        }
    }

    fn read(mut reader: Reader) -> Result<Self, Error> {
        let mut source = Self::default();
        for host in reader.take_all("host") {
            let name = host
                .attr_string("name")
                .ok_or_else(|| host.attr_error("name", "the host has no name"))?;
            source.hosts.push((name, host.number("port")?));
        }
        for device in reader.take_all("device") {
            source.devices.extend(device.attr_string("path"));
        }
        source.directory = reader.take("dir").and_then(|dir| dir.attr_string("path"));
        source.initiator = reader
            .take("initiator")
            .and_then(|mut initiator| initiator.take("iqn"))
            .and_then(|iqn| iqn.attr_string("name"));
        source.format = reader.take("format").and_then(|format| format.attr_string("type"));
        Ok(source)
    }
}

impl Permissions {
    fn write(&self, w: &mut Writer) {
        w.tag("permissions").open();
        w.text("mode", format_args!("0{:o}", self.mode));
        w.text("owner", self.owner);
        w.text("group", self.group);
        w.close("permissions");
    }

    fn read(mut reader: Reader) -> Result<Self, Error> {
        let mut number = |name: &'static str, radix| match reader.take_text(name) {
            None => Ok(0),
            // No owner is written as -1.
            Some(text) if text == "-1" => Ok(u32::MAX),
            Some(text) => u32::from_str_radix(&text, radix).map_err(|_| {
                reader.error(ErrorKind::Element, format!("malformed {name} '{text}'"))
            }),
        };
        Ok(Self {
            mode: number("mode", 8)?,
            owner: number("owner", 10)?,
            group: number("group", 10)?,
        })
    }
}

/// Kinds of volumes that libvirt knows (`virStorageVolType`).
const VOLUME_KINDS: &[&str] = &["file", "block", "dir", "network", "netdir", "ploop"];
/// File formats of volumes that libvirt knows (`virStorageFileFormat`).
const VOLUME_FORMATS: &[&str] = &[
    "none", "raw", "dir", "bochs", "cloop", "dmg", "iso", "vpc", "vdi", "fat", "vhd", "ploop",
    "cow", "qcow", "qcow2", "qed", "vmdk",
];

/// What else libvirt knows in a `volume`, and in its `target`.
const VOLUME_PARTS: &[&str] = &["backingStore", "key", "physical", "source"];
const TARGET_PARTS: &[&str] = &[
    "clusterSize",
    "compat",
    "encryption",
    "features",
    "nocow",
    "path",
    "permissions",
    "timestamps",
];

/// The namespace of [`DiskRequest`].
pub const DISK_NAMESPACE: &str = "urn:virtesx:volume:1";

/// A volume, as far as VMware hosts have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageVolume {
    /// libvirt's type: `file`, `block`, `dir`.
    pub kind: String,
    /// Its name inside its pool.
    pub name: String,
    /// Its key.
    pub key: Option<String>,
    /// Size in bytes as a guest sees it.
    pub capacity: u64,
    /// Bytes in use.
    pub allocation: u64,
    /// The path that domains use.
    pub target_path: Option<String>,
    /// The file format; `None` where it has none.
    pub format: Option<String>,
}

impl StorageVolume {
    /// The document as libvirt writes it, with a line feed at its end.
    pub fn to_xml(&self) -> String {
        let mut w = Writer::new();
        w.tag("volume").attr("type", &self.kind).open();
        w.text("name", &self.name);
        w.text_opt("key", self.key.as_deref());
        w.tag("capacity").attr("unit", "bytes").text(self.capacity);
        w.tag("allocation").attr("unit", "bytes").text(self.allocation);
        w.tag("target").open();
        w.text_opt("path", self.target_path.as_deref());
        if let Some(format) = &self.format {
            w.tag("format").attr("type", format).empty();
        }
        w.close("target");
        w.close("volume");
        w.finish()
    }
}

/// A volume to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeRequest {
    /// `file` if nothing is said.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Size in bytes as a guest sees it.
    pub capacity: u64,
    /// Bytes to be in use at once; `None` if nothing is said, which means all.
    pub allocation: Option<u64>,
    /// The file format, if it is said.
    pub format: Option<String>,
    /// What libvirt has no words for.
    pub disk: DiskRequest,
    /// Elements that libvirt does not know, as paths. Empty in what is written.
    pub unknown: Vec<String>,
}

/// What a virtual disk of VMware can be beside what libvirt has words for: the element `disk` of the namespace
/// [`DISK_NAMESPACE`] in a `volume`, with the attributes `type` and `adapter`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskRequest {
    /// `thin`, `preallocated` or `eagerZeroedThick` (VI API `VirtualDiskType`).
    pub disk_type: Option<String>,
    /// `lsiLogic`, `busLogic` or `ide` (VI API `VirtualDiskAdapterType`).
    pub adapter: Option<String>,
}

impl VolumeRequest {
    /// Reads a document. Elements that a VMware host has no use for are read over, as libvirt's ESX driver does.
    ///
    /// # Errors
    /// Where the text is no volume document, or names a type, format or unit that libvirt does not know.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut root = read_root(text, "volume")?;
        let unknown = |reader: &Reader, what: &str, word: &str| {
            reader.error(ErrorKind::Unsupported, format!("unknown volume {what} '{word}'"))
        };
        let name = root.take_text("name");
        let name = name.ok_or_else(|| root.error(ErrorKind::Element, "the volume has no name"))?;
        let kind = root.attr_string("type").unwrap_or_else(|| "file".to_owned());
        if !VOLUME_KINDS.contains(&kind.as_str()) {
            return Err(unknown(&root, "type", &kind));
        }
        let capacity = match root.take("capacity") {
            Some(reader) => read_size(&reader)?,
            None if kind == "dir" => 0,
            None => return Err(root.error(ErrorKind::Element, "the volume has no capacity")),
        };
        let allocation = root.take("allocation").map(|reader| read_size(&reader)).transpose()?;
        let mut target = root.take("target");
        let format = target.as_mut().and_then(|target| target.take("format"));
        let format = match format {
            Some(reader) => match reader.attr_string("type") {
                Some(word) if !VOLUME_FORMATS.contains(&word.as_str()) => {
                    return Err(unknown(&reader, "format", &word));
                }
                word => word,
            },
            None => None,
        };
        let rest = root.rest();
        let disk = rest.iter().find(|element| {
            element.name == "disk" && element.namespace.as_deref() == Some(DISK_NAMESPACE)
        });
        let target = target.map(Reader::rest).unwrap_or_default();
        let parts = [("/volume", VOLUME_PARTS, &rest), ("/volume/target", TARGET_PARTS, &target)];
        let mut odd = Vec::new();
        for (place, known, elements) in parts {
            for element in elements.iter().filter(|element| element.namespace.is_none()) {
                let path = format!("{place}/{}", element.name);
                if !known.contains(&element.name.as_str()) && !odd.contains(&path) {
                    odd.push(path);
                }
            }
        }
        let attribute =
            |name| disk.as_ref().and_then(|disk| disk.attribute(name)).map(str::to_owned);
        let disk = DiskRequest { disk_type: attribute("type"), adapter: attribute("adapter") };
        Ok(Self { kind, name, capacity, allocation, format, disk, unknown: odd })
    }

    /// The document.
    pub fn to_xml(&self) -> String {
        let mut w = Writer::new();
        w.tag("volume").attr("type", &self.kind).open();
        w.text("name", &self.name);
        w.tag("capacity").attr("unit", "bytes").text(self.capacity);
        if let Some(allocation) = self.allocation {
            w.tag("allocation").attr("unit", "bytes").text(allocation);
        }
        if let Some(format) = &self.format {
            w.tag("target").open();
            w.tag("format").attr("type", format).empty();
            w.close("target");
        }
        let DiskRequest { disk_type, adapter } = &self.disk;
        if disk_type.is_some() || adapter.is_some() {
            w.tag("disk")
                .attr("xmlns", DISK_NAMESPACE)
                .attr_opt("type", disk_type.as_deref())
                .attr_opt("adapter", adapter.as_deref())
                .empty();
        }
        w.close("volume");
        w.finish()
    }
}

fn read_root(text: &str, name: &str) -> Result<Reader, Error> {
    let root = Element::parse(text)?;
    if !root.is(name) {
        let reason = format!("the root element is '{}', not '{name}'", root.name);
        return Err(Error { kind: ErrorKind::Element, path: "/".to_owned(), reason });
    }
    Ok(Reader::root(root, true))
}

/// A size in bytes, with its unit.
fn read_size(reader: &Reader) -> Result<u64, Error> {
    size_bytes(&reader.text(), reader.attr("unit").unwrap_or("bytes")).map_err(|(kind, reason)| {
        // What is no number is the element's fault.
        let kind = if kind == ErrorKind::Attribute { ErrorKind::Element } else { kind };
        reader.error(kind, reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> StoragePool {
        StoragePool {
            kind: "fs".to_owned(),
            name: "datastore1".to_owned(),
            uuid: crate::parse_uuid("76c0e119-50c6-98e7-f08b-8d9609e38fdb"),
            capacity: 107_374_182_400,
            allocation: 7_374_182_400,
            available: 100_000_000_000,
            source: PoolSource { format: Some("vmfs".to_owned()), ..PoolSource::default() },
            target_path: Some("/vmfs/volumes/4b0beca7-7fd401f3-1d7f-000ae484a6a3".to_owned()),
            permissions: Some(Permissions { mode: 0, owner: 0, group: 0 }),
        }
    }

    #[test]
    fn pools_are_written_as_libvirt_does() {
        let expected = "<pool type='fs'>
  <name>datastore1</name>
  <uuid>76c0e119-50c6-98e7-f08b-8d9609e38fdb</uuid>
  <capacity unit='bytes'>107374182400</capacity>
  <allocation unit='bytes'>7374182400</allocation>
  <available unit='bytes'>100000000000</available>
  <source>
    <format type='vmfs'/>
  </source>
  <target>
    <path>/vmfs/volumes/4b0beca7-7fd401f3-1d7f-000ae484a6a3</path>
    <permissions>
      <mode>00</mode>
      <owner>0</owner>
      <group>0</group>
    </permissions>
  </target>
</pool>
";
        assert_eq!(pool().to_xml(), expected);
        assert_eq!(StoragePool::parse(expected).unwrap(), pool());
        let network = StoragePool {
            kind: "netfs".to_owned(),
            source: PoolSource {
                hosts: vec![("nas & co".to_owned(), None)],
                directory: Some("/exports/vm".to_owned()),
                format: Some("nfs".to_owned()),
                ..PoolSource::default()
            },
            permissions: None,
            ..pool()
        };
        let text = network.to_xml();
        assert!(text.contains(
            "  <source>
    <host name='nas &amp; co'/>
    <dir path='/exports/vm'/>
    <format type='nfs'/>
  </source>
"
        ));
        assert_eq!(StoragePool::parse(&text).unwrap(), network);
        let target = StoragePool {
            kind: "iscsi".to_owned(),
            source: PoolSource {
                hosts: vec![("192.0.2.20".to_owned(), Some(3260))],
                devices: vec!["iqn.2001-05.com.example:target".to_owned()],
                initiator: Some("iqn.1998-01.com.vmware:esx".to_owned()),
                ..PoolSource::default()
            },
            target_path: None,
            permissions: None,
            ..pool()
        };
        let text = target.to_xml();
        assert!(text.ends_with("  </source>\n</pool>\n"), "{text}");
        assert!(text.contains(
            "    <host name='192.0.2.20' port='3260'/>
    <device path='iqn.2001-05.com.example:target'/>
    <initiator>
      <iqn name='iqn.1998-01.com.vmware:esx'/>
    </initiator>
"
        ));
        assert_eq!(StoragePool::parse(&text).unwrap(), target);
        let empty = StoragePool { source: PoolSource::default(), ..pool() };
        assert!(empty.to_xml().contains("  <source>\n  </source>\n"));
    }

    #[test]
    fn volumes_are_written_as_libvirt_does() {
        let volume = StorageVolume {
            kind: "file".to_owned(),
            name: "vm1/vm1.vmdk".to_owned(),
            key: Some("6000c293-7eb3-6b3c-0ec6-1c4a5d0a2f9b".to_owned()),
            capacity: 8_589_934_592,
            allocation: 1_048_576,
            target_path: Some("[datastore1] vm1/vm1.vmdk".to_owned()),
            format: Some("vmdk".to_owned()),
        };
        let expected = "<volume type='file'>
  <name>vm1/vm1.vmdk</name>
  <key>6000c293-7eb3-6b3c-0ec6-1c4a5d0a2f9b</key>
  <capacity unit='bytes'>8589934592</capacity>
  <allocation unit='bytes'>1048576</allocation>
  <target>
    <path>[datastore1] vm1/vm1.vmdk</path>
    <format type='vmdk'/>
  </target>
</volume>
";
        assert_eq!(volume.to_xml(), expected);
        // What was written can be asked for again.
        let request = VolumeRequest::parse(expected).unwrap();
        assert_eq!((request.name, request.allocation), (volume.name, Some(1_048_576)));
    }

    #[test]
    fn requests_are_read() {
        let full = VolumeRequest::parse(
            "<volume><name>a/b.vmdk</name><capacity unit='G'>1</capacity><allocation>0</allocation>\
             <target><path>x</path><format type='vmdk'/><permissions><mode>0600</mode></permissions></target>\
             <disk xmlns='urn:virtesx:volume:1' type='eagerZeroedThick' adapter='ide'/></volume>",
        );
        let full = full.unwrap();
        let disk = DiskRequest {
            disk_type: Some("eagerZeroedThick".to_owned()),
            adapter: Some("ide".to_owned()),
        };
        let expected = VolumeRequest {
            kind: "file".to_owned(),
            name: "a/b.vmdk".to_owned(),
            capacity: 1 << 30,
            allocation: Some(0),
            format: Some("vmdk".to_owned()),
            disk,
            unknown: Vec::new(),
        };
        assert_eq!(full, expected);
        assert_eq!(VolumeRequest::parse(&full.to_xml()).unwrap(), full);
        let bare = VolumeRequest::parse("<volume><name>a</name><capacity>1025</capacity></volume>")
            .unwrap();
        assert_eq!((bare.capacity, bare.allocation, bare.format), (1025, None, None));
        let odd = VolumeRequest::parse(
            "<volume xmlns:x='urn:x'><name>a</name><capacity>1</capacity><size>1</size><size/><x:y/><backingStore/>\
             <target><path>x</path><fromat type='vmdk'/></target></volume>",
        );
        assert_eq!(odd.unwrap().unknown, ["/volume/size", "/volume/target/fromat"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, kind, path) in [
            ("<volume", ErrorKind::NotWellFormed, "/"),
            ("<pool/>", ErrorKind::Element, "/"),
            ("<volume><capacity>1</capacity></volume>", ErrorKind::Element, "/volume"),
            ("<volume><name>a</name></volume>", ErrorKind::Element, "/volume"),
            (
                "<volume><name>a</name><capacity>-1</capacity></volume>",
                ErrorKind::Element,
                "/volume/capacity",
            ),
            (
                "<volume><name>a</name><capacity unit='x'>1</capacity></volume>",
                ErrorKind::Argument,
                "/volume/capacity",
            ),
            (
                "<volume><name>a</name><capacity unit='E'>8</capacity></volume>",
                ErrorKind::Overflow,
                "/volume/capacity",
            ),
            (
                "<volume type='disc'><name>a</name><capacity>1</capacity></volume>",
                ErrorKind::Unsupported,
                "/volume",
            ),
            (
                "<volume><name>a</name><capacity>1</capacity><target><format type='img'/></target></volume>",
                ErrorKind::Unsupported,
                "/volume/target/format",
            ),
        ] {
            let error = VolumeRequest::parse(text).unwrap_err();
            assert_eq!((error.kind, error.path.as_str()), (kind, path), "{text}");
        }
        assert_eq!(
            StoragePool::parse("<pool><name>a</name></pool>").unwrap_err().path,
            "/pool/@type"
        );
        assert_eq!(StoragePool::parse("<pool type='fs'/>").unwrap_err().path, "/pool");
    }
}
