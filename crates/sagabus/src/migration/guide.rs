//! The guide shows what the examples do.

const GUIDE: &str = include_str!("../../../../docs/guides/migration.md");
const EXAMPLES: [&str; 2] = [
    include_str!("../../examples/06_migration.rs"),
    include_str!("../../examples/07_fallback.rs"),
];

#[test]
fn each_piece_of_code_in_the_guide_is_in_an_example() {
    let pieces: Vec<&str> = GUIDE
        .split("```rust\n")
        .skip(1)
        .filter_map(|it| it.split("```").next())
        .collect();
    assert_eq!(pieces.len(), 4);
    for piece in pieces {
        assert!(EXAMPLES.iter().any(|it| it.contains(piece)), "{piece}");
    }
}
