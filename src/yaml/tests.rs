use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(line: u64, column: u64) -> Position {
    Position { line, column }
}

fn error(text: &str) -> YamlError {
    parse_tree(text).expect_err(text)
}

/// Nine lists of nine references each: 9^9 scalars in a few lines.
fn billion_laughs() -> String {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let references = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{references}]\n"));
    }
    text
}

#[test]
fn every_node_knows_its_line_and_column() {
    let tree = parse_tree("a: 1\nb:\n  - x\n  - {ü: 'y', z: }\n").unwrap();
    assert_eq!(tree.at, at(1, 1));
    assert_eq!(tree.get("a").unwrap(), &Tree { at: at(1, 4), node: Node::Number(1.into()) });
    let list = tree.get("b").unwrap();
    assert_eq!(list.at, at(3, 3));
    assert_eq!(list.child("0").unwrap().at, at(3, 5));
    let Node::Mapping(entries) = &list.child("1").unwrap().node else { panic!("no mapping") };
    assert_eq!((entries[0].at, entries[0].value.at), (at(4, 6), at(4, 9)), "columns count characters");
    assert_eq!((entries[1].at, &entries[1].value.node), (at(4, 14), &Node::Null));
}

#[test]
fn what_comes_through_an_alias_or_a_merge_stands_where_it_is_used() {
    let tree = parse_tree("a: &x {k: v}\nb: *x\nc: {<<: *x, d: 1}\n").unwrap();
    assert_eq!(tree.get("b").unwrap().get("k").unwrap().at, at(2, 4));
    assert_eq!(tree.get("c").unwrap().get("k").unwrap().at, at(3, 9));
    assert_eq!(tree.to_json(), json!({"a": {"k": "v"}, "b": {"k": "v"}, "c": {"k": "v", "d": 1}}));
}

#[test]
fn a_key_that_stands_twice_is_kept_twice_and_the_first_counts() {
    let tree = parse_tree("a: 1\na: 2\n").unwrap();
    let Node::Mapping(entries) = &tree.node else { panic!("no mapping") };
    assert_eq!(entries.iter().map(|entry| entry.at).collect::<Vec<_>>(), [at(1, 1), at(2, 1)]);
    assert_eq!(tree.to_json(), json!({"a": 1}));
}

#[test]
fn a_number_with_a_leading_zero_is_text() {
    assert_eq!(parse_tree("a: 010\nb: 0\n").unwrap().to_json(), json!({"a": "010", "b": 0}));
}

#[test]
fn a_text_without_a_document_is_null() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "~\n", "\u{feff}"] {
        assert_eq!(parse_tree(text).unwrap().node, Node::Null, "{text:?}");
    }
}

#[test]
fn what_is_no_yaml_is_refused_with_its_place() {
    for (text, place) in [
        ("a:\n\t- b\n", at(2, 2)),
        ("a: [1\n", at(1, 4)),
        ("a: b: c\n", at(1, 5)),
        ("a: *nope\n", at(1, 4)),
        ("a: &a [*a]\n", at(1, 8)),
        ("a: 1\n b: 2\n", at(2, 3)),
        ("- a\nb: c\n", at(2, 1)),
        ("a: \u{0}\n", at(1, 4)),
        ("a: .inf\n", at(1, 4)),
        ("[a]: 1\n", at(1, 1)),
        ("%YAML 3.0\n---\na: 1\n", at(1, 1)),
        ("a: 1\n---\nb: 2\n", at(3, 1)),
        ("a: !secret x\n", at(1, 12)),
    ] {
        assert_eq!(error(text).at, place, "{text:?}: {}", error(text));
    }
}

