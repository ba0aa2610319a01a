//! Whatever can be undone is undone exactly, and no input panics.

use std::borrow::Cow;

use esx_escape::{
    DatastorePath, UnescapeError, VmfsPath, base64, datastore_item, inventory_path, percent,
    percent_pipe, pipe, url,
};
use proptest::prelude::*;

type Unescape = fn(&str) -> Result<Cow<'_, str>, UnescapeError>;

/// Text in which the special characters of all schemes are frequent.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            prop::sample::select(r#"%/\|"+-,~2f7c :[]"#.chars().collect::<Vec<_>>()),
            any::<char>()
        ],
        0..40,
    )
    .prop_map(|characters| characters.into_iter().collect())
}

proptest! {
    #[test]
    fn unescape_undoes_escape(raw in text()) {
        for (escape, unescape) in [
            (percent::escape as fn(&str) -> Cow<'_, str>, percent::unescape as Unescape),
            (pipe::escape, pipe::unescape),
            (percent_pipe::escape, percent_pipe::unescape),
        ] {
            let escaped = escape(&raw);
            prop_assert_eq!(unescape(&escaped), Ok(Cow::Borrowed(raw.as_str())));
        }
    }

    #[test]
    fn base64_decode_undoes_encode(raw in prop::collection::vec(any::<u8>(), 0..60)) {
        prop_assert_eq!(base64::decode(&base64::encode(&raw)).unwrap(), raw);
    }

    #[test]
    fn anything_can_be_offered_for_decoding(escaped in text(), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        for unescape in [percent::unescape, pipe::unescape, percent_pipe::unescape] {
            if let Err(error) = unescape(&escaped) {
                prop_assert!(error.offset <= escaped.len());
            }
        }
        for unescape in [percent::unescape_bytes, pipe::unescape_bytes, percent_pipe::unescape_bytes] {
            if let Ok(raw) = unescape(&bytes) {
                prop_assert!(raw.len() <= bytes.len());
            }
        }
        if let Ok(raw) = base64::decode(&escaped) {
            prop_assert!(raw.len() <= escaped.len());
        }
    }

    #[test]
    fn datastore_items_have_no_separator(name in text()) {
        let item = datastore_item::escape(&name);
        prop_assert!(item.bytes().all(|b| b.is_ascii_alphanumeric() || b"'(),._- +".contains(&b)), "{}", item);
    }

    #[test]
    fn datastore_paths_survive_being_written(path in text()) {
        if let Ok(parsed) = path.parse::<DatastorePath>() {
            prop_assert_eq!(parsed.to_string().parse::<DatastorePath>().unwrap(), parsed);
        }
    }

    #[test]
    fn paths_below_vmfs_survive_being_written(rest in text()) {
        if let Ok(parsed) = format!("/vmfs/volumes/{rest}").parse::<VmfsPath>() {
            prop_assert_eq!(parsed.to_string().parse::<VmfsPath>().unwrap(), parsed);
        }
    }

    #[test]
    fn inventory_paths_survive(names in prop::collection::vec("[^\0]{1,8}", 0..5)) {
        prop_assert_eq!(inventory_path::split(&inventory_path::join(&names)).unwrap(), names);
    }

    #[test]
    fn encoded_url_parts_are_unreserved(part in text()) {
        prop_assert!(url::encode(&part).bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
    }
}
