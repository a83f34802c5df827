//! A table of comma-separated values, as RFC 4180 has it.

/// The records of a table, the heading first. Empty lines are no records.
///
/// Written here and not shared with the examples, so that it can tell when their reader is wrong.
pub(crate) fn records(text: &str) -> Vec<Vec<String>> {
    let mut records = Vec::new();
    let mut record = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // Two quotes in a quoted field are one quote of its text.
            '"' if quoted && chars.next_if_eq(&'"').is_some() => push(&mut record, '"'),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(String::new()),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => finish(&mut records, &mut record),
            other => push(&mut record, other),
        }
    }
    finish(&mut records, &mut record);
    records
}

fn push(record: &mut [String], c: char) {
    if let Some(field) = record.last_mut() {
        field.push(c);
    }
}

fn finish(records: &mut Vec<Vec<String>>, record: &mut Vec<String>) {
    let record = std::mem::replace(record, vec![String::new()]);
    if record != [""] {
        records.push(record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_record() {
        assert_eq!(records("a,b\r\n1,\n2,3"), [["a", "b"], ["1", ""], ["2", "3"]]);
    }

    #[test]
    fn a_quoted_field_keeps_commas_line_ends_and_quotes() {
        assert_eq!(records("\"a,b\n\"\"c\"\"\",d\n"), [["a,b\n\"c\"", "d"]]);
    }

    #[test]
    fn empty_lines_are_no_records() {
        assert_eq!(records("a\n\nb\n\n"), [["a"], ["b"]]);
        assert!(records("").is_empty());
    }
}
