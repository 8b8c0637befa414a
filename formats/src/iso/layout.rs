//! Laying a volume out.

use super::catalog::BootImages;
use super::format::{
    DESCRIPTORS_LBA, Descriptor, FLAG_FOLDER, FLAG_MULTI_EXTENT, PARENT_ID, ROOT_RECORD_BYTES,
    Record, SECTION_MAX_BYTES, SECTOR, SECTOR_BYTES, SELF_ID, Section, Time, boot_record,
    path_table, path_table_bytes, record_bytes, terminator,
};
use super::names::{Naming, joliet_volume_id, volume_id};
use super::rock_ridge::{Continuations, Place};
use super::tree::{FileSource, IsoError, IsoTree, Kind, NodeId};

/// What a volume is besides its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsoOptions {
    /// Any text, of which the volume's identifiers are made.
    pub label: String,
    /// What the volume set is called, in hexadecimal. Derive it from the content.
    pub id: [u8; 16],
    /// When the volume was made, in seconds since 1970.
    pub time: i64,
    /// The volume is at least so long.
    pub least_bytes: u64,
}

/// A volume laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsoPlan {
    /// Descriptors, path tables and folders.
    pub metadata: Vec<u8>,
    /// Where they start: behind the system area.
    pub metadata_start_bytes: u64,
    /// Where to put each [`FileSource::New`], in the order in which they were added: start and
    /// length. They follow each other; each starts at a multiple of 2048.
    pub files: Vec<(u64, u64)>,
    /// Length of the volume.
    pub len_bytes: u64,
}

/// Path tables count folders in 16 bits (ECMA-119 9.4.4).
const FOLDERS_MAX: usize = u16::MAX as usize;

/// Lays a volume out.
///
/// # Errors
/// If there is more of something than the format can count.
pub fn plan(tree: &IsoTree, options: &IsoOptions) -> Result<IsoPlan, IsoError> {
    plan_bootable(tree, options, &BootImages::default())
}

pub(super) fn plan_bootable(
    tree: &IsoTree,
    options: &IsoOptions,
    images: &BootImages,
) -> Result<IsoPlan, IsoError> {
    let is_bootable = *images != BootImages::default();
    let mut primary = View::new(tree, Naming::Primary)?;
    let mut joliet = View::new(tree, Naming::Joliet)?;

    // Everything in its place: descriptors, catalog, tables, folders, continuations, files.
    let mut next = Cursor {
        lba: u64::from(DESCRIPTORS_LBA),
    };
    next.take(SECTOR_BYTES * if is_bootable { 4 } else { 3 })?;
    let catalog_lba = match is_bootable {
        true => next.take(SECTOR_BYTES)?,
        false => 0,
    };
    for view in [&mut primary, &mut joliet] {
        view.tables = [next.take(view.table_bytes)?, next.take(view.table_bytes)?];
    }
    for view in [&mut primary, &mut joliet] {
        for folder in &mut view.folders {
            folder.section.lba = next.take(u64::from(folder.section.bytes))?;
        }
    }
    let continuations_lba = next.lba()?;
    next.take(primary.continuation_sectors * SECTOR_BYTES)?;
    let metadata_end = next.lba()?;
    let mut files = Vec::new();
    let mut places = vec![0; tree.nodes.len()];
    for (node, place) in tree.nodes.iter().zip(&mut places) {
        match node.kind {
            Kind::File(FileSource::New { len_bytes }) => {
                let lba = next.take(len_bytes)?;
                files.push((u64::from(lba) * SECTOR_BYTES, len_bytes));
                *place = lba;
            }
            Kind::File(FileSource::Placed { start_bytes, .. }) => {
                *place = sector(start_bytes / SECTOR_BYTES)?;
            }
            _ => {}
        }
    }
    let least = options.least_bytes.div_ceil(SECTOR_BYTES);
    let sectors = sector(u64::from(next.lba()?).max(least))?;

    let mut out = Metadata::new(metadata_end);
    let time = Time::from_unix(options.time);
    let set_id: String = options
        .id
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let descriptor = |view: &View<'_>, label: &str| {
        let table_bytes = u32::try_from(view.table_bytes).unwrap_or(u32::MAX);
        Descriptor {
            joliet: view.naming == Naming::Joliet,
            volume_id: label,
            set_id: &set_id,
            sectors,
            path_table_bytes: table_bytes,
            path_table_le_lba: view.tables[0],
            path_table_be_lba: view.tables[1],
            root: view.folders[0].section,
            time,
        }
        .encode()
    };
    let mut lba = DESCRIPTORS_LBA;
    let mut put = |bytes: [u8; SECTOR]| {
        out.put(lba, &bytes);
        lba += 1;
    };
    put(descriptor(&primary, &volume_id(&options.label)));
    if is_bootable {
        // El Torito wants it in sector 17.
        put(boot_record(catalog_lba));
    }
    put(descriptor(&joliet, &joliet_volume_id(&options.label)));
    put(terminator());
    if is_bootable {
        out.put(catalog_lba, &images.catalog());
    }
    for view in [&primary, &joliet] {
        for (lba, big_endian) in view.tables.into_iter().zip([false, true]) {
            out.put(lba, &path_table(view.table(), big_endian));
        }
    }
    let mut continuations = Continuations::new(continuations_lba);
    for view in [&primary, &joliet] {
        for index in 0..view.folders.len() {
            let records = view.records(index, &places, &mut continuations);
            out.put(view.folders[index].section.lba, &records);
        }
    }
    out.put(continuations_lba, &continuations.bytes);
    Ok(IsoPlan {
        metadata: out.bytes,
        metadata_start_bytes: u64::from(DESCRIPTORS_LBA) * SECTOR_BYTES,
        files,
        len_bytes: u64::from(sectors) * SECTOR_BYTES,
    })
}

