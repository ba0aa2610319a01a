//! A datastore path that can be read is written and read alike.
#![no_main]

use esx_escape::{DatastorePath, VmfsPath};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(path) = text.parse::<VmfsPath>() {
        assert_eq!(path.to_string().parse::<VmfsPath>().expect("our own text"), path);
    }
    let Ok(path) = text.parse::<DatastorePath>() else { return };
    let again: DatastorePath = path.to_string().parse().expect("our own text");
    assert_eq!(again, path);
    let _ = (path.directory(), path.libvirt_directory(), path.file_name(), path.sibling("x"));
    let _ = esx_escape::folder_path_and_query(&path, text);
});
