//! Tables laid out as virsh lays them out.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

/// A table. virsh puts one space before and two behind each cell, none behind the last, and a line of dashes as wide
/// as all columns below the header. Columns are as wide as their widest cell on the screen.
pub(crate) fn layout(header: &[&str], rows: &[Vec<String>], quiet: bool) -> String {
    let header: Vec<String> = header.iter().map(|&cell| cell.to_owned()).collect();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| safe_cell(cell)).collect()).collect();
    let mut widths = vec![0; header.len()];
    for row in rows.iter().chain((!quiet).then_some(&header)) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(screen_width(cell));
        }
    }
    let mut text = String::new();
    if !quiet {
        push_row(&mut text, &header, &widths);
        let total: usize = widths.iter().map(|width| width + 3).sum();
        text.push_str(&"-".repeat(total));
        text.push('\n');
    }
    for row in &rows {
        push_row(&mut text, row, &widths);
    }
    text
}

fn push_row(text: &mut String, row: &[String], widths: &[usize]) {
    for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
        text.push(' ');
        text.push_str(cell);
        if index + 1 < row.len() {
            text.push_str(&" ".repeat(width - screen_width(cell) + 2));
        }
    }
    text.push('\n');
}

fn screen_width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The text with `\xNN` for every byte of a control character, and `\x5c` for a backslash that would look like one.
fn safe_cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_control() || (c == '\\' && chars.peek() == Some(&'x')) {
            push_hex(&mut safe, c);
        } else {
            safe.push(c);
        }
    }
    safe
}

/// The text with `\xNN` for every byte of a control character, so that a terminal does not act upon it.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { push_hex(&mut safe, c) } else { safe.push(c) }
    }
    safe
}

fn push_hex(text: &mut String, c: char) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        let _infallible = write!(text, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::layout;

    // Recorded from Debian's virsh 9.0.0 with its test driver.
    #[test]
    fn tables_are_virshs() {
        let rows = [
            vec!["2".to_owned(), "München 東京".to_owned(), "running".to_owned()],
            vec!["4".to_owned(), "tab\tx\ny".to_owned(), "running".to_owned()],
            vec!["-".to_owned(), "aa".to_owned(), "shut off".to_owned()],
        ];
        let header = ["Id", "Name", "State"];
        assert_eq!(
            layout(&header, &rows, false),
            " Id   Name            State\n\
             --------------------------------\n \
             2    München 東京    running\n \
             4    tab\\x09x\\x0ay   running\n \
             -    aa              shut off\n"
        );
        assert_eq!(layout(&header, &[], false), " Id   Name   State\n--------------------\n");
        assert_eq!(layout(&header, &[], true), "");
        let one = [vec!["1".to_owned(), "test".to_owned(), "running".to_owned()]];
        assert_eq!(layout(&header, &one, true), " 1   test   running\n");
        let tricky = [vec!["-".to_owned(), r"b\x41b".to_owned(), "shut off".to_owned()]];
        assert_eq!(
            layout(&header, &tricky, false),
            " Id   Name        State\n----------------------------\n -    b\\x5cx41b   shut off\n"
        );
    }
}
