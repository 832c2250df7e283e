//! Enums whose values have a name and a stored number, both declared in one place.

/// Declares an enum with, for each value, its number in stored bytes and its name in JSON, SQL and reports.
///
/// Numbers start at 0 and have no gaps, which the compiler checks. Existing numbers never change. The enum gets `ALL`,
/// `NAMES`, `name`, `from_name`, `code` and `from_code`; in JSON it is its name.
macro_rules! coded_enum {
    (
        $(#[$about:meta])*
        pub enum $name:ident {
            $($(#[$about_value:meta])* $value:ident = $code:literal $text:literal,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$about_value])* $value = $code,)+
        }

        impl $name {
            /// Every value, in the order of the codes.
            pub const ALL: [Self; [$($code),+].len()] = [$(Self::$value),+];

            /// Every value with its name, in the order of the codes.
            pub const NAMES: [(&'static str, Self); Self::ALL.len()] = [$(($text, Self::$value)),+];

            /// The name in JSON, SQL and reports.
            #[inline]
            pub const fn name(self) -> &'static str {
                Self::NAMES[self as usize].0
            }

            /// The value of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
            }

            /// The number in stored bytes.
            #[inline]
            pub const fn code(self) -> u8 {
                self as u8
            }

            /// The value of this number.
            #[inline]
            pub fn from_code(code: u8) -> Option<Self> {
                Self::ALL.get(usize::from(code)).copied()
            }
        }

        const _: () = {
            let mut place = 0;
            while place < $name::ALL.len() {
                assert!($name::ALL[place] as usize == place, "codes count from 0 without gaps");
                place += 1;
            }
        };

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": Self::ALL.map(Self::name) })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
                let unknown = || serde::de::Error::custom(format_args!("{} is unknown here", crate::Quoted(&name)));
                Self::from_name(&name).ok_or_else(unknown)
            }
        }
    };
}

pub(crate) use coded_enum;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::channel::Channel;
    use crate::class::Class;
    use crate::decide::Source;
    use crate::device::{Device, Os};

    /// Stored numbers keep their meaning: a change here is a new format.
    #[test]
    fn stored_numbers_keep_their_names() {
        assert_eq!(Class::NAMES.map(|(name, _)| name), ["human", "prefetch", "preview", "bot", "head"]);
        assert_eq!(
            Channel::NAMES.map(|(name, _)| name),
            ["direct", "search", "social", "email", "assistant", "messenger", "paid", "referral", "qr"]
        );
        let sources = ["rule", "evolution_rule", "geo_rule", "ab_test", "default", "expired"];
        assert_eq!(Source::NAMES.map(|(name, _)| name), sources);
        assert_eq!(Device::NAMES.map(|(name, _)| name), ["desktop", "mobile", "tablet", "other"]);
        let systems = ["ios", "android", "windows", "macos", "linux", "chromeos", "other"];
        assert_eq!(Os::NAMES.map(|(name, _)| name), systems);
    }

    #[test]
    fn a_value_is_found_by_its_name_and_its_number() {
        for class in Class::ALL {
            assert_eq!((Class::from_name(class.name()), Class::from_code(class.code())), (Some(class), Some(class)));
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
            assert_eq!(serde_json::from_value::<Class>(class.name().into()).unwrap(), class);
        }
        assert_eq!((Class::from_name("Human"), Class::from_code(5)), (None, None));
        assert!(serde_json::from_value::<Class>("Human".into()).is_err());
    }
}
