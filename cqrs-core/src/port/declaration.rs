//! How the declaration of a collection is kept: for adapters.

use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::port::document::{Collection, IndexedField};
use crate::schema::mapping::Change;

impl Collection {
    /// What is declared, as JSON: for adapters, which keep it. The declared fields are a list of
    /// `{"name": …, "unique": …}`; with a mapping, an object has both.
    ///
    /// ```
    /// use cqrs_core::Collection;
    ///
    /// let tutors = Collection::new("tutor").indexed("city").unique("email");
    /// let kept = tutors.declaration();
    /// assert_eq!(Collection::from_declaration("tutor", Some(&kept))?, tutors);
    /// # Ok::<_, cqrs_core::Error>(())
    /// ```
    pub fn declaration(&self) -> String {
        let fields = self.fields.iter();
        let fields = fields.map(|field| json!({ "name": field.name, "unique": field.unique }));
        let fields = Value::Array(fields.collect());
        match &self.mapping {
            None => fields.to_string(),
            Some(mapping) => json!({ "fields": fields, "mapping": mapping }).to_string(),
        }
    }

    /// The collection as it was kept; `None`: nobody declared it. See [`declaration`](Self::declaration).
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when it was not declared, [`Internal`](ErrorKind::Internal) when
    /// what was kept is damaged.
    pub fn from_declaration(name: &str, fields: Option<&str>) -> Result<Self> {
        let fields = fields.ok_or_else(|| Self::undeclared(name))?;
        let damaged = || {
            let context =
                format!("the declaration of the collection `{name}` is damaged: {fields}");
            Error::new(ErrorKind::Internal, context)
        };
        let (list, mapping) = match serde_json::from_str(fields) {
            Ok(Value::Array(list)) => (list, None),
            Ok(Value::Object(mut both)) => {
                let Some(Value::Array(list)) = both.remove("fields") else { return Err(damaged()) };
                let mapping = both.remove("mapping").and_then(|m| serde_json::from_value(m).ok());
                (list, Some(mapping.ok_or_else(damaged)?))
            }
            _ => return Err(damaged()),
        };
        let field = |field: &Value| {
            let (name, unique) = (field.get("name")?.as_str()?, field.get("unique")?.as_bool()?);
            Some(IndexedField { name: name.to_owned().into(), unique })
        };
        let fields = list.iter().map(field).collect::<Option<Vec<_>>>().ok_or_else(damaged)?;
        Ok(Self { name: name.to_owned().into(), fields, mapping })
    }

    /// Whether something is to be done to declare this, where it was declared as that: for adapters.
    ///
    /// An older version of a mapping changes nothing: newer programs are at work, and this one goes on with
    /// what they have made.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when a mapping was changed and its version was not, or when a mapped
    /// collection would be one of any JSON.
    pub fn follows(&self, known: &Self) -> Result<bool> {
        if self == known {
            return Ok(false);
        }
        let name = &self.name;
        match (&known.mapping, &self.mapping) {
            (Some(_), None) => {
                let context = format!(
                    "the collection `{name}` has columns: declare it with the schema of its entity"
                );
                Err(Error::invalid_field("collection", context))
            }
            (Some(known), Some(mapping)) if mapping.version < known.version => Ok(false),
            (Some(known), Some(mapping)) if mapping.version == known.version => {
                let changed = known.changes(mapping).into_iter().next();
                let field = match changed {
                    // The order of fields says nothing.
                    None if known.id == mapping.id => return Ok(false),
                    None => "id",
                    Some(Change::Added(field) | Change::Removed(field)) => &*field.name,
                    Some(Change::Changed { to, .. }) => &*to.name,
                };
                let context = format!(
                    "`{field}` of `{name}` is not what version {} of its schema was declared with: \
                     raise the version",
                    known.version
                );
                Err(Error::invalid_field(field, context))
            }
            (None, _) | (Some(_), Some(_)) => Ok(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_declaration_is_an_error() {
        for fields in ["", "{}", "[1]", r#"[{"name":"a"}]"#, r#"{"fields":[]}"#] {
            assert!(Collection::from_declaration("tutor", Some(fields)).is_err(), "{fields}");
        }
    }
}
