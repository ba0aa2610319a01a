//! Disk target names: a prefix and the letters of an index (`spec/vmx.md` 5.3).

/// `sda`, `sdz`, `sdaa`, …
pub(crate) fn name(prefix: &str, index: u32) -> String {
    // 26^7 is more than there are indices.
    let mut letters = [0; 7];
    let mut first = letters.len();
    let mut rest = Some(index);
    while let Some(n) = rest {
        first -= 1;
        letters[first] = b'a' + (n % 26) as u8;
        rest = (n / 26).checked_sub(1);
    }
    let letters = std::str::from_utf8(&letters[first..]).unwrap_or_default();
    let mut name = String::with_capacity(prefix.len() + letters.len());
    name.push_str(prefix);
    name.push_str(letters);
    name
}

/// The prefix and the index of a name; the number of a partition after the letters is ignored.
pub(crate) fn index(name: &str) -> Option<(&'static str, u32)> {
    // Longer prefixes first: `xvda` is no `vd`.
    let prefixes = ["xvd", "ubd", "hd", "sd", "vd", "fd"];
    let (prefix, rest) = prefixes.iter().find_map(|p| Some((*p, name.strip_prefix(p)?)))?;
    let letters = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    if letters.is_empty() || !letters.bytes().all(|b| b.is_ascii_lowercase()) {
        return None;
    }
    let index = letters.bytes().try_fold(0_u32, |index, letter| {
        index.checked_mul(26)?.checked_add(u32::from(letter - b'a') + 1)
    });
    Some((prefix, index? - 1))
}

/// Controller and unit of an NVMe disk: `nvme0n1` is unit 0 of controller 0.
pub(crate) fn nvme(name: &str) -> Option<(u32, u32)> {
    let (controller, namespace) = name.strip_prefix("nvme")?.split_once('n')?;
    Some((controller.parse().ok()?, namespace.parse::<u32>().ok()?.checked_sub(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indices() {
        for (number, letters) in
            [(0, "a"), (25, "z"), (26, "aa"), (51, "az"), (52, "ba"), (702, "aaa")]
        {
            let target = name("sd", number);
            assert_eq!(target, format!("sd{letters}"));
            assert_eq!(index(&target), Some(("sd", number)));
        }
        assert_eq!(index("sdb12"), Some(("sd", 1)));
        for bad in ["sd", "sd1", "nvme0n1", "sdA", "sdzzzzzzzzzzzz"] {
            assert_eq!(index(bad), None, "{bad}");
        }
    }
}
