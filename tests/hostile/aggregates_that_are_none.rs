//! Several messages in one: nothing but media may be in it, and all of it has to be there.

use media::protocol::rtmp::message::Message;

use crate::script::Script;
use crate::support::Watched;

#[test]
fn aggregates_that_are_none() {
    let watched = Watched::start("");
    let aggregate = |payload: &'static [u8]| {
        Script::publishing("many").say(1, 0, &Message::Aggregate(payload.into())).bytes
    };
    let inside = aggregate(&[22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11]);
    watched.refuses_protocol("an aggregate inside", &inside, "kind 22 into an aggregate");
    let inside = aggregate(&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    watched.refuses_protocol("a command inside", &inside, "kind 20 into an aggregate");
    let cut = aggregate(&[9, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1]);
    watched.refuses_protocol("cut", &cut, "ends inside a message");
    watched.is_well();
}
