use super::*;

fn files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<_> = names.map(|n| n.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn files_appear_whole_and_together() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "old").unwrap();
    let mut pending: Vec<_> = ["a", "b"]
        .map(|name| PendingFile::create(&dir.path().join(name)).unwrap())
        .into_iter()
        .collect();
    for file in &mut pending {
        file.write_all(b"new").unwrap();
    }
    assert_eq!(files(dir.path()), ["a"]);
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"old");
    commit(pending).unwrap();
    assert_eq!(files(dir.path()), ["a", "b"]);
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"new");
}

#[test]
fn what_was_written_can_be_read_and_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = PendingFile::create(&dir.path().join("a")).unwrap();
    file.write_all(b"0123456789").unwrap();
    let mut read = [0; 3];
    let reader = file.reader().unwrap();
    std::os::unix::fs::FileExt::read_exact_at(&reader, &mut read, 4).unwrap();
    assert_eq!(&read, b"456");
    file.seek(SeekFrom::Start(2)).unwrap();
    file.write_all(b"xy").unwrap();
    assert_eq!(file.bytes(), 10);
    file.seek(SeekFrom::Start(12)).unwrap();
    file.write_all(b"!").unwrap();
    assert_eq!(file.bytes(), 13);
    commit(vec![file]).unwrap();
    let bytes = fs::read(dir.path().join("a")).unwrap();
    assert_eq!(bytes, b"01xy456789\0\0!");
}

#[test]
fn what_goes_to_the_disk_early_can_still_be_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = PendingFile::create(&dir.path().join("a")).unwrap();
    let mut expected: Vec<u8> = (0..25_000_000_u32).map(|i| i.to_be_bytes()[2]).collect();
    for piece in expected.chunks(300_000) {
        file.write_all(piece).unwrap();
    }
    for at in [0, 8 << 20, (23 << 20) + 7] {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(b"again").unwrap();
        let at = usize::try_from(at).unwrap();
        expected[at..at + 5].copy_from_slice(b"again");
    }
    commit(vec![file]).unwrap();
    assert!(fs::read(dir.path().join("a")).unwrap() == expected);
}

#[test]
fn an_abandoned_file_leaves_nothing_and_the_old_one_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "old").unwrap();
    let mut file = PendingFile::create(&dir.path().join("a")).unwrap();
    file.write_all(&[7; 1 << 20]).unwrap();
    drop(file);
    assert_eq!(files(dir.path()), ["a"]);
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"old");
}

#[test]
fn the_same_bytes_leave_the_file_that_is_there() {
    use std::os::unix::fs::MetadataExt;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, "0123456789").unwrap();
    let old = fs::metadata(&path).unwrap();
    File::open(&path)
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    let mut file = PendingFile::create_or_keep(&path).unwrap();
    file.write_all(b"01234").unwrap();
    assert!(!file.is_unchanged());
    file.write_all(b"56789").unwrap();
    assert!(file.is_unchanged());
    let mut read = [0; 2];
    let reader = file.reader().unwrap();
    std::os::unix::fs::FileExt::read_exact_at(&reader, &mut read, 8).unwrap();
    assert_eq!(&read, b"89");
    commit(vec![file]).unwrap();
    let kept = fs::metadata(&path).unwrap();
    assert_eq!(kept.ino(), old.ino());
    assert!(kept.modified().unwrap() >= old.modified().unwrap());
}

#[test]
fn other_bytes_replace_the_file_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    for (old, new) in [
        ("0123456789", "0123456x89"),
        ("0123456789", "01234567"),
        ("0123456789", "0123456789ab"),
        ("0123456789", ""),
        ("", "0123"),
    ] {
        fs::write(&path, old).unwrap();
        let mut file = PendingFile::create_or_keep(&path).unwrap();
        for piece in new.as_bytes().chunks(3) {
            file.write_all(piece).unwrap();
        }
        assert!(!file.is_unchanged());
        assert_eq!(file.bytes(), new.len() as u64);
        assert_eq!(fs::read(&path).unwrap(), old.as_bytes());
        commit(vec![file]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), new.as_bytes());
    }
}

#[test]
fn a_file_that_is_compared_can_be_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, "0123456789").unwrap();
    let mut file = PendingFile::create_or_keep(&path).unwrap();
    file.write_all(b"0123456789").unwrap();
    file.seek(SeekFrom::Start(2)).unwrap();
    file.write_all(b"xy").unwrap();
    commit(vec![file]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"01xy456789");
}

