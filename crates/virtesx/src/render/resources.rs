//! `memtune`, `schedinfo`, `vcpucount` and `domifaddr`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use virt_api::{DomainInterface, IpAddressType, TypedParam, TypedValue};

use super::{Render, printable};
use crate::commands::memory::UNLIMITED_KIB;

/// Typed parameters, with the scheduler's name if they are one's.
pub(crate) struct Parameters {
    /// The scheduler's name.
    pub(crate) scheduler: Option<String>,
    /// The parameters.
    pub(crate) params: Vec<TypedParam>,
}

impl Parameters {
    /// Whether it is a limit, in KiB, that limits nothing.
    fn unlimited(&self, param: &TypedParam) -> bool {
        self.scheduler.is_none() && param.value == TypedValue::ULLong(UNLIMITED_KIB)
    }
}

impl Render for Parameters {
    fn table(&self, _quiet: bool) -> String {
        let mut text = String::new();
        if let Some(name) = &self.scheduler {
            let _infallible = writeln!(text, "{:<15}: {}", "Scheduler", printable(name));
        }
        for param in &self.params {
            let value = if self.unlimited(param) {
                "unlimited".to_owned()
            } else {
                printable(&param.value.to_string())
            };
            let _infallible = writeln!(text, "{:<15}: {value}", printable(&param.name));
        }
        text
    }

    fn value(&self) -> Value {
        let mut object = Map::new();
        if let Some(name) = &self.scheduler {
            object.insert("scheduler".to_owned(), json!(name));
        }
        for param in &self.params {
            let value = if self.unlimited(param) { Value::Null } else { json_of(&param.value) };
            // The limits of memory are in KiB, and keys tell units.
            let unit = if self.scheduler.is_none() { "_kib" } else { "" };
            object.insert(format!("{}{unit}", param.name), value);
        }
        Value::Object(object)
    }
}

/// A value for programs.
pub(super) fn json_of(value: &TypedValue) -> Value {
    match value {
        TypedValue::Int(value) => json!(value),
        TypedValue::UInt(value) => json!(value),
        TypedValue::LLong(value) => json!(value),
        TypedValue::ULLong(value) => json!(value),
        TypedValue::Double(value) => json!(value),
        TypedValue::Boolean(value) => json!(value),
        TypedValue::String(value) => json!(value),
    }
}

/// All that `vcpucount` can tell; what is about a running domain is missing for others.
pub(crate) struct VcpuCounts {
    /// The most at the next start.
    pub(crate) maximum_config: u32,
    /// The most now.
    pub(crate) maximum_live: Option<u32>,
    /// Those at the next start.
    pub(crate) current_config: u32,
    /// Those now.
    pub(crate) current_live: Option<u32>,
}

impl Render for VcpuCounts {
    fn table(&self, _quiet: bool) -> String {
        let rows = [
            ("maximum", "config", Some(self.maximum_config)),
            ("maximum", "live", self.maximum_live),
            ("current", "config", Some(self.current_config)),
            ("current", "live", self.current_live),
        ];
        let mut text = String::new();
        for (what, when, count) in rows {
            if let Some(count) = count {
                let _infallible = writeln!(text, "{what:<12} {when:<12} {count:>3}");
            }
        }
        text
    }

    fn value(&self) -> Value {
        json!({
            "maximum": {"config": self.maximum_config, "live": self.maximum_live},
            "current": {"config": self.current_config, "live": self.current_live},
        })
    }
}

/// The result of `domifaddr`.
pub(crate) struct Interfaces {
    /// The guest's interfaces.
    pub(crate) interfaces: Vec<DomainInterface>,
    /// Whether name and MAC address are repeated for each address.
    pub(crate) full: bool,
}

fn family(kind: IpAddressType) -> &'static str {
    match kind {
        IpAddressType::Ipv4 => "ipv4",
        IpAddressType::Ipv6 => "ipv6",
    }
}

impl Render for Interfaces {
    fn table(&self, quiet: bool) -> String {
        let mut text = String::new();
        if !quiet {
            let _infallible = writeln!(
                text,
                " {:<10} {:<20} {:<12} Address\n{}",
                "Name",
                "MAC address",
                "Protocol",
                "-".repeat(79)
            );
        }
        for interface in &self.interfaces {
            let name = printable(&interface.name);
            let mac = interface.hwaddr.as_deref().map_or_else(|| "N/A".to_owned(), printable);
            if interface.addrs.is_empty() {
                let _infallible = writeln!(text, " {name:<10} {mac:<20} {:<12} N/A", "N/A");
            }
            for (index, address) in interface.addrs.iter().enumerate() {
                let first = self.full || index == 0;
                let (name, mac) = if first { (&*name, &*mac) } else { ("-", "-") };
                let _infallible = writeln!(
                    text,
                    " {name:<10} {mac:<20} {:<12} {}/{}",
                    family(address.kind),
                    printable(&address.addr),
                    address.prefix
                );
            }
        }
        text
    }

    fn value(&self) -> Value {
        let interface = |item: &DomainInterface| {
            let address = |address: &virt_api::IpAddress| {
                json!({
                    "type": family(address.kind),
                    "addr": address.addr,
                    "prefix": address.prefix,
                })
            };
            let addrs: Vec<Value> = item.addrs.iter().map(address).collect();
            json!({"name": item.name, "hwaddr": item.hwaddr, "addrs": addrs})
        };
        self.interfaces.iter().map(interface).collect()
    }
}
