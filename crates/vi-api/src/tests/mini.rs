//! What the generator makes of the ten-line schema in xtask/testdata/mini, compiled and used.

use crate::generated_mini::data::{AnyShape, Chain, RoundShape, Shape};
use crate::generated_mini::enums::Colour;
use crate::generated_mini::methods::Draw;
use crate::{ApiVersion, DataObject as _, Method, MoRef, Object, soap};

fn shape() -> Shape {
    Shape {
        self_: "outer".into(),
        type_: Some(Colour::Self_),
        inner: vec![
            RoundShape {
                self_: "inner".into(),
                radius: 0.5,
                next: Some(Chain { next: Some(Box::default()) }),
                ..Default::default()
            }
            .into(),
            Object::new("FutureShape").with("edges", 7).into(),
        ],
    }
}

#[test]
fn names_and_ages_are_those_of_the_schema() {
    assert_eq!((RoundShape::NAME, RoundShape::SINCE), ("roundShape", ApiVersion::V4_0));
    assert_eq!(RoundShape::MEMBERS, ["self", "type", "inner", "radius", "next"]);
    assert_eq!((Draw::NAME, Draw::TARGET), ("Draw", "Canvas"));
}

#[test]
fn a_call_and_its_result_go_there_and_back() {
    let call = Draw { shape: shape().into(), password: Some("canary".into()) };
    assert!(!format!("{call:?}").contains("canary"));
    let encoded = soap::encode_call(&call, &MoRef::new("Canvas", "c"), ApiVersion::V4_0);
    assert!(encoded.withheld.is_empty());
    // The reply repeats the shape: what was written is read as the same value.
    let (from, to) =
        (encoded.body.find("<shape>").unwrap(), encoded.body.find("<password>").unwrap());
    let shape_text = encoded.body[from..to].replace("shape>", "returnval>");
    let reply = format!(
        "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/' \
         xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xmlns:xsd='http://www.w3.org/2001/XMLSchema'>\
         <e:Body><DrawResponse xmlns='urn:vim25'>{shape_text}</DrawResponse></e:Body></e:Envelope>"
    );
    let read = soap::decode_reply(Draw::NAME, &reply, Draw::read_output).unwrap();
    let soap::Reply::Result(Some(read)) = read else { panic!("no shape") };
    assert_eq!(read, AnyShape::from(shape()));
}

#[test]
fn an_older_host_gets_less() {
    let call = Draw { shape: shape().into(), password: Some("p".into()) };
    let encoded = soap::encode_call(&call, &MoRef::new("Canvas", "c"), ApiVersion::V2_5);
    assert_eq!(encoded.withheld, ["inner of type roundShape (since 4.0)", "password (since 4.0)"]);
    assert!(encoded.body.contains("FutureShape"), "what came from a host is sent back");
}
