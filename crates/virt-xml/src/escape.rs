//! Escaping as libvirt's buffer does it (`spec/vmx.md` 7.2).

/// Appends `text` with the five special characters escaped. Control characters that XML forbids are
/// deleted up to 0x19; libvirt lets 0x1a to 0x1f through.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    let plain = |b: &u8| !matches!(b, b'<' | b'>' | b'&' | b'"' | b'\'' | 0..=0x19);
    if text.as_bytes().iter().all(plain) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => out.push(c),
            '\0'..='\u{19}' => {}
            c => out.push(c),
        }
    }
}
