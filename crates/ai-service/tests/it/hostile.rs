//! Files that mean harm: each ends in a typed error, soon, and leaves no child behind.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use ai_service::pdf::{FILE_BYTES_MAX, PdfError, PdfErrorKind};

use crate::fixture;
use crate::reader::children;

/// Reads the bytes, which must fail within 20 s and leave no child.
async fn refused(bytes: Vec<u8>) -> PdfError {
    let reading = tokio::time::timeout(Duration::from_secs(20), crate::read(bytes));
    let error = reading
        .await
        .expect("the reading ends in time")
        .expect_err("the file is refused");
    assert_eq!(children(), Vec::<String>::new());
    assert!(
        error.message.len() > 10 && !error.message.contains('\n'),
        "{error}"
    );
    error
}

async fn check(bytes: Vec<u8>, kinds: &[PdfErrorKind]) {
    let error = refused(bytes).await;
    assert!(kinds.contains(&error.kind), "{}: {error}", error.kind);
}

/// A PDF of numbered objects, the first being the catalogue, with a table of contents that fits.
pub(crate) fn pdf(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"%PDF-1.4\n".to_vec();
    let mut offsets = String::new();
    for (index, object) in objects.iter().enumerate() {
        writeln!(offsets, "{:010} 00000 n ", out.len()).unwrap();
        writeln!(out, "{} 0 obj", index + 1).unwrap();
        out.extend_from_slice(object);
        out.extend_from_slice(b"\nendobj\n");
    }
    let (start, size) = (out.len(), objects.len() + 1);
    write!(
        out,
        "xref\n0 {size}\n0000000000 65535 f \n{offsets}trailer <</Size {size}/Root 1 0 R>>\n\
         startxref\n{start}\n%%EOF\n"
    )
    .unwrap();
    out
}

pub(crate) fn text(object: &str) -> Vec<u8> {
    object.as_bytes().to_vec()
}

pub(crate) fn stream(dictionary: &str, content: &[u8]) -> Vec<u8> {
    let mut out = format!("<<{dictionary}/Length {}>>\nstream\n", content.len()).into_bytes();
    out.extend_from_slice(content);
    out.extend_from_slice(b"\nendstream");
    out
}

/// A PDF of one page with this content.
fn one_page(content: Vec<u8>) -> Vec<u8> {
    pdf(&[
        text("<</Type/Catalog/Pages 2 0 R>>"),
        text("<</Type/Pages/Kids[3 0 R]/Count 1>>"),
        text(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</XObject<</X 5 0 R>>>>/Contents 4 0 R>>",
        ),
        content,
        stream(
            "/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>",
            b"/X Do",
        ),
    ])
}

fn deflated(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Deflated blanks, `mebibytes` of them.
fn bomb(mebibytes: usize) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![b' '; 1024 * 1024];
    for _ in 0..mebibytes {
        encoder.write_all(&block).unwrap();
    }
    encoder.finish().unwrap()
}

