//! VMware's base64, the last step of scheme D: runs of unusual bytes as `+`, unpadded base64, `-`.
//!
//! Usual bytes (letters, digits, space and `'(),._-`) stay as they are. The alphabet has a comma in the place of the
//! slash, and the closing `-` is left out at the end of the text.

use ::base64::Engine as _;
use ::base64::alphabet::Alphabet;
use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::error::DecodeBase64Error;

const ALPHABET: Alphabet =
    match Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,") {
        Ok(alphabet) => alphabet,
        Err(_) => panic!("64 different printable characters"),
    };
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Encodes every maximal run of unusual bytes.
pub fn encode(raw: &[u8]) -> String {
    let mut encoded = String::with_capacity(raw.len() + 8);
    let mut rest = raw;
    while let Some(&first) = rest.first() {
        let usual = is_usual(first);
        let end = rest.iter().position(|&byte| is_usual(byte) != usual).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        if usual {
            encoded.extend(run.iter().copied().map(char::from));
        } else {
            encoded.push('+');
            ENGINE.encode_string(run, &mut encoded);
            if !after.is_empty() {
                encoded.push('-');
            }
        }
        rest = after;
    }
    encoded
}

/// Undoes [`encode`].
///
/// # Errors
/// A run that is not base64 in VMware's alphabet, or a byte outside a run that [`encode`] never leaves there.
pub fn decode(encoded: &str) -> Result<Vec<u8>, DecodeBase64Error> {
    let bytes = encoded.as_bytes();
    let mut raw = Vec::with_capacity(bytes.len());
    let mut offset = 0;
    while let Some(&byte) = bytes.get(offset) {
        if byte == b'+' {
            let run = &bytes[offset + 1..];
            let end = run.iter().position(|&byte| byte == b'-').unwrap_or(run.len());
            ENGINE.decode_vec(&run[..end], &mut raw).map_err(|_| DecodeBase64Error { offset })?;
            offset += end + 2; // Past the `+` and the `-`, or past the end
        } else if is_usual(byte) {
            raw.push(byte);
            offset += 1;
        } else {
            return Err(DecodeBase64Error { offset });
        }
    }
    Ok(raw)
}

fn is_usual(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"'(),._- ".contains(&byte)
}
