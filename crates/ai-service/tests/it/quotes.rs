//! What stands beside the rows of a table with rules.

use crate::dice::read;
use crate::drawn::Paper;

#[tokio::test]
async fn text_that_stands_outside_the_rows_of_a_table_is_told_and_no_row() {
    let lefts = [20.0, 60.0, 260.0, 350.0, 450.0];
    let mut paper = Paper::new();
    let header = ["No", "Sample Name", "Volume (µL)", "Conc. (ng/µL)"];
    for cells in [
        header,
        ["1", "moss", "25", "50.5"],
        ["2", "fern", "30", "40"],
    ] {
        let top = paper.at;
        for (cell, edges) in cells.iter().zip(lefts.windows(2)) {
            paper.frame(edges[0], top, edges[1] - edges[0], 16.0);
            paper.text(edges[0] + 4.0, top + 4.0, 8.0, cell);
        }
        paper.at += 16.0;
    }
    paper.at += 4.0;
    paper.line(64.0, 8.0, "see the other side");
    let extraction = read(paper.pdf()).await;
    let names: Vec<&str> = extraction
        .form
        .samples
        .iter()
        .map(|it| it.sample_name.as_str())
        .collect();
    assert_eq!(names, ["moss", "fern"]);
    let told: Vec<&str> = extraction
        .issues
        .iter()
        .map(|it| it.message.as_str())
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("`see the other side` stands outside the rows"),
        "{told:?}"
    );
}
