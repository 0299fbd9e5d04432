//! The sample application and its client: as routes, and as two processes.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, StatusCode};
use landfall::cli::sample::serve::{Sample, router};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{Served, landfall, run},
    http::get,
};

fn sample(fault_rate: f64, delay: Duration) -> Sample {
    let (version, pod) = ("v7".to_owned(), "pod-1".to_owned());
    Sample { version, pod, fault_rate, delay, draining: CancellationToken::new() }
}

fn serving(arguments: &[&str]) -> Served {
    let all = [&["sample", "serve", "--listen", "127.0.0.1:0"], arguments].concat();
    Served::start(&mut landfall(&all))
}

fn connection(headers: &HeaderMap) -> Option<&str> {
    headers.get("connection").and_then(|value| value.to_str().ok())
}

#[tokio::test(start_paused = true)]
async fn every_answer_names_the_version_and_the_root_names_the_pod() {
    let routes = router(sample(0.0, Duration::ZERO));
    let (status, headers, body) = get(&routes, "/").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"pod":"pod-1","version":"v7"}"#));
    assert_eq!(
        (&headers["x-version"], &headers["content-type"]),
        (&"v7".parse().unwrap(), &"application/json".parse().unwrap())
    );
    let (status, headers, body) = get(&routes, "/healthz").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "ok\n"));
    assert_eq!(headers["x-version"], "v7");
}

