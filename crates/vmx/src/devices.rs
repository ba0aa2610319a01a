//! All keys by their devices, for readers that look at many.

use crate::document::Document;
use crate::index::{Index, device_len};
use crate::value::{self, ValueError};

/// The keys of a [`Document`] by device: by what stands before their first dot.
///
/// Looking a key up by device and name costs a few comparisons and puts no strings together.
pub struct Devices<'a> {
    index: Index,
    entries: Vec<Key<'a>>,
    /// The first key of each device.
    firsts: Vec<u32>,
    /// The key that was put in before, and its device's first one.
    before: Option<(u32, u32)>,
}

/// A key with its value, in the chain of its device.
struct Key<'a> {
    /// `scsi0:1.`
    device: &'a str,
    /// `fileName`
    name: &'a str,
    value: &'a str,
    /// The next one of the device.
    next: Option<u32>,
    /// In a device's first one: its last one.
    last: u32,
}

/// One device's keys: those that start with its prefix, which ends with the first dot.
#[derive(Clone, Copy)]
pub struct Device<'a> {
    devices: &'a Devices<'a>,
    prefix: &'a str,
    first: Option<u32>,
}

impl<'a> Devices<'a> {
    pub(crate) fn new(document: &'a Document) -> Self {
        let count = document.order.len();
        let index = Index::with_capacity(count / 2);
        let mut devices = Self {
            index,
            entries: Vec::with_capacity(count),
            firsts: Vec::with_capacity(count / 2),
            before: None,
        };
        for entry in document.entries() {
            let (device, name) = entry.key.split_at(device_len(entry.key.as_bytes()));
            devices.push(device, name, entry.value);
        }
        devices
    }

    fn push(&mut self, device: &'a str, name: &'a str, value: &'a str) {
        // No more than lines, whose places are of this type.
        let place = self.entries.len() as u32;
        self.entries.push(Key { device, name, value, next: None, last: place });
        // Mostly it is the device of the line before.
        if let Some((before, first)) = self.before
            && self.entries[before as usize].device == device
        {
            self.chain(first, place);
            return;
        }
        let hash = self.index.hash(device.as_bytes());
        let Some(first) = self.first(hash, device, place) else {
            self.before = Some((place, place));
            self.firsts.push(place);
            let entries = &self.entries;
            self.index.insert(hash, place, |index, at| {
                entries.get(at as usize).map_or(0, |key| index.hash(key.device.as_bytes()))
            });
            return;
        };
        self.chain(first, place);
    }

    fn chain(&mut self, first: u32, place: u32) {
        let last = std::mem::replace(&mut self.entries[first as usize].last, place);
        self.entries[last as usize].next = Some(place);
        self.before = Some((place, first));
    }

    fn first(&self, hash: u64, device: &str, below: u32) -> Option<u32> {
        self.index.find(hash, |at| {
            at < below && self.entries[at as usize].device.eq_ignore_ascii_case(device)
        })
    }

    /// All devices in file order, with their prefixes as they are spelled first. A key without a dot is
    /// one of its own.
    pub fn iter(&self) -> impl Iterator<Item = Device<'_>> {
        self.firsts.iter().filter_map(|&at| {
            let key = self.entries.get(at as usize)?;
            Some(Device { devices: self, prefix: key.device, first: Some(at) })
        })
    }

    /// As [`Document::get`].
    pub fn get(&self, key: &str) -> Option<&'a str> {
        let (prefix, name) = key.split_at(device_len(key.as_bytes()));
        self.value(self.first(self.index.hash(prefix.as_bytes()), prefix, u32::MAX), name)
    }

    /// As [`Document::get_bool`].
    ///
    /// # Errors
    /// The value is neither `true` nor `false`.
    pub fn get_bool(&self, key: &str) -> Result<Option<bool>, ValueError> {
        typed(self.get(key), || key.to_owned(), value::BOOL, value::parse_bool)
    }

    /// As [`Document::get_integer`].
    ///
    /// # Errors
    /// The value is no integer.
    pub fn get_integer(&self, key: &str) -> Result<Option<i64>, ValueError> {
        typed(self.get(key), || key.to_owned(), value::INTEGER, value::parse_integer)
    }

    /// The value of the key of that name in the chain that starts there.
    fn value(&self, first: Option<u32>, name: &str) -> Option<&'a str> {
        let mut at = first;
        while let Some(key) = at.and_then(|at| self.entries.get(at as usize)) {
            if key.name.len() == name.len() && key.name.eq_ignore_ascii_case(name) {
                return Some(key.value);
            }
            at = key.next;
        }
        None
    }

    /// The device of that prefix, such as `scsi0:1.`; it may have no keys.
    pub fn device<'b>(&'b self, prefix: &'b str) -> Device<'b> {
        let first = self.first(self.index.hash(prefix.as_bytes()), prefix, u32::MAX);
        Device { devices: self, prefix, first }
    }
}

