//! Thousands of random changes behind the service's back, clumsy and skilful ones: each is found.
//!
//! A skilful one makes leaves, tree, head and even checkpoints anew; what it does not have is the key, and what it does not
//! reach is a checkpoint that somebody has kept.

use std::collections::BTreeMap;

use audit_service::merkle::{self, Frontier};
use audit_service::note::{Signer, State, Verifier};
use audit_service::offline::{Outside, verify};
use sagabus::sqlite::rusqlite::types::{Value, ValueRef};
use sagabus::sqlite::rusqlite::{Connection, Transaction};

use super::fixture::{Fixture, event};
use super::tampering::COLUMNS;

/// A trail as it lies there, with what was kept of it elsewhere.
struct Trail {
    file: Connection,
    journal: String,
    verifier: Verifier,
    kept: Vec<audit_service::note::Checkpoint>,
    /// Keeps the folder.
    _fixture: Fixture,
}

const ENTRIES: u64 = 53;

async fn trail() -> Trail {
    let fixture = Fixture::new().await;
    let mut kept = Vec::new();
    for number in 1..=ENTRIES {
        let data = format!(
            r#"{{"userId":"ada","reason":"r{number}","changes":{{"volume":{{"oldValue":{number},"newValue":0}}}}}}"#
        );
        let event = event("sample.updated", &data);
        fixture.service.consume(&event).await.unwrap();
        if number % 10 == 0 || number == ENTRIES {
            kept.push(fixture.service.checkpoint().await.unwrap());
        }
    }
    // Nobody else writes from here on, as the one who sends the events on would.
    fixture.service.outbox().database().close().await.unwrap();
    let file = Connection::open(fixture.path()).unwrap();
    let triggers: Vec<String> = file
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'audit_%'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(triggers.len(), 6);
    for name in triggers {
        file.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    let journal = fixture.path().with_extension("checkpoints");
    Trail {
        file,
        journal: std::fs::read_to_string(journal).unwrap(),
        verifier: fixture.service.verifier().clone(),
        kept: kept.split_off(kept.len() - 1),
        _fixture: fixture,
    }
}

/// Numbers that look like chance and are the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    fn sequence(&mut self) -> u64 {
        1 + self.below(ENTRIES)
    }
}

/// The bytes of an entry, from the rule in words: each column as a letter, its length, and itself.
fn leaf(columns: &[Value]) -> merkle::Hash {
    let mut bytes = Vec::new();
    let mut add = |kind: u8, of: &[u8]| {
        bytes.push(kind);
        bytes.extend((of.len() as u64).to_be_bytes());
        bytes.extend(of);
    };
    add(b'r', b"sagabus-audit-2");
    for column in columns {
        match ValueRef::from(column) {
            ValueRef::Null => add(b'n', &[]),
            ValueRef::Integer(number) => add(b'i', &number.to_be_bytes()),
            ValueRef::Text(text) => add(b't', text),
            ValueRef::Blob(blob) => add(b'b', blob),
            ValueRef::Real(_) => unreachable!(),
        }
    }
    merkle::leaf(&bytes)
}

/// Makes tree and head anew from the entries as they are now, and tells the tree's state.
fn rebuild(tx: &Transaction<'_>) -> State {
    tx.execute("DELETE FROM audit_nodes", []).unwrap();
    let sql = format!(
        "SELECT {} FROM audit_entries ORDER BY seq",
        COLUMNS.join(", ")
    );
    let mut select = tx.prepare(&sql).unwrap();
    let mut insert = tx
        .prepare("INSERT INTO audit_nodes VALUES (?1, ?2, ?3)")
        .unwrap();
    let mut rows = select.query([]).unwrap();
    let mut frontier = Frontier::default();
    while let Some(row) = rows.next().unwrap() {
        let columns: Vec<Value> = (0..COLUMNS.len()).map(|it| row.get(it).unwrap()).collect();
        frontier.push(leaf(&columns), |node| {
            let index = i64::try_from(node.index).unwrap();
            insert.execute((node.level, index, node.hash)).unwrap();
        });
    }
    let size = i64::try_from(frontier.size()).unwrap();
    tx.execute("UPDATE audit_head SET size = ?1", [size])
        .unwrap();
    State {
        size: frontier.size(),
        root: frontier.root(),
    }
}

