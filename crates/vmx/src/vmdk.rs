//! The descriptor of a virtual disk: which files hold its data, and what it builds on.
//!
//! A disk on a datastore is a small text file, `disk.vmdk`, and the files with the data that it names (VMware, "Virtual
//! Disk Format 5.0"). It is read here, never written.
//!
//! ```
//! let text = b"# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"vmfs\"\n\
//!              RW 2097152 VMFS \"disk-flat.vmdk\"\nddb.thinProvisioned = \"1\"\n";
//! let disk = esx_vmx::vmdk::Descriptor::parse(text)?;
//! assert_eq!(disk.capacity_bytes(), 1 << 30);
//! assert_eq!(disk.extents[0].file.as_deref(), Some("disk-flat.vmdk"));
//! assert!(disk.is_base());
//! # Ok::<(), esx_vmx::vmdk::DescriptorError>(())
//! ```

mod stream;

use crate::charset::{Charset, EncodingError};

pub use stream::{StreamCheck, StreamError, StreamSummary};

/// What the first line says.
const MARK: &[u8] = b"# disk descriptorfile";
/// The content ID that stands for "no parent".
const NO_PARENT: u32 = 0xffff_ffff;
/// The unit of extents' sizes, in bytes.
const SECTOR: u64 = 512;
/// More extents have no meaning: a disk of 62 TiB in pieces of 2 GiB has 31 744.
const MAX_EXTENTS: usize = 65_536;

/// Why a file is no descriptor that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// It does not begin like one.
    #[error("the file is not the descriptor of a virtual disk")]
    NotADescriptor,
    /// It is in a charset that is not known.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// A line that begins like an extent is none.
    #[error("line {line} of the descriptor is no extent: {text:?}")]
    Extent {
        /// The line, counted from 1.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// There are too many extents, or they are larger than any file.
    #[error("the extents of the descriptor are too many or too large")]
    TooLarge,
}

/// A descriptor, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Descriptor {
    /// `CID`: another number whenever the content has changed.
    pub cid: Option<u32>,
    /// `parentCID`: the parent's number when this was made from it; `None` for a disk without a parent.
    pub parent_cid: Option<u32>,
    /// `createType`: `vmfs`, `seSparse`, `monolithicFlat`..., as written; empty if there is none.
    pub create_type: String,
    /// `parentFileNameHint`: the parent's descriptor, a name beside this one or a path.
    pub parent_file_name_hint: Option<String>,
    /// The files with the data, in the order of the disk.
    pub extents: Vec<Extent>,
    /// `ddb.*`, as written: geometry, adapter, thin provisioning.
    pub ddb: Vec<(String, String)>,
}

/// A stretch of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// How guests may use it.
    pub access: Access,
    /// Its size in sectors of 512 bytes.
    pub sectors: u64,
    /// How the file holds the data.
    pub kind: ExtentKind,
    /// The file: a name beside the descriptor, a path, or a URL of an object store. None for zeros.
    pub file: Option<String>,
    /// Where in the file the data begins, in sectors; for flat extents.
    pub offset: u64,
}

/// How an extent may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `RW`.
    ReadWrite,
    /// `RDONLY`.
    ReadOnly,
    /// `NOACCESS`.
    None,
}

/// How the file of an extent holds the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtentKind {
    /// `FLAT`: bytes as they are.
    Flat,
    /// `VMFS`: the same on a datastore.
    Vmfs,
    /// `ZERO`: nothing but zeros.
    Zero,
    /// `SPARSE`: hosted sparse, also inside a stream-optimised disk.
    Sparse,
    /// `VMFSSPARSE`: a redo log (`-delta.vmdk`).
    VmfsSparse,
    /// `SESPARSE`: its successor (`-sesparse.vmdk`).
    SeSparse,
    /// `VMFSRDM`, `VMFSRAW` and the like: a device of the storage network.
    Raw,
    /// Something else, as written.
    Other(String),
}

