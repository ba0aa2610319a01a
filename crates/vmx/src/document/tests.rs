//! Losslessness, look-ups and edits.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Document {
    Document::parse(text.as_bytes()).unwrap()
}

/// The cases of `spec/vmx.md` 1.7: what libvirt's lexer takes, and the name it reads.
#[test]
fn libvirt_syntax() {
    let head = "config.version = \"8\"\nvirtualHW.version = \"4\"\n";
    let accepted = [
        ("", None),
        ("# only a comment", None),
        ("H displayName = \"a\"", Some("a")),
        ("H displayName = \"a\"  \t", Some("a")),
        ("\n\nH displayName = \"a\"\n\n", Some("a")),
        ("config.version = \"8\"; virtualHW.version=\"4\";displayName=\"a\";", Some("a")),
        ("H displayName = \"a\" # x \"y\"", Some("a")),
        ("H displayName = \"a#b\"#c", Some("a#b")),
        ("H displayName = 'a\"b'", Some("a\"b")),
        ("H displayName = \"\"\"a\"b\nc\"\"\"\n", Some("a\"b\nc")),
        ("H displayName = \"\"\"\"\"\"\n", Some("")),
        ("H foo*.bar-baz_1:2 = \"x\"\n.foo = \"x\"", None),
        ("H displayName = \"first\"\nDISPLAYNAME = \"second\"", Some("first")),
        ("a = \"1\";", None),
        ("H displayName = \"a\"\0 junk", Some("a")),
    ];
    for (text, name) in accepted {
        for (from, to) in [("\n", "\n"), ("\n", "\r\n"), ("\n", "\r")] {
            let text = text.replacen("H ", head, 1);
            let name = name.map(|n| n.replace(from, to));
            let doc = parse(&text.replace(from, to));
            assert_eq!(doc.syntax_error(), None, "{text:?}");
            assert_eq!(doc.get("displayName"), name.as_deref(), "{text:?}");
        }
    }
    let refused = [
        "\n\n",
        "  ",
        ";config.version = \"8\"",
        "a = \"1\";;",
        "H displayName = \"\"\"\"\"\"",
        "H displayName = \"abc\n",
        "H displayName = \"\"\"abc\n",
        "H memsize = 64",
        "H memsize = -64",
        "H x = true",
        "H x = [ \"a\" ]",
        "H x =\n",
        "H x\n",
        "H foo/bar = \"x\"",
        "H _foo = \"x\"",
        "H 1foo = \"x\"",
        "H *foo = \"x\"",
        "H displayName = \"a\" memsize = \"64\"",
        "\u{feff}H ",
        "H displayName =\n \"a\"",
        "a = \"1\"\u{c}",
        "\u{b}",
    ];
    for text in refused {
        let doc = parse(&text.replacen("H ", head, 1));
        assert!(doc.syntax_error().is_some(), "{text:?}");
    }
}

