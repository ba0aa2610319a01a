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

/// Values are passed over by their nesting alone; whatever hides tags in them must not end them early.
#[test]
fn spans_end_where_the_element_ends() {
    for content in [
        "",
        "text",
        "<a/>",
        "<a></a>",
        "<a b='>'/><c d=\"/>\">x</c>",
        "<!-- </v> --><![CDATA[</v>]]>",
        "<?pi </v> ?>t",
        "<v><v/></v>",
        "&lt;/v&gt;",
    ] {
        let text = format!("<r><v>{content}</v><w>1</w></r>");
        let mut reader = Reader::new(&text);
        reader.next_child().unwrap();
        reader.next_child().unwrap();
        assert_eq!(&text[reader.skip_span().unwrap()], content);
        assert_eq!(reader.next_child().unwrap().unwrap().name, "w", "{content}");
    }
    for bad in [
        "<v><a></v>",
        "<v",
        "<v><!-- ",
        "<v><![CDATA[</v>",
        "<v><?x",
        "<v><!DOCTYPE x></v>",
        "<v><a b='></v>",
    ] {
        let mut reader = Reader::new(bad);
        assert!(reader.next_child().and_then(|_| reader.skip_span()).is_err(), "{bad}");
    }
    let deep = format!("<v>{}", "<a>".repeat(1000));
    let mut reader = Reader::new(&deep);
    reader.next_child().unwrap();
    assert!(matches!(reader.skip_span().unwrap_err().kind, DecodeErrorKind::Refused(_)));
}

/// Another parser's word on documents that both take.
fn other(text: &str) -> Option<String> {
    fn walk(node: roxmltree::Node<'_, '_>, out: &mut String) {
        for child in node.children().filter(|c| c.is_element()) {
            out.push_str(child.tag_name().name());
            if child.children().any(|c| c.is_element()) {
                out.push('(');
                walk(child, out);
                out.push(')');
            } else {
                let text: String =
                    child.children().filter(|c| c.is_text()).filter_map(|c| c.text()).collect();
                out.push_str(&format!("={text:?} "));
            }
        }
    }
    let document = roxmltree::Document::parse(text).ok()?;
    let mut out = String::new();
    walk(document.root(), &mut out);
    Some(out)
}

fn ours(text: &str) -> Result<String, DecodeError> {
    fn walk(
        reader: &mut Reader<'_>,
        first: Option<Element<'_>>,
        out: &mut String,
    ) -> Result<(), DecodeError> {
        let mut next = first;
        loop {
            let child = match next.take() {
                Some(child) => child,
                None => match reader.next_child()? {
                    Some(child) => child,
                    None => return Ok(()),
                },
            };
            out.push_str(child.name);
            match reader.text_or_child()? {
                Ok(text) => out.push_str(&format!("={text:?} ")),
                Err(first) => {
                    out.push('(');
                    walk(reader, Some(first), out)?;
                    out.push(')');
                }
            }
        }
    }
    let mut out = String::new();
    walk(&mut Reader::new(text), None, &mut out)?;
    Ok(out)
}

proptest::proptest! {
    /// The short cuts for leaves see what a parser without them sees.
    #[test]
    fn well_formed_documents_read_as_elsewhere(parts in proptest::collection::vec(0usize..14, 0..40)) {
        let tokens = ["<a>", "</a>", "<b x='1'>", "</b>", "<c/>", "&amp;", "<d>t</d>", "<![CDATA[<z>]]>", "<!-- </a> -->", "u", "<e></e>", "<f >v</f >", "<g>1&lt;2</g>", "<h>&#65;</h>"];
        let text = format!("<r>{}</r>", parts.into_iter().map(|p| tokens[p]).collect::<String>());
        if let Some(expected) = other(&text) {
            proptest::prop_assert_eq!(ours(&text).unwrap(), expected);
        }
    }
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
