//! XDR (RFC 4506) as libvirt's protocol uses it: big endian, everything a multiple of four bytes, no names and no tags
//! (libvirt-rpc.md 3.2).
//!
//! One type is one layout for both directions: [`Xdr::encode`] and [`Xdr::decode`] stand side by side. Limits hold
//! both ways, and no count is believed before the bytes that it announces are there.

use bytes::Bytes;
use uuid::Uuid;

/// Longest text, in bytes.
pub const MAX_STRING_BYTES: usize = 4_194_304;

/// Why bytes are not the value they should be, or a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XdrError {
    /// The bytes end inside a value.
    #[error("the message ends early")]
    Truncated,
    /// A count is larger than its layout allows.
    #[error("{len} elements are more than the {max} that fit")]
    TooLong {
        /// The count.
        len: usize,
        /// Its limit.
        max: usize,
    },
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// A number has no meaning here.
    #[error("{value} is no {what}")]
    BadValue {
        /// What it should be.
        what: &'static str,
        /// The number.
        value: i64,
    },
}

/// Result of reading or writing a value.
pub type Result<T> = std::result::Result<T, XdrError>;

/// A value with a layout on the wire.
pub trait Xdr: Sized {
    /// Fewest bytes that a value takes; never 0 for what a list may hold.
    const MIN_BYTES: usize;

    /// Writes the value.
    ///
    /// # Errors
    /// If it does not fit its layout.
    fn encode(&self, out: &mut Writer) -> Result<()>;

    /// Reads a value.
    ///
    /// # Errors
    /// If the next bytes are none.
    fn decode(input: &mut Reader<'_>) -> Result<Self>;
}

/// The bytes of a value.
///
/// # Errors
/// If it does not fit its layout.
pub fn to_bytes<T: Xdr>(value: &T) -> Result<Vec<u8>> {
    let mut out = Writer::default();
    value.encode(&mut out)?;
    Ok(out.into_bytes())
}

/// The value that the bytes begin with, and how many are left over.
///
/// # Errors
/// If they do not begin with one.
pub fn from_bytes<T: Xdr>(bytes: &[u8]) -> Result<(T, usize)> {
    let mut input = Reader::new(bytes);
    let value = T::decode(&mut input)?;
    Ok((value, input.remaining()))
}

/// Where values are written to.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn word(&mut self, word: [u8; 4]) {
        self.bytes.extend_from_slice(&word);
    }

    /// A count, then so many bytes and the padding.
    fn opaque(&mut self, bytes: &[u8], max: usize) -> Result<()> {
        self.count(bytes.len(), max)?;
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        Ok(())
    }

    fn count(&mut self, len: usize, max: usize) -> Result<()> {
        let Some(word) = u32::try_from(len).ok().filter(|_| len <= max) else {
            return Err(XdrError::TooLong { len, max });
        };
        self.word(word.to_be_bytes());
        Ok(())
    }
}

/// What values are read from.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the first byte on.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// How many bytes are not read yet.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(XdrError::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(XdrError::Truncated)?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn opaque(&mut self, max: usize) -> Result<&'a [u8]> {
        let len = self.count(max, 1)?;
        let bytes = self.take(len)?;
        self.take(len.next_multiple_of(4) - len)?;
        Ok(bytes)
    }

    /// A count of elements that take `min_bytes` each: never more than there are bytes for.
    fn count(&mut self, max: usize, min_bytes: usize) -> Result<usize> {
        let len = usize::try_from(u32::decode(self)?).unwrap_or(usize::MAX);
        if len > max {
            return Err(XdrError::TooLong { len, max });
        }
        if len.saturating_mul(min_bytes) > self.bytes.len() {
            return Err(XdrError::Truncated);
        }
        Ok(len)
    }
}

