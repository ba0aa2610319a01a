//! From the name that a client opens to a URI for the driver (libvirt-rpc.md 2.2).
//!
//! The client's library takes host and user out of `esx+unix://` URIs, so the host comes as a name that the
//! configuration knows, in the path, or in a whole URI through `name=`.

use percent_encoding::percent_decode_str;
use virt_api::{Error, ErrorCode, ErrorDomain, Result};

use crate::config::Config;

/// Parameters that make the daemon read a file: not from someone who is not the daemon's own user.
const FILES: [&str; 3] = ["authfile", "cacert", "known_hosts"];

/// Where a client wants to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// A URI for the driver.
    pub uri: String,
    /// The configured target that it is.
    pub target: Option<String>,
}

/// What `name` means. `trusted` is whether it comes from the user whom the daemon runs as.
///
/// # Errors
/// `VIR_ERR_INVALID_ARG` if it means nothing; `VIR_ERR_ACCESS_DENIED` if the configuration does not allow it.
pub fn resolve(config: &Config, name: &str, trusted: bool) -> Result<Destination> {
    if name.is_empty() {
        return default_target(config);
    }
    let Some((scheme, rest)) = name.split_once("://") else {
        // Who knows what it is: a password, perhaps, and this reaches the log.
        return Err(invalid("the name of what is to be opened is no URI".to_owned()));
    };
    let scheme = scheme.to_ascii_lowercase();
    if !["esx", "gsx", "vpx", "test"].contains(&scheme.as_str()) {
        return Err(invalid(format!("the scheme {scheme:?} is none of esx, gsx and vpx")));
    }
    if rest.contains('#') {
        return Err(invalid("a URI with a fragment".to_owned()));
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match place.split_once('/') {
        Some((authority, path)) => (authority, path),
        None => (place, ""),
    };
    if !authority.is_empty() {
        // A whole URI, through `name=`.
        if scheme == "test" {
            return Err(invalid("test:/// takes the name of a target, not a host".to_owned()));
        }
        let place = if place.contains('/') { place.to_owned() } else { format!("{place}/") };
        return ad_hoc(config, &scheme, &place, query, trusted);
    }
    let first = path.split('/').next().unwrap_or_default();
    let first = decoded(first)?;
    match first.as_str() {
        "" | "system" | "session" if query.is_empty() => default_target(config),
        _ if config.target.contains_key(&first) => {
            if !query.is_empty() {
                return Err(invalid(format!("the target {first:?} takes no parameters")));
            }
            configured(config, &first)
        }
        _ if first.contains('@') && scheme != "test" => {
            let rest = path.split_once('/').map_or("", |(_, rest)| rest);
            // The last @ ends the user, which is encoded again so that it stays one.
            let (user, host) = first.rsplit_once('@').unwrap_or(("", &first));
            // It was decoded, and stands in the URI as it is: what ends a host in a URI would end this one.
            if !host.chars().all(|c| c.is_alphanumeric() || ".-_:[]".contains(c)) {
                return Err(invalid("what follows the @ is no host".to_owned()));
            }
            let user = percent_encoding::utf8_percent_encode(user, USER);
            ad_hoc(config, &scheme, &format!("{user}@{host}/{rest}"), query, trusted)
        }
        _ => {
            // Without what may be a password.
            let shown = first.split(':').next().unwrap_or_default();
            let known: Vec<&str> = config.target.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Err(invalid(format!(
                "{shown:?} is no target (known: {known}) and no USER@HOST; a whole URI can be given by name="
            )))
        }
    }
}

/// What is encoded in the user part of a URI.
const USER: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~');

fn ad_hoc(
    config: &Config,
    scheme: &str,
    place: &str,
    query: &str,
    trusted: bool,
) -> Result<Destination> {
    if !config.ad_hoc {
        let message = "the daemon connects to configured targets only";
        return Err(Error::new(ErrorCode::AccessDenied, ErrorDomain::Uri, message));
    }
    let mut parameters = Vec::new();
    for parameter in query.split(['&', ';']).filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let name = decoded(name)?.to_ascii_lowercase();
        // Clients keep no_verify and proxy to themselves; these are ours in their place.
        match (name.as_str(), value) {
            ("verify", "0") => parameters.push("no_verify=1".to_owned()),
            ("verify", "1") => {}
            ("verify", _) => return Err(invalid("verify is 0 or 1".to_owned())),
            ("via", proxy) => parameters.push(format!("proxy={proxy}")),
            _ => parameters.push(parameter.to_owned()),
        }
    }
    let query = match parameters.is_empty() {
        true => String::new(),
        false => format!("?{}", parameters.join("&")),
    };
    let uri = format!("{scheme}://{place}{query}");
    if !trusted {
        check_files(&uri)?;
    }
    Ok(Destination { uri, target: None })
}

