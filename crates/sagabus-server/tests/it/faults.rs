//! The machine fails: a second process, a full disk, a failed sync.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sagabus::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::client::Answer;
use crate::program::{Place, Server, finish, form_bytes, has_tool, run, sagabus, until};
use crate::world;

/// Most events that are published until the fault must have struck.
const EVENTS_MAX: usize = 20_000;

#[test]
fn a_second_process_on_one_directory_refuses_and_names_the_first() {
    let place = Place::new();
    let server = Server::start(&place);
    let data = place.data_text();
    for arguments in [
        vec!["serve", "--listen", "127.0.0.1:0", "--data-dir", &data],
        vec!["demo", "--exit", "--data-dir", &data],
    ] {
        let ran = run(&arguments);
        assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
        let holder = format!("in use by process {}", server.id());
        assert!(ran.err.contains(&holder), "{}", ran.err);
    }
    assert_eq!(server.get("/health/live").status, 200);
    server.kill();
    // The lock goes with the process, however that ends.
    assert_eq!(Server::start(&place).terminate().code, Some(0));
}

/// A small disk in memory over the data of a place; gone at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(place: &Place, size: &str) -> Result<Self, String> {
        let path = place.data();
        std::fs::create_dir_all(&path).unwrap();
        Self::run(
            &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"],
            &path,
        )?;
        Ok(Self(path))
    }

    /// The same, or the reason why what is to be seen on it is not.
    fn under(place: &Place, size: &str, what: &str) -> Option<Self> {
        let disk = Self::mount(place, size);
        disk.inspect_err(|why| println!("skipped: {what}: cannot mount a small disk: {why}"))
            .ok()
    }

    fn resize(&self, size: &str) {
        Self::run(&["-o", &format!("remount,size={size}")], &self.0).unwrap();
    }

    fn run(arguments: &[&str], path: &Path) -> Result<(), String> {
        let output = Command::new("mount").args(arguments).arg(path).output();
        let output = output.map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|it| it.success()) || std::thread::panicking());
    }
}

/// Publishes events of `bytes` each until one is not taken; the ids of those that were, and the refusal.
fn publish_until_refused(server: &Server, bytes: usize) -> (Vec<String>, Option<Answer>) {
    let mut taken = Vec::new();
    let refusal = publish_more_until_refused(server, bytes, &mut taken);
    (taken, refusal)
}

/// Publishes further events after those that were `taken`.
fn publish_more_until_refused(
    server: &Server,
    bytes: usize,
    taken: &mut Vec<String>,
) -> Option<Answer> {
    let padding = "x".repeat(bytes);
    for index in taken.len()..EVENTS_MAX {
        let id = format!("filler-{index}");
        let event =
            json!({"id": id, "type": "lab.filled", "source": "test", "data": {"padding": padding}});
        match server
            .request("POST", "/api/events")
            .json(&event)
            .try_send()
        {
            Some(answer) if answer.status == 201 => taken.push(id),
            answer => return answer,
        }
    }
    panic!("{EVENTS_MAX} events were taken and no fault struck");
}

fn check_kept(server: &Server, taken: &[String]) {
    let events = world::all_events(server);
    let kept: std::collections::BTreeSet<&str> =
        events.iter().map(|it| it["id"].as_str().unwrap()).collect();
    for id in taken {
        assert!(
            kept.contains(id.as_str()),
            "{id} was acknowledged and is lost"
        );
    }
}

