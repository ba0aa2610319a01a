//! The text under construction.

use std::fmt::{Display, Write};

use esx_vmx::Document;

use super::VmxConversion;
use crate::bend::Bend;
use crate::context::Context;
use crate::error::{Error, Warning};
use crate::files;

pub(crate) struct Writer<'a> {
    pub(crate) context: &'a Context,
    pub(crate) hardware: u32,
    text: String,
    warnings: Vec<Warning>,
}

impl Bend for Writer<'_> {
    fn exact(&self) -> bool {
        self.context.exact()
    }

    fn warnings(&mut self) -> &mut Vec<Warning> {
        &mut self.warnings
    }
}

impl<'a> Writer<'a> {
    pub(crate) fn new(context: &'a Context, hardware: u32) -> Self {
        Self { context, hardware, text: String::new(), warnings: Vec::new() }
    }

    /// The name of the file at a source path.
    pub(crate) fn file_name(&mut self, at: &str, source: &str) -> Result<String, Error> {
        let (name, assumed) = files::to_file_name(self.context, at, source)?;
        if let Some(assumed) = assumed {
            self.warn(at, assumed);
        }
        Ok(name)
    }

    /// A line `key = "value"`. libvirt writes any value as it is, even one that breaks the line; default
    /// mode escapes what cannot stand between quotes.
    pub(crate) fn line(&mut self, key: &str, value: impl Display) {
        self.text.push_str(key);
        self.text.push_str(" = \"");
        let start = self.text.len();
        // Writing to a string does not fail.
        let _ = write!(self.text, "{value}");
        let breaking = |c: char| c == '"' || c < ' ';
        if !self.exact() && self.text[start..].contains(breaking) {
            // Escapes of this key's own have no such characters.
            for c in self.text.split_off(start).chars() {
                match c {
                    c if breaking(c) => self.text.push_str(&format!("|{:02X}", u32::from(c))),
                    c => self.text.push(c),
                }
            }
            self.warn(
                key,
                "quotes and control characters are escaped; libvirt writes them as they are",
            );
        }
        self.text.push_str("\"\n");
    }

    /// As [`Writer::line`], unless there is such a line. Says whether there was none.
    pub(crate) fn line_once(&mut self, key: &str, value: &str) -> bool {
        let new = !self.text.lines().any(|line| line.starts_with(&format!("{key} = ")));
        if new {
            self.line(key, value);
        }
        new
    }

    pub(crate) fn finish(self) -> Result<VmxConversion, Error> {
        let document = Document::parse(self.text.as_bytes())?;
        Ok(VmxConversion { document, warnings: self.warnings })
    }
}
