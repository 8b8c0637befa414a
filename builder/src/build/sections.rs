//! The sections of a configuration, in LinuxKit's order.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::gather::{GatherError, Gathered, Wanted};
use super::volume::add_oci_volume;
use super::{BuildError, Context, Resolved, SbomPlan};
use crate::assemble::sbom::SbomJoiner;
use crate::assemble::standard::ResolvConf;
use crate::assemble::{
    AssembleError, Assembler, FileEntry, FileKind, Given, Image, KernelFiles, PackedLayer,
};
use crate::config::{
    Diagnostic, File, FileContent, Id, Ids, Kernel, Metadata, Moby, Span, Volume, VolumeFormat,
    metadata_json, metadata_yaml,
};
use crate::layer::{LayerError, LayerErrorKind};
use crate::pack::MakeError;
use crate::parts::Part;
use crate::reference::Reference;
use crate::runtime::{Bundle, Placement};
use crate::tree::Body;

/// What LinuxKit gives as the source of folders that no image brings.
const VOLUMES_SOURCE: &str = "linuxkit.volumes";
const EMPTY_SOURCE: &str = "empty";
const SBOM_SOURCE: &str = "linuxkit.sbom";
/// Where init images have the list of their packages.
const APK_DB: &str = "lib/apk/db/installed";
/// SBOMs of large images have some ten megabytes.
const MAX_SBOM_BYTES: u64 = 256 << 20;

/// The images whose layers a configuration needs.
pub(super) fn wanted(moby: &Moby, resolved: &Resolved) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut want = |name: &Reference, nested: Option<Vec<u8>>| {
        let Some(image) = resolved.place(name) else {
            return;
        };
        let one = Wanted { image, nested };
        if !wanted.contains(&one) {
            wanted.push(one);
        }
    };
    if let Some(kernel) = &moby.kernel.image {
        want(
            &kernel.value,
            moby.kernel.tar_path().map(|p| p.as_bytes().to_vec()),
        );
    }
    moby.init.iter().for_each(|image| want(&image.value, None));
    for volume in moby
        .volumes
        .iter()
        .filter(|v| v.format() == VolumeFormat::Filesystem)
    {
        volume
            .image
            .iter()
            .for_each(|image| want(&image.value, None));
    }
    moby.containers()
        .for_each(|(_, _, c)| want(&c.image.value, None));
    wanted
}

/// Lays sections over each other.
pub(super) fn assemble(
    moby: &Moby,
    resolved: &Resolved,
    bundles: &[Bundle],
    ids: &Ids,
    mut gathered: Gathered,
    context: &Context<'_>,
    home: Option<&Path>,
) -> Result<Image, BuildError> {
    let packs = std::mem::take(&mut gathered.packs);
    let mut assembler = Assembler::new(packs, &context.limits);
    let layers = |name: &Reference, nested: Option<&str>| -> &[PackedLayer] {
        let nested = nested.map(|n| n.as_bytes().to_vec());
        match resolved.place(name) {
            Some(image) => gathered.layers(&Wanted { image, nested }),
            None => &[],
        }
    };
    if let Some(image) = &moby.kernel.image {
        let files = KernelFiles {
            binary: moby.kernel.binary_path(),
            tar: moby.kernel.tar_path(),
            microcode: moby.kernel.ucode_path(),
            cmdline: moby.kernel.cmdline(),
        };
        assembler
            .add_kernel(&image.written_out(), layers(image, files.tar), &files)
            .map_err(|error| blame_kernel_file(error, &moby.kernel))?;
    }
    for (index, image) in moby.init.iter().enumerate() {
        assembler
            .add_init(index, &image.written_out(), layers(image, None))
            .map_err(|error| match error {
                AssembleError::Replaced { .. } => {
                    let help = "list the images in another order, or leave one of them out";
                    setting(&image.span, error.to_string(), help)
                }
                error => error.into(),
            })?;
    }
    assembler.finish_init()?;
    for (index, volume) in moby.volumes.iter().enumerate() {
        add_volume(&mut assembler, index, volume, resolved, layers, context)?;
    }
    for bundle in bundles {
        add_bundle(&mut assembler, bundle, layers(&bundle.image, None))?;
    }
    for (index, file) in moby.files.iter().enumerate() {
        add_file(&mut assembler, index, file, moby, ids, context, home)?;
    }
    if let Some(plan) = &context.sbom {
        let joined = join_sboms(moby, resolved, bundles, plan, context)?;
        assembler.add_text("sbom", &plan.path, SBOM_SOURCE, joined)?;
    }
    Ok(assembler.finish())
}

