//! Images, described.

use serde_json::{Value, json};

use crate::{Compression, Layer};

/// A layer of an image: what it holds and how its blob is compressed.
#[derive(Clone, Debug)]
pub(crate) struct LayerBlob {
    pub(crate) tar: Vec<u8>,
    pub(crate) compression: Compression,
}

/// An image: layers, the configuration of its containers, platforms, attestations.
///
/// ```
/// use testdata::{Compression, Image, Layer};
/// let image = Image::new()
///     .layer(&Layer::new().file("bin/x", "x").mode(0o755))
///     .layer_as(&Layer::new().whiteout("bin/x"), Compression::Zstd)
///     .config(serde_json::json!({"Cmd": ["/bin/x"]}));
/// ```
#[derive(Clone, Debug)]
pub struct Image {
    pub(crate) layers: Vec<LayerBlob>,
    pub(crate) config: Value,
    pub(crate) platforms: Vec<String>,
    pub(crate) sboms: Vec<Value>,
    pub(crate) docker_media_types: bool,
    pub(crate) indexed: bool,
    pub(crate) names_platform: bool,
}

impl Default for Image {
    fn default() -> Self {
        Image {
            layers: Vec::new(),
            config: json!({}),
            platforms: vec!["linux/amd64".into()],
            sboms: Vec::new(),
            docker_media_types: false,
            indexed: true,
            names_platform: true,
        }
    }
}

impl Image {
    /// An image for linux/amd64 without layers, listed in an index.
    pub fn new() -> Self {
        Image::default()
    }

    /// Puts a layer on top, compressed with gzip.
    pub fn layer(self, layer: &Layer) -> Self {
        self.layer_as(layer, Compression::Gzip)
    }

    /// Puts a layer on top.
    pub fn layer_as(self, layer: &Layer, compression: Compression) -> Self {
        self.raw_layer(layer.tar(), compression)
    }

    /// Puts a layer on top whose bytes (uncompressed) are the caller's.
    pub fn raw_layer(mut self, tar: Vec<u8>, compression: Compression) -> Self {
        self.layers.push(LayerBlob { tar, compression });
        self
    }

    /// Sets the `config` object of the image configuration (image-spec, config.md).
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// Sets the platforms, each `os/architecture[/variant]`; all get the same layers.
    pub fn platforms<S: Into<String>>(mut self, platforms: impl IntoIterator<Item = S>) -> Self {
        self.platforms = platforms.into_iter().map(Into::into).collect();
        self
    }

    /// Attaches an SPDX document to every platform, as an in-toto attestation manifest in the
    /// index.
    pub fn sbom(mut self, spdx: Value) -> Self {
        self.sboms.push(spdx);
        self
    }

    /// Uses Docker's media types instead of OCI's.
    pub fn docker_media_types(mut self) -> Self {
        self.docker_media_types = true;
        self
    }

    /// A manifest that stands alone, without an index: first platform only, no attestations.
    pub fn plain_manifest(mut self) -> Self {
        self.indexed = false;
        self
    }

    /// Index entries that name no platform.
    pub fn without_platform(mut self) -> Self {
        self.names_platform = false;
        self
    }
}
