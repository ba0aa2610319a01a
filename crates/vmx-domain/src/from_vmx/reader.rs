//! Reading keys: typed, with libvirt's errors, or with warnings where default mode goes on.

use std::collections::BTreeSet;

use esx_vmx::{Device, Devices, Document, ValueError};

use crate::bend::Bend;
use crate::context::Context;
use crate::error::{Error, Warning};
use crate::files::{self, Missing};

pub(crate) struct Reader<'a> {
    pub(crate) document: &'a Document,
    devices: &'a Devices<'a>,
    pub(crate) context: &'a Context,
    pub(crate) warnings: Vec<Warning>,
}

impl Bend for Reader<'_> {
    fn exact(&self) -> bool {
        self.context.exact()
    }

    fn warnings(&mut self) -> &mut Vec<Warning> {
        &mut self.warnings
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        document: &'a Document,
        devices: &'a Devices<'a>,
        context: &'a Context,
    ) -> Self {
        Self { document, devices, context, warnings: Vec::new() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        self.devices.get(key)
    }

    /// All devices, in file order.
    pub(crate) fn devices(&self) -> impl Iterator<Item = Device<'a>> + use<'a> {
        self.devices.iter()
    }

    /// The keys of a device.
    pub(crate) fn group<'p>(&self, prefix: &'p str) -> Device<'p>
    where
        'a: 'p,
    {
        self.devices.device(prefix)
    }

    /// A value that must be there; `None` only in default mode.
    pub(crate) fn essential(
        &mut self,
        group: Device<'_>,
        name: &str,
    ) -> Result<Option<String>, Error> {
        match group.get(name) {
            Some(value) => Ok(Some(value.to_owned())),
            None => {
                let error = Error::internal(group.key(name), "required key is absent");
                self.bend(error, "device left out")?;
                Ok(None)
            }
        }
    }

    pub(crate) fn boolean(&mut self, key: &str, default: bool) -> Result<bool, Error> {
        self.boolean_or(self.devices.get_bool(key), default)
    }

    /// As [`Reader::boolean`], of a device.
    pub(crate) fn flag(
        &mut self,
        group: Device<'_>,
        name: &str,
        default: bool,
    ) -> Result<bool, Error> {
        self.boolean_or(group.get_bool(name), default)
    }

    /// As [`Reader::flag`], of a value that has been looked up.
    pub(crate) fn flag_in(
        &mut self,
        value: Option<&str>,
        group: Device<'_>,
        name: &str,
        default: bool,
    ) -> Result<bool, Error> {
        match value.map(esx_vmx::parse_bool) {
            None => Ok(default),
            Some(Some(flag)) => Ok(flag),
            // Its error says what is wrong.
            Some(None) => self.flag(group, name, default),
        }
    }

    fn boolean_or(
        &mut self,
        read: Result<Option<bool>, ValueError>,
        default: bool,
    ) -> Result<bool, Error> {
        match read {
            Ok(value) => Ok(value.unwrap_or(default)),
            Err(error) => {
                let instead = if default { "taken for true" } else { "taken for false" };
                self.bend(error.into(), instead)?;
                Ok(default)
            }
        }
    }

    pub(crate) fn integer(&mut self, key: &str, default: i64) -> Result<i64, Error> {
        Ok(self.integer_opt(key)?.unwrap_or(default))
    }

    pub(crate) fn integer_opt(&mut self, key: &str) -> Result<Option<i64>, Error> {
        self.integer_or_none(self.devices.get_integer(key))
    }

    /// As [`Reader::integer_opt`], of a device.
    pub(crate) fn number(&mut self, group: Device<'_>, name: &str) -> Result<Option<i64>, Error> {
        self.integer_or_none(group.get_integer(name))
    }

    fn integer_or_none(
        &mut self,
        read: Result<Option<i64>, ValueError>,
    ) -> Result<Option<i64>, Error> {
        match read {
            Ok(value) => Ok(value),
            Err(error) => {
                self.bend(error.into(), "ignored")?;
                Ok(None)
            }
        }
    }

    pub(crate) fn source(
        &mut self,
        key: impl Fn() -> String,
        name: &str,
        missing: Missing,
    ) -> Result<Option<String>, Error> {
        files::to_source(self.context, &mut self.warnings, &key, name, missing)
    }

    /// The numbers N of keys `<stem>N…`, with an end after the number.
    pub(crate) fn numbers(&self, stem: &str) -> BTreeSet<i64> {
        let number = |key: &str| {
            let (head, rest) = key.split_at_checked(stem.len())?;
            if !head.eq_ignore_ascii_case(stem) {
                return None;
            }
            let digits = rest.split(['.', ':']).next()?;
            let plain = digits.bytes().all(|b| b.is_ascii_digit())
                && (digits == "0" || !digits.starts_with('0'));
            plain.then(|| digits.parse().ok()).flatten()
        };
        self.devices().filter_map(|device| number(device.prefix())).collect()
    }
}