/// What is known of each place in the YAML, which the origins of files name.
pub(super) fn places(
    moby: &Moby,
    resolved: &Resolved,
    sbom: Option<&SbomPlan>,
) -> Vec<(String, Part)> {
    let digest = |image: &Reference| Some(resolved.get(image)?.manifest_digest.to_string());
    let part = |section: &str, image: Option<&Reference>| Part {
        section: section.to_owned(),
        image: image.map(Reference::to_string),
        digest: image.and_then(digest),
        ..Part::default()
    };
    let mut places: Vec<(String, Part)> = Vec::new();
    if let Some(image) = &moby.kernel.image {
        places.push(("kernel".to_owned(), part("kernel", Some(image))));
    }
    for (index, image) in moby.init.iter().enumerate() {
        places.push((format!("init[{index}]"), part("init", Some(image))));
    }
    // The joined package database has a place of its own.
    let database = Part {
        path: Some(APK_DB.to_owned()),
        ..part("init", None)
    };
    places.push(("init".to_owned(), database));
    for (index, volume) in moby.volumes.iter().enumerate() {
        let image = volume.image.as_ref().map(|image| &image.value);
        let volume = Part {
            name: Some(volume.name.value.clone()),
            path: Some(volume.base_path()),
            ..part("volumes", image)
        };
        places.push((format!("volume[{index}]"), volume));
    }
    for (section, index, container) in moby.containers() {
        let container = Part {
            name: Some(container.name.value.clone()),
            path: Some(section.bundle_path(index, &container.name)),
            ..part(section.name(), Some(&container.image))
        };
        places.push((format!("{}[{index}]", section.name()), container));
    }
    let sbom = Part {
        path: sbom.map(|plan| plan.path.clone()),
        ..part("sbom", None)
    };
    places.push(("sbom".to_owned(), sbom));
    places
}

/// The SBOMs of all images whose files are in the tree, each once per place.
fn join_sboms(
    moby: &Moby,
    resolved: &Resolved,
    bundles: &[Bundle],
    plan: &SbomPlan,
    context: &Context<'_>,
) -> Result<Vec<u8>, BuildError> {
    let mut places: Vec<(&Reference, String)> = Vec::new();
    places.extend(moby.kernel.image.iter().map(|i| (&i.value, String::new())));
    places.extend(moby.init.iter().map(|i| (&i.value, String::new())));
    for volume in moby
        .volumes
        .iter()
        .filter(|v| v.format() == VolumeFormat::Filesystem)
    {
        places.extend(volume.image.iter().map(|i| (&i.value, volume.lower_path())));
    }
    for bundle in bundles {
        if let Placement::Here(root) = &bundle.placement {
            places.push((&bundle.image, root.clone()));
        }
    }
    let mut joiner = SbomJoiner::default();
    for (name, prefix) in places {
        let Some(image) = resolved.get(name) else {
            continue;
        };
        for sbom in &image.sboms {
            let bytes = context.images.read_sbom(image, sbom, MAX_SBOM_BYTES)?;
            joiner.add(&name.to_string(), &prefix, &bytes)?;
        }
    }
    Ok(joiner.finish(&plan.created))
}

fn setting(span: &Span, message: impl Into<String>, help: &str) -> BuildError {
    BuildError::Setting(Box::new(Diagnostic::new(span, message).help(help)))
}

/// Where the YAML says which file of the kernel image is meant: at the key, or at the image.
fn kernel_place<'k>(kernel: &'k Kernel, key: &str) -> Option<&'k Span> {
    let own = match key {
        "binary" => &kernel.binary,
        "tar" => &kernel.tar,
        _ => &kernel.ucode,
    };
    let own = own.as_ref().filter(|text| !text.is_empty());
    own.map(|text| &text.span)
        .or(kernel.image.as_ref().map(|image| &image.span))
}

/// A file that the kernel image lacks, at its place.
fn blame_kernel_file(error: AssembleError, kernel: &Kernel) -> BuildError {
    if let AssembleError::KernelFile {
        image,
        path,
        key,
        hint,
    } = &error
        && let Some(span) = kernel_place(kernel, key)
    {
        let message = format!("{image} has no file {path} (named by kernel.{key})");
        return setting(span, message, hint);
    }
    error.into()
}

/// Modules that are no tar, at their place.
pub(super) fn blame_kernel_tar(error: GatherError, kernel: &Kernel) -> BuildError {
    if let GatherError::Layer { image, source, .. } = &error
        && kernel
            .image
            .as_ref()
            .is_some_and(|i| i.to_string() == *image)
        && let MakeError::Layer(LayerError {
            kind: LayerErrorKind::Visitor(nested),
            ..
        }) = &**source
        && nested.is::<LayerError>()
        && let (Some(path), Some(span)) = (kernel.tar_path(), kernel_place(kernel, "tar"))
    {
        let message = format!("{path:?} of {image} can't be read as a tar: {nested}");
        let help = "name the tar with the modules (not compressed), or write tar: none";
        return setting(span, message, help);
    }
    error.into()
}

