//! Commands in the wrong order, or with the wrong arguments.

use media::protocol::rtmp::amf0::{Object, Value};

use crate::script::Script;
use crate::support::Watched;

#[test]
fn commands_that_make_no_sense() {
    let watched = Watched::start("");
    let connect = |object: Value| Script::new().call(0, "connect", 1.0, object, vec![]);
    let long = "n".repeat(8 * 1024 + 1);
    let mut streams = Script::connected();
    for _ in 0..16 {
        // Wrong types do no harm where no argument is needed.
        streams = streams.command(0, "createStream", vec!["many".into(), Object::default().into()]);
    }
    let publish = |name| Script::connected().command(1, "publish", vec![name]);
    let before = "before connect";
    let cases = [
        ("publish first", Script::new().command(1, "publish", vec!["a".into()]), before),
        ("createStream first", Script::new().command(0, "createStream", vec![]), before),
        ("media first", Script::new().video(&[0x17, 0]), before),
        ("connect twice", connect_twice(), "connect twice"),
        ("connect to nothing", connect(Value::Null), "an object of properties"),
        ("connect to a number", connect(5.0.into()), "an object of properties"),
        ("an app too long", connect(Object::default().with("app", long.as_str()).into()), "(app)"),
        ("publish nothing", Script::connected().command(1, "publish", vec![]), "a stream's name"),
        ("publish a number", publish(1.0.into()), "a stream's name"),
        ("publish an object", publish(Object::default().into()), "a stream's name"),
        ("a name too long", publish(long.as_str().into()), "(stream name)"),
        ("play a flag", Script::connected().command(1, "play", vec![true.into()]), "stream's name"),
        ("17 message streams", streams, "message streams"),
    ];
    for (what, script, words) in cases {
        watched.refuses_protocol(what, &script.bytes, words);
        watched.is_well();
    }
    for name in ["../x", "a b", "\0", ""] {
        watched.refuses(name, &publish(name.into()).bytes, "bad_name", "name");
    }
    watched.refuses("taken", &publish("demo".into()).bytes, "name_taken", "demo");
    watched.is_well();
}

fn connect_twice() -> Script {
    Script::connected().call(0, "connect", 1.0, Object::default().into(), vec![])
}
