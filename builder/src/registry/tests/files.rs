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
