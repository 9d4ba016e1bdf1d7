//! Pictures that are decoded before others and shown behind them.

use weir_tests::Server;

use crate::support::{pictures, player, probe, publish, sound, well_ended, words};

#[test]
fn b_frames_keep_their_order() {
    let server = Server::start("", &[]);
    let parts = [pictures("160x120"), words("-bf 2 -b_strategy 0"), sound()];
    let _publisher = publish(&server, "b", &parts);
    let decoded = player(&server.rtmp_url("b"), Some("2"));
    let entries = "-select_streams v -show_entries packet=pts,dts -of csv=p=0 -read_intervals %+2";
    for url in [server.rtmp_url("b"), server.http_url("b")] {
        let times: Vec<(i64, i64)> = probe(entries, &url)
            .iter()
            .map(|line| {
                let mut numbers = line.split(',').map(|number| number.parse().unwrap());
                (numbers.next().unwrap(), numbers.next().unwrap())
            })
            .collect();
        assert!(times.len() >= 50, "{times:?}");
        assert!(times.iter().all(|(pts, dts)| pts >= dts), "{times:?}");
        assert!(times.is_sorted_by(|(_, one), (_, next)| one < next), "{times:?}");
        // Some are shown behind the next one, and no two at once.
        assert!(!times.is_sorted_by_key(|(pts, _)| *pts), "{times:?}");
        let mut shown: Vec<i64> = times.iter().map(|(pts, _)| *pts).collect();
        shown.sort_unstable();
        assert!(shown.is_sorted_by(|one, next| one < next), "{shown:?}");
    }
    well_ended(decoded);
}
