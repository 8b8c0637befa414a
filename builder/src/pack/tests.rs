use std::io::{Read, Write};

use formats::compress::Compression;

use super::format::MAGIC;
use super::*;
use crate::layer::{EntryKind, Limits};
use crate::tree::Body;

mod index;

fn tar_of(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, body) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &**body).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Bytes that compress somewhat, different for each seed.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state & 0x0f) as u8
        })
        .collect()
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("empty", Vec::new()),
        ("tiny", b"hello".to_vec()),
        ("small", noise(40_000, 1)),
        ("one-segment", noise(1 << 20, 2)),
        ("one-more", noise((1 << 20) + 1, 3)),
        ("large", noise(5_000_000, 4)),
        ("after", noise(3_000, 5)),
    ]
}

fn options(compression: Compression, nested: Option<&str>) -> MakeOptions {
    let layer = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
    let nested = nested.map(|n| n.as_bytes().to_vec());
    MakeOptions {
        key: PackKey {
            layer,
            compression,
            nested,
        },
        diff_id: None,
        limits: Limits::default(),
    }
}

struct Bench {
    dir: tempfile::TempDir,
    store: PackStore,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let store = PackStore::new(dir.path());
    Bench { dir, store }
}

fn plain_body(pack: &Pack, body: u32) -> Vec<u8> {
    let mut out = Vec::new();
    pack.reader(body).unwrap().read_to_end(&mut out).unwrap();
    out
}

const COMPRESSIONS: [Compression; 3] = [
    Compression::None,
    Compression::Gzip { level: 4 },
    Compression::Zstd { level: 3 },
];

#[test]
fn a_pack_gives_every_body_back() {
    for compression in COMPRESSIONS {
        let bench = bench();
        let options = options(compression, None);
        let workers = Workers::new(2).unwrap();
        make(&*tar_of(&files()), &options, &bench.store, &workers).unwrap();
        let pack = Pack::open(&bench.store, &options.key).unwrap().unwrap();
        pack.verify().unwrap();
        for (n, (name, want)) in files().into_iter().enumerate() {
            assert_eq!(pack.index().entries[n].path, name.as_bytes());
            match pack.index().body_of[n] {
                Some(body) => assert!(plain_body(&pack, body) == want, "{name}"),
                None => assert!(want.is_empty(), "{name}"),
            }
        }
    }
}

