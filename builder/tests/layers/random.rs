//! Random sequences of layers: the engine must agree with the model on all, and both with umoci
//! where umoci follows the rules.

use testdata::model::{self, Oddity};
use testdata::{Compression, Layer, Prng, sequences};

use crate::{engine, packs, umoci};

/// As many sequences as umoci unpacks; the model, which costs less, gets twenty times as many.
fn sequence_count() -> usize {
    let wanted = std::env::var("LKBUILD_RANDOM_SEQUENCES").ok();
    wanted.map_or(400, |count| count.parse().unwrap())
}

const COMPRESSIONS: [Compression; 5] = [
    Compression::Gzip,
    Compression::GzipMembers(3),
    Compression::Zstd,
    Compression::ZstdFrames(2),
    Compression::None,
];

fn sequence(seed: usize) -> Vec<Layer> {
    let mut random = Prng::new(seed as u64);
    sequences::layers(&mut |bound| random.below(bound))
}

fn describe(layers: &[Layer]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for (index, layer) in layers.iter().enumerate() {
        for entry in &layer.entries {
            let kind = format!("{:?}", entry.kind);
            let kind = &kind[..kind.len().min(40)];
            let path = entry.path.escape_ascii();
            writeln!(text, "  layer {index}: {path} {kind} {:o}", entry.mode).unwrap();
        }
    }
    text
}

#[test]
fn engine_agrees_with_the_model_on_random_layers() {
    let mut refused = 0;
    let count = 20 * sequence_count();
    for seed in 0..count {
        let layers = sequence(seed);
        let compression = COMPRESSIONS[seed % 5];
        let ours = engine::merge(&layers, compression);
        let model = model::merge(&layers);
        match (ours, model) {
            (Ok(ours), Ok(model)) => {
                let differences = model.snapshot().differences(&ours);
                assert!(
                    differences.is_empty(),
                    "seed {seed}:\n{}the model against the engine:\n{}",
                    describe(&layers),
                    differences.join("\n")
                );
            }
            (Err(_), Err(_)) => refused += 1,
            // Where two markers hide the same, the engine gives up after one of their names.
            (Err(_), Ok(model)) if model.oddities.contains(&Oddity::LinkToHidden) => refused += 1,
            (ours, model) => panic!(
                "seed {seed}:\n{}only one refuses: engine {:?}, model {:?}",
                describe(&layers),
                ours.err(),
                model.err()
            ),
        }
    }
    println!("inputs: {count}");
    // Enough must be left that are images at all.
    assert!(refused < count / 2, "{refused} of {count} refused");
}

#[test]
fn engine_agrees_with_umoci_on_random_layers() {
    // Both refuse links to nothing, so such sequences show nothing; neither do those in which
    // umoci 0.4.7, which unpacks in the order of the tar, depends on that order.
    let comparable = (0..)
        .map(sequence)
        .filter(|layers| model::merge(layers).is_ok_and(|model| model.oddities.is_empty()));
    let sequences: Vec<_> = comparable.take(sequence_count()).collect();
    let complaints = umoci::check_all(&sequences, |index, theirs| {
        let layers = &sequences[index];
        let ours = packs::merge(layers, COMPRESSIONS[index % 5]).unwrap();
        let differences = match theirs {
            Ok(theirs) => umoci::differences(&theirs, &ours),
            Err(line) => vec![line],
        };
        (!differences.is_empty()).then(|| {
            format!(
                "sequence {index}:\n{}{}",
                describe(layers),
                differences.join("\n")
            )
        })
    });
    println!("inputs: {}", sequences.len());
    let all = complaints.join("\n");
    assert!(all.is_empty(), "umoci against the engine:\n{all}");
}
