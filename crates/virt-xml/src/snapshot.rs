//! The snapshot document (`virDomainSnapshotGetXMLDesc`, `spec/domain.md` 15).

use uuid::Uuid;

use crate::element::{Element, Node};
use crate::error::{Error, ErrorKind};
use crate::writer::Writer;

/// A snapshot that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Its description, possibly empty; always there on VMware hosts.
    pub description: Option<String>,
    /// The domain's state when it was made: `running`, `paused` or `shutoff`.
    pub state: String,
    /// The snapshot it follows; `None` for a root.
    pub parent: Option<String>,
    /// When it was made, in seconds since the start of 1970; 0 if that is not known.
    pub creation_time: i64,
    /// The domain's UUID.
    pub domain_uuid: Uuid,
}

impl Snapshot {
    /// The document as libvirt writes it, with a line feed at its end.
    pub fn to_xml(&self) -> String {
        let mut w = Writer::new();
        w.tag("domainsnapshot").open();
        w.text("name", &self.name);
        w.text_opt("description", self.description.as_deref());
        w.text("state", &self.state);
        if let Some(parent) = &self.parent {
            w.tag("parent").open();
            w.text("name", parent);
            w.close("parent");
        }
        if self.creation_time != 0 {
            w.text("creationTime", self.creation_time);
        }
        w.tag("domain").open();
        w.text("uuid", self.domain_uuid);
        w.close("domain");
        w.close("domainsnapshot");
        w.finish()
    }
}

/// A snapshot to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// Its name; without one the caller invents one.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<String>,
}

impl SnapshotRequest {
    /// Reads a document. `<memory>` is read over, as libvirt's ESX driver does.
    ///
    /// # Errors
    /// If the text is no snapshot document, or asks for a choice of disks, which VMware does not have.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let error = |kind, path: &str, reason: &str| Error {
            kind,
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let root = Element::parse(text)?;
        if !root.is("domainsnapshot") {
            return Err(error(ErrorKind::Element, "/", "the root element is not domainsnapshot"));
        }
        let any_disk = root
            .children_named("disks")
            .flat_map(|disks| &disks.children)
            .any(|node| matches!(node, Node::Element(_)));
        if any_disk {
            return Err(error(
                ErrorKind::Unsupported,
                "/domainsnapshot/disks",
                "the disks of a snapshot cannot be chosen",
            ));
        }
        let text = |name: &str| {
            root.children_named(name).next().map(Element::text).filter(|text| !text.is_empty())
        };
        Ok(Self { name: text("name"), description: text("description") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_libvirts() {
        let snapshot = Snapshot {
            name: "before <upgrade>".to_owned(),
            description: Some("text".to_owned()),
            state: "running".to_owned(),
            parent: Some("base".to_owned()),
            creation_time: 1_270_730_711,
            domain_uuid: Uuid::from_u128(0x4c4c_4544_0042_4a10_8057_b4c0_4f4d_3032),
        };
        let expected = "<domainsnapshot>
  <name>before &lt;upgrade&gt;</name>
  <description>text</description>
  <state>running</state>
  <parent>
    <name>base</name>
  </parent>
  <creationTime>1270730711</creationTime>
  <domain>
    <uuid>4c4c4544-0042-4a10-8057-b4c04f4d3032</uuid>
  </domain>
</domainsnapshot>
";
        assert_eq!(snapshot.to_xml(), expected);
        let bare = Snapshot { description: None, parent: None, creation_time: 0, ..snapshot };
        assert_eq!(bare.to_xml().lines().count(), 7);
    }

    #[test]
    fn requests_are_read() {
        let parse = SnapshotRequest::parse;
        let full = parse(
            "<domainsnapshot><name>a</name><description>b</description><memory snapshot='no'/></domainsnapshot>",
        );
        assert_eq!(
            full.unwrap(),
            SnapshotRequest { name: Some("a".into()), description: Some("b".into()) }
        );
        assert_eq!(
            parse("<domainsnapshot><name/></domainsnapshot>").unwrap(),
            SnapshotRequest::default()
        );
        let kind = |text: &str| parse(text).unwrap_err().kind;
        assert_eq!(kind("<domain/>"), ErrorKind::Element);
        assert_eq!(kind("<domainsnapshot"), ErrorKind::NotWellFormed);
        for disks in ["<disk name='sda'/>", "<disk/>", "<other/>"] {
            let text = format!("<domainsnapshot><disks>{disks}</disks></domainsnapshot>");
            assert_eq!(kind(&text), ErrorKind::Unsupported, "{disks}");
        }
        for none in ["<disks/>", "<disks> </disks>"] {
            let text = format!("<domainsnapshot>{none}</domainsnapshot>");
            assert!(parse(&text).is_ok(), "{none}");
        }
    }
}
