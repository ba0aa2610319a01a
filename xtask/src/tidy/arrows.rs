//! Which crate may import which, and what a pure crate may never reach.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde_json::Value;

use super::Findings;

/// One row of the table "Rooms and the arrows between them" of `ARCHITECTURE.md`.
pub(super) struct Room {
    /// Its folder below the root.
    pub(super) folder: &'static str,
    /// Its package.
    pub(super) package: &'static str,
    /// No I/O, no clock, no environment: bytes and time are arguments.
    pub(super) pure: bool,
    /// Which of our packages it may import.
    imports: &'static [&'static str],
    /// Which more its tests, examples and benches may import.
    tests_import: &'static [&'static str],
}

/// The table. A new line here is an architecture decision, not a repair.
pub(super) const ROOMS: &[Room] = &[
    pure("crates/escape", "esx-escape", &[]),
    pure("crates/vi-api", "esx-vi-api", &[]),
    pure("crates/task", "esx-task", &["esx-vi-api"]),
    pure("crates/vmx", "esx-vmx", &["esx-escape"]),
    pure("crates/virt-xml", "virt-xml", &[]),
    pure("crates/vmx-domain", "esx-vmx-domain", &["esx-vmx", "virt-xml", "esx-escape"]),
    pure("crates/virt-api", "virt-api", &[]),
    pure("crates/virt-rpc", "virt-rpc", &["virt-api"]),
    pure("crates/vspc", "esx-vspc", &[]),
    Room {
        folder: "crates/vi-client",
        package: "esx-vi-client",
        pure: false,
        imports: &["esx-vi-api", "esx-task", "esx-escape"],
        tests_import: &["esx-sim"],
    },
    Room {
        folder: "crates/concentrator",
        package: "esx-concentrator",
        pure: false,
        imports: &["esx-vspc", "esx-vi-client"],
        tests_import: &[],
    },
    Room {
        folder: "crates/driver",
        package: "esx-driver",
        pure: false,
        imports: &[
            "esx-escape",
            "esx-vi-api",
            "esx-task",
            "esx-vi-client",
            "esx-vmx",
            "virt-xml",
            "esx-vmx-domain",
            "virt-api",
        ],
        tests_import: &["esx-sim", "esx-conformance"],
    },
    // Never the client or the driver, not even in tests: a fake built on the client shares its bugs.
    Room {
        folder: "crates/sim",
        package: "esx-sim",
        pure: false,
        imports: &["esx-vi-api", "esx-vmx", "esx-escape", "esx-vspc"],
        tests_import: &[],
    },
    Room {
        folder: "crates/conformance",
        package: "esx-conformance",
        pure: false,
        imports: &["virt-api", "virt-xml"],
        tests_import: &[],
    },
    Room {
        folder: "crates/virtesx",
        package: "virtesx",
        pure: false,
        imports: &[
            "esx-driver",
            "virt-api",
            "virt-rpc",
            "virt-xml",
            "esx-vmx",
            "esx-vmx-domain",
            "esx-sim",
            "esx-vspc",
            "esx-concentrator",
        ],
        tests_import: &["esx-conformance"],
    },
    Room {
        folder: "crates/virtesxd",
        package: "virtesxd",
        pure: false,
        imports: &["virt-rpc", "virt-api", "esx-driver", "esx-concentrator"],
        tests_import: &["esx-sim", "esx-conformance"],
    },
    Room { folder: "xtask", package: "xtask", pure: false, imports: &[], tests_import: &[] },
];

const fn pure(
    folder: &'static str,
    package: &'static str,
    imports: &'static [&'static str],
) -> Room {
    Room { folder, package, pure: true, imports, tests_import: &[] }
}

/// Runtimes, sockets, HTTP and TLS: a crate that reaches one of these can do I/O. A final `*` stands for anything.
const IMPURE: &[&str] = &[
    "tokio",
    "tokio-*",
    "async-std",
    "smol",
    "mio",
    "polling",
    "socket2",
    "http",
    "http-body*",
    "hyper",
    "hyper-*",
    "h2",
    "reqwest",
    "ureq",
    "curl",
    "axum*",
    "tower-http",
    "rustls*",
    "native-tls",
    "openssl*",
    "ring",
    "aws-lc-*",
    "webpki-*",
    "tempfile",
    "walkdir",
    "notify",
    "dirs",
];

