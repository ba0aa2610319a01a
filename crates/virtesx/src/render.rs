//! Typed results as text for people, or as JSON or YAML for programs.

pub(crate) mod devices;
pub(crate) mod domain;
mod done;
pub(crate) mod host;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod network;
pub(crate) mod pin;
pub(crate) mod question;
pub(crate) mod resources;
pub(crate) mod snapshot;
pub(crate) mod storage;
mod table;
mod text;
pub(crate) mod vmx;

use serde_json::Value;
use virt_api::{Error, ErrorCode, ErrorDomain};

pub(crate) use done::Done;
pub(crate) use table::{layout, printable};
pub(crate) use text::{Fields, Text};

/// How a result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// As virsh does.
    #[default]
    Table,
    /// One JSON document per command.
    Json,
    /// One YAML document per command.
    Yaml,
}

/// A result that can be shown.
pub(crate) trait Render {
    /// What virsh prints, without the blank line at the end; `quiet` leaves headers out.
    fn table(&self, quiet: bool) -> String;

    /// The same for a program: stable keys, units in their names, `null` for what is not known.
    fn value(&self) -> Value;

    /// What the user should know besides, one line each, for stderr.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Bytes to be written as they are, whatever the format: a file on its way through.
    fn raw(&self) -> Option<&[u8]> {
        None
    }

    /// Whether the command counts as a success: a check that found something does not.
    fn is_good(&self) -> bool {
        true
    }
}

/// Writes a result. `first` says that nothing was written before: YAML documents are set apart from each other.
///
/// # Errors
/// Only if the serialiser fails.
pub(crate) fn to_string(
    result: &dyn Render,
    format: Format,
    quiet: bool,
    first: bool,
) -> Result<String, Error> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(ErrorCode::InternalError, ErrorDomain::None, "cannot write the result")
            .with_source(error)
    };
    match format {
        Format::Table => {
            let mut text = result.table(quiet);
            if !quiet {
                text.push('\n');
            }
            Ok(text)
        }
        Format::Json => match result.value() {
            Value::Null => Ok(String::new()),
            value => serde_json::to_string_pretty(&value)
                .map(|text| text + "\n")
                .map_err(|error| failed(error.into())),
        },
        Format::Yaml => match result.value() {
            Value::Null => Ok(String::new()),
            value => {
                let text = serde_saphyr::to_string(&value)
                    .map_err(|error| failed(error.to_string().into()))?;
                let start = if first { "" } else { "---\n" };
                let end = if text.ends_with('\n') { "" } else { "\n" };
                Ok(format!("{start}{text}{end}"))
            }
        },
    }
}
