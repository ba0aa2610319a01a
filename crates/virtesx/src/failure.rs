//! How errors are shown: one line for people, one JSON object for programs.

use virt_api::{Error, ErrorCode, ErrorDomain};

use crate::render::{Format, printable};

/// Adds what the program was about to do.
pub(crate) trait Context<T> {
    /// Puts `message` above the error; code and domain stay.
    fn context(self, message: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Context<T> for Result<T, Error> {
    fn context(self, message: impl FnOnce() -> String) -> Self {
        self.map_err(|error| Error::new(error.code, error.domain, message()).with_source(error))
    }
}

/// A mistake on the command line: `VIR_ERR_INVALID_ARG`.
pub(crate) fn usage(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidArg, ErrorDomain::None, message)
}

/// A file that cannot be read or written: `VIR_ERR_SYSTEM_ERROR`.
pub(crate) fn system(message: impl Into<String>, source: std::io::Error) -> Error {
    Error::new(ErrorCode::SystemError, ErrorDomain::None, message).with_source(source)
}

/// The text for stderr, with its end of line.
pub(crate) fn to_text(error: &Error, format: Format) -> String {
    let mut chain: Vec<String> = error.chain().map(|message| one_line(&message)).collect();
    chain.dedup();
    match format {
        Format::Json => {
            let value = serde_json::json!({
                "code": error.code.number(),
                "code_name": error.code.name(),
                "domain": error.domain.number(),
                "domain_name": error.domain.name(),
                "message": chain[0],
                "cause": chain[1..],
            });
            format!("{value}\n")
        }
        Format::Table | Format::Yaml => format!("error: {}\n", chain.join(": ")),
    }
}

/// The message without line breaks and without anything a terminal would act upon.
fn one_line(message: &str) -> String {
    let words: Vec<&str> =
        message.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    printable(&words.join(" "))
}

#[cfg(test)]
mod tests {
    use virt_api::{Error, ErrorDomain};

    use super::{Context, to_text};
    use crate::render::Format;

    #[test]
    fn the_chain_is_told_once_and_on_one_line() {
        let host = Error::internal(ErrorDomain::Esx, "host said:\n  \u{1b}[31mno\r\n");
        let same = Error::internal(ErrorDomain::Esx, "cannot log in").with_source(host);
        let error = Err::<(), _>(same).context(|| "cannot log in".to_owned()).unwrap_err();
        assert_eq!(
            to_text(&error, Format::Table),
            "error: cannot log in: host said: \\x1b[31mno\n"
        );
        assert_eq!(
            to_text(&error, Format::Json),
            "{\"code\":1,\"code_name\":\"VIR_ERR_INTERNAL_ERROR\",\"domain\":28,\"domain_name\":\"VIR_FROM_ESX\",\
             \"message\":\"cannot log in\",\"cause\":[\"host said: \\\\x1b[31mno\"]}\n"
        );
    }
}
