//! Caches as the command line names them, in buildx's notation: `DIR`, `type=local,src=DIR`,
//! `type=registry,ref=NAME`.

use std::path::PathBuf;
use std::str::FromStr;

use crate::reference::Reference;

/// Where a cache is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder.
    Folder(PathBuf),
    /// A tag in a registry.
    Registry(Reference),
}

/// A cache to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheFrom(pub Place);

/// A cache to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheTo {
    /// Where.
    pub place: Place,
    /// A failure is a warning.
    pub ignore_error: bool,
    /// In a folder, packs of other builds stay.
    pub keep: bool,
}

impl FromStr for CacheFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut fields = Fields::parse(text)?;
        let place = fields.place("src")?;
        fields.end()?;
        Ok(CacheFrom(place))
    }
}

impl FromStr for CacheTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut fields = Fields::parse(text)?;
        let place = fields.place("dest")?;
        let ignore_error = fields.switch("ignore-error")?;
        let keep = match &place {
            Place::Folder(_) => fields.switch("keep")?,
            Place::Registry(name) if name.digest().is_some() => {
                return Err(format!(
                    "{name} is fixed by its digest: name a tag to write to"
                ));
            }
            Place::Registry(_) => false,
        };
        fields.end()?;
        Ok(CacheTo {
            place,
            ignore_error,
            keep,
        })
    }
}

/// `key=value` pairs that were not used yet; a folder alone is one too.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn parse(text: &str) -> Result<Self, String> {
        let is_plain = !text
            .split(',')
            .any(|field| field.trim().starts_with("type="));
        if is_plain {
            let kind = ("type".to_owned(), "local".to_owned());
            let folder = (String::new(), text.to_owned());
            return Ok(Fields(vec![kind, folder]));
        }
        let pair = |field: &str| {
            let (key, value) = field
                .split_once('=')
                .ok_or_else(|| format!("{field:?} is not KEY=VALUE"))?;
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        };
        let fields: Vec<(String, String)> =
            text.split(',').map(pair).collect::<Result<_, String>>()?;
        Ok(Fields(fields))
    }

    /// The value of a key, which may come once.
    fn take(&mut self, key: &str) -> Result<Option<String>, String> {
        let Some(place) = self.0.iter().position(|(k, _)| k == key) else {
            return Ok(None);
        };
        let (_, value) = self.0.remove(place);
        match self.0.iter().any(|(k, _)| k == key) {
            true => Err(format!("{key} is given twice")),
            false => Ok(Some(value)),
        }
    }

    fn place(&mut self, folder_key: &str) -> Result<Place, String> {
        match self.take("type")?.unwrap_or_default().as_str() {
            "local" => {
                let folder = match self.take("")? {
                    Some(folder) => Some(folder),
                    None => self.take(folder_key)?,
                };
                match folder.filter(|folder| !folder.is_empty()) {
                    Some(folder) => Ok(Place::Folder(folder.into())),
                    None => Err(format!("type=local needs a folder: {folder_key}=DIR")),
                }
            }
            "registry" => {
                let name = self
                    .take("ref")?
                    .ok_or("type=registry needs a name: ref=REGISTRY/REPOSITORY:TAG")?;
                let name = Reference::parse(&name).map_err(|e| e.to_string())?;
                Ok(Place::Registry(name))
            }
            other => Err(format!(
                "there is no type {other:?} of cache: local and registry are"
            )),
        }
    }

    fn switch(&mut self, key: &str) -> Result<bool, String> {
        match self.take(key)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(format!("{key}={other}: true or false was expected")),
        }
    }

    fn end(self) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => Err(format!("{key:?} is not known here")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Result<Place, String> {
        text.parse().map(|CacheFrom(place)| place)
    }

    fn folder(path: &str) -> Place {
        Place::Folder(path.into())
    }

    #[test]
    fn folders_and_registries_are_named_as_in_buildx() {
        assert_eq!(from("a,b=c"), Ok(folder("a,b=c")));
        assert_eq!(from("type=local,src=/x y"), Ok(folder("/x y")));
        assert_eq!(from("src=x, type=local"), Ok(folder("x")));
        let name = Reference::parse("registry.lab:5000/cache:main").unwrap();
        let registry = Place::Registry(name);
        assert_eq!(
            from("type=registry,ref=registry.lab:5000/cache:main"),
            Ok(registry.clone())
        );
        let to = |text: &str| text.parse::<CacheTo>().unwrap();
        let plain = to("x");
        assert_eq!(
            (plain.place, plain.ignore_error, plain.keep),
            (folder("x"), false, false)
        );
        let all = to("type=local,dest=x,ignore-error=true,keep=true");
        assert!(all.ignore_error && all.keep);
        assert_eq!(
            to("type=registry,ref=registry.lab:5000/cache:main,ignore-error=false").place,
            registry
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, word) in [
            ("", "type=local needs a folder"),
            ("type=local", "src=DIR"),
            ("type=local,src=", "src=DIR"),
            ("type=local,dest=x", "src=DIR"),
            ("type=local,src=a,src=b", "twice"),
            ("type=gha,src=x", "\"gha\""),
            ("type=registry", "ref="),
            ("type=registry,ref=A B", "A B"),
            ("type=registry,ref=a/b:c,mode=max", "\"mode\""),
            ("type=local,x", "\"x\""),
        ] {
            let error = from(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        for (text, word) in [
            ("type=local,src=x", "dest=DIR"),
            ("type=local,dest=x,keep=1", "true or false"),
            ("type=registry,ref=a/b:c,keep=true", "\"keep\""),
        ] {
            let error = text.parse::<CacheTo>().unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        let pinned = format!("type=registry,ref=a/b@sha256:{}", "0".repeat(64));
        assert!(pinned.parse::<CacheTo>().unwrap_err().contains("digest"));
    }
}
