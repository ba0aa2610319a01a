//! The keys of one device.

use crate::document::{Document, Entry};
use crate::value::ValueError;

/// The keys of a [`Document`] that start with one prefix, which is left out of the names here.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    document: &'a Document,
    prefix: &'a str,
}

impl<'a> Group<'a> {
    pub(crate) fn new(document: &'a Document, prefix: &'a str) -> Self {
        Self { document, prefix }
    }

    /// The prefix as it was asked for.
    pub fn prefix(&self) -> &'a str {
        self.prefix
    }

    /// The whole key of a name in this group.
    pub fn key(&self, name: &str) -> String {
        [self.prefix, name].concat()
    }

    /// The value of a key of the group.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.document.get(&self.key(name))
    }

    /// As [`Document::get_bool`].
    ///
    /// # Errors
    /// The value is neither `true` nor `false`.
    pub fn get_bool(&self, name: &str) -> Result<Option<bool>, ValueError> {
        self.document.get_bool(&self.key(name))
    }

    /// As [`Document::get_integer`].
    ///
    /// # Errors
    /// The value is no integer.
    pub fn get_integer(&self, name: &str) -> Result<Option<i64>, ValueError> {
        self.document.get_integer(&self.key(name))
    }

    /// The keys of the group without the prefix, with their values, in file order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let prefix = self.prefix;
        self.document.entries().filter_map(move |entry| {
            let (head, name) = entry.key.split_at_checked(prefix.len())?;
            head.eq_ignore_ascii_case(prefix).then_some(Entry { key: name, value: entry.value })
        })
    }

    /// Whether no key starts with the prefix.
    pub fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }
}
