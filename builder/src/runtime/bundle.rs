//! Bundles: a container's directory in the image.

use std::collections::BTreeMap;

use super::mounts::OciMount;
use super::settings::Layered;
use super::spec::{config_json, runtime_json};
use super::{ImageConfig, RuntimeError};
use crate::config::{Container, Diagnostic, Ids, Moby, Section, Settings, Volume, label};
use crate::reference::Reference;

/// What stands in the directory of one container. All paths are relative to the image's root,
/// without a slash at either end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The section, for messages and for LinuxKit's `LINUXKIT.location`.
    pub section: Section,
    /// The index within the section.
    pub index: usize,
    /// The image.
    pub image: Reference,
    /// The directory: `containers/onboot/000-NAME`, `containers/services/NAME`.
    pub path: String,
    /// Whether the root file system is read-only.
    pub readonly: bool,
    /// Where the image's files are.
    pub placement: Placement,
    /// The file `config.json`, mode 0644.
    pub config_json: Vec<u8>,
    /// The file `runtime.json`, mode 0644.
    pub runtime_json: Vec<u8>,
}

/// Where the files of a container's image are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// They go here: `PATH/rootfs` of a read-only container, `PATH/lower` of another.
    Here(String),
    /// They are here already, put there for an earlier container with the same image.
    Shared(String),
}

impl Placement {
    /// The directory with the image's files.
    pub fn root(&self) -> &str {
        match self {
            Self::Here(path) | Self::Shared(path) => path,
        }
    }
}

impl Bundle {
    /// Empty directories to make beside the files and the image's root, mode 0755, owned by root:
    /// mount points, in the order in which LinuxKit writes them.
    pub fn directories(&self) -> Vec<String> {
        match (self.readonly, &self.placement) {
            (false, _) => vec![
                format!("{}/tmp", self.path),
                format!("{}/rootfs", self.path),
            ],
            (true, Placement::Shared(_)) => vec![format!("{}/rootfs", self.path)],
            (true, Placement::Here(_)) => vec![],
        }
    }
}

/// Describes one container. `shared_root` is the directory in which an earlier container put the
/// same image's files, if any (its [`Placement::root`]).
///
/// # Errors
/// [`RuntimeError`]: a label that is wrong, or a setting that is, with its place.
pub fn bundle(
    container: &Container,
    section: Section,
    index: usize,
    image: &ImageConfig,
    volumes: &[Volume],
    ids: &Ids,
    shared_root: Option<&str>,
) -> Result<Bundle, RuntimeError> {
    let reference = &container.image.value;
    let from_label = if image.label.is_empty() {
        Settings::default()
    } else {
        label(&reference.to_string(), &image.label).map_err(|source| RuntimeError::Label {
            diagnostic: Box::new(
                Diagnostic::new(&container.image.span, "the label of this image is wrong")
                    .help("build the image with a label that is right, or use another"),
            ),
            source,
        })?
    };
    let settings = Layered {
        label: &from_label,
        yaml: &container.settings,
    };
    let readonly = settings.get(|s| &s.readonly).copied().unwrap_or_default();
    let config = config_json(&settings, image, volumes, ids, readonly).map_err(|diagnostic| {
        RuntimeError::Setting {
            container: container.name.value.clone(),
            place: container.name.span.clone(),
            image: reference.to_string(),
            diagnostic,
        }
    })?;
    let path = section.bundle_path(index, &container.name);
    let placement = match shared_root {
        Some(root) => Placement::Shared(root.to_owned()),
        None => Placement::Here(format!(
            "{path}/{}",
            if readonly { "rootfs" } else { "lower" }
        )),
    };
    let runtime = runtime_json(&settings, &root_mounts(&path, placement.root(), readonly));
    Ok(Bundle {
        section,
        index,
        image: reference.clone(),
        path,
        readonly,
        placement,
        config_json: config.to_go_json().into_bytes(),
        runtime_json: runtime.to_go_json().into_bytes(),
    })
}

/// The mounts with which LinuxKit's init makes a container's root file system: a bind (onto itself
/// at first use, since runc wants a mount point), or an overlay whose upper layer is a tmpfs.
fn root_mounts(path: &str, root: &str, readonly: bool) -> Vec<OciMount> {
    let rootfs = format!("/{path}/rootfs");
    let root = format!("/{root}");
    if readonly {
        return vec![OciMount::new("", &root, &rootfs, &["bind"])];
    }
    let tmp = format!("/{path}/tmp");
    let lower = format!("lowerdir={root}");
    let upper = format!("upperdir={tmp}/upper");
    let work = format!("workdir={tmp}/work");
    vec![
        OciMount::new("tmpfs", "tmpfs", &tmp, &[]),
        // Nothing else is to see the layers come and go.
        OciMount::new("", "", &tmp, &["remount", "private"]),
        OciMount::new("overlay", "overlay", &rootfs, &[&lower, &upper, &work]),
    ]
}

/// Describes all containers in LinuxKit's order (onboot, onshutdown, services); an image that
/// several of them use is stored with the first. `image_config` gives the config of an image.
///
/// # Errors
/// Those of [`bundle`], and of `image_config`.
pub fn bundles<E: From<RuntimeError>>(
    moby: &Moby,
    mut image_config: impl FnMut(&Reference) -> Result<ImageConfig, E>,
) -> Result<Vec<Bundle>, E> {
    let ids = Ids::new(moby);
    let mut roots: BTreeMap<Reference, String> = BTreeMap::new();
    let mut bundles = Vec::new();
    for (section, index, container) in moby.containers() {
        let reference = &container.image.value;
        let image = image_config(reference)?;
        let shared = roots.get(reference).map(String::as_str);
        let one = bundle(
            container,
            section,
            index,
            &image,
            &moby.volumes,
            &ids,
            shared,
        )?;
        roots
            .entry(reference.clone())
            .or_insert_with(|| one.placement.root().to_owned());
        bundles.push(one);
    }
    Ok(bundles)
}

/// Finds settings that no image's label could make right, before any image is fetched.
///
/// # Errors
/// The first one, as [`bundle`] would report it.
pub fn check(moby: &Moby) -> Result<(), RuntimeError> {
    // What a label says is replaced by the YAML or added to it; neither mends what is wrong there.
    bundles(moby, |_| Ok::<_, RuntimeError>(ImageConfig::default())).map(drop)
}
