//! Small serde helpers shared by the type modules: JSON has one kind of number and two kinds
//! of nothing, Rust does not. Used only through `#[serde(with = …)]` attributes of this crate.

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::Serializer;
use std::fmt;

/// A field that may be absent (`None`), null (`Some(None)`) or have a value.
pub type Nullable<T> = Option<Option<T>>;

/// Reads a present field, null included, as `Some`; use with `default` for absent ones.
pub(crate) fn nullable<'de, D, T>(d: D) -> Result<Nullable<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(d).map(Some)
}

struct WholeNumber;

impl Visitor<'_> for WholeNumber {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<u64, E> {
        Ok(v)
    }

    fn visit_i64<E: de::Error>(self, v: i64) -> Result<u64, E> {
        u64::try_from(v).map_err(|_| E::invalid_value(de::Unexpected::Signed(v), &self))
    }

    fn visit_f64<E: de::Error>(self, v: f64) -> Result<u64, E> {
        if v >= 0.0 && v.fract() == 0.0 {
            Ok(v as u64) // saturates: 1e300 is a whole number too
        } else {
            Err(E::invalid_value(de::Unexpected::Float(v), &self))
        }
    }
}

/// Reads `123` and `123.0` alike, as clients in JavaScript mean them.
pub(crate) fn int<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    d.deserialize_any(WholeNumber)
}

/// Like [`int`] for a field that may be absent; use with `default`.
pub(crate) fn int_opt<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    int(d).map(Some)
}

/// Like [`int`] for a field that may be absent or null; use with `default`.
pub(crate) fn int_nullable<'de, D: Deserializer<'de>>(d: D) -> Result<Nullable<u64>, D::Error> {
    struct OrNull;
    impl<'de> Visitor<'de> for OrNull {
        type Value = Option<u64>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number or null")
        }
        fn visit_none<E>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }
        fn visit_unit<E>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }
        fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Option<u64>, D::Error> {
            int(d).map(Some)
        }
    }
    d.deserialize_option(OrNull).map(Some)
}

/// Writes a number as JavaScript would: `0`, not `0.0`.
pub(crate) fn number<S: Serializer>(v: &f64, s: S) -> Result<S::Ok, S::Error> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if v.fract() == 0.0 && v.abs() < EXACT {
        s.serialize_i64(*v as i64)
    } else {
        s.serialize_f64(*v)
    }
}

/// Like [`number`] for an optional field; use with `skip_serializing_if`.
pub(crate) fn number_opt<S: Serializer>(v: &Option<f64>, s: S) -> Result<S::Ok, S::Error> {
    match v {
        Some(v) => number(v, s),
        None => s.serialize_none(),
    }
}
