//! Volumes of format `oci`: the image itself, as an OCI layout (image-spec, image-layout.md).

use std::collections::BTreeMap;

use oci_spec::image::{Descriptor, ImageIndex};
use serde::Serialize as _;
use serde_json::{Value, json};

use super::{BuildError, Context};
use crate::assemble::Assembler;
use crate::config::{Diagnostic, Volume};
use crate::digest::Digest;
use crate::registry::document::{self, Document, DocumentError, MANIFEST_TYPES};
use crate::registry::{RegistryError, RegistryErrorKind, ResolvedImage};
use crate::store::NAME_ANNOTATION;

/// The blobs of such a volume are held in memory.
const MAX_VOLUME_BYTES: u64 = 1 << 30;
/// The file `oci-layout`, with LinuxKit's white space.
const LAYOUT_MARKER: &[u8] = b"{\n\t\t\"imageLayoutVersion\": \"1.0.0\"\n\t}";

/// Puts the image's layout at `at`. With `platforms:` only those are kept, and the index names
/// only what is there.
pub(super) fn add_oci_volume(
    assembler: &mut Assembler,
    location: &str,
    at: &str,
    volume: &Volume,
    image: &ResolvedImage,
    context: &Context<'_>,
) -> Result<(), BuildError> {
    let mut layout = Layout {
        image,
        context,
        blobs: BTreeMap::new(),
        bytes: 0,
    };
    let top = layout.document(&image.top.digest, image.top.size, true)?;
    let platforms: Vec<&str> = volume.platforms.iter().map(|p| p.as_str()).collect();
    let (media_type, top) = match layout.parse(&top)? {
        Document::Manifest(_) => {
            layout.add_manifest(&top)?;
            (image.top.media_type.as_str(), top)
        }
        Document::Index(index) => {
            let kept = kept_entries(&index, &platforms);
            if kept.is_empty() {
                let message = format!(
                    "{} has none of the platforms {}",
                    image.reference,
                    platforms.join(", ")
                );
                let first = volume.platforms.first();
                let span = first.map_or(&volume.name.span, |p| &p.span);
                let diagnostic = Diagnostic::new(span, message)
                    .help("name platforms that the image has, like linux/amd64, or none for all");
                return Err(BuildError::Setting(Box::new(diagnostic)));
            }
            for entry in &kept {
                let digest = layout.digest_of(entry)?;
                let manifest = layout.document(&digest, entry.size(), true)?;
                layout.add_manifest(&manifest)?;
            }
            let index = match kept.len() == index.manifests().len() {
                true => top,
                false => narrowed(&top, &kept),
            };
            (MANIFEST_TYPES[0], index)
        }
    };
    let entry = json!({
        "mediaType": media_type,
        "size": top.len(),
        "digest": Digest::sha256(&top).to_string(),
        "annotations": { NAME_ANNOTATION: image.reference.to_string() },
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPES[0],
        "manifests": [entry],
    });
    layout.blobs.insert(Digest::sha256(&top), top);
    let name = image.reference.written_out();
    assembler.add_folder(location, at, &name)?;
    let mut add = |path: &str, bytes: Vec<u8>| {
        assembler.add_layout_file(location, &format!("{at}/{path}"), &name, bytes)
    };
    for (digest, bytes) in layout.blobs {
        add(
            &format!("blobs/{}/{}", digest.algorithm(), digest.hex()),
            bytes,
        )?;
    }
    add("index.json", go_indented(&index))?;
    add("oci-layout", LAYOUT_MARKER.to_vec())?;
    Ok(())
}

/// JSON as LinuxKit indents it in this place.
fn go_indented(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"   ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    // Text keys into memory: nothing can fail.
    let _ = value.serialize(&mut serializer);
    out
}

/// What the layout will hold.
struct Layout<'a> {
    image: &'a ResolvedImage,
    context: &'a Context<'a>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    bytes: u64,
}

impl Layout<'_> {
    fn error(&self, error: DocumentError) -> BuildError {
        let kind = RegistryErrorKind::from(error);
        RegistryError {
            image: self.image.reference.to_string(),
            kind,
        }
        .into()
    }

    fn parse(&self, bytes: &[u8]) -> Result<Document, BuildError> {
        document::parse(bytes, "").map_err(|e| self.error(e))
    }

    fn digest_of(&self, descriptor: &Descriptor) -> Result<Digest, BuildError> {
        document::digest_of(descriptor, "manifest").map_err(|e| self.error(e))
    }

    fn document(&self, digest: &Digest, size: u64, manifest: bool) -> Result<Vec<u8>, BuildError> {
        Ok(self
            .context
            .images
            .document(&self.image.reference, digest, size, manifest)?)
    }

    /// A manifest with its config and layers.
    fn add_manifest(&mut self, manifest: &[u8]) -> Result<(), BuildError> {
        let Document::Manifest(parsed) = self.parse(manifest)? else {
            return Err(self.error(DocumentError::Ambiguous));
        };
        for blob in parsed.layers().iter().chain([parsed.config()]) {
            let digest = self.digest_of(blob)?;
            if self.blobs.contains_key(&digest) {
                continue;
            }
            self.bytes = self.bytes.saturating_add(blob.size());
            if self.bytes > MAX_VOLUME_BYTES {
                let (bytes, limit) = (self.bytes, MAX_VOLUME_BYTES);
                return Err(self.error(DocumentError::TooLarge { bytes, limit }));
            }
            let (images, name) = (self.context.images, &self.image.reference);
            let bytes = images.read(name, &digest, blob.size(), |reader| {
                let mut bytes = Vec::new();
                reader.read_to_end(&mut bytes)?;
                Ok(bytes)
            })?;
            self.blobs.insert(digest, bytes);
        }
        self.blobs
            .insert(Digest::sha256(manifest), manifest.to_vec());
        Ok(())
    }
}

/// Entries of the wanted platforms with their attestations; all where none is named.
pub(crate) fn kept_entries<'i>(index: &'i ImageIndex, platforms: &[&str]) -> Vec<&'i Descriptor> {
    let is_wanted = |entry: &&Descriptor| {
        entry.platform().as_ref().is_some_and(|p| {
            let short = format!("{}/{}", p.os(), p.architecture());
            let variant = p.variant().as_deref().unwrap_or_default();
            platforms
                .iter()
                .any(|wanted| *wanted == short || *wanted == format!("{short}/{variant}"))
        })
    };
    let entries = index.manifests().iter();
    if platforms.is_empty() {
        return entries.collect();
    }
    let images: Vec<&Descriptor> = entries.clone().filter(is_wanted).collect();
    let belongs = |entry: &&Descriptor| {
        let subject = document::annotation(entry, "vnd.docker.reference.digest");
        images.contains(entry)
            || images
                .iter()
                .any(|i| subject == Some(i.digest().to_string().as_str()))
    };
    entries.filter(belongs).collect()
}

/// The index with only the entries that are kept; everything else in it stays.
fn narrowed(index: &[u8], kept: &[&Descriptor]) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(index) else {
        return index.to_vec();
    };
    let keeps = |entry: &Value| {
        let digest = entry
            .get("digest")
            .and_then(Value::as_str)
            .unwrap_or_default();
        kept.iter().any(|k| k.digest().to_string() == digest)
    };
    if let Some(Value::Array(entries)) = value.get_mut("manifests") {
        entries.retain(keeps);
    }
    value.to_string().into_bytes()
}
