//! As much of AMF3 as commands bring along: read into the values of AMF0, never written.
//!
//! AMF3 comes where AMF0 says "one AMF3 value". Strings and class descriptions are sent once and
//! referred to by number afterwards, so both are remembered, up to a bound. A reference to an earlier
//! object or array is read as null. A class that has its own notation cannot be passed over, so it
//! ends the session.
//!
//! ```text
//! value = marker, then by marker:
//!   00 undefined  01 null  02 false  03 true       08 date       u29, 8 bytes
//!   04 integer    u29, signed                      09 array      u29, (name, value)*, "", values
//!   05 double     8 bytes                          0a object     u29, class, values, (name, value)*, ""
//!   06 string     text                             0c byte array u29, bytes
//!   07, 0b xml    text
//! u29  = 1 to 4 bytes, seven bits each, all eight of the fourth
//! text = u29: lowest bit 1: length, bytes; 0: number of an earlier text
//! ```

use super::amf0::{self, AmfError, Object, Value};
use crate::limits::AMF3_REFERENCES;

/// What the copy of a member's name costs beside its letters.
const MEMBER: usize = 32;

/// A class: what its objects bring, and in which order.
#[derive(Clone, Default)]
struct Class {
    name: String,
    members: Vec<String>,
    dynamic: bool,
}

/// Reads the AMF3 value at the beginning of some bytes.
pub struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
    budget: usize,
    strings: Vec<String>,
    classes: Vec<Class>,
}

impl<'a> Reader<'a> {
    /// Over these bytes, at most so many levels deep and with so many values.
    #[must_use]
    pub fn new(bytes: &'a [u8], depth: usize, budget: usize) -> Self {
        Self { rest: bytes, depth, budget, strings: Vec::new(), classes: Vec::new() }
    }

    /// What has not been read, and what is left of the budget of values.
    #[must_use]
    pub fn rest(&self) -> (&'a [u8], usize) {
        (self.rest, self.budget)
    }

    /// One value.
    pub fn value(&mut self) -> Result<Value, AmfError> {
        self.spend()?;
        let [marker] = self.take("an AMF3 value's type")?;
        Ok(match marker {
            0x00 => Value::Undefined,
            0x01 => Value::Null,
            0x02 => Value::Boolean(false),
            0x03 => Value::Boolean(true),
            0x04 => {
                let bits = self.u29()?;
                let sign = if bits & (1 << 28) == 0 { 0 } else { 1 << 29 };
                Value::Number(f64::from(bits) - f64::from(sign))
            }
            0x05 => Value::Number(f64::from_be_bytes(self.take("an AMF3 double")?)),
            0x06 => Value::String(self.text()?),
            0x07 | 0x0b => match self.length_or_reference()? {
                Some(len) => {
                    Value::Xml(String::from_utf8_lossy(self.bytes(len, "XML")?).into_owned())
                }
                None => Value::Null,
            },
            0x08 => match self.length_or_reference()? {
                Some(_) => {
                    Value::Date { millis: f64::from_be_bytes(self.take("an AMF3 date")?), zone: 0 }
                }
                None => Value::Null,
            },
            0x09 => self.deeper(Self::array)?,
            0x0a => self.deeper(Self::object)?,
            // Bytes have no counterpart in AMF0, and no command has any.
            0x0c => {
                if let Some(len) = self.length_or_reference()? {
                    self.bytes(len, "an AMF3 byte array")?;
                }
                Value::Undefined
            }
            other => return Err(AmfError::Marker(other)),
        })
    }

