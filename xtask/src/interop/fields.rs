//! Reading what virsh-like programs print.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};

/// The lines `Label:   value` of `dominfo` and `nodeinfo`.
pub(super) fn parse(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (label, value) =
                line.split_once(':').with_context(|| format!("no label in {line:?}"))?;
            Ok((label.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// Fails unless both texts are the same; says where they first differ.
pub(super) fn same_text(ours: &str, theirs: &str) -> anyhow::Result<()> {
    if ours == theirs {
        return Ok(());
    }
    let (mut a, mut b) = (ours.lines(), theirs.lines());
    for number in 1.. {
        match (a.next(), b.next()) {
            (Some(x), Some(y)) if x == y => {}
            (None, None) => break,
            (x, y) => bail!(
                "line {number} differs:\n        ours   {}\n        theirs {}",
                x.unwrap_or("(the end)"),
                y.unwrap_or("(the end)")
            ),
        }
    }
    bail!("the texts differ in line ends only")
}

/// Fails unless both texts have the same fields with the same values.
pub(super) fn same_fields(ours: &str, theirs: &str) -> anyhow::Result<()> {
    let (ours, theirs) = (parse(ours)?, parse(theirs)?);
    for label in theirs.keys().chain(ours.keys()) {
        let (a, b) = (ours.get(label), theirs.get(label));
        ensure!(a == b, "{label}: ours {}, theirs {}", shown(a), shown(b));
    }
    Ok(())
}

fn shown(value: Option<&String>) -> &str {
    value.map_or("(no such field)", String::as_str)
}

/// The rows of `list` as cells, the head included; columns are two spaces apart at least. Rows with a cell that
/// `leave_out` names are left out.
pub(super) fn rows(table: &str, leave_out: &BTreeSet<&str>) -> String {
    let rows = table.lines().filter(|line| !line.trim_matches(['-', ' ']).is_empty()).map(|line| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.collect::<Vec<_>>()
    });
    let rows = rows.filter(|cells| !cells.iter().any(|cell| leave_out.contains(cell)));
    rows.map(|cells| cells.join(" | ")).collect::<Vec<_>>().join("\n")
}

/// Elements of a domain whose lines mean the same in every release of libvirt.
///
/// Left out: UUIDs (libvirt 12.4 took another one), addresses and controllers (12.x prints more of them).
const STABLE: &[&str] = &[
    "<name>",
    "<description>",
    "<memory ",
    "<currentMemory ",
    "<vcpu ",
    "<vcpu>",
    "<type arch=",
    "<on_poweroff>",
    "<on_reboot>",
    "<on_crash>",
    "<mac ",
    "<serial ",
    "<parallel ",
    "<graphics ",
    "<vmware:datacenterpath>",
    "<vmware:moref>",
];

/// Elements that most domains have alike: libvirt 12.x knows more buses (NVMe, several SCSI controllers) than 9 did.
const DISKS: &[&str] = &["<disk ", "<source ", "<target "];

/// The lines of a domain document that two releases of libvirt print alike, in their order.
pub(super) fn stable_lines(xml: &str, with_disks: bool) -> String {
    let is_stable = |line: &&str| {
        let starts = |list: &[&str]| list.iter().any(|start| line.starts_with(start));
        starts(STABLE) || (with_disks && starts(DISKS))
    };
    xml.lines().map(str::trim).filter(is_stable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_compared_by_label() {
        let table = [
            ("Id:   1\nName:   a: b\n", "Id: 1\nName: a: b", None),
            ("Id: 1\nName: a", "Name: a\nId: 1", None),
            ("Id: 1", "Id: 2", Some("Id: ours 1, theirs 2")),
            ("Id: 1", "Id: 1\nName: a", Some("Name: ours (no such field), theirs a")),
            ("Id: 1\nName: a", "Id: 1", Some("Name: ours a, theirs (no such field)")),
            ("nothing", "Id: 1", Some("no label in \"nothing\"")),
        ];
        for (ours, theirs, expect) in table {
            let got = same_fields(ours, theirs).err().map(|e| e.to_string());
            assert_eq!(got.as_deref(), expect, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn tables_are_rows_of_cells() {
        let table = " Id   Name     State\n--------------------\n 1    a b      running\n -    lost     no state\n";
        assert_eq!(
            rows(table, &BTreeSet::new()),
            "Id | Name | State\n1 | a b | running\n- | lost | no state"
        );
        assert_eq!(rows(table, &BTreeSet::from(["lost"])), "Id | Name | State\n1 | a b | running");
    }

    #[test]
    fn texts_are_compared_by_line() {
        assert!(same_text("a\nb", "a\nb").is_ok());
        for (ours, theirs, says) in [
            ("a\nb", "a\nc", "line 2"),
            ("a", "a\nb", "ours   (the end)"),
            ("a\r\nb", "a\nb", "line ends"),
        ] {
            let error = same_text(ours, theirs).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn stable_lines_leave_out_what_releases_changed() {
        let xml = "<domain type='vmware'>\n  <name>a</name>\n  <uuid>1</uuid>\n  <vcpu placement='static'>2</vcpu>\n\
                   <controller type='scsi' index='0'/>\n      <target dev='sda' bus='scsi'/>\n</domain>";
        let expect = "<name>a</name>\n<vcpu placement='static'>2</vcpu>";
        assert_eq!(stable_lines(xml, false), expect);
        assert_eq!(stable_lines(xml, true), format!("{expect}\n<target dev='sda' bus='scsi'/>"));
    }
}
