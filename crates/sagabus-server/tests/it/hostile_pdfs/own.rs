//! Hostile files made here: loops, lies about sizes, nesting without end, and bombs.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::File;
use crate::pdf::{bomb, document};

const CATALOGUE: &str = "<</Type/Catalog/Pages 2 0 R>>";
const PAGES: &str = "<</Type/Pages/Kids[3 0 R]/Count 1>>";
/// A page whose content is the fourth object; the fifth is a font or a drawing.
const PAGE: &str = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R\
    /Resources<</Font<</F 5 0 R>>/XObject<</X 5 0 R>>>>>>";
const FONT: &str = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>";

fn objects(texts: &[&str]) -> Vec<u8> {
    let objects: Vec<Vec<u8>> = texts.iter().map(|it| it.as_bytes().to_vec()).collect();
    document(&objects)
}

fn stream(dictionary: &str, content: &[u8]) -> Vec<u8> {
    let mut out = format!("<<{dictionary}/Length {}>>\nstream\n", content.len()).into_bytes();
    out.extend_from_slice(content);
    out.extend_from_slice(b"\nendstream");
    out
}

/// One page with this content, and behind it these objects.
fn page(content: Vec<u8>, more: &[&str]) -> Vec<u8> {
    let before = [CATALOGUE, PAGES, PAGE].map(|it| it.as_bytes().to_vec());
    let more = more.iter().map(|it| it.as_bytes().to_vec());
    let all: Vec<Vec<u8>> = before.into_iter().chain([content]).chain(more).collect();
    document(&all)
}

/// A page with this content.
fn content(content: impl AsRef<[u8]>) -> Vec<u8> {
    page(stream("", content.as_ref()), &[FONT])
}

/// A page with a word in a font that is described so.
fn font(description: &str, more: &[&str]) -> Vec<u8> {
    let content = stream("", b"BT /F 10 Tf 20 700 Td (word) Tj ET");
    page(content, &[&[description], more].concat())
}

/// One page whose table of contents says this too.
fn trailer(more: &str) -> Vec<u8> {
    let whole = content("BT /F 10 Tf 20 700 Td (word) Tj ET");
    let whole = String::from_utf8(whole).unwrap();
    whole
        .replace("trailer <<", &format!("trailer <<{more}"))
        .into_bytes()
}

fn deflated(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Numbers that look like chance, as bytes.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..bytes).map(next).collect()
}

/// Those that are answered within a moment.
pub(super) fn quick() -> Vec<File> {
    let named = |(name, bytes): (&str, Vec<u8>)| (format!("own/{name}"), bytes);
    let all = loops().into_iter().chain(lies()).chain(heaps());
    all.map(named).collect()
}

/// What leads to itself.
fn loops() -> Vec<(&'static str, Vec<u8>)> {
    let form = "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>/Length 5>>\nstream\n/X Do\nendstream";
    let with = |own: &str| trailer(own);
    let start = {
        let whole = String::from_utf8(trailer("")).unwrap();
        whole.find("xref\n").unwrap()
    };
    vec![
        (
            "kids",
            objects(&[CATALOGUE, "<</Type/Pages/Kids[2 0 R]/Count 1>>"]),
        ),
        (
            "kids-twice",
            objects(&[CATALOGUE, "<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"]),
        ),
        ("catalogue", objects(&["<</Type/Catalog/Pages 1 0 R>>"])),
        (
            "parent",
            objects(&[CATALOGUE, PAGES, "<</Type/Page/Parent 3 0 R>>"]),
        ),
        ("prev", with(&format!("/Prev {start}"))),
        ("xref-stream", with(&format!("/XRefStm {start}"))),
        (
            "length",
            page(
                b"<</Length 4 0 R>>\nstream\nBT ET\nendstream".to_vec(),
                &[FONT],
            ),
        ),
        ("drawing", page(stream("", b"/X Do"), &[form])),
        (
            "drawings",
            page(
                stream("", b"/X Do"),
                &[&form.replace("5 0 R", "6 0 R"), form],
            ),
        ),
        ("font", font("5 0 R", &[])),
        (
            "encoding",
            font(
                "<</Type/Font/Subtype/Type1/BaseFont/A/Encoding 5 0 R>>",
                &[],
            ),
        ),
        (
            "descendant",
            font(
                "<</Type/Font/Subtype/Type0/BaseFont/A/Encoding/Identity-H/DescendantFonts[5 0 R]/ToUnicode 5 0 R>>",
                &[],
            ),
        ),
        (
            "object-stream",
            page(
                stream(
                    "/Type/ObjStm/N 1/First 4/Extends 4 0 R",
                    b"4 0 <</A 4 0 R>>",
                ),
                &[FONT],
            ),
        ),
    ]
}

