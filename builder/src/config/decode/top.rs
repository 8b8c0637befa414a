//! The sections, and everything in them but containers.

use super::{Decoder, Fields};
use crate::config::diagnostic::{Diagnostic, nearest};
use crate::config::model::{File, FileContent, Kernel, Metadata, Moby, Text, Volume, VolumeFormat};
use crate::config::node::{Node, Value};
use crate::config::scalar::Scalar;
use crate::config::source::Spanned;
use crate::reference::{Reference, ReferenceProblem};

/// Bits that a mode may have: permissions, setuid, setgid, sticky.
const MODE_BITS: u32 = 0o7777;
/// Bits of a mode that say what kind of file it is, as in `st_mode` (and in git's modes).
const TYPE_BITS: u32 = 0o170_000;

/// Longest path that Linux takes (`PATH_MAX`, less the NUL), in bytes.
const MAX_PATH_BYTES: usize = 4095;
/// Most slashes in a path; no real one has nearly as many.
const MAX_PATH_DEPTH: usize = 255;

impl Decoder {
    /// A whole file.
    pub(in crate::config) fn moby(&mut self, node: &Node) -> Option<Moby> {
        let known = [
            "kernel",
            "init",
            "onboot",
            "onshutdown",
            "services",
            "files",
            "volumes",
            "trust",
        ];
        let f = self.fields(node, "a LinuxKit configuration", &known)?;
        if let Some(trust) = f.entry("trust") {
            self.trust(&trust.value);
            let message = "\"trust\" does nothing: content trust was removed from LinuxKit";
            self.warnings.push(
                Diagnostic::new(&trust.key.span, message)
                    .help("pin images by digest instead: name@sha256:..."),
            );
        }
        let mut containers = |section: &str| {
            let what = format!("{section:?}");
            self.list(f.get(section), &what, |d, n| d.container(n, section))
                .unwrap_or_default()
        };
        let (onboot, onshutdown, services) = (
            containers("onboot"),
            containers("onshutdown"),
            containers("services"),
        );
        Some(Moby {
            kernel: f
                .get("kernel")
                .and_then(|n| self.kernel(n))
                .unwrap_or_default(),
            init: self
                .texts(f.get("init"), "\"init\"")
                .unwrap_or_default()
                .into_iter()
                .filter_map(|name| self.reference(name))
                .collect(),
            onboot,
            onshutdown,
            services,
            files: self
                .list(f.get("files"), "\"files\"", Self::file)
                .unwrap_or_default(),
            volumes: self
                .list(f.get("volumes"), "\"volumes\"", Self::volume)
                .unwrap_or_default(),
        })
    }

    fn trust(&mut self, node: &Node) {
        if let Some(f) = self.fields(node, "\"trust\"", &["image", "org"]) {
            self.texts(f.get("image"), "\"image\"");
            self.texts(f.get("org"), "\"org\"");
        }
    }

    fn kernel(&mut self, node: &Node) -> Option<Kernel> {
        let keys = ["image", "cmdline", "binary", "tar", "ucode"];
        let f = self.fields(node, "\"kernel\"", &keys)?;
        let image = self.text(f.get("image"), "the image of the kernel");
        Some(Kernel {
            // LinuxKit writes an empty name where there is no kernel.
            image: image
                .filter(|name| !name.is_empty())
                .and_then(|name| self.reference(name)),
            cmdline: self.text(f.get("cmdline"), "\"cmdline\""),
            binary: self.text(f.get("binary"), "\"binary\""),
            tar: self.text(f.get("tar"), "\"tar\""),
            ucode: self.text(f.get("ucode"), "\"ucode\""),
        })
    }

    /// Text that must be there.
    pub(super) fn required(&mut self, f: &Fields<'_>, key: &str, what: &str) -> Option<Text> {
        match f.get(key) {
            Some(node) => self.text(Some(node), &format!("the {key} of {what}")),
            None => {
                // A slip of the key itself has been reported already.
                let slip = f.entries.iter().any(|e| nearest(&e.key, &[key]).is_some());
                if !slip {
                    let message = format!("{what} must have the key {key:?}");
                    self.error_help(f.span, message, format!("add \"{key}: ...\""));
                }
                None
            }
        }
    }

