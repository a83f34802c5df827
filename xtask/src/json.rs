//! One question to a JSON text: which number stands under a key of the outermost object?

/// The whole number under `key` of the outermost object; `None` when there is none.
///
/// It looks only as far as it must, and takes the text to be JSON.
pub(crate) fn number(json: &str, key: &str) -> Option<u64> {
    let mut depth = 0_u32;
    let mut rest = json;
    loop {
        let at = rest.find(['{', '[', '}', ']', '"'])?;
        let after = &rest[at + 1..];
        match rest.as_bytes()[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {
                let end = closing_quote(after)?;
                rest = &after[end + 1..];
                match rest.trim_start().strip_prefix(':') {
                    Some(value) if depth == 1 && &after[..end] == key => return whole(value),
                    _ => continue,
                }
            }
        }
        rest = after;
    }
}

/// Where the string that starts here ends.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

fn whole(value: &str) -> Option<u64> {
    let value = value.trim_start();
    let end = value.find([',', '}', ' ', '\n', '\r', '\t']).unwrap_or(value.len());
    value[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_its_key() {
        let json = "{\"cases\":12,\n  \"events\" : 340 }\n";
        assert_eq!((number(json, "cases"), number(json, "events")), (Some(12), Some(340)));
    }

    #[test]
    fn only_the_outermost_object_counts() {
        let json = r#"{"steps":[{"events":1}],"by":{"events":2},"events":3}"#;
        assert_eq!(number(json, "events"), Some(3));
    }

    #[test]
    fn a_text_that_looks_like_a_key_is_none() {
        let json = r#"{"note":"\"events\": 1, {[","name":"events","events":2}"#;
        assert_eq!(number(json, "events"), Some(2));
    }

    #[test]
    fn what_is_no_whole_number_is_not_found() {
        for json in ["", "{}", r#"{"events":"3"}"#, r#"{"events":3.5}"#, r#"{"events"#] {
            assert_eq!(number(json, "events"), None, "{json}");
        }
    }
}
