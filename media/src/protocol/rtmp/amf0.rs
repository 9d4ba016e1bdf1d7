//! AMF0, the notation of RTMP's commands and metadata: bytes to values, and values to bytes.
//!
//! ```text
//! value   = marker, then by marker:
//!   00 number      8 bytes, IEEE 754        05 null, 06 undefined, 0d unsupported: nothing
//!   01 boolean     1 byte                   0a strict array   4 bytes of count, values
//!   02 string      2 bytes of length, text  0b date           8 bytes of milliseconds, 2 of zone
//!   03 object      properties               0c, 0f long string, xml: 4 bytes of length, text
//!   07 reference   2 bytes                  10 typed object   string, properties
//!   08 ecma array  4 bytes, properties      11 one AMF3 value
//! properties = (2 bytes of length, name, value)*, 00 00 09
//! ```
//!
//! There is one parser, `tokens`, which allocates nothing. [`Reader`] builds values from its tokens;
//! [`check`] only lets them pass.
//!
//! Habits of peers that are read as what they mean: counts of ECMA arrays (often 0, a hint at best)
//! are not believed; the end of properties may be missing where the input ends; text that is not UTF-8
//! has its broken bytes replaced. A reference, which nobody sends on purpose, is read as null.

mod tokens;

use crate::limits::{AMF_DEPTH, AMF_STRING, AMF_VALUES};
use thiserror::Error;
use tokens::{Token, Tokens, marker};

/// What is wrong with AMF a peer sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum AmfError {
    /// The input ends inside a value.
    #[error("peer sent AMF that ends inside {0}")]
    Truncated(&'static str),
    /// No such type, or one that RTMP does not carry.
    #[error("peer sent AMF with a value of type {0:#04x}, which does not exist here")]
    Marker(u8),
    /// Objects in objects in objects.
    #[error("peer sent AMF nested deeper than {AMF_DEPTH} levels")]
    Depth,
    /// More values than any command has.
    #[error("peer sent AMF of more than {AMF_VALUES} values")]
    Count,
    /// A string longer than any name or text.
    #[error("peer sent AMF with a string of {0} bytes, at most {AMF_STRING} are taken")]
    StringLength(u32),
    /// An AMF3 value that leans on definitions this end does not have.
    #[error("peer sent AMF3 with {0}")]
    Amf3(&'static str),
}

/// Names and their values, in the order they were sent. A name may repeat; the first one counts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Object(
    /// The properties.
    pub Vec<(String, Value)>,
);

impl Object {
    /// The value of a property.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The text of a property that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_text)
    }

    /// The number of a property that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(Value::as_number)
    }

    /// With one property more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.push((name.to_owned(), value.into()));
        self
    }
}

/// One value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Every number is a double.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// Text.
    String(String),
    /// Names and values.
    Object(Object),
    /// Nothing, on purpose.
    Null,
    /// Nothing, by omission; also what AMF0 calls unsupported.
    Undefined,
    /// Names and values as metadata has them.
    EcmaArray(Object),
    /// Values in a row.
    StrictArray(Vec<Value>),
    /// A moment.
    Date {
        /// Milliseconds since 1970.
        millis: f64,
        /// Minutes from UTC; reserved, in practice 0.
        zone: i16,
    },
    /// A document, not looked into.
    Xml(String),
    /// An object of a named class.
    Typed(Box<(String, Object)>),
}

impl Value {
    /// The text of a string.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number of a number.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether this is true: a boolean, or a number where a boolean is meant.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            Self::Number(number) => Some(*number != 0.0),
            _ => None,
        }
    }

    /// The properties of an object of any kind.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) | Self::EcmaArray(object) => Some(object),
            Self::Typed(typed) => Some(&typed.1),
            _ => None,
        }
    }

    /// Appends the value as bytes. Names longer than 65,535 bytes are cut; longer texts become long
    /// strings.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => {
                out.push(marker::NUMBER);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Boolean(value) => out.extend_from_slice(&[marker::BOOLEAN, u8::from(*value)]),
            Self::String(text) => emit_string(text, out),
            Self::Object(object) => {
                out.push(marker::OBJECT);
                emit_properties(object, out);
            }
            Self::Null => out.push(marker::NULL),
            Self::Undefined => out.push(marker::UNDEFINED),
            Self::EcmaArray(object) => {
                out.push(marker::ECMA_ARRAY);
                out.extend_from_slice(&length32(object.0.len()).to_be_bytes());
                emit_properties(object, out);
            }
            Self::StrictArray(items) => {
                out.push(marker::STRICT_ARRAY);
                out.extend_from_slice(&length32(items.len()).to_be_bytes());
                items.iter().for_each(|item| item.emit(out));
            }
            Self::Date { millis, zone } => {
                out.push(marker::DATE);
                out.extend_from_slice(&millis.to_be_bytes());
                out.extend_from_slice(&zone.to_be_bytes());
            }
            Self::Xml(text) => emit_long(marker::XML, text, out),
            Self::Typed(typed) => {
                out.push(marker::TYPED_OBJECT);
                emit_name(&typed.0, out);
                emit_properties(&typed.1, out);
            }
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

