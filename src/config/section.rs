//! One definition per option: its type, default and text, from which the struct, the reader and the example follow.

use super::{problem::Problem, reader::Reader};

/// A section of the configuration file. [`section!`] implements it.
pub(super) trait Section: Sized {
    /// The name of its table.
    const TABLE: &'static str;

    /// What stands above it in the example.
    const ABOUT: &'static [&'static str];

    /// Every option with the value it has when it is not set.
    fn defaults() -> Self;

    /// Its options, in the order of the example.
    fn options() -> Vec<OptionInfo>;

    /// Takes every option from `reader`.
    fn read(reader: &mut Reader<'_>) -> Self;
}

/// What the example shows of an option, and what the reader knows of its name.
#[derive(Debug)]
pub(super) struct OptionInfo {
    pub(super) name: &'static str,
    pub(super) doc: &'static [&'static str],
    /// The default as TOML; `None` where the option is not set.
    pub(super) default: Option<String>,
    pub(super) kind: Kind,
}

/// How an option is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With a default that the example shows.
    Plain,
    /// It has to be given; the example shows this value.
    Required(&'static str),
    /// Not set by default; the example shows this value behind a comment sign.
    Example(&'static str),
    /// A secret, also given as the name of a file; the example shows that name behind a comment sign.
    Secret(&'static str),
}

/// A section that must hold together beyond what each option's type says.
pub(super) trait Check {
    /// Reports every contradiction.
    fn check(&self, problems: &mut Vec<Problem>);
}

/// Defines a section: see any file beside this one.
///
/// An option is `pub name: Type = default;`, and after the default may stand `, required "…"`, `, example "…"` or
/// `, secret "/path"`, each with the text that the example shows (see [`Kind`]).
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        pub struct $Section:ident in $table:literal {
            $(
                $(#[doc = $doc:literal])+
                pub $field:ident: $type:ty = $default:expr $(, $kind:ident $shown:literal)?;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $Section {
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl $crate::config::section::Section for $Section {
            const TABLE: &'static str = $table;
            const ABOUT: &'static [&'static str] = &[$($about),+];

            fn defaults() -> Self {
                Self { $( $field: $default, )+ }
            }

            fn options() -> Vec<$crate::config::section::OptionInfo> {
                let defaults = Self::defaults();
                vec![$(
                    $crate::config::section::OptionInfo {
                        name: stringify!($field),
                        doc: &[$($doc),+],
                        default: $crate::config::value::Value::write(&defaults.$field),
                        kind: section!(@kind $($kind $shown)?),
                    },
                )+]
            }

            fn read(reader: &mut $crate::config::reader::Reader<'_>) -> Self {
                let defaults = Self::defaults();
                Self { $( $field: section!(@read reader $field defaults $($kind)?), )+ }
            }
        }
    };
    (@kind) => { $crate::config::section::Kind::Plain };
    (@kind required $shown:literal) => { $crate::config::section::Kind::Required($shown) };
    (@kind example $shown:literal) => { $crate::config::section::Kind::Example($shown) };
    (@kind secret $shown:literal) => { $crate::config::section::Kind::Secret($shown) };
    (@read $reader:ident $field:ident $defaults:ident) => {
        $reader.option(stringify!($field), $defaults.$field)
    };
    (@read $reader:ident $field:ident $defaults:ident required) => {
        $reader.required(stringify!($field), $defaults.$field)
    };
    (@read $reader:ident $field:ident $defaults:ident example) => {
        $reader.option(stringify!($field), $defaults.$field)
    };
    (@read $reader:ident $field:ident $defaults:ident secret) => {
        $reader.secret(stringify!($field), $defaults.$field)
    };
}
pub(super) use section;