/// Looks at the whole URI, as the driver will, for parameters that make it read a file.
fn check_files(uri: &str) -> Result<()> {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    // A second ? belongs to a value; but nothing that needs one is worth a file.
    for parameter in query.split(['&', ';', '?']) {
        let name = parameter.split('=').next().unwrap_or_default();
        let name = decoded(name)?.to_ascii_lowercase();
        if FILES.contains(&name.as_str()) {
            let message = format!("the parameter {name} would make the daemon read a file");
            return Err(Error::new(ErrorCode::AccessDenied, ErrorDomain::Uri, message));
        }
    }
    Ok(())
}

fn default_target(config: &Config) -> Result<Destination> {
    match (&config.default, config.target.len()) {
        (Some(name), _) => configured(config, name),
        (None, 1) => {
            let only = config.target.keys().next().cloned().unwrap_or_default();
            configured(config, &only)
        }
        _ => Err(invalid("no target is named and there is no default".to_owned())),
    }
}

fn configured(config: &Config, name: &str) -> Result<Destination> {
    let target =
        config.target.get(name).ok_or_else(|| invalid(format!("there is no target {name:?}")))?;
    Ok(Destination { uri: target.uri.clone(), target: Some(name.to_owned()) })
}

/// A client's name for a log: without what it may hold by mistake after the path, or a password in the user part.
#[must_use]
pub fn shown(name: &str) -> String {
    let place = name.split(['?', '#']).next().unwrap_or_default();
    // As it will be read: an encoded @ ends a user as well, an encoded : begins a password.
    let place = percent_decode_str(place).decode_utf8_lossy();
    let place: String = place.chars().filter(|char| !char.is_control()).take(200).collect();
    match place.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((user, host)) => {
                let user = user.split([':', '%']).next().unwrap_or_default();
                let host = host.split(['?', '#']).next().unwrap_or_default();
                format!("{scheme}://{user}@{host}")
            }
            None => place,
        },
        None if place.is_empty() => place,
        None => "(no URI)".to_owned(),
    }
}

fn decoded(text: &str) -> Result<String> {
    let text = percent_decode_str(text).decode_utf8();
    Ok(text.map_err(|_| invalid("a name that is not UTF-8".to_owned()))?.into_owned())
}

