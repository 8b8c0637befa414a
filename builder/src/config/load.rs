//! The way from bytes to a checked configuration.

use std::sync::Arc;

use super::check::check;
use super::decode::Decoder;
use super::diagnostic::{ConfigError, Diagnostic};
use super::model::{Kernel, Moby, Settings};
use super::node;
use super::source::{Source, Span};

/// A configuration that can be built, and what should be said about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub moby: Moby,
    /// What is accepted but probably not meant.
    pub warnings: Vec<Diagnostic>,
}

/// Reads YAML files, given as name (shown in messages) and bytes, and appends them in order: lists
/// are joined, and the kernel's keys of a later file replace those of an earlier one.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong: bad YAML stops a file, other errors are
/// collected.
pub fn load(files: &[(&str, &[u8])]) -> Result<Loaded, ConfigError> {
    let mut decoder = Decoder::default();
    let mut moby = Moby::default();
    for (name, bytes) in files {
        if let Some(one) = load_file(&mut decoder, name, bytes) {
            append(&mut moby, one);
        }
    }
    // Cross checks of what is incomplete would only repeat the first errors.
    if decoder.errors.is_empty() {
        let (errors, warnings) = check(&moby);
        decoder.errors.extend(errors);
        decoder.warnings.extend(warnings);
    }
    if decoder.errors.is_empty() {
        Ok(Loaded {
            moby,
            warnings: decoder.warnings,
        })
    } else {
        Err(ConfigError::new(decoder.errors))
    }
}

fn load_file(decoder: &mut Decoder, name: &str, bytes: &[u8]) -> Option<Moby> {
    let node = match parse(name, bytes) {
        Ok(node) => node,
        Err(diagnostic) => {
            decoder.errors.push(*diagnostic);
            return None;
        }
    };
    let earlier = decoder.errors.len();
    let moby = decoder.moby(&node);
    // Keys are read in the schema's order; people read from top to bottom.
    decoder.errors[earlier..].sort_by_key(|d| d.span.as_ref().map(Span::start));
    moby
}

/// Reads the label `org.mobyproject.config` of an image; `image` names it in messages.
///
/// The label is JSON; like LinuxKit, it is read as the YAML that JSON is part of.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong.
pub fn label(image: &str, text: &str) -> Result<Settings, ConfigError> {
    let name = format!("label org.mobyproject.config of {image}");
    let node = parse(&name, text.as_bytes()).map_err(|d| ConfigError::from(*d))?;
    let mut decoder = Decoder::default();
    let settings = decoder.label(&node);
    match settings {
        Some(settings) if decoder.errors.is_empty() => Ok(settings),
        _ => Err(ConfigError::new(decoder.errors)),
    }
}

fn parse(name: &str, bytes: &[u8]) -> Result<Arc<node::Node>, Box<Diagnostic>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let source = Source::new(name, good);
            let end = Span::new(&source, error.valid_up_to(), error.valid_up_to());
            return Err(Box::new(
                Diagnostic::new(&end, "what follows is not UTF-8").help("save the file as UTF-8"),
            ));
        }
    };
    let source = Source::new(name, text);
    match node::parse(&source, text) {
        Ok(Some(node)) => Ok(node),
        Ok(None) => Err(Box::new(
            Diagnostic::new(&Span::new(&source, 0, 0), "there is nothing in it")
                .help("write {} for an empty configuration"),
        )),
        Err(diagnostic) => Err(Box::new(diagnostic)),
    }
}

fn append(moby: &mut Moby, more: Moby) {
    fn replace<T>(old: &mut Option<T>, new: Option<T>) {
        if new.is_some() {
            *old = new;
        }
    }
    let Moby {
        kernel,
        init,
        onboot,
        onshutdown,
        services,
        files,
        volumes,
    } = more;
    let Kernel {
        image,
        cmdline,
        binary,
        tar,
        ucode,
    } = kernel;
    // An empty command line or binary is how "as before" is written; an empty tar says something.
    replace(&mut moby.kernel.image, image);
    replace(&mut moby.kernel.cmdline, cmdline.filter(|c| !c.is_empty()));
    replace(&mut moby.kernel.binary, binary.filter(|b| !b.is_empty()));
    replace(&mut moby.kernel.tar, tar);
    replace(&mut moby.kernel.ucode, ucode);
    moby.init.extend(init);
    moby.onboot.extend(onboot);
    moby.onshutdown.extend(onshutdown);
    moby.services.extend(services);
    moby.files.extend(files);
    moby.volumes.extend(volumes);
}
