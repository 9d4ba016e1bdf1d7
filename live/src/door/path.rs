//! What a path asks for: one grammar for everything that is played over HTTP.
//!
//! ```text
//! /live/talk.flv  /live/talk.ts  /live/talk.mp4     the stream, as long as it lasts
//! /live/talk.m3u8  /live/talk.mpd                   lists of what there is
//! /live/talk/video.m3u8                             a rendition's list
//! /live/talk/video-RUN-N.m4s                        and its files
//! ```
//!
//! A list's file names are looked for behind two parts at least, so that a stream may be called
//! `live/video` and have its list at `/live/video.m3u8`.

use media::playlist::File;
use network::http::{HttpError, safe_segments};

use crate::format::Container;
use crate::name::{NameError, StreamName};

/// What a path asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    /// The stream from now on.
    Play(Container),
    /// The HLS master playlist.
    Master,
    /// The DASH manifest.
    Manifest,
    /// A rendition's playlist, segment, part or init segment.
    File(File),
}

/// What is wrong with a path.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// It is no path.
    #[error("{}", .0.reason)]
    Http(HttpError),
    /// It names no stream.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl From<HttpError> for PathError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

/// Parts of a path before the last, from which on that one is looked at as a list's file.
const FOLDERS: usize = 2;

/// The stream that a path names, and what of it; nothing where the extension is none of these.
///
/// # Errors
/// It has one of these extensions and names no stream.
pub fn parse(path: &str) -> Result<Option<(StreamName, Asked)>, PathError> {
    let (folder, last) = path.rsplit_once('/').unwrap_or(("", path));
    let folders = folder.split('/').filter(|part| !part.is_empty()).count();
    if folders >= FOLDERS
        && let Some(file) = File::parse(last)
    {
        return Ok(Some((name(folder)?, Asked::File(file))));
    }
    let asked = [
        (".flv", Asked::Play(Container::Flv)),
        (".ts", Asked::Play(Container::Ts)),
        (".mp4", Asked::Play(Container::Mp4)),
        (".m3u8", Asked::Master),
        (".mpd", Asked::Manifest),
    ];
    for (extension, asked) in asked {
        if let Some(path) = path.strip_suffix(extension) {
            if path.ends_with('/') {
                return Err(NameError::Part.into());
            }
            return Ok(Some((name(path)?, asked)));
        }
    }
    Ok(None)
}

fn name(path: &str) -> Result<StreamName, PathError> {
    let mut name = String::new();
    for segment in safe_segments(path) {
        if !name.is_empty() {
            name.push('/');
        }
        name.push_str(&segment?);
    }
    Ok(StreamName::parse(&name)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use media::playlist::Rendition;

    fn asked(path: &str) -> Option<(String, Asked)> {
        parse(path).unwrap().map(|(name, asked)| (name.as_str().to_owned(), asked))
    }

    #[test]
    fn paths_name_streams() {
        let play = |name: &str, container| Some((name.to_owned(), Asked::Play(container)));
        assert_eq!(asked("/live/talk.flv"), play("live/talk", Container::Flv));
        assert_eq!(asked("/talk.ts"), play("live/talk", Container::Ts));
        assert_eq!(asked("/a/b/c%2Dd.mp4"), play("a/b/c-d", Container::Mp4));
        assert_eq!(asked("/live/talk.mp3"), None);
        for bad in [
            "/live/..%2f.flv",
            "/live/%00.ts",
            "/.flv",
            "/live/.flv",
            "/live//x.flv",
            "/live/a%20b.m3u8",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_and_their_files() {
        assert_eq!(asked("/live/talk.m3u8"), Some(("live/talk".into(), Asked::Master)));
        assert_eq!(asked("/live/talk.mpd"), Some(("live/talk".into(), Asked::Manifest)));
        assert_eq!(asked("/live/video.m3u8"), Some(("live/video".into(), Asked::Master)));
        let list = Asked::File(File::Playlist(Rendition::Video));
        assert_eq!(asked("/live/talk/video.m3u8"), Some(("live/talk".into(), list)));
        let found = asked("/a/b/c/ts-k3-12.ts").unwrap();
        assert_eq!(found.0, "a/b/c");
        assert!(matches!(found.1, Asked::File(File::Segment { number: 12, .. })));
        for bad in ["/live/../video.m3u8", "/live/%2e%2e/video-1-1.m4s"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
