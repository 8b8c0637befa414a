//! Names of images, as Docker and LinuxKit write them.
//!
//! The grammar is the one of the distribution project's `reference` documentation:
//! `[registry/]path[:tag][@digest]`. The first component is a registry only if it holds a `.` or a
//! `:`, or is `localhost`; everything else lives on Docker Hub, where a name of one component is
//! in `library/`.

use std::fmt;
use std::str::FromStr;

/// The registry that short names stand for.
pub const DOCKER_HUB: &str = "docker.io";

/// Longest repository name that registries take, in characters.
const MAX_NAME_CHARS: usize = 255;
/// Longest tag, in characters.
const MAX_TAG_CHARS: usize = 128;
/// What a name without tag and digest means.
const DEFAULT_TAG: &str = "latest";

/// A checked image name, written out in full.
///
/// Two references are equal (and hash the same) when they mean the same image, however they were
/// written: `alpine` and `docker.io/library/alpine:latest` are equal.
///
/// ```
/// use lkbuild::reference::Reference;
/// let r = Reference::parse("linuxkit/init:v1")?;
/// assert_eq!(r.to_string(), "docker.io/linuxkit/init:v1");
/// assert_eq!(r.registry(), "docker.io");
/// assert_eq!(r.original(), "linuxkit/init:v1");
/// # Ok::<(), lkbuild::reference::ReferenceError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reference {
    original: String,
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// A name that is not an image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not an image name: {problem}")]
pub struct ReferenceError {
    /// The name as it was written.
    pub name: String,
    /// What is wrong with it, and what to write instead.
    pub problem: ReferenceProblem,
}

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceProblem {
    /// Nothing, or nothing but a tag or digest.
    #[error("it is empty; write something like \"alpine:3.20\"")]
    Empty,
    /// White space or another character that no part of a name may hold.
    #[error("{0:?} cannot stand in an image name")]
    Character(char),
    /// `@pkg:` and other templates of LinuxKit's package tool.
    #[error(
        "\"@pkg:\" names are not supported yet; write the image that \
         `linuxkit pkg show-tag DIRECTORY` prints"
    )]
    Package,
    /// A URL instead of a name.
    #[error("it has a scheme; leave out everything up to and including \"//\"")]
    Scheme,
    /// A registry that is not a host with an optional port.
    #[error("the registry {0:?} is not a host name with an optional port")]
    Registry(String),
    /// A component of the path is upper case.
    #[error("the repository {0:?} has upper-case letters; registries take lower case only")]
    UpperCase(String),
    /// A component of the path breaks the grammar.
    #[error(
        "{0:?} is not a component of a repository name: lower-case letters and digits, between \
         them \".\", \"_\", \"__\" or dashes"
    )]
    Component(String),
    /// The repository's name is too long.
    #[error("the repository name is longer than {MAX_NAME_CHARS} characters")]
    TooLong,
    /// The tag breaks the grammar.
    #[error(
        "the tag {0:?} is not one: letters, digits, \"_\", \".\" and \"-\", at most \
         {MAX_TAG_CHARS}, and not \".\" or \"-\" first"
    )]
    Tag(String),
    /// The digest is malformed.
    #[error(
        "the digest {0:?} is not \"sha256:\" with 64 (or \"sha512:\" with 128) lower-case hex digits"
    )]
    Digest(String),
    /// Sixty-four hex digits: an image's id, which cannot be pulled.
    #[error("it is the id of an image; a name is needed, as in \"repository@sha256:...\"")]
    BareId,
}

impl Reference {
    /// Reads a name as a user writes it; see the module's documentation for the rules.
    ///
    /// # Errors
    /// [`ReferenceError`] says which part breaks which rule.
    pub fn parse(name: &str) -> Result<Self, ReferenceError> {
        parse(name).map_err(|problem| ReferenceError {
            name: name.to_owned(),
            problem,
        })
    }

