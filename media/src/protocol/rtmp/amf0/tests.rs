#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn emitted(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.emit(&mut out);
    out
}

fn one(bytes: &[u8]) -> Result<Value, AmfError> {
    Ok(Reader::new(bytes).next_value()?.unwrap())
}

fn any_object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Object> {
    prop::collection::vec((".{0,12}", value), 0..5).prop_map(Object)
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<f64>().prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        ".{0,40}".prop_map(Value::String),
        Just(Value::String("a".repeat(65_536))),
        Just(Value::Null),
        Just(Value::Undefined),
        (any::<f64>(), any::<i16>()).prop_map(|(millis, zone)| Value::Date { millis, zone }),
        ".{0,40}".prop_map(Value::Xml),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            any_object(inner.clone()).prop_map(Value::Object),
            any_object(inner.clone()).prop_map(Value::EcmaArray),
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::StrictArray),
            (".{0,9}", any_object(inner)).prop_map(|typed| Value::Typed(Box::new(typed))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(values in prop::collection::vec(any_value(), 0..4)) {
        let bytes: Vec<u8> = values.iter().flat_map(emitted).collect();
        prop_assert_eq!(check(&bytes), Ok(()));
        let read = Reader::new(&bytes).all().unwrap();
        // By their bytes, since some numbers are not equal to themselves.
        prop_assert_eq!(read.iter().flat_map(emitted).collect::<Vec<_>>(), bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let read = Reader::new(&bytes).all();
        prop_assert_eq!(read.err(), check(&bytes).err());
        let _ = leading_string(&bytes);
    }

    #[test]
    fn a_cut_or_damaged_value_is_read_or_refused(
        value in any_value(),
        cut in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = emitted(&value);
        let _ = Reader::new(&bytes[..cut.index(bytes.len())]).all();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = Reader::new(&bytes).all();
    }
}

#[test]
fn properties_may_end_with_the_input() {
    let whole = emitted(&Value::EcmaArray(Object::default().with("a", 1.0)));
    for missing in 0..=3 {
        let value = one(&whole[..whole.len() - missing]).unwrap();
        assert_eq!(value.as_object().unwrap().number("a"), Some(1.0));
    }
    assert_eq!(one(&whole[..whole.len() - 4]), Err(AmfError::Truncated("a number")));
}

#[test]
fn counts_of_ecma_arrays_are_not_believed() {
    for count in [0u32, 1, 7, u32::MAX] {
        let mut bytes = vec![0x08];
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(b"\0\x01a\x01\x01\0\x01b\x05\0\0\x09");
        let object = Object::default().with("a", true).with("b", Value::Null);
        assert_eq!(one(&bytes), Ok(Value::EcmaArray(object)));
    }
}

#[test]
fn odd_values_are_read_as_what_they_mean() {
    assert_eq!(one(b"\x07\x00\x01"), Ok(Value::Null));
    assert_eq!(one(b"\x0d"), Ok(Value::Undefined));
    assert_eq!(one(b"\x01\x02"), Ok(Value::Boolean(true)));
    assert_eq!(one(b"\x02\x00\x01\xff"), Ok(Value::String("\u{fffd}".into())));
    assert_eq!(one(b"\x11\x04\x05"), Ok(Value::Number(5.0)));
}

#[test]
fn limits_hold() {
    let nested = |levels: usize| [0x0a, 0, 0, 0, 1].repeat(levels);
    let deep = nested(AMF_DEPTH);
    assert_eq!(one(&[&deep, &[0x05][..]].concat()).err(), None);
    assert_eq!(one(&nested(AMF_DEPTH + 1)), Err(AmfError::Depth));
    assert_eq!(check(&nested(100_000)), Err(AmfError::Depth));
    let object = b"\x03\x00\x01a".repeat(1000);
    assert_eq!(one(&object), Err(AmfError::Depth));

    let mut many = vec![0x0a, 0xff, 0xff, 0xff, 0xff];
    many.resize(AMF_VALUES + 100, 0x05);
    assert_eq!(one(&many), Err(AmfError::Count));
    assert_eq!(one(&many[..100]), Err(AmfError::Truncated("a value's type")));

    assert_eq!(one(b"\x0c\xff\xff\xff\xffabc"), Err(AmfError::StringLength(u32::MAX)));
    assert_eq!(one(b"\x02\xff\xffabc"), Err(AmfError::Truncated("a string")));
    for marker in [0x04, 0x09, 0x0e, 0x12, 0xff] {
        assert_eq!(one(&[marker]), Err(AmfError::Marker(marker)));
    }
}

#[test]
fn the_first_of_equal_names_counts_and_others_are_kept() {
    let object = Object::default().with("a", 1.0).with("a", 2.0);
    assert_eq!(object.number("a"), Some(1.0));
    assert_eq!(one(&emitted(&object.clone().into())), Ok(object.into()));
}

#[test]
fn long_names_are_cut_between_characters() {
    let object = Object::default().with(&"é".repeat(40_000), 1.0);
    let read = one(&emitted(&object.into())).unwrap();
    assert_eq!(read.as_object().unwrap().0[0].0.len(), 65_534);
}
