//! What becomes of dropped segments.

use super::*;
use crate::engines::embedded::disk::MemoryDisk;
use crate::engines::embedded::recovery::recover;
use crate::engines::embedded::room::Watch;

const BYTES: u64 = 4096;

/// A spare on a disk with a dropped segment of this size.
fn spare_after(disk: &MemoryDisk, bytes: u64) -> Arc<dyn DiskFile> {
    let dropped = disk.create("dropped", bytes).unwrap();
    dropped
        .write_at(0, &vec![7; usize::try_from(bytes).unwrap()])
        .unwrap();
    let empty = recover(&MemoryDisk::default(), &mut |_, _, _, _| Ok(())).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let log = log::Shared::new(&empty, Watch::new(Arc::clone(&disk), 0));
    log.retired.lock().unwrap().push("dropped".to_owned());
    let spare = Spare::start(disk, BYTES, Arc::new(log)).unwrap();
    spare.take().unwrap()
}

#[test]
fn a_dropped_segment_is_written_over_with_zeros_and_is_the_next_spare() {
    // One of a size that segments do not have any more is deleted.
    for bytes in [BYTES, BYTES / 2, BYTES * 2] {
        let disk = MemoryDisk::default();
        let file = spare_after(&disk, bytes);
        let mut content = vec![1; 2 * 4096];
        assert_eq!(file.read_at(0, &mut content).unwrap(), 4096);
        assert!(content[..4096].iter().all(|it| *it == 0));
        assert_eq!(disk.list().unwrap(), [SPARE_NAME]);
        // A file that was made would not be seen through a handle to the dropped one.
        file.write_at(0, b"new").unwrap();
        let mut seen = [0; 3];
        disk.open(SPARE_NAME)
            .unwrap()
            .read_at(0, &mut seen)
            .unwrap();
        assert_eq!(&seen, b"new");
    }
}
