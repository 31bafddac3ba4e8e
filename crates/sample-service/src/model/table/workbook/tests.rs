//! Workbooks as spreadsheet programs save them, and as nobody should send them.

use std::io::Write;

use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>";
const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";

fn pack(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        archive
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A workbook of sheets: name, what hides it, and its rows as XML.
fn book(sheets: &[(&str, &str, &str)]) -> Vec<u8> {
    let (mut list, mut relations) = (Vec::new(), Vec::new());
    let mut files = Vec::new();
    let mut names = Vec::new();
    for (index, (name, state, rows)) in sheets.iter().enumerate() {
        let id = index + 1;
        list.push(format!(
            "<sheet name=\"{name}\" sheetId=\"{id}\" {state} r:id=\"rId{id}\"/>"
        ));
        relations.push(format!(
            "<Relationship Id=\"rId{id}\" Type=\"{OFFICE}/worksheet\" Target=\"worksheets/sheet{id}.xml\"/>"
        ));
        names.push(format!("xl/worksheets/sheet{id}.xml"));
        files.push(format!(
            "{HEAD}<worksheet xmlns=\"{MAIN}\"><sheetData>{rows}</sheetData></worksheet>"
        ));
    }
    let (list, relations) = (list.concat(), relations.concat());
    let workbook = format!(
        "{HEAD}<workbook xmlns=\"{MAIN}\" xmlns:r=\"{OFFICE}\"><sheets>{list}</sheets></workbook>"
    );
    let relations = format!("{HEAD}<Relationships xmlns=\"{PACKAGE}\">{relations}</Relationships>");
    let root = format!(
        "{HEAD}<Relationships xmlns=\"{PACKAGE}\"><Relationship Id=\"rId1\" Type=\"{OFFICE}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
    );
    let mut all = vec![
        ("_rels/.rels", root.into_bytes()),
        ("xl/workbook.xml", workbook.into_bytes()),
        ("xl/_rels/workbook.xml.rels", relations.into_bytes()),
    ];
    let sheets = names.iter().zip(files);
    all.extend(sheets.map(|(name, file)| (name.as_str(), file.into_bytes())));
    pack(&all)
}

fn text(place: &str, text: &str) -> String {
    format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
}

fn row(number: u32, cells: &[String]) -> String {
    format!("<row r=\"{number}\">{}</row>", cells.concat())
}

fn sheet(rows: &str) -> Vec<u8> {
    book(&[("Samples", "", rows)])
}

fn heading() -> String {
    let cells = [
        text("A1", "Sample Name"),
        text("B1", "Volume (µL)"),
        text("C1", "Lab"),
    ];
    row(1, &cells)
}

fn table(document: &[u8]) -> Result<super::super::Table> {
    super::super::Table::read(document, &serde_json::Map::new())
}

fn refused(document: &[u8]) -> String {
    table(document).unwrap_err().chain()
}

#[test]
fn a_workbook_that_a_spreadsheet_program_saved_is_read_as_its_csv_would_be() {
    let saved = table(include_bytes!("../../../../tests/fixtures/samples.xlsx")).unwrap();
    let fields: Vec<_> = saved.rows.iter().map(|it| json!(it.fields)).collect();
    let expected = [
        json!({"sampleName": "pond 3B", "volume": 25.5, "concentration": 50.25, "labName": "Ünal & Søn", "flowCellCount": 2}),
        json!({"sampleName": "0012", "volume": 30.0, "concentration": 61.0}),
    ];
    assert_eq!(fields, expected, "{:?}", saved.rows);
    let lines: Vec<_> = saved.rows.iter().map(|it| it.line).collect();
    assert_eq!(lines, [Some(3), Some(5)]);
    assert_eq!(saved.columns[0].header, "Sample Name");
}

#[test]
fn the_first_sheet_that_is_shown_and_has_cells_is_read() {
    let rows = |name: &str| {
        let cells = [text("A2", name), "<c r=\"B2\"><v>25</v></c>".to_owned()];
        heading() + &row(2, &cells)
    };
    let (hidden, shown) = (rows("hidden"), rows("shown"));
    let document = book(&[
        ("Old", "state=\"hidden\"", &hidden),
        ("Older", "state=\"veryHidden\"", &hidden),
        ("Blank", "", ""),
        ("Samples", "", &shown),
        ("Later", "", &hidden),
    ]);
    let read = table(&document).unwrap();
    assert_eq!(
        json!(read.rows[0].fields),
        json!({"sampleName": "shown", "volume": 25.0})
    );
    let none = refused(&book(&[("Old", "state=\"hidden\"", &hidden)]));
    assert!(none.contains("no visible sheet with cells"), "{none}");
}

#[test]
fn what_is_wrong_in_a_cell_is_told_by_its_place_and_harms_no_other_row() {
    let wrong = "<c r=\"B2\" t=\"e\"><v>#DIV/0!</v></c>".to_owned();
    let rows = heading()
        + &row(2, &[text("A2", "first"), wrong])
        + &row(3, &[text("A3", "second"), text("E3", "beyond")])
        + &row(4, &[text("A4", "third"), text("B4", "12 µL")])
        + &row(
            5,
            &[
                text("A5", "fourth"),
                "<c r=\"B5\"><f>5+5</f></c>".to_owned(),
            ],
        )
        + &row(
            6,
            &[
                text("A6", "fifth"),
                "<c r=\"B6\"><f>5+5</f><v>10</v></c>".to_owned(),
            ],
        )
        + &row(
            7,
            &[
                text("A7", "sixth"),
                "<c r=\"B7\" t=\"d\"><v>2026-11-28</v></c>".to_owned(),
            ],
        );
    let read = table(&sheet(&rows)).unwrap();
    let of = |index: usize| format!("{:?}", read.rows[index].errors);
    assert!(
        of(0).contains("cell B2 is an error, `#DIV/0!`"),
        "{}",
        of(0)
    );
    assert!(
        of(1).contains("has 5 cells, and there are 3 columns"),
        "{}",
        of(1)
    );
    assert_eq!(
        json!(read.rows[2].fields),
        json!({"sampleName": "third", "volume": 12.0})
    );
    assert!(
        of(3).contains("cell B5 is a formula whose value"),
        "{}",
        of(3)
    );
    assert_eq!(
        json!(read.rows[4].fields),
        json!({"sampleName": "fifth", "volume": 10.0})
    );
    assert!(of(5).contains("cell B7 is a date or a time"), "{}", of(5));
}

#[test]
fn a_cell_that_is_there_twice_takes_the_place_of_no_other() {
    let (first, second) = ([text("A2", "first")], [text("A2", "second")]);
    let rows = row(2, &first) + &row(2, &second);
    let cells = row(2, &[text("A2", "first"), text("A2", "second")]);
    let turned = row(2, &[text("B2", "25"), text("A2", "first")]);
    for (rows, place) in [(rows, "A2"), (cells, "A2"), (turned, "A2")] {
        let said = refused(&sheet(&(heading() + &rows)));
        let wanted = format!("the workbook cannot be read: cell {place} is there twice");
        assert!(said.contains(&wanted), "{said}");
    }
}

#[test]
fn more_rows_or_columns_than_a_table_may_have_are_refused_and_take_no_memory() {
    let many: String = (2..=1_002)
        .map(|number| row(number, &[text(&format!("A{number}"), "x")]))
        .collect();
    let rows = refused(&sheet(&(heading() + &many)));
    assert!(rows.contains("more than 1000 rows"), "{rows}");
    let far = heading() + &row(1_048_576, &[text("XFD1048576", "far away")]);
    let far = refused(&sheet(&far));
    assert!(
        far.contains("row 1048576 of sheet `Samples` has a cell beyond 200 columns"),
        "{far}"
    );
}

#[test]
fn a_small_file_that_unpacks_to_a_large_one_is_refused_before_it_is_read() {
    let zeros = vec![b' '; 65 * 1024 * 1024];
    let bomb = pack(&[("xl/workbook.xml", zeros)]);
    assert!(bomb.len() < 1024 * 1024);
    let large = refused(&bomb);
    assert!(
        large.contains("more than 64 MiB when it is unpacked"),
        "{large}"
    );
    let names: Vec<String> = (0..=FILES_MAX).map(|it| format!("{it}")).collect();
    let files: Vec<_> = names.iter().map(|it| (it.as_str(), Vec::new())).collect();
    let many = refused(&pack(&files));
    assert!(many.contains("1001 files, more than 1000"), "{many}");
}

#[test]
fn what_is_no_workbook_or_a_broken_one_is_refused_by_name() {
    let good = sheet(&heading());
    for end in [4, 30, good.len() / 2, good.len() - 1] {
        let broken = refused(good.get(..end).unwrap());
        assert!(broken.contains("the workbook cannot be read"), "{broken}");
    }
    let other = refused(&pack(&[("word/document.xml", b"<w/>".to_vec())]));
    assert!(other.contains("the workbook cannot be read"), "{other}");
    let row = "<row r=\"4294967295\"><c r=\"A4294967295\"><v>1</v></c></row>";
    refused(&sheet(row));
    refused(&sheet("<row r=\"0\"><c r=\"A0\"><v>1</v></c></row>"));
    refused(&sheet("<row><c r=\"ZZZZZZZZ1\"><v>1</v></c></row>"));
    // An older form, which is no archive.
    let old = refused(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1");
    assert!(old.contains("save it as `CSV UTF-8` or `XLSX`"), "{old}");
}

#[test]
fn cells_are_named_as_spreadsheets_name_them() {
    for (column, place) in [
        (0, "A7"),
        (25, "Z7"),
        (26, "AA7"),
        (701, "ZZ7"),
        (702, "AAA7"),
    ] {
        assert_eq!(place_of(column, 7), place);
    }
}
