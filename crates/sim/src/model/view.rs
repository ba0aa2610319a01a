//! Views: named sets of objects that belong to a session.

use std::collections::HashSet;

use esx_vi_api::{MoRef, schema};

use super::inventory::Inventory;

/// A `ContainerView` or `ListView`.
#[derive(Debug, Clone)]
pub(crate) enum View {
    Container { container: MoRef, types: Vec<String>, recursive: bool },
    List(Vec<MoRef>),
}

impl View {
    /// The objects in the view now.
    pub(crate) fn members(&self, inventory: &Inventory) -> Vec<MoRef> {
        match self {
            Self::List(members) => {
                members.iter().filter(|moref| inventory.get(moref).is_some()).cloned().collect()
            }
            Self::Container { container, types, recursive } => {
                let mut found = Vec::new();
                let mut seen: HashSet<&MoRef> = HashSet::new();
                let mut stack: Vec<&MoRef> = inventory.children(container);
                stack.reverse();
                while let Some(moref) = stack.pop() {
                    if !seen.insert(moref) {
                        continue;
                    }
                    let wanted = types.is_empty()
                        || types.iter().any(|class| schema::is_managed_subtype(&moref.kind, class));
                    if wanted {
                        found.push(moref.clone());
                    }
                    if *recursive {
                        stack.extend(inventory.children(moref).into_iter().rev());
                    }
                }
                found
            }
        }
    }

    pub(crate) const fn container(&self) -> Option<&MoRef> {
        if let Self::Container { container, .. } = self { Some(container) } else { None }
    }

    pub(crate) fn types(&self) -> Option<&[String]> {
        if let Self::Container { types, .. } = self { Some(types) } else { None }
    }

    pub(crate) const fn recursive(&self) -> Option<bool> {
        if let Self::Container { recursive, .. } = self { Some(*recursive) } else { None }
    }
}
