//! Errors in libvirt's numbers, and warnings.

use std::fmt;

/// Why a document cannot be converted: libvirt's error numbers, the place and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{location}: {reason}")]
pub struct Error {
    /// libvirt's error code (`virErrorNumber`).
    pub code: Code,
    /// libvirt's error domain (`virErrorDomain`).
    pub domain: ErrorDomain,
    /// The VMX key, or the path of the XML element.
    pub location: String,
    /// What is wrong there, as one phrase.
    pub reason: String,
}

impl Error {
    /// An error raised by the VMX mapping itself.
    pub(crate) fn new(code: Code, location: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self {
            code,
            domain: ErrorDomain::None,
            location: location.into(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn internal(location: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::new(Code::InternalError, location, reason)
    }

    pub(crate) fn unsupported(location: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::new(Code::ConfigUnsupported, location, reason)
    }

    /// The same error raised by another part of libvirt.
    pub(crate) fn in_domain(mut self, domain: ErrorDomain) -> Self {
        self.domain = domain;
        self
    }
}

/// The error codes that conversions raise; the numbers are those of libvirt's public header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// `VIR_ERR_INTERNAL_ERROR`
    InternalError = 1,
    /// `VIR_ERR_INVALID_ARG`
    InvalidArg = 8,
    /// `VIR_ERR_NO_SOURCE`
    NoSource = 19,
    /// `VIR_ERR_NO_TARGET`
    NoTarget = 20,
    /// `VIR_ERR_NO_NAME`
    NoName = 21,
    /// `VIR_ERR_XML_ERROR`
    XmlError = 27,
    /// `VIR_ERR_CONF_SYNTAX`
    ConfSyntax = 33,
    /// `VIR_ERR_XML_DETAIL`
    XmlDetail = 35,
    /// `VIR_ERR_CONFIG_UNSUPPORTED`
    ConfigUnsupported = 67,
    /// `VIR_ERR_OVERFLOW`
    Overflow = 82,
}

impl Code {
    /// libvirt's number.
    pub fn number(self) -> i32 {
        self as i32
    }
}

/// The parts of libvirt that conversions raise errors from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum ErrorDomain {
    /// `VIR_FROM_NONE`: the VMX mapping.
    None = 0,
    /// `VIR_FROM_XML`: the XML helpers.
    Xml = 5,
    /// `VIR_FROM_CONF`: the VMX lexer.
    Conf = 9,
    /// `VIR_FROM_DOMAIN`: the domain document.
    Domain = 20,
    /// `VIR_FROM_ESX`: the mapping of file names.
    Esx = 28,
    /// `VIR_FROM_CPU`: the CPU's mode.
    Cpu = 31,
    /// `VIR_FROM_CAPABILITIES`: the host cannot run such a guest.
    Capabilities = 44,
}

impl ErrorDomain {
    /// libvirt's number.
    pub fn number(self) -> i32 {
        self as i32
    }
}

impl From<esx_vmx::EncodingError> for Error {
    fn from(error: esx_vmx::EncodingError) -> Self {
        match &error.syntax_error {
            Some(problem) => {
                let location = format!("line {}", problem.line);
                Self::new(Code::ConfSyntax, location, problem.kind).in_domain(ErrorDomain::Conf)
            }
            None => Self::internal(".encoding", error),
        }
    }
}

impl From<esx_vmx::ValueError> for Error {
    fn from(error: esx_vmx::ValueError) -> Self {
        let reason = format!("'{}' is not {}", error.value, error.expected);
        Self::internal(error.key, reason)
    }
}

impl From<virt_xml::Error> for Error {
    fn from(error: virt_xml::Error) -> Self {
        use virt_xml::ErrorKind as Kind;
        let (code, domain) = match error.kind {
            Kind::NotWellFormed | Kind::Contradiction => (Code::XmlDetail, ErrorDomain::Domain),
            Kind::Element => (Code::XmlError, ErrorDomain::Domain),
            Kind::Attribute => (Code::XmlError, ErrorDomain::Xml),
            Kind::Value => (Code::InternalError, ErrorDomain::Domain),
            Kind::Argument => (Code::InvalidArg, ErrorDomain::None),
            Kind::Characters => (Code::InvalidArg, ErrorDomain::Domain),
            Kind::Overflow => (Code::Overflow, ErrorDomain::None),
            Kind::CpuMode => (Code::ConfigUnsupported, ErrorDomain::Cpu),
            Kind::Unsupported => (Code::ConfigUnsupported, ErrorDomain::Domain),
            Kind::NoName => (Code::NoName, ErrorDomain::Domain),
            Kind::NoSource => (Code::NoSource, ErrorDomain::Domain),
            Kind::NoTarget => (Code::NoTarget, ErrorDomain::Domain),
        };
        Self { code, domain, location: error.path, reason: error.reason }
    }
}

/// One thing that was bent on the way, in [`Mode::Default`](crate::Mode::Default) only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The VMX key, or the path of the XML element.
    pub key: String,
    /// What was done and why, as one phrase.
    pub reason: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.reason)
    }
}
