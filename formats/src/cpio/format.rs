//! The newc header (buffer-format.rst, "cpio_header"): ASCII, 13 numbers of 8 hex digits.

/// Magic of entries without a checksum.
pub(super) const MAGIC: &[u8; 6] = b"070701";

/// Magic of entries whose `c_chksum` is the sum of the body's bytes.
pub(super) const MAGIC_WITH_CHECKSUM: &[u8; 6] = b"070702";

/// Name of the entry that ends an archive.
pub(super) const TRAILER: &[u8] = b"TRAILER!!!";

/// Length of magic and numbers.
pub(super) const HEADER_BYTES: usize = 6 + FIELDS * FIELD_BYTES;

const FIELDS: usize = 13;
const FIELD_BYTES: usize = 8;

/// Longest name (and link target) that the kernel takes: its `PATH_MAX` without the NUL.
pub const NAME_MAX_BYTES: usize = 4095;

/// Longest body: `c_filesize` has 32 bits.
pub const BODY_MAX_BYTES: u64 = u32::MAX as u64;

/// What is added to `bytes` to reach a multiple of four.
pub(super) fn padding(bytes: u64) -> &'static [u8] {
    const ZEROS: [u8; 3] = [0; 3];
    &ZEROS[..match bytes % 4 {
        0 => 0,
        1 => 3,
        2 => 2,
        _ => 1,
    }]
}

/// The header's numbers, in the order in which they stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) inode: u32,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) nlink: u32,
    pub(super) mtime: u32,
    pub(super) body_bytes: u32,
    pub(super) dev_major: u32,
    pub(super) dev_minor: u32,
    pub(super) rdev_major: u32,
    pub(super) rdev_minor: u32,
    /// With the NUL at its end.
    pub(super) name_bytes: u32,
    pub(super) checksum: u32,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let fields = [
            self.inode,
            self.mode,
            self.uid,
            self.gid,
            self.nlink,
            self.mtime,
            self.body_bytes,
            self.dev_major,
            self.dev_minor,
            self.rdev_major,
            self.rdev_minor,
            self.name_bytes,
            self.checksum,
        ];
        let mut bytes = [0; HEADER_BYTES];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        for (place, value) in bytes[MAGIC.len()..]
            .chunks_exact_mut(FIELD_BYTES)
            .zip(fields)
        {
            for (digit, shift) in place.iter_mut().zip((0..FIELD_BYTES).rev()) {
                let nibble = (value >> (4 * shift)) & 0xf;
                *digit = b"0123456789abcdef"[nibble as usize];
            }
        }
        bytes
    }

    /// `None` if a field is not 8 hex digits. The magic is not looked at.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let mut fields = bytes[MAGIC.len()..].chunks_exact(FIELD_BYTES).map(|field| {
            field.iter().try_fold(0, |value: u32, &digit| {
                Some(value << 4 | char::from(digit).to_digit(16)?)
            })
        });
        let mut next = || fields.next().flatten();
        Some(Self {
            inode: next()?,
            mode: next()?,
            uid: next()?,
            gid: next()?,
            nlink: next()?,
            mtime: next()?,
            body_bytes: next()?,
            dev_major: next()?,
            dev_minor: next()?,
            rdev_major: next()?,
            rdev_minor: next()?,
            name_bytes: next()?,
            checksum: next()?,
        })
    }
}
