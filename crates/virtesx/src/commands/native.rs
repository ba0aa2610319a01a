//! `domxml-from-native` and `domxml-to-native`: VMX files to domain XML and back, with or without a host.

use async_trait::async_trait;
use clap::{Arg, ArgAction, ArgMatches};
use virt_api::{DomainXmlFlags, Error, ErrorDomain, NativeConversionFlags};

use crate::cli::Target;
use crate::command::{Command, Group, Request, positional, required_value, value};
use crate::commands::domain::lookup;
use crate::commands::plain::{option, switch};
use crate::convert::{self, Converted, Facts};
use crate::failure::{Context, usage};
use crate::file::{read, read_text};
use crate::render::{Render, Text};
use crate::session::Session;

/// The only native format.
const VMX: &str = "vmware-vmx";

fn format_argument(command: clap::Command) -> clap::Command {
    positional(command, "format", "Native format: vmware-vmx", true)
}

fn exact_argument() -> Arg {
    Arg::new("exact")
        .long("exact")
        .action(ArgAction::SetTrue)
        .help("Byte for byte what libvirt gives, its mistakes included")
}

/// Adds the facts that a host would tell.
fn with_facts(command: clap::Command, other: Arg) -> clap::Command {
    let help =
        "Without -c: where a datastore is mounted, such as ds1=/vmfs/volumes/ds1; may be repeated";
    let datastore = option("datastore", "NAME=MOUNTPATH", help).action(ArgAction::Append);
    command.arg(exact_argument()).arg(datastore).arg(other)
}

fn facts(matches: &ArgMatches) -> Result<Facts, Error> {
    let datastores = matches.get_many::<String>("datastore").unwrap_or_default().map(|text| {
        // Names may have an equals sign, mount paths of VMware do not.
        let (name, mount_path) = text
            .rsplit_once('=')
            .filter(|(name, mount_path)| !name.is_empty() && !mount_path.is_empty())
            .ok_or_else(|| usage(format!("'{text}' is not of the form NAME=MOUNTPATH")))?;
        Ok((name.to_owned(), mount_path.to_owned()))
    });
    let text = |name| matches.try_get_one::<String>(name).ok().flatten();
    let vmx_path = text("vmx-path");
    if let Some(path) = vmx_path
        && path.strip_prefix('[').and_then(|rest| rest.split_once(']')).is_none()
    {
        return Err(usage(format!("'{path}' is not of the form '[DATASTORE] PATH'")));
    }
    let hardware_version = text("hw-version").map(|text| match text.parse() {
        Ok(version) if (3..100).contains(&version) => Ok(version),
        _ => Err(usage(format!("'{text}' is not a hardware version: 3 or more, such as 13"))),
    });
    Ok(Facts {
        exact: matches.get_flag("exact"),
        keep_keys: matches!(matches.try_get_one("keep-keys"), Ok(Some(true))),
        datastores: datastores.collect::<Result<_, Error>>()?,
        vmx_path: vmx_path.cloned(),
        hardware_version: hardware_version.transpose()?,
    })
}

/// A connection knows the facts: nobody else's are mixed in.
fn refuse_facts(facts: &Facts) -> Result<(), Error> {
    let alone = Facts { exact: facts.exact, keep_keys: facts.keep_keys, ..Facts::default() };
    if *facts == alone {
        return Ok(());
    }
    Err(usage("--datastore, --vmx-path and --hw-version are for conversions without a connection"))
}

/// Checks the format here when no driver will.
fn check_format(format: &str) -> Result<(), Error> {
    if format == VMX {
        return Ok(());
    }
    Err(Error::invalid_arg(
        ErrorDomain::Esx,
        format!("unsupported config format '{format}'; possible is {VMX}"),
    ))
}

/// Whether the user named a connection for the conversion; one from the environment does not count.
fn wants_connection(session: &Session) -> bool {
    matches!(session.options.target, Target::Argument(_))
}

fn native_flags(exact: bool, keep_keys: bool) -> NativeConversionFlags {
    let mut flags = NativeConversionFlags::empty();
    flags.set(NativeConversionFlags::EXACT, exact);
    flags.set(NativeConversionFlags::KEEP_KEYS, keep_keys);
    flags
}

fn document(key: &'static str, converted: Converted) -> Box<dyn Render> {
    Box::new(Text::document(key, converted.text).with_warnings(converted.warnings))
}

/// A VMX file in whatever charset it declares, as drivers take it.
fn as_text(bytes: Vec<u8>) -> virt_api::Result<String> {
    String::from_utf8(bytes).or_else(|error| {
        let document = esx_vmx::Document::parse(error.as_bytes()).map_err(|e| {
            Error::invalid_arg(ErrorDomain::Esx, "the file cannot be read").with_source(e)
        })?;
        Ok(document.to_utf8())
    })
}

/// `domxml-from-native`: a VMX file as domain XML.
pub(crate) struct FromNative;