#[test]
fn a_file_that_another_program_changes_meanwhile_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    // Replaced: the bytes that were compared are still at hand.
    fs::write(&path, "0123456789").unwrap();
    let mut file = PendingFile::create_or_keep(&path).unwrap();
    file.write_all(b"0123456789").unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "something else").unwrap();
    commit(vec![file]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"0123456789");
    // Written to: they are gone.
    for changed in ["0123x56789", "012"] {
        fs::write(&path, "0123456789").unwrap();
        let mut file = PendingFile::create_or_keep(&path).unwrap();
        file.write_all(b"01234").unwrap();
        fs::write(&path, changed).unwrap();
        assert!(file.write_all(b"other").is_err());
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), changed.as_bytes());
    }
}

#[test]
fn links_are_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let [path, other] = ["a", "b"].map(|name| dir.path().join(name));
    fs::write(&other, "0123").unwrap();
    std::os::unix::fs::symlink("b", &path).unwrap();
    let write = || {
        let mut file = PendingFile::create_or_keep(&path).unwrap();
        file.write_all(b"0123").unwrap();
        assert!(!file.is_unchanged());
        commit(vec![file]).unwrap();
    };
    write();
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    fs::remove_file(&path).unwrap();
    fs::hard_link(&other, &path).unwrap();
    write();
    fs::write(&path, "changed").unwrap();
    assert_eq!(fs::read(&other).unwrap(), b"0123");
}

#[test]
fn a_missing_folder_or_a_folder_in_the_way_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = PendingFile::create(&dir.path().join("no/where"))
        .err()
        .unwrap();
    assert!(error.to_string().contains("there is no folder"), "{error}");
    assert!(error.to_string().contains("no/where"), "{error}");
    let error = PendingFile::create(dir.path()).err().unwrap();
    assert!(error.to_string().contains("it is a folder"), "{error}");
}

#[test]
fn an_error_names_its_file_once() {
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    for error in [full(), named(Path::new("a"), full())] {
        let error = WriteFileError::new(Path::new("a"), error);
        assert_eq!(error.to_string(), format!("can't write a: {}", full()));
    }
}

#[test]
fn a_device_keeps_its_name() {
    assert!(is_stream(Path::new("/dev/null")));
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("null");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    let error = PendingFile::create(&link).err().unwrap();
    assert!(error.to_string().contains("a device"), "{error}");
    assert!(!is_stream(dir.path()) && !is_stream(&dir.path().join("nothing")));
}

#[test]
fn what_a_killed_program_left_goes_after_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    for (name, age) in [
        (".lkbuild-old", 2 * STALE_AFTER),
        (".lkbuild-new", STALE_AFTER / 2),
        ("old", 2 * STALE_AFTER),
    ] {
        let file = File::create(dir.path().join(name)).unwrap();
        file.set_modified(now - age).unwrap();
    }
    fs::create_dir(dir.path().join(".lkbuild-folder")).unwrap();
    remove_stale_files([dir.path().join("missing"), dir.path().to_owned()]);
    assert_eq!(
        files(dir.path()),
        [".lkbuild-folder", ".lkbuild-new", "old"]
    );
}

/// Writes pieces at their places and gives whether the file stayed.
fn write_at(path: &Path, pieces: &[(u64, &[u8])]) -> bool {
    let mut file = PendingFile::create_or_keep(path).unwrap();
    for (at, piece) in pieces {
        assert_eq!(file.seek(SeekFrom::Start(*at)).unwrap(), *at);
        file.write_all(piece).unwrap();
        assert_eq!(file.bytes(), at + piece.len() as u64);
    }
    let stayed = file.is_unchanged();
    commit(vec![file]).unwrap();
    stayed
}

