//! A file that lives in memory, for bytes that many connections are sent.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::sys;
use crate::tcp::FileRange;

/// An anonymous file in memory (`memfd`). What is written to it can be sent from any loop without a
/// copy ([`crate::Connection::gather_file`]): the kernel refers to its pages.
///
/// ```text
///   released (no memory)      written, read, sent          not written yet
/// |- - - - - - - - - - - - -|############################|- - - - - - - -
/// 0                         release_before(x)            write_at(end)
/// ```
///
/// Pages under way to a peer are referred to, not copied, so written bytes must never be written again:
/// append at the end, and release at the front. Released pages that are still under way stay with the
/// kernel until they have been sent; what is released reads as zeros from then on.
#[derive(Clone, Debug)]
pub struct MemoryFile {
    fd: Arc<OwnedFd>,
}

impl MemoryFile {
    /// The unit in which memory is released.
    pub const PAGE: u64 = 4096;

    /// Makes an empty one. The name is for whoever looks into `/proc`.
    ///
    /// # Errors
    /// The process has no descriptor left, or the name is longer than 249 bytes.
    pub fn new(name: &CStr) -> io::Result<Self> {
        Ok(Self { fd: Arc::new(sys::memory_file(name)?) })
    }

    /// Writes all of these bytes at this place.
    ///
    /// # Errors
    /// There is no memory left.
    pub fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match sys::write_at(self.fd.as_fd(), bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    offset = offset.saturating_add(written as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills the buffer from this place.
    ///
    /// # Errors
    /// The file ends before the buffer is full.
    pub fn read_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match sys::read_at(self.fd.as_fd(), buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = buffer.get_mut(read..).unwrap_or_default();
                    offset = offset.saturating_add(read as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives the memory of whole pages in this range back.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn release(&self, from: u64, to: u64) -> io::Result<()> {
        let from = from.next_multiple_of(Self::PAGE);
        let to = to - to % Self::PAGE;
        if from >= to {
            return Ok(());
        }
        sys::punch_hole(self.fd.as_fd(), from, to - from)
    }

    /// The descriptor, to be sent from.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// A range of it, to be queued.
    #[must_use]
    pub fn range(&self, offset: u64, len: usize) -> FileRange {
        FileRange { file: Arc::clone(&self.fd), offset, len }
    }

    /// Bytes of memory it takes now.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn allocated(&self) -> io::Result<u64> {
        sys::allocated(self.fd.as_fd())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn released_pages_cost_nothing_and_the_rest_stays() {
        let file = MemoryFile::new(c"test").unwrap();
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        file.write_at(&bytes, 0).unwrap();
        let whole = file.allocated().unwrap();
        assert!(whole >= 100_000);
        file.release(0, 50_001).unwrap();
        let left = file.allocated().unwrap();
        assert!(left <= whole - 49_152, "{left} of {whole}");
        let mut read = vec![0; 49_999];
        file.read_at(&mut read, 50_001).unwrap();
        assert_eq!(read, bytes[50_001..]);
        assert!(file.read_at(&mut read, 50_002).is_err(), "it ends before");
    }

    #[test]
    fn it_goes_on_far_behind_what_was_released() {
        let file = MemoryFile::new(c"test").unwrap();
        let far = 1 << 50;
        file.write_at(b"far", far).unwrap();
        let mut read = [0; 3];
        file.read_at(&mut read, far).unwrap();
        assert_eq!(&read, b"far");
        assert!(file.allocated().unwrap() <= 2 * MemoryFile::PAGE);
    }
}
