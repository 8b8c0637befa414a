//! System use fields: what Rock Ridge says of an entry.

use crate::bounded::{read_vec, u32_le};
use crate::payload::Payload;

use super::super::format::SECTOR_BYTES;
use super::{Limits, ReadError, limit};

/// What Rock Ridge says of an entry.
#[derive(Default)]
pub(super) struct Said {
    pub(super) name: Option<Vec<u8>>,
    pub(super) mode: Option<u32>,
    pub(super) links: Option<u32>,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) serial: Option<u32>,
    pub(super) device: (u32, u32),
    pub(super) time: Option<[u8; 7]>,
    pub(super) target: Target,
}

impl Said {
    /// Reads system use fields, also those that are continued elsewhere.
    pub(super) fn fields(
        &mut self,
        volume: &dyn Payload,
        fields: &[u8],
        limits: Limits,
        offset: u64,
    ) -> Result<(), ReadError> {
        let mut fields = fields.to_vec();
        let mut read_bytes = fields.len();
        loop {
            let mut continued = None;
            let mut rest = fields.as_slice();
            while let [a, b, bytes, _, ..] = *rest {
                let bytes = usize::from(bytes);
                if bytes < 4 || bytes > rest.len() {
                    break;
                }
                let content = &rest[4..bytes];
                match &[a, b] {
                    b"ST" => break,
                    b"CE" if content.len() >= 24 => {
                        continued = Some((
                            u64::from(u32_le(content, 0)) * SECTOR_BYTES
                                + u64::from(u32_le(content, 8)),
                            u32_le(content, 16) as usize,
                        ));
                    }
                    signature => self.field(signature, content),
                }
                rest = &rest[bytes..];
            }
            let Some((start, bytes)) = continued else {
                return Ok(());
            };
            // A pointer is longer than nothing, so the limit ends loops as well.
            read_bytes = read_bytes.saturating_add(bytes.max(28));
            if read_bytes > limits.system_use_bytes {
                let most = limits.system_use_bytes as u64;
                return Err(limit(offset, "bytes of system use fields", most));
            }
            fields = read_vec(volume, start, bytes as u64, "a continuation area")?;
        }
    }

    fn field(&mut self, signature: &[u8; 2], content: &[u8]) {
        let number = |at: usize| (content.len() >= at + 4).then(|| u32_le(content, at));
        match signature {
            b"PX" => {
                self.mode = number(0);
                self.links = number(8);
                self.owner = number(16).zip(number(24));
                self.serial = number(32);
            }
            b"PN" => {
                self.device = match number(0).zip(number(8)) {
                    // As Linux tells one way of writing it from the other.
                    Some((0, low)) if low > 0xff => (low >> 8, low & 0xff),
                    halves => halves.unwrap_or_default(),
                };
            }
            // "." and ".." have flags of their own and no name.
            b"NM" if content.first().is_some_and(|flags| flags & 6 == 0) => {
                let name = self.name.get_or_insert_default();
                name.extend_from_slice(&content[1..]);
            }
            b"TF" => self.time = changed(content),
            b"SL" if !content.is_empty() => self.target.components(&content[1..]),
            _ => {}
        }
    }
}

/// The time of the last change in a TF field of short times (RRIP 4.1.6).
fn changed(content: &[u8]) -> Option<[u8; 7]> {
    const CREATED: u8 = 1;
    const CHANGED: u8 = 2;
    const LONG: u8 = 0x80;
    let (&flags, times) = content.split_first()?;
    if flags & CHANGED == 0 || flags & LONG != 0 {
        return None;
    }
    let before = usize::from(flags & CREATED);
    times.get(before * 7..)?.first_chunk().copied()
}

/// The target of a symbolic link, as far as it is known.
#[derive(Default)]
pub(super) struct Target {
    pub(super) text: Vec<u8>,
    /// Whether the last component is complete and no slash stands behind it.
    needs_slash: bool,
}

impl Target {
    fn components(&mut self, mut records: &[u8]) {
        while let [flags, bytes, rest @ ..] = records {
            let bytes = usize::from(*bytes).min(rest.len());
            if self.needs_slash {
                self.text.push(b'/');
            }
            self.needs_slash = flags & 1 == 0;
            match flags & !1 {
                2 => self.text.push(b'.'),
                4 => self.text.extend_from_slice(b".."),
                8 => {
                    self.text.push(b'/');
                    self.needs_slash = false;
                }
                _ => self.text.extend_from_slice(&rest[..bytes]),
            }
            records = &rest[bytes..];
        }
    }
}