fn changed(value: &Value, column: &str, chance: &mut Chance) -> Value {
    let is_text = !matches!(column, "old_values" | "new_values" | "details");
    match value {
        Value::Integer(number) => Value::Integer(number ^ 1 << chance.below(40)),
        Value::Null if column == "duration_ms" => Value::Integer(1),
        Value::Null if is_text => Value::Text("x".to_owned()),
        Value::Null => Value::Blob(vec![]),
        Value::Text(text) => match chance.below(2) {
            0 => Value::Text(format!("{text}x")),
            _ => Value::Text(text.chars().rev().chain(['!']).collect()),
        },
        Value::Blob(bytes) => {
            let mut bytes = bytes.clone();
            let at = usize::try_from(chance.below(bytes.len() as u64)).unwrap();
            bytes[at] ^= 1 << chance.below(8);
            Value::Blob(bytes)
        }
        Value::Real(_) => unreachable!(),
    }
}

fn change_column(tx: &Transaction<'_>, chance: &mut Chance) {
    let (column, seq) = (*chance.pick(&COLUMNS), chance.sequence());
    let read = format!("SELECT {column} FROM audit_entries WHERE seq = ?1");
    let seq = i64::try_from(seq).unwrap();
    let before: Value = tx.query_row(&read, [seq], |row| row.get(0)).unwrap();
    let mut after = changed(&before, column, chance);
    if column == "seq" {
        after = Value::Integer(seq + 1_000);
    }
    assert_ne!(before, after);
    let write = format!("UPDATE audit_entries SET {column} = ?1 WHERE seq = ?2");
    tx.execute(&write, (after, seq)).unwrap();
}

fn execute(tx: &Transaction<'_>, sql: &str) {
    assert!(tx.execute(sql, []).unwrap() > 0, "{sql}");
}

fn swap(tx: &Transaction<'_>, table: &str, key: &str, a: u64, b: u64) {
    execute(
        tx,
        &format!("UPDATE {table} SET {key} = -1 WHERE {key} = {a}"),
    );
    execute(
        tx,
        &format!("UPDATE {table} SET {key} = {a} WHERE {key} = {b}"),
    );
    execute(
        tx,
        &format!("UPDATE {table} SET {key} = {b} WHERE {key} = -1"),
    );
}

/// Cuts the trail back to `size` entries, with all that the database knows of more.
fn cut(tx: &Transaction<'_>, size: u64) {
    execute(tx, &format!("DELETE FROM audit_entries WHERE seq > {size}"));
    execute(
        tx,
        &format!("DELETE FROM audit_checkpoints WHERE size > {size}"),
    );
    rebuild(tx);
}

/// A copy of an entry under another sequence.
fn copy(tx: &Transaction<'_>, from: u64, to: u64) {
    let rest = COLUMNS[3..].join(", ");
    let sql = format!(
        "INSERT INTO audit_entries (seq, id, event_id, {rest}) \
         SELECT {to}, id || 'x', event_id || 'x', {rest} FROM audit_entries WHERE seq = {from}"
    );
    execute(tx, &sql);
}

/// Two sequences, the first of which is less.
fn two(chance: &mut Chance) -> (u64, u64) {
    let a = 1 + chance.below(ENTRIES - 1);
    (a, a + 1 + chance.below(ENTRIES - a))
}

/// Somebody else's key under the same name.
fn forger(verifier: &Verifier, chance: &mut Chance) -> Signer {
    let mut seed = [0; 32];
    seed[0] = u8::try_from(chance.below(256)).unwrap();
    Signer::new(verifier.name().to_owned(), &seed)
}

/// Signs the trail as it is now with a forger's key, in the place of all checkpoints.
fn sign_over(tx: &Transaction<'_>, trail: &Trail, chance: &mut Chance) -> String {
    let state = rebuild(tx);
    let note = forger(&trail.verifier, chance).sign(state).note;
    execute(tx, "DELETE FROM audit_checkpoints");
    let size = i64::try_from(state.size).unwrap();
    let insert = "INSERT INTO audit_checkpoints VALUES (?1, ?2)";
    tx.execute(insert, (size, &note)).unwrap();
    format!("{note}\n")
}