    /// A name that becomes one component of a path.
    pub(super) fn check_name(&mut self, name: &Text, what: &str) {
        let problem = if name.is_empty() {
            "is empty"
        } else if matches!(name.as_str(), "." | "..") {
            "is a directory's own name"
        } else if name.contains('/') {
            "has a slash, so its files would lie in another place"
        } else if name.chars().any(char::is_control) {
            "has a control character"
        } else {
            return;
        };
        let message = format!("{what} {problem}: {:?}", name.as_str());
        self.error_help(
            &name.span,
            message,
            "use letters, digits, \"-\", \"_\" and \".\"",
        );
    }

    /// Checks the name of an image.
    pub(super) fn reference(&mut self, name: Text) -> Option<Spanned<Reference>> {
        match Reference::parse(&name) {
            Ok(reference) => Some(Spanned::new(reference, name.span)),
            Err(error) if error.problem == ReferenceProblem::Package => {
                self.error_help(
                    &name.span,
                    format!(
                        "{:?} is a template of a package: not supported yet",
                        error.name
                    ),
                    "write the image's name, as `linuxkit pkg show-tag DIRECTORY` prints it",
                );
                None
            }
            Err(error) => {
                let message = format!("{:?} is not an image name", error.name);
                self.error_help(&name.span, message, error.problem.to_string());
                None
            }
        }
    }

    fn volume(&mut self, node: &Node) -> Option<Volume> {
        let keys = ["name", "image", "readonly", "format", "platforms"];
        let f = self.fields(node, "a volume", &keys)?;
        let name = self.required(&f, "name", "a volume");
        let good = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if let Some(name) = &name
            && (name.is_empty() || !name.bytes().all(good))
        {
            let message = format!("{:?} cannot be the name of a volume", name.as_str());
            let help = "use lower-case letters, digits, \"_\" and \"-\"";
            self.error_help(&name.span, message, help);
        }
        let image = self
            .text(f.get("image"), "the image of a volume")
            .filter(|i| !i.is_empty());
        // A name that is wrong has been reported already.
        let named = image.is_some();
        let image = image.and_then(|i| self.reference(i));
        let format = self.text(f.get("format"), "the format of a volume");
        let format = format.and_then(|format| match format.as_str() {
            "filesystem" => Some(VolumeFormat::Filesystem),
            "oci" => Some(VolumeFormat::Oci),
            other => {
                let message = format!("{other:?} is not a format of a volume");
                self.error_help(&format.span, message, "write \"filesystem\" or \"oci\"");
                None
            }
        });
        if format == Some(VolumeFormat::Oci) && image.is_none() && !named {
            let message = "a volume of format \"oci\" must have an image to hold";
            self.error_help(f.span, message, "add \"image: ...\", or remove the format");
        }
        let platforms = self
            .texts(f.get("platforms"), "\"platforms\"")
            .unwrap_or_default();
        for platform in &platforms {
            let parts: Vec<&str> = platform.split('/').collect();
            if !matches!(parts.len(), 2 | 3) || parts.contains(&"") {
                let message = format!("{:?} is not a platform", platform.as_str());
                let help =
                    "write os/architecture or os/architecture/variant, as in \"linux/arm64\"";
                self.error_help(&platform.span, message, help);
            }
        }
        Some(Volume {
            name: name?,
            image,
            readonly: self
                .boolean(f.get("readonly"), "\"readonly\"")
                .unwrap_or_default(),
            format,
            platforms,
        })
    }

    fn file(&mut self, node: &Node) -> Option<File> {
        let keys = [
            "path",
            "directory",
            "symlink",
            "contents",
            "source",
            "metadata",
            "optional",
            "mode",
            "uid",
            "gid",
        ];
        let f = self.fields(node, "a file", &keys)?;
        let path = self.required(&f, "path", "a file");
        if let Some(path) = &path {
            self.check_path(path);
        }
        let content = self.file_content(&f);
        // An empty mode counts as none, as LinuxKit has it.
        let mode = f.get("mode").filter(|node| !is_empty_text(node));
        let mut mode = self.mode(mode, "the mode of a file");
        if let (Some(mode), Some(content)) = (&mut mode, &content) {
            let kind = match content {
                FileContent::Directory => 0o040_000,
                FileContent::Symlink(_) => 0o120_000,
                _ => 0o100_000,
            };
            // Git's modes hold the type; they are fine as long as it is the right one.
            if mode.value.bits & !MODE_BITS == kind {
                mode.value.bits &= MODE_BITS;
            } else if mode.value.bits & !MODE_BITS != 0 {
                let message = format!(
                    "the mode {} has bits above 07777{}",
                    mode.value.written,
                    if mode.value.bits & TYPE_BITS != 0 {
                        " of another type of file"
                    } else {
                        ""
                    }
                );
                self.error_help(
                    &mode.span,
                    message,
                    "write permission bits only, like \"0644\"",
                );
            }
        }
        Some(File {
            path: path?,
            content: content?,
            optional: self
                .boolean(f.get("optional"), "\"optional\"")
                .unwrap_or_default(),
            mode,
            uid: self.id(f.get("uid"), "\"uid\""),
            gid: self.id(f.get("gid"), "\"gid\""),
        })
    }

