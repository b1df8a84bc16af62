use portolan_core::ids::Instance;
use proptest::prelude::*;
use serde_json::json;

use super::fields::shown;
use super::*;

const COMPLETE: &str = include_str!("../../testdata/config/complete.yaml");

/// Providers for tests: `mock` knows only `addresses`, two lists of networks; `aws` takes anything; `needy` wants
/// `/deep/er/and/deeper`.
pub(crate) fn providers(provider: &str, parameters: &Value) -> Option<Vec<ParameterProblem>> {
    let problem = |pointer: String, message: &str| ParameterProblem { pointer, message: message.to_owned() };
    match provider {
        "aws" => Some(Vec::new()),
        "needy" => Some(vec![problem("/deep/er/1/a~1b".to_owned(), "is missing; write it")]),
        "mock" => {
            let mut problems = Vec::new();
            for (field, value) in parameters.as_object().unwrap() {
                if field != "addresses" {
                    let pointer = format!("/{}", field.replace('~', "~0").replace('/', "~1"));
                    problems.push(problem(pointer, "unknown parameter; write addresses"));
                    continue;
                }
                for (range, networks) in value.as_object().into_iter().flatten() {
                    let Some(networks) = networks.as_array() else {
                        problems.push(problem(format!("/addresses/{range}"), "is no list; write a list of networks"));
                        continue;
                    };
                    for (index, network) in networks.iter().enumerate() {
                        if network.as_str().is_none_or(|text| text.parse::<ipnet::IpNet>().is_err()) {
                            let message = "is no network; write one as 10.0.0.0/8";
                            problems.push(problem(format!("/addresses/{range}/{index}"), message));
                        }
                    }
                }
            }
            Some(problems)
        }
        _ => None,
    }
}

fn parse(text: &str) -> Result<Configuration, ConfigErrors> {
    Configuration::parse(text, &providers)
}

/// The minimal configuration and further lines.
fn with(lines: &str) -> Result<Configuration, Vec<String>> {
    let head = "apiVersion: portolan.dev/v1alpha1\nkind: Configuration\n";
    let classes =
        if lines.contains("classes:") { "" } else { "classes: [{name: portolan.dev/mock, provider: mock}]\n" };
    parse(&format!("{head}{classes}{lines}"))
        .map_err(|errors| errors.problems.iter().map(|problem| problem.message.clone()).collect())
}

#[test]
fn without_a_file_there_is_the_mock_class_and_no_default() {
    let configuration = Configuration::default();
    assert_eq!(configuration.classes.named("portolan.dev/mock").unwrap().provider, ProviderName::new("mock"));
    assert_eq!(configuration.classes.classes.len(), 1);
    assert_eq!(configuration.classes.default_class(), None);
    assert_eq!(with("").unwrap(), configuration, "a file that says no more than that means the same");
}

#[test]
fn every_field_arrives() {
    let Configuration { classes, internal_annotations, ignore_exclude_label, steady_after, resync } =
        parse(COMPLETE).unwrap();
    assert_eq!(classes.instance, Instance::parse("lab-2").unwrap());
    assert_eq!(classes.other_classes, ["portolan.dev/lab", "portolan.dev/metal"]);
    assert_eq!(classes.watch_namespaces, ["default", "team-a"]);
    assert_eq!(internal_annotations, InternalAnnotations::Only(vec![Cloud::Aws, Cloud::Gcp]));
    assert!(ignore_exclude_label);
    assert_eq!(steady_after, Duration::from_secs(90));
    assert_eq!(resync, Duration::from_secs(5_400));
    assert_eq!(classes.default_class().unwrap().name, ClassName::new("portolan.dev/mock"));
    let aws = classes.named("plain").unwrap();
    assert_eq!(
        **aws,
        Class {
            name: ClassName::new("portolan.dev/aws"),
            aliases: vec!["service.k8s.aws/nlb".to_owned(), "plain".to_owned()],
            provider: ProviderName::new("aws"),
            default: false,
            claim_by_type_annotation: true,
            parameters: json!({
                "clusterName": "prod", "defaults": {"scheme": "internal"}, "limits": {"schemes": ["internal"]}
            }),
        }
    );
    assert_eq!(classes.by_type_annotation(), Some(aws));
}

#[test]
fn the_example_in_the_documentation_is_right() {
    let example: String = include_str!("../config.rs")
        .lines()
        .skip_while(|line| *line != "//! ```yaml")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| format!("{}\n", line.strip_prefix("//! ").unwrap()))
        .collect();
    assert_eq!(parse(&example).unwrap().classes.classes.len(), 1);
}

#[test]
fn resync_lies_between_a_minute_and_a_year() {
    assert_eq!(with("resync: 1m").unwrap().resync, Duration::from_secs(60));
    assert_eq!(with("resync: 60s").unwrap().resync, Duration::from_secs(60));
    assert_eq!(with("resync: 8760h").unwrap().resync, Duration::from_secs(31_536_000));
    assert_eq!(with("resync: 59s").unwrap_err(), ["59s is too short; write at least 1m"]);
    assert_eq!(with("resync: 8761h").unwrap_err(), ["8761h is too long; write at most 8760h"]);
    assert_eq!(
        with("resync: 600").unwrap_err(),
        [
            "is the number 600; write a duration such as 10h, 90m or 1h30m, in quotes if it looks like a number or a boolean"
        ]
    );
}

