//! The engine with packs, as a build uses it: each layer becomes a pack in a store, which is opened
//! again, and bodies are read from there.

use formats::compress::Compression as BodyCompression;
use lkbuild::digest::Digest;
use lkbuild::layer::Limits;
use lkbuild::pack::{MakeOptions, Pack, PackKey, PackSet, PackStore, Workers, make};
use lkbuild::tree::apply::LayerView;
use lkbuild::tree::{Body, Tree, apply_layer};
use testdata::snapshot::file_content;
use testdata::{Compression, Layer, Snapshot};

use crate::engine;

/// Packs and merges layers, lowest first. Bodies are compressed in another way in every second
/// layer, which a build never does, but a reader must not mind.
pub(crate) fn merge(layers: &[Layer], compression: Compression) -> Result<Snapshot, String> {
    let dir = tempfile::tempdir().unwrap();
    let store = PackStore::new(dir.path());
    let workers = Workers::new(1).unwrap();
    let mut tree = Tree::new();
    let mut packs = PackSet::default();
    let mut sizes = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let blob = compression.compress(&layer.tar());
        let options = MakeOptions {
            key: PackKey {
                layer: Digest::sha256(&blob),
                compression: match index % 2 {
                    0 => BodyCompression::Gzip { level: 3 },
                    _ => BodyCompression::Zstd { level: 1 },
                },
                nested: None,
            },
            diff_id: None,
            limits: Limits::default(),
        };
        make(blob.as_slice(), &options, &store, &workers).map_err(|e| e.to_string())?;
        let pack = Pack::open(&store, &options.key).unwrap().unwrap();
        pack.verify().unwrap();
        let bodies = &pack.index().bodies;
        sizes.push(bodies.iter().map(|b| b.info.bytes).collect::<Vec<_>>());
        let pack = packs.add(pack);
        let index = packs.get(pack).index();
        let view = LayerView {
            entries: &index.entries,
            bodies: &index.body_of,
            pack,
            opened: None,
            origin: pack,
        };
        apply_layer(&mut tree, &view).map_err(|e| e.to_string())?;
    }
    Ok(engine::snapshot(&tree, |pack, body| {
        let size = sizes[pack as usize][body as usize];
        let place = Body::Packed { pack, body, size };
        file_content(&packs.read_body(&place, 1 << 30).unwrap())
    }))
}
