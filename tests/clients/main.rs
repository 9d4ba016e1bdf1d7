//! Encoders and players that people use, against the whole server: one behaviour per file.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod by_hand;
mod support;

mod b_frames_keep_their_order;
mod each_mix_of_tracks_is_played;
mod each_output_is_what_went_in;
mod gstreamer_plays_hls;
mod mp4_is_decoded;
mod mpeg_ts_is_what_ffmpeg_reads;
mod queries_are_passed_over;
mod rtmpdump_records;
mod the_publisher_is_killed_and_another_returns;
mod the_test_card_decodes;
