//! The process is killed at any moment and started again: nothing is lost, nothing doubled, nothing stuck.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sagabus::{Clock, SystemClock};

use crate::client::Request;
use crate::program::{Place, Server, finish, form_bytes, has_tool, sagabus, until};
use crate::world::{self, Checked};

/// Rows of the form that is handed in.
const ROWS: usize = 3;
/// Kills of the demonstration, and of a server that takes forms.
const DEMO_KILLS: usize = 34;
const SERVER_KILLS: usize = 16;
/// Kills of servers over one directory; after six the saga of a step that was under way each time would be paused, rightly.
const KILLS_IN_A_ROW: usize = 4;

/// Numbers that look like chance, the same for one seed.
struct Chance(u64);

impl Chance {
    /// From `SAGABUS_SEED`, or new each time.
    fn new() -> Self {
        let given =
            std::env::var_os("SAGABUS_SEED").map(|it| it.to_str().unwrap().parse().unwrap());
        Self(given.unwrap_or_else(|| SystemClock.random()))
    }

    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (it ^ (it >> 31)) % limit
    }

    /// A moment in the `index`th of `count` equal parts of `whole`: all parts get their share.
    fn within(&mut self, whole: Duration, index: usize, count: usize) -> Duration {
        let part = u64::try_from(whole.as_micros()).unwrap() / count as u64;
        Duration::from_micros(part * index as u64 + self.below(part.max(1)))
    }
}

