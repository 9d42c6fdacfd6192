//! Verifier commands, well-behaved and hostile. The processes are shell scripts, because `sh` exists
//! wherever the tests run.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use regrowth_datasets::{AnswerKind, Finish, Problem};
use regrowth_verifiers::{
    About, Claim, CommandOptions, CommandVerifier, Finding, Verdict, Verifier, VerifyError,
};

/// A script that answers each request according to its solution: `right`, `wrong`, or the patterns in
/// `cases`.
fn script(cases: &str) -> String {
    format!(
        r#"say() {{ printf '{{"id":%s,"correct":%s,"score":0.5,"trace":"seen"}}\n' "$id" "$1"; }}
while IFS= read -r line; do
  id=${{line#*\"id\":}}; id=${{id%%,*}}
  case "$line" in
    {cases}
    *right*) say true ;;
    *wrong*) say false ;;
    *) say null ;;
  esac
done"#
    )
}

fn problem() -> Problem {
    Problem {
        id: "p".into(),
        source: "test".into(),
        question: "?".into(),
        choices: Vec::new(),
        answer: "secret".into(),
        kind: AnswerKind::Text,
        solution: None,
        level: None,
    }
}

fn options(command: &str) -> CommandOptions {
    CommandOptions {
        command: command.to_owned(),
        timeout: Duration::from_secs(20),
        verdicts: None,
        log: Arc::new(|_| {}),
    }
}

fn start(command: &str) -> CommandVerifier {
    CommandVerifier::start(options(command)).expect("starts")
}

fn impatient(command: &str) -> CommandVerifier {
    let timeout = Duration::from_millis(400);
    CommandVerifier::start(CommandOptions { timeout, ..options(command) }).expect("starts")
}

fn claim(solution: &str) -> Claim<'_> {
    let (about, finish) = (About::Solution, Finish::Eos);
    Claim { about, solution, step: "", finish, reference: true }
}

fn ask(verifier: &CommandVerifier, solutions: &[&str]) -> Vec<Finding> {
    let claims: Vec<_> = solutions.iter().map(|text| claim(text)).collect();
    verifier.examine(&problem(), &claims).expect("a command finds")
}

fn verdicts(findings: &[Finding]) -> Vec<Result<Option<bool>, &str>> {
    findings.iter().map(|f| f.fault.as_deref().map_or(Ok(f.correct), Err)).collect()
}

#[test]
fn verdicts_scores_and_traces_come_back() {
    let verifier = start(&script(""));
    let found = ask(&verifier, &["right", "wrong", "else", "right"]);
    assert_eq!(verdicts(&found), [Ok(Some(true)), Ok(Some(false)), Ok(None), Ok(Some(true))]);
    assert_eq!((found[0].score, &*found[0].trace), (Some(0.5), "seen"));
    let verdict = |text| verifier.verify_finished(&problem(), text, Finish::Eos);
    assert_eq!(verdict("right"), Verdict::Equal);
    assert_eq!(verdict("wrong"), Verdict::Different);
    assert_eq!(verdict("else"), Verdict::Undecided("verifier_null".into()));
    assert_eq!(verifier.failure(), None);
}

#[test]
fn the_reference_is_shown_only_where_it_may_be() {
    let verifier = start(&script("*secret*) say true ;;"));
    let hidden = Claim { reference: false, ..claim("text") };
    let found = verifier.examine(&problem(), &[claim("text"), hidden]).unwrap();
    assert_eq!(verdicts(&found), [Ok(Some(true)), Ok(None)]);
}

#[test]
fn answers_in_another_order_are_matched_by_id() {
    let verifier = start(
        r#"read -r a; read -r b; read -r c
        printf '{"id":2,"trace":"2"}\n{"id":0,"trace":"0"}\n{"id":1,"trace":"1"}\n'; cat > /dev/null"#,
    );
    let found = ask(&verifier, &["a", "b", "c"]);
    assert_eq!(found.iter().map(|f| &*f.trace).collect::<Vec<_>>(), ["0", "1", "2"]);
}

#[test]
fn a_request_that_hangs_loses_its_own_verdict_alone() {
    let verifier = impatient(&script("*hang*) sleep 60 ;;"));
    let start = Instant::now();
    let found = ask(&verifier, &["right", "hang", "wrong", "right 2"]);
    let expected = [Ok(Some(true)), Err("timeout"), Ok(Some(false)), Ok(Some(true))];
    assert_eq!(verdicts(&found), expected);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(verifier.failure(), None);
}

#[test]
fn a_request_that_crashes_the_process_loses_its_own_verdict_alone() {
    let verifier = start(&script("*crash*) exit 3 ;;"));
    let found = ask(&verifier, &["right", "crash", "wrong", "crash 2", "right 2"]);
    let expected =
        [Ok(Some(true)), Err("crashed"), Ok(Some(false)), Err("crashed"), Ok(Some(true))];
    assert_eq!(verdicts(&found), expected);
    assert_eq!(found[1].undecided(), "verifier_crashed");
}

#[test]
fn a_process_that_answers_once_and_ends_is_started_again() {
    let once = r#"IFS= read -r line; id=${line#*\"id\":}; id=${id%%,*}
        printf '{"id":%s,"correct":true}\n' "$id""#;
    let verifier = start(once);
    for text in ["a", "b", "c"] {
        assert_eq!(verdicts(&ask(&verifier, &[text])), [Ok(Some(true))]);
    }
}

#[test]
fn a_flood_ends_the_process_and_not_the_run() {
    let endless = "*flood*) head -c 3000000 /dev/zero | tr '\\0' x; say true ;;";
    let lines = "*flood*) yes; say true ;;";
    for flood in [endless, lines] {
        let verifier = start(&script(flood));
        let found = ask(&verifier, &["right", "flood", "wrong"]);
        assert_eq!(verdicts(&found), [Ok(Some(true)), Err("crashed"), Ok(Some(false))]);
    }
}

