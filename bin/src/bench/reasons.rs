//! Why players ended, counted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::units::grouped;

/// So many are told apart to people.
const SHOWN: usize = 8;
/// And so many in reports.
const REPORTED: usize = 64;

/// Reasons with how often each was given. What differs from one player to the next of the same trouble, the
/// bytes of garbage and parts of a second, makes no reason of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons(BTreeMap<String, usize>);

impl Reasons {
    /// One more gave this reason.
    pub fn add(&mut self, why: &str) {
        let words: Vec<_> = why.split(' ').map(common).collect();
        *self.0.entry(words.join(" ")).or_default() += 1;
    }

    /// Those of others too.
    pub fn add_all(&mut self, other: &Self) {
        for (why, count) in &other.0 {
            *self.0.entry(why.clone()).or_default() += count;
        }
    }

    /// The commonest, and how often it was given.
    pub fn commonest(&self) -> Option<(&str, usize)> {
        self.sorted().into_iter().next()
    }

    /// Whether one of these words is in any of them.
    pub fn any(&self, words: &[&str]) -> bool {
        self.0.keys().any(|why| words.iter().any(|word| why.contains(word)))
    }

    /// Lines for people, the commonest first.
    pub fn lines(&self) -> Vec<String> {
        let sorted = self.sorted();
        let (shown, others) = sorted.split_at(sorted.len().min(SHOWN));
        let mut lines: Vec<String> =
            shown.iter().map(|(why, count)| format!("{} x {why}", grouped(*count))).collect();
        if !others.is_empty() {
            let count = others.iter().map(|(_, count)| count).sum();
            lines.push(format!("{} for {} other reasons", grouped(count), others.len()));
        }
        lines
    }

    /// For reports.
    pub fn json(&self) -> Value {
        let mut counts = serde_json::Map::new();
        let mut others = 0;
        for (place, (why, count)) in self.sorted().into_iter().enumerate() {
            match place {
                ..REPORTED => drop(counts.insert(why.to_owned(), json!(count))),
                _ => others += count,
            }
        }
        if others > 0 {
            counts.insert("others".into(), json!(others));
        }
        Value::Object(counts)
    }

    fn sorted(&self) -> Vec<(&str, usize)> {
        let mut sorted: Vec<_> = self.0.iter().map(|(why, count)| (why.as_str(), *count)).collect();
        sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        sorted
    }
}

/// A word of a reason without what chance put into it.
fn common(word: &str) -> Cow<'_, str> {
    if word.starts_with("0x") {
        return "0x..".into();
    }
    match word.strip_suffix('s').and_then(|number| number.split_once('.')) {
        // As far as it was asked for.
        Some((whole, part)) if whole.parse::<u32>().is_ok() && part.len() > 3 => {
            format!("{whole}s").into()
        }
        _ => word.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_chance_put_in_is_no_other_reason() {
        let mut reasons = Reasons::default();
        for why in [
            "the peer sent 0x78 there",
            "the peer sent 0x3c there",
            "no answer within 2.002886761s",
            "no answer within 2.011s",
            "no answer within 2.5s",
            "the peer sent 0x05 there",
        ] {
            reasons.add(why);
        }
        assert_eq!(reasons.commonest(), Some(("the peer sent 0x.. there", 3)));
        let lines = reasons.lines();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines.iter().any(|line| line == "1 x no answer within 2s"), "{lines:?}");
    }

    #[test]
    fn the_commonest_come_first_and_the_rest_is_counted() {
        let mut reasons = Reasons::default();
        for nth in 0..200 {
            reasons.add(&format!("reason {nth}"));
        }
        let mut all = reasons.clone();
        all.add_all(&reasons);
        all.add("reason 150");
        assert_eq!(all.commonest(), Some(("reason 150", 3)));
        let lines = all.lines();
        assert_eq!(lines.first().map(String::as_str), Some("3 x reason 150"));
        assert_eq!(lines.last().map(String::as_str), Some("384 for 192 other reasons"));
        let json = all.json();
        assert_eq!((&json["reason 150"], &json["others"]), (&json!(3), &json!(272)));
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(65));
    }
}