fn gzip(plain: &[u8], level: u32) -> Vec<u8> {
    let level = flate2::Compression::new(level);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_gzip_layer_s_own_blocks_are_used_and_give_every_body_back() {
    for level in [0, 1, 6, 9] {
        for compression in COMPRESSIONS {
            let bench = bench();
            let options = options(compression, None);
            let layer = gzip(&tar_of(&files()), level);
            make(&*layer, &options, &bench.store, &Workers::new(2).unwrap()).unwrap();
            let pack = Pack::open(&bench.store, &options.key).unwrap().unwrap();
            for (n, (name, want)) in files().into_iter().enumerate() {
                let Some(body) = pack.index().body_of[n] else {
                    continue;
                };
                assert!(
                    plain_body(&pack, body) == want,
                    "{name} {compression} {level}"
                );
            }
            let large = pack.body(pack.index().body_of[5].unwrap()).unwrap();
            // Elsewhere it is cut every MiB.
            if level == 6 && matches!(compression, Compression::Gzip { .. }) {
                assert!(
                    large.segments.len() > 5,
                    "{} segments",
                    large.segments.len()
                );
            }
        }
    }
}

#[test]
fn a_sparse_file_in_a_gzip_layer_is_right() {
    let mut layer = Vec::new();
    let data = noise(400_000, 3);
    let record = |key: &str, value: &str| {
        let rest = key.len() + value.len() + 3;
        let length = if rest + 2 < 100 { rest + 2 } else { rest + 3 };
        format!("{length} {key}={value}\n")
    };
    let pax =
        record("GNU.sparse.size", "700000") + &record("GNU.sparse.map", "0,200000,500000,200000");
    for (name, kind, body) in [
        ("x", b'x', pax.into_bytes()),
        ("sparse", b'0', data.clone()),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        layer.extend(header.as_bytes());
        layer.extend(&body);
        layer.resize(layer.len().next_multiple_of(512), 0);
    }
    let bench = bench();
    let options = options(Compression::Gzip { level: 6 }, None);
    make(
        &*gzip(&layer, 6),
        &options,
        &bench.store,
        &Workers::new(2).unwrap(),
    )
    .unwrap();
    let pack = Pack::open(&bench.store, &options.key).unwrap().unwrap();
    let want = [&data[..200_000], &[0; 300_000], &data[200_000..]].concat();
    assert!(plain_body(&pack, pack.index().body_of[0].unwrap()) == want);
}

#[test]
fn the_number_of_threads_leaves_no_trace() {
    for compression in COMPRESSIONS {
        let packs: Vec<_> = [1, 2, 7]
            .into_iter()
            .map(|threads| {
                let bench = bench();
                let options = options(compression, None);
                let workers = Workers::new(threads).unwrap();
                let layer = gzip(&tar_of(&files()), 6);
                let pack = make(&*layer, &options, &bench.store, &workers).unwrap();
                std::fs::read(pack.path()).unwrap()
            })
            .collect();
        assert!(
            packs[0] == packs[1] && packs[1] == packs[2],
            "{compression}"
        );
    }
}

#[test]
fn a_tar_inside_is_opened() {
    let bench = bench();
    let options = options(Compression::Gzip { level: 4 }, Some("kernel.tar"));
    let inner = tar_of(&[
        ("lib/a.ko", noise(9_000, 9)),
        ("lib/.wh.b", b"kept".to_vec()),
    ]);
    let layer = tar_of(&[("kernel", noise(70_000, 8)), ("kernel.tar", inner)]);
    make(&*layer, &options, &bench.store, &Workers::new(1).unwrap()).unwrap();
    let pack = Pack::open(&bench.store, &options.key).unwrap().unwrap();
    let nested = pack.index().nested.as_ref().unwrap();
    assert_eq!(nested.entry, 1);
    assert_eq!(pack.index().body_of[1], None);
    assert_eq!(nested.entries[1].path, b"lib/.wh.b");
    let body = nested.body_of[0].unwrap();
    assert!(plain_body(&pack, body) == noise(9_000, 9));
}

#[test]
fn ggcr_verifies_layer_digest_another_diff_id_is_refused_and_leaves_nothing() {
    let bench = bench();
    let options = MakeOptions {
        diff_id: Some([7; 32]),
        ..options(Compression::None, None)
    };
    let workers = Workers::new(1).unwrap();
    let error = make(&*tar_of(&files()), &options, &bench.store, &workers).unwrap_err();
    assert!(error.to_string().contains(&"07".repeat(32)), "{error}");
    assert!(Pack::open(&bench.store, &options.key).unwrap().is_none());
    let left: Vec<_> = walk(bench.dir.path());
    assert!(left.is_empty(), "{left:?}");
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(dir)
        .unwrap()
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn a_cut_layer_makes_no_pack() {
    let bench = bench();
    let options = options(Compression::Gzip { level: 4 }, None);
    let workers = Workers::new(2).unwrap();
    let layer = tar_of(&files());
    make(&layer[..layer.len() / 2], &options, &bench.store, &workers).unwrap_err();
    assert!(walk(bench.dir.path()).is_empty());
    // And the workers are free again.
    make(&*layer, &options, &bench.store, &workers).unwrap();
}

#[test]
fn every_damaged_byte_of_a_pack_is_noticed() {
    let bench = bench();
    let options = options(Compression::Gzip { level: 4 }, None);
    let layer = tar_of(&[("a", b"abc".to_vec()), ("b", noise(3_000, 1))]);
    let pack = make(&*layer, &options, &bench.store, &Workers::new(1).unwrap()).unwrap();
    let path = pack.path().to_owned();
    let good = std::fs::read(&path).unwrap();
    let read_all = || match Pack::open(&bench.store, &options.key) {
        Ok(Some(pack)) => pack.verify(),
        Ok(None) => panic!("it is gone"),
        Err(error) => Err(error),
    };
    read_all().unwrap();
    let flip = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        bad
    };
    let bad_files = (0..good.len()).map(flip);
    let cut_files = (0..good.len()).step_by(97).map(|end| good[..end].to_vec());
    for bad in bad_files.chain(cut_files) {
        std::fs::File::create(&path)
            .unwrap()
            .write_all(&bad)
            .unwrap();
        assert!(matches!(read_all(), Err(PackError::Damaged { .. })));
    }
}

#[test]
fn a_pack_of_another_layer_under_this_name_is_noticed() {
    let bench = bench();
    let options = options(Compression::None, None);
    let pack = make(
        &*tar_of(&files()),
        &options,
        &bench.store,
        &Workers::new(1).unwrap(),
    )
    .unwrap();
    let other = PackKey {
        compression: Compression::Gzip { level: 9 },
        ..options.key
    };
    std::fs::rename(pack.path(), bench.store.path(&other)).unwrap();
    assert!(matches!(
        Pack::open(&bench.store, &other),
        Err(PackError::Damaged { .. })
    ));
}

#[test]
fn an_index_decodes_to_itself_and_never_panics() {
    let bench = bench();
    let options = options(Compression::Gzip { level: 4 }, None);
    let pack = make(
        &*tar_of(&files()),
        &options,
        &bench.store,
        &Workers::new(1).unwrap(),
    )
    .unwrap();
    let end = u64::MAX;
    let encoded = pack.index().encode();
    assert_eq!(Index::decode(&encoded, end).as_ref(), Some(pack.index()));
    assert_eq!(
        Index::decode(&encoded, MAGIC.len() as u64),
        None,
        "bodies beyond the file"
    );
    for at in 0..encoded.len() {
        assert_eq!(Index::decode(&encoded[..at], end), None);
        let mut bad = encoded.clone();
        bad[at] = 0xff;
        let _ = Index::decode(&bad, end);
    }
    assert!(matches!(
        pack.index().entries[0].kind,
        EntryKind::File { size: 0 }
    ));
}

#[test]
fn packs_have_names_that_are_safe_everywhere() {
    let name = |compression, nested| options(compression, nested).key.file_name();
    let hex = "ab".repeat(32);
    let gzip = Compression::Gzip { level: 4 };
    assert_eq!(name(gzip, None), format!("sha256/{hex}-gzip-4.pack"));
    assert_eq!(
        name(Compression::None, None),
        format!("sha256/{hex}-none.pack")
    );
    let nested = name(gzip, Some("../kernel.tar"));
    let digits = nested.strip_prefix(&format!("sha256/{hex}-gzip-4-tar"));
    let digits = digits.and_then(|name| name.strip_suffix(".pack")).unwrap();
    assert!(digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
}

#[test]
fn the_least_used_packs_are_taken_away_and_counted() {
    let bench = bench();
    let workers = Workers::new(1).unwrap();
    let mut set = PackSet::default();
    let kinds = [
        Compression::None,
        Compression::Gzip { level: 4 },
        Compression::Zstd { level: 3 },
    ];
    for (n, compression) in kinds.into_iter().enumerate() {
        let options = options(compression, None);
        let layer = tar_of(&[("f", noise(9_000, 1))]);
        make(&*layer, &options, &bench.store, &workers).unwrap();
        let pack = Pack::open(&bench.store, &options.key).unwrap().unwrap();
        assert_eq!(pack.index().body_bytes(), 9_000);
        assert_eq!(set.add(pack) as usize, n);
        assert_eq!(set.len(), n + 1);
    }
    // The first is used again, so that the second is the least used.
    set.get(0).mark_used();
    let sizes = || -> Vec<u64> {
        let all = bench.store.list().unwrap();
        all.iter().map(|pack| pack.bytes).collect()
    };
    let all: u64 = sizes().iter().sum();
    assert_eq!(bench.store.evict(all).unwrap().files, 0);
    let freed = bench.store.evict(all - 1).unwrap();
    assert_eq!(freed.files, 1);
    assert_eq!(freed.bytes, all - sizes().iter().sum::<u64>());
    assert!(!bench.store.path(&options(kinds[1], None).key).exists());
    let rest = sizes().iter().sum();
    let freed = bench.store.evict(0).unwrap();
    assert_eq!((freed.files, freed.bytes), (2, rest));
    assert!(sizes().is_empty());
    assert_eq!(bench.store.evict(0).unwrap().files, 0);
    // One that is gone already is no error, what can't be removed is one.
    let key = options(Compression::None, None).key;
    bench.store.remove(&key).unwrap();
    std::fs::create_dir_all(bench.store.path(&key)).unwrap();
    bench.store.remove(&key).unwrap_err();
}

/// Evicted is no damage; what can't be opened for another reason is told.
#[test]
fn a_pack_that_is_gone_is_no_damaged_one() {
    let bench = bench();
    let file = bench.dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    verify_file(&bench.dir.path().join("gone"), "name").unwrap();
    verify_file(&file.join("below"), "name").unwrap_err();
    verify_file(&file, "name").unwrap_err();
    let key = options(Compression::None, None).key;
    assert!(Pack::open(&bench.store, &key).unwrap().is_none());
    let folder = bench.store.path(&key).parent().unwrap().to_owned();
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    std::fs::write(&folder, "no folder").unwrap();
    let error = Pack::open(&bench.store, &key).unwrap_err();
    assert!(matches!(error, PackError::Read { .. }), "{error}");
}

#[test]
fn packs_of_a_build_say_how_they_are_compressed() {
    let (bench, mut set) = (bench(), PackSet::default());
    assert_eq!(set.compression(), None);
    let options = options(Compression::Gzip { level: 9 }, None);
    assert!(set.is_empty());
    let workers = Workers::new(1).unwrap();
    set.add(make(&*tar_of(&[]), &options, &bench.store, &workers).unwrap());
    assert_eq!(set.compression(), Some(Compression::Gzip { level: 9 }));
    assert!(!set.is_empty());
}

/// They are open all the time: what happens to their files meanwhile is noticed when they are read.
#[test]
fn a_pack_that_is_cut_while_it_is_open_is_damaged() {
    let (bench, mut set) = (bench(), PackSet::default());
    let layer = tar_of(&[("a", b"abc".to_vec()), ("b", noise(3_000, 1))]);
    let options = options(Compression::None, None);
    let workers = Workers::new(1).unwrap();
    let pack = set.add(make(&*layer, &options, &bench.store, &workers).unwrap());
    let body = |body, size| Body::Packed { pack, body, size };
    set.verify().unwrap();
    assert_eq!(set.read_body(&body(0, 3), 10).unwrap(), b"abc");
    assert!(set.read_body(&body(1, 3_000), 3_000).unwrap() == noise(3_000, 1));
    set.read_body(&body(2, 1), 1).unwrap_err();
    let file = std::fs::File::options()
        .write(true)
        .open(bench.store.path(&options.key));
    file.unwrap().set_len(100).unwrap();
    for error in [
        set.verify().unwrap_err(),
        set.read_body(&body(1, 3_000), 3_000).unwrap_err(),
    ] {
        assert!(matches!(error, PackError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("cut short"), "{error}");
    }
    assert_eq!(set.read_body(&body(0, 3), 10).unwrap(), b"abc");
}

#[test]
fn as_many_packs_are_taken_away_as_it_takes() {
    let bench = bench();
    let workers = Workers::new(1).unwrap();
    for compression in COMPRESSIONS {
        let layer = tar_of(&[("f", noise(9_000, 1))]);
        let options = options(compression, None);
        make(&*layer, &options, &bench.store, &workers).unwrap();
    }
    let list = || bench.store.list().unwrap();
    let largest = list().iter().map(|pack| pack.bytes).max().unwrap();
    assert_eq!(bench.store.evict(largest).unwrap().files, 2);
    let left = list();
    assert_eq!(left.len(), 1);
    assert_eq!(bench.store.remove_if(|_| false).unwrap().files, 0);
    let freed = bench.store.remove_if(|pack| pack.name == left[0].name);
    assert_eq!(freed.unwrap().bytes, left[0].bytes);
    assert!(list().is_empty());
    // A folder that is none is no empty one.
    std::fs::remove_dir(bench.store.dir().join("sha256")).unwrap();
    std::fs::write(bench.store.dir().join("sha256"), "").unwrap();
    bench.store.list().unwrap_err();
}

#[test]
fn a_job_waits_for_a_free_worker() {
    let workers = Workers::new(1).unwrap();
    let mut permits: Vec<_> = std::iter::from_fn(|| workers.try_permit()).collect();
    assert!(!permits.is_empty());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| drop(workers.permit()));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waiting.is_finished());
        permits.pop();
        waiting.join().unwrap();
    });
    assert!(workers.try_permit().is_some());
}

#[test]
fn numbers_of_either_sign_come_back() {
    for number in [0, 1, -1, 63, -64, -1_700_000_000, i64::MAX, i64::MIN] {
        let mut encoder = codec::Encoder::default();
        encoder.signed(number);
        let mut decoder = codec::Decoder(&encoder.0);
        assert_eq!(decoder.signed(), Some(number));
        assert!(decoder.0.is_empty());
    }
}
