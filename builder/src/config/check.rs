//! What can only be judged when all files are put together.

use std::collections::{BTreeMap, HashMap};

use super::diagnostic::Diagnostic;
use super::model::{File, FileContent, Id, Moby, Settings, Text};
use super::source::Spanned;

/// The ids that containers get, from 100 on, over onboot, onshutdown and services.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    names: BTreeMap<String, Named>,
}

#[derive(Clone, Copy, Debug)]
enum Named {
    Once(u32),
    /// Two containers of this name: it means none of them.
    Often,
}

/// A name in `uid`, `gid` or `additionalGids` that has no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// There is no container of this name.
    #[error("there is no container {0:?} whose id could be meant")]
    Unknown(String),
    /// There is more than one.
    #[error("several containers are called {0:?}, so its id is not clear")]
    Ambiguous(String),
}

/// The id of the first container.
const FIRST_ID: u32 = 100;

impl Ids {
    /// Numbers the containers of a configuration.
    pub fn new(moby: &Moby) -> Self {
        let mut names = BTreeMap::new();
        for (id, (_, _, container)) in (FIRST_ID..).zip(moby.containers()) {
            names
                .entry(container.name.value.clone())
                .and_modify(|named| *named = Named::Often)
                .or_insert(Named::Once(id));
        }
        Self { names }
    }

    /// The number that an id stands for. A number in quotes is a number, unless a container is
    /// called so.
    ///
    /// # Errors
    /// A name that no container has, or more than one.
    pub fn number(&self, id: &Id) -> Result<u32, IdError> {
        let name = match id {
            Id::Number(n) => return Ok(*n),
            Id::Name(name) => name,
        };
        if matches!(name.as_str(), "" | "root") {
            return Ok(0);
        }
        match self.names.get(name) {
            Some(Named::Once(n)) => Ok(*n),
            Some(Named::Often) => Err(IdError::Ambiguous(name.clone())),
            None if name.bytes().all(|b| b.is_ascii_digit()) => {
                name.parse().map_err(|_| IdError::Unknown(name.clone()))
            }
            None => Err(IdError::Unknown(name.clone())),
        }
    }
}

/// Finds what is wrong with a whole configuration: errors, then warnings.
pub(super) fn check(moby: &Moby) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    unique(
        moby.services.iter().map(|c| &c.name),
        "service",
        &mut errors,
    );
    unique(moby.volumes.iter().map(|v| &v.name), "volume", &mut errors);
    let ids = Ids::new(moby);
    let mut id = |id: &Spanned<Id>| {
        if let Err(error) = ids.number(id) {
            let diagnostic = Diagnostic::new(&id.span, error.to_string());
            errors.push(diagnostic.help("write a number, \"root\", or a container's name"));
        }
    };
    for (_, _, container) in moby.containers() {
        let Settings {
            uid,
            gid,
            additional_gids,
            ..
        } = &container.settings;
        uid.iter()
            .chain(gid)
            .chain(additional_gids.iter().flatten())
            .for_each(&mut id);
    }
    for (_, _, container) in moby.containers() {
        check_doubtful(&container.settings, &mut warnings);
    }
    for file in &moby.files {
        file.uid.iter().chain(&file.gid).for_each(&mut id);
    }
    check_files(&moby.files, &mut errors, &mut warnings);
    (errors, warnings)
}

fn unique<'a>(names: impl Iterator<Item = &'a Text>, what: &str, errors: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<&str, &Text> = HashMap::new();
    for name in names {
        if let Some(first) = seen.insert(name, name) {
            let message = format!("a second {what} is called {:?}", name.as_str());
            errors.push(
                Diagnostic::new(&name.span, message)
                    .help(format!("the first is at {}; rename one", first.span)),
            );
        }
    }
}

/// What works, but hardly as meant.
fn check_doubtful(settings: &Settings, warnings: &mut Vec<Diagnostic>) {
    for (key, own, added) in [
        ("binds", &settings.binds, &settings.binds_add),
        (
            "capabilities",
            &settings.capabilities,
            &settings.capabilities_add,
        ),
    ] {
        if let (Some(_), Some([first, ..])) = (own, added.as_deref()) {
            let message = format!("\"{key}.add\" does nothing beside {key:?}");
            let help = format!("it adds to what the image's label has; put all into {key:?}");
            warnings.push(Diagnostic::new(&first.span, message).help(help));
        }
    }
    let mut destinations: HashMap<&str, &Text> = HashMap::new();
    for bind in settings.binds.iter().flatten() {
        let Some(destination) = bind.split(':').nth(1) else {
            continue;
        };
        if let Some(first) = destinations.insert(destination, bind) {
            let message = format!("a second bind to {destination:?}; this one stands");
            warnings.push(
                Diagnostic::new(&bind.span, message)
                    .help(format!("the first is at {}; remove one", first.span)),
            );
        }
    }
    for variable in settings.env.iter().flatten() {
        if !variable.contains('=') {
            let message = format!("the variable {:?} has no value", variable.as_str());
            warnings.push(Diagnostic::new(&variable.span, message).help("write NAME=value"));
        }
    }
}

/// A path can be written twice, but not as a file and a directory, nor lie below a file.
fn check_files(files: &[File], errors: &mut Vec<Diagnostic>, warnings: &mut Vec<Diagnostic>) {
    let mut entries: HashMap<String, &File> = HashMap::new();
    let mut plain: HashMap<String, &File> = HashMap::new();
    for file in files {
        let path = file.image_path();
        if is_plain(file) {
            plain.entry(path.clone()).or_insert(file);
        }
        if let Some(first) = entries.insert(path.clone(), file) {
            let is_directory = |f: &File| matches!(f.content, FileContent::Directory);
            let help = format!("the first is at {}", first.path.span);
            if is_directory(first) == is_directory(file) {
                let message = format!("{path:?} is written twice; this one stands");
                warnings.push(Diagnostic::new(&file.path.span, message).help(help));
            } else {
                let message = format!("{path:?} is both a directory and none");
                errors.push(Diagnostic::new(&file.path.span, message).help(help));
            }
        }
    }
    for file in files {
        let path = file.image_path();
        let parents = path.match_indices('/').map(|(slash, _)| &path[..slash]);
        if let Some((parent, other)) = parents.filter_map(|p| plain.get_key_value(p)).next() {
            let message = format!("{path:?} lies below {parent:?}, which is a file");
            errors.push(
                Diagnostic::new(&file.path.span, message)
                    .help(format!("the file is at {}", other.path.span)),
            );
        }
    }
}

/// Whether the entry is certain to be a regular file.
fn is_plain(file: &File) -> bool {
    !file.optional
        && !matches!(
            file.content,
            FileContent::Directory | FileContent::Symlink(_)
        )
}
