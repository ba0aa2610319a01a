//! CPU id masks (`cpuid.1.ecx = "----:…"`) and the CPU features they stand for (`spec/vmx.md` 16).
//!
//! A mask has a character for each bit, the highest first, in groups of four: `-` leaves the bit as it is, `0` and `1` set it.
//! Other characters tell VMware how to migrate or come from the host; they have no place in domain XML.

use std::collections::BTreeMap;

/// The features that libvirt and we have a word for: key, bit, word. `vmx` and `svm` are left to `vhv.enable`.
const BITS: [(&str, u32, &str); 61] = [
    ("cpuid.1.ecx", 0, "pni"),
    ("cpuid.1.ecx", 1, "pclmuldq"),
    ("cpuid.1.ecx", 3, "monitor"),
    ("cpuid.1.ecx", 9, "ssse3"),
    ("cpuid.1.ecx", 12, "fma"),
    ("cpuid.1.ecx", 13, "cx16"),
    ("cpuid.1.ecx", 17, "pcid"),
    ("cpuid.1.ecx", 19, "sse4.1"),
    ("cpuid.1.ecx", 20, "sse4.2"),
    ("cpuid.1.ecx", 21, "x2apic"),
    ("cpuid.1.ecx", 22, "movbe"),
    ("cpuid.1.ecx", 23, "popcnt"),
    ("cpuid.1.ecx", 24, "tsc-deadline"),
    ("cpuid.1.ecx", 25, "aes"),
    ("cpuid.1.ecx", 26, "xsave"),
    ("cpuid.1.ecx", 28, "avx"),
    ("cpuid.1.ecx", 29, "f16c"),
    ("cpuid.1.ecx", 30, "rdrand"),
    ("cpuid.1.ecx", 31, "hypervisor"),
    ("cpuid.1.edx", 4, "tsc"),
    ("cpuid.1.edx", 6, "pae"),
    ("cpuid.1.edx", 9, "apic"),
    ("cpuid.1.edx", 11, "sep"),
    ("cpuid.1.edx", 12, "mtrr"),
    ("cpuid.1.edx", 15, "cmov"),
    ("cpuid.1.edx", 16, "pat"),
    ("cpuid.1.edx", 19, "clflush"),
    ("cpuid.1.edx", 23, "mmx"),
    ("cpuid.1.edx", 24, "fxsr"),
    ("cpuid.1.edx", 25, "sse"),
    ("cpuid.1.edx", 26, "sse2"),
    ("cpuid.1.edx", 28, "ht"),
    ("cpuid.7.ebx", 0, "fsgsbase"),
    ("cpuid.7.ebx", 3, "bmi1"),
    ("cpuid.7.ebx", 4, "hle"),
    ("cpuid.7.ebx", 5, "avx2"),
    ("cpuid.7.ebx", 7, "smep"),
    ("cpuid.7.ebx", 8, "bmi2"),
    ("cpuid.7.ebx", 9, "erms"),
    ("cpuid.7.ebx", 10, "invpcid"),
    ("cpuid.7.ebx", 11, "rtm"),
    ("cpuid.7.ebx", 16, "avx512f"),
    ("cpuid.7.ebx", 17, "avx512dq"),
    ("cpuid.7.ebx", 18, "rdseed"),
    ("cpuid.7.ebx", 19, "adx"),
    ("cpuid.7.ebx", 20, "smap"),
    ("cpuid.7.ebx", 23, "clflushopt"),
    ("cpuid.7.ebx", 24, "clwb"),
    ("cpuid.7.ebx", 28, "avx512cd"),
    ("cpuid.7.ebx", 30, "avx512bw"),
    ("cpuid.7.ebx", 31, "avx512vl"),
    ("cpuid.80000001.ecx", 0, "lahf_lm"),
    ("cpuid.80000001.ecx", 5, "abm"),
    ("cpuid.80000001.ecx", 6, "sse4a"),
    ("cpuid.80000001.ecx", 8, "3dnowprefetch"),
    ("cpuid.80000001.ecx", 16, "fma4"),
    ("cpuid.80000001.edx", 11, "syscall"),
    ("cpuid.80000001.edx", 20, "nx"),
    ("cpuid.80000001.edx", 26, "pdpe1gb"),
    ("cpuid.80000001.edx", 27, "rdtscp"),
    ("cpuid.80000001.edx", 29, "lm"),
];

