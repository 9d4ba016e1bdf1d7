//! A TOML file asked key by key. Whoever asks for a key makes it known: what is left at the end is
//! what nobody knows, so that there is no second list of keys to be kept in step.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use network::Endpoint;
use toml::de::{DeTable, DeValue};

use super::value;

/// Longer texts are cut where a message repeats them.
const SHOWN: usize = 40;
/// The longest value that is text; a path or a host name is shorter.
const TEXT: usize = 4096;

/// Something wrong at a byte of the file.
pub struct Fault {
    /// Where.
    pub at: usize,
    /// The dotted key, what was found and what was expected.
    pub what: String,
}

struct Entry<'a> {
    at: usize,
    value: DeValue<'a>,
}

type Table<'a> = BTreeMap<String, Entry<'a>>;

/// A parsed file and what is wrong with it so far.
pub struct Reader<'a> {
    sections: BTreeMap<String, Table<'a>>,
    /// Entries at the top that are no sections.
    strays: Table<'a>,
    /// The sections asked for, and their keys.
    known: Vec<(&'static str, Vec<&'static str>)>,
    /// Where each dotted key stands that was asked for and found.
    places: BTreeMap<String, usize>,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    /// Parses a file. One that is no TOML is not read any further: what a misplaced quote makes of
    /// the lines after it would be reported as faults of these lines.
    pub fn new(text: &'a str) -> Result<Self, Fault> {
        let root = DeTable::parse(text).map_err(|error| no_toml(text, &error))?;
        let mut sections = BTreeMap::new();
        let mut strays = Table::new();
        for (name, entry) in entries(root.into_inner()) {
            match entry.value {
                DeValue::Table(table) => {
                    // A section that is named only as a prefix stands where its first key stands.
                    sections.insert(name, (entry.at, entries(table).collect::<Table<'_>>()));
                }
                value => {
                    strays.insert(name, Entry { at: entry.at, value });
                }
            }
        }
        let places = sections.iter().map(|(name, (at, _))| (name.clone(), *at)).collect();
        let sections = sections.into_iter().map(|(name, (_, table))| (name, table)).collect();
        Ok(Self { sections, strays, known: Vec::new(), places, faults: Vec::new() })
    }

    /// Begins a section; the keys that are asked for next are its own.
    pub fn section(&mut self, name: &'static str) -> Section<'_, 'a> {
        self.known.push((name, Vec::new()));
        Section { name, reader: self }
    }

    /// Where a dotted key stands, or nothing if the file does not have it.
    pub fn place(&self, key: &str) -> Option<usize> {
        self.places.get(key).copied()
    }

    /// Ends the reading: what nobody asked for is a fault as well.
    pub fn faults(&mut self) -> Vec<Fault> {
        let mut faults = std::mem::take(&mut self.faults);
        let names: Vec<&str> = self.known.iter().map(|(name, _)| *name).collect();
        for (name, entry) in std::mem::take(&mut self.strays) {
            let at = entry.at;
            let found = found(&entry.value);
            let what = if let Some(section) = names.iter().find(|known| **known == name) {
                format!("{section}: found {found}, expected a section: [{section}]")
            } else if let Some(sections) = self.having(&name) {
                format!("{name}: found outside of a section, expected below {sections}")
            } else {
                format!("{}: unknown key, {}", shown_key(&name), self.sections_known(&name))
            };
            faults.push(Fault { at, what });
        }
        for (name, table) in std::mem::take(&mut self.sections) {
            let Some((_, keys)) = self.known.iter().find(|(known, _)| *known == name) else {
                let at = self.place(&name).unwrap_or(0);
                let what = format!(
                    "{}: unknown section, {}",
                    shown_key(&name),
                    self.sections_known(&name)
                );
                faults.push(Fault { at, what });
                continue;
            };
            for (key, Entry { at, .. }) in table {
                let mut what = format!("{name}.{}: unknown key", shown_key(&key));
                if let Some(near) = nearest(&key, keys) {
                    what += &format!(", did you mean {near}?");
                } else if let Some(sections) = self.having(&key) {
                    what += &format!(" here, it is one of {sections};");
                } else {
                    what += ",";
                }
                what += &format!(" expected a key of [{name}]: {}", keys.join(", "));
                faults.push(Fault { at, what });
            }
        }
        faults.sort_by_key(|fault| fault.at);
        faults
    }

    /// The sections that have this key.
    fn having(&self, key: &str) -> Option<String> {
        let known = self.known.iter().filter(|(_, keys)| keys.contains(&key));
        let names: Vec<String> = known.map(|(name, _)| format!("[{name}]")).collect();
        (!names.is_empty()).then(|| names.join(" or "))
    }

    fn sections_known(&self, given: &str) -> String {
        let names: Vec<&str> = self.known.iter().map(|(name, _)| *name).collect();
        let near = nearest(given, &names).map(|near| format!("did you mean [{near}]? "));
        format!("{}expected one of the sections {}", near.unwrap_or_default(), names.join(", "))
    }
}

/// One section of the file. A key that is absent or wrong reads as its default; if it is wrong, the
/// reader has a fault more.
pub struct Section<'r, 'a> {
    name: &'static str,
    reader: &'r mut Reader<'a>,
}

impl Section<'_, '_> {
    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.read(key, default, |value| match value {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err("true or false".to_owned()),
        })
    }

    /// A whole number.
    pub fn count(
        &mut self,
        key: &'static str,
        range: RangeInclusive<usize>,
        default: usize,
    ) -> usize {
        self.read(key, default, |value| {
            let number = match value {
                DeValue::Integer(digits) => {
                    usize::from_str_radix(digits.as_str(), digits.radix()).ok()
                }
                _ => None,
            };
            number
                .filter(|number| range.contains(number))
                .ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// A duration with its unit.
    pub fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let (start, end) = range.into_inner();
        self.with_unit(
            key,
            (start, end),
            default,
            value::DURATION,
            value::duration,
            value::shown_duration,
        )
    }

    /// A size with its unit.
    pub fn size(&mut self, key: &'static str, range: RangeInclusive<u64>, default: usize) -> usize {
        let (start, end) = range.into_inner();
        let read = self.with_unit(
            key,
            (start, end),
            default as u64,
            value::SIZE,
            value::size,
            value::shown_size,
        );
        // A machine of 32 bits has no more memory than that.
        usize::try_from(read).unwrap_or(usize::MAX)
    }

    fn with_unit<T: Copy + PartialOrd>(
        &mut self,
        key: &'static str,
        (least, most): (T, T),
        default: T,
        form: &str,
        parse: fn(&str) -> Result<T, String>,
        shown: fn(T) -> String,
    ) -> T {
        self.read(key, default, |value| match value {
            DeValue::String(text) => match parse(text) {
                Ok(value) if value < least || value > most => {
                    Err(format!("{:?} to {:?}", shown(least), shown(most)))
                }
                Ok(value) => Ok(value),
                Err(why) => Err(format!("{form}: {why}")),
            },
            DeValue::Integer(_) | DeValue::Float(_) => Err(format!(
                "{form}: the unit is missing, write it in quotes like the default {:?}",
                shown(default)
            )),
            _ => Err(form.to_owned()),
        })
    }

    /// Where to listen; an empty text is nowhere.
    pub fn endpoint(&mut self, key: &'static str, default: Option<Endpoint>) -> Option<Endpoint> {
        const FORM: &str =
            "an address in quotes (V4:PORT, [V6]:PORT, :PORT or unix:PATH), or \"\" for none";
        self.read(key, default, |value| match value {
            DeValue::String(text) if text.is_empty() => Ok(None),
            DeValue::String(text) if text.len() > TEXT => Err(FORM.to_owned()),
            DeValue::String(text) => match text.parse::<Endpoint>() {
                Ok(Endpoint::Name(..)) => Err(format!("{FORM}: one listens on no name")),
                Ok(endpoint) => Ok(Some(endpoint)),
                Err(error) => Err(format!("{FORM}: {}", error.what())),
            },
            DeValue::Integer(number) => Err(match number.to_string().parse::<u16>() {
                Ok(port) => format!("{FORM}; for this port of all addresses write \":{port}\""),
                Err(_) => FORM.to_owned(),
            }),
            _ => Err(FORM.to_owned()),
        })
    }

    /// A file; an empty text is none.
    pub fn path(&mut self, key: &'static str, default: Option<PathBuf>) -> Option<PathBuf> {
        self.read(key, default, |value| match value {
            DeValue::String(text) if text.is_empty() => Ok(None),
            DeValue::String(text) if text.len() <= TEXT && !text.contains('\0') => {
                Ok(Some(PathBuf::from(text.as_ref())))
            }
            _ => Err("the path of a file in quotes, or \"\" for none".to_owned()),
        })
    }

    /// A text that `check` accepts; an empty one is none.
    pub fn text(
        &mut self,
        key: &'static str,
        form: &str,
        check: fn(&str) -> bool,
        default: Option<String>,
    ) -> Option<String> {
        self.read(key, default, |value| match value {
            DeValue::String(text) if text.is_empty() => Ok(None),
            DeValue::String(text) if text.len() <= TEXT && check(text) => {
                Ok(Some(text.as_ref().to_owned()))
            }
            _ => Err(form.to_owned()),
        })
    }

    /// So many texts that `check` accepts, or says what is wrong with; none where there is no such key.
    pub fn texts(
        &mut self,
        key: &'static str,
        form: &str,
        check: fn(&str) -> Result<(), String>,
        count: RangeInclusive<usize>,
    ) -> Vec<String> {
        let text = |value: &DeValue<'_>| match value {
            DeValue::String(text) if text.len() <= TEXT => {
                check(text).map(|()| text.as_ref().to_owned())
            }
            DeValue::String(_) => Err(format!("it is longer than {TEXT} bytes")),
            other => Err(format!("it is {}", found(other))),
        };
        self.read(key, Vec::new(), |value| match value {
            DeValue::Array(items) if count.contains(&items.len()) => {
                let each = (1..).zip(items).map(|(place, item)| {
                    text(item.get_ref()).map_err(|why| format!("{form}; of entry {place}: {why}"))
                });
                each.collect()
            }
            _ => Err(form.to_owned()),
        })
    }

    /// One of a few words.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        default: T,
    ) -> T {
        self.read(key, default, |value| {
            let given = match value {
                DeValue::String(text) => text.as_ref(),
                _ => "",
            };
            let chosen = choices.iter().find(|(word, _)| *word == given);
            chosen.map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                let near = nearest(given, &words).map(|near| format!("; did you mean {near:?}?"));
                let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                format!("{}{}", words.join(" or "), near.unwrap_or_default())
            })
        })
    }

    /// Takes a key out of the file and reads its value; the error of `read` says what it expected.
    fn read<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> T {
        let Self { name, reader } = self;
        if let Some((_, keys)) = reader.known.last_mut() {
            keys.push(key);
        }
        let Some(Entry { at, value }) =
            reader.sections.get_mut(*name).and_then(|table| table.remove(key))
        else {
            return default;
        };
        reader.places.insert(format!("{name}.{key}"), at);
        read(&value).unwrap_or_else(|expected| {
            let what = format!("{name}.{key}: found {}, expected {expected}", found(&value));
            reader.faults.push(Fault { at, what });
            default
        })
    }
}

