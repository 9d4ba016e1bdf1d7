//! A master playlist: which lists a viewer follows.

use media::playlist::lint::read::attribute;

/// What was fetched first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum First {
    /// The lists of the first variant, that of its pictures first.
    Lists(Vec<String>),
    /// It is a list of media itself.
    Media,
}

/// Looks at the playlist of a stream. `None` if it is none, or lists nothing.
pub fn read(text: &str) -> Option<First> {
    if !text.starts_with("#EXTM3U") {
        return None;
    }
    if text.lines().any(|line| line.starts_with("#EXT-X-TARGETDURATION")) {
        return Some(First::Media);
    }
    let mut lines = text.lines();
    let variant = lines.find_map(|line| line.strip_prefix("#EXT-X-STREAM-INF:"))?;
    let uri = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let mut lists = vec![uri.to_owned()];
    let group = attribute(variant, "AUDIO");
    let sound = text.lines().filter_map(|line| line.strip_prefix("#EXT-X-MEDIA:")).find(|media| {
        attribute(media, "TYPE") == Some("AUDIO")
            && group.is_some()
            && attribute(media, "GROUP-ID") == group
    });
    // Sound without a list of its own is in that of the pictures.
    let sound = sound.and_then(|media| attribute(media, "URI")).filter(|sound| *sound != uri);
    lists.extend(sound.map(str::to_owned));
    Some(First::Lists(lists))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variant_and_its_sound_are_followed() {
        let text = "#EXTM3U\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"x\",URI=\"other.m3u8\"\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",URI=\"s/audio.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1,mp4a\",AUDIO=\"a\"\n\ns/video.m3u8\n\
            #EXT-X-STREAM-INF:BANDWIDTH=2\nlow.m3u8\n";
        let lists = vec!["s/video.m3u8".to_owned(), "s/audio.m3u8".to_owned()];
        assert_eq!(read(text), Some(First::Lists(lists)));
        let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ns/ts.m3u8\n";
        assert_eq!(read(text), Some(First::Lists(vec!["s/ts.m3u8".into()])));
        assert_eq!(read("#EXTM3U\n#EXT-X-TARGETDURATION:2\n"), Some(First::Media));
        assert_eq!(read("#EXTM3U\n"), None);
        assert_eq!(read("<html>"), None);
    }
}