    /// Host and optional port: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path within the registry: `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` if the name has neither tag nor digest, none if it has a digest only.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The pinned digest, `sha256:<hex>`. It decides, and a tag beside it is only there to read.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The name as the user wrote it.
    pub fn original(&self) -> &str {
        &self.original
    }

    /// The full form, but without a tag where none was written: as LinuxKit writes names into tars
    /// and metadata.
    pub fn written_out(&self) -> String {
        let mut name = self.to_string();
        let written = self.digest.is_some() || self.original.ends_with(&format!(":{DEFAULT_TAG}"));
        if !written && let Some(start) = name.strip_suffix(&format!(":{DEFAULT_TAG}")) {
            name.truncate(start.len());
        }
        name
    }

    /// The same repository at a fixed digest, without tag: what a build was resolved to.
    ///
    /// # Errors
    /// [`ReferenceProblem::Digest`] for a malformed digest.
    pub fn with_digest(&self, digest: &str) -> Result<Self, ReferenceError> {
        let name = format!("{}/{}@{digest}", self.registry, self.repository);
        Self::parse(&name)
    }

    fn key(&self) -> (&str, &str, Option<&str>, Option<&str>) {
        (&self.registry, &self.repository, self.tag(), self.digest())
    }
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Reference {}

impl PartialOrd for Reference {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Reference {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl std::hash::Hash for Reference {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for Reference {
    /// The full form: `docker.io/library/alpine:3.20`, `localhost:5000/x@sha256:...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(name: &str) -> Result<Self, ReferenceError> {
        Self::parse(name)
    }
}

impl From<&Reference> for oci_client::Reference {
    fn from(r: &Reference) -> Self {
        let (registry, repository) = (r.registry.clone(), r.repository.clone());
        match (&r.tag, &r.digest) {
            (Some(tag), Some(digest)) => {
                Self::with_tag_and_digest(registry, repository, tag.clone(), digest.clone())
            }
            (None, Some(digest)) => Self::with_digest(registry, repository, digest.clone()),
            (Some(tag), None) => Self::with_tag(registry, repository, tag.clone()),
            (None, None) => Self::with_tag(registry, repository, DEFAULT_TAG.to_owned()),
        }
    }
}

fn parse(name: &str) -> Result<Reference, ReferenceProblem> {
    if name.is_empty() {
        return Err(ReferenceProblem::Empty);
    }
    if name.starts_with("@pkg:") {
        return Err(ReferenceProblem::Package);
    }
    if name.contains("://") {
        return Err(ReferenceProblem::Scheme);
    }
    if let Some(c) = name.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(ReferenceProblem::Character(c));
    }
    if name.len() == 64 && name.bytes().all(is_lower_hex) {
        return Err(ReferenceProblem::BareId);
    }
    let (rest, digest) = match name.split_once('@') {
        Some((rest, digest)) => (rest, Some(checked_digest(digest)?)),
        None => (name, None),
    };
    // A colon after the last slash starts a tag; one before it is the registry's port.
    let path_start = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (rest, tag) = match rest[path_start..].split_once(':') {
        Some((last, tag)) => (&rest[..path_start + last.len()], Some(checked_tag(tag)?)),
        None => (rest, None),
    };
    let (registry, path) = match rest.split_once('/') {
        Some((first, path)) if is_registry(first) => (first, path),
        _ => (DOCKER_HUB, rest),
    };
    check_registry(registry)?;
    // What Docker Hub's own clients do: its old name is the same place.
    let registry = if registry == "index.docker.io" {
        DOCKER_HUB
    } else {
        registry
    };
    if path.is_empty() {
        return Err(ReferenceProblem::Empty);
    }
    let repository = if registry == DOCKER_HUB && !path.contains('/') {
        format!("library/{path}")
    } else {
        path.to_owned()
    };
    check_repository(&repository)?;
    let tag = match (tag, &digest) {
        (None, None) => Some(DEFAULT_TAG.to_owned()),
        (tag, _) => tag,
    };
    Ok(Reference {
        original: name.to_owned(),
        registry: registry.to_owned(),
        repository,
        tag,
        digest,
    })
}

fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':'])
}

