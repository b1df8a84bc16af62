//! Both servers answer the same raw requests in the same words: code, reason, message, details, objects and watch events.
//!
//! `testdata/honest/*.http` hold the requests, and below each the real server's answer. A block is
//!
//! ```text
//! # the rule that it shows
//! POST /api/v1/namespaces/{ns}/configmaps
//! Content-Type: application/json
//! {"metadata": {"name": "one"}}
//! = one /metadata/resourceVersion
//! < 201 {"metadata": {"name": "one"}, ...}
//! ```
//!
//! `! words` compares code and reason only, where the real server's message is Go's own (what its decoder says of broken JSON) or names
//! what the sandbox has not (protobuf). A header may be missing (JSON is sent, JSON is wanted), so may the body. `= NAME POINTER` keeps a part of the answer: from there on
//! `{NAME}` stands for it, in requests and in answers. What the server draws by lot and what time makes is left out of answers.
//! `UPDATE_GOLDEN=1` on the real server writes what it answers.

use std::fmt::Write as _;
use std::path::Path;

use http::Request;
use serde_json::{Value, json};

use crate::api::Api;
use crate::case::without_neighbours;
use crate::server::{Server, Which};

/// How long a watch lasts at first, and how long once more if its answer was another.
const SHORT: &str = "timeoutSeconds=1";
const LONG: &str = "timeoutSeconds=15";

/// Runs a file's requests one after the other, in this namespace.
fn holds(file: &str, server: &Server, namespace: &str) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/honest")).join(file);
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut session = Session { api: &server.admin, known: vec![("ns".to_owned(), namespace.to_owned())] };
    let blocks: Vec<(String, String)> = expected
        .trim()
        .split("\n\n")
        .map(|block| {
            let asked: Vec<&str> = block.lines().filter(|line| !line.starts_with('<')).collect();
            let found = format!("{}\n{}", asked.join("\n"), session.answer(&asked));
            if found.trim_end() == block.trim_end() || !block.contains(SHORT) {
                return (block.to_owned(), found);
            }
            // A watch begins again where it began; a busy server may not have told all within its second.
            let longer: Vec<String> = asked.iter().map(|line| line.replace(SHORT, LONG)).collect();
            let longer: Vec<&str> = longer.iter().map(String::as_str).collect();
            (block.to_owned(), format!("{}\n{}", asked.join("\n"), session.answer(&longer)))
        })
        .collect();
    if server.which == Which::Real && std::env::var_os("UPDATE_GOLDEN").is_some() {
        let all: Vec<&str> = blocks.iter().map(|(_, found)| found.trim_end()).collect();
        std::fs::write(&path, format!("{}\n", all.join("\n\n"))).unwrap();
        return;
    }
    let different = blocks.iter().filter(|(expected, found)| expected.trim_end() != found.trim_end());
    let different: Vec<String> = different
        .map(|(expected, found)| {
            let answer = found.lines().filter(|line| line.starts_with('<')).collect::<Vec<_>>().join("\n");
            format!("{expected}\n--- but is\n{answer}\n")
        })
        .collect();
    assert!(different.is_empty(), "{file}: {} answers differ\n\n{}", different.len(), different.join("\n"));
    assert!(blocks.len() > 5, "{file}: there is something to ask");
}

struct Session<'a> {
    api: &'a Api,
    /// What names stand for.
    known: Vec<(String, String)>,
}

