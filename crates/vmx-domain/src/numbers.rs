//! The numbers of devices that have no address in domain XML: a written file counts them from 0, an existing one may have
//! gaps.

use std::collections::BTreeSet;

use esx_vmx::Document;

use crate::from_vmx::extras::pci_id;
use crate::usb;

/// For each kind of device the numbers of an existing file, in the order in which a written one has them: first those of
/// the devices that are shown, then the others.
pub(crate) struct Numbers(Vec<Kind>);

struct Kind {
    stem: &'static str,
    /// What stands after the number: a dot, or nothing.
    dotted: bool,
    shown: usize,
    order: Vec<u32>,
}

/// `ethernet2.` as stem, number and rest.
fn split(key: &str, stem: &str, dotted: bool) -> Option<(u32, usize)> {
    let (head, rest) = key.split_at_checked(stem.len())?;
    if !head.eq_ignore_ascii_case(stem) {
        return None;
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let plain = digits == 1 || !rest.starts_with('0');
    let end = match dotted {
        true => rest[digits..].starts_with('.'),
        false => rest.len() == digits,
    };
    (plain && end).then(|| Some((rest[..digits].parse().ok()?, stem.len() + digits)))?
}

impl Numbers {
    pub(crate) fn of(document: &Document) -> Self {
        let present = |n: u32, stem: &str| {
            matches!(document.get_bool(&format!("{stem}{n}.present")), Ok(Some(true)))
        };
        let value = |key: String| document.get(&key);
        let mut kinds = Vec::new();
        let mut kind = |stem: &'static str, dotted: bool, is_shown: &dyn Fn(u32) -> bool| {
            let keys = document.entries().filter_map(|e| split(e.key, stem, dotted));
            let all: BTreeSet<u32> = keys.map(|(number, _)| number).collect();
            let (shown, others): (Vec<u32>, Vec<u32>) = all.into_iter().partition(|&n| is_shown(n));
            let order = [&shown[..], &others[..]].concat();
            kinds.push(Kind { stem, dotted, shown: shown.len(), order });
        };
        kind("ethernet", true, &|n| present(n, "ethernet"));
        kind("sharedFolder", true, &|n| present(n, "sharedFolder"));
        kind("pciPassthru", true, &|n| {
            let id = value(format!("pciPassthru{n}.id"));
            present(n, "pciPassthru") && id.and_then(pci_id).is_some()
        });
        kind(usb::AUTO_CONNECT, false, &|n| {
            value(format!("{}{n}", usb::AUTO_CONNECT)).and_then(usb::ids).is_some()
        });
        Self(kinds)
    }

    /// The key of a written file that stands for this one of the existing file.
    pub(crate) fn written(&self, key: &str) -> String {
        self.renumbered(key, |kind, number| {
            let place = kind.order.iter().position(|&n| n == number)?;
            u32::try_from(place).ok()
        })
    }

    /// The key of the existing file that stands for this one of a written file. Devices beyond those that are shown are
    /// new: they get the first numbers that are free.
    pub(crate) fn existing(&self, key: &str) -> String {
        self.renumbered(key, |kind, number| {
            let place = number as usize;
            match kind.order[..kind.shown].get(place) {
                Some(&number) => Some(number),
                None => {
                    let mut free = (0..).filter(|n| !kind.order.contains(n));
                    free.nth(place - kind.shown)
                }
            }
        })
    }

    /// How kept devices are to be renumbered, so that none takes the number of one that is written.
    pub(crate) fn moved<'a>(
        document: &Document,
        kept: impl Iterator<Item = &'a str> + Clone,
    ) -> Moved {
        let mut moves = Vec::new();
        for (stem, dotted) in [
            ("ethernet", true),
            ("sharedFolder", true),
            ("pciPassthru", true),
            (usb::AUTO_CONNECT, false),
        ] {
            let numbers = |keys: &mut dyn Iterator<Item = &str>| -> BTreeSet<u32> {
                keys.filter_map(|key| split(key, stem, dotted)).map(|(number, _)| number).collect()
            };
            let written = numbers(&mut document.entries().map(|e| e.key));
            let all_kept = numbers(&mut kept.clone());
            // Those that have a `present` of their own are whole devices; others add to one that is written.
            let is_whole = |name: &str| !dotted || name.to_ascii_lowercase().ends_with(".present");
            let whole = numbers(&mut kept.clone().filter(|name| is_whole(name)));
            let mut taken: BTreeSet<u32> = written.union(&all_kept).copied().collect();
            for from in whole.intersection(&written).copied() {
                let to = (0..).find(|n| !taken.contains(n)).unwrap_or(from);
                taken.insert(to);
                moves.push((stem, dotted, from, to));
            }
        }
        Moved(moves)
    }

    fn renumbered(&self, key: &str, number_of: impl Fn(&Kind, u32) -> Option<u32>) -> String {
        for kind in &self.0 {
            let Some((number, end)) = split(key, kind.stem, kind.dotted) else { continue };
            let number = number_of(kind, number).unwrap_or(number);
            return format!("{}{number}{}", &key[..kind.stem.len()], &key[end..]);
        }
        key.to_owned()
    }
}

/// New numbers of kept devices.
pub(crate) struct Moved(Vec<(&'static str, bool, u32, u32)>);

impl Moved {
    pub(crate) fn renamed(&self, key: &str) -> String {
        for &(stem, dotted, from, to) in &self.0 {
            if let Some((number, end)) = split(key, stem, dotted)
                && number == from
            {
                return format!("{}{to}{}", &key[..stem.len()], &key[end..]);
            }
        }
        key.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_closed_and_opened_again() {
        let file = b"ethernet2.present = \"TRUE\"\nethernet0.present = \"FALSE\"\nEthernet5.present = \"TRUE\"\n\
                     usb.autoConnect.device1 = \"0x1:0x2\"\nethernet02.x = \"1\"\n";
        let document = Document::parse(file).unwrap();
        let numbers = Numbers::of(&document);
        let table = [
            ("ethernet2.vnet", "ethernet0.vnet"),
            ("Ethernet5.present", "Ethernet1.present"),
            ("usb.autoConnect.device1", "usb.autoConnect.device0"),
            ("ethernet02.x", "ethernet02.x"),
            ("memsize", "memsize"),
        ];
        for (existing, written) in table {
            assert_eq!(numbers.written(existing), written);
            assert_eq!(numbers.existing(written), existing);
        }
        // Not shown: behind the others. New: none of those there are.
        assert_eq!(numbers.written("ethernet0.present"), "ethernet2.present");
        assert_eq!(numbers.existing("ethernet2.present"), "ethernet1.present");
        assert_eq!(numbers.existing("ethernet3.present"), "ethernet3.present");
    }

    #[test]
    fn kept_devices_make_way() {
        let document = Document::parse(b"ethernet0.present = \"true\"\n").unwrap();
        let kept = ["ethernet0.present", "ethernet0.x", "ethernet1.y"];
        let moved = Numbers::moved(&document, kept.into_iter());
        assert_eq!(moved.renamed("ethernet0.x"), "ethernet2.x");
        assert_eq!(moved.renamed("ethernet1.y"), "ethernet1.y");
        // Only what adds to a device that is there.
        let moved = Numbers::moved(&document, ["ethernet0.x"].into_iter());
        assert_eq!(moved.renamed("ethernet0.x"), "ethernet0.x");
    }
}
