//! The published vectors of `connection.md` 12.2, 13 and 14.3 and of `domain.md` 20.1.

use esx_escape::{
    DatastorePath, VmfsPath, base64, datastore_item, folder_listing_path_and_query,
    folder_path_and_query, folder_path_and_query_once, folder_upload_path_and_query,
    inventory_path, percent, percent_pipe, pipe, url,
};

fn check(vectors: &[[Option<String>; 2]], scheme: &str, convert: impl Fn(&str) -> Option<String>) {
    for [input, expect] in vectors {
        let input = input.as_deref().expect("an input is never null");
        assert_eq!(convert(input), *expect, "{scheme} of {input:?}");
    }
}

#[test]
fn all_77_vectors() {
    let text = include_str!("../testdata/vectors.json");
    let vectors: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap();
    let mut count = 0;
    for (scheme, rows) in vectors {
        let rows: Vec<[Option<String>; 2]> = serde_json::from_value(rows).unwrap();
        count += rows.len();
        let convert: fn(&str) -> Option<String> = match scheme.as_str() {
            "D-encode" => |text| Some(datastore_item::escape(text)),
            "base64-encode" => |text| Some(base64::encode(text.as_bytes())),
            "P-encode" => |text| Some(percent::escape(text).into_owned()),
            "P-decode" => |text| percent::unescape(text).ok().map(|raw| raw.into_owned()),
            "I-encode" => |text| Some(pipe::escape(text).into_owned()),
            "I-decode" => |text| pipe::unescape(text).ok().map(|raw| raw.into_owned()),
            "PI-encode" => |text| Some(percent_pipe::escape(text).into_owned()),
            "PI-decode" => |text| percent_pipe::unescape(text).ok().map(|raw| raw.into_owned()),
            other => panic!("unknown scheme {other}"),
        };
        check(&rows, &scheme, convert);
    }
    assert_eq!(count, 77);
}

#[test]
fn url_parts() {
    for (part, expect) in [
        ("a+b", "a%2Bb"),
        ("ü", "%C3%BC"),
        ("100%", "100%25"),
        ("x~y_z.-", "x~y_z.-"),
        ("(a)", "%28a%29"),
        ("[ds]", "%5Bds%5D"),
        ("a/b c", "a%2Fb%20c"),
        ("", ""),
    ] {
        assert_eq!(url::encode(part), expect, "{part:?}");
    }
}

#[test]
fn query_values_are_encoded_twice() {
    for (value, expect) in [
        ("ds 1", "ds%25201"),
        ("D+s 1%", "D%252Bs%25201%2525"),
        ("dc +%25", "dc%2520%252B%252525"),
        ("ha-datacenter", "ha-datacenter"),
        ("LocalDS_0", "LocalDS_0"),
        ("f~1.x", "f~1.x"),
        ("f1/dc1", "f1%252Fdc1"),
    ] {
        assert_eq!(url::encode_twice(value), expect, "{value:?}");
    }
}

#[test]
fn folder_urls() {
    let path: DatastorePath = "[ds 1] My VM/My VM.vmx".parse().unwrap();
    assert_eq!(
        folder_path_and_query(&path, "f1/dc1"),
        "/folder/My%20VM%2FMy%20VM.vmx?dcPath=f1%252Fdc1&dsName=ds%25201"
    );
    let path: DatastorePath = "[ds] dir +/a.vmx".parse().unwrap();
    assert_eq!(folder_path_and_query(&path, "dc"), "/folder/dir%20%2B%2Fa.vmx?dcPath=dc&dsName=ds");
    assert_eq!(
        folder_upload_path_and_query("ds", "d", "A+JQ-2fB.vmx", "f1/dc1"),
        "/folder/d/A%2BJQ-2fB.vmx?dcPath=f1%252Fdc1&dsName=ds"
    );
    assert_eq!(
        folder_upload_path_and_query("ds", "", "a.vmx", "dc"),
        "/folder/a.vmx?dcPath=dc&dsName=ds"
    );
}

#[test]
fn folder_urls_once_and_twice() {
    for (datastore, once, twice) in [
        ("LocalDS_0", "LocalDS_0", "LocalDS_0"),
        ("ds 1", "ds%201", "ds%25201"),
        ("D+s 1%", "D%2Bs%201%25", "D%252Bs%25201%2525"),
        ("odd (50%2f)", "odd%20%2850%252f%29", "odd%2520%252850%25252f%2529"),
    ] {
        let path = DatastorePath::new(datastore, "a b/c.iso").unwrap();
        let url = |name: &str| format!("/folder/a%20b%2Fc.iso?dcPath=ha-datacenter&dsName={name}");
        assert_eq!(folder_path_and_query_once(&path, "ha-datacenter"), url(once));
        assert_eq!(folder_path_and_query(&path, "ha-datacenter"), url(twice));
    }
    assert_eq!(
        folder_listing_path_and_query("ds 1", "", "dc"),
        "/folder?dcPath=dc&dsName=ds%25201"
    );
    let root = DatastorePath::new("ds 1", "").unwrap();
    assert_eq!(folder_path_and_query_once(&root, "dc"), "/folder?dcPath=dc&dsName=ds%201");
}