#[tokio::test(start_paused = true)]
async fn faults_hit_requests_and_health_checks_alike_at_the_rate_asked_for() {
    for path in ["/", "/healthz"] {
        let always = router(sample(1.0, Duration::ZERO));
        let half = router(sample(0.5, Duration::ZERO));
        let mut faults = 0;
        for _ in 0..1_000 {
            let (status, headers, _) = get(&always, path).await;
            assert_eq!((status, &headers["x-version"]), (StatusCode::SERVICE_UNAVAILABLE, &"v7".parse().unwrap()));
            faults += usize::from(get(&half, path).await.0 == StatusCode::SERVICE_UNAVAILABLE);
        }
        // Six standard deviations either way: once in half a billion runs.
        assert!((405..=595).contains(&faults), "{faults} of 1000 at {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_takes_as_long_as_asked_for() {
    let routes = router(sample(0.0, Duration::from_millis(700)));
    let start = tokio::time::Instant::now();
    get(&routes, "/").await;
    let took = start.elapsed();
    assert!((700..710).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_draining_sample_answers_and_asks_for_another_connection() {
    let sample = sample(0.0, Duration::ZERO);
    let routes = router(sample.clone());
    assert_eq!(connection(&get(&routes, "/").await.1), None);
    sample.draining.cancel();
    let (status, headers, _) = get(&routes, "/").await;
    assert_eq!((status, connection(&headers)), (StatusCode::OK, Some("close")));
}

#[test]
fn serve_and_get_understand_each_other() {
    let served = serving(&["--version", "v2"]);
    assert!(served.get("/", 200).starts_with("200 OK\n{\"pod\":"), "{}", served.get("/", 200));
    assert!(served.get("/", 200).contains("\"version\":\"v2\""));
    assert_eq!(served.get("/nowhere", 404), "404 Not Found\n\n");
    let failing = serving(&["--fault-rate", "1"]);
    assert_eq!(failing.get("/healthz", 503), "503 Service Unavailable\nfault on demand\n");
}

#[test]
fn a_served_sample_drains_after_sigterm_and_ends_well() {
    let mut served = serving(&["--drain", "1500ms"]);
    served.terminate();
    let start = Instant::now();
    served.wait_for("draining");
    assert!(served.get("/", 200).contains("\"version\":\"v1\""));
    assert_eq!(served.exit_code(), 0);
    assert!(start.elapsed() >= Duration::from_millis(1_400), "{:?}", start.elapsed());
}

#[test]
fn get_says_why_it_failed() {
    let served = serving(&["--delay", "5s"]);
    let slow = format!("http://{}/", served.address);
    let failing = serving(&["--fault-rate", "1"]);
    let fault = format!("http://{}/", failing.address);
    let cases = [
        (vec!["http://127.0.0.1:1/"], "http://127.0.0.1:1/ could not be reached: ", ""),
        (vec!["https://127.0.0.1:1/"], "https is not supported here; use an http:// URL", ""),
        (vec!["127.0.0.1"], "127.0.0.1 is not a URL; one looks like http://host:8080/path", ""),
        (vec![&slow, "--timeout", "100ms"], "/ did not answer within 0.1 s", ""),
        (vec![&fault], "/ answered 503 Service Unavailable, expected 200 OK", "503 Service Unavailable\nfault"),
    ];
    for (arguments, words, output) in cases {
        let (code, stdout, stderr) = run(&mut landfall(&[&["sample", "get"], arguments.as_slice()].concat()));
        assert!(code == 1 && stderr.starts_with("error: ") && stderr.contains(words), "{code}: {stderr}");
        assert!(stderr.lines().count() == 1 && stdout.starts_with(output), "{stderr}{stdout}");
    }
}

#[test]
fn load_counts_answers_by_version_and_sends_exactly_what_was_asked() {
    let served = serving(&["--version", "v2"]);
    let url = format!("http://{}/", served.address);
    let asked = ["sample", "load", &url, "--requests", "300", "--concurrency", "7"];
    let (code, stdout, stderr) = run(&mut landfall(&asked));
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.starts_with("300 requests in ") && stdout.contains("0 failed"), "{stdout}");
    assert!(stdout.contains("v2                300  100.0 %"), "{stdout}");
}

#[test]
fn load_fails_when_a_request_did_and_says_why() {
    let failing = serving(&["--fault-rate", "1"]);
    let fault = format!("http://{}/", failing.address);
    let slow = serving(&["--delay", "5s"]);
    let late = format!("http://{}/", slow.address);
    let cases = [
        (vec![fault.as_str()], "status 503 Service Unavailable: fault on demand", "20 failed"),
        (vec![&late, "--timeout", "50ms"], "no answer within 0.05 s", "20 failed"),
        (vec!["http://127.0.0.1:1/"], "Connection refused", "20 failed"),
        (vec!["https://127.0.0.1:1/"], "is not an http:// URL", ""),
    ];
    for (arguments, words, output) in cases {
        let asked = [&["sample", "load", "--requests", "20"], arguments.as_slice()].concat();
        let (code, stdout, stderr) = run(&mut landfall(&asked));
        assert!(code == 1 && stderr.starts_with("error: ") && stderr.contains(words), "{code}: {stderr}");
        assert!(stdout.contains(output), "{stdout}");
    }
}

#[test]
fn load_is_no_faster_than_the_rate_asked_for() {
    let served = serving(&[]);
    let url = format!("http://{}/", served.address);
    let start = Instant::now();
    // The first request of each worker is due at once, so 60 requests of 3 workers take 19 intervals of 15 ms.
    let asked = ["sample", "load", &url, "--requests", "60", "--concurrency", "3", "--rate", "200"];
    let (code, stdout, _) = run(&mut landfall(&asked));
    assert_eq!(code, 0, "{stdout}");
    assert!(start.elapsed() >= Duration::from_millis(280), "{:?}", start.elapsed());
}

#[test]
fn load_goes_on_until_it_is_stopped_and_tells_windows_and_total_as_json() {
    let served = serving(&["--version", "v2"]);
    let url = format!("http://{}/", served.address);
    let asked = ["sample", "load", &url, "--until-stopped", "--rate", "200", "--every", "50ms", "--output", "json"];
    let mut load = landfall(&asked).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(load.stdout.take().unwrap()).lines();
    let mut windows: Vec<Value> =
        (0..3).map(|_| serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap()).collect();
    assert!(Command::new("kill").args(["-TERM", &load.id().to_string()]).status().unwrap().success());
    windows.extend(lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap()));
    assert!(load.wait().unwrap().success());

    let total = windows.pop().unwrap()["total"].take();
    let sent: u64 = windows.iter().map(|line| line["window"]["sent"].as_u64().unwrap()).sum();
    assert!(sent > 0 && total["sent"] == sent, "{total} {windows:?}");
    assert_eq!((&total["failed"], &total["answeredByVersion"]), (&json!(0), &json!({"v2": sent})));
    for pair in windows.windows(2) {
        assert_eq!(pair[0]["window"]["to"], pair[1]["window"]["from"], "a gap between windows");
    }
}

#[test]
fn load_tells_which_version_failed() {
    let failing = serving(&["--fault-rate", "1", "--version", "v3"]);
    let url = format!("http://{}/", failing.address);
    let (code, stdout, _) = run(&mut landfall(&["sample", "load", &url, "--requests", "20", "-o", "json"]));
    let total = serde_json::from_str::<Value>(&stdout).unwrap()["total"].take();
    assert_eq!((code, &total["failed"], &total["failedByVersion"]), (1, &json!(20), &json!({"v3": 20})), "{total}");
    assert_eq!(total["firstFailure"], "status 503 Service Unavailable: fault on demand");
}
