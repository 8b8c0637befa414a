//! Classes of vulnerabilities that take a whole build to show; the others are in
//! `builder/tests/layers/suites/cve.rs`.

use testdata::{Image, Layer, Layout, Prng, sequences};

use crate::lab::{Lab, Options};
use crate::program::Bench;

/// Layers are unpacked in parallel elsewhere, and what one does to the other depends on the moment.
#[test]
fn cve_2025_47290_threads_change_nothing() {
    for seed in 0..8 {
        let mut random = Prng::new(seed);
        let layers = sequences::hostile(&mut |bound| random.below(bound));
        let image = layers.iter().fold(Image::new(), Image::layer);
        let images = Layout::new().image("test/image:1", &image);
        let build = |threads| {
            let options = Options {
                threads,
                trees: true,
                ..Options::default()
            };
            let built = Lab::new(&images).build_with("init:\n  - test/image:1\n", options);
            built.map(|built| (built.initrd, built.tar))
        };
        let one = build(1);
        for threads in [2, 8] {
            assert!(build(threads) == one, "seed {seed}, {threads} threads");
        }
    }
}

/// The kernel is taken out of its image: a link that leads to a file of this machine is none.
#[test]
fn cve_2024_9676_kernel_that_is_a_symlink() {
    for target in [
        "/etc/hostname",
        "../../../../../../etc/hostname",
        "/proc/self/fd/0",
    ] {
        let layer = Layer::new().symlink("kernel", target);
        let bench = Bench::new(&Layout::new().image("test/kernel:1", &Image::new().layer(&layer)));
        let yaml = bench.yaml("kernel:\n  image: test/kernel:1\n  tar: none\n");
        let mut command = bench.build();
        let output = command.arg("--offline").arg(yaml).output().unwrap();
        bench.assert_failed(&output, &["test/kernel:1 has no file kernel"]);
    }
}
