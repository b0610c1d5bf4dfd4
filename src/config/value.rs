//! The types an option can have: how each is read from TOML and written to the example.

use std::{
    fs::File,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use ruma::OwnedServerName;

use super::problem::Refusal;
use crate::secret::Secret;

/// The most that a file named by a `*_file` option may hold, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// A type that an option can have.
pub(super) trait Value: Sized {
    /// The value that `value` says.
    fn read(value: &toml::Value) -> Result<Self, Refusal>;

    /// The value as TOML; `None` where nothing is set.
    fn write(&self) -> Option<String>;

    /// Makes relative paths in it relative to `folder`.
    fn anchor(&mut self, _folder: &Path) {}
}

/// A type whose value can be kept in a file of its own.
pub(super) trait FromSecretFile: Sized {
    /// The value that a file with this text holds.
    fn from_text(text: Secret) -> Result<Self, Refusal>;
}

impl Value for bool {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        value.as_bool().ok_or_else(|| Refusal::wrong_type("true or false", value))
    }

    fn write(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for u32 {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let number = value.as_integer().ok_or_else(|| Refusal::wrong_type("a whole number", value))?;
        Self::try_from(number).map_err(|_| Refusal::new(format!("{number} is not between 0 and {}", Self::MAX)))
    }

    fn write(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for SocketAddr {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let hint = "write an IP address and a port, such as \"127.0.0.1:8008\" or \"[::]:8008\"";
        let text = string(value, "an address")?;
        text.parse().map_err(|_| Refusal::new(format!("{text:?} is not an address with a port")).hint(hint))
    }

    fn write(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }
}

impl Value for PathBuf {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        match string(value, "a path")? {
            "" => Err(Refusal::new("the path is empty")),
            path => Ok(path.into()),
        }
    }

    fn write(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }

    fn anchor(&mut self, folder: &Path) {
        *self = folder.join(&*self);
    }
}

impl Value for OwnedServerName {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let hint = "write the domain that user ids end with, such as \"school.example\", without https://";
        let text = string(value, "a server name")?;
        Self::try_from(text).map_err(|error| Refusal::new(format!("{text:?} is not a server name: {error}")).hint(hint))
    }

    fn write(&self) -> Option<String> {
        Some(quoted(self.as_str()))
    }
}

impl Value for Secret {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        match string(value, "a string")? {
            "" => Err(Refusal::new("the secret is empty")),
            text => Ok(Self::from(text)),
        }
    }

    /// A secret has no default, so the example never shows one.
    fn write(&self) -> Option<String> {
        None
    }
}

impl<T: Value> Value for Option<T> {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        T::read(value).map(Some)
    }

    fn write(&self) -> Option<String> {
        self.as_ref().and_then(T::write)
    }

    fn anchor(&mut self, folder: &Path) {
        if let Some(value) = self {
            value.anchor(folder);
        }
    }
}

/// A list; a single entry may also stand without brackets.
impl<T: Value> Value for Vec<T> {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let Some(items) = value.as_array() else { return Ok(vec![T::read(value)?]) };
        let numbered = items.iter().enumerate();
        numbered
            .map(|(index, item)| {
                T::read(item).map_err(|refusal| Refusal {
                    message: format!("entry {}: {}", index + 1, refusal.message),
                    ..refusal
                })
            })
            .collect()
    }

    fn write(&self) -> Option<String> {
        let items: Vec<String> = self.iter().filter_map(T::write).collect();
        Some(format!("[{}]", items.join(", ")))
    }

    fn anchor(&mut self, folder: &Path) {
        for value in self {
            value.anchor(folder);
        }
    }
}

impl FromSecretFile for Option<Secret> {
    fn from_text(text: Secret) -> Result<Self, Refusal> {
        match text.expose().trim() {
            "" => Err(Refusal::new("the file is empty")),
            secret => Ok(Some(Secret::from(secret))),
        }
    }
}

/// One secret in each line; empty lines do not count.
impl FromSecretFile for Vec<Secret> {
    fn from_text(text: Secret) -> Result<Self, Refusal> {
        let lines = text.expose().lines().map(str::trim);
        Ok(lines.filter(|line| !line.is_empty()).map(Secret::from).collect())
    }
}

/// The text of a file that holds a secret.
pub(super) fn read_secret_file(path: &Path) -> Result<Secret, Refusal> {
    let refuse = |error: &dyn std::fmt::Display| Refusal::new(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(|error| refuse(&error))?;
    let mut text = String::new();
    let read = file.take(SECRET_FILE_BYTES_MAX + 1).read_to_string(&mut text);
    let text = Secret::new(text);
    match read {
        Err(error) => Err(refuse(&error)),
        Ok(length) if length as u64 > SECRET_FILE_BYTES_MAX => {
            Err(refuse(&format!("it holds more than {SECRET_FILE_BYTES_MAX} bytes")))
        }
        Ok(_) => Ok(text),
    }
}

/// The string that `value` is; `wanted` says for the message what it should have been.
pub(super) fn string<'a>(value: &'a toml::Value, wanted: &str) -> Result<&'a str, Refusal> {
    value.as_str().ok_or_else(|| Refusal::wrong_type(wanted, value))
}

