//! Replays every seed through its target.

use std::path::Path;

#[test]
fn every_seed_is_replayed() {
    for (name, target) in lkbuild_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("seeds")
            .join(name);
        let mut count = 0;
        for seed in std::fs::read_dir(&folder).unwrap() {
            let seed = std::fs::read(seed.unwrap().path()).unwrap();
            target(&seed);
            // What is cut short, or has a bit flipped, is the more interesting input.
            for cut in [seed.len() / 3, seed.len() / 2, seed.len().saturating_sub(1)] {
                target(&seed[..cut]);
            }
            for at in (0..seed.len()).step_by(seed.len() / 16 + 1) {
                let mut damaged = seed.clone();
                damaged[at] ^= 0x21;
                target(&damaged);
            }
            count += 1;
        }
        assert!(count > 0, "no seeds for {name}");
    }
}
