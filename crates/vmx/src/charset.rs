//! The charset a file declares in `.encoding` (`spec/vmx.md` 1.4).

use std::borrow::Cow;

use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GBK, ISO_8859_15, SHIFT_JIS, WINDOWS_874, WINDOWS_1250,
    WINDOWS_1251, WINDOWS_1252,
};

use crate::problem::Problem;

/// A file declares an encoding that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown encoding '{name}'")]
pub struct EncodingError {
    /// The value of `.encoding`.
    pub name: String,
    /// What libvirt would complain about instead, since it reads the whole file first.
    pub syntax_error: Option<Problem>,
}

/// How bytes become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    Utf8,
    Ascii,
    /// ISO-8859-1 proper; the label means windows-1252 to `encoding_rs`.
    Latin1,
    Other(&'static Encoding),
}

impl Charset {
    /// The charset of that name. An empty name is UTF-8, as in libvirt 12.8.
    pub(crate) fn named(name: &str) -> Result<Self, EncodingError> {
        let lower = name.to_ascii_lowercase();
        Ok(match lower.as_str() {
            "" | "utf-8" | "utf8" => Self::Utf8,
            "us-ascii" | "ascii" | "ansi_x3.4-1968" | "646" => Self::Ascii,
            "iso-8859-1" | "iso_8859-1" | "iso8859-1" | "latin1" | "l1" => Self::Latin1,
            // Names that Windows and iconv know and the web does not.
            "cp936" | "ms936" | "windows-936" | "euc-cn" => Self::Other(GBK),
            "cp932" | "windows-932" | "cswindows31j" => Self::Other(SHIFT_JIS),
            "cp949" | "uhc" | "euckr" => Self::Other(EUC_KR),
            "cp950" | "windows-950" | "big-5" | "big5hkscs" => Self::Other(BIG5),
            "eucjp" => Self::Other(EUC_JP),
            "ms-ansi" => Self::Other(WINDOWS_1252),
            "ms-ee" => Self::Other(WINDOWS_1250),
            "ms-cyrl" => Self::Other(WINDOWS_1251),
            "cp874" => Self::Other(WINDOWS_874),
            "latin9" | "latin-9" => Self::Other(ISO_8859_15),
            label => match Encoding::for_label_no_replacement(label.as_bytes()) {
                Some(encoding) if encoding == encoding_rs::UTF_8 => Self::Utf8,
                // The key that names the charset is read as ASCII.
                Some(encoding) if encoding.is_ascii_compatible() => Self::Other(encoding),
                _ => return Err(EncodingError { name: name.to_owned(), syntax_error: None }),
            },
        })
    }

    /// The text of these bytes, or `None` if some of them mean nothing in this charset.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Self::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Self::Ascii if !bytes.is_ascii() => None,
            Self::Ascii | Self::Latin1 => Some(encoding_rs::mem::decode_latin1(bytes)),
            Self::Other(encoding) => {
                encoding.decode_without_bom_handling_and_without_replacement(bytes)
            }
        }
    }

    /// As [`Charset::decode`], with U+FFFD where there is no text.
    pub(crate) fn decode_lossy(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 | Self::Ascii => String::from_utf8_lossy(bytes),
            Self::Latin1 => encoding_rs::mem::decode_latin1(bytes),
            Self::Other(encoding) => encoding.decode_without_bom_handling(bytes).0,
        }
    }

    /// The bytes of this text, or `None` if the charset lacks one of its characters.
    pub(crate) fn encode(self, text: &str) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Utf8 => Some(Cow::Borrowed(text.as_bytes())),
            Self::Ascii => text.is_ascii().then_some(Cow::Borrowed(text.as_bytes())),
            Self::Latin1 => encoding_rs::mem::is_str_latin1(text)
                .then(|| encoding_rs::mem::encode_latin1_lossy(text)),
            Self::Other(encoding) => {
                let (bytes, _, unmappable) = encoding.encode(text);
                // Some charsets take characters they do not give back.
                (!unmappable && self.decode(&bytes).is_some_and(|back| back == text))
                    .then_some(bytes)
            }
        }
    }
}
