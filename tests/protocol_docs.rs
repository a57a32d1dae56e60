//! `docs/PROTOCOL.md` and `docs/asyncapi.json` describe one protocol: the same frames, and examples that fit the
//! schemas. The checker below knows the few words of JSON Schema that the description uses, and fails on others.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

const DOCUMENT: &str = include_str!("../docs/PROTOCOL.md");
const DESCRIPTION: &str = include_str!("../docs/asyncapi.json");

fn description() -> Value {
    serde_json::from_str(DESCRIPTION).expect("asyncapi.json is JSON")
}

fn messages(description: &Value) -> &Map<String, Value> {
    description["components"]["messages"].as_object().expect("messages are an object")
}

/// The frames with a chapter of their own: headings of the third level in capitals.
fn chapters() -> BTreeSet<&'static str> {
    let headings = DOCUMENT.lines().filter_map(|line| line.strip_prefix("### "));
    headings.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_')).collect()
}

/// Every line of every `json` block, with the frame whose chapter it stands in.
fn examples() -> Vec<(&'static str, Value)> {
    let (mut chapter, mut inside, mut found) = ("", false, Vec::new());
    for line in DOCUMENT.lines() {
        match line {
            "```json" => inside = true,
            "```" => inside = false,
            _ if inside => {
                found.push((chapter, serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))))
            }
            _ => chapter = line.strip_prefix("### ").unwrap_or(chapter),
        }
    }
    found
}

#[test]
fn both_name_the_same_frames() {
    let description = description();
    let described: BTreeSet<&str> = messages(&description).keys().map(String::as_str).collect();
    assert_eq!(described, chapters());
}

#[test]
fn every_frame_has_an_example_and_every_example_fits_its_schema() {
    let description = description();
    let mut shown = BTreeSet::new();
    for (chapter, example) in examples() {
        let message = &messages(&description)[chapter];
        fits(&description, &message["payload"], &example).unwrap_or_else(|why| panic!("{example}: {why}"));
        let fields = message["payload"]["properties"].as_object().expect("a payload has properties");
        for field in example.as_object().expect("a frame is an object").keys() {
            assert!(fields.contains_key(field), "{chapter} has no field {field}: {example}");
        }
        shown.insert(chapter);
    }
    assert_eq!(shown, chapters());
}

#[test]
fn every_field_of_a_schema_is_named_in_its_chapter() {
    let description = description();
    for (name, message) in messages(&description) {
        let start = DOCUMENT.find(&format!("### {name}\n")).expect("both_name_the_same_frames");
        let chapter = DOCUMENT[start + 1..].split("\n### ").next().unwrap_or_default();
        for field in message["payload"]["properties"].as_object().expect("a payload has properties").keys() {
            let named = chapter.contains(&format!("`{field}`")) || chapter.contains(&format!("\"{field}\""));
            assert!(named, "the chapter {name} does not name {field}");
        }
    }
}

#[test]
fn the_description_is_asyncapi_3_and_its_references_lead_somewhere() {
    let description = description();
    assert!(description["asyncapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    for part in ["info", "channels", "operations", "components"] {
        assert!(description[part].is_object(), "{part} is missing");
    }
    check_references(&description, &description);
    let used: BTreeSet<&str> = description["operations"]
        .as_object()
        .expect("operations are an object")
        .values()
        .flat_map(|operation| operation["messages"].as_array().expect("an operation lists messages"))
        .filter_map(|message| message["$ref"].as_str()?.rsplit('/').next())
        .collect();
    assert_eq!(used, chapters(), "each message is sent in one direction at least");
}

#[test]
fn a_wrong_frame_does_not_fit() {
    let description = description();
    let schema = &messages(&description)["DIAL"]["payload"];
    for wrong in [r#"{"type":"DIAL"}"#, r#"{"type":"DIAL","to":""}"#, r#"{"type":"DIALS","to":"x"}"#, "[]"] {
        let wrong = serde_json::from_str(wrong).expect("valid JSON");
        assert!(fits(&description, schema, &wrong).is_err(), "{wrong}");
    }
}

fn check_references(root: &Value, value: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref") {
                resolve(root, target);
            }
            fields.values().for_each(|field| check_references(root, field));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(root, item)),
        _ => {}
    }
}

fn resolve<'a>(root: &'a Value, target: &Value) -> &'a Value {
    let target = target.as_str().expect("a reference is a string");
    let pointer = target.strip_prefix('#').expect("references stay inside the file");
    root.pointer(pointer).unwrap_or_else(|| panic!("{target} leads nowhere"))
}

/// Checks a value against a schema; the error says which word was broken.
fn fits(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    for (word, wanted) in schema.as_object().expect("a schema is an object") {
        let ok = match word.as_str() {
            "$ref" => return fits(root, resolve(root, wanted), value),
            "type" => types(wanted).any(|name| has_type(value, name)),
            "const" => value == wanted,
            "enum" => wanted.as_array().expect("enum is a list").contains(value),
            "required" => names(wanted).all(|name| value.get(name).is_some()),
            "properties" => {
                for (name, inner) in wanted.as_object().expect("properties are an object") {
                    value.get(name).map_or(Ok(()), |field| fits(root, inner, field))?;
                }
                true
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    fits(root, wanted, item)?;
                }
                true
            }
            "oneOf" => {
                let fitting = |inner: &&Value| fits(root, inner, value).is_ok();
                wanted.as_array().expect("oneOf is a list").iter().filter(fitting).count() == 1
            }
            "minimum" => value.as_f64().is_none_or(|number| Some(number) >= wanted.as_f64()),
            "exclusiveMinimum" => value.as_f64().is_none_or(|number| Some(number) > wanted.as_f64()),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= number(wanted)),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= number(wanted)),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= number(wanted)),
            // The only pattern is that of addresses, whose rule the exchange's own tests check.
            "pattern" => value.as_str().is_none_or(|text| text.contains('@')),
            "description" | "format" | "default" => true,
            other => panic!("the checker does not know the word {other}"),
        };
        if !ok {
            return Err(format!("{value} breaks {word}: {wanted}"));
        }
    }
    Ok(())
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a bound is a whole number")
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().expect("a list of names").iter().filter_map(Value::as_str)
}

fn types(wanted: &Value) -> impl Iterator<Item = &str> {
    wanted.as_str().into_iter().chain(wanted.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("the checker does not know the type {other}"),
    }
}
