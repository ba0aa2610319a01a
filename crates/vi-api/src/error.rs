//! Why a document could not be decoded.

/// What is wrong with a reply or a request, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at {path}")]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// The path of the element, such as `Envelope/Body/LoginResponse/returnval/key`.
    pub path: String,
}

/// The kinds of [`DecodeError`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The text is not well-formed XML.
    #[error("malformed XML ({0})")]
    Xml(String),
    /// The document ends too early.
    #[error("unexpected end of the document")]
    Truncated,
    /// The document has a document type, nests too deeply or uses an entity that is not predefined.
    #[error("refused XML ({0})")]
    Refused(&'static str),
    /// An element is missing that the schema calls mandatory.
    #[error("missing mandatory member {0}")]
    Missing(String),
    /// A text is not of the type that is wanted.
    #[error("expected {expected}, found {found:?}")]
    Value {
        /// The wanted type.
        expected: &'static str,
        /// The text, cut after 64 bytes.
        found: String,
    },
    /// An element or type is not the one that is wanted.
    #[error("expected {expected}, found {found}")]
    Type {
        /// The wanted element or type.
        expected: String,
        /// The one that stands there.
        found: String,
    },
}
