/// The JSON Schema of the file (draft 2020-12), for editors: what may stand where, and what it means.
pub const SCHEMA: &str = include_str!("schema.json");

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{
        super::{groups::GROUP, packet::*, read::TOP, rule::*},
        *,
    };

    fn keys(schema: &Value, at: &str) -> Vec<String> {
        let object = schema.pointer(at).and_then(Value::as_object).unwrap_or_else(|| panic!("no {at}"));
        let mut keys: Vec<String> = object.keys().cloned().collect();
        keys.sort();
        keys
    }

    #[test]
    fn it_has_the_keys_that_the_reader_knows() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        for (at, known) in [
            ("/properties", TOP),
            ("/$defs/group/anyOf/2/properties", GROUP),
            ("/$defs/rule/properties", RULE),
            ("/$defs/way/properties", WAY),
            ("/$defs/test/properties", TEST),
            ("/$defs/packet/properties", PACKET),
        ] {
            let mut known = known.to_vec();
            known.sort();
            assert_eq!(keys(&schema, at), known, "{at}");
            let closed = schema.pointer(at.trim_end_matches("/properties")).unwrap();
            assert_eq!(closed["additionalProperties"], Value::Bool(false), "{at}");
        }
        // What a rule does is one of these, or it only logs.
        let ways = schema.pointer("/$defs/rule/oneOf").and_then(Value::as_array).unwrap();
        let named: Vec<&str> = ways.iter().filter_map(|way| way.pointer("/required/0")?.as_str()).collect();
        assert_eq!(named, [ACTIONS, &["log"]].concat());
    }

    #[test]
    fn every_key_is_described() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let mut count = 0;
        for at in ["/properties", "/$defs/rule/properties", "/$defs/way/properties", "/$defs/test/properties", "/$defs/packet/properties"] {
            for (key, value) in schema.pointer(at).and_then(Value::as_object).unwrap() {
                assert!(value["description"].as_str().is_some_and(|text| text.len() > 20), "{at}/{key}");
                count += 1;
            }
        }
        assert!(count > 20, "{count}");
    }
}
