//! What SOPS says of a file that it encrypted: for whom, what of it, and how it is proven.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::{
    age::{Identities, is_recipient},
    value::DataKey,
};

/// The most recipients of a file.
const RECIPIENTS_MAX: usize = 64;
/// The most bytes of an expression once it is compiled.
const EXPRESSION_MAX: usize = 256 << 10;
/// The recipients that are named in a message.
const NAMED: usize = 5;

/// Services that keep keys elsewhere.
const SERVICES: [&str; 6] = ["kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "pgp"];

/// Which values are encrypted, by the keys that lead to them.
enum Rule {
    /// All but those below a key with this ending.
    WithoutEnding(String),
    /// Those below a key with this ending.
    Ending(String),
    /// All but those below a key that fits.
    Without(Regex),
    /// Those below a key that fits.
    Fitting(Regex),
}

/// What is said of a file.
pub struct Block {
    /// The code over all values, encrypted.
    pub mac: String,
    /// What the code is bound to.
    pub modified: String,
    /// Whether only encrypted values are counted.
    pub only_encrypted: bool,
    rule: Rule,
    /// For whom the key is, each with the key.
    recipients: Vec<(String, String)>,
}

impl Block {
    /// Reads what is said in a document.
    ///
    /// # Errors
    /// Something of it is not possible here, or missing.
    pub fn read(document: &Value) -> Result<Self, String> {
        let text = |name: &str| document.pointer(&format!("/sops/{name}")).and_then(Value::as_str);
        let texts = |name: &str| text(name).map(ToOwned::to_owned);
        let missing = |name: &str| format!("sops.{name} is missing, or is no text: encrypt the file again");
        let recipients = recipients(document)?;
        if document.pointer("/sops/key_groups").and_then(Value::as_array).is_some_and(|groups| !groups.is_empty()) {
            return Err("sops.key_groups divide the key among several: use one group of age recipients".to_owned());
        }
        for name in ["encrypted_comment_regex", "unencrypted_comment_regex"] {
            if text(name).is_some_and(|text| !text.is_empty()) {
                return Err(format!("sops.{name} is not possible: encrypt with --encrypted-regex, which judges keys"));
            }
        }
        Ok(Self {
            mac: texts("mac").ok_or_else(|| missing("mac"))?,
            modified: texts("lastmodified").ok_or_else(|| missing("lastmodified"))?,
            only_encrypted: document.pointer("/sops/mac_only_encrypted") == Some(&Value::Bool(true)),
            rule: rule(text)?,
            recipients,
        })
    }

    /// Whether the value at the end of these keys is encrypted.
    pub fn is_encrypted(&self, keys: &[String]) -> bool {
        let any = |fits: &dyn Fn(&str) -> bool| keys.iter().any(|key| fits(key));
        match &self.rule {
            Rule::WithoutEnding(ending) => !any(&|key| key.ends_with(ending)),
            Rule::Ending(ending) => any(&|key| key.ends_with(ending)),
            Rule::Without(regex) => !any(&|key| regex.is_match(key)),
            Rule::Fitting(regex) => any(&|key| regex.is_match(key)),
        }
    }

    /// The key of the values.
    ///
    /// # Errors
    /// Nobody here is a recipient, or the key is damaged.
    pub fn key(&self, identities: &Identities) -> Result<DataKey, String> {
        let mut why = None;
        for (recipient, armored) in &self.recipients {
            match identities.open(recipient, armored) {
                None => {}
                Some(Ok(key)) => {
                    let length = "the data key does not have 256 bits: encrypt the file again";
                    return key.try_into().map_err(|_| length.to_owned());
                }
                Some(Err(error)) => why = why.or(Some(error)),
            }
        }
        Err(why.map_or_else(|| self.foreign(), ToOwned::to_owned))
    }

    /// Whom the file is for, if for nobody here.
    fn foreign(&self) -> String {
        let known: Vec<&str> =
            self.recipients.iter().map(|(recipient, _)| recipient.as_str()).filter(|text| is_recipient(text)).collect();
        if known.is_empty() {
            return "the file is for recipients of other kinds (keys of ssh, plugins): only X25519 recipients of age \
                    (age1…) are possible"
                .to_owned();
        }
        let more = known.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!(
            "no key of spec.source.decryption.secretRef opens the file: it is for {}{more}; add the identity of one of them, \
             or encrypt it for one of yours (`sops updatekeys`)",
            known[..known.len().min(NAMED)].join(", ")
        )
    }
}

fn recipients(document: &Value) -> Result<Vec<(String, String)>, String> {
    let list = |name: &str| document.pointer(&format!("/sops/{name}")).and_then(Value::as_array);
    let all = list("age").map(Vec::as_slice).unwrap_or_default();
    if all.len() > RECIPIENTS_MAX {
        return Err(format!("sops.age has more than {RECIPIENTS_MAX} recipients: remove some"));
    }
    if all.is_empty() {
        let others: Vec<&str> =
            SERVICES.into_iter().filter(|name| list(name).is_some_and(|keys| !keys.is_empty())).collect();
        return Err(if others.is_empty() {
            "sops.age has no recipient: encrypt the file for a recipient of age".to_owned()
        } else {
            format!(
                "the file is encrypted by {} alone, which the operator does not ask: encrypt it for a recipient of age too",
                others.join(", ")
            )
        });
    }
    let text = |one: &Value, name: &str| one.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let both = |one: &Value| Some((text(one, "recipient")?, text(one, "enc")?));
    all.iter().map(|one| both(one).ok_or_else(|| "sops.age is damaged: encrypt the file again".to_owned())).collect()
}

fn rule<'d>(text: impl Fn(&str) -> Option<&'d str>) -> Result<Rule, String> {
    let given = |name: &'static str| text(name).filter(|text| !text.is_empty()).map(|text| (name, text));
    let names = ["unencrypted_suffix", "encrypted_suffix", "unencrypted_regex", "encrypted_regex"];
    let rules: Vec<_> = names.into_iter().filter_map(given).collect();
    let (name, text) = match rules.as_slice() {
        [] => return Ok(Rule::WithoutEnding("_unencrypted".to_owned())),
        [one] => *one,
        [(one, _), (other, _), ..] => {
            return Err(format!("the file has sops.{one} and sops.{other}: only one is possible"));
        }
    };
    let regex = || {
        let unread =
            |_| format!("sops.{name} is no expression that can be read: correct it, and encrypt the file again");
        RegexBuilder::new(text).size_limit(EXPRESSION_MAX).build().map_err(unread)
    };
    Ok(match name {
        "unencrypted_suffix" => Rule::WithoutEnding(text.to_owned()),
        "encrypted_suffix" => Rule::Ending(text.to_owned()),
        "unencrypted_regex" => Rule::Without(regex()?),
        _ => Rule::Fitting(regex()?),
    })
}
