//! Tables as people save them.

use serde_json::json;

use super::*;

fn read(document: &str) -> Table {
    Table::read(document.as_bytes(), &Map::new()).unwrap()
}

fn fields(document: &str) -> Vec<Value> {
    let rows = read(document).rows;
    rows.into_iter()
        .map(|it| Value::Object(it.fields))
        .collect()
}

#[test]
fn columns_are_known_by_many_names_and_units_may_stand_behind_numbers() {
    let document = "\u{feff}Sample Name*;Vol. (µL);Qubit Conc. (ng/µL);NanoDrop;A260/A280 ratio;260/230;Sample type;Colour\r\n\
         \r\n\
         pond 3B;25 μL;50.5 ng/µL;61;1.82;2.05;Genomic DNA;red\r\n";
    let table = read(document);
    assert_eq!(
        Value::Object(table.rows[0].fields.clone()),
        json!({
            "sampleName": "pond 3B", "volume": 25.0, "concentration": 50.5, "concentrationMethod": "Qubit",
            "nanodropConcentration": 61.0, "a260280Ratio": 1.82, "a260230Ratio": 2.05, "sampleType": "DNA",
            "material": "Genomic DNA",
        })
    );
    assert_eq!(table.rows[0].line, Some(3));
    let left_out: Vec<_> = table
        .columns
        .iter()
        .filter(|it| it.field.is_none())
        .collect();
    assert_eq!(left_out[0].header, "Colour");
}

#[test]
fn text_is_taken_as_it_stands_and_blank_cells_say_nothing() {
    let rows = fields(
        "sample_name,labName,buffer,project-id\n\" a  b \",\"Lab, \"\"x\"\"\",<10 mM & Tris>,\n",
    );
    let expected =
        json!({"sampleName": " a  b ", "labName": "Lab, \"x\"", "sampleBuffer": "<10 mM & Tris>"});
    assert_eq!(rows, [expected]);
    let common = json!({"labName": "common", "projectId": "P"});
    let Value::Object(common) = common else {
        panic!()
    };
    let table = Table::read(b"name\tlab\na\tb\nc\t\n", &common).unwrap();
    let labs: Vec<_> = table
        .rows
        .iter()
        .map(|it| it.fields["labName"].clone())
        .collect();
    assert_eq!(labs, ["b", "common"]);
}

#[test]
fn a_cell_that_cannot_be_read_is_an_error_of_its_row_and_field_and_nothing_is_guessed() {
    let document = "name,conc,volume,flow cell count,type,priority,ul2\n\
         a,\"12,5\",1e999,two,soil,rush,x\n\
         b,5 nM,10 mL,1.5,,,\n\
         c,5,10\n";
    let table = read(document);
    let errors: Vec<Vec<_>> = table
        .rows
        .iter()
        .map(|row| row.errors.0.iter().map(|it| it.field.as_str()).collect())
        .collect();
    assert_eq!(
        errors[0],
        [
            "concentration",
            "volume",
            "flowCellCount",
            "sampleType",
            "priority"
        ]
    );
    assert_eq!(errors[1], ["concentration", "volume", "flowCellCount"]);
    assert_eq!(errors[2], ["row"]);
    assert!(
        table.rows[2]
            .errors
            .to_string()
            .contains("has 3 cells, and there are 7 columns")
    );
    assert_eq!(table.rows[2].fields, Map::new());
}

#[test]
fn what_is_no_table_is_refused_as_a_whole() {
    let mut many = "name\n".to_owned();
    many.push_str(&"a\n".repeat(ROWS_MAX + 1));
    let wide = format!("{}\n", "name,".repeat(201));
    for (document, text) in [
        (&b""[..], "is empty"),
        (b" \n\n", "is empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a\0b\n", "zero byte"),
        (
            b"PK\x03\x04\0",
            "the workbook cannot be read: it is not whole, or no XLSX",
        ),
        (b"colour,size\nred,1\n", "name no field"),
        (b"name,Sample Name\na,b\n", "has two columns"),
        (b"qubit,conc\n1,2\n", "has two columns"),
        (many.as_bytes(), "more than 1000 rows"),
        (wide.as_bytes(), "columns, more than 200"),
    ] {
        let error = Table::read(document, &Map::new()).unwrap_err();
        assert!(error.chain().contains(text), "{text}: {}", error.chain());
    }
    assert_eq!(read("name\n").rows, []);
}

#[test]
fn a_quote_without_its_other_one_is_told_by_its_line_and_takes_no_row_along() {
    let refusal = |document: &str| {
        let error = Table::read(document.as_bytes(), &Map::new()).unwrap_err();
        error.to_string()
    };
    let open = refusal("name,comments\nq1,ok\nq2,\"broken\nq3,x\nq4,y\n");
    assert!(open.contains("line 3: a cell that begins"), "{open}");
    let behind = refusal("name,comments\r\nq1,\"two\r\nlines\"\r\nq2,\"a\"b\r\n");
    assert!(behind.contains("line 4: a cell goes on"), "{behind}");
    let lone = refusal("name,comments\rq1,ok\rq2,\"a\" \rq3,x\r");
    assert!(lone.contains("line 3: a cell goes on"), "{lone}");
    let rows = read("name,lab\nq1,5\" tube\nq2,\"a \"\"b\"\"\"\nq3,\"\"\n").rows;
    let said = rows.iter().map(|it| it.fields.get("labName").cloned());
    assert_eq!(
        said.collect::<Vec<_>>(),
        [Some(json!("5\" tube")), Some(json!("a \"b\"")), None]
    );
    let lines = read("name\rq1\rq2\r").rows;
    let lines: Vec<_> = lines.iter().map(|it| it.line).collect();
    assert_eq!(lines, [Some(2), Some(3)]);
}
