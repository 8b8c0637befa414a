//! The sections of a configuration, in LinuxKit's order.

use std::path::{Path, PathBuf};

use super::gather::{Gathered, Wanted};
use super::volume::add_oci_volume;
use super::{BuildError, Context, Resolved, SbomPlan};
use crate::assemble::sbom::SbomJoiner;
use crate::assemble::standard::ResolvConf;
use crate::assemble::{Assembler, FileEntry, FileKind, Image, KernelFiles, PackedLayer};
use crate::config::{
    File, FileContent, Id, Ids, Metadata, Moby, Volume, VolumeFormat, metadata_json, metadata_yaml,
};
use crate::reference::Reference;
use crate::runtime::{Bundle, Placement};
use crate::tree::Body;

/// What LinuxKit gives as the source of folders that no image brings.
const VOLUMES_SOURCE: &str = "linuxkit.volumes";
const EMPTY_SOURCE: &str = "empty";
const SBOM_SOURCE: &str = "linuxkit.sbom";
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
    let mut assembler = Assembler::new(packs, context.limits.links);
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
        assembler.add_kernel(&image.to_string(), layers(image, files.tar), &files)?;
    }
    for (index, image) in moby.init.iter().enumerate() {
        assembler.add_init(index, &image.to_string(), layers(image, None))?;
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
            let image = name.to_string();
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
    let image = bundle.image.to_string();
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
                Err(error) if file.optional => {
                    let shown = path.display();
                    context
                        .progress
                        .detail(format!("{place}: leaving out {shown}: {error}"));
                    return Ok(());
                }
                Err(source) => {
                    let path = path.display().to_string();
                    return Err(BuildError::Source {
                        place,
                        path,
                        source,
                    });
                }
            }
        }
    };
    if let FileKind::File(body) = &kind {
        context.progress.compressed(body.size());
    }
    let id = |id: &Option<crate::config::Spanned<Id>>| match id {
        None => Ok(0),
        Some(id) => ids.number(&id.value).map_err(|error| BuildError::Config {
            place: id.span.to_string(),
            message: error.to_string(),
        }),
    };
    let path = file.image_path();
    let entry = FileEntry {
        path: path.as_bytes(),
        // Validation has bounded it to twelve bits.
        mode: u16::try_from(file.mode_bits() & 0o7777).unwrap_or(0o600),
        owner: (id(&file.uid)?, id(&file.gid)?),
        kind,
    };
    Ok(assembler.add_file(index, &entry)?)
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
