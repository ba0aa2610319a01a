//! Escaping as libvirt's buffer does it (`spec/vmx.md` 7.2).

/// Bytes that do not stand for themselves, by byte.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = byte <= 0x19 || matches!(byte as u8, b'<' | b'>' | b'&' | b'"' | b'\'');
        byte += 1;
    }
    table
};

/// Appends `text` with the five special characters escaped. Control characters that XML forbids are
/// deleted up to 0x19; libvirt lets 0x1a to 0x1f through.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    // Nearly no text has one: looking at all bytes is quicker than asking after each whether it was the last.
    if !text.bytes().fold(false, |found, b| found | SPECIAL[usize::from(b)]) {
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
