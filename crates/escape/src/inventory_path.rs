//! Inventory paths, as `SearchIndex.FindByInventoryPath` takes them: `datacenter/vm/folder/name`.
//!
//! Each item is an object's name in scheme [`percent`], so a slash in a name never splits an item.

use crate::{error::UnescapeError, percent};

/// Joins plain names, each escaped.
pub fn join<I>(names: I) -> String
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let mut path = String::new();
    for (index, name) in names.into_iter().enumerate() {
        if index > 0 {
            path.push('/');
        }
        path.push_str(&percent::escape(name.as_ref()));
    }
    path
}

/// The items of a path as they are stored, still escaped. Leading, doubled and trailing slashes mean nothing.
pub fn items(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|item| !item.is_empty())
}

/// The plain names of a path.
///
/// # Errors
/// An item with an incomplete escape, or one that is not UTF-8 when decoded.
pub fn split(path: &str) -> Result<Vec<String>, UnescapeError> {
    items(path).map(|item| percent::unescape(item).map(|name| name.into_owned())).collect()
}
