//! Layouts and archives that the user names.

use testdata::{Image, Layer, Layout};

use super::*;

fn layout() -> Layout {
    let image = Image::new().layer(&Layer::new().file("bin/x", "x"));
    Layout::new().image("vec/a:1", &image).image("b:2", &image)
}

/// Resolves through the file alone and reads the only layer.
fn read(path: &std::path::Path, name: &str) -> Result<Vec<u8>, String> {
    let dir = tempfile::tempdir().unwrap();
    let images = Images::new(
        Store::open(dir.path()).unwrap(),
        ImagesOptions {
            platform: Platform::linux("amd64"),
            pull: false,
            sboms: false,
            pins: Default::default(),
            files: vec![Box::new(
                local::LocalSource::open(path).map_err(|e| e.to_string())?,
            )],
            remote: None,
        },
    );
    let name = Reference::parse(name).unwrap();
    let image = images
        .resolve(&[name])
        .map_err(|e| e.to_string())?
        .remove(0);
    let mut bytes = Vec::new();
    let mut blob = images
        .open_blob(&image, &image.layers[0])
        .map_err(|e| e.to_string())?;
    blob.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    assert!(images.store().blob_path(&image.layers[0].digest).exists());
    Ok(bytes)
}

#[test]
fn a_layout_folder_a_layout_tar_and_docker_save_are_sources() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, tar, save) = (
        dir.path().join("folder"),
        dir.path().join("a.tar"),
        dir.path().join("b.tar"),
    );
    layout().write_dir(&folder);
    std::fs::write(&tar, layout().tar()).unwrap();
    std::fs::write(&save, layout().docker_save()).unwrap();
    for path in [&folder, &tar, &save] {
        for name in ["vec/a:1", "docker.io/vec/a:1", "b:2"] {
            let blob = read(path, name).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!(!blob.is_empty());
        }
        assert!(
            read(path, "vec/none:1")
                .unwrap_err()
                .contains("docker.io/vec/none:1")
        );
    }
}

#[test]
fn damaged_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    let open = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        read(&path, "vec/a:1")
    };
    let tar = layout().tar();
    for bytes in [&b""[..], b"no tar at all", &tar[..tar.len() / 2]] {
        assert!(open(bytes).is_err());
    }
    let mut bad = layout();
    for blob in bad.blobs.values_mut() {
        let last = blob.len() - 1;
        blob[last] ^= 1;
    }
    assert!(open(&bad.tar()).is_err());
    assert!(
        read(&dir.path().join("absent"), "vec/a:1")
            .unwrap_err()
            .contains("absent")
    );
}

/// A header of a tar with this type and size, and a right checksum.
fn header(kind: tar::EntryType, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// A long name that says it has 64 MiB, all of which would be taken into memory.
#[test]
fn cve_2023_25153_headers_of_an_archive_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader] {
        std::fs::write(&path, header(kind, 64 << 20)).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(65 << 20).unwrap();
        let error = read(&path, "vec/a:1").unwrap_err();
        assert!(
            error.contains("more than 1048576 bytes of headers"),
            "{error}"
        );
    }
    // Bodies are not headers.
    let body = [
        header(tar::EntryType::Regular, 64 << 20),
        vec![0; (64 << 20) + 1024],
    ]
    .concat();
    std::fs::write(&path, body).unwrap();
    let error = read(&path, "vec/a:1").unwrap_err();
    assert!(error.contains("neither index.json"), "{error}");
}

#[test]
fn cve_2023_25153_files_of_an_archive_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    let mut archive = tar::Builder::new(Vec::new());
    for n in 0..=100_000 {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        archive
            .append_data(&mut header, n.to_string(), std::io::empty())
            .unwrap();
    }
    std::fs::write(&path, archive.into_inner().unwrap()).unwrap();
    let error = read(&path, "vec/a:1").unwrap_err();
    assert!(error.contains("more than 100000 files"), "{error}");
}

/// Reading a pipe would never end, nor would a device without one.
#[test]
fn what_is_no_regular_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    layout().write_dir(dir.path());
    let index = dir.path().join("index.json");
    for target in ["/dev/zero", "/dev/null", "."] {
        std::fs::remove_file(&index).unwrap();
        std::os::unix::fs::symlink(target, &index).unwrap();
        let error = read(dir.path(), "vec/a:1").unwrap_err();
        assert!(error.contains("index.json is no regular file"), "{error}");
    }
}

/// A list of a few kilobytes that would have 64 GB hashed.
#[test]
fn a_layer_that_docker_save_names_many_times_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let layers = vec!["layer.tar"; 4000];
    let list = json!([{"Config": "config.json", "RepoTags": ["vec/a:1"], "Layers": layers}]);
    std::fs::write(dir.path().join("manifest.json"), list.to_string()).unwrap();
    std::fs::write(dir.path().join("config.json"), "{}").unwrap();
    std::fs::write(dir.path().join("layer.tar"), vec![0; 16 << 20]).unwrap();
    let start = std::time::Instant::now();
    local::LocalSource::open(dir.path()).unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}
