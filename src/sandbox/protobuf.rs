//! Bodies in protobuf, which typed clients send for the kinds that every server has (client-go forces it, and kubectl's `create
//! configmap`, `secret`, `service` and `namespace` with it). They become the JSON that such a client would have written: by a table of
//! all fields (`protobuf/fields.txt`), made from the tags of Kubernetes' own types. Answers are JSON, which every such client takes
//! too. CustomResourceDefinitions are not in the table: the schemas in them are JSON within protobuf.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Map, Value, json};

/// What such a body begins with (`k8s.io/apimachinery/pkg/runtime/serializer/protobuf`).
const MAGIC: &[u8] = b"k8s\0";

/// Why a body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("provided data does not appear to be a protobuf message, expected prefix {MAGIC:?}")]
    Prefix,
    #[error("the protobuf message ends within a field")]
    Cut,
    #[error("a protobuf field of {0} is not of the type that it should be")]
    Type(&'static str),
    #[error("the sandbox reads no protobuf of {0}; send JSON (a file: kubectl create -f)")]
    Kind(String),
}

/// The object in a body, as JSON.
pub(super) fn read(body: &[u8]) -> Result<Value, Unreadable> {
    let envelope = body.strip_prefix(MAGIC).ok_or(Unreadable::Prefix)?;
    let (mut about, mut raw) = (Map::new(), &[][..]);
    for field in Fields(envelope) {
        match field? {
            (1, Payload::Bytes(bytes)) => about = type_meta(bytes)?,
            (2, Payload::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let text = |field: &str| about.get(field).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let package = match version.split_once('/') {
        _ if kind == "DeleteOptions" => "meta/v1".to_owned(),
        None => format!("core/{version}"),
        Some((group, version)) => format!("{}/{version}", group.split('.').next().unwrap_or_default()),
    };
    let message = TABLE.get_key_value(format!("{package}.{kind}").as_str());
    let (message, _) = message.ok_or_else(|| Unreadable::Kind(format!("{kind} of {version}")))?;
    let mut object = decode(message, raw)?;
    object.append(&mut about);
    Ok(Value::Object(object))
}

fn type_meta(bytes: &[u8]) -> Result<Map<String, Value>, Unreadable> {
    let mut about = Map::new();
    for field in Fields(bytes) {
        match field? {
            (1, payload) => drop(about.insert("apiVersion".to_owned(), payload.text("TypeMeta")?)),
            (2, payload) => drop(about.insert("kind".to_owned(), payload.text("TypeMeta")?)),
            _ => {}
        }
    }
    Ok(about)
}

/// The messages by name.
static TABLE: LazyLock<BTreeMap<&'static str, Vec<Field>>> = LazyLock::new(|| {
    let lines = include_str!("protobuf/fields.txt").lines().filter(|line| !line.starts_with('#'));
    let message = |line: &'static str| {
        let mut words = line.split(' ');
        (words.next().unwrap_or_default(), words.filter_map(Field::read).collect())
    };
    lines.map(message).collect()
});

