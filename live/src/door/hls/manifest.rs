//! Both renditions' lists as DASH has them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use media::Codec;
use media::codec::Info;
use media::playlist::dash::{Clock, Listed, Manifest, Period};
use media::playlist::{Rendition, Track};

use super::Hls;
use super::answer::{self, List, Ready};
use super::listing::{Ask, Listing};
use crate::format::Configs;
use crate::limits;
use crate::log::segments::Segments;
use crate::name::StreamName;

/// Where a client learns what time it is here.
pub const TIME: &str = "/time";

impl Hls {
    /// The answer to who asks for the manifest, if there is one to be sent.
    pub(super) fn manifest_now(&self, name: &StreamName, ask: &Ask) -> Option<Ready> {
        let text = self.manifest_text(name, &ask.word)?;
        Some(Ready::List {
            list: Rc::new(List::new(&text, ask.gzip)),
            kind: answer::DASH,
            fresh_for: 1,
            known: ask.known.clone(),
        })
    }

    /// The manifest, as soon as there is a segment of each track to be listed: players do not take up a
    /// track that comes later in a period. It is not held for more: shaka-player asks anew no sooner than
    /// as long behind an answer as that took.
    fn manifest_text(&self, name: &StreamName, prefix: &str) -> Option<String> {
        let listings = [Rendition::Video, Rendition::Audio].map(|of| self.find(name, of));
        let listings = listings.map(|listing| listing.filter(|listing| self.is_current(listing)));
        let segments: [Option<Rc<Segments>>; 2] = [0, 1].map(|side| {
            let listing = listings.get(side)?.as_ref()?;
            Some(listing.segments(self)).filter(|segments| !segments.complete.is_empty())
        });
        let [video, audio] = &segments;
        let known = listings.iter().zip(&segments).find(|(_, segments)| segments.is_some())?;
        let (listing, segments) = (known.0.as_ref()?, known.1.as_ref()?);
        let media = listing.media(self, segments, &[]);
        let generations = generations(listing, [video, audio]);
        let newest = generations.values().next_back()?;
        let tracks = [newest.video_in_mp4.is_some(), newest.audio_in_mp4.is_some()];
        let sides = listings.iter().zip([video, audio]).zip(tracks);
        let mut lacking = sides.filter(|((_, segments), is)| *is && segments.is_none());
        // A track that has not come by then is left out.
        if lacking.any(|((of, _), _)| of.as_ref().unwrap_or(listing).is_young()) {
            return None;
        }
        listings.iter().flatten().for_each(|listing| listing.view().touch());
        let rate = |of: &Option<Rc<Segments>>| of.as_ref().map(|of| of.bitrate);
        let periods: Vec<Period<'_>> = generations
            .iter()
            .filter_map(|(generation, configs)| {
                let (first, start) = configs.first?;
                Some(Period {
                    id: u64::from(*generation),
                    first: u64::from(first),
                    start: start.0,
                    wall: configs.wall.saturating_add(start.0),
                    video: track(configs.infos.video.as_ref(), rate(video)),
                    audio: track(configs.infos.audio.as_ref(), rate(audio)),
                })
            })
            .collect();
        let video_in_mp4 = newest.video_in_mp4.as_ref().map(|track| track.timescale());
        let audio_in_mp4 = newest.audio_in_mp4.as_ref().map(|track| track.timescale());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Manifest {
            run: listing.view().run(),
            prefix,
            periods: &periods,
            video: video.as_deref().zip(video_in_mp4).map(listed),
            audio: audio.as_deref().zip(audio_in_mp4).map(listed),
            began: i64::try_from(listing.view().run_millis()).unwrap_or(0).saturating_mul(1000),
            published: micros(now),
            window: micros(self.hub.settings.hls.window),
            target_duration: media.target_duration,
            part_target: media.part_target,
            latency: media.part_target.map_or_else(
                || i64::from(media.target_duration).saturating_mul(3_000_000),
                |part| part.saturating_mul(limits::PARTS_BEHIND),
            ),
            clock: Some(Clock::Iso(TIME)),
            independent: segments.independent,
            ended: listing.view().has_ended(),
        }
        .text()
    }
}

/// The configurations of all generations of which segments are listed.
fn generations(
    listing: &Listing,
    sides: [&Option<Rc<Segments>>; 2],
) -> BTreeMap<u32, Arc<Configs>> {
    let segments = sides.into_iter().flatten();
    let all = segments.flat_map(|segments| segments.complete.iter().chain(&segments.open));
    let mut generations = BTreeMap::new();
    for segment in all {
        if let Some(configs) = listing.view().configs_of_generation(segment.epoch) {
            generations.entry(segment.epoch).or_insert(configs);
        }
    }
    generations
}

fn listed((segments, timescale): (&Segments, u32)) -> Listed<'_> {
    Listed { segments: &segments.complete, open: segments.open.as_ref(), timescale }
}

fn track(is: Option<&(Codec, Info)>, rate: Option<(u64, u64)>) -> Option<Track<'_>> {
    let ((_, info), (peak, average)) = is.zip(rate)?;
    Some(Track { info, peak, average })
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
