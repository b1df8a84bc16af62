//! What users, the cluster and the provider can do: `testdata/edits`, in the words of a golden case. The golden sequences of edits
//! and the simulation draw from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cluster::random::Random;
use crate::config::Configuration;
use crate::providers::check_parameters;
use crate::yaml;

/// Files of edits, and how often one is drawn from each.
const TOPICS: [(&str, u64); 10] = [
    ("type", 5),
    ("life", 2),
    ("ports", 3),
    ("traffic", 2),
    ("addresses", 4),
    ("annotations", 3),
    ("cluster", 2),
    ("status", 2),
    ("record", 1),
    ("faults", 3),
];

/// The process: drawn beside the topics.
const PROCESS: (&str, u64) = ("process", 2);

/// The most edits of one sequence.
const LONGEST: u64 = 20;

/// All files of `testdata/edits`, read once.
pub(crate) struct Grammar {
    topics: Vec<(Vec<Value>, u64)>,
    /// Statuses as somebody forges them.
    #[cfg_attr(not(test), expect(dead_code, reason = "of the golden sequences of edits"))]
    pub(crate) forged: Vec<Value>,
    pub(crate) begin: Vec<Value>,
    #[cfg_attr(not(test), expect(dead_code, reason = "of the golden sequences of edits"))]
    pub(crate) cure: Vec<Value>,
    pub(crate) configurations: BTreeMap<String, Configuration>,
}

impl Grammar {
    pub(crate) fn read() -> Self {
        let text = |file: &str| fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let documents = |file: &str| {
            let file = format!("{file}.yaml");
            yaml::documents(&text(&file)).unwrap_or_else(|error| panic!("{file}:{error}"))
        };
        let configurations = ["config.yaml", "config-default-moved.yaml", "config-without-slow.yaml"];
        Self {
            topics: TOPICS.iter().chain([&PROCESS]).map(|(topic, often)| (documents(topic), *often)).collect(),
            forged: documents("status").into_iter().map(|edit| edit[0].clone()).collect(),
            begin: documents("begin"),
            cure: documents("cure"),
            configurations: configurations.map(|file| (file.to_owned(), configuration(&text(file)))).into(),
        }
    }

    /// The sequence of this seed.
    #[cfg_attr(not(test), expect(dead_code, reason = "of the golden sequences of edits"))]
    pub(crate) fn sequence(&self, seed: u64) -> Vec<Value> {
        let mut random = Random::new(seed.wrapping_mul(0x2545_F491_4F6C_DD1D)); // neighbouring seeds share nothing
        let mut edits = Vec::new();
        for _ in 0..1 + random.below(LONGEST) {
            let edit = self.edit(&mut random);
            let other = random.below(6) == 0;
            edits.extend(edit.into_iter().map(|edit| if other { of_the_other(&edit) } else { edit }));
            edits.extend(pause(&mut random));
        }
        edits
    }

    /// One entry of one file: edits that are made at once.
    pub(crate) fn edit(&self, random: &mut Random) -> Vec<Value> {
        let all: u64 = self.topics.iter().map(|(_, often)| often).sum();
        let mut drawn = random.below(all);
        for (topic, often) in &self.topics {
            if drawn < *often {
                return one_of(topic, random).as_array().cloned().unwrap_or_default();
            }
            drawn -= often;
        }
        Vec::new()
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/edits")
}

/// The configuration that a file says. Classes of the provider aws, which alone may claim by type annotation, have the mock's parameters.
pub(crate) fn configuration(text: &str) -> Configuration {
    let check = |provider: &str, parameters: &Value| {
        check_parameters(if provider == "aws" { "mock" } else { provider }, parameters)
    };
    Configuration::parse(text, &check).unwrap_or_else(|errors| panic!("{}", errors.in_file("config")))
}

/// One of these.
pub(crate) fn one_of<'a>(values: &'a [Value], random: &mut Random) -> &'a Value {
    let place = usize::try_from(random.below(values.len() as u64)).unwrap();
    &values[place]
}

/// How long nothing is done: at once, after some turns of the passes, or some time.
fn pause(random: &mut Random) -> Option<Value> {
    match random.below(10) {
        0..=3 => None,
        4..=5 => Some(json!({"$turns": random.below(60)})),
        6..=8 => Some(json!({"$wait": 1 + random.below(8)})),
        _ => Some(json!({"$wait": 60 + random.below(100)})),
    }
}

/// The same for the Service `api`, which asks for addresses of its own.
pub(crate) fn of_the_other(edit: &Value) -> Value {
    let text = edit.to_string();
    let own = [
        ("203.0.113.7", "203.0.113.8"),
        ("198.51.100.7", "198.51.100.8"),
        ("10.255.0.7", "10.255.0.8"),
        ("113::7", "113::8"),
    ];
    let names = [("/web", "/api"), ("\"web", "\"api")];
    let text = own.iter().chain(&names).fold(text, |text, (from, to)| text.replace(from, to));
    serde_json::from_str(&text).unwrap()
}