impl Session<'_> {
    /// The lines of a block's answer.
    fn answer(&mut self, block: &[&str]) -> String {
        let in_own_words = block.contains(&"! words");
        let lines = block.iter().filter(|line| !line.starts_with('#') && **line != "! words");
        let (keep, lines): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("= "));
        let (method, path) = lines.first().and_then(|line| line.split_once(' ')).expect("METHOD PATH");
        let is_header = |line: &&str| line.split(':').next().is_some_and(|name| !name.contains(['{', '"', ' ', '[']));
        let headers = lines[1..].iter().copied().take_while(is_header).count();
        let mut request = Request::builder().method(method).uri(self.filled(path));
        let (mut accept, mut content) = ("application/json", "application/json");
        for line in &lines[1..=headers] {
            match line.split_once(": ").unwrap_or((line.trim_end_matches(':'), "")) {
                ("Accept", value) => accept = value,
                ("Content-Type", value) => content = value,
                (name, value) => request = request.header(name, value),
            }
        }
        request = request.header("Accept", accept);
        let body = self.filled(&lines[1 + headers..].join("\n"));
        if !body.is_empty() && !content.is_empty() {
            request = request.header("Content-Type", content);
        }
        let answer = self.api.raw(request.body(body.into_bytes()).unwrap());
        let code = answer.status().as_u16();
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        if let Ok(found) = serde_json::from_str::<Value>(&text) {
            for keep in keep {
                let (name, pointer) = keep[2..].split_once(' ').expect("= NAME POINTER");
                let value = found.pointer(pointer).unwrap_or_else(|| panic!("{keep}: {found:#}"));
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                self.known.retain(|(known, _)| known != name);
                self.known.push((name.to_owned(), value));
            }
        }
        if in_own_words {
            let status: Value = serde_json::from_str(&text).unwrap_or_default();
            return format!("< {code} {}\n", text_of(&status["reason"]));
        }
        self.told(code, &text)
    }

    fn told(&self, code: u16, text: &str) -> String {
        let mut lines = String::new();
        let documents: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
        match documents.as_deref() {
            Ok([status]) if status["kind"] == "Status" && status["status"] == "Failure" => {
                let (reason, message) = (text_of(&status["reason"]), numberless(&text_of(&status["message"])));
                let _ = writeln!(lines, "< {code} {reason}: {}", self.named(&message).replace('\n', "\\n"));
                if status["metadata"].as_object().is_some_and(|metadata| !metadata.is_empty()) {
                    let _ = writeln!(lines, "< metadata {}", self.normal(&status["metadata"]));
                }
                if !status["details"].is_null() {
                    let _ = writeln!(lines, "< details {}", self.normal(&status["details"]));
                }
                if status["code"] != code {
                    let _ = writeln!(lines, "< code {}", status["code"]);
                }
            }
            Ok(events) if events.first().is_some_and(|event| event["object"].is_object()) => {
                let _ = writeln!(lines, "< {code}");
                // One that says nothing but how far the server is comes when that has the time.
                let is_progress = |event: &&Value| {
                    event["type"] == "BOOKMARK" && event["object"]["metadata"]["annotations"].is_null()
                };
                for event in events.iter().filter(|event| !is_progress(event)) {
                    let kind = text_of(&event["type"]);
                    let _ = writeln!(lines, "< {kind} {}", self.normal(&event["object"]));
                }
            }
            Ok([list]) if list["items"].is_array() => {
                let items = list["items"].as_array().unwrap();
                let mut head = list.clone();
                head["items"] = items.len().into();
                let _ = writeln!(lines, "< {code} {}", self.normal(&head));
                for item in items {
                    let _ = writeln!(lines, "< - {}", self.normal(item));
                }
            }
            Ok([object]) => {
                let _ = writeln!(lines, "< {code} {}", self.normal(object));
            }
            Ok([]) => {
                let _ = writeln!(lines, "< {code} nothing");
            }
            Ok(_) | Err(_) => {
                let _ = writeln!(lines, "< {code} text {text:?}");
            }
        }
        lines
    }

    /// The value without what two servers draw differently.
    fn normal(&self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let kept = fields.iter().filter(|(name, _)| *name != "managedFields");
                kept.map(|(name, value)| (name.clone(), self.normal_field(name, value)))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }
            Value::Array(items) => items.iter().map(|item| self.normal(item)).collect(),
            Value::String(text) => self.named(&numberless(text)).into(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn normal_field(&self, name: &str, value: &Value) -> Value {
        match (name, value) {
            ("resourceVersion", Value::String(text)) if !text.is_empty() && text != "0" => json!("VERSION"),
            ("uid" | "continue" | "clusterIP", Value::String(text)) if !text.is_empty() => json!(name.to_uppercase()),
            ("creationTimestamp" | "deletionTimestamp" | "lastTransitionTime", Value::String(_)) => json!("TIME"),
            ("clusterIPs", Value::Array(all)) => all.iter().map(|_| "CLUSTERIP").collect(),
            ("nodePort", Value::Number(_)) => json!("NODEPORT"),
            // Of a generated name only the beginning is not by lot.
            ("name", Value::String(text)) if text.starts_with("drawn-") => {
                json!(format!("drawn-{}", "?".repeat(text.len() - 6)))
            }
            _ => self.normal(value),
        }
    }

    fn filled(&self, text: &str) -> String {
        self.known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    fn named(&self, text: &str) -> String {
        let longer = |(_, value): &&(String, String)| value.len() > 2;
        let known = self.known.iter().filter(longer);
        known.fold(text.to_owned(), |text, (name, value)| {
            let name = format!("{{{name}}}");
            if value.bytes().all(|byte| byte.is_ascii_digit()) {
                // A version may be part of a number that means something else.
                let whole = regex::Regex::new(&format!(r"\b{value}\b")).expect("a pattern");
                whole.replace_all(&text, name.as_str()).into_owned()
            } else {
                text.replace(value.as_str(), &name)
            }
        })
    }
}

/// A message without the server's versions in it: `too old resource version: 1 (345)`, `..., current: 345`, `in record (345)`.
fn numberless(message: &str) -> String {
    let mut message = message.to_owned();
    for before in ["too old resource version: 1 (", "current: ", "ResourceVersion in record ("] {
        if let Some(at) = message.find(before) {
            let start = at + before.len();
            let digits = message[start..].chars().take_while(char::is_ascii_digit).count();
            if digits > 0 {
                message.replace_range(start..start + digits, "N");
            }
        }
    }
    message
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_is_created_is_named_numbered_and_refused_alike() {
    without_neighbours(|world| holds("create.http", world.server, &world.namespace));
}

#[test]
fn what_is_replaced_and_patched_meets_the_same_preconditions() {
    without_neighbours(|world| holds("update.http", world.server, &world.namespace));
}

#[test]
fn what_is_deleted_lives_until_its_last_finalizer_is_gone() {
    without_neighbours(|world| holds("delete.http", world.server, &world.namespace));
}

#[test]
fn lists_are_paged_selected_and_versioned_alike() {
    without_neighbours(|world| holds("list.http", world.server, &world.namespace));
}

#[test]
fn watches_begin_where_they_are_told_and_say_the_same() {
    without_neighbours(|world| holds("watch.http", world.server, &world.namespace));
}

#[test]
fn what_there_is_not_and_what_cannot_be_read_is_refused_in_the_same_words() {
    without_neighbours(|world| holds("refused.http", world.server, &world.namespace));
}

#[test]
fn what_nobody_should_ask_is_answered_alike() {
    without_neighbours(|world| holds("odd.http", world.server, &world.namespace));
}

#[test]
fn versions_whose_history_is_gone_are_expired_as_status_and_as_event() {
    without_neighbours(|world| {
        let server = world.server.forgetful(&format!("{}-expired", world.instance));
        holds("expired.http", &server, "default");
    });
}
