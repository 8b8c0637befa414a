//! Extended attributes.

use crate::bounded::{u16_le, u32_le};
use crate::payload::Payload;

use super::super::format::{XATTR_ELSEWHERE, XATTR_PREFIXES};
use super::{Limits, ReadError, SquashfsReader, damaged, limit};

const WHAT: &str = "an extended attribute";

/// Name and value of an extended attribute.
pub type Xattr = (Vec<u8>, Vec<u8>);

impl<P: Payload> SquashfsReader<P> {
    /// The extended attributes of a set, by [`SquashfsEntry::xattrs`](super::SquashfsEntry): full
    /// names and values, in the file's order. Many names may have the same set.
    ///
    /// # Errors
    /// If they are damaged, or longer than the limit.
    pub fn xattrs(&self, set: u32, limits: Limits) -> Result<Vec<Xattr>, ReadError> {
        let (mut cursor, count) = self.xattr_set(set)?;
        let mut found = Vec::new();
        let mut bytes = 0;
        for _ in 0..count {
            let offset = cursor.block();
            let mut head = [0; 4];
            self.next_bytes(&mut cursor, &mut head, WHAT)?;
            let (kind, name_bytes) = (u16_le(&head, 0), usize::from(u16_le(&head, 2)));
            let prefix = usize::from(kind & !XATTR_ELSEWHERE);
            let prefix = XATTR_PREFIXES.get(prefix);
            let what = "an extended attribute is of no known kind";
            let mut name = prefix.ok_or_else(|| damaged(offset, what))?.to_vec();
            let start = name.len();
            name.resize(start + name_bytes, 0);
            self.next_bytes(&mut cursor, &mut name[start..], WHAT)?;
            let mut length = [0; 4];
            self.next_bytes(&mut cursor, &mut length, WHAT)?;
            let mut elsewhere = None;
            if kind & XATTR_ELSEWHERE != 0 {
                let mut reference = [0; 8];
                if u32_le(&length, 0) as usize != reference.len() {
                    let what = "a reference to an extended attribute has not eight bytes";
                    return Err(damaged(offset, what));
                }
                self.next_bytes(&mut cursor, &mut reference, WHAT)?;
                let mut place = self.xattr_elsewhere(u64::from_le_bytes(reference))?;
                self.next_bytes(&mut place, &mut length, WHAT)?;
                elsewhere = Some(place);
            }
            let length = u32::from_le_bytes(length);
            bytes += name.len() as u64 + u64::from(length);
            if bytes > limits.xattr_bytes {
                let what = "bytes of extended attributes of one name";
                return Err(limit(offset, what, limits.xattr_bytes));
            }
            let mut value = vec![0; length as usize];
            let place = elsewhere.as_mut().unwrap_or(&mut cursor);
            self.next_bytes(place, &mut value, WHAT)?;
            found.push((name, value));
        }
        Ok(found)
    }
}