#[test]
fn clouds_are_all_or_those_listed() {
    assert_eq!(with("internalAnnotations: all").unwrap().internal_annotations, InternalAnnotations::All);
    let every = format!("internalAnnotations: [{}]", Cloud::ALL.map(Cloud::name).join(", "));
    let listed = with(&every).unwrap().internal_annotations;
    assert!(Cloud::ALL.into_iter().all(|cloud| listed.includes(cloud)));
    let none = with("internalAnnotations: []").unwrap().internal_annotations;
    assert!(!Cloud::ALL.into_iter().any(|cloud| none.includes(cloud)));
    assert_eq!(
        with("internalAnnotations: aws").unwrap_err(),
        [
            "is the text \"aws\"; write all, or a list of clouds such as [aws, gcp], in brackets even if there is only one"
        ]
    );
}

#[test]
fn the_same_provider_may_serve_several_classes() {
    let two = "classes: [{name: a, provider: mock}, {name: b, provider: mock}]";
    assert_eq!(with(two).unwrap().classes.classes.len(), 2);
}

#[test]
fn a_long_text_is_cut_in_messages_and_control_characters_are_escaped() {
    let errors = with(&format!("instance: \"\\e[31m{}\"", "ä".repeat(500))).unwrap_err();
    assert!(errors.iter().all(|error| !error.contains('\u{1b}')), "{errors:?}");
    let errors = with(&format!("resync: {}", "x".repeat(100_000))).unwrap_err();
    assert!(errors[0].len() < 200, "{errors:?}");
    let errors = parse(&format!("{COMPLETE}{}: 1\n", "x".repeat(500))).unwrap_err();
    assert!(errors.problems[0].path.len() < 100, "{errors}");
}

#[test]
fn a_hostile_megabyte_is_refused_and_keeps_nobody_busy() {
    let mebibyte = 1 << 20;
    let namespaces: String = (0..100_000).map(|number| format!("n{number},")).collect();
    for text in [
        format!("watchNamespaces: [{namespaces}]\n"),
        format!("{COMPLETE}{}: 1\n", "x".repeat(mebibyte)),
        "? ".repeat(mebibyte / 2),
        "a: ".repeat(mebibyte / 3),
        "{".repeat(mebibyte),
        "a: 1\n".repeat(mebibyte / 5),
        "&a ".repeat(mebibyte / 3),
        "'".repeat(mebibyte),
        "#\n".repeat(mebibyte / 2),
        "---\n".repeat(mebibyte / 4),
    ] {
        assert!(parse(&text).is_err(), "{}", shown(&text));
    }
}

#[test]
fn problems_stand_in_the_order_of_the_file() {
    for text in
        [include_str!("../../testdata/config/every-error.yaml"), include_str!("../../testdata/config/ten-errors.yaml")]
    {
        let problems = parse(text).unwrap_err().problems;
        assert!(problems.is_sorted_by_key(|problem| problem.at));
    }
}

/// A slip of the editor: something cut, doubled or typed at some character.
fn slip() -> impl Strategy<Value = (usize, usize, String)> {
    let typed = prop_oneof![
        Just(String::new()),
        proptest::sample::select(vec![
            ": ",
            "- ",
            "[",
            "]",
            "{",
            "}",
            "\n",
            "\t",
            "'",
            "\"",
            "#",
            "&a ",
            "*a",
            "<<: *a",
            "!!binary ",
            "|\n",
            "---\n",
            "no",
            "12",
            "~",
            "aws",
            "mock",
            "default: true",
            "\u{feff}",
            "\0",
            "? ",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,4}",
    ];
    (0..COMPLETE.chars().count(), 0..20_usize, typed)
}

fn slipped(slips: Vec<(usize, usize, String)>) -> String {
    let mut text: Vec<char> = COMPLETE.chars().collect();
    for (start, length, typed) in slips {
        let start = start.min(text.len());
        let end = (start + length).min(text.len());
        text.splice(start..end, typed.chars());
    }
    text.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*|[ -~\n\t]*|[a-c:{}\\[\\],&*!|>#?'\" \n-]*") {
        let _ = parse(&text);
    }

    #[test]
    fn no_slip_in_a_good_file_makes_it_panic_and_every_problem_has_its_place(slips in prop::collection::vec(slip(), 1..6)) {
        let text = slipped(slips);
        if let Err(errors) = parse(&text) {
            prop_assert!(!errors.problems.is_empty());
            let lines = text.lines().count() as u64 + 1;
            for problem in errors.problems {
                prop_assert!(problem.at.line >= 1 && problem.at.line <= lines, "{problem} of {lines} lines");
                prop_assert!(problem.at.column >= 1 && !problem.message.is_empty());
            }
        }
    }
}
