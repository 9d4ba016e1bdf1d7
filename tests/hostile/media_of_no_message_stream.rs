//! Media for a message stream that nobody created is passed over: real encoders send some behind the
//! end of a stream. It keeps nobody connected.

use std::io::Write;

use bytes::Bytes;
use media::protocol::rtmp::message::Message;

use crate::script::Script;
use crate::support::{Watched, connect, is_ended, is_read};

#[test]
fn media_of_no_message_stream() {
    let watched = Watched::start("[rtmp]\nhandshake_within = \"500ms\"\n");
    let media = Message::Video(Bytes::from_static(b"\x17\x01\0\0\0\xff\xff\xff\xff\x65"));
    let mut publisher = connect(watched.server.rtmp);
    let script = Script::publishing("mine").say(99, 0, &media).say(2, 0, &media);
    publisher.write_all(&script.bytes).unwrap();
    is_read(&mut publisher);
    // It would have been broken media anywhere else.
    assert_eq!(watched.server.figure("ended_bad_media"), 0);
    drop(publisher);
    watched.server.program.wait_for("frames=0");
    let mut visitor = connect(watched.server.rtmp);
    visitor.write_all(&Script::connected().say(99, 0, &media).bytes).unwrap();
    is_ended(&mut visitor);
    watched.server.program.wait_for("neither published nor played");
    watched.is_well();
}
