//! What of two outputs can be compared: everything but addresses and the times of this run.

use similar::{ChangeTag, TextDiff};

/// Machines of the simulator's inventory are older; what is newer happened during this run.
const LAST_YEAR_OF_INVENTORY: u32 = 2024;

/// Makes the outputs of one host comparable to those of another. Everything that may differ by accident is here.
pub(super) struct Normaliser {
    authority: String,
}

impl Normaliser {
    /// For a host at `authority` (`127.0.0.1:PORT`).
    pub(super) fn new(authority: &str) -> Self {
        Self { authority: authority.to_owned() }
    }

    /// The text without the host's address, times of this run, and blanks at line ends and the end.
    pub(super) fn text(&self, raw: &str) -> String {
        let text = raw.replace(&self.authority, "HOST").replace("&legacy_uuid=1", "");
        let lines: Vec<String> = text.trim_end().lines().map(line).collect();
        lines.join("\n")
    }
}

/// A line with `TIME` in place of a time of this run.
fn line(raw: &str) -> String {
    let mut out = String::new();
    let mut rest = raw.trim_end();
    while let Some(first) = rest.chars().next() {
        if let Some(length) =
            recent_time(rest).filter(|_| !out.ends_with(|c: char| c.is_ascii_digit()))
        {
            out.push_str("TIME");
            rest = &rest[length..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    const SECONDS: (&str, &str) = ("<creationTime>", "</creationTime>");
    match out
        .split_once(SECONDS.0)
        .and_then(|(before, rest)| Some((before, rest.split_once(SECONDS.1)?)))
    {
        Some((before, (seconds, after))) if is_recent(seconds) => {
            format!("{before}{}TIME{}{after}", SECONDS.0, SECONDS.1)
        }
        _ => out,
    }
}

/// Whether these are the seconds of a time of this run.
fn is_recent(seconds: &str) -> bool {
    const START_OF_2025: u64 = 1_735_689_600;
    seconds.parse::<u64>().is_ok_and(|seconds| seconds >= START_OF_2025)
}

/// The length of the time of this run that the text begins with: `2026-11-25 16:00:08 +0000`, `2026-11-25T16:00:08.123Z`.
fn recent_time(text: &str) -> Option<usize> {
    const SHAPE: &[u8] = b"dddd-dd-dd?dd:dd:dd";
    let bytes = text.as_bytes();
    let fits = bytes.len() >= SHAPE.len()
        && SHAPE.iter().zip(bytes).all(|(shape, byte)| match shape {
            b'd' => byte.is_ascii_digit(),
            b'?' => matches!(byte, b' ' | b'T'),
            other => other == byte,
        });
    if !fits || text[..4].parse::<u32>().ok()? <= LAST_YEAR_OF_INVENTORY {
        return None;
    }
    let mut rest = &text[SHAPE.len()..];
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    rest = rest.strip_prefix('Z').or_else(|| rest.strip_prefix(" +0000")).unwrap_or(rest);
    Some(text.len() - rest.len())
}

/// The lines that only one of them has: `- theirs`, `+ ours`.
pub(super) fn diff(theirs: &str, ours: &str) -> Vec<String> {
    let (theirs, ours): (Vec<&str>, Vec<&str>) = (theirs.lines().collect(), ours.lines().collect());
    let diff = TextDiff::from_slices(&theirs, &ours);
    let changed = diff.iter_all_changes().filter_map(|change| {
        let sign = match change.tag() {
            ChangeTag::Equal => return None,
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        Some(format!("{sign} {}", change.value()).trim_end().to_owned())
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_by_accident_is_taken_out() {
        let normaliser = Normaliser::new("127.0.0.1:4711");
        for (raw, expect) in [
            (
                "esx://user@127.0.0.1:4711/?transport=http&legacy_uuid=1\n\n",
                "esx://user@HOST/?transport=http",
            ),
            (" two   2026-11-25 16:00:08 +0000   running \n", " two   TIME   running"),
            (
                " old   2024-06-29 09:46:40 +0000   shutoff",
                " old   2024-06-29 09:46:40 +0000   shutoff",
            ),
            ("\"modified\": \"2026-11-25T16:00:08.12Z\",", "\"modified\": \"TIME\","),
            ("<creationTime>1795622408</creationTime>", "<creationTime>TIME</creationTime>"),
            ("<creationTime>1719827200</creationTime>", "<creationTime>1719827200</creationTime>"),
            ("Größe 東京", "Größe 東京"),
        ] {
            assert_eq!(normaliser.text(raw), expect);
        }
    }

    #[test]
    fn differences_are_lines() {
        assert_eq!(diff("a\nb\nc", "a\nx\nc"), ["- b", "+ x"]);
        assert_eq!(diff("a", "a\nb"), ["+ b"]);
        assert!(diff("a\nb", "a\nb").is_empty());
        assert!(diff("", "").is_empty());
    }
}
