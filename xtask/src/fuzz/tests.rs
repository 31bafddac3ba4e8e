//! What is asked of the fuzzer, what it says, and that its targets are those of the code.

use super::*;

#[test]
fn an_order_names_a_target_or_all_and_for_how_long() {
    let one = |work| Order {
        targets: vec!["frames"],
        work,
    };
    let read = |words: &[&str]| Order::read(words).unwrap();
    assert_eq!(read(&["frames"]), one(Work::Search { seconds: 60 }));
    let long = ["frames", "--time", "3600"];
    assert_eq!(read(&long), one(Work::Search { seconds: 3600 }));
    assert_eq!(read(&["frames", "--keep"]), one(Work::Keep));
    assert_eq!(read(&["all"]).targets, TARGETS);
}

#[test]
fn an_order_that_makes_no_sense_says_what_does() {
    for (words, expected) in [
        (&["frame"][..], "targets are `all`, `frames`"),
        (&["all", "--time", "0"], "must be 1 to 86400 seconds"),
        (&["all", "--time", "soon"], "`--time` is `soon`"),
        (&["all", "--time"], "unknown: `fuzz all --time`"),
    ] {
        let text = Order::read(words).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn the_end_of_a_run_is_one_line() {
    let text = "#2\tINITED cov: 10 ft: 10\n#9\tDONE   cov: 12 ft: 14 corp: 3/12b\nDone 9 runs in 5 second(s)\n\
        stat::number_of_executed_units: 9\nstat::average_exec_per_sec:     1\n";
    let expected = "    frames: 9 inputs, 12 branches reached, nothing found";
    assert_eq!(summary("frames", text), expected);
}

#[test]
fn the_targets_are_those_of_the_code_and_each_has_inputs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let library = fs::read_to_string(root.join("crates/sagabus/src/fuzzing.rs")).unwrap();
    let program = fs::read_to_string(root.join("fuzz/src/main.rs")).unwrap();
    let of_library = library.split("    target(\"").skip(1);
    let of_program = program.split("        name: \"").skip(1);
    let names: Vec<&str> = of_library
        .chain(of_program)
        .filter_map(|it| it.split('"').next())
        .collect();
    assert_eq!(names, TARGETS);
    for target in TARGETS {
        let inputs = fs::read_dir(root.join("fuzz/corpus").join(target)).unwrap();
        assert!(inputs.count() > 0, "{target} has no inputs");
    }
}
