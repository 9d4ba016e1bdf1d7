//! What the ends of a connection can do beyond old RTMP: the exchange of Enhanced RTMP in `connect`.

use super::amf0::{Object, Value};
use crate::limits::RTMP_FOURCCS;

/// A codec's four letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FourCc(
    /// The letters as they stand on the wire.
    pub [u8; 4],
);

impl FourCc {
    /// Every codec there is.
    pub const ANY: Self = Self(*b"*\0\0\0");

    fn parse(text: &str) -> Option<Self> {
        match text.as_bytes() {
            b"*" => Some(Self::ANY),
            bytes => bytes.try_into().ok().map(Self),
        }
    }

    /// The letters as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let letters = if *self == Self::ANY { b"*" } else { self.0.as_slice() };
        std::str::from_utf8(letters).unwrap_or_default()
    }
}

/// What an end can do with a codec, as bits.
pub mod ability {
    /// It can show it.
    pub const DECODE: u8 = 1;
    /// It can make it.
    pub const ENCODE: u8 = 2;
    /// It can hand it on.
    pub const FORWARD: u8 = 4;
}

/// What an end can do apart from codecs, as bits of `capsEx`.
pub mod extra {
    /// It understands a request to reconnect.
    pub const RECONNECT: u8 = 1;
    /// It understands several tracks.
    pub const MULTITRACK: u8 = 2;
    /// It understands ModEx packets.
    pub const MOD_EX: u8 = 4;
    /// It understands nanosecond offsets.
    pub const NANOSECONDS: u8 = 8;
}

const VIDEO: [FourCc; 5] =
    [FourCc(*b"avc1"), FourCc(*b"hvc1"), FourCc(*b"av01"), FourCc(*b"vp09"), FourCc(*b"vp08")];
const AUDIO: [FourCc; 6] = [
    FourCc(*b"mp4a"),
    FourCc(*b"Opus"),
    FourCc(*b"ac-3"),
    FourCc(*b"ec-3"),
    FourCc(*b"fLaC"),
    FourCc(*b".mp3"),
];
const EXTRA: u8 = extra::RECONNECT | extra::MULTITRACK | extra::MOD_EX | extra::NANOSECONDS;

/// What one end says it can do. A field that was not sent is `None`, and is not answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Capabilities {
    /// `fourCcList`: codecs, of the first version of Enhanced RTMP.
    pub codecs: Option<Vec<FourCc>>,
    /// `videoFourCcInfoMap`: codecs of pictures and bits of [`ability`].
    pub video: Option<Vec<(FourCc, u8)>>,
    /// `audioFourCcInfoMap`: codecs of sound and bits of [`ability`].
    pub audio: Option<Vec<(FourCc, u8)>>,
    /// `capsEx`: bits of [`extra`].
    pub extra: Option<u8>,
}

impl Capabilities {
    /// Everything this crate can carry.
    #[must_use]
    pub fn ours() -> Self {
        let all = |codecs: &[FourCc]| codecs.iter().map(|c| (*c, ability::FORWARD)).collect();
        Self {
            codecs: Some(VIDEO.iter().chain(&AUDIO).copied().collect()),
            video: Some(all(&VIDEO)),
            audio: Some(all(&AUDIO)),
            extra: Some(EXTRA),
        }
    }

    /// What the properties of a `connect`, or of its answer, say.
    #[must_use]
    pub fn parse(object: &Object) -> Self {
        let codecs = object.get("fourCcList").and_then(|list| {
            let Value::StrictArray(items) = list else { return None };
            let codecs = items.iter().filter_map(|item| FourCc::parse(item.as_text()?));
            Some(codecs.take(RTMP_FOURCCS).collect())
        });
        let map = |name| {
            let entries = object.get(name)?.as_object()?.0.iter();
            let entries = entries
                .filter_map(|(name, value)| Some((FourCc::parse(name)?, bits(value.as_number()?))));
            Some(entries.take(RTMP_FOURCCS).collect())
        };
        Self {
            codecs,
            video: map("videoFourCcInfoMap"),
            audio: map("audioFourCcInfoMap"),
            extra: object.number("capsEx").map(bits),
        }
    }

    /// Adds the properties that say this.
    #[must_use]
    pub fn emit(&self, mut object: Object) -> Object {
        if let Some(codecs) = &self.codecs {
            let names = codecs.iter().map(|codec| codec.as_str().into()).collect();
            object = object.with("fourCcList", Value::StrictArray(names));
        }
        for (name, map) in
            [("videoFourCcInfoMap", &self.video), ("audioFourCcInfoMap", &self.audio)]
        {
            if let Some(map) = map {
                let entries = map
                    .iter()
                    .fold(Object::default(), |o, (c, bits)| o.with(c.as_str(), f64::from(*bits)));
                object = object.with(name, entries);
            }
        }
        match self.extra {
            Some(bits) => object.with("capsEx", f64::from(bits)),
            None => object,
        }
    }