#[test]
fn noise_between_replies_is_passed_over() {
    let verifier = start(&script("*noise*) echo loading; echo '[1]'; echo '{}'; say true ;;"));
    assert_eq!(verdicts(&ask(&verifier, &["noise"])), [Ok(Some(true))]);
}

#[test]
fn a_lie_about_an_id_ends_the_run_and_is_named() {
    let lies = "*lie*) id=99; say true ;;";
    let verifier = start(&script(lies));
    assert_eq!(verdicts(&ask(&verifier, &["right"])), [Ok(Some(true))]);
    assert_eq!(verdicts(&ask(&verifier, &["lie"])), [Err("stopped")]);
    let failure = verifier.failure().expect("has failed");
    assert!(failure.contains("id 99, which was never asked (open: 1)"), "{failure}");
    // Findings so far are kept, and no more requests are sent.
    assert_eq!(verdicts(&ask(&verifier, &["right", "new"])), [Ok(Some(true)), Err("stopped")]);
}

#[test]
fn a_second_answer_to_a_request_ends_the_run() {
    let verifier = start(&script("*twice*) say true; say false ;;"));
    ask(&verifier, &["twice"]);
    // The second answer may arrive only after this program has continued.
    for n in 0..100 {
        ask(&verifier, &[&format!("right {n}")]);
    }
    let failure = verifier.failure().expect("has failed");
    assert!(failure.contains("answered id 0, which was answered before"), "{failure}");
}

#[test]
fn a_command_that_never_answers_ends_the_run() {
    let ends_later = "sleep 0.3; exit 1";
    let closes_its_input = "exec <&-; sleep 0.3";
    for command in [ends_later, closes_its_input, "sleep 60"] {
        let verifier = impatient(command);
        assert_eq!(verdicts(&ask(&verifier, &["right"])), [Err("stopped")], "{command}");
        let failure = verifier.failure().expect("has failed");
        assert!(failure.contains("failed 5 times in a row") && failure.contains("judges.md"));
    }
}

#[test]
fn a_command_that_does_not_exist_is_told_at_the_start() {
    let error = CommandVerifier::start(options("no-such-verifier-command")).err().expect("fails");
    assert!(matches!(error, VerifyError::Command { .. }));
    assert!(error.to_string().contains("no-such-verifier-command` ended at once"), "{error}");
}

#[test]
fn what_the_process_started_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let alive = dir.path().join("alive");
    let beat = format!("(while :; do touch {}; sleep 0.05; done) & ", alive.display());
    drop(impatient(&format!("{beat} cat > /dev/null; wait")));
    std::thread::sleep(Duration::from_millis(300));
    let _ = std::fs::remove_file(&alive);
    std::thread::sleep(Duration::from_millis(300));
    assert!(!alive.exists(), "a child of the command is still running");
}

#[test]
fn stderr_is_passed_on_and_bounded() {
    let talks = "*talk*) echo 'one line' >&2; yes | head -n 5000 >&2; \
                 head -c 100000 /dev/zero | tr '\\0' z >&2; say true ;;";
    let notes = Arc::<Mutex<Vec<String>>>::default();
    let kept = notes.clone();
    let log = Arc::new(move |text: &str| kept.lock().unwrap().push(text.to_owned()));
    let verifier =
        CommandVerifier::start(CommandOptions { log, ..options(&script(talks)) }).unwrap();
    assert_eq!(verdicts(&ask(&verifier, &["talk"])), [Ok(Some(true))]);
    drop(verifier);
    // The thread that reads stderr ends a moment after the process.
    let waited = Instant::now();
    while notes.lock().unwrap().len() < 201 && waited.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let notes = notes.lock().unwrap();
    assert_eq!(notes[0], "verifier: one line");
    assert_eq!(notes.len(), 201, "{:?}", notes.last());
    assert!(notes.iter().all(|note| note.len() < 1100));
}

#[test]
fn findings_are_kept_by_content_and_faults_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let (path, asked) = (dir.path().join("verdicts.jsonl"), dir.path().join("asked"));
    let counts =
        script(&format!("*crash*) exit 1 ;; *) echo x >> {} ; say true ;;", asked.display()));
    let options = || CommandOptions { verdicts: Some(path.clone()), ..options(&counts) };
    let count = || std::fs::read_to_string(&asked).map_or(0, |text| text.len() / 2);
    let first = CommandVerifier::start(options()).unwrap();
    let found = ask(&first, &["a", "b", "a", "crash"]);
    assert_eq!((count(), verdicts(&found)[3]), (2, Err("crashed")));
    drop(first);
    // A truncated row is requested again, and so is a finding without a verdict.
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2);
    std::fs::write(&path, &text[..text.len() - 9]).unwrap();
    let second = CommandVerifier::start(options()).unwrap();
    assert_eq!(ask(&second, &["a", "b", "a"]), found[..3]);
    assert_eq!(count(), 3);
    drop(second);
    // Findings of another command are not used.
    let other = CommandOptions { command: script(""), ..options() };
    let third = CommandVerifier::start(other).unwrap();
    assert_eq!(verdicts(&ask(&third, &["a"])), [Ok(None)]);
}

#[test]
fn many_threads_share_one_process() {
    let verifier = start(&script(""));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let verifier = &verifier;
            scope.spawn(move || {
                for n in 0..20 {
                    let (right, wrong) =
                        (format!("right {thread} {n}"), format!("wrong {thread} {n}"));
                    let found = ask(verifier, &[&right, &wrong]);
                    assert_eq!(verdicts(&found), [Ok(Some(true)), Ok(Some(false))]);
                }
            });
        }
    });
}