impl Command for FromNative {
    fn name(&self) -> &'static str {
        "domxml-from-native"
    }
    fn group(&self) -> Group {
        Group::Domain
    }
    fn summary(&self) -> &'static str {
        "Convert a VMX file to domain XML"
    }
    fn details(&self) -> &'static str {
        "With -c the host's datastores are known; without it no connection is opened and files whose place is not\n\
         told by --datastore or --vmx-path are shown as '[?] ?/NAME'. FILE may be - for standard input."
    }
    fn usage(&self) -> &'static str {
        "FORMAT FILE"
    }
    fn arguments(&self, command: clap::Command) -> clap::Command {
        let help = "VMX file, or - for standard input";
        let command = positional(format_argument(command), "config", help, true);
        let help = "Without -c: where the VMX file is on the host, '[DATASTORE] DIR/FILE.vmx'";
        let keep = "Keep keys that have no place in domain XML in <metadata>";
        with_facts(command, option("vmx-path", "PATH", help))
            .arg(switch("keep-keys", keep).conflicts_with("exact"))
    }
    fn request(&self, matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
        Ok(Box::new(ConvertFrom {
            format: required_value(matches, "format")?,
            file: required_value(matches, "config")?,
            facts: facts(matches)?,
        }))
    }
}

struct ConvertFrom {
    format: String,
    file: String,
    facts: Facts,
}

#[async_trait(?Send)]
impl Request for ConvertFrom {
    async fn run(&self, session: &Session) -> Result<Box<dyn Render>, Error> {
        if wants_connection(session) {
            refuse_facts(&self.facts)?;
            let config = as_text(read(&self.file)?)
                .context(|| format!("failed to convert '{}'", self.file))?;
            let hypervisor = session.hypervisor().await?;
            let flags = native_flags(self.facts.exact, self.facts.keep_keys);
            let xml = hypervisor.connect_domain_xml_from_native(&self.format, &config, flags).await;
            let xml = xml.context(|| format!("failed to convert '{}'", self.file))?;
            return Ok(Box::new(Text::document("xml", xml)));
        }
        check_format(&self.format)?;
        let converted = convert::vmx_to_xml(&read(&self.file)?, &self.facts);
        Ok(document("xml", converted.context(|| format!("failed to convert '{}'", self.file))?))
    }
}

/// `domxml-to-native`: domain XML as a VMX file.
pub(crate) struct ToNative;

impl Command for ToNative {
    fn name(&self) -> &'static str {
        "domxml-to-native"
    }
    fn group(&self) -> Group {
        Group::Domain
    }
    fn summary(&self) -> &'static str {
        "Convert domain XML to a VMX file"
    }
    fn details(&self) -> &'static str {
        "With -c the host's datastores and version are known; without it no connection is opened, and datastores not\n\
         told by --datastore are taken to be mounted at /vmfs/volumes/NAME.\n\
         FILE may be - for standard input; --domain takes the XML of a domain of the host instead."
    }
    fn usage(&self) -> &'static str {
        "FORMAT (FILE | --domain DOMAIN)"
    }
    fn arguments(&self, command: clap::Command) -> clap::Command {
        let command = positional(
            format_argument(command),
            "xml",
            "File with domain XML, or - for standard input",
            false,
        )
        .arg(
            Arg::new("source-domain")
                .long("domain")
                .value_name("DOMAIN")
                .conflicts_with_all(["xml", "xml-option"])
                .help("Take the XML of this domain"),
        )
        .arg(
            switch("keep-keys", "With --domain: take along keys that have no place in domain XML")
                .conflicts_with("exact"),
        );
        let help = "Without -c: hardware version of the VMX file (8)";
        with_facts(command, option("hw-version", "NUMBER", help))
    }
    fn request(&self, matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
        let source = match (value(matches, "xml"), matches.get_one::<String>("source-domain")) {
            (Some(file), _) if !file.is_empty() => Source::File(file),
            (_, Some(domain)) if !domain.is_empty() => Source::Domain(domain.clone()),
            _ => return Err(usage("command 'domxml-to-native' requires a file or --domain")),
        };
        let facts = facts(matches)?;
        if facts.keep_keys && !matches!(source, Source::Domain(_)) {
            return Err(usage(
                "--keep-keys needs --domain: what a file keeps is always written back",
            ));
        }
        Ok(Box::new(ConvertTo { format: required_value(matches, "format")?, source, facts }))
    }
}

enum Source {
    File(String),
    Domain(String),
}

impl Source {
    fn failure(&self) -> String {
        match self {
            Self::File(file) => format!("failed to convert '{file}'"),
            Self::Domain(domain) => format!("failed to convert domain '{domain}'"),
        }
    }
}

struct ConvertTo {
    format: String,
    source: Source,
    facts: Facts,
}

#[async_trait(?Send)]
impl Request for ConvertTo {
    async fn run(&self, session: &Session) -> Result<Box<dyn Render>, Error> {
        let connected = wants_connection(session) || matches!(self.source, Source::Domain(_));
        if connected {
            refuse_facts(&self.facts)?;
        }
        let xml = match &self.source {
            Source::File(file) => read_text(file)?,
            Source::Domain(name) => {
                let hypervisor = session.hypervisor().await?;
                let domain = lookup(hypervisor, name).await?;
                let mut flags = DomainXmlFlags::INACTIVE;
                // Without the passwords the file would lose them.
                flags.set(DomainXmlFlags::SECURE, !session.options.read_only);
                flags.set(DomainXmlFlags::KEEP_KEYS, self.facts.keep_keys);
                hypervisor.domain_get_xml_desc(&domain, flags).await?
            }
        };
        if connected {
            let hypervisor = session.hypervisor().await?;
            let flags = native_flags(self.facts.exact, false);
            let config = hypervisor.connect_domain_xml_to_native(&self.format, &xml, flags).await;
            let config = config.context(|| self.source.failure())?;
            return Ok(Box::new(Text::document("config", config)));
        }
        check_format(&self.format)?;
        let converted = convert::xml_to_vmx(&xml, &self.facts);
        Ok(document("config", converted.context(|| self.source.failure())?))
    }
}
