//! Uploads: kept once, whole or not at all, and only in their folder.

use std::path::Path;

use ai_service::pdf::FILE_BYTES_MAX;
use ai_service::{FileId, UploadTooLarge};
use bytes::Bytes;
use sagabus::ErrorKind;

use crate::service::Fixture;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("uploads")).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn the_same_bytes_are_kept_once_under_their_hash() {
    let fixture = Fixture::new().await;
    let first = fixture
        .service
        .store_upload(Bytes::from_static(b"abc"))
        .await
        .unwrap();
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((first.file_id.as_str(), first.bytes), (hash, 3));
    let mut again = fixture.service.begin_upload().unwrap();
    again.write(Bytes::from_static(b"a")).await.unwrap();
    again.write(Bytes::from_static(b"bc")).await.unwrap();
    assert_eq!(again.finish().await.unwrap(), first);
    assert_eq!(names(fixture.folder.path()), [format!("{hash}.pdf")]);
    assert_eq!(fixture.service.upload(first.file_id).await.unwrap(), "abc");
}

#[tokio::test]
async fn an_id_that_is_no_hash_is_refused() {
    let long = "a".repeat(65);
    let path = format!("../../../../{}", "a".repeat(52));
    let upper = "A".repeat(64);
    for id in ["", "../ai.db", "abc", &long, &path, &upper, &"é".repeat(32)] {
        let error = FileId::new(id).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{id}");
    }
    let fixture = Fixture::new().await;
    let unknown = FileId::new(&"a".repeat(64)).unwrap();
    let error = fixture.service.upload(unknown).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn fifty_mebibytes_are_taken_and_one_byte_more_is_not() {
    let fixture = Fixture::new().await;
    let most = Bytes::from(vec![7; FILE_BYTES_MAX]);
    let upload = fixture.service.store_upload(most.clone()).await.unwrap();
    assert_eq!(upload.bytes, FILE_BYTES_MAX as u64);
    let mut writer = fixture.service.begin_upload().unwrap();
    writer.write(most).await.unwrap();
    let one_more = writer.write(Bytes::from_static(b"7")).await;
    let error = match one_more {
        Err(error) => error,
        Ok(()) => writer.finish().await.unwrap_err(),
    };
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.is::<UploadTooLarge>(), "{error}");
    let kept = format!("{}.pdf", upload.file_id.as_str());
    assert_eq!(names(fixture.folder.path()), [kept]);
}

#[tokio::test]
async fn an_upload_that_is_given_up_or_interrupted_leaves_nothing() {
    let fixture = Fixture::new().await;
    let mut writer = fixture.service.begin_upload().unwrap();
    writer.write(Bytes::from_static(b"%PDF-")).await.unwrap();
    drop(writer);
    let left = fixture.folder.path().join("uploads/0123456789abcdef.part");
    std::fs::write(left, "half").unwrap();
    let fixture = fixture.restart(crate::reader()).await;
    assert_eq!(names(fixture.folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_client_that_sends_nothing_more_does_not_hold_up_the_end() {
    let fixture = Fixture::new().await;
    let mut writer = fixture.service.begin_upload().unwrap();
    writer.write(Bytes::from_static(b"%PDF-")).await.unwrap();
    let dropped = fixture.service.shutdown(std::time::Duration::ZERO).await;
    assert_eq!(dropped, 1);
    assert_eq!(writer.finish().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(names(fixture.folder.path()), Vec::<String>::new());
    assert!(fixture.service.begin_upload().is_err());
}
