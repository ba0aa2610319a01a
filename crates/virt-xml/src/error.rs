//! Why a document cannot be read.

/// What is wrong with a document, and at which element. Its kind says which of libvirt's errors it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Error {
    /// The class of the error.
    pub kind: ErrorKind,
    /// The element or attribute, as a path from the root.
    pub path: String,
    /// What is wrong there, as one phrase.
    pub reason: String,
}

/// The classes of errors in documents, each of them an error code and error domain of libvirt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text is no XML (`VIR_ERR_XML_DETAIL`).
    NotWellFormed,
    /// An element is missing, repeated or has an impossible value (`VIR_ERR_XML_ERROR`).
    Element,
    /// An attribute is missing or has an impossible value (`VIR_ERR_XML_ERROR` of the XML helpers).
    Attribute,
    /// A UUID, port or size is malformed (`VIR_ERR_INTERNAL_ERROR`).
    Value,
    /// A unit or a CPU list is malformed (`VIR_ERR_INVALID_ARG` of the helpers).
    Argument,
    /// A name has characters it cannot have (`VIR_ERR_INVALID_ARG`).
    Characters,
    /// A size does not fit (`VIR_ERR_OVERFLOW`).
    Overflow,
    /// Two parts of the document contradict each other (`VIR_ERR_XML_DETAIL`).
    Contradiction,
    /// The document asks for something known but not supported (`VIR_ERR_CONFIG_UNSUPPORTED`).
    Unsupported,
    /// The CPU's mode is not known (`VIR_ERR_CONFIG_UNSUPPORTED` of the CPU code).
    CpuMode,
    /// The domain has no name (`VIR_ERR_NO_NAME`).
    NoName,
    /// A device has no source (`VIR_ERR_NO_SOURCE`).
    NoSource,
    /// A device has no target (`VIR_ERR_NO_TARGET`).
    NoTarget,
}