/// Compares the metadata with the table. Returns how many crates there are.
pub(super) fn check(metadata: &Value, found: &mut Findings) -> anyhow::Result<usize> {
    let graph = Graph::read(metadata)?;
    for (id, package) in &graph.ours {
        let Some(room) = ROOMS.iter().find(|room| room.package == package.name) else {
            found.breach(format!(
                "{} has no row in the table of rooms ({})",
                package.name, package.folder
            ));
            continue;
        };
        if package.folder != room.folder {
            found.breach(format!(
                "{} lies in {}, not in {}",
                room.package, package.folder, room.folder
            ));
        }
        for arrow in &graph.arrows[id] {
            let Some(target) = graph.ours.get(&arrow.to) else { continue };
            let name = target.name.as_str();
            if name == room.package {
                continue; // a crate's tests may name the crate itself
            }
            let allowed = room.imports.contains(&name)
                || (arrow.tests_only && room.tests_import.contains(&name));
            if !allowed {
                let how = if arrow.tests_only { " in its tests" } else { "" };
                found.breach(format!("{} must not import {name}{how}", room.package));
            }
        }
        if room.pure
            && let Some(path) =
                graph.path_to(id, |name| IMPURE.iter().any(|pattern| matches(pattern, name)))
        {
            found.breach(format!(
                "{} is pure but reaches I/O: {}",
                room.package,
                path.join(" -> ")
            ));
        }
    }
    Ok(graph.ours.len())
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

struct Package {
    name: String,
    folder: String,
}

struct Arrow {
    to: String,
    tests_only: bool,
}

/// The resolved dependency graph, by package id.
struct Graph {
    ours: BTreeMap<String, Package>,
    names: BTreeMap<String, String>,
    arrows: BTreeMap<String, Vec<Arrow>>,
}

impl Graph {
    fn read(metadata: &Value) -> anyhow::Result<Self> {
        let root = metadata["workspace_root"].as_str().context("metadata: no workspace_root")?;
        let members: BTreeSet<&str> =
            array(&metadata["workspace_members"])?.iter().filter_map(Value::as_str).collect();
        let mut graph =
            Self { ours: BTreeMap::new(), names: BTreeMap::new(), arrows: BTreeMap::new() };
        for package in array(&metadata["packages"])? {
            let id = text(package, "id")?;
            let name = text(package, "name")?;
            graph.names.insert(id.to_owned(), name.to_owned());
            if members.contains(id) {
                let manifest = text(package, "manifest_path")?;
                let folder = manifest.trim_end_matches("Cargo.toml").trim_end_matches(['/', '\\']);
                let folder =
                    folder.strip_prefix(root).unwrap_or(folder).trim_start_matches(['/', '\\']);
                let package = Package { name: name.to_owned(), folder: folder.replace('\\', "/") };
                graph.ours.insert(id.to_owned(), package);
            }
        }
        for node in array(&metadata["resolve"]["nodes"])? {
            let mut arrows = Vec::new();
            for dep in array(&node["deps"])? {
                let kinds = array(&dep["dep_kinds"])?;
                let tests_only = kinds.iter().all(|kind| kind["kind"] == "dev");
                arrows.push(Arrow { to: text(dep, "pkg")?.to_owned(), tests_only });
            }
            graph.arrows.insert(text(node, "id")?.to_owned(), arrows);
        }
        for (id, package) in &graph.ours {
            graph
                .arrows
                .get(id)
                .with_context(|| format!("metadata: no node for {}", package.name))?;
        }
        Ok(graph)
    }

    /// The names on the shortest way from `from` to a package that `is_target` names, tests left out.
    fn path_to(&self, from: &str, is_target: impl Fn(&str) -> bool) -> Option<Vec<String>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([from]);
        while let Some(id) = queue.pop_front() {
            if id != from && is_target(self.names.get(id)?) {
                let mut path = vec![self.names[id].clone()];
                let mut at = id;
                while let Some(before) = came_from.get(at) {
                    path.push(self.names[*before].clone());
                    at = before;
                }
                path.reverse();
                return Some(path);
            }
            for arrow in self.arrows.get(id).into_iter().flatten().filter(|arrow| !arrow.tests_only)
            {
                if arrow.to != from && !came_from.contains_key(arrow.to.as_str()) {
                    came_from.insert(&arrow.to, id);
                    queue.push_back(&arrow.to);
                }
            }
        }
        None
    }
}

fn array(value: &Value) -> anyhow::Result<&Vec<Value>> {
    value.as_array().context("metadata: a list is missing")
}

fn text<'a>(value: &'a Value, key: &str) -> anyhow::Result<&'a str> {
    value[key].as_str().with_context(|| format!("metadata: {key} is missing"))
}
