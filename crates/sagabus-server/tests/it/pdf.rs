//! PDFs that mean harm, made here: nobody has to commit a bomb.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// A page whose content is a gibibyte of deflated blanks.
pub(crate) fn bomb() -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let block = vec![b' '; 1024 * 1024];
    for _ in 0..1024 {
        encoder.write_all(&block).unwrap();
    }
    let content = encoder.finish().unwrap();
    let mut stream =
        format!("<</Filter/FlateDecode/Length {}>>\nstream\n", content.len()).into_bytes();
    stream.extend_from_slice(&content);
    stream.extend_from_slice(b"\nendstream");
    document(&[
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>".to_vec(),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R>>".to_vec(),
        stream,
    ])
}

/// A simple form, and below it a line that nobody sees.
pub(crate) fn doubtful(lines: &[&str]) -> Vec<u8> {
    let mut content = Vec::new();
    for (index, line) in lines.iter().chain(&["Priority: Rush"]).enumerate() {
        let mode = if index == lines.len() { 3 } else { 0 };
        let y = 740 - 16 * index;
        writeln!(
            content,
            "BT {mode} Tr /F 10 Tf 1 0 0 1 20 {y} Tm ({line}) Tj ET"
        )
        .unwrap();
    }
    let mut stream = format!("<</Length {}>>\nstream\n", content.len()).into_bytes();
    stream.extend_from_slice(&content);
    stream.extend_from_slice(b"endstream");
    document(&[
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>".to_vec(),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>".to_vec(),
        stream,
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_vec(),
    ])
}

/// A PDF of numbered objects, the first being the catalogue, with a table of contents that fits.
pub(crate) fn document(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        writeln!(offsets, "{:010} 00000 n ", out.len()).unwrap();
        writeln!(out, "{} 0 obj", index + 1).unwrap();
        out.extend_from_slice(object);
        out.extend_from_slice(b"\nendobj\n");
    }
    let (start, size) = (out.len(), objects.len() + 1);
    writeln!(out, "xref\n0 {size}\n0000000000 65535 f ").unwrap();
    out.extend_from_slice(&offsets);
    writeln!(
        out,
        "trailer <</Size {size}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF"
    )
    .unwrap();
    out
}
