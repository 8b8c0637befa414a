//! One object out of several, by name, path, or because there is no other.

use super::list::{Named, plain_name};
use crate::error::{Error, Kind, Result};

/// So many candidates are listed.
const LISTED: usize = 20;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// Such as `datastore`.
    pub(crate) what: &'a str,
    /// Where it is looked for, such as ` in /dc1`; may be empty.
    pub(crate) place: &'a str,
    /// Name or path; none where the only one is meant.
    pub(crate) name: Option<&'a str>,
}

/// The object of that name or path. A path may leave out its beginning.
pub(crate) fn choose<'a>(wanted: Wanted<'_>, all: &'a [Named]) -> Result<&'a Named> {
    let Wanted { what, place, name } = wanted;
    let Some(name) = name else {
        return match all {
            [] => Err(Error::new(
                Kind::NotFound,
                format!("there is no {what}{place} that this account may see"),
            )),
            [one] => Ok(one),
            several => Err(Error::new(
                Kind::Ambiguous,
                format!(
                    "which {what}{place} is meant? name one of {}",
                    list(several.iter())
                ),
            )),
        };
    };
    let path = format!("/{}", name.trim_matches('/'));
    let exact: Vec<&Named> = all.iter().filter(|o| equal(&o.path, &path)).collect();
    let found = match exact.is_empty() {
        false => exact,
        true => all.iter().filter(|o| ends_with(&o.path, &path)).collect(),
    };
    match &found[..] {
        [one] => Ok(one),
        [] => Err(Error::new(
            Kind::NotFound,
            format!(
                "there is no {what} {name:?}{place}{}",
                suggestion(&path, all)
            ),
        )),
        several => Err(Error::new(
            Kind::Ambiguous,
            format!(
                "{name:?} is the name of more than one {what}{place}; give the path of one: {}",
                list(several.iter().copied())
            ),
        )),
    }
}

fn equal(path: &str, wanted: &str) -> bool {
    path == wanted || plain_name(path) == wanted
}

fn ends_with(path: &str, wanted: &str) -> bool {
    path.ends_with(wanted) || plain_name(path).ends_with(wanted)
}

fn list<'a>(objects: impl Iterator<Item = &'a Named>) -> String {
    let paths: Vec<&str> = objects.map(|object| object.path.as_str()).collect();
    let more = paths.len().saturating_sub(LISTED);
    let shown = paths[..paths.len() - more].join(", ");
    match more {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn suggestion(path: &str, all: &[Named]) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    let close: Vec<&Named> = all
        .iter()
        .filter(|object| near(name, &plain_name(object.name())))
        .collect();
    if !close.is_empty() {
        return format!("; did you mean {}?", list(close.into_iter()));
    }
    match all {
        [] => "; there is none that this account may see".into(),
        all => format!("; there are {}", list(all.iter())),
    }
}

/// Whether two names differ by a slip of the keyboard, or one holds the other.
fn near(a: &str, b: &str) -> bool {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let held = a.chars().count().min(b.chars().count()) >= 3 && (a.contains(&b) || b.contains(&a));
    held || distance(&a, &b) <= 1 + a.chars().count() / 4
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::{MoRef, Node};

    fn all(paths: &[&str]) -> Vec<Named> {
        let named = paths.iter().map(|path| Named {
            reference: MoRef::new("Datastore", *path),
            path: (*path).into(),
            properties: Node::default(),
        });
        named.collect()
    }

    fn pick(name: Option<&str>, paths: &[&str]) -> std::result::Result<String, (Kind, String)> {
        let wanted = Wanted {
            what: "datastore",
            place: "",
            name,
        };
        choose(wanted, &all(paths))
            .map(|object| object.path.clone())
            .map_err(|e| (e.kind(), e.to_string()))
    }

    const TWO: &[&str] = &[
        "/dc/datastore/a/ssd",
        "/dc/datastore/b/ssd",
        "/dc/datastore/archive%2fold",
    ];

    #[test]
    fn names_and_paths_find_their_object() {
        assert_eq!(pick(None, &["/dc/x"]).unwrap(), "/dc/x");
        for name in [
            "/dc/datastore/a/ssd",
            "dc/datastore/a/ssd",
            "a/ssd",
            "/a/ssd",
        ] {
            assert_eq!(pick(Some(name), TWO).unwrap(), TWO[0], "{name}");
        }
        for name in ["archive%2fold", "archive/old"] {
            assert_eq!(pick(Some(name), TWO).unwrap(), TWO[2], "{name}");
        }
    }

    #[test]
    fn a_path_wins_over_a_longer_one_that_ends_with_it() {
        assert_eq!(pick(Some("dc"), &["/dc", "/folder/dc"]).unwrap(), "/dc");
    }

    #[test]
    fn ambiguity_lists_the_candidates() {
        for name in [None, Some("ssd")] {
            let (kind, message) = pick(name, TWO).unwrap_err();
            assert_eq!(kind, Kind::Ambiguous);
            assert!(
                message.contains(TWO[0]) && message.contains(TWO[1]),
                "{message}"
            );
        }
    }

    #[test]
    fn a_wrong_name_lists_near_ones() {
        let (kind, message) = pick(Some("sdd"), TWO).unwrap_err();
        assert_eq!(kind, Kind::NotFound);
        assert!(
            message.contains("did you mean") && !message.contains("archive"),
            "{message}"
        );
        let (_, message) = pick(Some("something"), TWO).unwrap_err();
        assert!(
            message.contains("there are") && message.contains("archive"),
            "{message}"
        );
        assert_eq!(pick(None, &[]).unwrap_err().0, Kind::NotFound);
    }

    #[test]
    fn long_lists_are_cut() {
        let paths: Vec<String> = (0..30).map(|i| format!("/dc/ds{i}")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        assert!(pick(None, &paths).unwrap_err().1.ends_with("and 10 more"));
    }
}
