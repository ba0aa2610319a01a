//! Names to machines, remembered for a session.

use std::collections::HashMap;

use esx_vi_api::MoRef;

use super::Machine;

/// How many names an error proposes.
const NEAREST: usize = 3;

/// The machines of a connection by name, as of some moment. Whoever uses an entry reads the machine
/// anyway and notices if the entry is stale.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameIndex {
    by_name: HashMap<String, Vec<MoRef>>,
}

impl NameIndex {
    pub(crate) fn new<'a>(machines: impl IntoIterator<Item = &'a Machine>) -> Self {
        let mut by_name: HashMap<String, Vec<MoRef>> = HashMap::new();
        for machine in machines {
            by_name.entry(machine.domain.name.clone()).or_default().push(machine.moref.clone());
        }
        Self { by_name }
    }

    /// The machines of this name; VMware allows several in different folders.
    pub(crate) fn find(&self, name: &str) -> &[MoRef] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The names that a mistyped `name` may have meant, best first.
    pub(crate) fn nearest(&self, name: &str) -> Vec<&str> {
        let wanted = name.to_lowercase();
        let mut scored: Vec<(f64, &str)> = self
            .by_name
            .keys()
            .map(|known| (strsim::jaro_winkler(&wanted, &known.to_lowercase()), known.as_str()))
            .filter(|(score, _)| *score > 0.7)
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        scored.into_iter().take(NEAREST).map(|(_, name)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use esx_vi_api::MoRef;
    use uuid::Uuid;
    use virt_api::{Domain, DomainState};

    use super::*;

    fn machine(name: &str, value: &str) -> Machine {
        Machine {
            moref: MoRef::new("VirtualMachine", value),
            domain: Domain { name: name.to_owned(), uuid: Uuid::nil(), id: None },
            state: DomainState::Shutoff,
            host: None,
            problem: None,
        }
    }

    #[test]
    fn duplicates_are_kept_and_typos_answered() {
        let index = NameIndex::new(&[
            machine("web01", "1"),
            machine("web02", "2"),
            machine("db", "3"),
            machine("db", "4"),
        ]);
        assert_eq!(index.find("db").len(), 2);
        assert!(index.find("Web01").is_empty());
        assert_eq!(index.nearest("Web01"), ["web01", "web02"]);
        assert!(index.nearest("zzz").is_empty());
    }
}
