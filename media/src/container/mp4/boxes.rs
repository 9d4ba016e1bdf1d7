//! Boxes inside boxes, written and read.

use crate::codec::Fault;
use std::fmt;
use thiserror::Error;

/// Bytes of a box's size and name.
pub(super) const HEADER: usize = 8;

/// Four letters that say what a box is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BoxName(pub [u8; 4]);

impl fmt::Display for BoxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// What ends a demuxer: which box, where it begins, and what is wrong with it. The sender is at fault:
/// whoever streams, or the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("sender's MP4, in box {name} at byte {at}, {fault}")]
pub struct Mp4Error {
    /// The box.
    pub name: BoxName,
    /// Its first byte, counted from the beginning.
    pub at: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Appends boxes and their fields.
pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

impl Writer<'_> {
    /// A box around what `content` appends.
    pub(super) fn boxed(&mut self, name: &[u8; 4], content: impl FnOnce(&mut Writer<'_>)) {
        let at = self.0.len();
        self.u32(0);
        self.bytes(name);
        content(&mut Writer(self.0));
        let size = self.0.len() - at;
        self.put_u32(at, size as u32);
    }

    /// A box that begins with its version and flags.
    pub(super) fn full(
        &mut self,
        name: &[u8; 4],
        version: u8,
        flags: u32,
        content: impl FnOnce(&mut Writer<'_>),
    ) {
        self.boxed(name, |w| {
            w.u32(u32::from(version) << 24 | flags);
            content(w);
        });
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn zeros(&mut self, count: usize) {
        self.0.resize(self.0.len() + count, 0);
    }

    /// Overwrites four bytes that were appended before.
    pub(super) fn put_u32(&mut self, at: usize, value: u32) {
        if let Some(place) = self.0.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    }
}

/// What a box begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) name: [u8; 4],
    /// Bytes of the header itself.
    pub(super) len: usize,
    /// Bytes of the content; none if the box goes on to the end of what it is in.
    pub(super) content: Option<u64>,
}

impl Header {
    /// Reads a header at byte `at`, if all of it is there.
    pub(super) fn read(bytes: &[u8], at: u64) -> Result<Option<Self>, Mp4Error> {
        let Some([a, b, c, d, name @ ..]) = bytes.first_chunk::<HEADER>().copied() else {
            return Ok(None);
        };
        let (mut len, mut size) = (HEADER, u64::from(u32::from_be_bytes([a, b, c, d])));
        if size == 1 {
            let Some(large) = bytes.get(HEADER..).and_then(|rest| rest.first_chunk()) else {
                return Ok(None);
            };
            (len, size) = (HEADER + 8, u64::from_be_bytes(*large));
        } else if size == 0 {
            return Ok(Some(Self { name, len, content: None }));
        }
        let content = size.checked_sub(len as u64);
        let expected = "at least that of its header";
        let fault = Fault::Field { field: "size", found: size, expected };
        let content = content.ok_or(Mp4Error { name: BoxName(name), at, fault })?;
        Ok(Some(Self { name, len, content: Some(content) }))
    }
}

/// Reads one box from its first field to its last, never past it.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    pub(super) name: [u8; 4],
    /// Where the box begins.
    at: u64,
    /// Where `rest` begins.
    position: u64,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Of a box that begins at byte `at`, whose content is all there.
    pub(super) const fn new(name: [u8; 4], at: u64, header: usize, content: &'a [u8]) -> Self {
        Self { name, at, position: at.saturating_add(header as u64), rest: content }
    }

    pub(super) const fn error(&self, fault: Fault) -> Mp4Error {
        Mp4Error { name: BoxName(self.name), at: self.at, fault }
    }

    /// Where the box begins.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Mp4Error> {
        let split = self.rest.split_at_checked(count);
        let (bytes, rest) = split.ok_or_else(|| self.error(Fault::Short))?;
        self.position = self.position.saturating_add(count as u64);
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Mp4Error> {
        let bytes = self.bytes(N)?;
        bytes.first_chunk().copied().ok_or_else(|| self.error(Fault::Short))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Mp4Error> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Mp4Error> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Mp4Error> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A number of 64 bits if `wide`, else of 32.
    pub(super) fn number(&mut self, wide: bool) -> Result<u64, Mp4Error> {
        if wide { self.u64() } else { Ok(self.u32()?.into()) }
    }

    /// A number of 32 bits if its flag is there.
    pub(super) fn optional(&mut self, present: bool) -> Result<Option<u32>, Mp4Error> {
        if present { self.u32().map(Some) } else { Ok(None) }
    }

    /// The version and the flags of a full box.
    pub(super) fn version(&mut self) -> Result<(u8, u32), Mp4Error> {
        let both = self.u32()?;
        Ok(((both >> 24) as u8, both & 0x00ff_ffff))
    }

    /// The next box inside this one.
    pub(super) fn next_box(&mut self) -> Result<Option<Self>, Mp4Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let at = self.position;
        let header = Header::read(self.rest, at)?.ok_or_else(|| self.error(Fault::Short))?;
        self.bytes(header.len)?;
        let count = header.content.map_or(Some(self.rest.len()), |len| usize::try_from(len).ok());
        let inner = Self::new(header.name, at, header.len, &[]);
        let short = inner.error(Fault::Short);
        let content = count.and_then(|count| self.bytes(count).ok()).ok_or(short)?;
        Ok(Some(Self { rest: content, ..inner }))
    }

    /// The first box of this name inside this one.
    pub(super) fn find(&self, name: &[u8; 4]) -> Result<Option<Self>, Mp4Error> {
        let mut boxes = self.clone();
        while let Some(found) = boxes.next_box()? {
            if found.name == *name {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first box of this name inside this one, which has to be there.
    pub(super) fn need(&self, name: &[u8; 4], said: &'static str) -> Result<Self, Mp4Error> {
        self.find(name)?.ok_or_else(|| self.error(Fault::Missing(said)))
    }
}