    fn check_path(&mut self, path: &Text) {
        let problem = if path.is_empty() {
            "is empty"
        } else if path.split('/').any(|part| part == "..") {
            "has \"..\" in it"
        } else if path.contains('\0') {
            "has a NUL in it"
        } else if path.len() > MAX_PATH_BYTES || path.matches('/').count() > MAX_PATH_DEPTH {
            "is too long or too deep"
        } else if path.split('/').all(|part| matches!(part, "" | ".")) {
            "is the root itself"
        } else {
            return;
        };
        let shown: String = path.chars().take(100).collect();
        let message = format!("the path of a file {problem}: {shown:?}");
        self.error_help(
            &path.span,
            message,
            "write where the file stands in the image",
        );
    }

    /// What a file holds: exactly one of the ways to say so.
    fn file_content(&mut self, f: &Fields<'_>) -> Option<FileContent> {
        let directory = self
            .boolean(f.get("directory"), "\"directory\"")
            .unwrap_or_default();
        let symlink = self
            .text(f.get("symlink"), "\"symlink\"")
            .filter(|s| !s.is_empty());
        let contents = f.get("contents").and_then(|n| self.contents(n));
        let source = self
            .text(f.get("source"), "\"source\"")
            .filter(|s| !s.is_empty());
        let metadata = self
            .text(f.get("metadata"), "\"metadata\"")
            .filter(|m| !m.is_empty());

        let said: Vec<&str> = [
            ("directory", directory),
            ("symlink", symlink.is_some()),
            ("contents", contents.is_some()),
            ("source", source.is_some()),
            ("metadata", metadata.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, given)| given.then_some(key))
        .collect();
        if let [_, second, ..] = said[..] {
            let span = f.entry(second).map_or(f.span, |e| &e.key.span);
            let message = format!("a file cannot have {} together", said.join(" and "));
            self.error_help(span, message, "keep one of them");
            return None;
        }
        if directory {
            return Some(FileContent::Directory);
        }
        if let Some(target) = symlink {
            return Some(FileContent::Symlink(target));
        }
        if let Some(bytes) = contents {
            return Some(FileContent::Inline(bytes));
        }
        if let Some(path) = source {
            return Some(FileContent::Source(path));
        }
        let Some(form) = metadata else {
            // A value that was there and wrong has been reported already.
            if said.is_empty() && f.get("contents").is_none() {
                self.error_help(
                    f.span,
                    "a file must say what it holds",
                    "add \"contents:\" (\"\" for an empty file), \"source:\", \"symlink:\", \
                     \"metadata:\" or \"directory: true\"",
                );
            }
            return None;
        };
        match form.as_str() {
            "yaml" => Some(FileContent::Metadata(Metadata::Yaml)),
            "json" => Some(FileContent::Metadata(Metadata::Json)),
            other => {
                let message = format!("{other:?} is not a form of metadata");
                self.error_help(&form.span, message, "write \"yaml\" or \"json\"");
                None
            }
        }
    }

    /// Bytes of a file: text, or `!!binary`.
    fn contents(&mut self, node: &Node) -> Option<Vec<u8>> {
        match &node.value {
            Value::Scalar {
                meaning: Scalar::Text(text),
                ..
            } => Some(text.clone().into_bytes()),
            Value::Binary(bytes) => Some(bytes.clone()),
            _ => {
                self.mismatch(node, "\"contents\"", "text");
                None
            }
        }
    }
}

fn is_empty_text(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar { meaning: Scalar::Text(text), .. } if text.is_empty())
}
