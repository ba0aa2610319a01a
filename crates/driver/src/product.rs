//! What a server says it is, and whether that fits the URI (spec `connection.md` 3.4).

use esx_vi_api::data::AboutInfo;
use esx_vmx_domain::ProductLine;
use virt_api::{Error, ErrorDomain, Result, Version};

/// The product behind an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) line: ProductLine,
    pub(crate) version: Version,
}

/// What people call a product line.
fn display(line: ProductLine) -> &'static str {
    match line {
        ProductLine::Gsx => "Server/GSX",
        ProductLine::Esx => "ESX(i)",
        ProductLine::VCenter => "vCenter/VPX",
    }
}

impl Product {
    /// Checks what `endpoint` says of itself; `wanted` is the product line that the URI asks for.
    pub(crate) fn check(about: &AboutInfo, wanted: ProductLine, endpoint: &str) -> Result<Self> {
        let refuse = |what: String| Err(Error::internal(ErrorDomain::Esx, what));
        if !matches!(about.api_type.as_str(), "HostAgent" | "VirtualCenter") {
            return refuse(format!("{endpoint} has the unknown API type {:?}", about.api_type));
        }
        match parse_version(&about.api_version) {
            Some(api) if api >= Version::new(2, 5, 0) => {}
            Some(_) => {
                return refuse(format!(
                    "{endpoint} speaks VI API {}, older than 2.5",
                    about.api_version
                ));
            }
            None => {
                return refuse(format!(
                    "{endpoint} has the odd API version {:?}",
                    about.api_version
                ));
            }
        }
        let (line, oldest) = match about.product_line_id.as_str() {
            "gsx" => (ProductLine::Gsx, Version::new(2, 0, 0)),
            "esx" | "embeddedEsx" => (ProductLine::Esx, Version::new(3, 5, 0)),
            "vpx" => (ProductLine::VCenter, Version::new(2, 5, 0)),
            other => return refuse(format!("{endpoint} is of the unknown product line {other:?}")),
        };
        let Some(version) = parse_version(&about.version) else {
            return refuse(format!("{endpoint} has the odd product version {:?}", about.version));
        };
        if version < oldest {
            return refuse(format!(
                "{endpoint} is {} {}, older than {oldest}",
                display(line),
                about.version
            ));
        }
        if line != wanted {
            let scheme = match line {
                ProductLine::Gsx => "gsx",
                ProductLine::Esx => "esx",
                ProductLine::VCenter => "vpx",
            };
            return refuse(format!(
                "{endpoint} is {} ({}), not {}; use {scheme}://",
                display(line),
                about.full_name,
                display(wanted)
            ));
        }
        Ok(Self { line, version })
    }
}

/// `major.minor.micro` with anything behind; missing parts count as 0, parts have at most 3 digits
/// behind the first.
pub(crate) fn parse_version(text: &str) -> Option<Version> {
    let mut numbers = [0u64; 3];
    let mut rest = text;
    for (index, number) in numbers.iter_mut().enumerate() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        *number = rest[..end].parse().ok()?;
        if index > 0 && *number > 999 {
            return None;
        }
        rest = &rest[end..];
        match rest.strip_prefix('.') {
            Some(after) if index < 2 => rest = after,
            _ => break,
        }
    }
    (numbers[0] < 1_000_000_000).then(|| Version::new(numbers[0], numbers[1], numbers[2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_libvirt_does() {
        for (text, number) in [
            ("8.0.2.0", Some(8_000_002)),
            ("7", Some(7_000_000)),
            ("6.7.3b", Some(6_007_003)),
            ("4.1.0", Some(4_001_000)),
            ("6.5.0.1", Some(6_005_000)),
            ("4.1000", None),
            ("x", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_version(text).map(|v| v.0), number, "{text}");
        }
    }

    #[test]
    fn a_server_must_be_what_the_uri_says() {
        let about = |line: &str, version: &str| AboutInfo {
            api_type: "HostAgent".into(),
            api_version: "6.7".into(),
            version: version.into(),
            product_line_id: line.into(),
            full_name: "VMware ESXi 6.7.0".into(),
            ..AboutInfo::default()
        };
        let check =
            |a: &AboutInfo, wanted| Product::check(a, wanted, "h:443").map_err(|e| e.to_string());
        assert_eq!(
            check(&about("embeddedEsx", "6.7.0"), ProductLine::Esx).unwrap().version,
            Version::new(6, 7, 0)
        );
        assert_eq!(
            check(&about("esx", "6.7.0"), ProductLine::VCenter).unwrap_err(),
            "h:443 is ESX(i) (VMware ESXi 6.7.0), not vCenter/VPX; use esx://"
        );
        assert!(
            check(&about("esx", "3.0"), ProductLine::Esx).unwrap_err().contains("older than 3.5.0")
        );
        assert!(check(&about("ws", "16.0"), ProductLine::Esx).is_err());
        let old = AboutInfo { api_version: "2.0".into(), ..about("esx", "3.5.0") };
        assert!(check(&old, ProductLine::Esx).unwrap_err().contains("older than 2.5"));
    }
}
