//! The standard's own test cases, the CESQL TCK of cloudevents/spec (`cesql/cesql_tck`), as a table of ours.
//!
//! A group is a file of the TCK and its cases stand in the file's order. Where versions of a file differ, the case is that
//! of version 1.0 of the language. The files of the groups `exists`, `in`, `case` and `parse` were not at hand: their cases
//! are written after the text of the standard (`cesql/spec.md` of cloudevents/spec), rule by rule, and each group names the
//! sections that it is from.

use super::*;

/// What a case expects of the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Fine,
    Parse,
    Fault(Class),
}

/// An expression, the attributes that matter to it, and what comes of it.
struct Case {
    expression: &'static str,
    attributes: Vec<(&'static str, Value<'static>)>,
    /// `None` where the TCK names the error only.
    value: Option<Value<'static>>,
    error: Expected,
}

fn is(expression: &'static str, value: impl Into<Value<'static>>) -> Case {
    Case {
        expression,
        attributes: Vec::new(),
        value: Some(value.into()),
        error: Expected::Fine,
    }
}

fn fails(expression: &'static str, value: impl Into<Value<'static>>, class: Class) -> Case {
    let error = Expected::Fault(class);
    Case {
        error,
        ..is(expression, value)
    }
}

fn refused(expression: &'static str) -> Case {
    Case {
        value: None,
        error: Expected::Parse,
        ..is(expression, false)
    }
}

impl Case {
    fn with(mut self, attributes: &[(&'static str, &'static str)]) -> Self {
        let attributes = attributes
            .iter()
            .map(|(name, text)| (*name, (*text).into()));
        self.attributes.extend(attributes);
        self
    }

