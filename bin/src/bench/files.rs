//! Where a report goes: the terminal, and files that are opened before the test, so that what a test of
//! an hour came to is not lost for want of a folder.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The files of `--json` and `--html`. Either can be stdout (`-`), which is then for nothing else.
#[derive(Default)]
pub struct Files {
    json: Option<Place>,
    html: Option<Place>,
}

enum Place {
    Stdout,
    File(PathBuf, File),
}

impl Files {
    /// Opens what was asked for. What a file has stays in it until the report is there.
    pub fn open(json: Option<&Path>, html: Option<&Path>) -> Result<Self, Box<dyn Error>> {
        let files = Self {
            json: json.map(Place::open).transpose()?,
            html: html.map(Place::open).transpose()?,
        };
        match (&files.json, &files.html) {
            (Some(Place::Stdout), Some(Place::Stdout)) => {
                Err("--json and --html cannot both be stdout".into())
            }
            _ => Ok(files),
        }
    }

    /// Writes all that was asked for, and to stdout what people read. Whatever fails, the others are
    /// written.
    pub fn write(
        &mut self,
        text: &str,
        report: &Value,
        page: impl FnOnce() -> String,
    ) -> Result<(), Box<dyn Error>> {
        let json = serde_json::to_string_pretty(report)? + "\n";
        let is_stdout = |place: &Option<Place>| matches!(place, Some(Place::Stdout));
        let taken = is_stdout(&self.json) || is_stdout(&self.html);
        let written = [
            if taken { Ok(()) } else { crate::print(text) },
            self.json.as_mut().map_or(Ok(()), |place| place.write(&json)),
            self.html.as_mut().map_or(Ok(()), |place| place.write(&page())),
        ];
        written.into_iter().collect()
    }
}

impl Place {
    fn open(path: &Path) -> Result<Self, String> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdout);
        }
        let file = File::options().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(Self::File(path.to_owned(), file))
    }

    fn write(&mut self, text: &str) -> Result<(), Box<dyn Error>> {
        let Self::File(path, file) = self else { return crate::print(text) };
        // A pipe has no length.
        let _ = file.set_len(0);
        file.write_all(text.as_bytes())
            .map_err(|error| format!("cannot write {}: {error}", path.display()).into())
    }
}
