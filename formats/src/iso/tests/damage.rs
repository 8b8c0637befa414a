//! Volumes that are damaged or hostile.

use super::*;

#[test]
fn damaged_volumes_are_errors() {
    let (tree, bodies) = awkward_tree();
    let volume = filled(&plan(&tree, &options()).unwrap(), &bodies);
    let mut bytes = vec![0; usize::try_from(volume.len_bytes()).unwrap()];
    volume.read_exact_at(0, &mut bytes).unwrap();
    let entries =
        |bytes: Vec<u8>| IsoReader::open(&bytes)?.entries(Names::RockRidge, Limits::default());
    let few = |limits: Limits| {
        let reader = IsoReader::open(&volume).unwrap();
        reader.entries(Names::RockRidge, limits)
    };
    assert!(entries(bytes.clone()).is_ok());
    for len in [0, 32_768, 40_000, 60_000] {
        assert!(entries(bytes[..len].to_vec()).is_err(), "{len}");
    }
    // A root folder that is its own child.
    let root = u32::from_le_bytes(*bytes[32_768 + 158..].first_chunk().unwrap());
    let mut looped = bytes.clone();
    let at = root as usize * 2048;
    let own = usize::from(looped[at]);
    let dots = usize::from(looped[at + own]);
    let first = at + own + dots;
    looped[first + 2..first + 6].copy_from_slice(&root.to_le_bytes());
    let error = entries(looped).unwrap_err();
    assert!(
        matches!(error.kind, ReadErrorKind::Damaged { .. }),
        "{error}"
    );
    // A continuation area that points at itself.
    let mut looped = bytes;
    let after_root = at + 2048;
    let ce = looped[after_root..]
        .windows(4)
        .position(|window| window == b"CE\x1c\x01")
        .unwrap();
    let pointer = looped[after_root + ce..][..28].to_vec();
    let word = |at: usize| u32::from_le_bytes(*pointer[at..].first_chunk().unwrap()) as usize;
    let area = word(4) * 2048 + word(12);
    looped[area..area + 28].copy_from_slice(&pointer);
    let error = entries(looped).unwrap_err();
    assert!(matches!(error.kind, ReadErrorKind::Limit { .. }), "{error}");

    let default = Limits::default();
    for limits in [
        Limits {
            entries: 5,
            ..default
        },
        Limits {
            depth: 3,
            ..default
        },
        Limits {
            folder_bytes: 2048,
            ..default
        },
        Limits {
            system_use_bytes: 200,
            ..default
        },
    ] {
        let error = few(limits).unwrap_err();
        assert!(matches!(error.kind, ReadErrorKind::Limit { .. }), "{error}");
    }
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let mut tree = IsoTree::new(attributes(0o755));
    tree.symlink(b"XY", attributes(0o777), b"target").unwrap();
    let volume = filled(&plan(&tree, &options()).unwrap(), &[]);
    let mut bytes = vec![0; usize::try_from(volume.len_bytes()).unwrap()];
    volume.read_exact_at(0, &mut bytes).unwrap();
    // The field with the name: its length, version and flags stand before it.
    let at = bytes.windows(7).position(|w| w == b"NM\x07\x01\0XY");
    let at = at.unwrap() + 5;
    for name in [b"..", b"a/", b"/a"] {
        let mut hostile = bytes.clone();
        hostile[at..at + 2].copy_from_slice(name);
        let reader = IsoReader::open(&hostile).unwrap();
        let error = reader.entries(Names::RockRidge, Limits::default());
        let kind = error.unwrap_err().kind;
        assert!(matches!(kind, ReadErrorKind::Damaged { .. }), "{kind}");
    }
}