#[tokio::test]
async fn what_is_no_pdf_is_refused_before_a_child_is_started() {
    check(Vec::new(), &[PdfErrorKind::FileInvalid]).await;
    check(
        b"PK\x03\x04 a word processor's file".to_vec(),
        &[PdfErrorKind::FileInvalid],
    )
    .await;
    check(vec![0; 100_000], &[PdfErrorKind::FileInvalid]).await;
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_and_the_limit_named() {
    let mut bytes = b"%PDF-1.4\n".to_vec();
    bytes.resize(FILE_BYTES_MAX + 1, b' ');
    let error = refused(bytes).await;
    assert_eq!(error.kind, PdfErrorKind::FileTooLarge);
    assert!(error.message.contains("50 MB"), "{error}");
}

#[tokio::test]
async fn a_file_of_the_largest_size_reaches_the_child_whole() {
    let mut bytes = b"%PDF-1.4\n".to_vec();
    bytes.resize(FILE_BYTES_MAX, b' ');
    check(bytes, &[PdfErrorKind::FileCorrupted]).await;
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let whole = std::fs::read(fixture("small.pdf")).unwrap();
    for part in [9, 100, whole.len() / 2, whole.len() - 200] {
        check(whole[..part].to_vec(), &[PdfErrorKind::FileCorrupted]).await;
    }
}

#[tokio::test]
async fn an_encrypted_file_is_refused_by_name() {
    let error = refused(std::fs::read(fixture("encrypted.pdf")).unwrap()).await;
    assert_eq!(error.kind, PdfErrorKind::FilePasswordProtected);
    assert!(!error.retryable());
}

#[tokio::test]
async fn a_scan_without_a_text_layer_is_told_apart() {
    let picture = one_page(stream("", b"q 612 0 0 792 0 0 cm 0 0 1 1 re f Q"));
    let error = refused(picture).await;
    assert_eq!(error.kind, PdfErrorKind::ExtractionFailed);
    assert!(error.message.contains("no text layer"), "{error}");
}

#[tokio::test]
async fn a_bomb_ends_at_the_memory_or_time_limit() {
    let kinds = [PdfErrorKind::MemoryError, PdfErrorKind::TimeoutError];
    check(one_page(stream("/Filter/FlateDecode", &bomb(1024))), &kinds).await;
}

#[tokio::test]
async fn a_bomb_in_a_bomb_is_refused() {
    let kinds = [
        PdfErrorKind::MemoryError,
        PdfErrorKind::TimeoutError,
        PdfErrorKind::FileCorrupted,
    ];
    let nested = deflated(&bomb(1024));
    check(
        one_page(stream("/Filter[/FlateDecode/FlateDecode]", &nested)),
        &kinds,
    )
    .await;
}

#[tokio::test]
async fn pages_that_are_their_own_children_are_refused() {
    let looped = pdf(&[
        text("<</Type/Catalog/Pages 2 0 R>>"),
        text("<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"),
    ]);
    check(looped, &[PdfErrorKind::FileCorrupted]).await;
}

#[tokio::test]
async fn deep_nesting_is_refused() {
    let kinds = [PdfErrorKind::FileCorrupted, PdfErrorKind::ParserError];
    let mut object = "[".repeat(200_000);
    object.push_str(&"]".repeat(200_000));
    let mut objects = vec![text("<</Type/Catalog/Pages 2 0 R/X 3 0 R>>")];
    objects.push(text("<</Type/Pages/Kids[]/Count 0>>"));
    objects.push(text(&object));
    check(pdf(&objects), &kinds).await;
    let mut content = "[".repeat(200_000);
    content.push_str(" TJ");
    let all = [kinds[0], kinds[1], PdfErrorKind::ExtractionFailed];
    check(one_page(stream("", content.as_bytes())), &all).await;
}

#[tokio::test]
async fn a_drawing_that_draws_itself_is_refused() {
    check(one_page(stream("", b"/X Do")), &[PdfErrorKind::ParserError]).await;
}

#[tokio::test]
async fn a_construct_that_makes_the_parser_panic_is_an_error() {
    let broken = pdf(&[
        text("<</Type/Catalog/Pages 2 0 R>>"),
        text("<</Type/Pages/Kids[3 0 R]/Count 1>>"),
        text("<</Type/Page/Parent 2 0 R/Contents 4 0 R>>"),
        stream("", b"BT ET"),
    ]);
    let error = refused(broken).await;
    assert_eq!(error.kind, PdfErrorKind::ParserError);
}

#[tokio::test]
async fn more_pages_than_a_form_has_are_refused() {
    let kids: String = (0..51).map(|index| format!("{} 0 R ", index + 3)).collect();
    let mut objects = vec![text("<</Type/Catalog/Pages 2 0 R>>")];
    objects.push(text(&format!("<</Type/Pages/Kids[{kids}]/Count 51>>")));
    objects.extend((0..51).map(|_| text("<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>")));
    let error = refused(pdf(&objects)).await;
    assert_eq!(error.kind, PdfErrorKind::FileTooLarge);
    assert!(error.message.contains("51 pages"), "{error}");
}

#[tokio::test]
async fn a_page_of_more_rules_than_a_table_has_is_refused_and_the_limit_named() {
    let content: String = (0..10_001)
        .map(|index| format!("{} {} 20 1 re f ", index % 25 * 24, index / 25 * 2))
        .collect();
    let error = refused(one_page(stream("", content.as_bytes()))).await;
    assert_eq!(error.kind, PdfErrorKind::FileTooLarge);
    assert!(error.message.contains("10001 table rules"), "{error}");
    assert!(error.message.contains("10000"), "{error}");
}

#[tokio::test]
async fn a_file_of_endless_drawing_is_refused() {
    let content = deflated("0 0 1 1 re f\n".repeat(2_000_000).as_bytes());
    let kinds = [
        PdfErrorKind::FileTooLarge,
        PdfErrorKind::MemoryError,
        PdfErrorKind::TimeoutError,
    ];
    check(one_page(stream("/Filter/FlateDecode", &content)), &kinds).await;
}