    fn array(&mut self) -> Result<Value, AmfError> {
        let Some(count) = self.length_or_reference()? else { return Ok(Value::Null) };
        let mut named = Object::default();
        self.named_values(&mut named)?;
        if !named.0.is_empty() {
            for place in 0..count {
                named.0.push((place.to_string(), self.value()?));
            }
            return Ok(Value::EcmaArray(named));
        }
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.value()?);
        }
        Ok(Value::StrictArray(items))
    }

    fn object(&mut self) -> Result<Value, AmfError> {
        let Some(flags) = self.length_or_reference()? else { return Ok(Value::Null) };
        let class = if flags & 1 == 0 {
            let known = usize::try_from(flags >> 1).ok().and_then(|at| self.classes.get(at));
            let class = known
                .cloned()
                .ok_or(AmfError::Amf3("a reference to a class it did not describe"))?;
            let members: usize = class.members.iter().map(|name| name.len() + MEMBER).sum();
            self.spend_copy(class.name.len() + members)?;
            class
        } else if flags & 2 != 0 {
            return Err(AmfError::Amf3("an object of a class with its own notation"));
        } else {
            let mut class =
                Class { name: self.text()?, members: Vec::new(), dynamic: flags & 4 != 0 };
            for _ in 0..flags >> 3 {
                self.spend()?;
                class.members.push(self.text()?);
            }
            if self.classes.len() >= AMF3_REFERENCES {
                return Err(AmfError::Amf3("too many classes"));
            }
            self.classes.push(class.clone());
            class
        };
        let mut object = Object::default();
        for member in class.members {
            let value = self.value()?;
            object.0.push((member, value));
        }
        if class.dynamic {
            self.named_values(&mut object)?;
        }
        Ok(match class.name.is_empty() {
            true => Value::Object(object),
            false => Value::Typed(Box::new((class.name, object))),
        })
    }

    /// Names and values up to the empty name.
    fn named_values(&mut self, object: &mut Object) -> Result<(), AmfError> {
        loop {
            let name = self.text()?;
            if name.is_empty() {
                return Ok(());
            }
            let value = self.value()?;
            object.0.push((name, value));
        }
    }

    fn deeper(
        &mut self,
        read: fn(&mut Self) -> Result<Value, AmfError>,
    ) -> Result<Value, AmfError> {
        self.depth = self.depth.checked_sub(1).ok_or(AmfError::Depth)?;
        let value = read(self)?;
        self.depth += 1;
        Ok(value)
    }

    fn spend(&mut self) -> Result<(), AmfError> {
        self.budget = self.budget.checked_sub(1).ok_or(AmfError::Count)?;
        Ok(())
    }

    /// Copies of a long text cost more than the two bytes that ask for them.
    fn spend_copy(&mut self, len: usize) -> Result<(), AmfError> {
        self.budget = self.budget.checked_sub(len / 32).ok_or(AmfError::Count)?;
        Ok(())
    }

    fn text(&mut self) -> Result<String, AmfError> {
        let bits = self.u29()?;
        if bits & 1 == 0 {
            let known = usize::try_from(bits >> 1).ok().and_then(|at| self.strings.get(at));
            let text =
                known.cloned().ok_or(AmfError::Amf3("a reference to a string it did not send"))?;
            self.spend_copy(text.len())?;
            return Ok(text);
        }
        let text = String::from_utf8_lossy(self.bytes(bits >> 1, "an AMF3 string")?).into_owned();
        if !text.is_empty() {
            if self.strings.len() >= AMF3_REFERENCES {
                return Err(AmfError::Amf3("too many strings"));
            }
            self.strings.push(text.clone());
        }
        Ok(text)
    }

    /// The number beside a lowest bit of 1; with 0, it is a reference.
    fn length_or_reference(&mut self) -> Result<Option<u32>, AmfError> {
        let bits = self.u29()?;
        Ok((bits & 1 == 1).then_some(bits >> 1))
    }

    fn u29(&mut self) -> Result<u32, AmfError> {
        let mut bits = 0;
        for place in 0..4 {
            let [byte] = self.take("an AMF3 integer")?;
            if place == 3 {
                return Ok(bits << 8 | u32::from(byte));
            }
            bits = bits << 7 | u32::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(bits)
    }

    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], AmfError> {
        amf0::take(&mut self.rest, what)
    }

    fn bytes(&mut self, len: u32, what: &'static str) -> Result<&'a [u8], AmfError> {
        amf0::take_bytes(&mut self.rest, len, what)
    }
}

#[cfg(test)]
mod tests;
