//! `list`.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};
use virt_api::ListedDomain;

use super::{Render, table};

/// What to show; with none of `uuid`, `id` and `name`, a table.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Columns {
    /// UUIDs only.
    pub(crate) uuid: bool,
    /// IDs only.
    pub(crate) id: bool,
    /// Names only.
    pub(crate) name: bool,
    /// Titles in the table.
    pub(crate) title: bool,
    /// Say `saved` instead of `shut off` where a managed save image exists.
    pub(crate) managed_save: bool,
}

impl Columns {
    const fn plain(self) -> bool {
        self.uuid || self.id || self.name
    }
}

/// The result of `list`, in virsh's order: active domains by ID, then the others by name without regard to case.
pub(crate) struct DomainList {
    domains: Vec<ListedDomain>,
    columns: Columns,
}

impl DomainList {
    /// Sorts the domains.
    pub(crate) fn new(mut domains: Vec<ListedDomain>, columns: Columns) -> Self {
        domains.sort_by(|a, b| match (a.domain.id, b.domain.id) {
            (Some(a), Some(b)) => a.cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => caseless(&a.domain.name).cmp(caseless(&b.domain.name)),
        });
        Self { domains, columns }
    }

    fn state(&self, item: &ListedDomain) -> &'static str {
        if self.columns.managed_save && item.managed_save && item.domain.id.is_none() {
            "saved"
        } else {
            item.state.as_str()
        }
    }
}

/// The bytes as `strcasecmp` compares them.
fn caseless(name: &str) -> impl Iterator<Item = u8> + '_ {
    name.bytes().map(|byte| byte.to_ascii_lowercase())
}

fn id(item: &ListedDomain) -> String {
    item.domain.id.map_or_else(|| "-".to_owned(), |id| id.to_string())
}

impl Render for DomainList {
    fn table(&self, quiet: bool) -> String {
        let columns = self.columns;
        if columns.plain() {
            let mut text = String::new();
            // A script takes each line for a domain it can name; a warning tells of the nameless.
            for item in self
                .domains
                .iter()
                .filter(|item| item.problem.is_none() || !item.domain.name.is_empty())
            {
                let parts = [
                    columns.uuid.then(|| item.domain.uuid.to_string()),
                    columns.id.then(|| id(item)),
                    columns.name.then(|| item.domain.name.clone()),
                ];
                text.push_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(" "));
                text.push('\n');
            }
            return text;
        }
        let mut header = vec!["Id", "Name", "State"];
        header.extend(columns.title.then_some("Title"));
        let rows: Vec<Vec<String>> = self
            .domains
            .iter()
            .map(|item| {
                let mut row = vec![id(item), item.domain.name.clone(), self.state(item).to_owned()];
                row.extend(columns.title.then(|| item.title.clone().unwrap_or_default()));
                row
            })
            .collect();
        table::layout(&header, &rows, quiet)
    }

    fn value(&self) -> Value {
        let columns = self.columns;
        self.domains
            .iter()
            .map(|item| {
                let mut object = Map::new();
                let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
                if columns.id || !columns.plain() {
                    put("id", json!(item.domain.id));
                }
                if columns.name || !columns.plain() {
                    put("name", json!(item.domain.name));
                }
                if columns.uuid || !columns.plain() {
                    put("uuid", json!(item.domain.uuid.to_string()));
                }
                if !columns.plain() {
                    put("state", json!(item.state.as_str()));
                    put("title", json!(item.title));
                    put("moref", json!(item.moref));
                    put("autostart", json!(item.autostart));
                    put("has_snapshot", json!(item.has_snapshot));
                    put("managed_save", json!(item.managed_save));
                    put("problem", json!(item.problem));
                }
                Value::Object(object)
            })
            .collect()
    }

    fn warnings(&self) -> Vec<String> {
        self.domains
            .iter()
            .filter_map(|item| {
                let name = if item.domain.name.is_empty() {
                    "a domain without name"
                } else {
                    &item.domain.name
                };
                let moref =
                    item.moref.as_ref().map(|moref| format!(" ({moref})")).unwrap_or_default();
                item.problem.as_ref().map(|problem| format!("{name}{moref}: {problem}"))
            })
            .collect()
    }
}