/// What `value` says in a form of its own; `what` is its name, and `hint` says how it is written.
pub(super) fn in_words<T: FromStr<Err = ()>>(value: &toml::Value, what: &str, hint: &str) -> Result<T, Refusal> {
    let refusal = match value.as_str().map(|text| (text, text.parse::<T>())) {
        Some((_, Ok(found))) => return Ok(found),
        Some((text, Err(()))) => Refusal::new(format!("{text:?} is not a {what}")),
        None => Refusal::wrong_type(&format!("a {what} as text"), value),
    };
    Err(refusal.hint(hint))
}

/// A whole number and its unit, counted in the smallest unit; `factor` says how many of those a unit is.
pub(super) fn amount(text: &str, factor: impl FnOnce(&str) -> Option<u64>) -> Result<u64, ()> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(())?;
    let (count, unit) = text.split_at_checked(digits).ok_or(())?;
    let factor = factor(unit.trim_start()).ok_or(())?;
    let count: u64 = count.parse().map_err(drop)?;
    count.checked_mul(factor).ok_or(())
}

/// `text` as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Defines an enum whose values are written as fixed words.
macro_rules! words {
    (
        $(#[doc = $about:literal])+
        pub enum $Words:ident { $( $(#[doc = $doc:literal])+ $Word:ident = $text:literal, )+ }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $Words { $( $(#[doc = $doc])+ $Word, )+ }

        impl $crate::config::value::Value for $Words {
            fn read(value: &toml::Value) -> Result<Self, $crate::config::problem::Refusal> {
                match $crate::config::value::string(value, "a word")? {
                    $( $text => Ok(Self::$Word), )+
                    other => Err($crate::config::value::unknown_word(other, &[$($text),+])),
                }
            }

            fn write(&self) -> Option<String> {
                let word = match self { $( Self::$Word => $text, )+ };
                Some($crate::config::value::quoted(word))
            }
        }
    };
}
pub(super) use words;

/// The refusal of a word that is none of `words`.
pub(super) fn unknown_word(word: &str, words: &[&str]) -> Refusal {
    let known: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    let refusal = Refusal::new(format!("{word:?} is none of {}", known.join(", ")));
    match super::problem::did_you_mean(word, words.iter().copied()) {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_type_is_named() {
        let refusal = bool::read(&toml::Value::from("yes")).unwrap_err();
        assert_eq!(refusal.message, "expected true or false, found a string");
        assert_eq!(u32::read(&toml::Value::from(-1)).unwrap_err().message, "-1 is not between 0 and 4294967295");
        assert!(SocketAddr::read(&toml::Value::from("localhost:80")).unwrap_err().hint.is_some());
        assert!(OwnedServerName::read(&toml::Value::from("https://a.example")).unwrap_err().hint.is_some());
        assert!(PathBuf::read(&toml::Value::from("")).is_err());
    }

    #[test]
    fn a_list_says_which_entry_is_wrong() {
        let list = toml::Value::Array(vec![toml::Value::from("127.0.0.1:1"), toml::Value::from("x")]);
        assert!(Vec::<SocketAddr>::read(&list).unwrap_err().message.starts_with("entry 2: "));
        assert_eq!(Vec::<SocketAddr>::read(&toml::Value::from("127.0.0.1:1")).unwrap().len(), 1);
        assert!(Vec::<SocketAddr>::read(&toml::Value::from(true)).is_err());
    }

    #[test]
    fn only_relative_paths_are_anchored() {
        let mut paths = vec![PathBuf::from("data"), PathBuf::from("/srv/data")];
        paths.anchor(Path::new("/etc/homeroom"));
        assert_eq!(paths, [PathBuf::from("/etc/homeroom/data"), PathBuf::from("/srv/data")]);
    }

    #[test]
    fn secret_files_lose_only_their_white_space() {
        assert_eq!(Option::<Secret>::from_text(Secret::from("s e\n")), Ok(Some(Secret::from("s e"))));
        assert!(Option::<Secret>::from_text(Secret::from(" \n")).is_err());
        let lines = Vec::<Secret>::from_text(Secret::from("a\n\n b \r\n")).unwrap();
        assert_eq!(lines, [Secret::from("a"), Secret::from("b")]);
    }

    #[test]
    fn an_endless_secret_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, vec![b'a'; 70_000]).unwrap();
        assert!(read_secret_file(&path).unwrap_err().message.contains("more than"));
        std::fs::write(&path, "short").unwrap();
        assert_eq!(read_secret_file(&path), Ok(Secret::from("short")));
    }
}
