//! A place to build in: a store of its own, no network unless asked for.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use formats::compress::Compression;
use lkbuild::build::{Context, build, resolve};
use lkbuild::layer::Limits;
use lkbuild::output::initrd::write_initrd;
use lkbuild::output::squashfs::write_squashfs;
use lkbuild::output::tree_iso::write_tree_iso;
use lkbuild::output::tree_tar::write_tree_tar;
use lkbuild::pack::Workers;
use lkbuild::progress::{Counters, Progress};
use lkbuild::registry::{Images, ImagesOptions, Platform, Source};
use lkbuild::store::Store;
use testdata::{Layout, Snapshot, sha256_hex};

use crate::read;

/// The initrd's usual compression.
pub(crate) const GZIP: Compression = Compression::Gzip { level: 4 };

/// How to build.
#[derive(Default)]
pub(crate) struct Options {
    /// gzip, if `None`.
    pub(crate) compression: Option<Compression>,
    /// Threads that compress; 2, if 0.
    pub(crate) threads: usize,
    /// Files with images that the user names.
    pub(crate) files: Vec<Box<dyn Source>>,
    /// The registries.
    pub(crate) remote: Option<Box<dyn Source>>,
    /// Write the tree as tar, squashfs and ISO as well.
    pub(crate) trees: bool,
}

/// What came out.
pub(crate) struct Built {
    pub(crate) initrd: Vec<u8>,
    pub(crate) kernel: Vec<u8>,
    pub(crate) cmdline: String,
    /// Empty, unless they were asked for.
    pub(crate) tar: Vec<u8>,
    pub(crate) squashfs: Vec<u8>,
    pub(crate) iso: Vec<u8>,
    pub(crate) counters: Counters,
}

impl Built {
    /// The tree in the initrd.
    pub(crate) fn tree(&self) -> Snapshot {
        read::initrd(&self.initrd)
    }

    /// Kernel, command line and initrd, to compare.
    pub(crate) fn files(&self) -> (&[u8], &str, &[u8]) {
        (&self.kernel, &self.cmdline, &self.initrd)
    }
}

/// A temporary folder with a store (an OCI layout that holds the images).
pub(crate) struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    /// Starts with these images in the store.
    pub(crate) fn new(images: &Layout) -> Self {
        let lab = Lab {
            dir: tempfile::tempdir().unwrap(),
        };
        images.write_dir(&lab.store());
        lab
    }

    /// A path inside the lab.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The store of images and packs.
    pub(crate) fn store(&self) -> PathBuf {
        self.path("cache")
    }

    /// Builds; the error is the message that a user would see.
    pub(crate) fn build_with(&self, yaml: &str, options: Options) -> Result<Built, String> {
        let loaded = lkbuild::config::load(&[("os.yml", yaml.as_bytes())]);
        let moby = loaded.map_err(|e| e.to_string())?.moby;
        let store = Store::open(&self.store()).map_err(|e| e.to_string())?;
        let images = Images::new(
            store,
            ImagesOptions {
                platform: Platform::linux("amd64"),
                pull: false,
                sboms: false,
                pins: Default::default(),
                files: options.files,
                remote: options.remote,
            },
        );
        let workers = Workers::new(options.threads.max(2)).unwrap();
        let workers = match options.threads {
            1 => Workers::new(1).unwrap(),
            _ => workers,
        };
        let progress = Progress::silent();
        let compression = options.compression.unwrap_or(GZIP);
        let context = Context {
            images: &images,
            workers: &workers,
            compression,
            limits: Limits::default(),
            progress: &progress,
            caches: &Default::default(),
            sbom: None,
        };
        let resolved = resolve(&moby, &context).map_err(|e| e.to_string())?;
        let image = build(&moby, &resolved, &context, None).map_err(|e| e.to_string())?;
        let mut built = Built {
            initrd: Vec::new(),
            kernel: Vec::new(),
            cmdline: String::new(),
            tar: Vec::new(),
            squashfs: Vec::new(),
            iso: Vec::new(),
            counters: Counters::default(),
        };
        write_initrd(&mut built.initrd, &image, compression).map_err(|e| e.to_string())?;
        if let Some(kernel) = &image.kernel {
            let mut body = image.open(&kernel.body).map_err(|e| e.to_string())?;
            std::io::copy(&mut body, &mut built.kernel).map_err(|e| e.to_string())?;
            built.cmdline.clone_from(&kernel.cmdline);
        }
        if options.trees {
            built.tar = write_tree_tar(Vec::new(), &image, false).map_err(|e| e.to_string())?;
            let mut out = Cursor::new(Vec::new());
            write_squashfs(&mut out, &image).map_err(|e| e.to_string())?;
            built.squashfs = out.into_inner();
            let mut out = Cursor::new(Vec::new());
            write_tree_iso(&mut out, &image, "tree").map_err(|e| e.to_string())?;
            built.iso = out.into_inner();
        }
        built.counters = progress.counters();
        Ok(built)
    }

    /// Builds with gzip on two threads; it must succeed.
    pub(crate) fn build(&self, yaml: &str) -> Built {
        self.build_with(yaml, Options::default())
            .unwrap_or_else(|e| panic!("{e}"))
    }

    /// Fails the test where a blob of the store is not what its name says.
    pub(crate) fn assert_store_is_good(&self) {
        for path in files(&self.store().join("blobs/sha256")) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(name, sha256_hex(&bytes), "a blob in the store is wrong");
        }
        let index = std::fs::read(self.store().join("index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        assert!(index["manifests"].is_array(), "{index}");
    }
}

/// Every file below `root`.
pub(crate) fn files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
