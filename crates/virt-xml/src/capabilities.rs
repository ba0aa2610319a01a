//! The capabilities document of a VMware host (`virConnectGetCapabilities`, `spec/domain.md` 4.6).

use uuid::Uuid;

use crate::writer::Writer;

/// What a VMware host can do, as far as libvirt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The host's SMBIOS UUID. One with sixteen equal bytes is not printed.
    pub host_uuid: Uuid,
    /// Whether the host's CPUs have long mode, and so 64-bit guests.
    pub long_mode: bool,
}

impl Capabilities {
    /// The document, exactly as libvirt writes it, with a line feed at its end.
    pub fn to_xml(&self) -> String {
        let mut w = Writer::new();
        w.tag("capabilities").open();
        w.blank_line();
        w.tag("host").open();
        if self.host_uuid.as_bytes().iter().any(|b| b != &self.host_uuid.as_bytes()[0]) {
            w.text("uuid", self.host_uuid);
        }
        w.tag("cpu").open();
        w.text("arch", if self.long_mode { "x86_64" } else { "i686" });
        w.close("cpu");
        w.tag("power_management").empty();
        w.tag("iommu").attr("support", "no").empty();
        w.tag("migration_features").open();
        w.tag("live").empty();
        w.tag("uri_transports").open();
        w.text("uri_transport", "vpxmigr");
        w.close("uri_transports");
        w.close("migration_features");
        w.close("host");
        w.blank_line();
        guest(&mut w, "i686", 32);
        if self.long_mode {
            guest(&mut w, "x86_64", 64);
        }
        w.close("capabilities");
        w.finish()
    }
}

fn guest(w: &mut Writer, arch: &str, word_size: u32) {
    w.tag("guest").open();
    w.text("os_type", "hvm");
    w.tag("arch").attr("name", arch).open();
    w.text("wordsize", word_size);
    w.tag("domain").attr("type", "vmware").empty();
    w.close("arch");
    w.close("guest");
    w.blank_line();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_host() {
        let host_uuid = crate::parse_uuid("4c4c4544-0042-4a10-8057-b4c04f4d3032").unwrap();
        insta::assert_snapshot!(Capabilities { host_uuid, long_mode: true }.to_xml(), @r"
        <capabilities>

          <host>
            <uuid>4c4c4544-0042-4a10-8057-b4c04f4d3032</uuid>
            <cpu>
              <arch>x86_64</arch>
            </cpu>
            <power_management/>
            <iommu support='no'/>
            <migration_features>
              <live/>
              <uri_transports>
                <uri_transport>vpxmigr</uri_transport>
              </uri_transports>
            </migration_features>
          </host>

          <guest>
            <os_type>hvm</os_type>
            <arch name='i686'>
              <wordsize>32</wordsize>
              <domain type='vmware'/>
            </arch>
          </guest>

          <guest>
            <os_type>hvm</os_type>
            <arch name='x86_64'>
              <wordsize>64</wordsize>
              <domain type='vmware'/>
            </arch>
          </guest>

        </capabilities>
        ");
        let short = Capabilities { host_uuid: Uuid::nil(), long_mode: false }.to_xml();
        assert!(!short.contains("<uuid>") && !short.contains("x86_64"));
    }
}