/// A field of a message.
struct Field {
    number: u64,
    /// In JSON; empty where its fields stand among those of the message around it.
    name: &'static str,
    many: Many,
    kind: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Many {
    /// One, which Go's type cannot leave out: zero is as good as nothing.
    Zero,
    /// One, or nothing.
    Optional,
    List,
    Map,
}

impl Field {
    fn read(word: &'static str) -> Option<Self> {
        let (number, rest) = word.split_once(':')?;
        let (name, kind) = rest.split_once('=')?;
        let signs = [("?", Many::Optional), ("[]", Many::List), ("{}", Many::Map)];
        let found = signs.iter().find_map(|(sign, many)| Some((*many, kind.strip_prefix(sign)?)));
        let (many, kind) = found.unwrap_or((Many::Zero, kind));
        Some(Self { number: number.parse().ok()?, name, many, kind })
    }
}

fn decode(message: &'static str, bytes: &[u8]) -> Result<Map<String, Value>, Unreadable> {
    let known = TABLE.get(message).map(Vec::as_slice).unwrap_or_default();
    let mut object = Map::new();
    for field in Fields(bytes) {
        let (number, payload) = field?;
        // What a newer client knows, and this server does not, is not read, as on the real one.
        let Some(Field { name, many, kind, .. }) = known.iter().find(|field| field.number == number) else { continue };
        match many {
            Many::Map => {
                let (key, value) = entry(message, kind, &payload)?;
                object.entry(*name).or_insert_with(|| json!({}))[key] = value;
            }
            Many::List => {
                let value = value(message, kind, &payload)?;
                if let Some(items) = object.entry(*name).or_insert_with(|| json!([])).as_array_mut() {
                    items.push(value);
                }
            }
            Many::Zero | Many::Optional => {
                let value = value(message, kind, &payload)?;
                let nothing = value.is_null() || *many == Many::Zero && is_zero(&value);
                if let (Value::Object(inlined), true) = (&value, name.is_empty()) {
                    object.extend(inlined.clone());
                } else if !nothing {
                    object.insert((*name).to_owned(), value);
                }
            }
        }
    }
    Ok(object)
}

fn is_zero(value: &Value) -> bool {
    value == "" || value == 0 || value == false
}

fn entry(message: &'static str, kind: &'static str, payload: &Payload<'_>) -> Result<(String, Value), Unreadable> {
    let (mut key, mut found) = (String::new(), None);
    for field in Fields(payload.bytes(message)?) {
        match field? {
            (1, payload) => payload.text(message)?.as_str().unwrap_or_default().clone_into(&mut key),
            (2, payload) => found = Some(value(message, kind, &payload)?),
            _ => {}
        }
    }
    Ok((key, found.unwrap_or_else(|| Value::from(""))))
}

fn value(message: &'static str, kind: &'static str, payload: &Payload<'_>) -> Result<Value, Unreadable> {
    match kind {
        "s" => payload.text(message),
        "i" => payload.number(message).map(|number| number.cast_signed().into()),
        "b" => payload.number(message).map(|number| (number != 0).into()),
        "y" => Ok(json!(ByteString(payload.bytes(message)?.to_vec()))),
        "meta/v1.Time" => time(payload.bytes(message)?, "%Y-%m-%dT%H:%M:%SZ"),
        "meta/v1.MicroTime" => time(payload.bytes(message)?, "%Y-%m-%dT%H:%M:%S.%6fZ"),
        "meta/v1.FieldsV1" | "resource.Quantity" => single(kind, payload.bytes(message)?),
        "intstr.IntOrString" => int_or_string(payload.bytes(message)?),
        other => decode(other, payload.bytes(message)?).map(Value::Object),
    }
}

/// Seconds and nanoseconds; nothing stands for no time.
fn time(bytes: &[u8], format: &str) -> Result<Value, Unreadable> {
    let (mut seconds, mut nanoseconds) = (None, 0);
    for field in Fields(bytes) {
        match field? {
            (1, payload) => seconds = Some(payload.number("Time")?.cast_signed()),
            (2, payload) => nanoseconds = i32::try_from(payload.number("Time")?).unwrap_or_default(),
            _ => {}
        }
    }
    let time = seconds.and_then(|seconds| Timestamp::new(seconds, nanoseconds).ok());
    Ok(time.map(|time| time.strftime(format).to_string()).into())
}

/// A message around one text.
fn single(kind: &'static str, bytes: &[u8]) -> Result<Value, Unreadable> {
    let mut found = Value::Null;
    for field in Fields(bytes) {
        if let (1, payload) = field? {
            found = payload.text(kind)?;
        }
    }
    match found.as_str() {
        Some(text) if kind == "meta/v1.FieldsV1" => serde_json::from_str(text).map_err(|_| Unreadable::Type(kind)),
        _ => Ok(found),
    }
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Unreadable> {
    const NAME: &str = "IntOrString";
    let (mut is_text, mut number, mut text) = (false, Value::from(0), Value::from(""));
    for field in Fields(bytes) {
        match field? {
            (1, payload) => is_text = payload.number(NAME)? == 1,
            (2, payload) => number = payload.number(NAME)?.cast_signed().into(),
            (3, payload) => text = payload.text(NAME)?,
            _ => {}
        }
    }
    Ok(if is_text { text } else { number })
}

/// What the wire holds of a field.
enum Payload<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a fixed size, which no field of Kubernetes has.
    Other,
}

impl<'a> Payload<'a> {
    fn number(&self, message: &'static str) -> Result<u64, Unreadable> {
        if let Self::Number(number) = self { Ok(*number) } else { Err(Unreadable::Type(message)) }
    }

