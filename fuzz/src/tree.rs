//! Sequences of layers to a tree, compared with the slow model of the rules.

use testdata::model::{self, Oddity};
use testdata::{Compression, sequences};

// The adapter that the engine's own tests use.
#[allow(clippy::unwrap_used, unreachable_pub)]
#[path = "../../builder/tests/layers/engine.rs"]
mod engine;

/// Takes the bytes for choices, makes layers of them and merges these twice.
pub fn tree(data: &[u8]) {
    let mut rest = data.iter();
    let mut choose = |bound: usize| usize::from(rest.next().copied().unwrap_or(0)) % bound;
    // Now and then with names that try to get out.
    let layers = match choose(4) {
        0 => sequences::hostile(&mut choose),
        _ => sequences::layers(&mut choose),
    };
    match (
        engine::merge(&layers, Compression::None),
        model::merge(&layers),
    ) {
        (Ok(ours), Ok(model)) => {
            let differences = model.snapshot().differences(&ours);
            assert!(differences.is_empty(), "{}", differences.join("\n"));
        }
        (Err(_), Err(_)) => {}
        // Known: where two markers hide the same, the engine gives up after one of their names.
        (Err(_), Ok(model)) if model.oddities.contains(&Oddity::LinkToHidden) => {}
        (ours, model) => panic!(
            "only one refuses: engine {:?}, model {:?}",
            ours.err(),
            model.err()
        ),
    }
}