/// Numbers that are their own big-endian bytes.
macro_rules! numbers {
    ($($type:ty)*) => {
        $(impl Xdr for $type {
            const MIN_BYTES: usize = size_of::<Self>();

            fn encode(&self, out: &mut Writer) -> Result<()> {
                out.bytes.extend_from_slice(&self.to_be_bytes());
                Ok(())
            }

            fn decode(input: &mut Reader<'_>) -> Result<Self> {
                Ok(Self::from_be_bytes(input.array()?))
            }
        })*
    };
}

numbers!(i32 u32 i64 u64 f64);

/// A plain `i32`; anything but 0 is true.
impl Xdr for bool {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        i32::from(*self).encode(out)
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        Ok(i32::decode(input)? != 0)
    }
}

impl Xdr for String {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        out.opaque(self.as_bytes(), MAX_STRING_BYTES)
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        let bytes = input.opaque(MAX_STRING_BYTES)?;
        Ok(std::str::from_utf8(bytes).map_err(|_| XdrError::NotUtf8)?.to_owned())
    }
}

/// Sixteen bytes without a count.
impl Xdr for Uuid {
    const MIN_BYTES: usize = 16;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        out.bytes.extend_from_slice(self.as_bytes());
        Ok(())
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        Ok(Self::from_bytes(input.array()?))
    }
}

/// A flag, then the value if the flag is not 0. Clients exist that write other numbers than 1.
impl<T: Xdr> Xdr for Option<T> {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        self.is_some().encode(out)?;
        self.as_ref().map_or(Ok(()), |value| value.encode(out))
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        bool::decode(input)?.then(|| T::decode(input)).transpose()
    }
}

/// At most `MAX` values, with their count before them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List<T, const MAX: usize>(pub Vec<T>);

impl<T, const MAX: usize> From<Vec<T>> for List<T, MAX> {
    fn from(values: Vec<T>) -> Self {
        Self(values)
    }
}

impl<T: Xdr, const MAX: usize> Xdr for List<T, MAX> {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        out.count(self.0.len(), MAX)?;
        self.0.iter().try_for_each(|value| value.encode(out))
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        let len = input.count(MAX, T::MIN_BYTES.max(4))?;
        (0..len).map(|_| T::decode(input)).collect::<Result<_>>().map(Self)
    }
}

/// At most `MAX` bytes, with their count before them and padding behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opaque<const MAX: usize>(pub Bytes);

impl<const MAX: usize> Xdr for Opaque<MAX> {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        out.opaque(&self.0, MAX)
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        Ok(Self(Bytes::copy_from_slice(input.opaque(MAX)?)))
    }
}

/// At most `MAX` bytes, each widened to four: what C calls an array of `char`. `Debug` tells only the length, for
/// passwords travel like this.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Chars<const MAX: usize>(pub Vec<u8>);

impl<const MAX: usize> std::fmt::Debug for Chars<MAX> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chars({} bytes)", self.0.len())
    }
}

impl<const MAX: usize> Xdr for Chars<MAX> {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        out.count(self.0.len(), MAX)?;
        self.0.iter().try_for_each(|&byte| Char(byte).encode(out))
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        let len = input.count(MAX, 4)?;
        (0..len).map(|_| Ok(Char::decode(input)?.0)).collect::<Result<_>>().map(Self)
    }
}

/// One byte widened to four. C compilers sign-extend it or not, so only the last byte counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Char(pub u8);

impl Xdr for Char {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Writer) -> Result<()> {
        out.word([0, 0, 0, self.0]);
        Ok(())
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self> {
        Ok(Self(input.array::<4>()?[3]))
    }
}

