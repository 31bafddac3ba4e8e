//! What the standard says and its test cases leave out, and what this project adds.

use super::*;

/// The value of an expression over the plain event, and the fault where it has one.
fn value(text: &str) -> (Value<'static>, Option<Fault>) {
    let expression = Expression::new(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let table = table(&[("yes", "TRUE".into()), ("five", "5".into())]);
    let (value, error) = expression.evaluate(&table);
    let value = match value {
        Value::Boolean(it) => Value::Boolean(it),
        Value::Integer(it) => Value::Integer(it),
        Value::Text(it) => Value::from(it.into_owned()),
    };
    (value, error.map(|it| it.fault))
}

fn check(text: &str, expected: impl Into<Value<'static>>) {
    assert_eq!(value(text), (expected.into(), None), "{text}");
}

fn check_fault(text: &str, expected: impl Into<Value<'static>>, fault: Fault) {
    assert_eq!(value(text), (expected.into(), Some(fault)), "{text}");
}

fn check_wrong(text: &str, expected: &str) {
    let error = Expression::new(text).expect_err(text).to_string();
    assert!(error.contains(expected), "{text}: {error}");
}

#[test]
fn operators_bind_as_the_standard_lists_them_and_go_from_left_to_right() {
    check("2 + 3 * 4", 14);
    check("20 / 2 / 5", 2);
    check("10 - 4 - 3", 3);
    check("7 % 4 * 2", 6);
    check("-7 / 2", -3);
    check("-7 % 2", -1);
    check("1 + 1 = 2", true);
    check("1 < 2 = TRUE", true);
    check("TRUE OR FALSE AND FALSE", false);
    check("TRUE OR (FALSE AND FALSE)", true);
    check("TRUE XOR TRUE OR TRUE", true);
    check("NOT FALSE = FALSE", false);
    check("NOT (FALSE = TRUE)", true);
    check("NOT EXISTS nothing AND EXISTS id", true);
    check("'abc' LIKE 'a%' AND 3 IN (1, 2, 3)", true);
    check("1 + 2 IN (3)", 1);
    check("(1 + 2) IN (3)", true);
    check("'a' LIKE 'a' IN (TRUE)", true);
}

#[test]
fn the_right_side_says_what_is_compared_and_for_in_the_left_one() {
    check("five = 5", true);
    check("five != '5'", false);
    check("5 = five", true);
    check("yes = TRUE", true);
    check("yes = 'true'", false);
    check("1 = TRUE", true);
    check("5 IN ('4', five)", true);
    check("'5' IN (4, 5)", true);
    check("TRUE IN ('true')", true);
    check_fault("1 IN ('one')", false, Fault::Cast { to: Kind::Integer });
    check("1 IN (1, 'one')", true);
    check("'x' NOT IN ('y', 'z')", true);
    check_fault("'b' > 'a'", false, Fault::Cast { to: Kind::Integer });
}

#[test]
fn an_operand_with_an_error_leaves_the_zero_value_of_its_operator() {
    check_fault("NOT (gone = 1)", false, Fault::MissingAttribute);
    check_fault("gone * 5", 0, Fault::MissingAttribute);
    check_fault("1 / gone", 0, Fault::MissingAttribute);
    check_fault("CONCAT('a', gone)", "", Fault::MissingAttribute);
    check_fault("gone NOT IN ('a')", false, Fault::MissingAttribute);
    check_fault("gone NOT LIKE 'a'", false, Fault::MissingAttribute);
    check_fault("TRUE AND gone = ''", false, Fault::MissingAttribute);
    check("FALSE AND gone = ''", false);
    check("TRUE OR gone = ''", true);
    check("EXISTS gone", false);
    check("FALSE AND TRUE AND gone", false);
    check_fault("FALSE AND TRUE OR gone", false, Fault::MissingAttribute);
}

#[test]
fn numbers_end_at_32_bits() {
    check("2147483647", i32::MAX);
    check("-2147483648", i32::MIN);
    check("+7", 7);
    check("4 -1", 3);
    check("4 + -1", 3);
    check("---3", -3);
    check_fault("2147483647 + 1", 0, Fault::Overflow);
    check_fault("-2147483648 - 1", 0, Fault::Overflow);
    check_fault("65536 * 65536", 0, Fault::Overflow);
    check_fault("-2147483648 / -1", 0, Fault::Overflow);
    check("-2147483648 % -1", 0);
    check_fault("--2147483648", 0, Fault::Overflow);
    check_fault("INT('2147483648')", 0, Fault::Cast { to: Kind::Integer });
    check("INT('+12')", 12);
    check_fault("INT(' 12')", 0, Fault::Cast { to: Kind::Integer });
    check_wrong("2147483648", "number at byte 0");
    check_wrong("1 = 99999999999999999999", "number at byte 4");
}

#[test]
fn functions_count_characters() {
    check("LENGTH('añ🦀')", 3);
    check("LEFT('añ🦀x', 3)", "añ🦀");
    check("RIGHT('añ🦀x', 2)", "🦀x");
    check("SUBSTRING('añ🦀x', 2, 2)", "ñ🦀");
    check("SUBSTRING('añ🦀x', -2)", "🦀x");
    check("SUBSTRING('añ🦀x', 2, 99)", "ñ🦀x");
    check("SUBSTRING('abc', 1, 0)", "");
    check_fault("SUBSTRING('abc', 1, -1)", "", Fault::NegativeLength);
    check_fault("SUBSTRING('', 1)", "", Fault::OutOfRange);
    check_fault("SUBSTRING('abc', -2147483648)", "", Fault::OutOfRange);
    check("TRIM(\"\u{2003} a \u{a0}\")", "a");
    check("UPPER('straße')", "STRASSE");
    check("concat_ws('-', 1, TRUE, 'x')", "1-true-x");
    check_fault("NOPE(1)", false, Fault::MissingFunction);
    check_fault("LENGTH('a', 'b')", false, Fault::MissingFunction);
    check_fault("NOPE(gone)", false, Fault::MissingFunction);
}

#[test]
fn like_finds_pieces_in_order_and_does_not_let_them_overlap() {
    check("'aba' LIKE 'ab%ba'", false);
    check("'abba' LIKE 'ab%ba'", true);
    check("'aXbXc' LIKE '%X%X%'", true);
    check("'aXbc' LIKE '%X%X%'", false);
    check("'' LIKE '%'", true);
    check("'' LIKE ''", true);
    check("'' LIKE '_'", false);
    check("'abc' LIKE '%%c'", true);
    check("'añb' LIKE 'a_b'", true);
    check("'ab' LIKE 'a_b'", false);
    check("'mississippi' LIKE '%iss%ppi'", true);
    check("'mississippi' LIKE '%iss%iss%iss%'", false);
    check("'Abc' LIKE 'abc'", false);
    check(r"'a\\' LIKE 'a\\'", true);
    check(r"'50%' LIKE '50\%'", true);
    check(r"'50x' LIKE '50\%'", false);
}

#[test]
fn wrong_expressions_are_refused_with_the_place() {
    check_wrong(
        "",
        "at byte 0 a value, an attribute or a function is expected",
    );
    check_wrong("   ", "at byte 3");
    check_wrong("a =", "at byte 3");
    check_wrong("a b", "at byte 2 an operator or the end is expected");
    check_wrong("(1 + 2", "at byte 6 `)` is expected");
    check_wrong("1 + 2)", "at byte 5 an operator or the end");
    check_wrong("a LIKE b", "at byte 7 a pattern in quotes is expected");
    check_wrong("a LIKE 12", "a pattern in quotes");
    check_wrong("a IN ()", "a set of one or more");
    check_wrong("a IN 'b'", "`(` is expected");
    check_wrong("'abc", "quote at byte 0 is not closed");
    check_wrong(r"'abc\'", "quote at byte 0 is not closed");
    check_wrong("'it''s'", "at byte 4");
    check_wrong("a == b", "at byte 3");
    check_wrong("a && b", "`&` at byte 2 is no part");
    check_wrong("a_b = 1", "at byte 0 a value");
    check_wrong("AND", "at byte 0 a value");
    check_wrong("EXISTS", "at byte 6");
    check_wrong("EXISTS 'a'", "at byte 7");
    check_wrong("EXISTS LENGTH('a')", "DATA('/pointer')");
    check_wrong("F1(2)", "a function's name");
    check_wrong("CONCAT('a',)", "at byte 11 a value");
    check_wrong("CONCAT('a' 'b')", "`)` is expected");
    check_wrong("NOT", "at byte 3");
    check_wrong("a NOT", "an operator or the end");
    check_wrong("a NOT = b", "an operator or the end");
    check_wrong("+a", "a number is expected");
    check_wrong("DATA(a)", "a JSON pointer in quotes");
    check_wrong("DATA('a')", "at byte 5 a JSON pointer such as");
    check_wrong("DATA('/a~2')", "a JSON pointer such as");
    check_wrong("DATA('/a~')", "a JSON pointer such as");
    check_wrong("DATA('/a', '/b')", "`)` is expected");
}

#[test]
fn an_expression_ends_at_its_limits() {
    let long = |bytes: usize| format!("'{}'", "a".repeat(bytes - 2));
    assert!(Expression::new(&long(EXPRESSION_BYTES_MAX)).is_ok());
    check_wrong(&long(EXPRESSION_BYTES_MAX + 1), "more than 4096");
    // Its print, with blanks, is longer than it is, and that is what would be stored.
    let dense = vec!["'a'='a'"; 400].join("or");
    assert!(dense.len() < EXPRESSION_BYTES_MAX);
    check_wrong(&dense, "has 5196 bytes, more than 4096");
    let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Expression::new(&nested(EXPRESSION_DEPTH_MAX - 1)).is_ok());
    check_wrong(&nested(EXPRESSION_DEPTH_MAX), "nested deeper than 64");
    check_wrong(&nested(2_000), "nested deeper than 64");
    check_wrong(&format!("{}TRUE", "NOT ".repeat(500)), "nested deeper");
    check_wrong(&format!("{}'a'", "-".repeat(500)), "nested deeper");
    check_wrong(&format!("a{}", " IN (b)".repeat(100)), "nested deeper");
    check_wrong(&"ABS(".repeat(1_000), "nested deeper");
    let mut tested = "a".to_owned();
    for _ in 0..40 {
        tested = format!("({tested} IN (b) IN (b) IN (b))");
    }
    check_wrong(&tested, "nested deeper");
    assert!(Expression::new(&format!("a{}", " IN (b)".repeat(65))).is_ok());
    check_wrong(&format!("a{}", " IN (b)".repeat(66)), "nested deeper");
    // A list of many cases is long and not deep.
    check(&vec!["1 = 2"; 400].join(" OR "), false);
    check(&vec!["1"; 1_000].join(" + "), 1_000);
}

