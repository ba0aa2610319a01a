//! Errors as they travel (libvirt-rpc.md 7).

use virt_api::{Domain, Error, ErrorCode, ErrorDomain, NetworkHandle};

use crate::xdr::{Reader, Result, Writer, Xdr, XdrError};

/// Level of every error that we send: `VIR_ERR_ERROR`.
const LEVEL_ERROR: i32 = 2;
/// Longest message sent, in bytes.
const MAX_MESSAGE_BYTES: usize = 65_536;

/// The payload of a packet with status error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    /// Number of a [`ErrorCode`].
    pub code: i32,
    /// Number of a [`ErrorDomain`].
    pub domain: i32,
    /// Everything that a person sees: the client adds nothing.
    pub message: Option<String>,
    /// How bad it is; 2 is an error.
    pub level: i32,
    /// The domain that it is about.
    pub about_domain: Option<Domain>,
    /// Template of the message.
    pub str1: Option<String>,
    /// Detail.
    pub str2: Option<String>,
    /// Unused.
    pub str3: Option<String>,
    /// -1.
    pub int1: i32,
    /// -1.
    pub int2: i32,
    /// The network that it is about.
    pub about_network: Option<NetworkHandle>,
}

impl Xdr for WireError {
    const MIN_BYTES: usize = 44;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        self.code.encode(out)?;
        self.domain.encode(out)?;
        self.message.encode(out)?;
        self.level.encode(out)?;
        self.about_domain.encode(out)?;
        self.str1.encode(out)?;
        self.str2.encode(out)?;
        self.str3.encode(out)?;
        self.int1.encode(out)?;
        self.int2.encode(out)?;
        self.about_network.encode(out)
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            code: Xdr::decode(input)?,
            domain: Xdr::decode(input)?,
            message: Xdr::decode(input)?,
            level: Xdr::decode(input)?,
            about_domain: Xdr::decode(input)?,
            str1: Xdr::decode(input)?,
            str2: Xdr::decode(input)?,
            str3: Xdr::decode(input)?,
            int1: Xdr::decode(input)?,
            int2: Xdr::decode(input)?,
            about_network: Xdr::decode(input)?,
        })
    }
}

impl WireError {
    /// An error with exactly this message.
    #[must_use]
    pub fn new(code: ErrorCode, domain: ErrorDomain, message: String) -> Self {
        Self {
            code: code.number().cast_signed(),
            domain: domain.number().cast_signed(),
            message: Some(message),
            level: LEVEL_ERROR,
            about_domain: None,
            str1: None,
            str2: None,
            str3: None,
            int1: -1,
            int2: -1,
            about_network: None,
        }
    }

    /// A call of a procedure that nobody here knows: clients take these very words for "not supported".
    #[must_use]
    pub fn unknown_procedure(number: i32) -> Self {
        Self::new(ErrorCode::Rpc, ErrorDomain::Rpc, format!("unknown procedure: {number}"))
    }

    /// The error at the client's end.
    #[must_use]
    pub fn into_error(self) -> Error {
        let number = |number: i32| u32::try_from(number).ok();
        let code = number(self.code).and_then(ErrorCode::from_number);
        let domain = number(self.domain).and_then(ErrorDomain::from_number);
        let message = self.message.unwrap_or_else(|| format!("error {}", self.code));
        Error::new(
            code.unwrap_or(ErrorCode::InternalError),
            domain.unwrap_or(ErrorDomain::None),
            message,
        )
    }
}

/// The message is that of the error and everything below it, after what libvirt says for such a code.
impl From<&Error> for WireError {
    fn from(error: &Error) -> Self {
        let mut chain: Vec<String> = error.chain().map(|message| one_line(&message)).collect();
        chain.dedup();
        let mut message = chain.join(": ");
        if message.len() > MAX_MESSAGE_BYTES {
            let mut end = MAX_MESSAGE_BYTES;
            while !message.is_char_boundary(end) {
                end -= 1;
            }
            message.truncate(end);
        }
        let message = match opening(error.code) {
            Some(opening) if !message.starts_with(opening) => format!("{opening}: {message}"),
            _ => message,
        };
        Self::new(error.code, error.domain, message)
    }
}

/// An error that a server sent without what [`opening`] has put before its message: the program that shows it says what it
/// was about itself, as it does for an error of its own driver.
pub(crate) fn without_opening(mut error: Error) -> Error {
    if let Some(opening) = opening(error.code)
        && let Some(rest) =
            error.message.strip_prefix(opening).and_then(|rest| rest.strip_prefix(": "))
    {
        error.message = rest.to_owned();
    }
    error
}