#[test]
fn zeros_that_are_left_out_are_compared_too() {
    use std::os::unix::fs::{FileExt, MetadataExt};

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    const MIB: u64 = 1 << 20;
    let pieces: [(u64, &[u8]); 3] = [(3 * MIB, b"one"), (5 * MIB, b"two"), (9 * MIB, b"end")];
    let mut expected = vec![0; 9 << 20];
    expected[3 << 20..][..3].copy_from_slice(b"one");
    expected[5 << 20..][..3].copy_from_slice(b"two");
    expected.extend(b"end");
    assert!(!write_at(&path, &pieces), "there is no file");
    let made = fs::metadata(&path).unwrap();
    assert!(write_at(&path, &pieces), "holes");
    // One that has the zeros, as a copy may.
    fs::write(&path, &expected).unwrap();
    assert!(write_at(&path, &pieces), "zeros");
    for at in [0, 3 * MIB - 1, 4 * MIB, 9 * MIB - 1, 9 * MIB + 2] {
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(b"x", at).unwrap();
        assert!(!write_at(&path, &pieces), "{at}");
        assert!(fs::read(&path).unwrap() == expected, "{at}");
        // What was left out is left out of the copy.
        let blocks = fs::metadata(&path).unwrap().blocks();
        assert!(blocks <= made.blocks() + 8, "{blocks} {}", made.blocks());
    }
    // Longer, and cut within the last hole.
    fs::write(&path, [&expected[..], b"more"].concat()).unwrap();
    assert!(!write_at(&path, &pieces));
    assert!(fs::read(&path).unwrap() == expected);
    fs::write(&path, &expected[..7 << 20]).unwrap();
    assert!(!write_at(&path, &pieces));
    assert!(fs::read(&path).unwrap() == expected);
}

#[test]
fn a_head_that_is_written_last_is_compared_too() {
    use std::os::unix::fs::MetadataExt;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    const MIB: usize = 1 << 20;
    // Data, a header that says what came of it, and a table behind that.
    let body = vec![b'b'; 3 * MIB];
    let write = || {
        let mut file = PendingFile::create_or_keep(&path).unwrap();
        for (at, piece) in [(MIB, &body[..]), (0, b"head"), (1000, b"table")] {
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            for piece in piece.chunks(MIB - 1) {
                file.write_all(piece).unwrap();
            }
        }
        assert_eq!(file.bytes(), 4 * MIB as u64);
        let stays = file.is_unchanged();
        commit(vec![file]).unwrap();
        stays
    };
    assert!(!write(), "there is no file");
    let expected = fs::read(&path).unwrap();
    let made = fs::metadata(&path).unwrap();
    assert!(write());
    assert_eq!(fs::metadata(&path).unwrap().ino(), made.ino());
    // In each piece, in what was left out between them, and at the end.
    for at in [
        0,
        3,
        4,
        999,
        1000,
        1004,
        1005,
        MIB - 1,
        MIB,
        2 * MIB,
        4 * MIB - 1,
        4 * MIB,
    ] {
        let mut damaged = expected.clone();
        damaged.resize(expected.len().max(at + 1), 0);
        damaged[at] ^= 1;
        fs::write(&path, damaged).unwrap();
        assert!(!write(), "{at}");
        assert!(fs::read(&path).unwrap() == expected, "{at}");
        assert!(write(), "{at}");
    }
    fs::write(&path, &expected[..4 * MIB - 1]).unwrap();
    assert!(!write());
    assert!(fs::read(&path).unwrap() == expected);
}

#[test]
fn what_was_compared_is_written_over_at_any_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    for (at, over) in [
        (0, "xyz"),
        (2, "x"),
        (3, "xyz"),
        (1, "wxyz"),
        (5, "xyz"),
        (0, "0123456789"),
    ] {
        fs::write(&path, "0123456789").unwrap();
        let mut file = PendingFile::create_or_keep(&path).unwrap();
        for (at, piece) in [(6, "6789"), (2, "23"), (at, over)] {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(piece.as_bytes()).unwrap();
        }
        file.write_all(b"!").unwrap();
        commit(vec![file]).unwrap();
        let mut expected = b"\0\x0023\0\x006789".to_vec();
        let at = usize::try_from(at).unwrap();
        expected.resize(expected.len().max(at + over.len() + 1), 0);
        expected[at..][..over.len()].copy_from_slice(over.as_bytes());
        expected[at + over.len()] = b'!';
        assert_eq!(fs::read(&path).unwrap(), expected, "{at} {over}");
    }
}

#[test]
fn who_goes_back_or_leaves_the_end_out_gets_what_a_new_file_has() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, b"01\0\0\x00567\0\0").unwrap();
    let mut file = PendingFile::create_or_keep(&path).unwrap();
    file.write_all(b"01").unwrap();
    file.seek(SeekFrom::Start(5)).unwrap();
    file.write_all(b"567").unwrap();
    // Beyond the last byte that is written: a new file would be shorter.
    file.seek(SeekFrom::Start(10)).unwrap();
    assert!(!file.is_unchanged());
    assert_eq!(file.stream_position().unwrap(), 10);
    file.seek(SeekFrom::Start(1)).unwrap();
    file.write_all(b"x").unwrap();
    commit(vec![file]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"0x\0\0\x00567");
}
