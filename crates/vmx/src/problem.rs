//! What is wrong with a file, and where.

use std::fmt;

/// One thing in a file that a strict reader would not accept. Positions are those of the text as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// Line, from 1. LF, CRLF and CR each end a line.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
}

/// What can be wrong. See [`ProblemKind::is_syntax_error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The file starts with a UTF-8 byte order mark.
    ByteOrderMark,
    /// Neither a comment nor `key = "value"`; kept, never looked at.
    NotAssignment,
    /// The key has a character that keys cannot have; the line is read all the same.
    KeyCharacter,
    /// The value has no quotes; it is taken up to the line end or a `#`.
    UnquotedValue,
    /// The value's closing quote is missing; it is taken up to the line end.
    UnterminatedValue,
    /// There is more after the value; it is kept and ignored.
    TrailingText,
    /// The file has line ends or blanks and nothing else.
    OnlyBlanks,
    /// The text after a NUL byte, which libvirt never sees; kept, never looked at.
    TextAfterNul,
    /// Bytes that the declared charset cannot decode; they read as U+FFFD and are kept.
    Undecodable,
    /// The key stands in the file more than once; the first one counts.
    DuplicateKey,
}

impl ProblemKind {
    /// Whether libvirt refuses the whole file for it (`VIR_ERR_CONF_SYNTAX`).
    pub fn is_syntax_error(self) -> bool {
        match self {
            Self::ByteOrderMark
            | Self::NotAssignment
            | Self::KeyCharacter
            | Self::UnquotedValue
            | Self::UnterminatedValue
            | Self::TrailingText
            | Self::OnlyBlanks => true,
            Self::TextAfterNul | Self::Undecodable | Self::DuplicateKey => false,
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByteOrderMark => "the file starts with a byte order mark",
            Self::NotAssignment => "neither a comment nor key = \"value\"",
            Self::KeyCharacter => "the key has a character that keys cannot have",
            Self::UnquotedValue => "the value has no quotes",
            Self::UnterminatedValue => "the value's closing quote is missing",
            Self::TrailingText => "text after the value",
            Self::OnlyBlanks => "the file has blanks and nothing else",
            Self::TextAfterNul => "text after a NUL byte",
            Self::Undecodable => "bytes that the declared encoding cannot decode",
            Self::DuplicateKey => "the key occurs again; the first one counts",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.kind)
    }
}
