//! The suites that other tools pass, and what went wrong elsewhere, case by case under the names
//! they have there. Only the names and what they are about come from the others: layers and trees
//! are written anew. Where tools differ, a comment at the case says what lkbuild does, and why.

mod containerd;
mod containerd_diff;
mod cve;
mod go_containerregistry;
mod moby;
mod regressions;
mod umoci;
mod umoci_opaque;

use testdata::{Compression, Layer, model};

use crate::umoci as judge;
use crate::{engine, packs};

/// One case of a suite: layers, lowest first, and what must come of them.
pub(crate) struct Case {
    layers: Vec<Layer>,
    outcome: Outcome,
    /// How umoci 0.4.7 differs, if it does.
    umoci_differs: Option<&'static str>,
    /// umoci 0.4.7 must not see it.
    unsafe_for_umoci: bool,
}

enum Outcome {
    /// The tree that one plain layer describes.
    Tree(Layer),
    /// An error with this in its message.
    Refused(&'static str),
}

/// Starts a case.
fn case(layers: impl IntoIterator<Item = Layer>) -> Case {
    Case {
        layers: layers.into_iter().collect(),
        outcome: Outcome::Refused("no outcome was named"),
        umoci_differs: None,
        unsafe_for_umoci: false,
    }
}

fn layer() -> Layer {
    Layer::new()
}

impl Case {
    /// The layers give the tree that `tree`, a layer without tricks, describes. Folders that only
    /// exist because something lies in them need not be described.
    fn gives(mut self, tree: Layer) -> Self {
        self.outcome = Outcome::Tree(tree);
        self
    }

    /// The layers are no image; the message says `word`.
    fn refused(mut self, word: &'static str) -> Self {
        self.outcome = Outcome::Refused(word);
        self
    }

    /// Says how umoci 0.4.7 differs.
    fn umoci_differs(mut self, how: &'static str) -> Self {
        self.umoci_differs = Some(how);
        self
    }

    /// umoci 0.4.7 deletes what lies around the folder that it unpacks to.
    fn unsafe_for_umoci(mut self) -> Self {
        self.unsafe_for_umoci = true;
        self
    }

    /// Merges the layers, however they are compressed, with and without packs, and holds the tree
    /// against what was expected and against the model.
    fn check(&self) {
        let model = model::merge(&self.layers);
        for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
            for merged in [
                engine::merge(&self.layers, compression),
                packs::merge(&self.layers, compression),
            ] {
                match (&self.outcome, merged) {
                    (Outcome::Tree(tree), Ok(merged)) => {
                        let expected = model::merge(std::slice::from_ref(tree)).unwrap();
                        let differences = expected.snapshot().differences(&merged);
                        assert_eq!(differences, [""; 0], "expected against merged");
                        let model = model.as_ref().unwrap_or_else(|e| panic!("the model: {e}"));
                        let differences = model.snapshot().differences(&merged);
                        assert_eq!(differences, [""; 0], "the model against merged");
                    }
                    (Outcome::Refused(word), Err(message)) => {
                        assert!(message.contains(word), "{word:?} is not in {message:?}");
                    }
                    (Outcome::Tree(_), Err(message)) => panic!("refused: {message}"),
                    (Outcome::Refused(word), Ok(merged)) => {
                        panic!("{word:?} expected, but: {:?}", merged.0.keys())
                    }
                }
            }
        }
    }
}

/// Makes a test of each function, and a list of all.
macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        /// Every case with its name.
        pub(crate) fn cases() -> Vec<(&'static str, crate::suites::Case)> {
            vec![$((concat!(module_path!(), "::", stringify!($name)), $name())),*]
        }

        mod tests {
            $(
                #[test]
                fn $name() {
                    super::$name().check();
                }
            )*
        }
    };
}
use suite;

/// Every case of every suite.
pub(crate) fn all() -> Vec<(&'static str, Case)> {
    [
        containerd::cases(),
        containerd_diff::cases(),
        cve::cases(),
        go_containerregistry::cases(),
        moby::cases(),
        regressions::cases(),
        umoci::cases(),
        umoci_opaque::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn umoci_agrees_where_no_difference_is_named() {
    let mut cases = all();
    cases.retain(|(_, case)| !case.unsafe_for_umoci);
    let sequences: Vec<Vec<Layer>> = cases.iter().map(|(_, case)| case.layers.clone()).collect();
    let complaints = judge::check_all(&sequences, |index, theirs| {
        let (name, case) = &cases[index];
        let differences = match (&case.outcome, theirs) {
            (Outcome::Tree(_), Ok(theirs)) => {
                let ours = packs::merge(&case.layers, Compression::Gzip).unwrap();
                judge::differences(&theirs, &ours)
            }
            (Outcome::Tree(_), Err(line)) => vec![line],
            (Outcome::Refused(_), Ok(_)) => vec!["it unpacks this".to_owned()],
            (Outcome::Refused(_), Err(_)) => Vec::new(),
        };
        match case.umoci_differs {
            Some(how) if differences.is_empty() => {
                Some(format!("{name}: umoci agrees after all ({how})"))
            }
            None if !differences.is_empty() => Some(format!("{name}:\n{}", differences.join("\n"))),
            _ => None,
        }
    });
    println!("inputs: {}", sequences.len());
    let all = complaints.join("\n");
    assert!(all.is_empty(), "umoci against the suites:\n{all}");
}
