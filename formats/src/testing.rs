//! What the tests of this crate share.

use std::path::Path;

use crate::payload::{Extents, Payload};

/// Bytes that don't compress; a longer one starts with the shorter ones.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8))
        .flat_map(|_| next().to_le_bytes())
        .collect();
    bytes.truncate(len);
    bytes
}

/// Bytes that compress as programs and text do, with matches near and far.
pub(crate) fn text(len: usize) -> Vec<u8> {
    let words = noise(2048);
    let mut bytes = Vec::with_capacity(len + 16);
    for pick in noise(len / 4 + 16) {
        if bytes.len() >= len {
            break;
        }
        let start = usize::from(pick) * 7;
        bytes.extend_from_slice(&words[start..start + usize::from(pick % 11) + 3]);
        bytes.push(pick % 3);
    }
    bytes.truncate(len);
    bytes
}

/// A disk with what is awkward: data at both ends, zeros written as data, blocks that compress
/// and that don't, far gaps, an odd length.
pub(crate) fn awkward_disk(len_bytes: u64) -> Extents {
    let mut disk = Extents::new(len_bytes);
    let mut place = |start: u64, bytes: Vec<u8>| disk.place(start, bytes).unwrap();
    place(0, text(512));
    place(65_536 - 3, text(7));
    place(1 << 20, noise(300_000));
    place(2 << 20, vec![0; 200_000]);
    place(3 << 20, text(2_500_001));
    place(33 << 20, noise(65_536));
    place(70 << 20, text(1));
    place(len_bytes - 513, text(513));
    disk
}

/// What a judge prints, run in `folder`; `None` where it is not installed. It must be content: an
/// exit code or a complaint fails the test.
pub(crate) fn judged(program: &str, arguments: &[&str], folder: &Path) -> Option<String> {
    let output = std::process::Command::new(testdata::judge(program)?)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{program} {arguments:?}: {printed}{complaints}"
    );
    Some(printed)
}

/// The same of `qemu-img`, with paths that are whole.
pub(crate) fn qemu_img(arguments: &[&str]) -> Option<String> {
    judged("qemu-img", arguments, Path::new("/"))
}

/// Writes all of a disk to a raw file.
pub(crate) fn raw_file(disk: &dyn Payload, path: &Path) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::create(path).unwrap();
    file.set_len(disk.len_bytes()).unwrap();
    let mut offset = 0;
    while let Some(range) = disk.next_data(offset) {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        disk.read_exact_at(range.start, &mut bytes).unwrap();
        file.write_all_at(&bytes, range.start).unwrap();
        offset = range.end;
    }
}

/// Whether two disks hold the same; the longer one may end in zeros.
pub(crate) fn same_content(one: &dyn Payload, other: &dyn Payload) -> bool {
    let read = |disk: &dyn Payload, offset: u64, out: &mut [u8]| {
        let left = disk.len_bytes().saturating_sub(offset);
        let bytes = usize::try_from(left).unwrap().min(out.len());
        out.fill(0);
        if bytes > 0 {
            disk.read_exact_at(offset, &mut out[..bytes]).unwrap();
        }
    };
    let (mut ours, mut theirs) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    (0..one.len_bytes().max(other.len_bytes()))
        .step_by(1 << 20)
        .all(|offset| {
            read(one, offset, &mut ours);
            read(other, offset, &mut theirs);
            ours == theirs
        })
}