/// How long a demonstration takes from its start to its end.
fn whole_run() -> Duration {
    let place = Place::new();
    let began = SystemClock.elapsed();
    let ran = finish(&mut sagabus(&[
        "demo",
        "--exit",
        "--data-dir",
        &place.data_text(),
    ]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    SystemClock.elapsed().saturating_sub(began)
}

/// Starts a demonstration and kills it after `wait`; says whether it was still there.
fn demo_killed_after(place: &Place, wait: Duration) -> bool {
    let mut child = sagabus(&["demo", "--exit", "--data-dir", &place.data_text()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(wait);
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// Runs `round` and, if it fails, says where its data is.
fn examined(place: Place, round: impl FnOnce(&Place) -> Checked) -> Checked {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| round(&place)));
    outcome.unwrap_or_else(|panic| {
        println!("the data that fails is kept in {}", place.keep().display());
        std::panic::resume_unwind(panic)
    })
}

#[test]
fn the_process_killed_at_fifty_random_points_loses_doubles_and_strands_nothing() {
    let mut chance = Chance::new();
    let seed = chance.0;
    println!("SAGABUS_SEED={seed}");
    let whole = whole_run();
    let mut checked = Checked::default();
    let kills = demo_kills(&mut chance, whole, &mut checked);
    let (more, acknowledged) = server_kills(&mut chance, whole, &mut checked);
    let kills = kills + more;
    println!(
        "{kills} kills over {} ms (seed {seed}): {} submissions ({acknowledged} acknowledged over HTTP), {} accepted, \
         {} rejected, {} samples, {} events: 0 lost, 0 doubled, 0 stuck",
        whole.as_millis(),
        checked.submissions,
        checked.accepted,
        checked.rejected,
        checked.samples,
        checked.events
    );
    assert!(kills >= DEMO_KILLS + SERVER_KILLS, "{kills}");
    assert_eq!(checked.rejected, 0, "a kill is no reason to reject a form");
    assert!(checked.accepted >= 20 && acknowledged >= 5, "{checked:?}");
}

/// Demonstrations, killed; every third one is killed again on its way back.
fn demo_kills(chance: &mut Chance, whole: Duration, checked: &mut Checked) -> usize {
    let mut kills = 0;
    let mut index = 0;
    while kills < DEMO_KILLS {
        let place = Place::new();
        let first = chance.within(whole, index % DEMO_KILLS, DEMO_KILLS);
        kills += usize::from(demo_killed_after(&place, first));
        if index % 3 == 2 {
            let second =
                Duration::from_micros(chance.below(u64::try_from(whole.as_micros()).unwrap()));
            kills += usize::from(demo_killed_after(&place, second));
        }
        checked.add(examined(place, |place| {
            // One is let through to its end, the other only goes on with what there is.
            if index % 2 == 0 {
                let ran = finish(&mut sagabus(&[
                    "demo",
                    "--exit",
                    "--data-dir",
                    &place.data_text(),
                ]));
                assert_eq!(ran.code, Some(0), "{}", ran.err);
            }
            let server = Server::start(place);
            let found = world::check(&server, &place.data(), ROWS);
            let ran = server.terminate();
            assert_eq!(ran.code, Some(0), "{}", ran.err);
            found
        }));
        index += 1;
    }
    kills
}

/// Servers one after the other, killed while they work on forms; what was acknowledged is there later.
fn server_kills(chance: &mut Chance, whole: Duration, checked: &mut Checked) -> (usize, usize) {
    let mut acknowledged = 0;
    for round in 0..SERVER_KILLS / KILLS_IN_A_ROW {
        checked.add(examined(Place::new(), |place| {
            let mut known = BTreeMap::new();
            for kill in 0..KILLS_IN_A_ROW {
                let server = Server::start(place);
                let key = format!("form-{kill}");
                let request = submission(&server.address, &key);
                let sending = std::thread::spawn(move || request.try_send());
                let index = kill * SERVER_KILLS / KILLS_IN_A_ROW + round;
                std::thread::sleep(chance.within(whole / 2, index, SERVER_KILLS));
                server.kill();
                if let Some(answer) = sending.join().unwrap() {
                    let id = answer.expect(202)["submissionId"]
                        .as_str()
                        .unwrap()
                        .to_owned();
                    known.insert(key, id);
                }
            }
            acknowledged += known.len();
            let server = Server::start(place);
            let found = world::check(&server, &place.data(), ROWS);
            let kept = world::submissions(&place.data());
            for (key, id) in &known {
                assert!(kept.iter().any(|it| &it.id == id), "{key} is lost");
                let again = submission(&server.address, key).send().expect(202);
                assert_eq!(again["submissionId"], id.as_str(), "{key} is doubled");
            }
            let after = world::check(&server, &place.data(), ROWS);
            assert_eq!(found.submissions, after.submissions);
            after
        }));
    }
    (SERVER_KILLS, acknowledged)
}

fn submission(address: &str, key: &str) -> Request {
    Request::new(address, "POST", "/api/submissions")
        .header("idempotency-key", key)
        .upload("form.pdf", &form_bytes("small.pdf"), &[])
}

/// A demonstration that is killed at the `count`th call of a thread, and then looked at; nothing where it came to its end.
///
/// The log's thread syncs by `fdatasync`, those of SQLite by `fdatasync` and `fsync`.
fn killed_at(call: &str, count: usize, arguments: &[&str]) -> Option<Checked> {
    let place = Place::new();
    let inject = format!("inject={call}:signal=KILL:when={count}");
    let status = std::process::Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .args(["trace=fdatasync,fsync", "-e", &inject])
        .arg(env!("CARGO_BIN_EXE_sagabus"))
        .args(["demo", "--exit", "--data-dir", &place.data_text()])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let checked = examined(place, |place| {
        wait_for_the_lock(&place.data());
        let server = Server::start(place);
        world::check(&server, &place.data(), ROWS)
    });
    // A run that fails as it was told to ends with a code of its own.
    status.code().is_none_or(|it| it > 128).then_some(checked)
}

#[test]
fn a_kill_at_each_of_the_first_syncs_of_the_log_and_the_databases_harms_nothing() {
    if !has_tool("strace", "kills at chosen syncs") {
        return;
    }
    let mut checked = Checked::default();
    let mut kills = 0;
    for (call, most) in [("fdatasync", 14), ("fsync", 12)] {
        for count in (1..=most).step_by(2) {
            if let Some(found) = killed_at(call, count, &[]) {
                kills += 1;
                checked.add(found);
            }
        }
    }
    println!("{kills} kills at chosen syncs: {checked:?}: 0 lost, 0 doubled, 0 stuck");
    assert!(kills >= 8, "{kills}");
}

#[test]
fn a_kill_at_every_sync_of_a_saga_of_the_lab_that_ends_well_or_fails_at_any_step_harms_nothing() {
    if std::env::var_os("RUN_SLOW").is_none() {
        println!("skipped: takes minutes; run it with RUN_SLOW=1");
        return;
    }
    if !has_tool("strace", "kills at chosen syncs") {
        return;
    }
    let failures = [
        "validate_sample",
        "process_pdf",
        "update_sample_status",
        "create_audit_log",
    ];
    let mut runs: Vec<Vec<&str>> = vec![vec![]];
    runs.extend(failures.map(|step| vec!["--fail-at", step]));
    for arguments in runs {
        let mut checked = Checked::default();
        let mut kills = 0;
        for call in ["fdatasync", "fsync"] {
            let mut count = 1;
            // Each thread has a count of its own: the run comes to its end when none syncs so often.
            while let Some(found) = killed_at(call, count, &arguments) {
                kills += 1;
                count += 1;
                checked.add(found);
            }
        }
        println!("{arguments:?}: {kills} kills, {checked:?}: 0 lost, 0 doubled, 0 stuck");
        assert!(kills >= 20, "{arguments:?}: {kills}");
    }
}

/// The tracer may end before the process that it traced: waits until that one is gone too.
fn wait_for_the_lock(data: &Path) {
    let Ok(file) = std::fs::File::open(data.join("lock")) else {
        return;
    };
    until("the end of the killed process", || file.try_lock().ok());
}