fn length32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Appends a string value.
pub fn emit_string(text: &str, out: &mut Vec<u8>) {
    if u16::try_from(text.len()).is_ok() {
        out.push(marker::STRING);
        emit_name(text, out);
    } else {
        emit_long(marker::LONG_STRING, text, out);
    }
}

fn emit_long(marker: u8, text: &str, out: &mut Vec<u8>) {
    out.push(marker);
    out.extend_from_slice(&length32(text.len()).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn emit_name(name: &str, out: &mut Vec<u8>) {
    let mut cut = name.len().min(usize::from(u16::MAX));
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    let name = name.get(..cut).unwrap_or_default();
    out.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(name.as_bytes());
}

fn emit_properties(object: &Object, out: &mut Vec<u8>) {
    for (name, value) in &object.0 {
        emit_name(name, out);
        value.emit(out);
    }
    out.extend_from_slice(&[0, 0, marker::OBJECT_END]);
}

/// Reads one value after the other, all of them within one budget of values and depth.
pub struct Reader<'a> {
    tokens: Tokens<'a>,
    budget: usize,
}

impl<'a> Reader<'a> {
    /// Over these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { tokens: Tokens::new(bytes), budget: AMF_VALUES }
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.tokens.rest
    }

    /// The next value, or none at the end of the input.
    pub fn next_value(&mut self) -> Result<Option<Value>, AmfError> {
        match self.tokens.next()? {
            None => Ok(None),
            Some(token) => self.build(token).map(Some),
        }
    }

    /// All values up to the end of the input.
    pub fn all(mut self) -> Result<Vec<Value>, AmfError> {
        let mut values = Vec::new();
        while let Some(value) = self.next_value()? {
            values.push(value);
        }
        Ok(values)
    }

    /// Recursion is as deep as the stack of the tokens, so [`AMF_DEPTH`] at most.
    fn build(&mut self, token: Token<'a>) -> Result<Value, AmfError> {
        self.budget = self.budget.checked_sub(1).ok_or(AmfError::Count)?;
        Ok(match token {
            Token::Number(number) => Value::Number(number),
            Token::Boolean(value) => Value::Boolean(value),
            Token::Text(text) => Value::String(text_of(text)),
            Token::Xml(text) => Value::Xml(text_of(text)),
            Token::Null => Value::Null,
            Token::Undefined | Token::End | Token::Name(_) => Value::Undefined,
            Token::Date { millis, zone } => Value::Date { millis, zone },
            Token::ObjectBegins => Value::Object(self.properties()?),
            Token::EcmaArrayBegins => Value::EcmaArray(self.properties()?),
            Token::TypedBegins(class) => {
                Value::Typed(Box::new((text_of(class), self.properties()?)))
            }
            Token::ArrayBegins => {
                let mut items = Vec::new();
                loop {
                    match self.tokens.next()? {
                        None | Some(Token::End) => break Value::StrictArray(items),
                        Some(token) => items.push(self.build(token)?),
                    }
                }
            }
            Token::Foreign(value) => value,
        })
    }

    fn properties(&mut self) -> Result<Object, AmfError> {
        let mut object = Object::default();
        while let Some(Token::Name(name)) = self.tokens.next()? {
            let Some(token) = self.tokens.next()? else { break };
            object.0.push((text_of(name), self.build(token)?));
        }
        Ok(object)
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether these bytes are whole AMF0 values within the limits of depth and string length, found out
/// without building them: what passes may be handed on to players.
pub fn check(bytes: &[u8]) -> Result<(), AmfError> {
    let mut tokens = Tokens::new(bytes);
    while tokens.next()?.is_some() {}
    Ok(())
}

/// The string these bytes begin with, and what follows it.
#[must_use]
pub fn leading_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut tokens = Tokens::new(bytes);
    match tokens.next() {
        Ok(Some(Token::Text(text))) => Some((text, tokens.rest)),
        _ => None,
    }
}

/// Takes a number of fixed length off the front of what is left.
pub(super) fn take<const N: usize>(
    rest: &mut &[u8],
    what: &'static str,
) -> Result<[u8; N], AmfError> {
    let (taken, left) = rest.split_first_chunk().ok_or(AmfError::Truncated(what))?;
    *rest = left;
    Ok(*taken)
}

/// Takes a string of a declared length off the front of what is left.
pub(super) fn take_bytes<'a>(
    rest: &mut &'a [u8],
    len: u32,
    what: &'static str,
) -> Result<&'a [u8], AmfError> {
    let wanted = usize::try_from(len).unwrap_or(usize::MAX);
    if wanted > AMF_STRING {
        return Err(AmfError::StringLength(len));
    }
    let (taken, left) = rest.split_at_checked(wanted).ok_or(AmfError::Truncated(what))?;
    *rest = left;
    Ok(taken)
}

#[cfg(test)]
mod tests;