/// The keys of the masks that are looked at.
pub(crate) const KEYS: [&str; 5] =
    ["cpuid.1.ecx", "cpuid.1.edx", "cpuid.7.ebx", "cpuid.80000001.ecx", "cpuid.80000001.edx"];

/// What libvirt says of a feature that is masked out.
const DISABLE: &str = "disable";
/// What it says of one that is there whatever the host has.
const FORCE: &str = "force";

/// The features that a mask sets or clears, with libvirt's policies; `None` if it says more than that.
pub(crate) fn features(key: &str, mask: &str) -> Option<Vec<(&'static str, &'static str)>> {
    let characters: Vec<char> = mask.chars().filter(|&c| c != ':').collect();
    if characters.len() != 32 {
        return None;
    }
    let mut features = Vec::new();
    for (bit, character) in (0..).zip(characters.iter().rev()) {
        let policy = match character {
            '-' => continue,
            '0' => DISABLE,
            '1' => FORCE,
            _ => return None,
        };
        let (_, _, name) =
            BITS.iter().find(|(k, b, _)| k.eq_ignore_ascii_case(key) && *b == bit)?;
        features.push((*name, policy));
    }
    Some(features)
}

/// Masks by key that set or clear features.
#[derive(Default)]
pub(crate) struct Masks(BTreeMap<&'static str, [char; 32]>);

impl Masks {
    /// Adds a feature with its policy. Says whether there is a bit for it.
    pub(crate) fn add(&mut self, name: &str, policy: &str) -> bool {
        let value = match policy {
            DISABLE => '0',
            FORCE => '1',
            _ => return false,
        };
        let Some((key, bit, _)) = BITS.iter().find(|(_, _, n)| *n == name) else { return false };
        self.0.entry(key).or_insert(['-'; 32])[31 - *bit as usize] = value;
        true
    }

    /// The masks, as they stand in a file.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.0.iter().map(|(key, bits)| (*key, grouped(bits)))
    }
}

fn grouped(bits: &[char]) -> String {
    let groups: Vec<String> = bits.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(":")
}

/// A mask with what another one sets or clears laid over it.
pub(crate) fn overlaid(old: &str, new: &str) -> Option<String> {
    let bits = |mask: &str| -> Option<Vec<char>> {
        let bits: Vec<char> = mask.chars().filter(|&c| c != ':').collect();
        (bits.len() == 32).then_some(bits)
    };
    let merged = bits(old)?.into_iter().zip(bits(new)?);
    let merged: Vec<char> = merged.map(|(old, new)| if new == '-' { old } else { new }).collect();
    Some(grouped(&merged))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_features_and_back() {
        let mask = "---0:----:----:----:----:----:----:---1";
        let found = features("CPUID.1.ecx", mask).unwrap();
        assert_eq!(found, [("pni", "force"), ("avx", "disable")]);
        let mut masks = Masks::default();
        assert!(found.iter().all(|(name, policy)| masks.add(name, policy)));
        let written: Vec<_> = masks.values().collect();
        assert_eq!(written, [("cpuid.1.ecx", mask.to_owned())]);
        assert!(!masks.add("avx", "require") && !masks.add("nonsense", "disable"));
    }

    #[test]
    fn masks_that_say_more_are_none() {
        let table = [
            ("cpuid.1.ecx", "----:----:----:----:----:----:----:--R-"),
            // A bit without a name.
            ("cpuid.1.ecx", "----:-0--:----:----:----:----:----:-0--"),
            ("cpuid.1.ecx", "----:----"),
            ("cpuid.1.eax", "----:----:----:----:----:----:----:---0"),
        ];
        for (key, mask) in table {
            assert_eq!(features(key, mask), None, "{key} {mask}");
        }
        assert_eq!(features("cpuid.1.ecx", &"-".repeat(32)), Some(Vec::new()));
    }

    #[test]
    fn every_bit_is_of_a_known_key_and_named_once() {
        for (i, (key, bit, name)) in BITS.iter().enumerate() {
            assert!(KEYS.contains(key) && *bit < 32, "{key} {bit}");
            assert!(BITS[..i].iter().all(|(k, b, n)| n != name && (k, b) != (key, bit)), "{name}");
        }
    }

    #[test]
    fn masks_are_overlaid() {
        let old = "R---:----:----:----:----:----:----:--00";
        let new = "----:----:----:----:----:----:----:---1";
        assert_eq!(overlaid(old, new).unwrap(), "R---:----:----:----:----:----:----:--01");
        assert_eq!(overlaid("junk", new), None);
    }
}