fn sector(number: u64) -> Result<u32, IsoError> {
    u32::try_from(number).map_err(|_| IsoError::TooMuch {
        what: "sectors of 2048 bytes",
        max: u64::from(u32::MAX),
    })
}

/// Hands out sectors.
struct Cursor {
    lba: u64,
}

impl Cursor {
    fn lba(&self) -> Result<u32, IsoError> {
        sector(self.lba)
    }

    fn take(&mut self, bytes: u64) -> Result<u32, IsoError> {
        let lba = self.lba()?;
        self.lba += bytes.div_ceil(SECTOR_BYTES);
        self.lba()?;
        Ok(lba)
    }
}

/// The sectors behind the system area.
struct Metadata {
    bytes: Vec<u8>,
}

impl Metadata {
    fn new(end_lba: u32) -> Self {
        let sectors = (end_lba - DESCRIPTORS_LBA) as usize;
        Self {
            bytes: vec![0; sectors * SECTOR],
        }
    }

    fn put(&mut self, lba: u32, bytes: &[u8]) {
        let start = (lba - DESCRIPTORS_LBA) as usize * SECTOR;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
    }
}

/// One name of a folder.
struct Child<'t> {
    /// As the tree has it.
    name: &'t [u8],
    identifier: Vec<u8>,
    node: NodeId,
    /// If it is a folder, where it is in the view.
    folder: Option<usize>,
}

struct Folder<'t> {
    node: NodeId,
    /// Where its parent is in the view.
    parent: usize,
    /// Its identifier there.
    identifier: Vec<u8>,
    /// In the order of its records.
    children: Vec<Child<'t>>,
    section: Section,
}

/// The tree under one kind of names: the folders in the order of the path table.
struct View<'t> {
    tree: &'t IsoTree,
    naming: Naming,
    folders: Vec<Folder<'t>>,
    table_bytes: u64,
    /// Where the path tables are: little-endian, big-endian.
    tables: [u32; 2],
    continuation_sectors: u64,
}

impl<'t> View<'t> {
    fn new(tree: &'t IsoTree, naming: Naming) -> Result<Self, IsoError> {
        let mut view = Self {
            tree,
            naming,
            folders: vec![Folder {
                node: 0,
                parent: 0,
                identifier: SELF_ID.to_vec(),
                children: Vec::new(),
                section: Section::default(),
            }],
            table_bytes: 0,
            tables: [0; 2],
            continuation_sectors: 0,
        };
        // Level by level, parents in order, then by identifier: the order of ECMA-119, 6.9.1.
        let mut index = 0;
        while index < view.folders.len() {
            let mut children = view.children(view.folders[index].node);
            for child in &mut children {
                if matches!(tree.nodes[child.node].kind, Kind::Folder(_)) {
                    child.folder = Some(view.folders.len());
                    view.folders.push(Folder {
                        node: child.node,
                        parent: index,
                        identifier: child.identifier.clone(),
                        children: Vec::new(),
                        section: Section::default(),
                    });
                }
            }
            view.folders[index].children = children;
            index += 1;
        }
        if view.folders.len() > FOLDERS_MAX {
            return Err(IsoError::TooMuch {
                what: "folders",
                max: FOLDERS_MAX as u64,
            });
        }
        let identifiers = view.folders.iter().map(|folder| &folder.identifier);
        view.table_bytes = identifiers.map(|id| path_table_bytes(id) as u64).sum();
        // Lengths do not depend on places, so records made with wrong ones tell them.
        let places = vec![0; tree.nodes.len()];
        let mut continuations = Continuations::new(0);
        for index in 0..view.folders.len() {
            let bytes = view.records(index, &places, &mut continuations).len();
            let bytes = u32::try_from(bytes).map_err(|_| IsoError::TooMuch {
                what: "bytes of names in a folder",
                max: u64::from(u32::MAX),
            })?;
            view.folders[index].section.bytes = bytes;
        }
        view.continuation_sectors = continuations.sectors();
        Ok(view)
    }

