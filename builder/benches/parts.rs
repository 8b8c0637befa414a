//! The parts of a build that take its time, one by one, as bytes of files per second; beside them, as
//! yardsticks, what SHA-256, inflating and deflating the same bytes take here.
//!
//! `cargo bench --package lkbuild --bench parts`, with a part's name to measure just that one.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::io::{self, Read, Write};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use formats::compress::{BodyInfo, Compression, Stitcher, encode_body};
use formats::payload::crc32;
use formats::vmdk::{DiskId, Options, write_stream_optimized};
use lkbuild::digest::Digest;
use lkbuild::layer::{Limits, read_layer};
use lkbuild::pack::{MakeOptions, PackKey, PackStore, Workers, make};
use sha2::{Digest as _, Sha256};
use testdata::{Compression as Blob, Layer};

const LARGE_FILES: usize = 4;
const LARGE_BYTES: usize = 8 << 20;
const SMALL_FILES: usize = 2000;
const SMALL_BYTES: usize = 3000;

/// Words in an order that repeats itself about as much as programs and texts do.
fn text(bytes: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut text = Vec::with_capacity(bytes + 16);
    while text.len() < bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let word = (state >> 20).wrapping_mul(2_654_435_761);
        let _ = write!(text, "{word:x} ");
    }
    text.truncate(bytes);
    text
}

/// Some large files and many small ones.
fn layer() -> Layer {
    let mut layer = Layer::new();
    for number in 0..LARGE_FILES {
        let body = text(LARGE_BYTES, u32::try_from(number).unwrap());
        layer = layer.file(format!("lib/{number}"), body);
    }
    for number in 0..SMALL_FILES {
        let body = text(SMALL_BYTES, u32::try_from(1000 + number).unwrap());
        layer = layer.file(format!("share/{number:04}"), body);
    }
    layer
}

/// A blob read to its end, entry by entry.
fn layers(criterion: &mut Criterion) {
    let tar = layer().tar();
    let mut group = criterion.benchmark_group("layer");
    group.throughput(Throughput::Bytes(tar.len() as u64));
    for (name, blob) in [
        ("gzip", Blob::Gzip.compress(&tar)),
        ("zstd", Blob::Zstd.compress(&tar)),
        ("plain", tar.clone()),
    ] {
        group.bench_function(BenchmarkId::new("read", name), |bencher| {
            bencher.iter(|| {
                read_layer(&blob[..], &Limits::default(), |_, body| {
                    io::copy(body, &mut io::sink())?;
                    Ok(())
                })
                .unwrap()
            });
        });
    }
    let gzip = Blob::Gzip.compress(&tar);
    group.bench_function("yardstick/inflate", |bencher| {
        bencher.iter(|| {
            let mut plain = Vec::with_capacity(tar.len());
            flate2::read::GzDecoder::new(&gzip[..])
                .read_to_end(&mut plain)
                .unwrap()
        });
    });
    group.bench_function("yardstick/sha256", |bencher| {
        bencher.iter(|| Sha256::digest(black_box(&tar)));
    });
    group.finish();
}

/// A blob that becomes a pack; from gzip, blocks of the layer are used again.
fn packs(criterion: &mut Criterion) {
    let tar = layer().tar();
    let dir = tempfile::tempdir().unwrap();
    let store = PackStore::new(dir.path());
    let mut group = criterion.benchmark_group("pack");
    group.throughput(Throughput::Bytes(tar.len() as u64));
    for (from, blob) in [("gzip", Blob::Gzip.compress(&tar)), ("plain", tar.clone())] {
        for to in ["gzip", "zstd", "none"] {
            let options = MakeOptions {
                key: PackKey {
                    layer: Digest::sha256(&blob),
                    compression: to.parse().unwrap(),
                    nested: None,
                },
                diff_id: None,
                limits: Limits::default(),
            };
            for threads in [1, 2] {
                let workers = Workers::new(threads).unwrap();
                let name = format!("{from} to {to}");
                group.bench_function(BenchmarkId::new(name, threads), |bencher| {
                    bencher.iter(|| make(&blob[..], &options, &store, &workers).unwrap());
                });
            }
        }
    }
    group.finish();
}

/// Bodies that are compressed already and headers between them, as one stream.
fn streams(criterion: &mut Criterion) {
    let bodies: Vec<Vec<u8>> = (0..200).map(|n| text(100_000, n)).collect();
    let small: Vec<Vec<u8>> = (0..4000).map(|n| text(SMALL_BYTES, n)).collect();
    let header = [b'0'; 128];
    let plain: usize = bodies.iter().chain(&small).map(Vec::len).sum();
    let mut group = criterion.benchmark_group("stitch");
    group.throughput(Throughput::Bytes(plain as u64));
    for name in ["gzip", "zstd", "none"] {
        let compression: Compression = name.parse().unwrap();
        let encoded: Vec<(BodyInfo, Vec<Vec<u8>>)> = bodies
            .iter()
            .chain(&small)
            .map(|body| encode_body(compression, body).unwrap())
            .collect();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut stream = Stitcher::new(io::sink(), compression).unwrap();
                for (info, segments) in &encoded {
                    stream.literal(&header).unwrap();
                    let segments = segments.iter().map(io::Result::Ok);
                    stream.body(*info, segments).unwrap();
                    stream.entry_boundary().unwrap();
                }
                stream.finish().unwrap()
            });
        });
    }
    group.finish();
}

/// What media take of a payload.
fn media(criterion: &mut Criterion) {
    let disk = text(64 << 20, 5);
    let options = Options::new(DiskId([7; 16]), "disk.vmdk");
    let mut group = criterion.benchmark_group("media");
    group.throughput(Throughput::Bytes(disk.len() as u64));
    group.bench_function("crc32", |bencher| bencher.iter(|| crc32(&disk).unwrap()));
    group.bench_function("streamOptimized", |bencher| {
        bencher.iter(|| write_stream_optimized(io::sink(), &disk, &options).unwrap());
    });
    group.finish();
}

criterion_group! {
    name = parts;
    config = Criterion::default().sample_size(10);
    targets = layers, packs, streams, media
}
criterion_main!(parts);
