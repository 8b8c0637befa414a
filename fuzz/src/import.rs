//! Files with images that a user names, and the index of a cache.

use std::io::Read;
use std::sync::LazyLock;

use lkbuild::reference::Reference;
use lkbuild::registry::Source;
use lkbuild::registry::local::LocalSource;
use lkbuild::store::{MAX_DOCUMENT_BYTES, Store};

/// Less than most documents have.
const PEEK_BYTES: u64 = 100;

/// One folder for the whole run.
static DIR: LazyLock<Option<tempfile::TempDir>> = LazyLock::new(|| tempfile::tempdir().ok());

/// Opens any bytes as an archive of images (an OCI layout or `docker save`), and reads what it
/// claims to have under a few names.
pub fn import(data: &[u8]) {
    let Some(dir) = &*DIR else { return };
    let path = dir.path().join("import.tar");
    if std::fs::write(&path, data).is_err() {
        return;
    }
    let Ok(source) = LocalSource::open(&path) else {
        return;
    };
    for name in ["a:1", "docker.io/library/b:latest", "localhost:5000/x/y:1"] {
        let Ok(name) = Reference::parse(name) else {
            continue;
        };
        let Ok(Some(top)) = source.top(&name, MAX_DOCUMENT_BYTES) else {
            continue;
        };
        assert!(top.bytes.len() as u64 <= MAX_DOCUMENT_BYTES + 1);
        // What its bytes name is asked for, as a pull would.
        let text = String::from_utf8_lossy(&top.bytes);
        let digests = text.split('"').filter_map(|word| word.parse().ok());
        for digest in digests.take(20) {
            if let Ok(document) = source.document(&name, &digest, PEEK_BYTES, true) {
                assert!(document.bytes.len() as u64 <= PEEK_BYTES + 1);
            }
            if let Ok(blob) = source.blob(&name, &digest, PEEK_BYTES) {
                let read = std::io::copy(&mut blob.take(1 << 20), &mut std::io::sink());
                assert!(read.is_ok_and(|read| read <= data.len() as u64));
            }
        }
    }
}

/// Takes any bytes for the index of a cache: names are found or it is an error; what was added is
/// found, and what was there stays.
pub fn store_index(data: &[u8]) {
    let Some(dir) = &*DIR else { return };
    let Ok(store) = Store::open(&dir.path().join("store")) else {
        return;
    };
    let index = store.dir().join("index.json");
    if std::fs::write(&index, data).is_err() {
        return;
    }
    let before = store.names();
    let entry = lkbuild::store::IndexEntry {
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
        digest: lkbuild::digest::Digest::sha256(data),
        size: data.len() as u64,
    };
    let name = "docker.io/fuzz/added:1";
    if store.set(name, &entry).is_err() {
        // Nothing was changed, least of all made empty.
        assert!(std::fs::read(&index).is_ok_and(|now| now == data));
        return;
    }
    assert!(matches!(store.find(name), Ok(Some(found)) if found == entry));
    if let (Ok(before), Ok(after)) = (before, store.names()) {
        for known in before {
            assert!(after.contains(&known), "lost {known:?}");
        }
    }
}