impl ExtentKind {
    fn read(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "FLAT" => Self::Flat,
            "VMFS" => Self::Vmfs,
            "ZERO" => Self::Zero,
            "SPARSE" => Self::Sparse,
            "VMFSSPARSE" => Self::VmfsSparse,
            "SESPARSE" => Self::SeSparse,
            "VMFSRDM" | "VMFSRDMP" | "VMFSRAW" | "VMFSPASSTHROUGHRAWDEVICEMAP" => Self::Raw,
            _ => Self::Other(word.to_owned()),
        }
    }

    /// Whether the file is the data, byte for byte.
    pub fn is_flat(&self) -> bool {
        matches!(self, Self::Flat | Self::Vmfs)
    }
}

impl Descriptor {
    /// Whether a file that begins like this is a descriptor. The other kinds of `.vmdk` are binary.
    pub fn is_descriptor(start: &[u8]) -> bool {
        let start = start.trim_ascii_start();
        start.get(..MARK.len()).is_some_and(|start| start.eq_ignore_ascii_case(MARK))
    }

    /// Reads a descriptor, up to the first NUL byte. Lines that mean nothing to us are passed over.
    ///
    /// # Errors
    /// [`DescriptorError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DescriptorError> {
        if !Self::is_descriptor(bytes) {
            return Err(DescriptorError::NotADescriptor);
        }
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let bytes = &bytes[..end];
        let lines = || bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        // The name of the charset is ASCII, wherever it stands.
        let charset = lines()
            .filter_map(|line| std::str::from_utf8(line).ok().and_then(assignment))
            .find(|(key, _)| key.eq_ignore_ascii_case("encoding"))
            .map_or(Ok(Charset::Utf8), |(_, name)| Charset::named(name))?;
        let mut found = Self::default();
        let mut size = 0_u64;
        for (index, line) in lines().enumerate() {
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let line = charset.decode_lossy(line);
            if let Some(access) = access(&line) {
                let extent = extent(&line, access).ok_or_else(|| DescriptorError::Extent {
                    line: index + 1,
                    text: line.chars().take(80).collect(),
                })?;
                size = extent
                    .sectors
                    .checked_mul(SECTOR)
                    .and_then(|bytes| bytes.checked_add(size))
                    .filter(|size| i64::try_from(*size).is_ok())
                    .filter(|_| found.extents.len() < MAX_EXTENTS)
                    .ok_or(DescriptorError::TooLarge)?;
                found.extents.push(extent);
            } else if let Some((key, value)) = assignment(&line) {
                found.set(key, value);
            }
        }
        Ok(found)
    }

    fn set(&mut self, key: &str, value: &str) {
        let number = || u32::from_str_radix(value, 16).ok();
        match key.to_ascii_lowercase().as_str() {
            "cid" => self.cid = number(),
            "parentcid" => self.parent_cid = number().filter(|number| *number != NO_PARENT),
            "createtype" => self.create_type = value.to_owned(),
            "parentfilenamehint" if !value.is_empty() => {
                self.parent_file_name_hint = Some(value.to_owned());
            }
            lower if lower.starts_with("ddb.") => {
                self.ddb.push((key.to_owned(), value.to_owned()));
            }
            _ => {}
        }
    }

    /// The size of the disk as a guest sees it.
    pub fn capacity_bytes(&self) -> u64 {
        // `parse` has seen to it that this fits.
        self.extents
            .iter()
            .fold(0, |sum, extent| extent.sectors.saturating_mul(SECTOR).saturating_add(sum))
    }

    /// Whether it stands for itself: it builds on no other disk. One that names no parent file and whose extents are all flat
    /// does, whatever its `parentCID` says (vcsim writes 0): flat extents hold everything.
    pub fn is_base(&self) -> bool {
        let flat = |extent: &Extent| extent.kind.is_flat() || extent.kind == ExtentKind::Zero;
        let whole = !self.extents.is_empty() && self.extents.iter().all(flat);
        self.parent_file_name_hint.is_none() && (self.parent_cid.is_none() || whole)
    }

    /// A value of the disk database; `name` as in `ddb.adapterType`. Case does not matter.
    pub fn ddb(&self, name: &str) -> Option<&str> {
        let found = self.ddb.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether blocks are allotted when they are first written to.
    pub fn is_thin(&self) -> bool {
        self.ddb("ddb.thinProvisioned") == Some("1")
    }
}

