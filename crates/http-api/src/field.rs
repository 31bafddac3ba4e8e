//! Fields of bodies and parameters of queries: what each is called, what it may be, and whether it must be there.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// A field of a JSON object, or a parameter.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name, as on the wire.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Whether it must be there.
    pub is_required: bool,
    /// What it means.
    pub says: &'static str,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A text of at least one character and at most so many.
    Text(u32),
    /// Any text.
    AnyText,
    /// A whole number within these limits, both allowed.
    Number(u64, u64),
    /// A number.
    Real,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A time (RFC 3339).
    Time,
    /// `true` or `false`.
    Flag,
    /// An object with these fields and no others.
    Object(&'static [Field]),
    /// An object with any fields.
    AnyObject,
    /// A list.
    List(&'static Kind),
    /// An object whose values are of one kind.
    Map(&'static Kind),
    /// That, or `null`.
    Maybe(&'static Kind),
    /// One of several.
    Either(&'static [Kind]),
    /// Any JSON.
    Json,
    /// Bytes that are no JSON.
    Bytes,
    /// What a type says of itself; see [`of`].
    Of(fn(&mut SchemaGenerator) -> Schema),
}

/// The schema of a type, for [`Kind::Of`].
pub fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Field {
    /// One that must be there.
    #[must_use]
    pub const fn required(name: &'static str, kind: Kind, says: &'static str) -> Self {
        Self {
            name,
            kind,
            is_required: true,
            says,
        }
    }

    /// One that may be left out.
    #[must_use]
    pub const fn optional(name: &'static str, kind: Kind, says: &'static str) -> Self {
        Self {
            is_required: false,
            ..Self::required(name, kind, says)
        }
    }

    /// The names of fields.
    #[must_use]
    pub const fn names<const N: usize>(fields: &[Self; N]) -> [&'static str; N] {
        let mut names = [""; N];
        let mut slots: &mut [&str] = &mut names;
        let mut rest: &[Self] = fields;
        while let ([slot, more @ ..], [first, others @ ..]) = (slots, rest) {
            *slot = first.name;
            slots = more;
            rest = others;
        }
        names
    }

    /// Its schema, with what it means.
    pub(crate) fn schema(self, generator: &mut SchemaGenerator) -> Value {
        let mut schema = self.kind.schema(generator);
        // Beside a reference a description is its own, as of OpenAPI 3.1.
        if let Some(fields) = schema.as_object_mut() {
            fields.insert("description".to_owned(), self.says.into());
        }
        schema
    }
}

impl Kind {
    /// The schema of it.
    pub(crate) fn schema(self, generator: &mut SchemaGenerator) -> Value {
        match self {
            Self::Text(most) => json!({"type": "string", "minLength": 1, "maxLength": most}),
            Self::AnyText => json!({"type": "string"}),
            // What is larger than a double holds exactly is no limit that anybody could read.
            Self::Number(least, u64::MAX) => json!({"type": "integer", "minimum": least}),
            Self::Number(least, most) => {
                json!({"type": "integer", "minimum": least, "maximum": most})
            }
            Self::Real => json!({"type": "number"}),
            Self::Word(words) => json!({"type": "string", "enum": words}),
            Self::Time => json!({"type": "string", "format": "date-time"}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Object(fields) => object(fields, generator),
            Self::AnyObject => json!({"type": "object"}),
            Self::List(kind) => json!({"type": "array", "items": kind.schema(generator)}),
            Self::Map(kind) => {
                json!({"type": "object", "additionalProperties": kind.schema(generator)})
            }
            Self::Maybe(kind) => {
                json!({"anyOf": [kind.schema(generator), {"type": "null"}]})
            }
            Self::Either(kinds) => {
                let kinds: Vec<Value> = kinds.iter().map(|it| it.schema(generator)).collect();
                json!({ "anyOf": kinds })
            }
            Self::Json => json!({}),
            Self::Bytes => json!({"type": "string", "format": "binary"}),
            Self::Of(of) => of(generator).to_value(),
        }
    }

    /// It as fields, each with its schema and whether it must be there: those of an object, or of a type that is one.
    pub(crate) fn fields(self, generator: &mut SchemaGenerator) -> Vec<(String, Value, bool)> {
        let schema = self.schema(generator);
        let required = schema.get("required").and_then(Value::as_array);
        let required = required.cloned().unwrap_or_default();
        let Some(Value::Object(properties)) = schema.get("properties") else {
            return Vec::new();
        };
        let with_need = |(name, schema): (&String, &Value)| {
            let is_required = required.iter().any(|it| it == name);
            (name.clone(), schema.clone(), is_required)
        };
        properties.iter().map(with_need).collect()
    }
}

fn object(fields: &[Field], generator: &mut SchemaGenerator) -> Value {
    let required = fields.iter().filter(|it| it.is_required);
    let required: Vec<&str> = required.map(|it| it.name).collect();
    let properties: Map<String, Value> = fields
        .iter()
        .map(|it| (it.name.to_owned(), it.schema(generator)))
        .collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if let (Some(fields), false) = (schema.as_object_mut(), required.is_empty()) {
        fields.insert("required".to_owned(), required.into());
    }
    schema
}
