use std::path::Path;

use super::*;
use crate::cli::tests::as_recorded;
use crate::config::tests::providers;

fn check(file: &str) -> (u8, String) {
    let mut out = Vec::new();
    let code = run(&Args { file: file.into() }, &providers, &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

/// Every `testdata/config/*.yaml` against what stands beside it. `UPDATE_GOLDEN=1` writes what would be right now.
#[test]
fn each_file_is_answered_as_recorded() {
    as_recorded("testdata/config", 15, |file| {
        let (code, printed) = check(file.to_str().unwrap());
        format!("{printed}exit code {code}\n")
    });
}

#[test]
fn ten_planted_errors_give_ten_messages_with_line_and_column() {
    let (code, printed) = check("testdata/config/ten-errors.yaml");
    assert_eq!(code, 1);
    let places: Vec<&str> = printed.lines().map(|line| line.split(": ").next().unwrap()).collect();
    let expected = ["2:13", "4:11", "6:29", "8:13", "9:12", "10:9", "12:13", "15:31", "16:28", "17:9"];
    assert_eq!(places, expected.map(|place| format!("testdata/config/ten-errors.yaml:{place}")));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (code, printed) = check("testdata/config/no-such-file.yaml");
    assert_eq!(code, 1);
    assert!(printed.starts_with("cannot read the configuration file testdata/config/no-such-file.yaml: "), "{printed}");
}

#[test]
fn a_folder_is_no_file() {
    let (code, printed) = check("testdata/config");
    assert_eq!(code, 1);
    assert!(printed.starts_with("cannot read the configuration file testdata/config: "), "{printed}");
}

#[test]
fn a_file_without_end_is_given_up() {
    assert!(Path::new("/dev/zero").exists());
    let (code, printed) = check("/dev/zero");
    assert_eq!(code, 1);
    assert_eq!(printed, "/dev/zero: larger than 1 MiB, so this is hardly a configuration file; check the path\n");
}