#[test]
fn what_libvirt_refuses_is_still_read() {
    let doc = parse(
        "\u{feff}a = \"1\"\nb = 2 # two\nc/d = \"3\"\ne = \"4\nf = \"5\" g\nhello\n= \"6\"\nA = \"7\"\n",
    );
    let entries: String = doc.entries().map(|e| format!("{}={}\n", e.key, e.value)).collect();
    insta::assert_snapshot!(entries, @r"
    a=1
    b=2
    c/d=3
    e=4
    f=5
    A=7
    ");
    let problems: String = doc.problems().iter().map(|p| format!("{p}\n")).collect();
    insta::assert_snapshot!(problems, @r#"
    line 1, column 1: the file starts with a byte order mark
    line 2, column 5: the value has no quotes
    line 3, column 1: the key has a character that keys cannot have
    line 4, column 5: the value's closing quote is missing
    line 5, column 9: text after the value
    line 6, column 1: neither a comment nor key = "value"
    line 7, column 1: neither a comment nor key = "value"
    line 8, column 1: the key occurs again; the first one counts
    "#);
}

#[test]
fn charsets() {
    let table: [(&str, &[u8], &str); 12] = [
        ("windows-1252", b"caf\xe9 \x80", "caf\u{e9} \u{20ac}"),
        ("ISO-8859-1", b"\xe9\x80", "\u{e9}\u{80}"),
        ("windows-1251", b"\xcf\xf0", "\u{41f}\u{440}"),
        ("gbk", b"\xc4\xe3", "\u{4f60}"),
        ("CP936", b"\xc4\xe3", "\u{4f60}"),
        ("Shift_JIS", b"\x83\x5c", "\u{30bd}"),
        ("Big5", b"\xa4\x40", "\u{4e00}"),
        ("EUC-KR", b"\xb0\xa1", "\u{ac00}"),
        ("eucJP", b"\xa4\xa2", "\u{3042}"),
        ("Latin9", b"\xa4", "\u{20ac}"),
        ("MS-EE", b"\xb9", "\u{105}"),
        ("cp874", b"\xa1", "\u{e01}"),
    ];
    for (name, bytes, text) in table {
        let file =
            [b"displayName = \"", bytes, b"\"\n.encoding = \"", name.as_bytes(), b"\"\n"].concat();
        let mut doc = Document::parse(&file).unwrap();
        assert_eq!(doc.get("displayname"), Some(text), "{name}");
        assert_eq!(doc.to_bytes(), file, "{name}");
        assert_eq!(doc.to_utf8(), format!("displayName = \"{text}\"\n.encoding = \"UTF-8\"\n"));
        doc.set("displayName", "x").unwrap();
        doc.set("displayName", text).unwrap();
        assert_eq!(doc.to_bytes(), file, "{name}");
        assert_eq!(doc.get("displayname"), Some(text), "{name}");
    }
    let bad = Document::parse(b".encoding = \"klingon\"").unwrap_err();
    assert_eq!(bad.to_string(), "unknown encoding 'klingon'");
    assert_eq!(bad.syntax_error, None);
    let worse = Document::parse(b".encoding = \"klingon\"\na = 1\n").unwrap_err();
    assert_eq!(worse.syntax_error.unwrap().line, 2);
    let doc = Document::parse(b"a = \"\xff\"").unwrap();
    assert_eq!(doc.get("a"), Some("\u{fffd}"));
    assert_eq!(doc.problems()[0].kind, ProblemKind::Undecodable);
    let mut ascii = parse(".encoding = \"windows-1252\"\n");
    assert!(ascii.set("a", "\u{4f60}").is_err());
}

#[test]
fn edits_copy_the_files_habits() {
    let table: [(&str, &str, &str, &str); 9] = [
        ("a = \"1\"\r\n", "b", "2", "a = \"1\"\r\nb = \"2\"\r\n"),
        ("a=\"1\"\n", "b", "2", "a=\"1\"\nb=\"2\"\n"),
        ("a = \"1\"", "b", "2", "a = \"1\"\nb = \"2\""),
        ("\tmemSize   = '1' # c\n", "MEMSIZE", "2", "\tmemSize   = '2' # c\n"),
        ("a = 1\n", "a", "2", "a = \"2\"\n"),
        ("a = 1\n", "a", "1", "a = 1\n"),
        (
            "scsi0:1.present = \"TRUE\"\nz = \"1\"\n",
            "scsi0:1.fileName",
            "x",
            "scsi0:1.present = \"TRUE\"\nscsi0:1.fileName = \"x\"\nz = \"1\"\n",
        ),
        (
            "scsi0.present = \"TRUE\"\nz = \"1\"\n",
            "scsi0:1.fileName",
            "x",
            "scsi0.present = \"TRUE\"\nscsi0:1.fileName = \"x\"\nz = \"1\"\n",
        ),
        ("a = \"1\"\n\0tail", "b", "2", "a = \"1\"\nb = \"2\"\n\0tail"),
    ];
    for (before, key, value, after) in table {
        let mut doc = parse(before);
        doc.set(key, value).unwrap();
        assert_eq!(String::from_utf8(doc.to_bytes()).unwrap(), after);
        assert_eq!(doc.get(key), Some(value));
    }
    let mut doc = parse("a = \"true\"\nB = \"1\"\nb = \"2\"\nscsi0.x = \"1\"\n");
    doc.set_bool("c", false).unwrap();
    doc.set_escaped("annotation", "say \"a|b\"\n").unwrap();
    assert!(doc.rename("b", "d").unwrap());
    assert!(doc.remove_group("SCSI0."));
    insta::assert_snapshot!(String::from_utf8(doc.to_bytes()).unwrap(), @r#"
    a = "true"
    d = "1"
    d = "2"
    c = "false"
    annotation = "say |22a|7Cb|22|0A"
    "#);
    assert_eq!(doc.get_escaped("annotation").unwrap().as_deref(), Some("say \"a|b\"\n"));
    assert!(doc.set("a", "\"").is_err());
    assert!(doc.insert("d", "x").is_err());
    assert!(doc.set("a b", "x").is_err());
}

/// Bytes that look like VMX more often than chance would have it.
fn vmx_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "a", "B.c", "scsi0:1.x", " = ", "=", "\"", "\"\"\"", "'", "\n", "\r\n", "\r", ";", "#",
            " ", "\t", "1", "\0", "\u{feff}", "|", "é", "a = \"1\"\n", "\u{c}",
        ]).prop_map(|s| s.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn unedited_documents_keep_every_byte(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(doc) = Document::parse(&bytes) {
            prop_assert_eq!(doc.to_bytes(), bytes);
        }
    }

    #[test]
    fn vmx_like_text_keeps_every_byte(bytes in vmx_like()) {
        if let Ok(doc) = Document::parse(&bytes) {
            prop_assert_eq!(doc.to_bytes(), bytes);
        }
    }

    #[test]
    fn set_then_get(bytes in vmx_like(), key in "[a-z.][a-z0-9.:*]{0,6}", value in "[^\"\0\r\n]{0,9}") {
        let Ok(mut doc) = Document::parse(&bytes) else { return Ok(()) };
        doc.set(&key, &value).unwrap();
        prop_assert_eq!(doc.get(&key), Some(value.as_str()));
        let again = Document::parse(&doc.to_bytes()).unwrap();
        prop_assert_eq!(again.get(&key), Some(value.as_str()));
    }

    #[test]
    fn removing_what_was_set_restores_the_bytes(bytes in vmx_like(), key in "[a-z.][a-z0-9.:]{0,6}") {
        let Ok(mut doc) = Document::parse(&bytes) else { return Ok(()) };
        if doc.contains(&key) { return Ok(()) }
        doc.set(&key, "value").unwrap();
        prop_assert!(doc.remove(&key));
        prop_assert!(!doc.contains(&key));
        prop_assert_eq!(doc.to_bytes(), bytes);
    }

    #[test]
    fn setting_what_is_there_changes_nothing(bytes in vmx_like()) {
        let Ok(mut doc) = Document::parse(&bytes) else { return Ok(()) };
        let keys: Vec<String> = doc.entries().map(|e| e.key.to_owned()).collect();
        for key in keys {
            let value = doc.get(&key).unwrap().to_owned();
            doc.set(&key, &value).unwrap();
        }
        prop_assert_eq!(doc.to_bytes(), bytes);
    }
}
