//! Sequences of layers made from choices: of a random number generator, or of a fuzzer.

use crate::{Kind, Layer};

/// A choice: a number below the one given.
pub type Choose<'a> = &'a mut dyn FnMut(usize) -> usize;

fn pick<'t, T>(choose: Choose<'_>, from: &'t [T]) -> &'t T {
    &from[choose(from.len())]
}

/// Up to five layers of up to eight entries, over so few names that they meet.
pub fn layers(choose: Choose<'_>) -> Vec<Layer> {
    let count = 1 + choose(5);
    let files = &mut Vec::new();
    (0..count).map(|_| layer(choose, files)).collect()
}

/// As [`layers`], with names that try to get out: climbing, absolute, through links that climb.
pub fn hostile(choose: Choose<'_>) -> Vec<Layer> {
    let mut layers = layers(choose);
    for layer in &mut layers {
        for entry in &mut layer.entries {
            let prefix = *pick(
                choose,
                &[
                    "",
                    "",
                    "/",
                    "../",
                    "/../../",
                    "./",
                    "a/../../",
                    "b/../../../c/",
                ],
            );
            entry.path.splice(0..0, prefix.bytes());
            let prefix = pick(choose, &["", "/", "../../../../", "/../etc/", "a/../../"]);
            if let Kind::Symlink(target) | Kind::Hardlink(target) = &mut entry.kind {
                target.splice(0..0, prefix.bytes());
            }
        }
    }
    layers
}

fn layer(choose: Choose<'_>, files: &mut Vec<String>) -> Layer {
    let entries = 1 + choose(8);
    let mut layer = Layer::new();
    for _ in 0..entries {
        let path = path(choose);
        layer = match choose(20) {
            0..=4 => layer.dir(&path, *pick(choose, &[0o700, 0o755, 0o1777, 0o555])),
            5..=9 => {
                files.push(path.clone());
                layer.file(&path, content(choose))
            }
            10 | 11 => layer.symlink(&path, target(choose)),
            12 | 13 if !files.is_empty() => layer.hardlink(&path, pick(choose, files)),
            12 | 13 => layer.char_device(&path, 1, 3),
            14 => layer.fifo(&path),
            15..=17 => layer.whiteout(&path),
            _ => layer.opaque(&path),
        }
        .owner(*pick(choose, &[0, 1, 100_000]), *pick(choose, &[0, 2]))
        .mtime(*pick(choose, &[0, 1, 1_600_000_000, 1_600_000_001]));
    }
    layer
}

fn path(choose: Choose<'_>) -> String {
    let depth = 1 + choose(3);
    let names: Vec<&str> = (0..depth)
        .map(|_| *pick(choose, &["a", "b", "c"]))
        .collect();
    names.join("/")
}

fn content(choose: Choose<'_>) -> Vec<u8> {
    let length = *pick(choose, &[0, 1, 511, 512, 513, 2000]);
    let byte = u8::try_from(choose(256)).unwrap();
    vec![byte; length]
}

/// A symlink's target: relative, absolute, upwards, out of the root, or to nothing.
fn target(choose: Choose<'_>) -> String {
    let path = path(choose);
    match choose(5) {
        0 => format!("/{path}"),
        1 => format!("../{path}"),
        2 => format!("../../../{path}"),
        3 => "nowhere".into(),
        _ => path,
    }
}
