use super::*;
use crate::limits::{AMF_DEPTH, AMF_VALUES};
use proptest::prelude::*;

fn one(bytes: &[u8]) -> Result<Value, AmfError> {
    let mut reader = Reader::new(bytes, AMF_DEPTH, AMF_VALUES);
    let value = reader.value()?;
    assert_eq!(reader.rest().0, b"");
    Ok(value)
}

#[test]
fn simple_values() {
    let cases: [(&[u8], Value); 12] = [
        (b"\x00", Value::Undefined),
        (b"\x01", Value::Null),
        (b"\x02", Value::Boolean(false)),
        (b"\x03", Value::Boolean(true)),
        (b"\x04\x7f", Value::Number(127.0)),
        (b"\x04\x81\x00", Value::Number(128.0)),
        (b"\x04\xff\xff\xff\xff", Value::Number(-1.0)),
        (b"\x04\xbf\xff\xff\xff", Value::Number(268_435_455.0)),
        (b"\x05\x3f\xf0\0\0\0\0\0\0", Value::Number(1.0)),
        (b"\x06\x07abc", Value::String("abc".into())),
        (b"\x08\x01\x3f\xf0\0\0\0\0\0\0", Value::Date { millis: 1.0, zone: 0 }),
        (b"\x0c\x07abc", Value::Undefined),
    ];
    for (bytes, value) in cases {
        assert_eq!(one(bytes), Ok(value), "{bytes:?}");
    }
}

#[test]
fn arrays_and_objects_with_what_they_refer_to() {
    // [ "a", "a" ]: the second by reference.
    let value = one(b"\x09\x05\x01\x06\x03a\x06\x00");
    assert_eq!(value, Ok(Value::StrictArray(vec!["a".into(), "a".into()])));
    // A dynamic object, then one of the same class.
    let value = one(b"\x09\x05\x01\x0a\x0b\x01\x03k\x04\x01\x01\x0a\x01\x00\x04\x02\x01");
    let object = |number: f64| Value::Object(Object::default().with("k", number));
    assert_eq!(value, Ok(Value::StrictArray(vec![object(1.0), object(2.0)])));
    // A class with a name and one member.
    let value = one(b"\x0a\x13\x03C\x03m\x03");
    let typed = Value::Typed(Box::new(("C".into(), Object::default().with("m", true))));
    assert_eq!(value, Ok(typed));
    // An earlier array is not kept.
    assert_eq!(one(b"\x09\x00"), Ok(Value::Null));
}

#[test]
fn limits_hold() {
    let own = AmfError::Amf3("an object of a class with its own notation");
    assert_eq!(one(b"\x0a\x07\x01"), Err(own));
    let unknown = AmfError::Amf3("a reference to a string it did not send");
    assert_eq!(one(b"\x06\x02"), Err(unknown));
    assert_eq!(one(&b"\x09\x03\x01".repeat(1000)), Err(AmfError::Depth));
    // An array, and a class, of as many members as fit into the number.
    assert_eq!(one(b"\x09\xff\xff\xff\xff\x01"), Err(AmfError::Truncated("an AMF3 value's type")));
    assert_eq!(one(b"\x0a\xff\xff\xff\xf3\x01"), Err(AmfError::Truncated("an AMF3 integer")));
    let nulls = [b"\x09\xff\xff\xff\xff\x01".as_slice(), &[1; AMF_VALUES + 1]].concat();
    assert_eq!(one(&nulls), Err(AmfError::Count));
    // A long string, copied again and again by two bytes each.
    let long = [b"\x09\xff\xff\xff\xff\x01\x06\x83\xfe\x01".as_slice(), &[b'x'; 32_640]].concat();
    let copies = [long, b"\x06\x00".repeat(1000)].concat();
    assert_eq!(one(&copies), Err(AmfError::Count));
    // Likewise a class with a long name, and one of many members without any.
    let long = [b"\x09\xff\xff\xff\xff\x01\x0a\x03\x83\xfe\x01", &[b'C'; 32_640][..]].concat();
    let copies = [long, b"\x0a\x01".repeat(1000)].concat();
    assert_eq!(one(&copies), Err(AmfError::Count));
    let many = [b"\x09\xff\xff\xff\xff\x01\x0a\xfe\x03", &[1; 1 + 1008][..], &[1; 1008]].concat();
    let copies = [many, [b"\x0a\x01", &[1; 1008][..]].concat().repeat(8)].concat();
    assert_eq!(one(&copies), Err(AmfError::Count));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(0u8..16, 0..200)) {
        let _ = Reader::new(&bytes, AMF_DEPTH, AMF_VALUES).value();
    }
}