#[test]
fn paths_below_vmfs() {
    for (text, expect) in [
        ("/vmfs/volumes/ds 1/a/b.vmdk", Some(("ds 1", "a/b.vmdk"))),
        ("/vmfs/volumes/ds//a//b", Some(("ds", "a//b"))),
        ("/vmfs/volumes/a1b2c3d4-e5f60718", Some(("a1b2c3d4-e5f60718", ""))),
        ("/vmfs/volumes/ds/", Some(("ds", ""))),
        ("/vmfs/volumes/vsan:52a1-7a8b/x", Some(("vsan:52a1-7a8b", "x"))),
        ("/vmfs/volumes/", None),
        ("/vmfs/volumes//a", None),
        ("/vmfs/devices/disks/naa.1", None),
        ("vmfs/volumes/ds", None),
        ("", None),
    ] {
        let path = text.parse::<VmfsPath>().ok();
        assert_eq!(path.as_ref().map(|path| (path.volume(), path.path())), expect, "{text:?}");
        if let Some(path) = path {
            assert_eq!(path.to_string().parse::<VmfsPath>().unwrap(), path, "{text:?}");
        }
    }
    let path: VmfsPath = "/vmfs/volumes/ds/ a".parse().unwrap();
    assert!(path.on_datastore("ds").is_err());
    assert_eq!(path.to_string(), "/vmfs/volumes/ds/ a");
}

#[test]
fn datastore_items_in_upload_urls() {
    for (name, file, encoded) in [
        ("web01", "web01", "web01"),
        ("db/primary", "db+JQ-2fprimary", "db%2BJQ-2fprimary"),
        ("50% done", "50+JQ-25 done", "50%2BJQ-25%20done"),
        ("a:b?c", "a_b_c", "a_b_c"),
        ("Müller VM", "M+w7w-ller VM", "M%2Bw7w-ller%20VM"),
        ("x&y", "x+Jg-y", "x%2BJg-y"),
        ("tail#", "tail+Iw", "tail%2BIw"),
        ("back\\slash", "back+JQ-5cslash", "back%2BJQ-5cslash"),
        ("résumé", "r+w6k-sum+w6k", "r%2Bw6k-sum%2Bw6k"),
        ("C++ build", "C+Kys- build", "C%2BKys-%20build"),
        ("東京", "+5p2x5Lqs", "%2B5p2x5Lqs"),
    ] {
        assert_eq!(datastore_item::escape(name), file, "{name:?}");
        assert_eq!(url::encode(file), encoded, "{name:?}");
    }
}

#[test]
fn datastore_paths() {
    // Text, then datastore, libvirt's directory, our directory, directory and file; none for an error.
    let table: &[(&str, Option<[&str; 4]>)] = &[
        (
            "[datastore] directory/file",
            Some(["datastore", "directory", "directory", "directory/file"]),
        ),
        (
            "[datastore] directory1/directory2/file",
            Some([
                "datastore",
                "directory1/directory2",
                "directory1/directory2",
                "directory1/directory2/file",
            ]),
        ),
        ("[datastore] file", Some(["datastore", "file", "", "file"])),
        ("[datastore] directory/", Some(["datastore", "directory", "directory", "directory/"])),
        ("[datastore]", Some(["datastore", "", "", ""])),
        ("[] directory/file", None),
        ("directory/file", None),
        ("[ds]dir/f", Some(["ds", "dir", "dir", "dir/f"])),
        ("[ds]   dir/f", Some(["ds", "dir", "dir", "dir/f"])),
        ("[my ds (1)] a b/c d.vmdk", Some(["my ds (1)", "a b", "a b", "a b/c d.vmdk"])),
        ("[ds] /f", Some(["ds", "", "", "/f"])),
        ("[ds] a//f", Some(["ds", "a/", "a/", "a//f"])),
        ("[ds] a]b/c", Some(["ds", "a]b", "a]b", "a]b/c"])),
        ("[ds", Some(["ds", "", "", ""])),
        ("[ds x/y", Some(["ds x/y", "", "", ""])),
        ("[", None),
        ("[ ] f", Some([" ", "f", "", "f"])),
        ("", None),
        (" [ds] f", None),
        ("[ds] a/b/", Some(["ds", "a/b", "a/b", "a/b/"])),
    ];
    for (text, expect) in table {
        let path = text.parse::<DatastorePath>().ok();
        let parts = path.as_ref().map(|path| {
            [path.datastore(), path.libvirt_directory(), path.directory(), path.path()]
        });
        assert_eq!(parts, *expect, "{text:?}");
    }
    assert!(DatastorePath::new("a]b", "f").is_err());
    assert!(DatastorePath::new("", "f").is_err());
    assert!(DatastorePath::new("ds", " f").is_err());
    let vmx = DatastorePath::new("ds", "d/a.vmx").unwrap();
    assert_eq!(vmx.sibling("../b.vmdk").to_string(), "[ds] d/../b.vmdk");
    assert_eq!(DatastorePath::new("ds", "a.vmx").unwrap().sibling("b").to_string(), "[ds] b");
}

#[test]
fn inventory_paths() {
    assert_eq!(inventory_path::join(["dc", "vm", "a/b%"]), "dc/vm/a%2fb%25");
    assert_eq!(inventory_path::split("/dc//vm/a%2fb%25/").unwrap(), ["dc", "vm", "a/b%"]);
    assert!(inventory_path::split("a/b%2").is_err());
}
