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
        let mut devices = Self { index, entries: Vec::with_capacity(count), before: None };
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
        let mut at = self.first;
        while let Some(key) = at.and_then(|at| self.devices.entries.get(at as usize)) {
            if key.name.len() == name.len() && key.name.eq_ignore_ascii_case(name) {
                return Some(key.value);
            }
            at = key.next;
        }
        None
    }

    /// As [`Document::get_bool`].
    ///
    /// # Errors
    /// The value is neither `true` nor `false`.
    pub fn get_bool(&self, name: &str) -> Result<Option<bool>, ValueError> {
        self.typed(name, value::BOOL, value::parse_bool)
    }

    /// As [`Document::get_integer`].
    ///
    /// # Errors
    /// The value is no integer.
    pub fn get_integer(&self, name: &str) -> Result<Option<i64>, ValueError> {
        self.typed(name, value::INTEGER, value::parse_integer)
    }

    fn typed<T>(
        &self,
        name: &str,
        expected: &'static str,
        read: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ValueError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match read(value) {
            Some(value) => Ok(Some(value)),
            None => Err(ValueError { key: self.key(name), value: value.to_owned(), expected }),
        }
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
        }
        assert_eq!(devices.device("ethernet0.").get_integer("dvs.portid"), Ok(Some(7)));
        let error = devices.device("floppy0.").get_bool("x").unwrap_err();
        assert_eq!(error.to_string(), "value 'y' of key floppy0.x is not true or false");
    }
}
