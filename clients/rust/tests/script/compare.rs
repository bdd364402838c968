//! Fields as far as a row has them, with names for what comes.

use std::collections::BTreeMap;

use serde_json::Value;

/// Values of each `$name`, as they came first.
pub(super) type Names = BTreeMap<String, Value>;

/// Comparison of what came with what is expected: an error says where they differ.
pub(super) fn fits(expected: &Value, came: &Value, names: &mut Names) -> Result<(), String> {
    match (expected, came) {
        (Value::Null, Value::Null) => Ok(()),
        (Value::Null, other) => Err(format!("{other} should not be there")),
        (Value::String(name), came) if name.starts_with('$') => match names.get(name) {
            Some(earlier) if earlier == came => Ok(()),
            Some(earlier) => Err(format!("{name} was {earlier} and is {came}")),
            None if came.is_null() => Err(format!("{name} is not there")),
            None => {
                names.insert(name.clone(), came.clone());
                Ok(())
            }
        },
        (Value::Object(expected), Value::Object(fields)) => expected.iter().try_for_each(|(key, expected)| {
            fits(expected, fields.get(key).unwrap_or(&Value::Null), names).map_err(|why| format!("{key}: {why}"))
        }),
        (Value::Array(expected), Value::Array(elements)) => {
            if expected.len() != elements.len() {
                return Err(format!("{} elements, not {}: {came}", elements.len(), expected.len()));
            }
            let mut pairs = expected.iter().zip(elements);
            pairs.try_for_each(|(expected, element)| fits(expected, element, names))
        }
        _ if expected == came => Ok(()),
        _ => Err(format!("it is {came}")),
    }
}

/// Words of the server, with names and addresses in their places.
pub(super) fn said(value: &Value, names: &Names, url: &str) -> Value {
    match value {
        Value::String(text) => match (text.strip_prefix("$url"), names.get(text)) {
            (Some(rest), _) => Value::String(format!("{url}{rest}")),
            (None, Some(named)) => named.clone(),
            (None, None) => value.clone(),
        },
        Value::Array(elements) => elements.iter().map(|element| said(element, names, url)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), said(value, names, url)));
            Value::Object(fields.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