/// Makes tuples layouts: one value after the other.
macro_rules! tuples {
    ($(($($name:ident)*))*) => {
        $(impl<$($name: Xdr),*> Xdr for ($($name,)*) {
            const MIN_BYTES: usize = 0 $(+ $name::MIN_BYTES)*;

            #[allow(non_snake_case, reason = "a type's letter names its value")]
            fn encode(&self, _out: &mut Writer) -> Result<()> {
                let ($($name,)*) = self;
                $($name.encode(_out)?;)*
                Ok(())
            }

            #[allow(clippy::unused_unit, reason = "the empty tuple")]
            fn decode(_input: &mut Reader<'_>) -> Result<Self> {
                Ok(($($name::decode(_input)?,)*))
            }
        })*
    };
}

tuples! { () (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H) }

#[cfg(test)]
mod tests {
    use super::*;

    /// Every prefix of a value's bytes is too short, and the bytes are what the table says.
    fn check<T: Xdr + PartialEq + std::fmt::Debug>(value: &T, expected: &[u8]) {
        assert_eq!(to_bytes(value).unwrap(), expected, "{value:?}");
        assert_eq!(from_bytes::<T>(expected).as_ref(), Ok(&(from_bytes(expected).unwrap().0, 0)));
        assert_eq!(&from_bytes::<T>(expected).unwrap().0, value);
        for cut in 0..expected.len() {
            assert_eq!(from_bytes::<T>(&expected[..cut]), Err(XdrError::Truncated), "{value:?}");
        }
    }

    #[test]
    fn layouts_are_those_of_the_specification() {
        check(&-1_i32, &[255, 255, 255, 255]);
        check(&0x0102_0304_u32, &[1, 2, 3, 4]);
        check(&-2_i64, &[255, 255, 255, 255, 255, 255, 255, 254]);
        check(&1.0_f64, &[0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
        check(&true, &[0, 0, 0, 1]);
        check(&"".to_owned(), &[0, 0, 0, 0]);
        check(&"abcde".to_owned(), b"\0\0\0\x05abcde\0\0\0");
        check(&"abcd".to_owned(), b"\0\0\0\x04abcd");
        check(&None::<String>, &[0, 0, 0, 0]);
        check(&Some(7_u32), &[0, 0, 0, 1, 0, 0, 0, 7]);
        check(&List::<i32, 2>(vec![1, 2]), &[0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
        check(&Chars::<9>(vec![b'a', 0]), &[0, 0, 0, 2, 0, 0, 0, b'a', 0, 0, 0, 0]);
        check(&Opaque::<9>(Bytes::from_static(b"x")), b"\0\0\0\x01x\0\0\0");
        check(&(1_u32, "a".to_owned()), b"\0\0\0\x01\0\0\0\x01a\0\0\0");
        check(&Uuid::from_u128(1), &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn any_flag_but_zero_means_present() {
        // go-libvirt's CONNECT_OPEN.
        let (value, rest) = from_bytes::<Option<u32>>(&[1, 0, 0, 0, 0, 0, 0, 9]).unwrap();
        assert_eq!((value, rest), (Some(9), 0));
    }

    #[test]
    fn limits_hold_both_ways_and_before_memory_is_taken() {
        let long = XdrError::TooLong { len: 3, max: 2 };
        assert_eq!(to_bytes(&List::<u32, 2>(vec![1; 3])), Err(long.clone()));
        assert_eq!(from_bytes::<List<u32, 2>>(&[0, 0, 0, 3]), Err(long));
        let max = MAX_STRING_BYTES;
        assert_eq!(to_bytes(&"x".repeat(max)).unwrap().len(), max + 4);
        assert!(matches!(to_bytes(&"x".repeat(max + 1)), Err(XdrError::TooLong { .. })));
        assert!(matches!(from_bytes::<String>(&[255; 8]), Err(XdrError::TooLong { .. })));
        // A legal count without the bytes for it.
        assert_eq!(
            from_bytes::<List<String, 16384>>(&[0, 0, 0x40, 0, 0, 0, 0, 0]),
            Err(XdrError::Truncated)
        );
        assert_eq!(from_bytes::<String>(b"\0\0\0\x01\xff\0\0\0"), Err(XdrError::NotUtf8));
    }
}