    fn children(&self, folder: NodeId) -> Vec<Child<'t>> {
        let Kind::Folder(names) = &self.tree.nodes[folder].kind else {
            return Vec::new();
        };
        let kind = |node: &NodeId| &self.tree.nodes[*node].kind;
        // Joliet knows only files and folders.
        let shown: Vec<_> = names
            .iter()
            .filter(|(_, node)| {
                self.naming == Naming::Primary
                    || matches!(kind(node), Kind::Folder(_) | Kind::File(_))
            })
            .collect();
        let named = shown
            .iter()
            .map(|(name, node)| (name.as_slice(), matches!(kind(node), Kind::Folder(_))));
        let identifiers = self.naming.identifiers(named);
        let mut children: Vec<_> = shown
            .into_iter()
            .zip(identifiers)
            .map(|((name, &node), identifier)| Child {
                name,
                identifier,
                node,
                folder: None,
            })
            .collect();
        children.sort_by(|a, b| self.naming.compare(&a.identifier, &b.identifier));
        children
    }

    fn table(&self) -> impl Iterator<Item = (&[u8], u32, u16)> {
        self.folders.iter().map(|folder| {
            let parent = u16::try_from(folder.parent + 1).unwrap_or(u16::MAX);
            (folder.identifier.as_slice(), folder.section.lba, parent)
        })
    }

    /// The sectors of a folder. `places` has where each node's bytes start.
    fn records(&self, index: usize, places: &[u32], continuations: &mut Continuations) -> Vec<u8> {
        let folder = &self.folders[index];
        let parent = &self.folders[folder.parent];
        let mut out = Vec::new();
        let own = if index == 0 { Place::Root } else { Place::Dots };
        for (identifier, place, of) in [(SELF_ID, own, folder), (PARENT_ID, Place::Dots, parent)] {
            let node = of.node;
            self.record(&mut out, identifier, node, place, of.section, continuations);
        }
        for child in &folder.children {
            let (id, place) = (&child.identifier, Place::Name(child.name));
            let sections = match (child.folder, &self.tree.nodes[child.node].kind) {
                (Some(folder), _) => vec![self.folders[folder].section],
                (None, Kind::File(source)) => sections(places[child.node], source.len_bytes()),
                _ => vec![Section::default()],
            };
            let last = sections.len() - 1;
            for (number, section) in sections.into_iter().enumerate() {
                let start = out.len();
                let at = self.record(&mut out, id, child.node, place, section, continuations);
                debug_assert!(at >= start);
                if number < last {
                    out[at + 25] |= FLAG_MULTI_EXTENT;
                }
            }
        }
        out.resize(out.len().next_multiple_of(SECTOR), 0);
        out
    }

    /// Appends a record, and gives where it starts: none crosses a sector's end.
    fn record(
        &self,
        out: &mut Vec<u8>,
        id: &[u8],
        node_id: NodeId,
        place: Place<'_>,
        section: Section,
        continuations: &mut Continuations,
    ) -> usize {
        let node = &self.tree.nodes[node_id];
        let time = Time::from_unix(node.attributes.mtime);
        let system_use = match self.naming {
            Naming::Primary => continuations.system_use(node, node_id, place, time, id),
            Naming::Joliet => Vec::new(),
        };
        let bytes = (record_bytes(id) + system_use.len()).next_multiple_of(2);
        let used = out.len() % SECTOR;
        if used + bytes > SECTOR {
            out.resize(out.len().next_multiple_of(SECTOR), 0);
        }
        let start = out.len();
        let record = Record {
            section,
            time,
            flags: match node.kind {
                Kind::Folder(_) => FLAG_FOLDER,
                _ => 0,
            },
            id,
            system_use: &system_use,
        };
        record.encode(out);
        start
    }
}

/// The sections of a file that starts in a sector: one, but for very long files.
fn sections(lba: u32, len_bytes: u64) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut offset = 0;
    loop {
        let bytes = (len_bytes - offset).min(SECTION_MAX_BYTES);
        let skipped = u32::try_from(offset / SECTOR_BYTES).unwrap_or(u32::MAX);
        sections.push(Section {
            // An empty file is nowhere.
            lba: if len_bytes == 0 { 0 } else { lba + skipped },
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        });
        offset += bytes;
        if offset >= len_bytes {
            return sections;
        }
    }
}

const _: () = assert!(ROOT_RECORD_BYTES == 34);