    /// What both ends can do, in the fields the other end used.
    #[must_use]
    pub fn answer(&self, offered: &Self) -> Self {
        let codecs = offered.codecs.as_ref().zip(self.codecs.as_ref()).map(|(theirs, ours)| {
            let both = |c: &&FourCc| theirs.contains(*c) || theirs.contains(&FourCc::ANY);
            ours.iter().filter(both).copied().collect()
        });
        let map = |theirs: &Option<Vec<(FourCc, u8)>>, ours: &Option<Vec<(FourCc, u8)>>| {
            theirs.as_ref().zip(ours.as_ref()).map(|(theirs, ours)| {
                let both = |(ours, _): &&(FourCc, u8)| {
                    theirs.iter().any(|(c, _)| c == ours || *c == FourCc::ANY)
                };
                ours.iter().filter(both).copied().collect()
            })
        };
        Self {
            codecs,
            video: map(&offered.video, &self.video),
            audio: map(&offered.audio, &self.audio),
            extra: offered.extra.zip(self.extra).map(|(theirs, ours)| theirs & ours),
        }
    }

    /// Whether any field was sent: whether this end speaks Enhanced RTMP.
    #[must_use]
    pub fn is_enhanced(&self) -> bool {
        *self != Self::default()
    }

    /// Whether this end can do all of these bits of [`extra`].
    #[must_use]
    pub fn has(&self, bits: u8) -> bool {
        self.extra.is_some_and(|extra| extra & bits == bits)
    }

    /// Whether this end can take a codec by its four letters for any of these bits of [`ability`].
    #[must_use]
    pub fn takes(&self, codec: FourCc, abilities: u8) -> bool {
        let listed = |known: &FourCc| *known == codec || *known == FourCc::ANY;
        let mapped = [&self.video, &self.audio].into_iter().flatten().flatten();
        self.codecs.iter().flatten().any(listed)
            || mapped.clone().any(|(known, bits)| listed(known) && bits & abilities != 0)
    }
}

/// Bits sent as a number; whatever is not one has none.
fn bits(number: f64) -> u8 {
    if (0.0..=f64::from(u32::MAX)).contains(&number) { (number as u32 & 0xff) as u8 } else { 0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn offered() -> Object {
        Object::default()
            .with("app", "live")
            .with(
                "fourCcList",
                Value::StrictArray(vec![
                    "av01".into(),
                    "xxxx".into(),
                    "toolong".into(),
                    1.0.into(),
                ]),
            )
            .with("videoFourCcInfoMap", Object::default().with("*", 4.0))
            .with("audioFourCcInfoMap", Object::default().with("Opus", 7.0).with("mp4a", -1.0))
            .with("capsEx", 6.0)
    }

    #[test]
    fn what_both_can_do_is_answered() {
        let theirs = Capabilities::parse(&offered());
        let answer = Capabilities::ours().answer(&theirs);
        assert_eq!(answer.codecs.as_deref(), Some([FourCc(*b"av01")].as_slice()));
        assert_eq!(answer.video.as_ref().unwrap().len(), VIDEO.len());
        assert_eq!(
            answer.audio.as_deref(),
            Some([(FourCc(*b"mp4a"), 4), (FourCc(*b"Opus"), 4)].as_slice())
        );
        assert_eq!(answer.extra, Some(6));
        assert!(answer.has(extra::MULTITRACK) && !answer.has(extra::RECONNECT));
    }

    #[test]
    fn capabilities_survive_the_wire() {
        for one in [Capabilities::ours(), Capabilities::default(), Capabilities::parse(&offered())]
        {
            assert_eq!(Capabilities::parse(&one.emit(Object::default())), one);
        }
    }

    #[test]
    fn old_clients_are_answered_nothing() {
        let old = Capabilities::parse(&Object::default().with("app", "live"));
        assert!(!old.is_enhanced());
        assert_eq!(Capabilities::ours().answer(&old), Capabilities::default());
        assert!(!old.takes(FourCc(*b"hvc1"), ability::DECODE));
    }

    #[test]
    fn a_codec_is_taken_by_list_or_by_map() {
        let theirs = Capabilities::parse(&offered());
        assert!(theirs.takes(FourCc(*b"av01"), ability::DECODE));
        assert!(theirs.takes(FourCc(*b"hvc1"), ability::FORWARD));
        assert!(!theirs.takes(FourCc(*b"mp4a"), ability::DECODE));
    }
}