#[test]
fn an_evaluation_ends_at_its_cost() {
    // Texts that grow tenfold with each call would fill the memory.
    let mut text = "'0123456789'".to_owned();
    for _ in 0..20 {
        text = format!("CONCAT_WS({text}, '', '', '', '', '', '', '', '', '', '', '')");
    }
    check_fault(&format!("LENGTH({text}) = 1"), false, Fault::TooCostly);
    let big: &'static str = "ab".repeat(100_000).leak();
    let table = table(&[("big", big.into())]);
    let pattern = format!("big LIKE '%{}x%'", "_".repeat(3_000));
    let expression = Expression::new(&pattern).unwrap();
    let (value, error) = expression.evaluate(&table);
    assert_eq!(value, Value::Boolean(false));
    assert_eq!(error.map(|it| it.fault), Some(Fault::TooCostly));
    let joined = format!("CONCAT_WS(big{}) LIKE 'a%'", ", ''".repeat(12));
    let expression = Expression::new(&joined).unwrap();
    let (_, error) = expression.evaluate(&table);
    assert_eq!(error.map(|it| it.fault), Some(Fault::TooCostly));
    let cheap = Expression::new("big LIKE 'ab%ab' AND LENGTH(big) = 200000").unwrap();
    assert_eq!(cheap.evaluate(&table), (Value::Boolean(true), None));
}