fn entries<'a>(table: DeTable<'a>) -> impl Iterator<Item = (String, Entry<'a>)> {
    table.into_iter().map(|(key, value)| {
        let at = key.span().start;
        (key.into_inner().into_owned(), Entry { at, value: value.into_inner() })
    })
}

/// A value as a message names it.
fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => shown_text(text),
        DeValue::Integer(number) => format!("the number {}", cut(&number.to_string())),
        DeValue::Float(number) => format!("the number {}", cut(number.as_str())),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A text in quotes on one line.
fn shown_text(text: &str) -> String {
    format!("{:?}", cut(text))
}

/// A key as it is written in TOML, on one line.
fn shown_key(key: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !key.is_empty() && key.bytes().all(bare) { cut(key) } else { shown_text(key) }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Says what the parser stumbled over. The key is taken from the line: the parser has none to tell.
fn no_toml(text: &str, error: &toml::de::Error) -> Fault {
    let span = error.span().unwrap_or(0..0);
    let at = floor(text, span.start);
    let begin = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[begin..].lines().next().unwrap_or_default().trim();
    let header = |line: &str| {
        let name = line.trim().strip_prefix('[')?.trim_start_matches('[');
        Some(name.split(']').next().unwrap_or_default().trim().to_owned())
    };
    let assigned = line.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
    let section = text[..begin].lines().rev().find_map(header);
    let key = match (header(line), section, assigned) {
        (Some(section), ..) if section.is_empty() => "a section without a name".to_owned(),
        (Some(section), ..) => cut(&section),
        (None, Some(section), Some((key, _))) => format!("{}.{}", cut(&section), cut(key)),
        (None, None, Some((key, _))) => cut(key),
        (None, Some(section), None) => format!("in [{}]", cut(&section)),
        (None, None, None) => "before the first section".to_owned(),
    };
    let value = assigned.map(|(_, value)| value.split('#').next().unwrap_or_default().trim());
    let bare = value.filter(|value| {
        value.contains(|c: char| c.is_alphabetic() || c == ':')
            && !value.contains(['"', '\'', '=', '[', '{'])
    });
    let what = match bare {
        _ if error.message().starts_with("duplicate key") => {
            "found a second time, expected once".to_owned()
        }
        Some(value) if matches!(value.to_lowercase().as_str(), "true" | "false") => {
            format!("found {}, expected {}", value, value.to_lowercase())
        }
        Some(value) => format!(
            "found {}, expected {}: durations, sizes, addresses and words stand in quotes",
            cut(value),
            shown_text(value)
        ),
        None if value == Some("") => "found nothing after the =, expected a value".to_owned(),
        None => {
            let found = match text[at..].lines().next().unwrap_or_default().trim_end() {
                "" if text[at..].trim().is_empty() => "the end of the file".to_owned(),
                "" => "the end of the line".to_owned(),
                rest => shown_text(rest),
            };
            format!("found {found}, {}", error.message())
        }
    };
    Fault { at, what: one_line(&format!("{key}: {what}")) }
}

/// A text as part of a line: names of files and lines that are no TOML may hold anything.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The word that was probably meant: few letters differ, or one is the beginning of the other.
fn nearest<'w>(given: &str, words: &[&'w str]) -> Option<&'w str> {
    const LONGEST: usize = 64;
    if given.len() > LONGEST || given.is_empty() {
        return None;
    }
    let given: Vec<char> = given.to_lowercase().replace('-', "_").chars().collect();
    let judged = words.iter().filter_map(|word| {
        let letters: Vec<char> = word.chars().collect();
        let begins =
            given.len() >= 3 && (letters.starts_with(&given) || given.starts_with(&letters));
        let far = distance(&given, &letters);
        (far <= 1 + given.len() / 4 || begins).then_some((far, *word))
    });
    judged.min_by_key(|(far, _)| *far).map(|(_, word)| word)
}

/// How many letters to insert, remove, replace or swap with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    // Rows of the table of distances between beginnings of `a` and beginnings of `b`.
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        for (a, b, far) in [
            ("", "", 0),
            ("", "abc", 3),
            ("loops", "loops", 0),
            ("lops", "loops", 1),
            ("lopos", "loops", 1),
            ("drian", "drain", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(&chars(a), &chars(b)), far, "{a} {b}");
            assert_eq!(distance(&chars(b), &chars(a)), far, "{b} {a}");
        }
    }

    #[test]
    fn the_nearest_word_is_one_that_could_be_meant() {
        let words = ["skip_after", "skip_bytes", "close_after", "latency_budget"];
        for (given, near) in [
            ("skip_atfer", Some("skip_after")),
            ("Skip-After", Some("skip_after")),
            ("latency", Some("latency_budget")),
            ("bananas", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, &words), near, "{given}");
        }
    }
}