fn add_volume<'l>(
    assembler: &mut Assembler,
    index: usize,
    volume: &Volume,
    resolved: &Resolved,
    layers: impl Fn(&Reference, Option<&str>) -> &'l [PackedLayer],
    context: &Context<'_>,
) -> Result<(), BuildError> {
    let location = format!("volume[{index}]");
    let lower = volume.lower_path();
    match &volume.image {
        None => assembler.add_folder(&location, &lower, EMPTY_SOURCE)?,
        Some(name) if volume.format() == VolumeFormat::Oci => {
            if let Some(image) = resolved.get(name) {
                add_oci_volume(assembler, &location, &lower, volume, image, context)?;
            }
        }
        Some(name) => {
            let image = name.written_out();
            let link = ResolvConf::Link;
            assembler.add_rootfs(&location, &lower, &image, layers(&name.value, None), link)?;
        }
    }
    assembler.add_folder(&location, &volume.tmp_path(), VOLUMES_SOURCE)?;
    assembler.add_folder(&location, &volume.merged_path(), VOLUMES_SOURCE)?;
    Ok(())
}

fn add_bundle(
    assembler: &mut Assembler,
    bundle: &Bundle,
    layers: &[PackedLayer],
) -> Result<(), BuildError> {
    let location = format!("{}[{}]", bundle.section.name(), bundle.index);
    let image = bundle.image.written_out();
    assembler.add_folder(&location, &bundle.path, &image)?;
    if let Placement::Here(root) = &bundle.placement {
        assembler.add_rootfs(&location, root, &image, layers, ResolvConf::Text)?;
    }
    for folder in bundle.directories() {
        assembler.add_folder(&location, &folder, &image)?;
    }
    for (name, text) in [
        ("config.json", &bundle.config_json),
        ("runtime.json", &bundle.runtime_json),
    ] {
        assembler.add_text(
            &location,
            &format!("{}/{name}", bundle.path),
            &image,
            text.clone(),
        )?;
    }
    Ok(())
}

fn add_file(
    assembler: &mut Assembler,
    index: usize,
    file: &File,
    moby: &Moby,
    ids: &Ids,
    context: &Context<'_>,
    home: Option<&Path>,
) -> Result<(), BuildError> {
    let place = file.path.span.to_string();
    let kind = match &file.content {
        FileContent::Directory => FileKind::Directory,
        FileContent::Symlink(target) => FileKind::Symlink(target.as_bytes().to_vec()),
        FileContent::Inline(bytes) => inline(bytes.clone()),
        FileContent::Metadata(Metadata::Yaml) => inline(metadata_yaml(moby).into_bytes()),
        FileContent::Metadata(Metadata::Json) => inline(metadata_json(moby).into_bytes()),
        FileContent::Source(source) => {
            let path = source_path(source, home);
            match std::fs::read(&path) {
                Ok(bytes) => inline(bytes),
                // A folder is there and was not meant: that is no file left out.
                Err(error) if file.optional && error.kind() != ErrorKind::IsADirectory => {
                    let shown = path.display();
                    context
                        .progress
                        .detail(format!("{place}: leaving out {shown}: {error}"));
                    return Ok(());
                }
                Err(error) => {
                    let message = format!("can't read {}: {error}", path.display());
                    let help = "name a file that is there (relative to where lkbuild runs), or add \
                                \"optional: true\"";
                    return Err(setting(&source.span, message, help));
                }
            }
        }
    };
    if let FileKind::File(body) = &kind {
        context.progress.compressed(body.size());
    }
    let id = |id: &Option<crate::config::Spanned<Id>>| match id {
        None => Ok(0),
        Some(id) => ids.number(&id.value).map_err(|error| {
            let help = "write a number, \"root\", or a container's name";
            setting(&id.span, error.to_string(), help)
        }),
    };
    let path = file.image_path();
    let entry = FileEntry {
        path: path.as_bytes(),
        // Validation has bounded it to twelve bits.
        mode: u16::try_from(file.mode_bits() & 0o7777).unwrap_or(0o600),
        owner: (id(&file.uid)?, id(&file.gid)?),
        given: Given {
            mode: file.mode.is_some(),
            uid: file.uid.is_some(),
            gid: file.gid.is_some(),
        },
        kind,
    };
    assembler.add_file(index, &entry).map_err(|error| {
        let help = "write another path, or use an image that has nothing there";
        setting(&file.path.span, error.to_string(), help)
    })
}

fn inline(bytes: Vec<u8>) -> FileKind {
    FileKind::File(Body::Inline(bytes.into()))
}

/// `~/` is the user's home; everything else is relative to where the build was started.
fn source_path(source: &str, home: Option<&Path>) -> PathBuf {
    match (source.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(source),
    }
}