#[test]
fn a_full_disk_stops_acknowledgements_keeps_what_was_there_and_heals_without_a_restart() {
    let place = Place::new();
    let Some(disk) = SmallDisk::under(&place, "48m", "a full disk") else {
        return;
    };
    let data = place.data();
    let server = Server::start_with(&place, &["--log", "error"]);
    let before = server
        .request("POST", "/api/submissions")
        .upload("small.pdf", &form_bytes("small.pdf"), &[])
        .send()
        .expect(202);
    world::check(&server, &data, 3);

    let (mut taken, refusal) = publish_until_refused(&server, 100_000);
    let refusal = refusal
        .expect("an answer")
        .expect_problem(507, &["no room"]);
    println!(
        "{} events of 100 kB taken, then: {}",
        taken.len(),
        refusal["detail"]
    );
    assert!(taken.len() > 50, "{}", taken.len());
    // The trail goes on meanwhile, and may give back enough for the log to be well again, until more is published.
    let ready = until("readiness says so", || {
        publish_more_until_refused(&server, 100_000, &mut taken)
            .expect("an answer")
            .expect_problem(507, &["no room"]);
        let ready = server.get("/health/ready");
        (ready.status == 503).then(|| ready.json())
    });
    assert!(ready["issues"].to_string().contains("no room"), "{ready}");
    assert_eq!(server.get("/health/live").status, 200);
    check_kept(&server, &taken);
    // A form is not half taken either.
    let refused = server
        .request("POST", "/api/submissions")
        .header("idempotency-key", "during")
        .upload("large.pdf", &form_bytes("large.pdf"), &[])
        .send();
    assert!(
        refused.status >= 500,
        "{}: {}",
        refused.status,
        refused.text()
    );
    println!("a form during that: {} {}", refused.status, refused.text());

    disk.resize("400m");
    // The log finds the room by itself, before anything is published.
    until("the log is well", || {
        let ready = server.get("/health/ready").json();
        (!ready["issues"].to_string().contains("no room")).then_some(())
    });
    let event = json!({"id": "after", "type": "lab.filled", "source": "test", "data": {}});
    until("events are taken again", || {
        let answer = server.post("/api/events", &event);
        (answer.status < 300).then_some(())
    });
    check_kept(&server, &taken);
    // What failed for want of room too often meanwhile is dead, and can be redriven: nothing is lost.
    until("all deliveries are settled", || {
        world::settle(&server, &data);
        redrive_all(&server).then_some(())
    });
    let again = server
        .request("POST", "/api/submissions")
        .header("idempotency-key", "during")
        .upload("small.pdf", &form_bytes("small.pdf"), &[])
        .send()
        .expect(202);
    assert_ne!(again["submissionId"], before["submissionId"]);
    until("no more failures in the figures", || {
        let stats = server.get("/api/stats").expect(200);
        (stats["deadLetterEvents"] == 0 && stats["sagas"]["active"] == 0).then_some(())
    });
    assert_eq!(server.terminate().code, Some(0));

    let server = Server::start(&place);
    check_kept(&server, &taken);
    let checked = world::check(&server, &data, 3);
    assert_eq!((checked.accepted, checked.rejected), (2, 0), "{checked:?}");
    assert_eq!(server.terminate().code, Some(0));
    drop(disk);
}

/// Hands out all dead letters again; says whether there were none.
fn redrive_all(server: &Server) -> bool {
    let letters = server.get("/api/dead-letters?limit=1000").expect(200);
    let letters = letters["deadLetters"].as_array().unwrap();
    for letter in letters {
        let order = json!({
            "subscription": letter["subscription"], "positions": [letter["position"]], "author": "ann",
        });
        assert_eq!(
            server.post("/api/dead-letters/redrive", &order).expect(200)["redriven"],
            1
        );
    }
    letters.is_empty()
}

