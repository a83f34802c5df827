//! How the declaration of a collection is kept: for adapters.

use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::port::document::{Collection, IndexedField};

impl Collection {
    /// The declared fields as a JSON list of `{"name": …, "unique": …}`: for adapters, which keep it.
    ///
    /// ```
    /// use cqrs_core::Collection;
    ///
    /// let tutors = Collection::new("tutor").indexed("city").unique("email");
    /// let kept = tutors.fields_json();
    /// assert_eq!(Collection::from_fields_json("tutor", Some(&kept))?, tutors);
    /// # Ok::<_, cqrs_core::Error>(())
    /// ```
    pub fn fields_json(&self) -> String {
        let fields = self.fields.iter();
        let fields = fields.map(|field| json!({ "name": field.name, "unique": field.unique }));
        Value::Array(fields.collect()).to_string()
    }

    /// The collection as it was kept; `None`: nobody declared it. See [`fields_json`](Self::fields_json).
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when it was not declared, [`Internal`](ErrorKind::Internal) when
    /// what was kept is damaged.
    pub fn from_fields_json(name: &str, fields: Option<&str>) -> Result<Self> {
        let fields = fields.ok_or_else(|| Self::undeclared(name))?;
        let damaged = || {
            let context =
                format!("the declaration of the collection `{name}` is damaged: {fields}");
            Error::new(ErrorKind::Internal, context)
        };
        let Ok(Value::Array(list)) = serde_json::from_str(fields) else { return Err(damaged()) };
        let field = |field: &Value| {
            let (name, unique) = (field.get("name")?.as_str()?, field.get("unique")?.as_bool()?);
            Some(IndexedField { name: name.to_owned().into(), unique })
        };
        let fields = list.iter().map(field).collect::<Option<Vec<_>>>().ok_or_else(damaged)?;
        Ok(Self { name: name.to_owned().into(), fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_declaration_is_an_error() {
        for fields in ["", "{}", "[1]", r#"[{"name":"a"}]"#] {
            assert!(Collection::from_fields_json("tutor", Some(fields)).is_err(), "{fields}");
        }
    }
}
