//! Viewers of HLS: playlists, and what they list.
//!
//! | file | what it knows |
//! | --- | --- |
//! | `master` | which lists a stream has |
//! | `course` | what a viewer of one list asks for next, and when it is late |
//! | `line` | a viewer's connection: requests, answers, bodies that the kernel throws away |
//!
//! A viewer has a connection for each of its lists, pictures and sound: a reload that the server holds
//! keeps a connection of HTTP/1.1 to itself.

mod course;
mod line;
mod master;

pub use line::{Viewer, begin};
pub use master::{First, read as first_list};

use serde_json::{Value, json};

use super::reasons::Reasons;

/// What viewers asked for within the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Playlists that were answered.
    pub lists: u64,
    /// Segments, parts and init segments that came whole.
    pub files: u64,
    /// Bytes of playlists.
    pub list_bytes: u64,
    /// Bytes of files.
    pub file_bytes: u64,
    /// Answers other than 200.
    pub failed: u64,
    /// What they were answers to, and what they said.
    pub reasons: Reasons,
    /// Files that were whole after their viewer had shown all it had.
    pub late: u64,
    /// Segments that were gone from the list before their viewer came to them.
    pub missed: u64,
}

impl Requests {
    /// Adds others'.
    pub fn add(&mut self, other: &Self) {
        self.lists += other.lists;
        self.files += other.files;
        self.list_bytes += other.list_bytes;
        self.file_bytes += other.file_bytes;
        self.failed += other.failed;
        self.reasons.add_all(&other.reasons);
        self.late += other.late;
        self.missed += other.missed;
    }

    /// Whether anything was asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// For reports.
    pub fn json(&self, seconds: f64) -> Value {
        let requests = (self.lists + self.files + self.failed) as f64 / seconds.max(1e-3);
        json!({
            "per_s": super::round3(requests),
            "lists": self.lists, "files": self.files, "failed": self.failed, "reasons": self.reasons.json(),
            "late": self.late, "missed": self.missed,
            "list_bytes": self.list_bytes, "file_bytes": self.file_bytes,
        })
    }
}