    fn bytes(&self, message: &'static str) -> Result<&'a [u8], Unreadable> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(Unreadable::Type(message)) }
    }

    fn text(&self, message: &'static str) -> Result<Value, Unreadable> {
        std::str::from_utf8(self.bytes(message)?).map(Value::from).map_err(|_| Unreadable::Type(message))
    }
}

/// The fields on the wire: <https://protobuf.dev/programming-guides/encoding/>. Ends after an error.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Payload<'a>), Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field().ok_or(Unreadable::Cut);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Payload<'a>)> {
        let tag = self.varint()?;
        let payload = match tag & 7 {
            0 => Payload::Number(self.varint()?),
            1 => self.take(8).map(|_| Payload::Other)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Payload::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Payload::Other)?,
            _ => return None,
        };
        Some((tag >> 3, payload))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A field of bytes.
    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    fn body(version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
        let about = [bytes(1, version.as_bytes()), bytes(2, kind.as_bytes())].concat();
        [MAGIC, &bytes(1, &about), &bytes(2, object)].concat()
    }

    #[test]
    fn an_object_becomes_its_json_without_what_says_nothing() {
        let metadata =
            [bytes(1, b"web"), bytes(3, b""), bytes(8, &[]), bytes(11, &[bytes(1, b"app"), bytes(2, b"x")].concat())];
        // Port 80, to the port `http`; of node port 0.
        let target = [&[1 << 3, 1, 2 << 3, 0][..], &bytes(3, b"http")].concat();
        let port = [&[3 << 3, 80][..], &bytes(4, &target), &[5 << 3, 0]].concat();
        // allocateLoadBalancerNodePorts: false, which is not the same as nothing.
        let spec = [bytes(1, &port), bytes(3, b""), vec![0xa0, 0x01, 0]].concat();
        let service = [bytes(1, &metadata.concat()), bytes(2, &spec)].concat();
        assert_eq!(
            read(&body("v1", "Service", &service)),
            Ok(json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "labels": {"app": "x"}},
                "spec": {"ports": [{"port": 80, "targetPort": "http"}], "allocateLoadBalancerNodePorts": false},
            }))
        );
    }

    #[test]
    fn times_and_bytes_are_written_as_in_json() {
        let metadata = bytes(8, &[1 << 3, 0x81, 0x01]);
        let secret = [bytes(1, &metadata), bytes(2, &[bytes(1, b"key"), bytes(2, b"value")].concat())].concat();
        let read = read(&body("v1", "Secret", &secret)).unwrap();
        assert_eq!(read["metadata"]["creationTimestamp"], "1970-01-01T00:02:09Z");
        assert_eq!(read["data"]["key"], "dmFsdWU=");
        let lease = bytes(2, &bytes(3, &[1 << 3, 1, 2 << 3, 0xc0, 0x84, 0x3d]));
        let read = super::read(&body("coordination.k8s.io/v1", "Lease", &lease)).unwrap();
        assert_eq!(read["spec"]["acquireTime"], "1970-01-01T00:00:01.001000Z");
    }

    #[test]
    fn a_kind_that_is_not_in_the_table_is_refused_by_name() {
        let refused = read(&body("apps/v1", "Deployment", &[])).unwrap_err().to_string();
        assert_eq!(
            refused,
            "the sandbox reads no protobuf of Deployment of apps/v1; send JSON (a file: kubectl create -f)"
        );
    }

    #[test]
    fn every_message_that_a_field_names_is_in_the_table() {
        let special = [
            "s",
            "i",
            "b",
            "y",
            "meta/v1.Time",
            "meta/v1.MicroTime",
            "meta/v1.FieldsV1",
            "resource.Quantity",
            "intstr.IntOrString",
        ];
        let fields = TABLE.values().flatten();
        let missing: Vec<_> = fields
            .map(|field| field.kind)
            .filter(|kind| !TABLE.contains_key(kind) && !special.contains(kind))
            .collect();
        assert!(TABLE.len() > 100 && missing.is_empty(), "{missing:?}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fall(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&[MAGIC, &tail].concat());
            let _ = read(&body("v1", "Service", tail.get(..100).unwrap_or_default()));
        }
    }
}
