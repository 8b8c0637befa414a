//! What kind of file is pushed: a descriptor of a disk brings its data with it, and some kinds are
//! of no use where they lie.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::super::CliError;

/// A descriptor is text of a few hundred bytes.
const MAX_DESCRIPTOR_BYTES: u64 = 64 << 10;

/// What a file is.
#[derive(Debug, Default)]
pub(super) struct Kind {
    /// Files that it refers to, beside it.
    pub(super) extents: Vec<PathBuf>,
    sparse: bool,
    appliance: bool,
}

impl Kind {
    /// Why it will be of no use on the datastore.
    pub(super) fn warning(&self, path: &Path) -> Option<String> {
        let why = match (self.sparse, self.appliance) {
            (true, _) => "a sparse VMDK can't be used as it lies on a datastore",
            (_, true) => "an OVA can't be used as it lies on a datastore",
            _ => return None,
        };
        Some(format!(
            "{}: {why}; lkbuild import vcenter makes a VM of it",
            path.display()
        ))
    }
}

/// Looks at the name and the first bytes.
pub(super) fn look(path: &Path) -> Result<Kind, CliError> {
    let ending = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    if ending.eq_ignore_ascii_case("ova") {
        return Ok(Kind {
            appliance: true,
            ..Kind::default()
        });
    }
    if !ending.eq_ignore_ascii_case("vmdk") {
        return Ok(Kind::default());
    }
    let at = |source| CliError::File {
        path: path.into(),
        source,
    };
    let mut start = Vec::new();
    let file = File::open(path).map_err(at)?;
    file.take(MAX_DESCRIPTOR_BYTES)
        .read_to_end(&mut start)
        .map_err(at)?;
    if start.starts_with(b"KDMV") {
        return Ok(Kind {
            sparse: true,
            ..Kind::default()
        });
    }
    if !start.starts_with(b"# Disk DescriptorFile") {
        return Ok(Kind::default());
    }
    let text = String::from_utf8_lossy(&start);
    let mut extents = Vec::new();
    for name in text.lines().filter_map(extent) {
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(CliError::Usage(format!(
                "{}: it refers to {name:?}, which is not beside it",
                path.display()
            )));
        }
        extents.push(path.with_file_name(name));
    }
    Ok(Kind {
        extents,
        ..Kind::default()
    })
}

/// The file that an extent's line names: `RW 4192256 VMFS "disk-flat.vmdk"`.
fn extent(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let access = words.next()?;
    words.next()?.parse::<u64>().ok()?;
    if !matches!(access, "RW" | "RDONLY") || !matches!(words.next()?, "VMFS" | "FLAT") {
        return None;
    }
    let (_, rest) = line.split_once('"')?;
    rest.split_once('"').map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_brings_its_data() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.VMDK");
        let text = "# Disk DescriptorFile\nversion=1\n\nRW 2048 VMFS \"my disk-flat.vmdk\"\n";
        std::fs::write(&path, text).unwrap();
        let kind = look(&path).unwrap();
        assert_eq!(kind.extents, [dir.path().join("my disk-flat.vmdk")]);
        assert!(kind.warning(&path).is_none());
        for bad in ["../x", "/etc/passwd", "a\\b", ".."] {
            std::fs::write(&path, text.replace("my disk-flat.vmdk", bad)).unwrap();
            assert!(look(&path).is_err(), "{bad}");
        }
        std::fs::write(&path, b"KDMV\x03").unwrap();
        assert!(
            look(&path)
                .unwrap()
                .warning(&path)
                .unwrap()
                .contains("import vcenter")
        );
        assert!(look(Path::new("not-there.iso")).unwrap().extents.is_empty());
        assert!(
            look(Path::new("x.ova"))
                .unwrap()
                .warning(Path::new("x.ova"))
                .is_some()
        );
    }
}
