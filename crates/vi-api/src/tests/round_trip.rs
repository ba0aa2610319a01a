//! Every struct and every method, filled at random by the tables, through the typed codec and back.

use super::samples::Samples;
use super::xsd;
use crate::codec::Typed;
use crate::{ApiVersion, Object, Value, Writer, dynamic, schema, soap};

const V8: ApiVersion = ApiVersion::new(8, 0, 2, 0);

const OPEN: &str = "<sample xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">";

fn structs() -> impl Iterator<Item = &'static Typed> {
    crate::generated::data::TYPED.iter().copied().flatten()
}

fn calls() -> impl Iterator<Item = &'static Typed> {
    crate::generated::methods::CALLS.iter().copied().flatten()
}

/// The object as a document, written by the dynamic codec.
fn document(object: &Object) -> String {
    let mut writer = Writer::new(V8);
    writer.value("sample", object);
    let (text, withheld) = writer.finish();
    assert!(withheld.is_empty(), "{withheld:?}");
    let inner = text.split_once('>').map_or("", |(_, rest)| rest);
    format!("{OPEN}{inner}")
}

fn check_struct(typed: &Typed, object: Object, xsd: &xsd::Schema) {
    let text = document(&object);
    let (again, withheld) =
        (typed.through)(&text, V8).unwrap_or_else(|e| panic!("{}: {e}\n{text}", typed.name));
    assert!(withheld.is_empty(), "{withheld:?}");
    // What the typed codec wrote is what the dynamic one reads, and what the XSD allows.
    assert_eq!(
        dynamic::from_xml(typed.name, &again).unwrap(),
        Value::Object(object),
        "{}",
        typed.name
    );
    xsd.validate_text(&again, typed.name).unwrap_or_else(|e| panic!("{e}\n{again}"));
}

#[test]
fn every_struct_survives_random_values() {
    let xsd = xsd::Schema::read("8.0");
    for (number, typed) in structs().enumerate() {
        assert!(
            schema::data_type(typed.name)
                .is_some_and(|t| t.since == typed.since || typed.since == ApiVersion::V2_5)
        );
        for round in 0..2 {
            let mut samples = Samples::new(number as u64 * 16 + round);
            samples.full = round == 0;
            check_struct(typed, samples.object(typed.name, 0), &xsd);
        }
    }
    assert!(structs().count() > 560, "the roots have shrunk");
}

#[test]
fn every_struct_insists_on_its_mandatory_members() {
    for typed in structs() {
        let mandatory: Vec<_> = schema::members(typed.name).filter(|m| !m.optional).collect();
        let whole = Samples::new(1).object(typed.name, 9);
        for member in mandatory {
            let mut cut = whole.clone();
            cut.remove(member.name);
            let error = (typed.through)(&document(&cut), V8).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("missing mandatory member {} at sample", member.name),
                "{}",
                typed.name
            );
        }
    }
}

#[test]
fn every_method_survives_random_arguments() {
    let xsd = xsd::Schema::read("8.0");
    for (number, call) in calls().enumerate() {
        for round in 0..2 {
            let mut samples = Samples::new(number as u64 * 16 + round);
            samples.full = round == 0;
            let args = samples.arguments(call.name);
            let mut writer = Writer::new(V8);
            writer.raw(OPEN);
            for param in schema::method(call.name).unwrap().1.params {
                if let Some(value) = args.get(param.name) {
                    dynamic::encode_member(param, value, &mut writer);
                }
            }
            writer.close("sample");
            let (body, withheld) = (call.through)(&writer.finish().0, V8).unwrap();
            assert!(withheld.is_empty(), "{withheld:?}");
            assert_eq!(soap::decode_request(body.as_bytes()).unwrap().args, args, "{}", call.name);
            xsd.validate_request(&body).unwrap_or_else(|e| panic!("{e}\n{body}"));
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    /// Any struct with any seed.
    #[test]
    fn structs_survive(seed: u64, full: bool, index: usize) {
        thread_local!(static XSD: xsd::Schema = xsd::Schema::read("8.0"));
        let all: Vec<_> = structs().collect();
        let typed = all[index % all.len()];
        let mut samples = Samples::new(seed);
        samples.full = full;
        let object = samples.object(typed.name, 0);
        XSD.with(|xsd| check_struct(typed, object, xsd));
    }

    /// Any data object of the whole schema, by the dynamic codec alone.
    #[test]
    fn trees_survive(seed: u64, index: usize) {
        thread_local!(static XSD: xsd::Schema = xsd::Schema::read("8.0"));
        let all: Vec<_> = schema::data_types().collect();
        let name = all[index % all.len()].name;
        let object = Samples::new(seed).object(name, 0);
        let text = document(&object);
        proptest::prop_assert_eq!(dynamic::from_xml(name, &text).unwrap(), Value::Object(object));
        XSD.with(|xsd| xsd.validate_text(&text, name)).unwrap();
    }
}