#[test]
fn an_error_quotes_the_part_that_it_is_in() {
    let expression = Expression::new("id = 'x' OR (hop + 1) < 3").unwrap();
    let (_, error) = expression.evaluate(&table(&[]));
    let error = error.unwrap().to_string();
    assert_eq!(error, "the event has no such attribute: `hop`");
    let expression = Expression::new(&format!("INT('{}') = 1", "é".repeat(99))).unwrap();
    let (_, error) = expression.evaluate(&Table::default());
    let error = error.unwrap();
    assert_eq!(error.fault.class(), Class::Cast);
    assert_eq!(error.part.chars().count(), 61, "{}", error.part);
}

#[test]
fn an_expression_prints_without_what_does_not_count() {
    let check = |text: &str, expected: &str| {
        assert_eq!(Expression::new(text).unwrap().to_string(), expected);
    };
    check(
        " ( id='a' )and not(exists Subject) ",
        "id = 'a' AND NOT EXISTS subject",
    );
    check("(a or b) and c", "(a OR b) AND c");
    check("a or (b and c)", "a OR (b AND c)");
    check("a <> 1", "a != 1");
    check("-(a + 1) * 2", "-(a + 1) * 2");
    check("-(10)", "-10");
    check("length( x )in(1,2 , 3)", "LENGTH(x) IN (1, 2, 3)");
    check("not (a like 'x')", "NOT (a LIKE 'x')");
    check("not a not like \"it's\"", r"NOT a NOT LIKE 'it\'s'");
    check(r#""a\'b""#, r#""a\'b""#);
    check(
        "exists data('/a/0/b~1c') or data(\"\") = TRUE",
        "EXISTS DATA('/a/0/b~1c') OR DATA('') = TRUE",
    );
}
