//! What stands for a log's beginning is read back as written; damage to it is found.

use super::*;
use crate::engines::embedded::disk::MemoryDisk;

const SALT: Salt = [7; 16];

type Records = Vec<(u64, u8, Vec<u8>)>;

fn written(disk: &MemoryDisk, records: &Records) -> Compacted {
    let now = Timestamp::from_milliseconds(1);
    Compacted::write(disk, 100_000, SALT, now, &|visit| {
        for (position, kind, content) in records {
            visit(*position, *kind, content)?;
        }
        Ok(())
    })
    .unwrap()
}

fn opened(disk: &MemoryDisk) -> Result<(Compacted, Records)> {
    let mut found = Vec::new();
    let name = name_of(100_000);
    let compacted = Compacted::open(disk, &name, 100_000, &mut |position, kind, content| {
        found.push((position, kind, content.to_vec()));
        Ok(true)
    })?;
    Ok((compacted, found))
}

fn read(compacted: &Compacted, position: u64) -> Records {
    let mut found = Vec::new();
    let goes_on = compacted
        .read(position, &mut |at, kind, content, _| {
            found.push((at, kind, content.to_vec()));
            Ok(true)
        })
        .unwrap();
    assert!(goes_on);
    found
}

/// Some of all sizes, several of one position at the end.
fn records() -> Records {
    let mut records: Records = (1..400_u64)
        .map(|number| {
            let bytes = usize::try_from(number * number % 3000).unwrap();
            (
                number * 7,
                1 + number.to_le_bytes()[0] % 4,
                vec![number.to_le_bytes()[0]; bytes],
            )
        })
        .collect();
    records.push((3000, 1, vec![1; 300_000]));
    records.extend((0..5).map(|part| (100_000, 2, vec![part; 40_000])));
    records
}

#[test]
fn it_is_read_from_any_position_as_it_was_written() {
    for records in [Vec::new(), records()] {
        let disk = MemoryDisk::default();
        let fresh = written(&disk, &records);
        let (again, found) = opened(&disk).unwrap();
        assert_eq!(found, records);
        for compacted in [fresh, again] {
            for position in [0, 1, 7, 8, 1400, 2793, 2794, 3000, 3001, 100_000, 100_001] {
                let after = records.partition_point(|it| it.0 < position);
                assert_eq!(
                    read(&compacted, position),
                    records[after..],
                    "from {position}"
                );
            }
            let mut seen = 0;
            let goes_on = compacted.read(0, &mut |_, _, _, _| {
                seen += 1;
                Ok(seen < 3)
            });
            assert_eq!(
                (goes_on.unwrap(), seen),
                (records.is_empty(), records.len().min(3))
            );
        }
    }
}

#[test]
fn whatever_byte_of_it_is_damaged_it_is_not_opened() {
    let disk = MemoryDisk::default();
    let records: Records = vec![(3, 1, b"one".to_vec()), (9, 3, b"two".to_vec())];
    let bytes = written(&disk, &records).bytes();
    let name = name_of(100_000);
    let file = disk.open(&name).unwrap();
    for at in 0..bytes {
        let mut byte = [0];
        file.read_at(at, &mut byte).unwrap();
        for bit in 0..8 {
            file.write_at(at, &[byte[0] ^ (1 << bit)]).unwrap();
            match opened(&disk) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
                // The padding says nothing.
                Ok((_, found)) => assert_eq!(found, records, "byte {at} bit {bit}"),
            }
        }
        file.write_at(at, &byte).unwrap();
    }
    assert_eq!(opened(&disk).unwrap().1, records);
}

#[test]
fn one_that_was_cut_or_goes_on_is_not_opened() {
    let disk = MemoryDisk::default();
    written(&disk, &vec![(3, 1, vec![5; 1000])]);
    let name = name_of(100_000);
    let file = disk.open(&name).unwrap();
    let mut whole = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(0, &mut whole).unwrap();
    for len in 0..whole.len() {
        let cut = disk.create(&name, len as u64).unwrap();
        cut.write_at(0, &whole[..len]).unwrap();
        let error = opened(&disk).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "cut to {len}");
    }
    let longer = disk.create(&name, whole.len() as u64 + 8).unwrap();
    longer.write_at(0, &whole).unwrap();
    assert_eq!(opened(&disk).unwrap_err().kind(), ErrorKind::Corrupt);
}