#[test]
fn after_a_failed_sync_of_the_log_the_program_ends_with_75_and_nothing_acknowledged_is_lost() {
    if !has_tool("strace", "a failed sync of the log") {
        return;
    }
    let place = Place::new();
    let data = place.data();
    assert_eq!(Server::start(&place).terminate().code, Some(0));
    let log: Vec<PathBuf> = std::fs::read_dir(data.join("log"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "log"))
        .collect();
    assert_eq!(log.len(), 1);
    let data_text = place.data_text();
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-P"])
        .arg(&log[0])
        .args([
            "-e",
            "trace=fdatasync,fsync",
            "-e",
            "inject=fdatasync,fsync:error=EIO:when=30+",
        ])
        .arg(env!("CARGO_BIN_EXE_sagabus"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", &data_text]);
    let server = Server::spawn(&place, &mut command);
    let (taken, refusal) = publish_until_refused(&server, 100);
    if let Some(refusal) = &refusal {
        refusal.expect_problem(503, &["outcome is unknown"]);
    }
    println!(
        "{} events taken, then: {:?}",
        taken.len(),
        refusal.map(|it| it.text())
    );
    assert!(taken.len() > 3);
    // What reached no disk is not acknowledged by the next call either.
    let event = json!({"type": "lab.filled", "source": "test", "data": {}});
    if let Some(answer) = server
        .request("POST", "/api/events")
        .json(&event)
        .try_send()
    {
        answer.expect_problem(503, &[]);
    }
    let began = SystemClock.elapsed();
    let ran = server.wait();
    let spent = SystemClock.elapsed().saturating_sub(began);
    assert_eq!(ran.code, Some(75), "{}", ran.err);
    let last = ran.err.lines().last().unwrap();
    assert!(
        last.starts_with("error: the log stopped itself after a failed write"),
        "{last}"
    );
    assert!(
        spent < Duration::from_secs(5),
        "it ends {spent:?} after it could do no more"
    );

    let server = Server::start(&place);
    check_kept(&server, &taken);
    world::check(&server, &data, 3);
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_segment_is_written_with_zeros_to_its_end_and_synced_before_it_is_used() {
    if !has_tool("strace", "how a segment is made") {
        return;
    }
    let place = Place::new();
    let trace = place.file("trace");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-y", "-qq", "-s", "0", "-o"])
        .arg(&trace)
        .args(["-e", "trace=pwrite64,fsync,rename,renameat,renameat2"])
        .arg(env!("CARGO_BIN_EXE_sagabus"))
        .args(["demo", "--exit", "--data-dir"])
        .arg(place.data());
    let ran = finish(&mut command);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let trace = std::fs::read_to_string(&trace).unwrap();
    let log = place.data().join("log/00000000000000000001.log");
    let (mut zeroed, mut is_synced) = (0_u64, false);
    for line in trace.lines().filter(|line| line.contains("spare.tmp")) {
        if line.contains("rename") {
            break;
        }
        if line.contains("fsync(") {
            is_synced = true;
        } else if !is_synced {
            // pwrite64(5</…/spare.tmp>, ""..., 65536, 131072) = 65536
            let numbers: Vec<u64> = line
                .split([',', ')', ' '])
                .filter_map(|word| word.parse().ok())
                .collect();
            let [_process, bytes, offset, ..] = numbers[..] else {
                panic!("{line}");
            };
            assert_eq!(offset, zeroed, "a hole: {line}");
            zeroed += bytes;
        }
    }
    println!("{zeroed} bytes of zeros, then synced");
    assert!(is_synced);
    assert_eq!(zeroed, std::fs::metadata(log).unwrap().len());
    assert!(zeroed >= 1024 * 1024, "{zeroed}");
}

#[test]
fn damage_to_what_was_acknowledged_stops_the_start_and_is_not_cut_away() {
    let place = Place::new();
    let data = place.data_text();
    let ran = finish(&mut sagabus(&["demo", "--exit", "--data-dir", &data]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let path = place.data().join("log/00000000000000000001.log");
    let whole = std::fs::read(&path).unwrap();
    let needle = b"saga.step_completed";
    let at = whole
        .windows(needle.len())
        .position(|it| it == needle)
        .unwrap();
    let mut damaged = whole.clone();
    damaged[at] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let ran = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
    assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
    // It names the file, the place and the record, and says what to do.
    for words in [
        "`00000000000000000001.log` is damaged at byte ",
        "was acknowledged and cannot be read; nothing was changed",
        "Copy the data directory, then restore the file from a backup",
    ] {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
    assert_eq!(
        std::fs::read(&path).unwrap(),
        damaged,
        "the damaged file is left as it is"
    );
    std::fs::write(&path, &whole).unwrap();
    let server = Server::start(&place);
    let checked = world::check(&server, &place.data(), 3);
    assert_eq!(checked.accepted, 1);
    let _: Value = server.get("/api/stats").expect(200);
}

/// Hands in a small form.
fn small_form(server: &Server) -> Answer {
    let form = server.request("POST", "/api/submissions");
    form.upload("small.pdf", &form_bytes("small.pdf"), &[])
        .send()
}

/// What others put on the disk.
struct Filler(PathBuf);

impl Filler {
    /// Takes all room but `left` bytes.
    fn leave(place: &Place, left: u64) -> Self {
        use std::io::Write;
        let paths = (0..).map(|number| place.data().join(format!("of-others-{number}")));
        let path = paths.into_iter().find(|it| !it.exists()).unwrap();
        let mut file = std::fs::File::create(&path).unwrap();
        let (mut taken, part) = (0, vec![1_u8; 64 * 1024]);
        while file.write_all(&part).is_ok() {
            taken += part.len() as u64;
        }
        file.set_len(taken.checked_sub(left).unwrap()).unwrap();
        Self(path)
    }

    fn remove(self) {
        std::fs::remove_file(self.0).unwrap();
    }
}

#[test]
fn with_little_room_nothing_new_is_taken_and_what_was_taken_goes_on_until_there_is_room_again() {
    let place = Place::new();
    let Some(disk) = SmallDisk::under(&place, "160m", "a disk with little room") else {
        return;
    };
    let server = Server::start_with(&place, &["--log", "error"]);
    let steps = json!([
        {"id": "w", "signal": {"name": "weighed"}},
        {"id": "t", "timer": {"for": "1ms"}, "dependencies": ["w"]},
    ]);
    let order = json!({"name": "s", "context": {}, "steps": steps});
    let started = server.post("/api/sagas", &order).json();
    let id = started["sagaId"].clone();
    let id = id.as_str().unwrap();

    let known = json!({"id": "known", "type": "lab.filled", "source": "test", "data": {}});
    server.post("/api/events", &known).expect(201);

    // An eighth is kept: 20 MiB.
    let filler = Filler::leave(&place, 6 * 1024 * 1024);
    let event = json!({"type": "lab.filled", "source": "test", "data": {}});
    let words = [
        "no room for new work",
        "MiB are free, and 20 MiB are kept",
        "free some space",
    ];
    let ready = server.get("/health/ready").expect(503);
    for words in words {
        assert!(ready["issues"].to_string().contains(words), "{ready}");
    }
    // From then on nothing is taken, and what is stored already is said to be.
    server
        .post("/api/events", &event)
        .expect_problem(507, &words);
    let again = server.post("/api/events", &known).expect(200);
    assert_eq!(again["duplicate"], true, "{again}");
    small_form(&server).expect_problem(507, &words);
    server
        .post("/api/sagas", &order)
        .expect_problem(507, &words);
    let later = server.post("/api/schedules?due=2999-01-01T00:00:00Z", &event);
    later.expect_problem(507, &words);
    for path in [
        "/api/samples",
        "/api/samples/S-1/attachments",
        "/api/submissions/ingest",
        "/api/submissions/import",
        "/api/submissions/U-1/attachments",
        "/api/flow-cells",
        "/api/projects",
        "/api/uploads",
        "/api/process/pdf",
    ] {
        server.post(path, &json!({})).expect_problem(507, &words);
    }
    // Work on what is there already is none of it.
    server.get("/api/samples/S-1").expect_problem(404, &[]);
    let decision = server.post("/api/samples/S-1/receive", &json!({}));
    decision.expect_problem(404, &[]);
    // What was begun comes to its end.
    let signal = json!({"name": "weighed", "author": "ann", "reason": "weighed it"});
    server
        .post(&format!("/api/sagas/{id}/signal"), &signal)
        .expect(200);
    until("the saga's end", || {
        let saga = server.get(&format!("/api/sagas/{id}")).expect(200);
        (saga["status"] == "completed").then_some(())
    });

    filler.remove();
    until("the program is ready", || {
        (server.get("/health/ready").status == 200).then_some(())
    });
    until("events are taken again", || {
        (server.post("/api/events", &event).status == 201).then_some(())
    });
    small_form(&server).expect(202);
    world::check(&server, &place.data(), 3);
    assert_eq!(server.terminate().code, Some(0));
    drop(disk);
}

#[test]
fn the_program_starts_on_a_disk_that_others_have_filled_to_the_last_byte() {
    let place = Place::new();
    let Some(disk) = SmallDisk::under(&place, "160m", "a start without room") else {
        return;
    };
    let server = Server::start_with(&place, &["--log", "error"]);
    small_form(&server).expect(202);
    world::check(&server, &place.data(), 3);
    let steps = json!([{"id": "w", "signal": {"name": "weighed"}}]);
    let order = json!({"name": "s", "context": {}, "steps": steps});
    let started = server.post("/api/sagas", &order).json();
    let id = started["sagaId"].as_str().unwrap().to_owned();
    let filler = Filler::leave(&place, 0);
    server.kill();

    // The log gives up the file that it has ready for later.
    let server = Server::start_with(&place, &["--log", "error"]);
    assert_eq!(server.get("/health/ready").status, 503);
    let signal = json!({"name": "weighed", "author": "ann", "reason": "weighed it"});
    server
        .post(&format!("/api/sagas/{id}/signal"), &signal)
        .expect(200);
    until("the saga's end", || {
        let saga = server.get(&format!("/api/sagas/{id}")).expect(200);
        (saga["status"] == "completed").then_some(())
    });
    assert_eq!(server.terminate().code, Some(0));

    // Others take that too. What is missing is said, and nothing is changed.
    let rest = Filler::leave(&place, 0);
    let data = place.data_text();
    let ran = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
    println!("{}", ran.err);
    assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
    assert!(ran.err.contains("no room"), "{ran:?}");
    rest.remove();
    filler.remove();
    let server = Server::start_with(&place, &["--log", "error"]);
    until("the program is ready", || {
        (server.get("/health/ready").status == 200).then_some(())
    });
    world::check(&server, &place.data(), 3);
    assert_eq!(server.terminate().code, Some(0));
    drop(disk);
}

#[test]
fn the_program_starts_on_a_disk_that_its_own_events_have_filled() {
    let place = Place::new();
    let Some(disk) = SmallDisk::under(&place, "160m", "a start without room") else {
        return;
    };
    let data = place.data_text();
    let start = || {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", &data];
        let mut command = sagabus(&arguments);
        let command = command.args(["--log", "error"]);
        Server::spawn(&place, command.env("EVENT_BUS_FREE_MEBIBYTES", "0"))
    };
    let server = start();
    let (taken, refusal) = publish_until_refused(&server, 200_000);
    refusal
        .expect("an answer")
        .expect_problem(507, &["no room"]);
    let filler = Filler::leave(&place, 0);
    server.kill();
    let server = start();
    assert_eq!(server.get("/health/live").status, 200);
    check_kept(&server, &taken);
    filler.remove();
    server.kill();
    drop(disk);
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_no_saga_no_attempt_and_no_entry_of_the_trail() {
    const FORMS: usize = 40;
    let place = Place::new();
    let Some(disk) = SmallDisk::under(&place, "160m", "a disk full for a while") else {
        return;
    };
    let server = Server::start_with(&place, &["--log", "error"]);
    for index in 0..FORMS {
        // Each is another document, so that each has to be read.
        let mut bytes = form_bytes("small.pdf");
        bytes.extend_from_slice(format!("\n% {index}\n").as_bytes());
        server
            .request("POST", "/api/submissions")
            .upload("small.pdf", &bytes, &[])
            .send()
            .expect(202);
    }
    let filler = Filler::leave(&place, 0);
    // Longer than all attempts that the steps have would take.
    let sagas = || server.get("/api/sagas?limit=100").expect(200)["sagas"].clone();
    let is_short = |saga: &Value| saga.to_string().contains("no room");
    let mut waited = 0;
    let until_over = SystemClock.elapsed() + Duration::from_secs(12);
    while SystemClock.elapsed() < until_over {
        let sagas = sagas();
        let sagas = sagas.as_array().unwrap();
        waited = waited.max(sagas.iter().filter(|it| is_short(it)).count());
        for saga in sagas {
            let status = saga["status"].as_str().unwrap();
            assert!(
                matches!(status, "pending" | "executing" | "completed"),
                "{saga}"
            );
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(waited > 0, "no saga was without room");
    println!("{waited} sagas were without room for a step");
    let stats = server.get("/api/stats").expect(200);
    assert_eq!(stats["deadLetterEvents"], 0, "{stats}");
    filler.remove();
    let checked = world::check(&server, &place.data(), 3);
    assert_eq!(
        (checked.accepted, checked.rejected),
        (FORMS, 0),
        "{checked:?}"
    );
    assert_eq!(server.terminate().code, Some(0));
    drop(disk);
}
