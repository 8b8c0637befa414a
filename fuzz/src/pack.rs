//! Layer bytes to a pack, and bytes that claim to be a pack's index.

use std::sync::LazyLock;

use formats::compress::Compression;
use lkbuild::digest::Digest;
use lkbuild::layer::EntryKind;
use lkbuild::pack::{Index, MakeOptions, Pack, PackKey, PackStore, Workers, make};

use crate::layer::LIMITS;

/// A store of packs, one for the whole run.
struct Bench {
    workers: Workers,
    store: PackStore,
    _dir: tempfile::TempDir,
}

static BENCH: LazyLock<Option<Bench>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().ok()?;
    Some(Bench {
        workers: Workers::new(1).ok()?,
        store: PackStore::new(dir.path()),
        _dir: dir,
    })
});

/// Makes a pack of any bytes taken as a layer (the first byte chooses how bodies are compressed);
/// if it can be made, every body must inflate to the length of its file.
pub fn pack(data: &[u8]) {
    let [choice, blob @ ..] = data else { return };
    let Some(Bench { workers, store, .. }) = &*BENCH else {
        return;
    };
    let options = MakeOptions {
        key: PackKey {
            layer: Digest::sha256(blob),
            compression: match choice % 3 {
                0 => Compression::None,
                1 => Compression::Gzip { level: 3 },
                _ => Compression::Zstd { level: 1 },
            },
            nested: (choice / 3 % 2 == 1).then(|| b"kernel.tar".to_vec()),
        },
        diff_id: None,
        limits: LIMITS,
    };
    if make(blob, &options, store, workers).is_err() {
        assert!(!store.path(&options.key).exists(), "half a pack is left");
        return;
    }
    let opened = Pack::open(store, &options.key);
    let pack = match opened {
        Ok(Some(pack)) => pack,
        other => panic!("a new pack can't be opened: {other:?}"),
    };
    let index = pack.index();
    for (entry, body) in index.entries.iter().zip(&index.body_of) {
        let EntryKind::File { size } = entry.kind else {
            assert!(body.is_none(), "only files have bodies");
            continue;
        };
        let Some(body) = body else { continue };
        let read = pack.reader(*body).map(|mut reader| {
            std::io::copy(&mut reader, &mut std::io::sink()).map_err(|e| e.to_string())
        });
        assert!(matches!(&read, Ok(Ok(read)) if *read == size), "{read:?}");
    }
    assert!(store.remove(&options.key).is_ok());
}

/// Decodes any bytes as an index; what can be decoded comes back from its own encoding.
pub fn pack_index(data: &[u8]) {
    let Some(index) = Index::decode(data, 1 << 20) else {
        return;
    };
    let again = Index::decode(&index.encode(), 1 << 20);
    assert_eq!(again.as_ref(), Some(&index));
}