fn check_registry(registry: &str) -> Result<(), ReferenceProblem> {
    let wrong = || ReferenceProblem::Registry(registry.to_owned());
    let (host, port) = match registry.strip_prefix('[') {
        // An IPv6 address in brackets.
        Some(inner) => {
            let (address, after) = inner.split_once(']').ok_or_else(wrong)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
            let port = match after {
                "" => None,
                _ => Some(after.strip_prefix(':').ok_or_else(wrong)?),
            };
            (None, port)
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(registry), None),
        },
    };
    if let Some(host) = host {
        let label = |l: &str| {
            l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !(l.is_empty() || l.starts_with('-') || l.ends_with('-'))
        };
        if !host.split('.').all(label) {
            return Err(wrong());
        }
    }
    match port {
        // `parse` alone would take "+80".
        Some(p) if !p.bytes().all(|b| b.is_ascii_digit()) || p.parse::<u16>().is_err() => {
            Err(wrong())
        }
        _ => Ok(()),
    }
}

fn check_repository(repository: &str) -> Result<(), ReferenceProblem> {
    if repository.len() > MAX_NAME_CHARS {
        return Err(ReferenceProblem::TooLong);
    }
    for component in repository.split('/') {
        if component.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ReferenceProblem::UpperCase(repository.to_owned()));
        }
        if !is_component(component) {
            return Err(ReferenceProblem::Component(component.to_owned()));
        }
    }
    Ok(())
}

/// `alnum+ (separator alnum+)*`, where a separator is `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    alnum(first)
        && alnum(last)
        && bytes.split(|&b| alnum(b)).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|&b| b == b'-')
        })
}

fn checked_tag(tag: &str) -> Result<String, ReferenceProblem> {
    let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let good = tag.len() <= MAX_TAG_CHARS
        && tag.bytes().next().is_some_and(first)
        && tag.bytes().all(|b| first(b) || matches!(b, b'.' | b'-'));
    if good {
        Ok(tag.to_owned())
    } else {
        Err(ReferenceProblem::Tag(tag.to_owned()))
    }
}

fn checked_digest(digest: &str) -> Result<String, ReferenceProblem> {
    let good = match digest.split_once(':') {
        Some(("sha256", hex)) => hex.len() == 64 && hex.bytes().all(is_lower_hex),
        Some(("sha512", hex)) => hex.len() == 128 && hex.bytes().all(is_lower_hex),
        _ => false,
    };
    if good {
        Ok(digest.to_owned())
    } else {
        Err(ReferenceProblem::Digest(digest.to_owned()))
    }
}