/// One kind of tampering: changes the database, and may return another file of checkpoints.
type Kind = fn(&Transaction<'_>, &Trail, &mut Chance) -> Option<String>;

const KINDS: [(&str, Kind); 27] = [
    ("a column is changed", |tx, _, chance| {
        change_column(tx, chance);
        None
    }),
    ("an entry is deleted", |tx, _, chance| {
        execute(
            tx,
            &format!(
                "DELETE FROM audit_entries WHERE seq = {}",
                chance.sequence()
            ),
        );
        None
    }),
    ("the last entries are deleted", |tx, _, chance| {
        execute(
            tx,
            &format!(
                "DELETE FROM audit_entries WHERE seq >= {}",
                chance.sequence()
            ),
        );
        None
    }),
    ("two entries are swapped", |tx, _, chance| {
        let (a, b) = two(chance);
        swap(tx, "audit_entries", "seq", a, b);
        None
    }),
    ("an entry is added", |tx, _, chance| {
        copy(tx, chance.sequence(), ENTRIES + 1);
        None
    }),
    ("a leaf is changed", |tx, _, chance| {
        let index = chance.below(ENTRIES);
        execute(
            tx,
            &format!(
                "UPDATE audit_nodes SET hash = randomblob(32) WHERE level = 0 AND idx = {index}"
            ),
        );
        None
    }),
    ("an inner node is changed", |tx, _, chance| {
        let level = 1 + chance.below(5);
        let index = chance.below(ENTRIES >> level);
        execute(
            tx,
            &format!(
                "UPDATE audit_nodes SET hash = randomblob(32) WHERE level = {level} AND idx = {index}"
            ),
        );
        None
    }),
    ("a node is deleted", |tx, _, chance| {
        let level = chance.below(6);
        let index = chance.below(ENTRIES >> level);
        execute(
            tx,
            &format!("DELETE FROM audit_nodes WHERE level = {level} AND idx = {index}"),
        );
        None
    }),
    ("a node is added", |tx, _, chance| {
        let level = chance.below(6);
        let index = (ENTRIES >> level) + chance.below(9);
        execute(
            tx,
            &format!("INSERT INTO audit_nodes VALUES ({level}, {index}, randomblob(32))"),
        );
        None
    }),
    ("entry and leaf are deleted", |tx, _, chance| {
        let seq = chance.sequence();
        execute(tx, &format!("DELETE FROM audit_entries WHERE seq = {seq}"));
        execute(
            tx,
            &format!(
                "DELETE FROM audit_nodes WHERE level = 0 AND idx = {}",
                seq - 1
            ),
        );
        None
    }),
    ("entry and leaf are changed", |tx, _, chance| {
        let seq = chance.sequence();
        execute(
            tx,
            &format!("UPDATE audit_entries SET action = action || 'x' WHERE seq = {seq}"),
        );
        let sql = format!(
            "SELECT {} FROM audit_entries WHERE seq = {seq}",
            COLUMNS.join(", ")
        );
        let columns = |row: &sagabus::sqlite::rusqlite::Row<'_>| {
            (0..COLUMNS.len())
                .map(|it| row.get(it))
                .collect::<Result<Vec<Value>, _>>()
        };
        let columns = tx.query_row(&sql, [], columns).unwrap();
        let sql = format!(
            "UPDATE audit_nodes SET hash = ?1 WHERE level = 0 AND idx = {}",
            seq - 1
        );
        tx.execute(&sql, [leaf(&columns)]).unwrap();
        None
    }),
    ("the head is changed", |tx, _, chance| {
        execute(
            tx,
            &format!("UPDATE audit_head SET size = {}", chance.below(ENTRIES)),
        );
        None
    }),
    ("the head is deleted", |tx, _, _| {
        execute(tx, "DELETE FROM audit_head");
        None
    }),
    ("a checkpoint is changed", |tx, _, chance| {
        let size = 10 * (1 + chance.below(5));
        let note = format!("SELECT note FROM audit_checkpoints WHERE size = {size}");
        let note: String = tx.query_row(&note, [], |row| row.get(0)).unwrap();
        let mut note = note.into_bytes();
        let at = usize::try_from(chance.below(note.len() as u64 - 100)).unwrap();
        note[at] ^= 1;
        let note = String::from_utf8_lossy(&note).into_owned();
        let sql = format!("UPDATE audit_checkpoints SET note = ?1 WHERE size = {size}");
        tx.execute(&sql, [note]).unwrap();
        None
    }),
    ("the size of a checkpoint is changed", |tx, _, chance| {
        let size = 10 * (1 + chance.below(5));
        let other = size + 1 + chance.below(2);
        execute(
            tx,
            &format!("UPDATE audit_checkpoints SET size = {other} WHERE size = {size}"),
        );
        None
    }),
    ("a checkpoint is deleted", |tx, _, chance| {
        let size = *chance.pick(&[10, 20, 30, 40, 50, ENTRIES]);
        execute(
            tx,
            &format!("DELETE FROM audit_checkpoints WHERE size = {size}"),
        );
        None
    }),
    ("two checkpoints are swapped", |tx, _, chance| {
        let a = 1 + chance.below(4);
        swap(tx, "audit_checkpoints", "size", 10 * a, 10 * (a + 1));
        None
    }),
    (
        "a checkpoint of another key is added",
        |tx, trail, chance| {
            let state = rebuild(tx);
            let size = i64::try_from(chance.below(9)).unwrap();
            let note = forger(&trail.verifier, chance).sign(state).note;
            let sql = "INSERT INTO audit_checkpoints VALUES (?1, ?2)";
            tx.execute(sql, (size, note)).unwrap();
            None
        },
    ),
    (
        "the trail forks at an entry, tree and all",
        |tx, _, chance| {
            let seq = chance.sequence();
            execute(
                tx,
                &format!("UPDATE audit_entries SET actor_id = 'eve' WHERE seq = {seq}"),
            );
            rebuild(tx);
            None
        },
    ),
    ("two entries are swapped, tree and all", |tx, _, chance| {
        let (a, b) = two(chance);
        swap(tx, "audit_entries", "seq", a, b);
        rebuild(tx);
        None
    }),
    ("an entry is left out, tree and all", |tx, _, chance| {
        let seq = chance.sequence();
        execute(tx, &format!("DELETE FROM audit_entries WHERE seq = {seq}"));
        for later in seq + 1..=ENTRIES {
            execute(
                tx,
                &format!("UPDATE audit_entries SET seq = seq - 1 WHERE seq = {later}"),
            );
        }
        rebuild(tx);
        None
    }),
    ("an entry is put between, tree and all", |tx, _, chance| {
        let seq = chance.sequence();
        for later in (seq..=ENTRIES).rev() {
            execute(
                tx,
                &format!("UPDATE audit_entries SET seq = seq + 1 WHERE seq = {later}"),
            );
        }
        copy(tx, seq + 1, seq);
        rebuild(tx);
        None
    }),
    (
        "an older state of the database is put back",
        |tx, _, chance| {
            cut(tx, chance.below(ENTRIES));
            None
        },
    ),
    (
        "an older state of everything is put back",
        |tx, trail, chance| {
            let size = chance.below(ENTRIES);
            cut(tx, size);
            let notes = trail.journal.split_inclusive("\n\n").collect::<Vec<_>>();
            // A note is two such parts: its text, and its signature.
            let kept = usize::try_from(size / 10).unwrap() * 2;
            Some(notes[..kept].concat())
        },
    ),
    (
        "the trail forks and is signed with another key",
        |tx, trail, chance| {
            change_column_of_any_but_keys(tx, chance);
            sign_over(tx, trail, chance);
            None
        },
    ),
    (
        "the trail forks and is signed with another key, in the file too",
        |tx, trail, chance| {
            change_column_of_any_but_keys(tx, chance);
            Some(sign_over(tx, trail, chance))
        },
    ),
    ("the file of checkpoints is changed", |_, trail, chance| {
        let mut bytes = trail.journal.clone().into_bytes();
        let length = bytes.len() as u64;
        match chance.below(3) {
            0 => {
                let at = usize::try_from(chance.below(length)).unwrap();
                bytes[at] ^= 1;
            }
            1 => bytes.truncate(usize::try_from(chance.below(length)).unwrap()),
            _ => {
                let at = usize::try_from(chance.below(length)).unwrap();
                bytes.remove(at);
            }
        }
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }),
];

