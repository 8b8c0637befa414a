//! The list of images that lies beside an initrd ([`crate::parts`]).

use formats::medium::IMAGES_PATH;

use super::{Bytes, Inspector, Section};
use crate::parts::{LIST_MAX_BYTES, Parts, PartsError};

/// A list, not yet read.
#[derive(Clone)]
pub(super) struct ImageList {
    /// Where it was found.
    pub(super) place: &'static str,
    pub(super) bytes: Bytes,
}

impl ImageList {
    /// The list if it is that: a file of a medium, under its path.
    pub(super) fn at(path: &[u8], bytes: Option<Bytes>) -> Option<Self> {
        let bytes = bytes.filter(|_| path == IMAGES_PATH.as_bytes())?;
        Some(Self {
            place: IMAGES_PATH,
            bytes,
        })
    }

    fn read(&self) -> Result<Parts, String> {
        let len_bytes = self.bytes.len_bytes();
        if len_bytes > LIST_MAX_BYTES {
            return Err(PartsError::TooLarge(len_bytes).to_string());
        }
        let mut list = vec![0; usize::try_from(len_bytes).unwrap_or_default()];
        let read = self.bytes.read_exact_at(0, &mut list);
        read.map_err(|error| format!("it can't be read: {error}"))?;
        Parts::parse(&list).map_err(|error| error.to_string())
    }
}

impl Inspector {
    /// What a list says of an initrd that has so many entries and unpacked bytes: a list of
    /// another initrd is a problem.
    pub(super) fn images(
        &mut self,
        section: Section,
        list: &ImageList,
        entries: u64,
        unpacked_bytes: u64,
    ) -> Section {
        let place = list.place;
        let parts = match list.read() {
            Ok(parts) => parts,
            Err(error) => {
                self.problem(format!("{place}: {error}"));
                return section;
            }
        };
        let total = parts.total();
        if total != (entries, unpacked_bytes) {
            self.problem(format!(
                "{place} is not the list of this initrd: it names {} entries with {} bytes, and the \
                 initrd has {entries} with {unpacked_bytes}",
                total.0, total.1
            ));
        }
        let rows = parts.parts.iter().map(|part| {
            let mut row = Section::default().text("section", &part.section);
            for (key, text) in [("name", &part.name), ("image", &part.image)] {
                if let Some(text) = text {
                    row = row.text(key, text);
                }
            }
            if let Some(digest) = &part.digest {
                row = row.digest("digest", digest);
            }
            row = row
                .number("entries", part.entries)
                .bytes("unpacked_bytes", part.unpacked_bytes);
            match &part.path {
                Some(path) => row.text("path", path),
                None => row,
            }
        });
        section
            .text("platform", &parts.platform)
            .table("images", rows.collect())
    }
}
