//! The inventory of a source as it stands in a status. Pure.

use crate::api::GROUP;

/// An object that a source looks after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The API group; empty for the core.
    pub group: String,
    /// Its version.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// The namespace, if it has one.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl Entry {
    /// An entry, written as `group/version Kind namespace/name digest uid` with `-` for what there is none of. What stands
    /// behind the name is not needed here.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (version, kind, name) = (words.next()?, words.next()?, words.next()?);
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        let is_version = version.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let owned = |text: &str| Some(text.to_owned()).filter(|text| text != "-" && !text.is_empty());
        Some(Self {
            group: owned(group).unwrap_or_default(),
            version: owned(version).filter(|_| is_version)?,
            kind: owned(kind)?,
            namespace: owned(namespace),
            name: owned(name)?,
        })
    }

    /// Whether it is a Deployment of Landfall.
    pub fn is_deployment(&self) -> bool {
        self.group == GROUP && self.kind == "Deployment"
    }

    /// The kind, with its group where it has one.
    pub fn title(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// The name, with its namespace where it has one.
    pub fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_may_lack_a_group_or_a_namespace_and_nothing_else() {
        let entries = [
            ("apps/v1 Deployment shop/web 0a1b 1234-5678", "Deployment.apps v1 shop/web false"),
            ("-/v1 Namespace -/shop 0a1b -", "Namespace v1 shop false"),
            ("v1 Secret shop/key", "Secret v1 shop/key false"),
            ("landfall.dev/v1alpha1 Deployment shop/web - -", "Deployment.landfall.dev v1alpha1 shop/web true"),
        ];
        for (text, expected) in entries {
            let read = Entry::parse(text).map(|entry| {
                format!("{} {} {} {}", entry.title(), entry.version, entry.place(), entry.is_deployment())
            });
            assert_eq!(read.as_deref(), Some(expected), "{text}");
        }
        for bad in [
            "",
            "v1",
            "v1 Secret",
            "v1 Secret shop/",
            "- Secret shop/key",
            "apps/ Deployment a/b",
            "v1 - a/b",
            "of a newer version",
        ] {
            assert_eq!(Entry::parse(bad), None, "{bad}");
        }
    }
}
