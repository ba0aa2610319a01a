//! `snapshot-list` and `snapshot-info`.

use std::cmp::Ordering;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use virt_api::{Error, ErrorCode, ErrorDomain};
use virt_xml::Element;

use super::{Fields, Render, layout, printable};

/// What the document of a snapshot tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its name.
    pub(crate) name: String,
    /// State of the domain when it was made.
    pub(crate) state: String,
    /// When it was made, in seconds since the start of 1970.
    pub(crate) creation_time_s: Option<i64>,
    /// The one it follows.
    pub(crate) parent: Option<String>,
    /// Whether it is kept in files of its own.
    pub(crate) external: bool,
}

impl Facts {
    /// Reads a document.
    ///
    /// # Errors
    /// `VIR_ERR_XML_ERROR` if it is none.
    pub(crate) fn parse(xml: &str) -> Result<Self, Error> {
        let root = Element::parse(xml).map_err(|error| {
            Error::new(ErrorCode::XmlError, ErrorDomain::None, "cannot read the snapshot's XML")
                .with_source(error)
        })?;
        let text = |name: &str| root.children_named(name).next().map(Element::text);
        let state = text("state").unwrap_or_default();
        let disks = root.children_named("disks").flat_map(|disks| disks.children_named("disk"));
        let external = state == "disk-snapshot"
            || root
                .children_named("memory")
                .chain(disks)
                .any(|element| element.attribute("snapshot") == Some("external"));
        let parent = root.children_named("parent").next();
        Ok(Self {
            name: text("name").unwrap_or_default(),
            creation_time_s: text("creationTime").and_then(|seconds| seconds.trim().parse().ok()),
            parent: parent
                .and_then(|parent| parent.children_named("name").next())
                .map(Element::text),
            external,
            state,
        })
    }
}

/// How a list is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A table.
    Table {
        /// With a column of parents.
        parents: bool,
    },
    /// One name per line.
    Names,
    /// A tree.
    Tree,
}

/// One snapshot of a list.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: String,
    /// What else is known; nothing for lists of names.
    pub(crate) facts: Option<Facts>,
    /// Why nothing is known.
    pub(crate) problem: Option<String>,
}

impl Row {
    fn parent(&self) -> Option<&str> {
        self.facts.as_ref()?.parent.as_deref()
    }
}

/// The result of `snapshot-list`.
pub(crate) struct List {
    rows: Vec<Row>,
    shape: Shape,
    zone: TimeZone,
}

impl List {
    /// Sorts the rows by name, as virsh does, unless their order matters.
    pub(crate) fn new(mut rows: Vec<Row>, shape: Shape, sorted: bool, zone: TimeZone) -> Self {
        if sorted {
            rows.sort_by(|a, b| caseless(&a.name, &b.name));
        }
        Self { rows, shape, zone }
    }

    fn time(&self, facts: &Facts) -> String {
        let time = facts.creation_time_s.and_then(|seconds| Timestamp::from_second(seconds).ok());
        time.map(|time| {
            time.to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %z").to_string()
        })
        .unwrap_or_default()
    }

    fn as_table(&self, parents: bool, quiet: bool) -> String {
        let mut header = vec!["Name", "Creation Time", "State"];
        header.extend(parents.then_some("Parent"));
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| {
                let (time, state) = match &row.facts {
                    Some(facts) => (self.time(facts), facts.state.clone()),
                    None => ("-".to_owned(), "-".to_owned()),
                };
                let mut cells = vec![row.name.clone(), time, state];
                cells.extend(parents.then(|| row.parent().unwrap_or_default().to_owned()));
                cells
            })
            .collect();
        layout(&header, &rows, quiet)
    }

    /// The lines of virsh's trees, its blanks at line ends included.
    fn as_tree(&self) -> String {
        // Of two with one name the first takes the children, so that nothing is shown twice.
        let place = |name: &str| self.rows.iter().position(|row| row.name == name);
        let parents: Vec<Option<usize>> =
            self.rows.iter().map(|row| row.parent().and_then(place)).collect();
        let below = |parent: Option<usize>| {
            let places = parents.iter().enumerate().filter(move |(_, other)| **other == parent);
            places.map(|(place, _)| place).collect::<Vec<_>>()
        };
        let mut text = String::new();
        let root = |place| (place, String::new(), String::new(), true);
        let mut stack: Vec<_> = below(None).into_iter().rev().map(root).collect();
        while let Some((place, head, indent, last)) = stack.pop() {
            text.push_str(&format!("{head}{}\n", printable(&self.rows[place].name)));
            let children = below(Some(place));
            if children.is_empty() {
                if last {
                    text.push_str(&format!("{indent}\n"));
                }
                continue;
            }
            text.push_str(&format!("{indent}  |\n"));
            for (index, child) in children.iter().enumerate().rev() {
                let last = index + 1 == children.len();
                let deeper = if last { "    " } else { "  | " };
                stack.push((*child, format!("{indent}  +- "), format!("{indent}{deeper}"), last));
            }
        }
        text
    }
}

/// As `strcasecmp`.
fn caseless(a: &str, b: &str) -> Ordering {
    let lower = |text: &str| text.to_ascii_lowercase();
    lower(a).cmp(&lower(b))
}

