//! What must hold for any text and any expression.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::string::string_regex;

use super::*;

/// Pieces of the language in no order, and other characters between them.
fn scraps() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => proptest::sample::select(vec![
            "AND", "or", "XOR", "NOT", "LIKE", "IN", "EXISTS", "TRUE", "false", "id", "subject", "x1", "(", ")", ",",
            "=", "!=", "<>", "<=", "+", "-", "*", "/", "%", "0", "7", "2147483648", "'a%b'", "\"it's\"", r"'\''",
            r"'\\", "LENGTH(", "CONCAT_WS(", "DATA('/a')", "DATA(", "F_(",
        ]).prop_map(str::to_owned),
        1 => string_regex("(?s).{0,3}").unwrap(),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.join(" "))
}

/// Text in quotes of either kind.
fn quoted() -> impl Strategy<Value = String> {
    let text = string_regex(r#"([a-z%_ é]|\\\\|\\['"%_x]){0,6}"#).unwrap();
    (text, proptest::sample::select(vec!['\'', '"']))
        .prop_map(|(text, quote)| format!("{quote}{text}{quote}"))
}

/// Expressions that are well formed.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("TRUE".to_owned()),
        Just("false".to_owned()),
        proptest::num::i32::ANY.prop_map(|it| it.to_string()),
        proptest::sample::select(vec![
            "id",
            "subject",
            "n",
            "EXISTS n",
            "exists gone",
            "DATA('/a')",
            "EXISTS DATA('/b')"
        ])
        .prop_map(str::to_owned),
        quoted(),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let operator = proptest::sample::select(vec![
            "AND", "OR", "XOR", "=", "!=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%",
        ]);
        let function = proptest::sample::select(vec![
            "LENGTH",
            "CONCAT",
            "CONCAT_WS",
            "LOWER",
            "UPPER",
            "TRIM",
            "LEFT",
            "RIGHT",
            "SUBSTRING",
            "ABS",
            "INT",
            "BOOL",
            "STRING",
            "NOPE",
        ]);
        prop_oneof![
            inner.clone().prop_map(|it| format!("({it})")),
            inner.clone().prop_map(|it| format!("NOT {it}")),
            inner.clone().prop_map(|it| format!("- {it}")),
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            (inner.clone(), quoted()).prop_map(|(a, b)| format!("{a} LIKE {b}")),
            (inner.clone(), vec(inner.clone(), 1..4))
                .prop_map(|(a, set)| format!("{a} NOT IN ({})", set.join(", "))),
            (function, vec(inner, 0..4)).prop_map(|(f, it)| format!("{f}({})", it.join(", "))),
        ]
    })
}

/// Whether `text` fits `pattern`, by trying everything.
fn naive_like(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|skip| naive_like(&text[skip..], rest)),
        ['\\', it @ ('%' | '_'), rest @ ..] => {
            text.first() == Some(it) && naive_like(&text[1..], rest)
        }
        ['_', rest @ ..] => !text.is_empty() && naive_like(&text[1..], rest),
        [it, rest @ ..] => text.first() == Some(it) && naive_like(&text[1..], rest),
    }
}

fn check_evaluation(expression: &Expression) {
    let table = table(&[("n", Value::Integer(3)), ("subject", "añb".into())]);
    let mut meter = Meter::default();
    let (value, error) = expression.evaluate_within(&table, &mut meter);
    assert!(meter.spent() <= COST_MAX);
    if let (Some(error), Some(kind)) = (error, expression.kind()) {
        // An attribute on its own is the one part whose type the event would have said.
        if !matches!(expression.root, Expr::Attribute(_)) {
            assert_eq!(value.kind(), kind, "{expression}: {error}");
        }
    }
}

fn check_print(expression: &Expression) {
    let printed = expression.to_string();
    assert_eq!(
        Expression::new(&printed).as_ref(),
        Ok(expression),
        "{printed}"
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_breaks_the_parser(text in string_regex("(?s).{0,200}").unwrap()) {
        if let Ok(expression) = Expression::new(&text) {
            check_print(&expression);
            check_evaluation(&expression);
        }
    }

    #[test]
    fn no_scraps_of_the_language_break_the_parser(text in scraps()) {
        if let Ok(expression) = Expression::new(&text) {
            check_print(&expression);
            check_evaluation(&expression);
        }
    }

    #[test]
    fn an_expression_is_read_as_it_is_printed_and_ends_within_its_cost(text in expressions()) {
        let expression = Expression::new(&text);
        proptest::prop_assert!(expression.is_ok(), "{text}: {expression:?}");
        if let Ok(expression) = expression {
            check_print(&expression);
            check_evaluation(&expression);
        }
    }

    #[test]
    fn like_fits_what_trying_everything_fits(
        text in string_regex(r"[ab%\\]{0,8}").unwrap(),
        pattern in string_regex(r"([ab%_]|\\[%_ab]){0,6}").unwrap(),
    ) {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let found = Like::new(&pattern).matches(&text, &mut Meter::default());
        proptest::prop_assert_eq!(found, Ok(naive_like(&chars(&text), &chars(&pattern))));
    }
}