    fn typed(mut self, name: &'static str, value: impl Into<Value<'static>>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    fn check(&self, place: &str) {
        let text = self.expression;
        let expression = match Expression::new(text) {
            Ok(expression) => expression,
            Err(error) => {
                return assert_eq!(self.error, Expected::Parse, "{place} {text}: {error}");
            }
        };
        let table = table(&self.attributes);
        let (value, error) = expression.evaluate(&table);
        let found = error.map_or(Expected::Fine, |it| Expected::Fault(it.fault.class()));
        assert_eq!(found, self.error, "{place} {text}");
        if let Some(expected) = &self.value {
            assert_eq!(&value, expected, "{place} {text}");
        }
    }
}

#[test]
fn the_test_cases_of_the_standard_pass() {
    let groups: [(&str, usize, Vec<Case>); 14] = [
        (
            "binary_comparison_operators",
            32,
            binary_comparison_operators(),
        ),
        ("binary_logical_operators", 16, binary_logical_operators()),
        ("binary_math_operators", 18, binary_math_operators()),
        ("casting_functions", 21, casting_functions()),
        ("context_attributes_access", 8, context_attributes_access()),
        ("integer_builtin_functions", 4, integer_builtin_functions()),
        ("like_expression", 36, like_expression()),
        ("literals", 10, literals()),
        ("negate_operator", 6, negate_operator()),
        ("not_operator", 6, not_operator()),
        ("spec_examples", 10, spec_examples()),
        ("string_builtin_functions", 42, string_builtin_functions()),
        ("sub_expression", 3, sub_expression()),
        (
            "subscriptions_api_recreations",
            30,
            subscriptions_api_recreations(),
        ),
    ];
    let mut sum = 0;
    for (group, count, cases) in groups {
        for (index, case) in cases.iter().enumerate() {
            case.check(&format!("{group} {}:", index + 1));
        }
        assert_eq!(cases.len(), count, "{group}");
        sum += count;
    }
    println!("{sum} cases of 14 groups of the TCK pass");
}

#[test]
fn the_subjects_of_the_standards_other_test_cases_hold() {
    let groups = [
        ("exists", exists()),
        ("in", in_set()),
        ("case", case()),
        ("parse", parse()),
    ];
    for (group, cases) in groups {
        for (index, case) in cases.iter().enumerate() {
            case.check(&format!("{group} {}:", index + 1));
        }
        println!("{} cases on `{group}`", cases.len());
    }
}

fn binary_comparison_operators() -> Vec<Case> {
    vec![
        is("TRUE = FALSE", false),
        is("FALSE = FALSE", true),
        is("1 = 2", false),
        is("2 = 2", true),
        is("'abc' = '123'", false),
        is("'abc' = 'abc'", true),
        fails("missing = 2", false, Class::MissingAttribute),
        is("TRUE != FALSE", true),
        is("FALSE != FALSE", false),
        is("1 != 2", true),
        is("2 != 2", false),
        is("'abc' != '123'", true),
        is("'abc' != 'abc'", false),
        fails("missing != 2", false, Class::MissingAttribute),
        is("TRUE <> FALSE", true),
        is("FALSE <> FALSE", false),
        is("1 <> 2", true),
        is("2 <> 2", false),
        is("'abc' <> '123'", true),
        is("'abc' <> 'abc'", false),
        fails("missing <> 2", false, Class::MissingAttribute),
        is("2 <= 2", true),
        is("3 <= 2", false),
        is("1 < 2", true),
        is("2 < 2", false),
        is("2 >= 2", true),
        is("2 >= 3", false),
        is("2 > 1", true),
        is("2 > 2", false),
        fails("missing <= 2", false, Class::MissingAttribute),
        is("true = 'TRUE'", false),
        is("'TRUE' = true", true),
    ]
}

fn binary_logical_operators() -> Vec<Case> {
    vec![
        is("FALSE AND FALSE", false),
        is("FALSE AND TRUE", false),
        is("TRUE AND FALSE", false),
        is("TRUE AND TRUE", true),
        is("false and (1 != 1 / 0)", false),
        fails("true and (1 != 1 / 0)", false, Class::Math),
        is("FALSE OR FALSE", false),
        is("FALSE OR TRUE", true),
        is("TRUE OR FALSE", true),
        is("TRUE OR TRUE", true),
        is("true or (1 != 1 / 0)", true),
        fails("false or (1 != 1 / 0)", false, Class::Math),
        is("FALSE XOR FALSE", false),
        is("FALSE XOR TRUE", true),
        is("TRUE XOR FALSE", true),
        is("TRUE XOR TRUE", false),
    ]
}

fn binary_math_operators() -> Vec<Case> {
    vec![
        is("4 * 2 + 4 / 2", 10),
        is("4 * (2 + 4) / 2", 12),
        is("5 / 3", 1),
        fails("5 / 0", 0, Class::Math),
        is("5 % 2", 1),
        fails("5 % 0", 0, Class::Math),
        fails("missing / 0", 0, Class::MissingAttribute),
        fails("missing % 0", 0, Class::MissingAttribute),
        is("4 + 1", 5),
        is("-4 + 1", -3),
        is("-4 + -1", -5),
        is("4 + -1", 3),
        is("4 - 1", 3),
        is("-4 - 1", -5),
        is("'5' + 3", 8),
        is("5 + '3'", 8),
        is("'5' + '3'", 8),
        is("5 + TRUE", 6),
    ]
}

fn casting_functions() -> Vec<Case> {
    vec![
        is("INT('1')", 1),
        is("INT('-1')", -1),
        is("INT(1)", 1),
        is("INT(-1)", -1),
        is("INT(TRUE)", 1),
        is("INT(FALSE)", 0),
        fails("INT('ABC')", 0, Class::Cast),
        is("BOOL('TRUE')", true),
        is("BOOL(\"false\")", false),
        is("BOOL(TRUE)", true),
        is("BOOL(FALSE)", false),
        fails("BOOL('ABC')", false, Class::Cast),
        is("BOOL(1)", true),
        is("BOOL(0)", false),
        is("BOOL(100)", true),
        is("BOOL(-50)", true),
        is("STRING(TRUE)", "true"),
        is("STRING(FALSE)", "false"),
        is("STRING(1)", "1"),
        is("STRING(-1)", "-1"),
        is("STRING(\"abc\")", "abc"),
    ]
}

fn context_attributes_access() -> Vec<Case> {
    vec![
        is("id", "myId").with(&[("id", "myId")]),
        is("subject", "mySubject").with(&[("subject", "mySubject")]),
        fails("subject", false, Class::MissingAttribute),
        is("mybool", true).typed("mybool", true),
        is("myint", 10).typed("myint", 10),
        is("myext", "my extension").with(&[("myext", "my extension")]),
        is("source", "http://localhost/source").with(&[("source", "http://localhost/source")]),
        is("time", "2018-04-26T14:48:09+02:00").with(&[("time", "2018-04-26T14:48:09+02:00")]),
    ]
}

fn integer_builtin_functions() -> Vec<Case> {
    vec![
        is("ABS(10)", 10),
        is("ABS(-10)", 10),
        is("ABS(0)", 0),
        fails("ABS(-2147483648)", i32::MAX, Class::Math),
    ]
}

fn like_expression() -> Vec<Case> {
    let long = [("myext", "abc123123%456_dzf")];
    vec![
        is("'abc' LIKE 'abc'", true),
        is(r"'ab\c' LIKE 'ab\c'", true),
        is("'abc' NOT LIKE 'abc'", false),
        is("'abc' LIKE 'a%b%c'", true),
        is("'azbc' LIKE 'a%b%c'", true),
        is("'azzzbzzzc' LIKE 'a%b%c'", true),
        is("'a%b%c' LIKE 'a%b%c'", true),
        is("'ac' LIKE 'abc'", false),
        is("'' LIKE 'abc'", false),
        is("'.ab.cde.' LIKE '.%.%.'", true),
        is("'ab.cde' LIKE '.%.%.'", false),
        is("'abc' LIKE 'a_b_c'", false),
        is("'a_b_c' LIKE 'a_b_c'", true),
        is("'abzc' LIKE 'a_b_c'", false),
        is("'azbc' LIKE 'a_b_c'", false),
        is("'azbzc' LIKE 'a_b_c'", true),
        is("'.a.b.' LIKE '._._.'", true),
        is("'abcd.' LIKE '._._.'", false),
        is(r"'a_b_c' LIKE 'a\_b\_c'", true),
        is(r"'a_b_c' NOT LIKE 'a\_b\_c'", false),
        is(r"'azbzc' LIKE 'a\_b\_c'", false),
        is(r"'abc' LIKE 'a\_b\_c'", false),
        is(r"'abc' LIKE 'a\%b\%c'", false),
        is(r"'a%b%c' LIKE 'a\%b\%c'", true),
        is(r"'azbzc' LIKE 'a\%b\%c'", false),
        is(r"'abc' LIKE 'a\%b\%c'", false),
        is(r"myext LIKE 'abc%123\%456\_d_f'", true).with(&long),
        is(r"myext NOT LIKE 'abc%123\%456\_d_f'", false).with(&long),
        is("234 LIKE '23_'", true),
        is("2344 LIKE '23%'", true),
        is("2344 LIKE '23_'", false),
        is("TRUE LIKE 'tr%'", true),
        is("TRUE LIKE '%ue'", true),
        is("FALSE LIKE 'tr%'", false),
        is("FALSE LIKE 'fal%'", true),
        refused("x LIKE 123"),
    ]
}

fn literals() -> Vec<Case> {
    vec![
        is("TRUE", true),
        is("FALSE", false),
        is("0", 0),
        is("1", 1),
        is("'abc'", "abc"),
        is("\"abc\"", "abc"),
        is("'aBc'", "aBc"),
        is("\"AbC\"", "AbC"),
        is(r#"'a"b\'c'"#, r#"a"b'c"#),
        is(r#""a'b\"c""#, r#"a'b"c"#),
    ]
}

fn negate_operator() -> Vec<Case> {
    vec![
        is("-10", -10),
        is("--10", 10),
        is("-'10'", -10),
        is("--'10'", 10),
        is("-TRUE", -1),
        fails("-missing", 0, Class::MissingAttribute),
    ]
}

fn not_operator() -> Vec<Case> {
    vec![
        is("NOT TRUE", false),
        is("NOT FALSE", true),
        is("NOT 'TRUE'", false),
        is("NOT 'FALSE'", true),
        is("NOT 10", false),
        fails("NOT missing", false, Class::MissingAttribute),
    ]
}

fn spec_examples() -> Vec<Case> {
    let hops = [("hop", "5"), ("ttl", "10")];
    let either = "firstname = 'Francesco' OR subject = 'Francesco'";
    let both =
        "(firstname = 'Francesco' AND lastname = 'Guardiani') OR subject = 'Francesco Guardiani'";
    vec![
        is("int(hop) < int(ttl) and int(hop) < 1000", true).with(&hops),
        is("INT(hop) < INT(ttl) AND INT(hop) < 1000", true).with(&hops),
        is("hop < ttl", true).with(&hops),
        is("sequence = 5", true).with(&[("sequence", "5")]),
        is("sequence = 5", false).with(&[("sequence", "6")]),
        is(either, true).with(&[("subject", "Francesco"), ("firstname", "Doug")]),
        is(either, true).with(&[("firstname", "Francesco"), ("subject", "Doug")]),
        is(both, true).with(&[
            ("subject", "Doug"),
            ("firstname", "Francesco"),
            ("lastname", "Guardiani"),
        ]),
        is(both, true).with(&[
            ("subject", "Francesco Guardiani"),
            ("firstname", "Doug"),
            ("lastname", "Davis"),
        ]),
        is("EXISTS subject", true).with(&[("subject", "Francesco Guardiani")]),
    ]
}

fn string_builtin_functions() -> Vec<Case> {
    let beyond = |text| fails(text, "", Class::FunctionEvaluation);
    vec![
        is("LENGTH('abc')", 3),
        is("LENGTH('')", 0),
        is("LENGTH('2')", 1),
        is("LENGTH(TRUE)", 4),
        is("CONCAT('a', 'b', 'c')", "abc"),
        is("CONCAT()", ""),
        is("CONCAT('a')", "a"),
        is("CONCAT_WS(',', 'a', 'b', 'c')", "a,b,c"),
        is("CONCAT_WS(',')", ""),
        is("CONCAT_WS(',', 'a')", "a"),
        fails("CONCAT_WS()", false, Class::MissingFunction),
        is("LOWER('ABC')", "abc"),
        is("LOWER('AbC')", "abc"),
        is("LOWER('abc')", "abc"),
        is("UPPER('ABC')", "ABC"),
        is("UPPER('AbC')", "ABC"),
        is("UPPER('abc')", "ABC"),
        is("TRIM('   a b c   ')", "a b c"),
        is("TRIM('   a b c')", "a b c"),
        is("TRIM('a b c   ')", "a b c"),
        is("TRIM('a b c')", "a b c"),
        is("LEFT('abc', 2)", "ab"),
        is("LEFT('abc', 10)", "abc"),
        is("LEFT('', 0)", ""),
        fails("LEFT('abc', -2)", "abc", Class::FunctionEvaluation),
        is("RIGHT('abc', 2)", "bc"),
        is("RIGHT('abc', 10)", "abc"),
        is("RIGHT('', 0)", ""),
        fails("RIGHT('abc', -2)", "abc", Class::FunctionEvaluation),
        is("SUBSTRING('abcdef', 1)", "abcdef"),
        is("SUBSTRING('abcdef', 2)", "bcdef"),
        is("SUBSTRING('Quadratically', 5)", "ratically"),
        is("SUBSTRING('Sakila', -3)", "ila"),
        is("SUBSTRING('abcdef', 1, 6)", "abcdef"),
        is("SUBSTRING('abcdef', 2, 4)", "bcde"),
        is("SUBSTRING('Sakila', -5, 3)", "aki"),
        is("SUBSTRING('Quadratically', 0)", ""),
        is("SUBSTRING('Quadratically', 0, 1)", ""),
        beyond("SUBSTRING('abcdef', 10)"),
        beyond("SUBSTRING('abcdef', -10)"),
        beyond("SUBSTRING('abcdef', 10, 10)"),
        beyond("SUBSTRING('abcdef', -10, 10)"),
    ]
}

fn sub_expression() -> Vec<Case> {
    vec![
        is("(TRUE)", true),
        is("4 * (2 + 3)", 20),
        is("(2 + 3) * 4", 20),
    ]
}

fn subscriptions_api_recreations() -> Vec<Case> {
    const PREFIX: &str = "source LIKE 'https://%'";
    const SUFFIX: &str = "type like '%.error'";
    const AND: &str = "id LIKE 'my%' AND source LIKE '%.ca'";
    const OR: &str = "id LIKE 'my%' OR source LIKE '%.ca'";
    const DISJUNCTIVE: &str = "(id = 'myId' AND type LIKE '%.success') OR (id = 'notmyId' AND source LIKE 'http://%' AND type LIKE '%.warning')";
    const DISJUNCTIVE_EXT: &str = "(id = 'myId' AND type LIKE '%.success') OR (id = 'notmyId' AND source LIKE 'http://%' AND type LIKE '%.warning') OR (myext = 'cusomext')";
    const CONJUNCTIVE: &str = "(id = 'myId' OR type LIKE '%.success') AND (id = 'notmyId' OR source LIKE 'https://%' OR type LIKE '%.warning')";
    const CONJUNCTIVE_EXT: &str = "(id = 'myId' OR type LIKE '%.success') AND (id = 'notmyId' OR source LIKE 'https://%' OR type LIKE '%.warning') AND (myext = 'customext')";
    let missing = |text| fails(text, false, Class::MissingAttribute);
    let ext = [("myext", "customext")];
    let ca = ("source", "http://www.some-website.ca");
    let com = ("source", "http://www.some-website.com");
    let http = ("source", "http://localhost.localdomain");
    let https = ("source", "https://localhost.localdomain");
    let success = ("type", "example.event.success");
    let warning = ("type", "example.event.warning");
    let (my, not_my) = (("id", "myId"), ("id", "notmyId"));
    vec![
        is(PREFIX, true).with(&[("source", "https://example.com")]),
        is(PREFIX, false).with(&[("source", "http://example.com")]),
        is("myext LIKE 'custom%'", true).with(&ext),
        missing("myext LIKE 'custom%'"),
        is(SUFFIX, true).with(&[("type", "com.github.error")]),
        is(SUFFIX, false).with(&[("type", "com.github.success")]),
        is("myext LIKE '%ext'", true).with(&ext),
        missing("myext LIKE '%ext'"),
        is("id = 'myId'", true).with(&[my]),
        is("id = 'myId'", false).with(&[not_my]),
        is("myext = 'customext'", true).with(&ext),
        missing("myext = 'customext'"),
        is(AND, true).with(&[my, ca]),
        is(AND, false).with(&[my, com]),
        is("myext LIKE 'custom%' AND type LIKE '%.error'", true)
            .with(&[("myext", "customext"), ("type", "com.github.error")]),
        missing("type LIKE 'example.%' AND myext LIKE 'custom%'")
            .with(&[("type", "example.event.type")]),
        is(OR, true).with(&[my, ca]),
        is(OR, true).with(&[my, com]),
        is(OR, true).with(&[not_my, ca]),
        is(OR, false).with(&[not_my, com]),
        missing("id LIKE 'my%' OR myext LIKE '%ext'").with(&[not_my, com]),
        is(DISJUNCTIVE, true).with(&[my, success]),
        is(DISJUNCTIVE, true).with(&[not_my, warning, http]),
        is(DISJUNCTIVE, false).with(&[not_my, warning, https]),
        missing(DISJUNCTIVE_EXT).with(&[not_my, warning, https]),
        is(CONJUNCTIVE, true).with(&[my, warning, http]),
        is(CONJUNCTIVE, true).with(&[not_my, success, http]),
        is(CONJUNCTIVE, false).with(&[not_my, warning, http]),
        is(CONJUNCTIVE, false).with(&[my, success, http]),
        missing(CONJUNCTIVE_EXT).with(&[my, warning, http]),
    ]
}

/// Section 3.4.4, and the rule `exists-operation` of section 2.3.
fn exists() -> Vec<Case> {
    vec![
        // The required attributes are always there.
        is("EXISTS id", true),
        is("EXISTS source", true),
        is("EXISTS type", true),
        is("EXISTS specversion", true),
        is("NOT EXISTS id", false),
        // The others when the event has them, whatever their value.
        is("EXISTS time", false),
        is("EXISTS time", true).with(&[("time", "2018-04-26T14:48:09Z")]),
        is("EXISTS subject", false),
        is("EXISTS subject", true).with(&[("subject", "S-1")]),
        is("EXISTS myext", false),
        is("NOT EXISTS myext", true),
        is("EXISTS myext", true).with(&[("myext", "")]),
        is("exists myext", true).typed("myext", false),
        is("EXISTS myext", true).typed("myext", 0),
        is("EXISTS ext4you2", true).with(&[("ext4you2", "x")]),
        // It is an operand like any other, and asking for what is missing is no error.
        is("EXISTS id AND NOT EXISTS myext", true),
        is("EXISTS myext OR EXISTS id", true),
        is("EXISTS myext = FALSE", true),
        is("(EXISTS id) = 'true'", true),
        is("EXISTS id IN (TRUE)", true),
        is("EXISTS myext AND myext = 'a'", false),
        // What it asks for is a name.
        refused("EXISTS"),
        refused("EXISTS 5"),
        refused("EXISTS 'id'"),
        refused("EXISTS (id)"),
        refused("EXISTS EXISTS id"),
        refused("EXISTS LENGTH('a')"),
        refused("id EXISTS"),
    ]
}

/// Section 3.4.5, the rules `set-expression` and `in-operation` of section 2.3, and the casts of section 3.7 to the type of
/// the left side.
fn in_set() -> Vec<Case> {
    let source = [("source", "http://abc"), ("myext", "http://abc")];
    vec![
        is("123 IN (1, 2, 3, 12, 13, 23, 123)", true),
        is("123 NOT IN (1, 2, 3, 12, 13, 23, 123)", false),
        is("123 IN (1, 2, 3, 12, 13, 23)", false),
        is("123 NOT IN (1, 2, 3, 12, 13, 23)", true),
        is("'abc' IN ('abc', \"bcd\")", true),
        is("'aaa' IN ('abc', \"bcd\")", false),
        is("'aaa' NOT IN ('abc', \"bcd\")", true),
        is("'A' IN ('a')", false),
        is("'' IN ('')", true),
        is("TRUE IN (TRUE, FALSE)", true),
        is("TRUE IN (FALSE)", false),
        is("FALSE NOT IN (TRUE)", true),
        // Elements are expressions.
        is("source IN (myext, 'abc')", true).with(&source),
        is("source IN ('abc', 'xyz')", false).with(&source),
        is("source IN (source)", true).with(&source),
        is("source NOT IN (id, source)", false).with(&source),
        is("5 IN (LENGTH('abcde'))", true),
        is("'ab' IN (CONCAT('a', 'b'), 'c')", true),
        is("6 IN (2 * 3, 7)", true),
        is("TRUE IN (1 = 1)", true),
        is("-1 IN (-1)", true),
        is("(1 IN (1)) IN (TRUE)", true),
        // It is an operand like any other.
        is("1 IN (1) AND 2 IN (2)", true),
        is("NOT (1 IN (2))", true),
        is("(1 + 1) IN (2)", true),
        // Casts are to the type of the left side.
        is("'true' IN (TRUE, 'false')", true),
        is("'true' IN ('TRUE', 'false')", false),
        is("TRUE IN ('true', 'false')", true),
        is("TRUE IN ('TRUE')", true),
        is("'TRUE' IN (TRUE, 'false')", false),
        is("1 IN ('1', '2')", true),
        is("'1' IN (1, 2)", true),
        is("'01' IN (1)", false),
        is("1 IN ('01')", true),
        is("1 IN (TRUE)", true),
        is("0 IN (FALSE)", true),
        is("TRUE IN (1)", true),
        is("FALSE IN (0)", true),
        is("'1' IN (TRUE)", false),
        fails("1 IN ('abc')", false, Class::Cast),
        fails("TRUE IN ('yes')", false, Class::Cast),
        fails("missing IN ('abc')", false, Class::MissingAttribute),
        fails("'abc' IN (missing, 'abc')", false, Class::MissingAttribute),
    ]
}

/// Section 2 (keywords in any case), 2.2 (literals) and 2.4 (functions); texts and attribute values keep theirs.
fn case() -> Vec<Case> {
    vec![
        is("TRUE", true),
        is("true", true),
        is("tRuE", true),
        is("FALSE", false),
        is("false", false),
        is("FaLsE", false),
        is("not TRUE", false),
        is("TRUE and FALSE", false),
        is("TRUE Or FALSE", true),
        is("TRUE xOr TRUE", false),
        is("'a' like 'a'", true),
        is("'a' Not lIkE 'b'", true),
        is("1 in (1)", true),
        is("1 nOt In (1)", false),
        is("eXiStS id", true),
        is("int('1') < INT('2') and Int('3') < 1000", true),
        is("lower('A') = 'a'", true),
        is("BOOL('TRUE') = bool('true')", true),
        is("'aBcD'", "aBcD"),
        is("\"aBcD\"", "aBcD"),
        is("UPPER('aBcD')", "ABCD"),
        is("'a' = 'A'", false),
        is("'a' != 'A'", true),
        is("'abc' lIkE 'aBc'", false),
        is("myext", "VaLuE").with(&[("myext", "VaLuE")]),
        is("myext = 'value'", false).with(&[("myext", "VaLuE")]),
        is("TRUE = \"true\" AND FALSE = \"false\"", true),
        is("TRUE = \"TRUE\" OR FALSE = \"FALSE\"", false),
        is("LeNgTh('abc') = 3 aNd nOt FALSE", true),
        is("ID = id", true),
    ]
}

/// What the rules of sections 2.1 to 2.4 do not derive.
fn parse() -> Vec<Case> {
    [
        // 2.1: one expression, brackets in pairs.
        "",
        " ",
        "()",
        "(",
        ")",
        "(5 + 2",
        "5 + 2)",
        "((5 + 2)",
        "1 1",
        "id id",
        "'a' 'b'",
        "TRUE FALSE",
        "#",
        "id;",
        "@id",
        "$1",
        // 2.2: names and literals.
        "a..b",
        "1.5",
        "2147483648",
        "'A",
        "\"A",
        "'A\"",
        "'A\\'",
        // 2.3: operators with all of their operands.
        "NOT",
        "-",
        "1 +",
        "+",
        "* 2",
        "1 * / 2",
        "id = ",
        "= id",
        "1 = = 1",
        "1 == 1",
        "1 => 2",
        "1 < > 2",
        "TRUE AND",
        "AND TRUE",
        "TRUE OR OR TRUE",
        "TRUE && TRUE",
        "'A' LIKE",
        "LIKE 'A'",
        "'A' LIKE 5",
        "'A' LIKE id",
        "'A' LIKE ('A')",
        "'A' NOT 'A'",
        "'A' IN",
        "IN ('A')",
        "'A' IN ()",
        "'A' IN 'A'",
        "'A' IN ('A'",
        "'A' IN ('A',)",
        "'A' IN (,'A')",
        "'A' IN ('A' 'B')",
        "EXISTS",
        "EXISTS 5",
        // 2.4: calls.
        "ABC(",
        "ABC(1",
        "ABC(1,",
        "LENGTH('A',)",
        "LENGTH(,'A')",
        "LENGTH('A' 'B')",
        "LENGTH 'A'",
        "'LENGTH'('A')",
    ]
    .map(refused)
    .into()
}
