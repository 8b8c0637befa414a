//! Label and YAML laid over one another.

use crate::config::{Settings, Text, Texts};

/// The settings of a container: those of its YAML over those of its image's label.
pub(super) struct Layered<'s> {
    pub(super) label: &'s Settings,
    pub(super) yaml: &'s Settings,
}

impl<'s> Layered<'s> {
    /// A key of the YAML, or else of the label.
    pub(super) fn get<T>(&self, key: impl Fn(&'s Settings) -> &'s Option<T>) -> Option<&'s T> {
        key(self.yaml).as_ref().or(key(self.label).as_ref())
    }

    /// A list, empty if neither has it.
    pub(super) fn list<T>(&self, key: impl Fn(&'s Settings) -> &'s Option<Vec<T>>) -> &'s [T] {
        self.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// Text of the YAML, or else of the label. Here empty text counts as absent: it is how
    /// LinuxKit's older keys say so.
    pub(super) fn text(&self, key: impl Fn(&'s Settings) -> &'s Option<Text>) -> Option<&'s Text> {
        let filled = |settings| key(settings).as_ref().filter(|t| !t.is_empty());
        filled(self.yaml).or_else(|| filled(self.label))
    }

    /// The lists that a key with `.add` is made of: the YAML's own key alone, or else what the
    /// label has with everything that is added. A label's `.add` adds, too (LinuxKit ignores it).
    pub(super) fn added(
        &self,
        key: impl Fn(&'s Settings) -> &'s Option<Texts>,
        add: impl Fn(&'s Settings) -> &'s Option<Texts>,
    ) -> Vec<&'s Texts> {
        match key(self.yaml) {
            Some(own) => vec![own],
            None => [key(self.label), add(self.label), add(self.yaml)]
                .into_iter()
                .flatten()
                .collect(),
        }
    }
}