/// What says that it is larger than it is, or something else.
fn lies() -> Vec<(&'static str, Vec<u8>)> {
    let with = |own: &str| trailer(own);
    let box_of = |numbers: &str| {
        let page = PAGE.replace("0 0 612 792", numbers);
        objects(&[
            CATALOGUE,
            PAGES,
            &page,
            "<</Length 0>>\nstream\n\nendstream",
            FONT,
        ])
    };
    let long = |length: &str| {
        let text = format!("<</Length {length}>>\nstream\nBT (a) Tj ET\nendstream");
        page(text.into_bytes(), &[FONT])
    };
    vec![
        ("prev-far", with("/Prev 99999999999999999999")),
        ("prev-negative", with("/Prev -5")),
        ("size", with("/Size 2147483647")),
        ("root", with("/Root 77 0 R")),
        ("encrypt", with("/Encrypt 5 0 R")),
        (
            "count",
            objects(&[
                CATALOGUE,
                "<</Type/Pages/Kids[3 0 R]/Count 2147483647>>",
                PAGE,
            ]),
        ),
        (
            "no-kids",
            objects(&[CATALOGUE, "<</Type/Pages/Kids 7/Count (a)>>"]),
        ),
        ("length-far", long("4294967295")),
        ("length-negative", long("-1")),
        ("box-of-texts", box_of("(a) (b) (c) (d)")),
        ("box-without-end", box_of("0 0 1e308 1e308")),
        ("box-of-none", box_of("0 0 0 0")),
        ("filter", page(stream("/Filter/Magic", b"x"), &[FONT])),
        (
            "predictor",
            page(
                stream(
                    "/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 2147483647/Colors 255/BitsPerComponent 16>>",
                    &deflated(b"x"),
                ),
                &[FONT],
            ),
        ),
        (
            "widths",
            font(
                "<</Type/Font/Subtype/TrueType/BaseFont/A/FirstChar 0/LastChar 2147483647/Widths[]>>",
                &[],
            ),
        ),
        (
            "to-unicode",
            font(
                "<</Type/Font/Subtype/Type1/BaseFont/A/ToUnicode 6 0 R>>",
                &[
                    "<</Length 75>>\nstream\n1 begincodespacerange <0000> <FFFFFFFF> endcodespacerange 1 beginbfrange <0> \nendstream",
                ],
            ),
        ),
        (
            "image",
            content("BI /W 99999999 /H 99999999 /BPC 16 ID xx EI"),
        ),
        (
            "operands",
            content("BT /F 1e400 Tf (a) Tj /F (a) Tf [[[1]]] TJ null cm ET"),
        ),
        (
            "matrix",
            content("1e30 0 0 1e30 1e30 1e30 cm ".repeat(1_000) + "BT /F 1 Tf (a) Tj ET"),
        ),
        ("header-alone", b"%PDF-1.7".to_vec()),
        ("noise", [b"%PDF-1.7\n".to_vec(), noise(300_000)].concat()),
        (
            "noise-in-a-stream",
            page(stream("/Filter/FlateDecode", &noise(100_000)), &[FONT]),
        ),
        (
            "zeros",
            [b"%PDF-1.7\n".to_vec(), vec![0; 1_000_000]].concat(),
        ),
        ("no-pdf", b"GIF89a".to_vec()),
    ]
}

