//! What the reader takes, and what it refuses.

use super::*;

/// Outlines a document: names by depth, types in brackets, texts quoted.
fn outline(text: &str) -> Result<String, DecodeError> {
    fn walk(reader: &mut Reader<'_>, out: &mut String) -> Result<(), DecodeError> {
        while let Some(child) = reader.next_child()? {
            out.push_str(child.name);
            if let Some(t) = child.xsi_type {
                out.push_str(&format!("[{}{}]", if t.is_xsd { "xsd " } else { "" }, t.name));
            }
            match reader.text_or_child()? {
                Ok(text) => out.push_str(&format!("={text:?} ")),
                Err(first) => {
                    out.push_str(&format!("({} ", first.name));
                    reader.skip()?;
                    walk(reader, out)?;
                    out.push(')');
                }
            }
        }
        Ok(())
    }
    let mut out = String::new();
    walk(&mut Reader::new(text), &mut out)?;
    Ok(out)
}

#[test]
fn prefixes_mean_nothing_namespaces_everything() {
    let text = "<a><b/><c xmlns:q='http://www.w3.org/2001/XMLSchema-instance' \
                xmlns:d='http://www.w3.org/2001/XMLSchema' q:type='d:int'>5</c>\
                <e q:type='d:int'>6</e></a>";
    // On <e> the prefix q is no longer declared.
    assert_eq!(outline(text).unwrap(), "a(b c[xsd int]=\"5\" e=\"6\" )");
}

#[test]
fn texts_are_unescaped_and_joined() {
    let text = "<a>x &lt;&amp;&#65;&#x42;<![CDATA[<raw>]]> <!-- no --> y</a>";
    assert_eq!(outline(text).unwrap(), "a=\"x <&AB<raw>  y\" ");
}

#[test]
fn bombs_are_refused() {
    let entities = "<!DOCTYPE a [<!ENTITY b 'bb'>]><a>&b;</a>";
    assert!(matches!(
        outline(entities).unwrap_err().kind,
        DecodeErrorKind::Refused("document type")
    ));
    assert!(matches!(outline("<a>&b;</a>").unwrap_err().kind, DecodeErrorKind::Refused(_)));
    let deep = "<a>".repeat(100_000);
    let mut reader = Reader::new(&deep);
    let error = loop {
        match reader.next_child() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error.kind, DecodeErrorKind::Refused("nested too deeply")));
    let mut reader = Reader::new(&deep);
    reader.next_child().unwrap();
    assert!(matches!(
        reader.skip().unwrap_err().kind,
        DecodeErrorKind::Refused("nested too deeply")
    ));
}

#[test]
fn cut_documents_are_errors() {
    let whole = "<a><b x='1'>t&amp;u</b><c/></a>";
    assert!(outline(whole).is_ok());
    for end in 1..whole.len() {
        assert!(outline(&whole[..end]).is_err(), "{}", &whole[..end]);
    }
}

#[test]
fn errors_name_the_path() {
    let mut reader = Reader::new("<a><b><c>x</c></b></a>");
    for _ in 0..3 {
        reader.next_child().unwrap();
    }
    assert_eq!(
        reader.error(DecodeErrorKind::Truncated).to_string(),
        "unexpected end of the document at a/b/c"
    );
}

#[test]
fn bad_bytes_cost_one_character_each() {
    assert_eq!(repair(b"ok \xc3\xa9"), (Cow::Borrowed("ok é"), 0));
    assert_eq!(
        repair(b"a\x00b\x1fc\xffd\n"),
        (Cow::Owned::<str>("a\u{fffd}b\u{fffd}c\u{fffd}d\n".into()), 3)
    );
    assert_eq!(repair(b"\xef\xbb\xbf<a/>").0, "<a/>");
}

proptest::proptest! {
    /// Any input ends: with a tree or with an error.
    #[test]
    fn any_text_ends(text in ".{0,200}") {
        let _ = outline(&text);
    }

    #[test]
    fn any_markup_ends(parts in proptest::collection::vec(0usize..12, 0..60)) {
        let tokens = ["<a>", "</a>", "<b x='1'>", "</b>", "<c/>", "&amp;", "&#x0;", "<![CDATA[", "]]>", "<!--", "-->", "t"];
        let text: String = parts.into_iter().map(|p| tokens[p]).collect();
        let _ = outline(&text);
    }
}