fn invalid(message: String) -> Error {
    Error::invalid_arg(ErrorDomain::Uri, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::parse(
            "default = 'esx1'\n[target.esx1]\nuri = 'esx://root@esx1/'\n[target.'vc 2']\nuri = 'vpx://a@vc/d/h'\n",
        )
        .unwrap()
    }

    #[test]
    fn names_become_uris() {
        for (name, uri, target) in [
            ("", "esx://root@esx1/", Some("esx1")),
            ("esx:///", "esx://root@esx1/", Some("esx1")),
            ("esx:///system", "esx://root@esx1/", Some("esx1")),
            ("ESX:///session", "esx://root@esx1/", Some("esx1")),
            ("esx:///esx1", "esx://root@esx1/", Some("esx1")),
            ("test:///esx1", "esx://root@esx1/", Some("esx1")),
            ("vpx:///vc%202", "vpx://a@vc/d/h", Some("vc 2")),
            ("esx:///root@h", "esx://root@h/", None),
            ("esx:///root@h:8443", "esx://root@h:8443/", None),
            ("esx:///root@h%3A8443", "esx://root@h:8443/", None),
            ("esx:///me%40corp@h", "esx://me%40corp@h/", None),
            ("esx:///root@%5B::1%5D", "esx://root@[::1]/", None),
            ("vpx:///a@vc/dc/cl/h", "vpx://a@vc/dc/cl/h", None),
            ("vpx:///a%3Fb@vc/d%3Fauthfile=x/h", "vpx://a%3Fb@vc/d%3Fauthfile=x/h", None),
            ("esx:///root@h?verify=0", "esx://root@h/?no_verify=1", None),
            (
                "esx:///root@h?via=socks5://p:1&vcenter=%2A",
                "esx://root@h/?proxy=socks5://p:1&vcenter=%2A",
                None,
            ),
            ("esx:///root@h?verify=1", "esx://root@h/", None),
            ("esx://root@h/?no_verify=1", "esx://root@h/?no_verify=1", None),
            ("esx://root@h", "esx://root@h/", None),
            ("esx://h?transport=http", "esx://h/?transport=http", None),
        ] {
            let found = resolve(&config(), name, false);
            let expected = Destination { uri: uri.to_owned(), target: target.map(str::to_owned) };
            assert_eq!(found.map_err(|error| error.to_string()), Ok(expected), "{name}");
        }
    }

    #[test]
    fn a_log_shows_no_password() {
        for (name, expected) in [
            ("esx://root:pa55@h/?x=pa55", "esx://root@h/"),
            ("esx:///root%3Apa55@h", "esx:///root@h"),
            ("esx:///root%3Apa55%40h", "esx:///root@h"),
            ("esx:///root:pa%40%3F55%40h%3Fx=pa55", "esx:///root@h"),
            ("esx:///root%253Apa55%40h", "esx:///root@h"),
            ("root:pa55", "(no URI)"),
            ("", ""),
            ("esx:///esx1", "esx:///esx1"),
            ("esx:///a\nb", "esx:///ab"),
        ] {
            assert_eq!(shown(name), expected);
        }
    }

    #[test]
    fn what_is_refused_has_its_reason() {
        let closed = Config { ad_hoc: false, ..config() };
        for (config, name, code, part) in [
            (&config(), "esx1", 8, "no URI"),
            (&config(), "qemu:///system", 8, "scheme"),
            (&config(), "esx:///esx2", 8, "known: esx1, vc 2"),
            (&config(), "esx:///esx1?verify=0", 8, "takes no parameters"),
            (&config(), "esx:///root@h?verify=no", 8, "0 or 1"),
            (&config(), "esx:///a#b", 8, "fragment"),
            (&config(), "test://h/default", 8, "not a host"),
            (&config(), "esx:///%ff", 8, "UTF-8"),
            (&config(), "esx://h/?authfile=/etc/passwd", 88, "read a file"),
            (&config(), "esx:///u@h?CAcert=/x", 88, "read a file"),
            (&config(), "esx:///u@h?known_hosts=/x", 88, "read a file"),
            (&config(), "esx:///u@h?verify=0&%41uthfile=/x", 88, "read a file"),
            (&config(), "esx:///u@h?via=http://p&authfile=/x", 88, "read a file"),
            // What is decoded once does not begin parameters, a path or another user.
            (&config(), "esx:///u@h%3Fauthfile=/x", 8, "no host"),
            (&config(), "esx:///u@h%3Fauthfile=%2Fx", 8, "no host"),
            (&config(), "esx:///u@h%2F%3Fauthfile=/x", 8, "no host"),
            (&config(), "vpx:///u@h%2Fdc", 8, "no host"),
            (&config(), "esx:///u@h%23x", 8, "no host"),
            (&config(), "esx:///u@h%2540x", 8, "no host"),
            (&config(), "esx:///u@h%26authfile=/x", 8, "no host"),
            (&closed, "esx://root@h/", 88, "configured targets only"),
            (&closed, "esx:///root@h", 88, "configured targets only"),
            (&Config::default(), "", 8, "no default"),
        ] {
            let error = resolve(config, name, false).unwrap_err();
            assert_eq!(error.code.number(), code, "{name}: {error}");
            assert!(error.message.contains(part), "{name}: {error}");
        }
        for name in ["esx://h/?authfile=/a", "esx:///u@h?known_hosts=/a"] {
            assert!(resolve(&config(), name, true).is_ok(), "{name}");
        }
        assert!(resolve(&closed, "esx:///esx1", false).is_ok());
    }
}
