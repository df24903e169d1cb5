//! `fixtures/crashes/TARGET/NAME`: whatever a fuzz target broke on, as bytes; the name says what it
//! was. None of it breaks anything now.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::never_crashes::TARGETS;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/crashes")
}

fn names(folder: PathBuf) -> Vec<String> {
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_broke_once_does_not_break_again() {
    // No case is left over for a target that is not there any more.
    assert_eq!(names(folder()), TARGETS.map(|(name, _)| name));
    for (target, run) in TARGETS {
        for case in names(folder().join(target)) {
            println!("{target}/{case}");
            run(&fs::read(folder().join(target).join(case)).unwrap());
        }
    }
}

/// A megabyte of the same again and again, which must take seconds (a minute, on a machine that is
/// busy), and no more memory than it is worth.
#[test]
fn long_inputs_are_done_in_seconds() {
    let times = |part: &str| part.repeat((1 << 20) / part.len());
    let numbered = |part: &str| (0..).map(|number| part.replace('N', &number.to_string())).take(10_000).collect::<String>();
    let table = |lines: String| format!("*filter\n{lines}COMMIT\n");
    let addresses = times("1,");
    let inputs: Vec<(&str, String)> = vec![
        ("rule", times("-m comment --comment a ")),
        ("rule", times("-m mark --mark 1 -m connmark --mark 1 ")),
        ("rule", times("-p tcp ")),
        ("rule", times("! ")),
        ("rule", times("\\\"")),
        ("rule", format!("-s {addresses}2 -d {addresses}2 -j DROP")),
        ("rule", format!("-m multiport --ports {addresses}")),
        ("rule", format!("--{}", times("x"))),
        ("words", times("-A\0")),
        ("words", times("-v")),
        ("save", table(numbered(":chain-N - [0:0]\n"))),
        ("save", table(numbered(":DOCKER-N - [0:0]\n-A DOCKER-N -j DROP\n"))),
        ("save", table(numbered("-A chain-N -j DROP\n-A other -j DROP\n"))),
        ("save", times("*filter\n")),
        ("netlink", times("\x10\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0")),
        ("expressions", times("\x08\0\x01\0\x04\0\x01\0")),
    ];
    for (target, input) in inputs {
        let run = TARGETS.into_iter().find_map(|(name, run)| (name == target).then_some(run)).unwrap();
        let begin = Instant::now();
        run(input.as_bytes());
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(60), "{target} takes {took:?} for {:.40}…", input);
    }
}
