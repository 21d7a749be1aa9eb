//! What the program tells about itself.

use super::{assert_ok, trickles};

fn help(arguments: &[&str]) -> String {
    let output = trickles().args(arguments).output().unwrap();
    assert_ok(&output);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_has_examples_and_exit_codes() {
    for command in [
        &[][..],
        &["serve"],
        &["get"],
        &["put"],
        &["proxy"],
        &["demo"],
        &["keygen"],
        &["bench"],
        &["bench", "serve"],
        &["bench", "run"],
    ] {
        let text = help(&[command, &["--help"]].concat());
        assert!(text.contains("Examples:\n  trickles "), "{text}");
        assert!(text.contains("Exit codes:"), "{text}");
    }
    assert!(help(&["-h"]).contains("Examples:"));
    assert!(help(&["--version"]).starts_with("trickles "));
}

#[test]
fn without_a_command_the_help_is_shown() {
    let output = trickles().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(str::from_utf8(&output.stderr).unwrap().contains("Examples:"));
}