fn is_lower_hex(b: u8) -> bool {
    matches!(b, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn short_names_are_written_out_in_full() {
        for (name, full) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("alpine:3.20", "docker.io/library/alpine:3.20"),
            ("vec/plain:1", "docker.io/vec/plain:1"),
            ("docker.io/alpine", "docker.io/library/alpine:latest"),
            ("index.docker.io/a/b:c", "docker.io/a/b:c"),
            ("localhost/x", "localhost/x:latest"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("localhost:5000/x:y", "localhost:5000/x:y"),
            ("localhost:5000", "docker.io/library/localhost:5000"),
            ("ghcr.io/a/b/c:d", "ghcr.io/a/b/c:d"),
            ("[::1]:5000/x:y", "[::1]:5000/x:y"),
            ("[2001:db8::1]/x", "[2001:db8::1]/x:latest"),
            ("a.b", "docker.io/library/a.b:latest"),
            ("a/b/c", "docker.io/a/b/c:latest"),
            ("x-y__z/b--c", "docker.io/x-y__z/b--c:latest"),
            ("r.io/x:V_1.2-a", "r.io/x:V_1.2-a"),
        ] {
            let got = Reference::parse(name).unwrap();
            assert_eq!(got.to_string(), full, "{name}");
            assert_eq!(got.original(), name);
            assert_eq!(Reference::parse(&got.to_string()).unwrap(), got);
        }
    }

    #[test]
    fn a_tag_that_was_not_written_is_not_written_out() {
        for (name, full) in [
            ("alpine", "docker.io/library/alpine"),
            ("alpine:latest", "docker.io/library/alpine:latest"),
            ("alpine:1", "docker.io/library/alpine:1"),
            ("localhost:5000/x", "localhost:5000/x"),
            ("latest", "docker.io/library/latest"),
            ("r.io/latest:latest", "r.io/latest:latest"),
        ] {
            assert_eq!(Reference::parse(name).unwrap().written_out(), full);
        }
        let pinned = format!("r.io/x:latest@sha256:{HEX}");
        assert_eq!(Reference::parse(&pinned).unwrap().written_out(), pinned);
    }

    #[test]
    fn digests_stand_alone_or_beside_a_tag() {
        let r = Reference::parse(&format!("x@sha256:{HEX}")).unwrap();
        assert_eq!(
            (r.tag(), r.digest()),
            (None, Some(format!("sha256:{HEX}").as_str()))
        );
        assert_eq!(r.to_string(), format!("docker.io/library/x@sha256:{HEX}"));
        let both = Reference::parse(&format!("localhost:5000/x:1@sha256:{HEX}")).unwrap();
        assert_eq!(both.tag(), Some("1"));
        assert_eq!(both.to_string(), format!("localhost:5000/x:1@sha256:{HEX}"));
        assert_eq!(
            both.with_digest(r.digest().unwrap()).unwrap().to_string(),
            format!("localhost:5000/x@sha256:{HEX}")
        );
        let oci: oci_client::Reference = (&both).into();
        assert_eq!(oci.whole(), format!("localhost:5000/x:1@sha256:{HEX}"));
        assert!(Reference::parse(&format!("x@sha512:{HEX}{HEX}")).is_ok());
    }

    #[test]
    fn what_is_not_a_name_is_refused_with_the_reason() {
        use ReferenceProblem as P;
        let s = str::to_owned;
        for (name, problem) in [
            ("", P::Empty),
            (":tag", P::Empty),
            ("localhost:5000/", P::Empty),
            ("@pkg:./pkg/init", P::Package),
            ("https://x/y", P::Scheme),
            ("a b", P::Character(' ')),
            ("é", P::Character('é')),
            ("<image>", P::Component(s("<image>"))),
            ("Alpine", P::UpperCase(s("library/Alpine"))),
            ("linuxkit/Init:x", P::UpperCase(s("linuxkit/Init"))),
            ("a//b", P::Component(s(""))),
            ("/a", P::Component(s(""))),
            ("a/", P::Component(s(""))),
            ("a/../b", P::Component(s(".."))),
            ("a___b", P::Component(s("a___b"))),
            ("a-", P::Component(s("a-"))),
            ("x:", P::Tag(s(""))),
            ("x:-a", P::Tag(s("-a"))),
            ("x:a:b", P::Tag(s("a:b"))),
            ("x@", P::Digest(s(""))),
            ("x@md5:00", P::Digest(s("md5:00"))),
            ("x@sha256:ABC", P::Digest(s("sha256:ABC"))),
            ("x.:5000/y", P::Registry(s("x.:5000"))),
            ("h:99999/y", P::Registry(s("h:99999"))),
            ("h:+80/y", P::Registry(s("h:+80"))),
            ("[::g]/y", P::Registry(s("[::g]"))),
            (HEX, P::BareId),
        ] {
            assert_eq!(
                Reference::parse(name).unwrap_err().problem,
                problem,
                "{name}"
            );
        }
        let long = "a".repeat(256);
        assert_eq!(
            Reference::parse(&format!("r.io/{long}"))
                .unwrap_err()
                .problem,
            P::TooLong
        );
    }

    #[test]
    fn equal_whatever_way_it_is_written() {
        let a = Reference::parse("alpine").unwrap();
        let b = Reference::parse("docker.io/library/alpine:latest").unwrap();
        assert_eq!(a, b);
        assert_ne!(a.original(), b.original());
    }
}
