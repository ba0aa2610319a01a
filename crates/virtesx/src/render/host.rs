//! `nodeinfo`, `freecell` and `version`.

use serde_json::{Value, json};

use super::{Fields, Render, printable};

/// The result of `nodeinfo`.
pub(crate) struct Node(pub(crate) virt_api::NodeInfo);

impl Render for Node {
    fn table(&self, _quiet: bool) -> String {
        let info = &self.0;
        Fields::new(20)
            .with("CPU model:", printable(&info.model))
            .with("CPU(s):", info.cpus)
            .with_some("CPU frequency:", (info.mhz != 0).then(|| format!("{} MHz", info.mhz)))
            .with("CPU socket(s):", info.sockets)
            .with("Core(s) per socket:", info.cores)
            .with("Thread(s) per core:", info.threads)
            .with("NUMA cell(s):", info.nodes)
            .with("Memory size:", format_args!("{} KiB", info.memory_kib))
            .into_text()
    }

    fn value(&self) -> Value {
        let info = &self.0;
        json!({
            "model": info.model,
            "cpus": info.cpus,
            "mhz": info.mhz,
            "sockets": info.sockets,
            "cores": info.cores,
            "threads": info.threads,
            "nodes": info.nodes,
            "memory_kib": info.memory_kib,
        })
    }
}

/// The result of `freecell`.
pub(crate) struct FreeMemory {
    /// Free memory of the host.
    pub(crate) kib: u64,
}

impl Render for FreeMemory {
    fn table(&self, _quiet: bool) -> String {
        format!("Total: {} KiB\n", self.kib)
    }

    fn value(&self) -> Value {
        json!({"free_memory_kib": self.kib})
    }
}

/// The result of `version`.
pub(crate) struct Versions {
    /// Name of the hypervisor.
    pub(crate) hypervisor: String,
    /// Its version.
    pub(crate) version: virt_api::Version,
}

impl Render for Versions {
    fn table(&self, _quiet: bool) -> String {
        let own = env!("CARGO_PKG_VERSION");
        let hypervisor = printable(&self.hypervisor);
        format!(
            "Compiled against library: virtesx {own}\nUsing library: virtesx {own}\nUsing API: {hypervisor} {own}\n\
             Running hypervisor: {hypervisor} {}\n",
            self.version
        )
    }

    fn value(&self) -> Value {
        json!({
            "virtesx": env!("CARGO_PKG_VERSION"),
            "hypervisor": self.hypervisor,
            "hypervisor_version": self.version.to_string(),
            "hypervisor_version_number": self.version.0,
        })
    }
}
