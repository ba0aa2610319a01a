//! What files of a host are called on the machine that an export is written to.
//!
//! Names come from the host, and a hostile one must not write outside the directory: every part of a name is a plain one.

use std::collections::HashSet;

use esx_escape::DatastorePath;

/// What is used in place of a character that some system cannot have in a name.
const SUBSTITUTE: char = '_';
/// More bytes than this in one part of a name are more than file systems take.
const MAX_PART: usize = 200;

/// The names given so far.
pub(super) struct Names {
    /// The directory of the VMX file: what is in it or below keeps its place.
    home: DatastorePath,
    /// In lower case, since some file systems do not tell cases apart.
    taken: HashSet<String>,
}

impl Names {
    /// Names for the files of the machine whose VMX file this is; `reserved` are names that the export itself uses.
    pub(super) fn new(vmx: &DatastorePath, reserved: &[&str]) -> Self {
        let taken = reserved.iter().map(|name| name.to_lowercase()).collect();
        Self { home: vmx.clone(), taken }
    }

    /// The name for a file: as it lies below the VMX file's directory, else below one called like its datastore.
    pub(super) fn give(&mut self, file: &DatastorePath) -> String {
        let home = self.home.directory();
        let beside = (file.datastore() == self.home.datastore())
            .then(|| file.path().strip_prefix(home))
            .flatten()
            .filter(|rest| home.is_empty() || rest.starts_with('/'))
            .map(|rest| rest.trim_start_matches('/'));
        match beside {
            Some(rest) => self.take(rest.split('/')),
            None => self.take(std::iter::once(file.datastore()).chain(file.path().split('/'))),
        }
    }

    fn take<'a>(&mut self, parts: impl Iterator<Item = &'a str>) -> String {
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).map(plain).collect();
        let name = if parts.is_empty() { "file".to_owned() } else { parts.join("/") };
        let mut free = name.clone();
        let mut number = 1_u32;
        while !self.taken.insert(free.to_lowercase()) {
            number += 1;
            let (stem, end) = match name.rsplit_once('.') {
                Some((stem, end)) if !stem.is_empty() && !end.contains('/') => (stem, Some(end)),
                _ => (&*name, None),
            };
            free = match end {
                Some(end) => format!("{stem}~{number}.{end}"),
                None => format!("{stem}~{number}"),
            };
        }
        free
    }
}

/// One part of a name, such that every common file system takes it and it leads nowhere else.
fn plain(part: &str) -> String {
    let mut name: String = part
        .chars()
        .map(|c| match c {
            '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => SUBSTITUTE,
            c if c.is_control() => SUBSTITUTE,
            c => c,
        })
        .collect();
    let mut end = name.len().min(MAX_PART);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    // `.` and `..`, and what Windows would strip.
    if name.ends_with('.') || name.ends_with(' ') {
        name.pop();
        name.push(SUBSTITUTE);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_their_place_and_stay_inside() {
        let vmx: DatastorePath = "[ds 1] web/web.vmx".parse().unwrap();
        let mut names = Names::new(&vmx, &["manifest.json"]);
        let table: String = [
            "[ds 1] web/web.vmdk",
            "[ds 1] web/sub/web-flat.vmdk",
            "[ds 1] web2/other.vmdk",
            "[ds 2] web/web.vmdk",
            "[ds 1] web/WEB.vmdk",
            "[ds 1] web/../../../etc/passwd",
            "[..] ../x",
            "[ds 1] web/manifest.json",
            "[ds 1] web/a:b|c\\d.vmdk",
            "[ds 1] web/..",
        ]
        .iter()
        .map(|path| {
            let parsed: DatastorePath = path.parse().unwrap();
            let name = names.give(&parsed);
            assert!(name.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
            format!("{path} -> {name}\n")
        })
        .collect();
        insta::assert_snapshot!(table);
    }
}
