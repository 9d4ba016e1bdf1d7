//! Playlists: names, queries, and what the linter reads.

use media::limits;
use media::playlist::lint::Linter;
use media::playlist::{Answer, File, Reload, State};

pub fn names(data: &[u8]) {
    let Ok(name) = std::str::from_utf8(data) else { return };
    let Some(file) = File::parse(name) else { return };
    let mut again = String::new();
    file.append(&mut again);
    assert_eq!(again, name, "a file has one name");
}

pub fn reload(data: &[u8]) {
    let Some((setup, query)) = data.split_at_checked(8) else { return };
    let Ok(query) = std::str::from_utf8(query) else { return };
    let Ok(reload) = Reload::parse(query) else { return };
    assert!(reload.msn.is_some() || reload.part.is_none());
    let state = State {
        next: u64::from(setup[0]),
        parts: u32::from(setup[1]),
        parts_before: u32::from(setup[2]),
        part_target: (setup[3] > 0).then_some(i64::from(setup[3]) * 10_000),
        ended: setup[4] & 1 == 1,
    };
    match (state.answer(&reload), reload.msn) {
        (Answer::Now, Some(msn)) => assert!(state.has(msn, reload.part)),
        (Answer::Now, None) => {}
        (Answer::Wait { msn, part }, asked) => {
            assert_eq!(Some(msn), asked);
            assert!(!state.has(msn, part) && msn <= state.next + 1);
            assert!(state.part_target.is_some() || part.is_none());
        }
        (Answer::Bad(_), asked) => assert!(asked.is_some_and(|msn| !state.has(msn, reload.part))),
    }
}

/// Playlists, one after the other, with a line `---` between two.
pub fn lint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (mut linter, mut again) = (Linter::new(), Linter::new());
    for list in text.split("---\n") {
        let faults = linter.fetched(list);
        assert!(faults.len() <= limits::LINT_FAULTS);
        assert_eq!(again.fetched(list), faults);
    }
}
