use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use crate::atomic::{STALE_AFTER, TEMPORARY_PREFIX};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    (dir, store)
}

fn entry(bytes: &[u8]) -> IndexEntry {
    IndexEntry {
        media_type: "application/vnd.oci.image.index.v1+json".into(),
        digest: Digest::sha256(bytes),
        size: bytes.len() as u64,
    }
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir.join("blobs/sha256")).unwrap().count()
}

#[test]
fn a_blob_appears_whole_or_not_at_all() {
    let (_dir, store) = store();
    let digest = Digest::sha256(b"hello");
    let mut blob = store.create_blob(&digest).unwrap();
    blob.write(b"hel").unwrap();
    assert!(store.open_blob(&digest, 5).unwrap().is_none());
    drop(blob);
    assert_eq!(
        files(store.dir()),
        0,
        "nothing is left of an abandoned blob"
    );
    store.write_document(b"hello").unwrap();
    let mut text = String::new();
    store
        .open_blob(&digest, 5)
        .unwrap()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "hello");
}

#[test]
fn a_damaged_blob_is_noticed_and_taken_away() {
    let (_dir, store) = store();
    let digest = store.write_document(b"hello").unwrap();
    fs::write(store.blob_path(&digest), b"hullo").unwrap();
    let mut reader = store.open_blob(&digest, 5).unwrap().unwrap();
    assert!(reader.read_to_end(&mut Vec::new()).is_err());
    assert_eq!(store.read_document(&digest).unwrap(), None);
    assert_eq!(files(store.dir()), 0);
    store.write_document(b"hello").unwrap();
    fs::write(store.blob_path(&digest), b"hell").unwrap();
    assert!(store.open_blob(&digest, 5).unwrap().is_none(), "cut");
    assert_eq!(files(store.dir()), 0);
}

#[test]
fn names_are_kept_and_replaced() {
    let (_dir, store) = store();
    assert_eq!(store.find("docker.io/a/b:1").unwrap(), None);
    store.set("docker.io/a/b:1", &entry(b"one")).unwrap();
    store.set("docker.io/a/c:1", &entry(b"two")).unwrap();
    store.set("docker.io/a/b:1", &entry(b"three")).unwrap();
    assert_eq!(
        store.find("docker.io/a/b:1").unwrap(),
        Some(entry(b"three"))
    );
    assert_eq!(
        store.names().unwrap(),
        ["docker.io/a/b:1", "docker.io/a/c:1"]
    );
}

#[test]
fn an_index_that_linuxkit_wrote_is_used_and_what_is_unknown_in_it_stays() {
    let (_dir, store) = store();
    let digest = Digest::sha256(b"x");
    let text = format!(
        r#"{{"schemaVersion":2,"extra":[1],"manifests":[
            {{"mediaType":"m","size":1,"digest":"{digest}","platform":{{"os":"linux"}},
              "annotations":{{"org.opencontainers.image.ref.name":"docker.io/x/y:1","k":"v"}}}},
            {{"mediaType":"m","size":1,"digest":"{digest}"}}]}}"#
    );
    let path = store.dir().join("index.json");
    fs::write(&path, text).unwrap();
    assert_eq!(
        store.find("docker.io/x/y:1").unwrap().unwrap().digest,
        digest
    );
    store.set("docker.io/new:1", &entry(b"new")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(index["extra"][0], 1);
    assert_eq!(index["manifests"][0]["annotations"]["k"], "v");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 3);
}

#[test]
fn a_broken_index_is_an_error_that_names_it() {
    let (_dir, store) = store();
    for text in ["", "{", "[]", r#"{"manifests":3}"#, r#"{"manifests":[3]}"#] {
        fs::write(store.dir().join("index.json"), text).unwrap();
        let error = store.set("a", &entry(b"a")).unwrap_err().to_string();
        assert!(error.contains("index.json"), "{error}");
    }
    fs::write(store.dir().join("index.json"), r#"{"manifests":null}"#).unwrap();
    store.set("a", &entry(b"a")).unwrap();
}

#[test]
fn many_writers_lose_no_name() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..5 {
                    store
                        .set(&format!("docker.io/w{writer}/i:{n}"), &entry(b"x"))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(store.names().unwrap().len(), 40);
}

#[test]
fn the_lock_is_the_kind_that_linuxkit_takes() {
    let (_dir, store) = store();
    let Ok(mut holder) = Command::new("python3")
        .arg("-c")
        .arg(
            "import fcntl,sys\nf=open(sys.argv[1],'w')\nfcntl.lockf(f,fcntl.LOCK_EX)\n\
             print('held',flush=True)\nsys.stdin.read()",
        )
        .arg(store.dir().join(".lock"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    else {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        println!("skipped: python3 is not installed");
        return;
    };
    let mut line = [0; 5];
    holder
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut line)
        .unwrap();
    let (sender, done) = std::sync::mpsc::channel();
    let waiting = store.clone();
    std::thread::spawn(move || {
        waiting.set("docker.io/a:1", &entry(b"a")).unwrap();
        sender.send(()).unwrap();
    });
    let early = done.recv_timeout(Duration::from_millis(300));
    assert!(early.is_err(), "the other process holds the lock");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    done.recv_timeout(Duration::from_secs(30)).unwrap();
}

#[test]
fn stale_files_of_crashed_builds_go_and_fresh_ones_stay() {
    let (_dir, store) = store();
    let blobs = store.dir().join("blobs/sha256");
    for name in ["old", "fresh"] {
        fs::write(blobs.join(format!("{TEMPORARY_PREFIX}{name}")), b"x").unwrap();
    }
    let old = File::options()
        .write(true)
        .open(blobs.join(format!("{TEMPORARY_PREFIX}old")))
        .unwrap();
    old.set_modified(SystemTime::now() - 2 * STALE_AFTER)
        .unwrap();
    Store::open(store.dir()).unwrap();
    assert_eq!(files(store.dir()), 1);
}
