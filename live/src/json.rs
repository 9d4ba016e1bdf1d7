//! JSON, written as it comes: no tree is built, so that long lists cost their bytes and nothing else.

use std::fmt::{self, Write as _};

/// Writes JSON to the end of a buffer. With `pretty` each member stands on a line of its own.
pub struct Json<'o> {
    out: &'o mut Vec<u8>,
    is_pretty: bool,
    depth: usize,
    /// Nothing stands in the present object or array yet.
    is_first: bool,
}

/// What `Display` writes goes into a string of JSON.
struct Escaping<'o>(&'o mut Vec<u8>);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut from = 0;
        for (at, byte) in text.bytes().enumerate() {
            let short = match byte {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\r' => "\\r",
                b'\t' => "\\t",
                // Of no meaning in JSON; in a page they would end a script.
                0..0x20 | b'<' | b'>' | b'&' | 0x7f => "",
                _ => continue,
            };
            self.0.extend_from_slice(text.as_bytes().get(from..at).unwrap_or_default());
            match short {
                "" => self.0.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                short => self.0.extend_from_slice(short.as_bytes()),
            }
            from = at + 1;
        }
        self.0.extend_from_slice(text.as_bytes().get(from..).unwrap_or_default());
        Ok(())
    }
}

impl<'o> Json<'o> {
    /// Begins a value.
    pub fn new(out: &'o mut Vec<u8>, is_pretty: bool) -> Self {
        Self::at_depth(out, is_pretty, 0)
    }

    /// Begins a value that is going to stand so many levels deep.
    pub fn at_depth(out: &'o mut Vec<u8>, is_pretty: bool, depth: usize) -> Self {
        Self { out, is_pretty, depth, is_first: true }
    }

    /// An object as the value.
    pub fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.nest(b'{', b'}', members);
    }

    /// An object as a member.
    pub fn member_object(&mut self, key: &str, members: impl FnOnce(&mut Self)) {
        self.key(key);
        self.object(members);
    }

    /// An array as a member.
    pub fn member_array(&mut self, key: &str, items: impl FnOnce(&mut Self)) {
        self.key(key);
        self.nest(b'[', b']', items);
    }

    /// An object as an item of an array.
    pub fn item_object(&mut self, members: impl FnOnce(&mut Self)) {
        self.separate();
        self.object(members);
    }

    /// A text as an item of an array.
    pub fn item_text(&mut self, value: impl fmt::Display) {
        self.separate();
        self.quote(value);
    }

    /// A text as a member.
    pub fn text(&mut self, key: &str, value: impl fmt::Display) {
        self.key(key);
        self.quote(value);
    }

    fn quote(&mut self, value: impl fmt::Display) {
        self.out.push(b'"');
        // Writing to memory does not fail.
        let _ = write!(Escaping(self.out), "{value}");
        self.out.push(b'"');
    }

    /// A text or null.
    pub fn maybe_text(&mut self, key: &str, value: Option<impl fmt::Display>) {
        match value {
            Some(value) => self.text(key, value),
            None => self.null(key),
        }
    }

    /// A whole number.
    pub fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        network::http::push_decimal(self.out, value);
    }

    /// A whole number or null.
    pub fn maybe_number(&mut self, key: &str, value: Option<u64>) {
        match value {
            Some(value) => self.number(key, value),
            None => self.null(key),
        }
    }

    /// A number with at most three places behind the point.
    pub fn float(&mut self, key: &str, value: f64) {
        self.key(key);
        let value = if value.is_finite() { (value * 1000.0).round() / 1000.0 } else { 0.0 };
        // `Display` of floats is a number of JSON: no exponent, no sign but the minus.
        self.out.extend_from_slice(format!("{value}").as_bytes());
    }

    /// True or false.
    pub fn flag(&mut self, key: &str, value: bool) {
        self.key(key);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Null.
    pub fn null(&mut self, key: &str) {
        self.key(key);
        self.out.extend_from_slice(b"null");
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, key: &str, json: &[u8]) {
        self.key(key);
        self.out.extend_from_slice(json);
    }

    fn key(&mut self, key: &str) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(if self.is_pretty { b"\": " } else { b"\":" });
    }

    fn separate(&mut self) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.push(b',');
        }
        self.line();
    }

    fn line(&mut self) {
        if self.is_pretty {
            indent(self.out, self.depth);
        }
    }

    fn nest(&mut self, open: u8, close: u8, inside: impl FnOnce(&mut Self)) {
        self.out.push(open);
        self.depth += 1;
        self.is_first = true;
        inside(self);
        self.depth -= 1;
        if !self.is_first {
            self.line();
        }
        self.out.push(close);
        self.is_first = false;
    }
}

/// A new line, so many levels deep.
pub fn indent(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', 2 * depth));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn written(is_pretty: bool) -> String {
        let mut out = Vec::new();
        Json::new(&mut out, is_pretty).object(|json| {
            json.number("code", 0);
            json.text("odd", "a\"\\\n\u{1}<ü");
            json.member_array("list", |json| {
                json.item_object(|json| json.flag("yes", true));
                json.item_object(|_| {});
            });
            json.member_array("none", |_| {});
            json.float("share", 0.123_456);
            json.float("none", f64::NAN);
            json.null("nothing");
        });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn on_one_line() {
        let expected = r#"{"code":0,"odd":"a\"\\\n\u0001\u003cü","list":[{"yes":true},{}],"none":[],"share":0.123,"none":0,"nothing":null}"#;
        assert_eq!(written(false), expected);
    }

    #[test]
    fn pretty_is_the_same_with_white_space() {
        let pretty = written(true);
        assert!(pretty.starts_with("{\n  \"code\": 0,\n  \"odd\""), "{pretty}");
        assert!(
            pretty.contains("\n  \"list\": [\n    {\n      \"yes\": true\n    },\n    {}\n  ],")
        );
        let squeezed: String = pretty.lines().map(|line| line.trim_start()).collect();
        assert_eq!(squeezed.replace("\": ", "\":"), written(false));
    }
}