impl<'a> Device<'a> {
    /// The prefix as it was asked for.
    pub fn prefix(&self) -> &'a str {
        self.prefix
    }

    /// The whole key of a name of this device.
    pub fn key(&self, name: &str) -> String {
        [self.prefix, name].concat()
    }

    /// Whether the device has no keys.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The value of a key of the device.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.devices.value(self.first, name)
    }

    /// The values of several keys of the device, found in one pass.
    pub fn values<const N: usize>(&self, names: [&str; N]) -> [Option<&'a str>; N] {
        let mut values = [None; N];
        let mut at = self.first;
        while let Some(key) = at.and_then(|at| self.devices.entries.get(at as usize)) {
            for (name, value) in names.iter().zip(&mut values) {
                if key.name.len() == name.len() && key.name.eq_ignore_ascii_case(name) {
                    value.get_or_insert(key.value);
                }
            }
            at = key.next;
        }
        values
    }

    /// As [`Document::get_bool`].
    ///
    /// # Errors
    /// The value is neither `true` nor `false`.
    pub fn get_bool(&self, name: &str) -> Result<Option<bool>, ValueError> {
        typed(self.get(name), || self.key(name), value::BOOL, value::parse_bool)
    }

    /// As [`Document::get_integer`].
    ///
    /// # Errors
    /// The value is no integer.
    pub fn get_integer(&self, name: &str) -> Result<Option<i64>, ValueError> {
        typed(self.get(name), || self.key(name), value::INTEGER, value::parse_integer)
    }
}

fn typed<T>(
    value: Option<&str>,
    key: impl FnOnce() -> String,
    expected: &'static str,
    read: fn(&str) -> Option<T>,
) -> Result<Option<T>, ValueError> {
    let Some(value) = value else { return Ok(None) };
    match read(value) {
        Some(value) => Ok(Some(value)),
        None => Err(ValueError { key: key(), value: value.to_owned(), expected }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_device_and_name() {
        let text = "scsi0:1.present = \"TRUE\"\nfloppy0.x = \"y\"\nSCSI0:1.FileName = \"a\"\nscsi0:1.filename = \"b\"\nalone = \"1\"\n.encoding = \"utf-8\"\nethernet0.dvs.portId = \" 7\"\n";
        let document = Document::parse(text.as_bytes()).unwrap();
        let devices = document.devices();
        let table = [
            ("scsi0:1.", "present", Some("TRUE")),
            ("scsi0:1.", "fileName", Some("a")),
            ("Scsi0:1.", "mode", None),
            ("scsi0:", "present", None),
            ("scsi0:2.", "present", None),
            ("ethernet0.", "dvs.portId", Some(" 7")),
            ("alone", "", Some("1")),
            (".", "encoding", Some("utf-8")),
        ];
        for (prefix, name, expect) in table {
            let device = devices.device(prefix);
            assert_eq!(device.get(name), expect, "{prefix}{name}");
            assert_eq!(device.get(name), document.get(&device.key(name)), "{prefix}{name}");
            assert_eq!(device.values(["x", name, name]), [device.get("x"), expect, expect]);
        }
        for entry in document.entries() {
            assert_eq!(devices.get(entry.key), document.get(entry.key), "{}", entry.key);
        }
        assert_eq!(devices.get("SCSI0:1.FILENAME"), Some("a"));
        let prefixes: Vec<&str> = devices.iter().map(|device| device.prefix()).collect();
        assert_eq!(prefixes, ["scsi0:1.", "floppy0.", "alone", ".", "ethernet0."]);
        assert_eq!(devices.device("ethernet0.").get_integer("dvs.portid"), Ok(Some(7)));
        let error = devices.device("floppy0.").get_bool("x").unwrap_err();
        assert_eq!(error.to_string(), "value 'y' of key floppy0.x is not true or false");
    }
}