/// More of something than any form has.
fn heaps() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |open: &str, close: &str, depth: usize| {
        let heap = format!("{}{}", open.repeat(depth), close.repeat(depth));
        objects(&[CATALOGUE, PAGES, PAGE, &heap, FONT])
    };
    let filters = format!("/Filter[{}]", "/ASCIIHexDecode".repeat(1_000));
    let many = PAGE.replace("4 0 R", &format!("[{}]", "4 0 R ".repeat(20_000)));
    let kids = format!("<</Type/Pages/Kids[{}]/Count 1>>", "3 0 R ".repeat(100_000));
    vec![
        ("lists", nested("[", "]", 10_380)),
        ("lists-deep", nested("[", "]", 200_000)),
        ("dictionaries", nested("<</A", ">>", 50_000)),
        ("texts", nested("(", ")", 200_000)),
        ("lists-in-content", content("[".repeat(100_000) + " TJ")),
        ("texts-in-content", content("(".repeat(100_000))),
        ("states", content("q ".repeat(500_000))),
        ("restores", content("Q ".repeat(500_000))),
        ("filters", page(stream(&filters, b"61>"), &[FONT])),
        (
            "contents",
            objects(&[
                CATALOGUE,
                PAGES,
                &many,
                "<</Length 5>>\nstream\nq Q q\nendstream",
                FONT,
            ]),
        ),
        (
            "pages",
            objects(&[
                CATALOGUE,
                &kids,
                PAGE,
                "<</Length 0>>\nstream\n\nendstream",
                FONT,
            ]),
        ),
        ("name", content(format!("/{} gs", "A".repeat(1_000_000)))),
        (
            "words",
            content("BT /F 8 Tf 9 9 Td (a) Tj ET ".repeat(20_000)),
        ),
        ("clips", content("0 0 9 9 re W n ".repeat(100_000))),
        (
            "curves",
            content("0 0 m ".to_owned() + &"1 1 2 2 3 3 c ".repeat(100_000) + "S"),
        ),
    ]
}

/// Those that end at a limit of memory or time, and are tried again where it was time.
pub(super) fn slow() -> Vec<File> {
    let flat = |mebibytes: usize| deflated(&vec![b' '; mebibytes * 1024 * 1024]);
    let twice = deflated(&flat(700));
    let runs = [129_u8, b' '].repeat(6 * 1024 * 1024);
    let tenfold = "/X Do ".repeat(10);
    let mut laughs: Vec<String> = (6..14)
        .map(|next| {
            format!(
                "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X {next} 0 R>>>>/Length {}>>\nstream\n{tenfold}\nendstream",
                tenfold.len()
            )
        })
        .collect();
    laughs.push(
        "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Length 5>>\nstream\nq Q q\nendstream"
            .to_owned(),
    );
    let laughs: Vec<&str> = laughs.iter().map(String::as_str).collect();
    let mut trees = vec![CATALOGUE.to_owned()];
    trees
        .extend((3..40).map(|next| format!("<</Type/Pages/Kids[{next} 0 R {next} 0 R]/Count 2>>")));
    trees.push(PAGE.to_owned());
    let trees: Vec<&str> = trees.iter().map(String::as_str).collect();
    let rules = "0 0 1 1 re f\n".repeat(2_000_000);
    let map = "<0000> <FFFF> <0000>\n".repeat(100);
    let map = format!("100 beginbfrange\n{map}endbfrange");
    let map = format!("<</Length {}>>\nstream\n{map}\nendstream", map.len());
    let cmap = "<</Type/Font/Subtype/Type0/BaseFont/A/Encoding/Identity-H/DescendantFonts[]/ToUnicode 6 0 R>>";
    let all = vec![
        ("bomb", bomb()),
        (
            "bomb-in-a-bomb",
            page(stream("/Filter[/FlateDecode/FlateDecode]", &twice), &[FONT]),
        ),
        (
            "bomb-of-runs",
            page(stream("/Filter/RunLengthDecode", &runs), &[FONT]),
        ),
        ("laughs", page(stream("", tenfold.as_bytes()), &laughs)),
        ("tree", objects(&trees)),
        (
            "rules",
            page(
                stream("/Filter/FlateDecode", &deflated(rules.as_bytes())),
                &[FONT],
            ),
        ),
        ("map", font(cmap, &[&map])),
    ];
    let named = |(name, bytes): (&str, Vec<u8>)| (format!("own/{name}"), bytes);
    all.into_iter().map(named).collect()
}
