//! LinuxKit YAML and the label of an image.

use lkbuild::config::{dry_run_yaml, label, load, metadata_json, metadata_yaml};

/// Loads any bytes as a YAML; one that is accepted is written out as YAML and as JSON, which must
/// load as the same.
pub fn yaml(data: &[u8]) {
    let loaded = match load(&[("fuzz.yml", data)]) {
        Ok(loaded) => loaded,
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains("fuzz.yml"), "no place in {message:?}");
            return;
        }
    };
    for write in [dry_run_yaml, metadata_yaml, metadata_json] {
        let written = write(&loaded.moby);
        match load(&[("again.yml", written.as_bytes())]) {
            Ok(again) => assert_eq!(write(&again.moby), written),
            Err(error) => panic!("{error}\n{written}"),
        }
    }
}

/// Reads any text as the label org.mobyproject.config of an image.
pub fn image_label(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Err(error) = label("registry.example/x:1", text)
    {
        assert!(!error.to_string().is_empty());
    }
}