impl Render for List {
    fn table(&self, quiet: bool) -> String {
        match self.shape {
            Shape::Table { parents } => self.as_table(parents, quiet),
            Shape::Names => {
                self.rows.iter().map(|row| format!("{}\n", printable(&row.name))).collect()
            }
            Shape::Tree => self.as_tree(),
        }
    }

    fn value(&self) -> Value {
        let row = |row: &Row| match (&row.facts, self.shape) {
            (_, Shape::Names) => json!({"name": row.name}),
            (facts, _) => json!({
                "name": row.name,
                "creation_time_s": facts.as_ref().map(|facts| facts.creation_time_s),
                "state": facts.as_ref().map(|facts| &facts.state),
                "parent": row.parent(),
                "problem": row.problem,
            }),
        };
        self.rows.iter().map(row).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let problem = |row: &Row| Some(format!("{}: {}", row.name, row.problem.as_ref()?));
        self.rows.iter().filter_map(problem).collect()
    }
}

/// The result of `snapshot-info`.
pub(crate) struct Info {
    /// Name of the domain.
    pub(crate) domain: String,
    /// What its document tells.
    pub(crate) facts: Facts,
    /// Whether it is the current one.
    pub(crate) current: bool,
    /// How many follow it directly.
    pub(crate) children: u32,
    /// How many follow it.
    pub(crate) descendants: u32,
    /// Whether the client's side keeps something of it.
    pub(crate) metadata: bool,
}

impl Info {
    const fn location(&self) -> &'static str {
        if self.facts.external { "external" } else { "internal" }
    }
}

impl Render for Info {
    fn table(&self, _quiet: bool) -> String {
        let yes_no = |fact| if fact { "yes" } else { "no" };
        let parent = self.facts.parent.as_deref().unwrap_or("-");
        Fields::new(15)
            .with("Name:", printable(&self.facts.name))
            .with("Domain:", printable(&self.domain))
            .with("Current:", yes_no(self.current))
            .with("State:", printable(&self.facts.state))
            .with("Location:", self.location())
            .with("Parent:", printable(parent))
            .with("Children:", self.children)
            .with("Descendants:", self.descendants)
            .with("Metadata:", yes_no(self.metadata))
            .into_text()
    }

    fn value(&self) -> Value {
        json!({
            "name": self.facts.name,
            "domain": self.domain,
            "current": self.current,
            "state": self.facts.state,
            "location": self.location(),
            "creation_time_s": self.facts.creation_time_s,
            "parent": self.facts.parent,
            "children": self.children,
            "descendants": self.descendants,
            "metadata": self.metadata,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::{TimeZone, offset};

    use super::{Facts, List, Row, Shape};
    use crate::render::Render;

    fn row(name: &str, parent: Option<&str>) -> Row {
        let facts = Facts {
            name: name.to_owned(),
            state: "running".to_owned(),
            creation_time_s: Some(1_795_444_050),
            parent: parent.map(str::to_owned),
            external: false,
        };
        Row { name: name.to_owned(), facts: Some(facts), problem: None }
    }

    fn list(shape: Shape) -> List {
        let rows = ["a", "b/a", "c/b", "f/b", "g/f", "d/a", "e/d"].map(|text| {
            match text.split_once('/') {
                Some((name, parent)) => row(name, Some(parent)),
                None => row(text, None),
            }
        });
        List::new(rows.into(), shape, true, TimeZone::fixed(offset(1)))
    }

    // Recorded from Debian's virsh 9.0.0 with its test driver.
    #[test]
    fn trees_are_virshs() {
        assert_eq!(
            list(Shape::Tree).table(true),
            "a\n  |\n  +- b\n  |   |\n  |   +- c\n  |   +- f\n  |       |\n  |       +- g\n  |         \n  \
             +- d\n      |\n      +- e\n        \n"
        );
        let single = List::new(vec![row("a", None)], Shape::Tree, true, TimeZone::UTC);
        assert_eq!(single.table(true), "a\n\n");
    }

    #[test]
    fn tables_are_virshs() {
        let table = list(Shape::Table { parents: true }).table(false);
        let lines: Vec<&str> = table.lines().take(4).collect();
        assert_eq!(
            lines,
            [
                " Name   Creation Time               State     Parent",
                "------------------------------------------------------",
                " a      2026-11-23 15:27:30 +0100   running   ",
                " b      2026-11-23 15:27:30 +0100   running   a",
            ]
        );
    }

    #[test]
    fn rings_and_twins_do_no_harm() {
        let rows = vec![row("a", Some("b")), row("b", Some("a")), row("c", Some("c"))];
        assert_eq!(List::new(rows, Shape::Tree, true, TimeZone::UTC).table(true), "");
        let twins = vec![row("d", None), row("d", None), row("e", Some("d"))];
        let tree = List::new(twins, Shape::Tree, false, TimeZone::UTC).table(true);
        assert_eq!(tree, "d\n  |\n  +- e\n    \nd\n\n");
    }

    #[test]
    fn documents_tell_facts() {
        let facts = Facts::parse(
            "<domainsnapshot><name>x</name><state>disk-snapshot</state><parent><name>p</name></parent>\
             <creationTime>12</creationTime></domainsnapshot>",
        )
        .unwrap();
        assert_eq!((facts.parent.as_deref(), facts.creation_time_s), (Some("p"), Some(12)));
        assert!(facts.external);
        assert!(Facts::parse("nonsense").is_err());
    }
}