#[test]
fn deep_nesting_is_refused_before_the_stack_ends() {
    let nested = |depth| format!("{}x{}", "{a: ".repeat(depth), "}".repeat(depth));
    assert!(parse_tree(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(error(&nested(MAX_DEPTH + 1)).message, "nests too deep; write at most 24 levels");
    assert!(parse_tree(&"[".repeat(100_000)).is_err());
    assert!(parse_tree(&"- ".repeat(100_000)).is_err());
    assert!(documents(&"[".repeat(100_000)).is_err());
}

#[test]
fn nesting_through_aliases_is_refused_before_the_stack_ends() {
    let mut text = String::from("a0: &a0 [x]\n");
    for level in 1..60 {
        text.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(parse_tree(&text).is_err());
}

#[test]
fn an_alias_bomb_is_refused() {
    assert!(error(&billion_laughs()).at.line > 1);
    assert!(documents(&billion_laughs()).is_err());
}

#[test]
fn documents_are_read_in_order_and_empty_ones_left_out() {
    assert_eq!(documents("a: 1\n---\n---\n# x\n---\nb: no\n").unwrap(), [json!({"a": 1}), json!({"b": false})]);
    assert_eq!(documents("a: 010\n").unwrap(), [json!({"a": 8})], "as kubectl");
    assert_eq!(documents("---\n").unwrap(), Vec::<Value>::new());
    assert_eq!(documents("").unwrap(), Vec::<Value>::new());
}

#[test]
fn json_is_read_also_with_tabs_and_as_a_stream() {
    assert_eq!(documents("{\n\t\"a\": \"\\ud83d\\ude00\"\n}\n").unwrap(), [json!({"a": "😀"})]);
    assert_eq!(documents("{\"a\": 1}\n{\"a\": 2}{\"a\": 3}").unwrap().len(), 3);
}

#[test]
fn a_duplicate_key_in_a_manifest_is_an_error_in_yaml_and_json() {
    for text in ["a: 1\na: 2\n", "{\"a\": 1, \"a\": 2}"] {
        let error = documents(text).unwrap_err();
        assert!(error.message.contains("duplicate"), "{error}");
    }
    assert_eq!(documents("a: 1\na: 2\n").unwrap_err().at, at(2, 1));
}

#[test]
fn a_broken_document_is_refused_with_its_place_in_the_whole_text() {
    assert_eq!(documents("a: 1\n---\nb: [\n").unwrap_err().at.line, 3);
}

#[test]
fn what_is_written_reads_back_also_with_yaml_1_1() {
    let value = json!({"norway": "no", "port": "010", "text": "l1\nl2\n", "list": ["x: y", 1, null], "on": true});
    let written = to_string(&value).unwrap();
    assert_eq!(documents(&written).unwrap(), [value]);
    assert!(written.contains("\"no\"") || written.contains("'no'"), "{written}");
}

#[test]
fn a_byte_offset_becomes_line_and_column_of_its_character() {
    let text = "ab\nü\u{1F600}x\n".as_bytes();
    for (offset, place) in
        [(0, at(1, 1)), (2, at(1, 3)), (3, at(2, 1)), (5, at(2, 2)), (9, at(2, 3)), (11, at(3, 1)), (99, at(3, 1))]
    {
        assert_eq!(Position::at_byte(text, offset), place, "{offset}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in "\\PC*|[ -~\n\t]*|[a-c:{}\\[\\],&*!|>#?'\" \n-]*") {
        let _ = parse_tree(&text);
        let _ = documents(&text);
    }
}

#[test]
fn a_document_that_is_no_yaml_leaves_the_others_readable_and_knows_its_place() {
    let text = "a: 1\n---\nb: [1\n--- {c: 3}\n---\n# nothing\n---\nd: |\n  --- no document\n---\ne: [5\n";
    let read: Vec<_> = each_document(text);
    assert_eq!(read.len(), 5, "{read:?}");
    assert_eq!((&read[0], &read[2]), (&Ok(json!({"a": 1})), &Ok(json!({"c": 3}))));
    assert_eq!(read[3], Ok(json!({"d": "--- no document\n"})));
    assert_eq!(read[1].as_ref().unwrap_err().at.line, 3, "{:?}", read[1]);
    assert_eq!(read[4].as_ref().unwrap_err().at.line, 11, "{:?}", read[4]);
}

#[test]
fn where_every_document_can_be_read_all_are() {
    for text in ["", "a: 1\n", "---\na: 1\n---\nb: 2\n", "%YAML 1.2\n---\na: 1\n", "{\"a\": 1}\n{\"b\": 2}\n"] {
        let read: Vec<_> = each_document(text).into_iter().map(Result::unwrap).collect();
        assert_eq!(read, documents(text).unwrap(), "{text:?}");
    }
}
