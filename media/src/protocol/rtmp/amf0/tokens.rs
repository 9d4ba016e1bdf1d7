//! The one parser of AMF0: bytes cut into tokens, with nothing allocated.

use super::{AmfError, Value};
use crate::limits::{AMF_DEPTH, AMF_VALUES};
use crate::protocol::rtmp::amf3;

/// The types of values.
pub mod marker {
    pub const NUMBER: u8 = 0x00;
    pub const BOOLEAN: u8 = 0x01;
    pub const STRING: u8 = 0x02;
    pub const OBJECT: u8 = 0x03;
    pub const NULL: u8 = 0x05;
    pub const UNDEFINED: u8 = 0x06;
    pub const REFERENCE: u8 = 0x07;
    pub const ECMA_ARRAY: u8 = 0x08;
    pub const OBJECT_END: u8 = 0x09;
    pub const STRICT_ARRAY: u8 = 0x0a;
    pub const DATE: u8 = 0x0b;
    pub const LONG_STRING: u8 = 0x0c;
    pub const UNSUPPORTED: u8 = 0x0d;
    pub const XML: u8 = 0x0f;
    pub const TYPED_OBJECT: u8 = 0x10;
    pub const AMF3: u8 = 0x11;
}

/// A piece of AMF0, borrowed from the input.
#[derive(Clone, PartialEq, Debug)]
pub enum Token<'a> {
    Number(f64),
    Boolean(bool),
    Text(&'a [u8]),
    Xml(&'a [u8]),
    Null,
    Undefined,
    Date {
        millis: f64,
        zone: i16,
    },
    ObjectBegins,
    EcmaArrayBegins,
    TypedBegins(&'a [u8]),
    ArrayBegins,
    /// The name of the property whose value comes next.
    Name(&'a [u8]),
    /// The innermost object or array is over.
    End,
    /// A value in the other notation.
    Foreign(Value),
}

/// What the parser is inside of.
#[derive(Clone, Copy, Debug)]
enum Inside {
    Properties { value_next: bool },
    Items(u32),
}

/// Cuts AMF0 into tokens, strictly by its lengths, with a stack of fixed depth.
pub struct Tokens<'a> {
    pub rest: &'a [u8],
    stack: [Inside; AMF_DEPTH],
    depth: usize,
    /// How many values all AMF3 in here may have together: it is built, not passed in tokens.
    foreign: usize,
}

impl<'a> Tokens<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, stack: [Inside::Items(0); AMF_DEPTH], depth: 0, foreign: AMF_VALUES }
    }

    /// The next token, or none at the end of the input between two values of the outermost level.
    pub fn next(&mut self) -> Result<Option<Token<'a>>, AmfError> {
        let top = self.depth.checked_sub(1).and_then(|top| self.stack.get_mut(top));
        match top {
            None if self.rest.is_empty() => return Ok(None),
            None => {}
            Some(Inside::Items(0)) => return Ok(self.leave()),
            Some(Inside::Items(left)) => *left -= 1,
            Some(Inside::Properties { value_next: value_next @ true }) => *value_next = false,
            Some(Inside::Properties { value_next }) => {
                if matches!(self.rest, [] | [0] | [0, 0]) {
                    self.rest = &[];
                    return Ok(self.leave());
                }
                if let Some(rest) = self.rest.strip_prefix(&[0, 0, marker::OBJECT_END]) {
                    self.rest = rest;
                    return Ok(self.leave());
                }
                *value_next = true;
                return Ok(Some(Token::Name(self.short("a property's name")?)));
            }
        }
        self.value().map(Some)
    }

    fn leave(&mut self) -> Option<Token<'a>> {
        self.depth = self.depth.saturating_sub(1);
        Some(Token::End)
    }

    fn enter(&mut self, inside: Inside, token: Token<'a>) -> Result<Token<'a>, AmfError> {
        *self.stack.get_mut(self.depth).ok_or(AmfError::Depth)? = inside;
        self.depth += 1;
        Ok(token)
    }

    fn value(&mut self) -> Result<Token<'a>, AmfError> {
        let properties = Inside::Properties { value_next: false };
        let [marker] = self.take("a value's type")?;
        Ok(match marker {
            marker::NUMBER => Token::Number(f64::from_be_bytes(self.take("a number")?)),
            marker::BOOLEAN => Token::Boolean(self.take("a boolean")? != [0]),
            marker::STRING => Token::Text(self.short("a string")?),
            marker::LONG_STRING => Token::Text(self.long("a long string")?),
            marker::XML => Token::Xml(self.long("an XML document")?),
            marker::NULL => Token::Null,
            marker::UNDEFINED | marker::UNSUPPORTED => Token::Undefined,
            marker::REFERENCE => {
                let _: [u8; 2] = self.take("a reference")?;
                Token::Null
            }
            marker::OBJECT => return self.enter(properties, Token::ObjectBegins),
            marker::ECMA_ARRAY => {
                let _: [u8; 4] = self.take("an ECMA array's count")?;
                return self.enter(properties, Token::EcmaArrayBegins);
            }
            marker::TYPED_OBJECT => {
                let class = self.short("a class name")?;
                return self.enter(properties, Token::TypedBegins(class));
            }
            marker::STRICT_ARRAY => {
                let count = u32::from_be_bytes(self.take("a strict array's count")?);
                return self.enter(Inside::Items(count), Token::ArrayBegins);
            }
            marker::DATE => Token::Date {
                millis: f64::from_be_bytes(self.take("a date")?),
                zone: i16::from_be_bytes(self.take("a date")?),
            },
            marker::AMF3 => {
                let depth = AMF_DEPTH.saturating_sub(self.depth);
                let mut reader = amf3::Reader::new(self.rest, depth, self.foreign);
                let value = reader.value()?;
                (self.rest, self.foreign) = reader.rest();
                Token::Foreign(value)
            }
            other => return Err(AmfError::Marker(other)),
        })
    }

    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], AmfError> {
        super::take(&mut self.rest, what)
    }

    fn short(&mut self, what: &'static str) -> Result<&'a [u8], AmfError> {
        let len = u16::from_be_bytes(self.take(what)?);
        self.bytes(u32::from(len), what)
    }

    fn long(&mut self, what: &'static str) -> Result<&'a [u8], AmfError> {
        let len = u32::from_be_bytes(self.take(what)?);
        self.bytes(len, what)
    }

    fn bytes(&mut self, len: u32, what: &'static str) -> Result<&'a [u8], AmfError> {
        super::take_bytes(&mut self.rest, len, what)
    }
}