/// What a caller sent cannot be read, or what it should get cannot be sent.
impl From<XdrError> for Error {
    fn from(error: XdrError) -> Self {
        let code = match error {
            XdrError::BadValue { .. } => ErrorCode::InvalidArg,
            _ => ErrorCode::Rpc,
        };
        Self::new(code, ErrorDomain::Rpc, error.to_string())
    }
}

/// Without what would break a line of a log.
fn one_line(message: &str) -> String {
    message.replace(|char: char| char.is_control(), " ")
}

/// What libvirt begins the message of a code with. Scripts look for some of them.
const fn opening(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::InternalError => "internal error",
        ErrorCode::NoSupport => "this function is not supported by the connection driver",
        ErrorCode::InvalidArg => "invalid argument",
        ErrorCode::OperationFailed => "operation failed",
        ErrorCode::XmlError => "XML error",
        ErrorCode::OperationDenied => "operation forbidden",
        ErrorCode::NetworkExist => "network already exists",
        ErrorCode::Rpc => "Cannot make the remote procedure call",
        ErrorCode::NoDomain => "Domain not found",
        ErrorCode::NoNetwork => "Network not found",
        ErrorCode::AuthFailed => "authentication failed",
        ErrorCode::NoStoragePool => "Storage pool not found",
        ErrorCode::NoStorageVol => "Storage volume not found",
        ErrorCode::OperationInvalid => "Requested operation is not valid",
        ErrorCode::NoInterface => "Interface not found",
        ErrorCode::ConfigUnsupported => "unsupported configuration",
        ErrorCode::OperationTimeout => "Timed out during operation",
        ErrorCode::NoDomainSnapshot => "Domain snapshot not found",
        ErrorCode::ArgumentUnsupported => "argument unsupported",
        ErrorCode::OperationAborted => "operation aborted",
        ErrorCode::NoDomainMetadata => "metadata not found",
        ErrorCode::OperationUnsupported => "Operation not supported",
        ErrorCode::AccessDenied => "access denied",
        ErrorCode::StorageVolExist => "storage volume already exists",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xdr::{from_bytes, to_bytes};

    #[test]
    fn the_layout_is_that_of_the_table() {
        let error = Error::no_domain("no domain with name 'x'");
        let bytes = to_bytes(&WireError::from(&error)).unwrap();
        let message = b"Domain not found: no domain with name 'x'";
        let parts: [&[u8]; 8] = [
            &[0, 0, 0, 42, 0, 0, 0, 28, 0, 0, 0, 1],
            &u32::try_from(message.len()).unwrap().to_be_bytes(),
            message,
            &[0, 0, 0],
            &[0, 0, 0, 2],
            &[0; 16],
            &[255; 8],
            &[0; 4],
        ];
        assert_eq!(bytes, parts.concat());
        let (read, rest) = from_bytes::<WireError>(&bytes).unwrap();
        assert_eq!(rest, 0);
        let read = read.into_error();
        assert_eq!((read.code, read.domain), (ErrorCode::NoDomain, ErrorDomain::Esx));
        assert_eq!(read.message, "Domain not found: no domain with name 'x'");
        // An error that passes through twice does not grow, nor one that a client of ours has read.
        let message = Some(read.message.clone());
        assert_eq!(WireError::from(&read).message, message);
        let read = without_opening(read);
        assert_eq!(read.message, "no domain with name 'x'");
        assert_eq!(WireError::from(&read).message, message);
    }

    #[test]
    fn the_chain_is_told_and_openings_are_not_doubled() {
        let below = Error::internal(ErrorDomain::Esx, "the host said\nno");
        let error = Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, "cannot start 'x'")
            .with_source(below);
        assert_eq!(
            WireError::from(&error).message.unwrap(),
            "Requested operation is not valid: cannot start 'x': the host said no"
        );
        assert_eq!(
            WireError::from(&Error::no_support("virDomainSave")).message.unwrap(),
            "this function is not supported by the connection driver: virDomainSave"
        );
    }

    #[test]
    fn unknown_procedures_have_the_words_clients_look_for() {
        let error = WireError::unknown_procedure(9999);
        assert_eq!((error.code, error.domain, error.level), (39, 7, 2));
        assert!(error.message.unwrap().starts_with("unknown procedure"));
    }

    #[test]
    fn unknown_codes_are_internal_errors() {
        let mut error = WireError::unknown_procedure(1);
        error.code = -5;
        error.message = None;
        let error = error.into_error();
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::InternalError, "error -5"));
    }
}
