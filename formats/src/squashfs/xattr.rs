//! Extended attributes: those of three kinds, each different set of them once.

use std::collections::HashMap;

use super::entry::SquashfsError;
use super::format::{MAX_XATTR_BYTES, NONE_U32, XATTR_PREFIXES};
use super::metadata::Metadata;

/// Sets of extended attributes.
#[derive(Default)]
pub(super) struct Xattrs {
    pub(super) pairs: Metadata,
    /// Of each set: where it is, how many there are, how long they are.
    pub(super) sets: Vec<(u64, u32, u32)>,
    /// Sets that were there before, by their bytes.
    known: HashMap<Vec<u8>, u32>,
    /// Names that lost some.
    pub(super) lost: u64,
}

impl Xattrs {
    /// The number of the set of these attributes.
    pub(super) fn add(&mut self, xattrs: &[(&[u8], &[u8])]) -> Result<u32, SquashfsError> {
        let mut sorted = xattrs.to_vec();
        sorted.sort_unstable();
        let mut bytes = Vec::new();
        let mut count = 0_u32;
        for &(name, value) in &sorted {
            let known = XATTR_PREFIXES
                .iter()
                .zip(0_u16..)
                .find_map(|(prefix, number)| Some((name.strip_prefix(*prefix)?, number)));
            let fits = |rest: &[u8]| rest.len() <= 255 && value.len() <= MAX_XATTR_BYTES;
            let Some((rest, number)) = known.filter(|(rest, _)| fits(rest)) else {
                continue;
            };
            count += 1;
            let length = u16::try_from(rest.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&number.to_le_bytes());
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(rest);
            let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(value);
        }
        if count as usize != xattrs.len() {
            self.lost += 1;
        }
        if count == 0 {
            return Ok(NONE_U32);
        }
        if let Some(&known) = self.known.get(&bytes) {
            return Ok(known);
        }
        let place = self.pairs.place()?;
        self.pairs.push(&bytes)?;
        let what = "extended attributes";
        let index = u32::try_from(self.sets.len()).map_err(|_| SquashfsError::TooMany { what })?;
        let length = u32::try_from(bytes.len()).map_err(|_| SquashfsError::TooMany { what })?;
        self.sets.push((place.reference(), count, length));
        self.known.insert(bytes, index);
        Ok(index)
    }
}
