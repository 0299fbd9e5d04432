//! The parts of an image's name.

use crate::api::deployment::ImageOverride;

/// An image, split as a registry reads it.
#[derive(Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// Registry and repository.
    pub name: &'a str,
    /// Tag and digest with the marks before them, such as `:1.0` or `@sha256:…`.
    pub rest: &'a str,
}

impl<'a> Image<'a> {
    /// Splits the name of an image. A colon before the last slash belongs to the port of a registry.
    pub fn parse(text: &'a str) -> Self {
        let named = text.split('@').next().unwrap_or_default();
        let path = named.rfind('/').map_or(0, |slash| slash + 1);
        let end = named[path..].find(':').map_or(named.len(), |colon| path + colon);
        let (name, rest) = text.split_at(end);
        Self { name, rest }
    }

    /// The image after an override that is meant for it.
    pub fn with(&self, wanted: &ImageOverride) -> String {
        let name = wanted.new_name.as_deref().unwrap_or(self.name);
        match (&wanted.new_tag, &wanted.digest) {
            (_, Some(digest)) => format!("{name}@{digest}"),
            (Some(tag), None) => format!("{name}:{tag}"),
            (None, None) => format!("{name}{}", self.rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_split_at_its_tag_or_digest() {
        for (text, name, rest) in [
            ("web", "web", ""),
            ("web:1", "web", ":1"),
            ("registry.example:5000/a/web", "registry.example:5000/a/web", ""),
            ("registry.example:5000/a/web:1.0", "registry.example:5000/a/web", ":1.0"),
            ("a/web@sha256:abc", "a/web", "@sha256:abc"),
            ("a/web:1@sha256:abc", "a/web", ":1@sha256:abc"),
            ("", "", ""),
        ] {
            assert_eq!(Image::parse(text), Image { name, rest }, "{text}");
        }
    }

    #[test]
    fn a_tag_and_a_digest_replace_each_other_and_a_name_keeps_them() {
        let wanted = |new_name: Option<&str>, new_tag: Option<&str>, digest: Option<&str>| ImageOverride {
            name: "a/web".to_owned(),
            new_name: new_name.map(str::to_owned),
            new_tag: new_tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        };
        let of = |text, wanted: ImageOverride| Image::parse(text).with(&wanted);
        assert_eq!(of("a/web:1", wanted(None, Some("2"), None)), "a/web:2");
        assert_eq!(of("a/web@sha256:a", wanted(None, Some("2"), None)), "a/web:2");
        assert_eq!(of("a/web:1", wanted(None, None, Some("sha256:b"))), "a/web@sha256:b");
        assert_eq!(of("a/web:1", wanted(Some("b/web"), None, None)), "b/web:1");
        assert_eq!(of("a/web:1@sha256:a", wanted(Some("b/web"), Some("2"), None)), "b/web:2");
    }
}