fn change_column_of_any_but_keys(tx: &Transaction<'_>, chance: &mut Chance) {
    let seq = chance.sequence();
    execute(
        tx,
        &format!("UPDATE audit_entries SET reason = reason || '.' WHERE seq = {seq}"),
    );
}

#[tokio::test]
async fn every_one_of_many_random_tamperings_is_found() {
    // `RUN_SLOW=1` tries ten thousand.
    let rounds = std::env::var_os("RUN_SLOW").map_or(540, |_| 10_000);
    let mut trail = trail().await;
    let mut file = std::mem::replace(&mut trail.file, Connection::open_in_memory().unwrap());
    let mut found = BTreeMap::new();
    let mut chance = Chance(7);
    for round in 0..rounds {
        let (name, tamper) = KINDS[round % KINDS.len()];
        let tx = file.transaction().unwrap();
        let journal = tamper(&tx, &trail, &mut chance);
        let outside = Outside {
            verifier: &trail.verifier,
            journal: journal.as_ref().unwrap_or(&trail.journal),
            kept: &trail.kept,
        };
        let verification = verify(&tx, &outside).unwrap();
        assert!(!verification.ok, "round {round}: {name}");
        assert!(verification.fault.is_some() && verification.first_bad_sequence.is_some());
        *found.entry(name).or_insert(0) += 1;
        // Everything is as it was.
        tx.rollback().unwrap();
    }
    for (name, count) in &found {
        println!("{count:6}  {name}");
    }
    println!("{rounds:6}  in all, all found");
    let tx = file.transaction().unwrap();
    let outside = Outside {
        verifier: &trail.verifier,
        journal: &trail.journal,
        kept: &trail.kept,
    };
    let whole = verify(&tx, &outside).unwrap();
    assert!(whole.ok, "{whole}");
    assert_eq!((whole.count, whole.checkpoints), (ENTRIES, 6));
}