/// `key = "value"`, with or without quotes and spaces.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let value = value.trim();
    let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Some((key.trim(), quoted.unwrap_or(value)))
}

/// The first word of an extent.
fn access(line: &str) -> Option<Access> {
    match line.split_ascii_whitespace().next()? {
        "RW" => Some(Access::ReadWrite),
        "RDONLY" => Some(Access::ReadOnly),
        "NOACCESS" => Some(Access::None),
        _ => None,
    }
}

/// `RW 2097152 FLAT "disk-flat.vmdk" 0`.
fn extent(line: &str, access: Access) -> Option<Extent> {
    // A name may have spaces, and quotes in it: it ends with the last one.
    let (head, file, tail) = match (line.find('"'), line.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            (&line[..first], Some(line[first + 1..last].to_owned()), &line[last + 1..])
        }
        (None, _) => (line, None, ""),
        _ => return None,
    };
    let mut words = head.split_ascii_whitespace().skip(1);
    let sectors = words.next()?.parse().ok()?;
    let kind = ExtentKind::read(words.next()?);
    if words.next().is_some() || file.is_none() && kind != ExtentKind::Zero {
        return None;
    }
    let offset = match tail.split_ascii_whitespace().next() {
        Some(word) if kind.is_flat() => word.parse().ok()?,
        _ => 0,
    };
    Some(Extent { access, sectors, kind, file, offset })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn disk(lines: &str) -> Result<Descriptor, DescriptorError> {
        Descriptor::parse(format!("# Disk DescriptorFile\nversion=1\n{lines}").as_bytes())
    }

    #[test]
    fn the_disks_of_a_host() {
        let found = disk(
            "encoding=\"UTF-8\"\r\nCID=123abcde\r\nparentCID=ffffffff\r\nisNativeSnapshot=\"no\"\r\n\
             createType=\"vmfs\"\r\n\r\n# Extent description\r\nRW 83886080 VMFS \"web 01-flat.vmdk\"\r\n\r\n\
             # The Disk Data Base \r\n#DDB\r\n\r\nddb.adapterType = \"lsilogic\"\r\nddb.thinProvisioned = \"1\"\r\n",
        )
        .unwrap();
        assert_eq!((found.cid, found.parent_cid), (Some(0x123a_bcde), None));
        assert_eq!(found.create_type, "vmfs");
        assert_eq!(found.capacity_bytes(), 40 << 30);
        assert!(found.is_base() && found.is_thin());
        assert_eq!(found.ddb("DDB.adaptertype"), Some("lsilogic"));
        assert_eq!(
            found.extents,
            [Extent {
                access: Access::ReadWrite,
                sectors: 83_886_080,
                kind: ExtentKind::Vmfs,
                file: Some("web 01-flat.vmdk".to_owned()),
                offset: 0,
            }]
        );
        let child = disk(
            "CID=1\nparentCID=123abcde\ncreateType=\"seSparse\"\nparentFileNameHint=\"web 01.vmdk\"\n\
             RW 83886080 SESPARSE \"web 01-000001-sesparse.vmdk\"\n",
        )
        .unwrap();
        assert_eq!(child.parent_file_name_hint.as_deref(), Some("web 01.vmdk"));
        assert!(!child.is_base());
        assert_eq!(child.extents[0].kind, ExtentKind::SeSparse);
        // A parent's number alone makes no child of what holds everything.
        let of_vcsim = "CID=00000000\nparentCID=00000000\ncreateType=\"vmfs\"\n";
        assert!(disk(&format!("{of_vcsim}RW 8 VMFS \"a-flat.vmdk\"")).unwrap().is_base());
        assert!(!disk(&format!("{of_vcsim}RW 8 SESPARSE \"a-sesparse.vmdk\"")).unwrap().is_base());
        assert!(!disk(of_vcsim).unwrap().is_base());
    }

    #[test]
    fn extents() {
        for (line, expect) in [
            ("RW 4192256 SPARSE \"a-s001.vmdk\"", Some((4_192_256, Some("a-s001.vmdk"), 0))),
            ("RW 63 FLAT \"a-pt.vmdk\" 0", Some((63, Some("a-pt.vmdk"), 0))),
            ("RW 63 FLAT \"a.vmdk\" 128", Some((63, Some("a.vmdk"), 128))),
            ("RW 20 ZERO", Some((20, None, 0))),
            ("NOACCESS 20 ZERO ", Some((20, None, 0))),
            ("RDONLY 8 VMFS \"vsan://52a-b\"", Some((8, Some("vsan://52a-b"), 0))),
            (
                "RW 8 VMFSRDM \"a \"quoted\" name.vmdk\"",
                Some((8, Some("a \"quoted\" name.vmdk"), 0)),
            ),
            ("RW 8 NEWKIND \"x\" 1 2 3", Some((8, Some("x"), 0))),
            ("RW", None),
            ("RW x VMFS \"a\"", None),
            ("RW -1 VMFS \"a\"", None),
            ("RW 1 VMFS", None),
            ("RW 1 VMFS \"a", None),
            ("RW 1 VMFS a \"b\"", None),
            ("RW 1 FLAT \"a\" x", None),
        ] {
            let found = disk(line).map(|disk| disk.extents);
            match expect {
                Some((sectors, file, offset)) => {
                    let found = &found.unwrap()[0];
                    let found = (found.sectors, found.file.as_deref(), found.offset);
                    assert_eq!(found, (sectors, file, offset), "{line}");
                }
                None => {
                    assert!(matches!(found, Err(DescriptorError::Extent { line: 3, .. })), "{line}")
                }
            }
        }
        let huge = format!("RW {} VMFS \"a\"", u64::MAX);
        assert_eq!(disk(&huge), Err(DescriptorError::TooLarge));
        let half = "RW 9007199254740992 VMFS \"a\"\n".repeat(2);
        assert_eq!(disk(&half), Err(DescriptorError::TooLarge));
    }

    #[test]
    fn charsets_and_foreign_files() {
        let text = [
            b"# Disk DescriptorFile\nencoding=\"GBK\"\nRW 8 VMFS \"".as_slice(),
            &[0xd6, 0xd0, 0xce, 0xc4],
            b"-flat.vmdk\"\n",
        ]
        .concat();
        let found = Descriptor::parse(&text).unwrap();
        assert_eq!(found.extents[0].file.as_deref(), Some("中文-flat.vmdk"));
        assert!(matches!(disk("encoding=\"EBCDIC\""), Err(DescriptorError::Encoding(_))));
        for foreign in [b"KDMV\x01\0\0\0".as_slice(), b"COWD", b"", b"\0\0\0\0", b"# Disk"] {
            assert_eq!(Descriptor::parse(foreign), Err(DescriptorError::NotADescriptor));
        }
        // As it is embedded in a hosted sparse disk.
        let embedded = b"# Disk DescriptorFile\nCID=1\n\0\0\0RW garbage";
        assert_eq!(Descriptor::parse(embedded).unwrap().cid, Some(1));
    }

    proptest! {
        #[test]
        fn nothing_panics(lines in "[ -~\\n]{0,300}") {
            if let Ok(found) = disk(&lines) {
                prop_assert!(i64::try_from(found.capacity_bytes()).is_ok());
            }
        }
    }
}
