//! What a check asks, and what an answer means.

use std::time::Duration;

use landfall::{
    analysis::{
        HEALTH,
        answer::{BODY_MAX, ProbeError, Reply, unanswered},
        expression::{Answer, EvaluationError, compile},
        health_check,
        http::{Invalid, Names, Request, ServiceAddress, request},
        judge::judge,
    },
    api::check::Check,
    engine::verdict::Measurement,
};
use serde_json::{Value, json};

fn check(spec: Value) -> Check {
    serde_json::from_value(spec).unwrap()
}

fn asking(url: &str) -> Check {
    check(json!({"name": "up", "http": {"url": url}}))
}

fn service() -> ServiceAddress {
    ServiceAddress { host: "shop-candidate.shop.svc".to_owned(), address: "10.96.3.4".parse().ok(), port: 8080 }
}

fn of(check: &Check) -> Result<Request, Invalid> {
    request(check, &Names { candidate: Some(&service()) })
}

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, body: body.as_bytes().to_vec(), duration: Duration::from_millis(42) }
}

fn judged(success: &str, status: u16, body: &str) -> Measurement {
    judge(&check(json!({"name": "up", "http": {"url": "http://x"}, "success": success})), &reply(status, body))
}

fn failure(words: &str) -> Measurement {
    Measurement::Failure(words.to_owned())
}

#[test]
fn the_candidates_service_is_asked_at_its_own_address_and_port() {
    let table = [
        ("http://{{candidate.service}}/healthz", "shop-candidate.shop.svc:8080", "/healthz", Some(8080)),
        ("http://{{ candidate.service }}", "shop-candidate.shop.svc:8080", "/", Some(8080)),
        ("http://{{candidate.service}}:80/", "shop-candidate.shop.svc", "/", Some(80)),
        ("http://{{candidate.service}}:9090/a?b=c#d", "shop-candidate.shop.svc:9090", "/a?b=c", Some(9090)),
        ("https://{{candidate.service}}/", "shop-candidate.shop.svc:8080", "/", Some(8080)),
        ("http://shop-candidate.shop.svc/", "shop-candidate.shop.svc:8080", "/", Some(8080)),
        ("http://other.shop.svc/{{candidate.service}}", "other.shop.svc", "/shop-candidate.shop.svc", None),
        ("https://[fd00::5]:8443/", "[fd00::5]:8443", "/", None),
    ];
    for (url, authority, path, port) in table {
        let request = of(&asking(url)).unwrap();
        assert_eq!((request.target.authority().as_str(), request.target.path().as_str()), (authority, path), "{url}");
        assert_eq!(request.connect_to().map(|(_, port)| port), port, "{url}");
        assert_eq!(request.asks_candidate(), port.is_some(), "{url}");
    }
}

#[test]
fn an_address_that_cannot_be_asked_is_refused_with_the_remedy() {
    let table = [
        ("http://{{stable.service}}/", "url: there is no placeholder {{stable.service}}: use {{candidate.service}}"),
        ("http://{{candidate.service/", "url: {{ is without }}: close the placeholder"),
        ("http://me@x/", "url: a user and password may not stand in it"),
        ("http://:hush@x/", "url: a user and password may not stand in it"),
        ("ftp://x/", "url: ftp is not asked: write http or https"),
        ("http://x:0/", "url: invalid port number"),
        ("http://x:99999/", "url: invalid port number"),
        ("http://a b/", "url: invalid"),
        ("nowhere", "url: relative URL without a base"),
    ];
    for (url, words) in table {
        let error = of(&asking(url)).unwrap_err().to_string();
        assert!(error.starts_with(words), "{url}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
    let none = request(&asking("http://{{candidate.service}}/"), &Names::default());
    assert_eq!(none.unwrap_err(), Invalid::NoService);
    assert_eq!(of(&check(json!({"name": "up"}))).unwrap_err(), Invalid::Provider);
}

#[test]
fn headers_of_the_connection_and_no_time_to_wait_are_refused() {
    let with = |name: &str, timeout: &str| {
        let header = json!({"name": name, "secret": {"name": "s", "key": "k"}});
        of(&check(json!({"name": "up", "http": {"url": "http://x", "headers": [header], "timeout": timeout}})))
    };
    for name in ["Host", "connection", "Content-Length", "TRANSFER-ENCODING"] {
        assert_eq!(with(name, "1s").unwrap_err().to_string(), format!("headers: {name} cannot be set: remove it"));
    }
    let fine = with("Authorization", "2m").unwrap();
    assert_eq!((fine.headers[0].0.as_str(), fine.headers[0].1.key.as_str()), ("authorization", "k"));
    assert_eq!(fine.timeout, Duration::from_mins(1), "the longest wait");
    assert_eq!(of(&asking("http://x")).unwrap().timeout, Duration::from_secs(5));
    assert_eq!(with("a", "0s").unwrap_err(), Invalid::Timeout);
}

#[test]
fn a_redirect_is_an_address_like_any_other_and_takes_no_secret_elsewhere() {
    let header = json!({"name": "Authorization", "secret": {"name": "s", "key": "k"}});
    let start =
        of(&check(json!({"name": "up", "http": {"url": "http://{{candidate.service}}/a/b", "headers": [header]}})));
    let start = start.unwrap();
    let table = [
        ("/c", "shop-candidate.shop.svc:8080", "/c", 1),
        ("c", "shop-candidate.shop.svc:8080", "/a/c", 1),
        ("http://shop-candidate.shop.svc:8080/", "shop-candidate.shop.svc:8080", "/", 1),
        ("http://shop-candidate.shop.svc/", "shop-candidate.shop.svc", "/", 0),
        ("https://shop-candidate.shop.svc:8080/", "shop-candidate.shop.svc:8080", "/", 0),
        ("//other.svc/", "other.svc", "/", 0),
    ];
    for (location, authority, path, headers) in table {
        let next = start.follow(location).unwrap();
        assert_eq!((next.target.authority().as_str(), next.target.path().as_str()), (authority, path), "{location}");
        assert_eq!(next.headers.len(), headers, "{location}");
        assert_eq!(next.connect_to().is_some(), authority.starts_with("shop"), "{location}");
    }
    assert!(start.follow("file:///etc/passwd").is_err());
    assert!(start.follow("http://me:hush@shop-candidate.shop.svc/").is_err());
    // Back at the first host, the secret stays where it was dropped.
    assert_eq!(
        start.follow("http://other/").unwrap().follow("http://shop-candidate.shop.svc:8080/").unwrap().headers,
        []
    );
}

#[test]
fn without_expressions_status_and_body_are_as_expected_or_not() {
    let with = |http: Value| check(json!({"name": "up", "http": http}));
    let plain = with(json!({"url": "http://x"}));
    for (status, fits) in [(199, false), (200, true), (204, true), (399, true), (400, false), (503, false)] {
        assert_eq!(judge(&plain, &reply(status, "")) == Measurement::Success, fits, "{status}");
    }
    let exact = with(json!({"url": "http://x", "expectedStatus": [404], "expectedBody": "gone"}));
    assert_eq!(judge(&exact, &reply(404, "it is gone")), Measurement::Success);
    assert_eq!(judge(&exact, &reply(404, "here")), failure("status 404, body \"here\""));
    assert_eq!(judge(&exact, &reply(200, "gone")), failure("status 200, body \"gone\""));
    assert_eq!(
        judge(&health_check("http://x", "5s".parse().unwrap()), &reply(500, "")),
        failure("status 500, body \"\"")
    );
    assert_eq!(health_check("http://x", "5s".parse().unwrap()).name, HEALTH);
}

#[test]
fn a_value_is_shown_on_one_line_and_cut() {
    let Measurement::Failure(shown) = judge(&asking("http://x"), &reply(503, &"a\n\u{1b}[31mb".repeat(100))) else {
        panic!("a 503 is a failure")
    };
    assert_eq!(shown.chars().count(), 200);
    assert!(shown.starts_with("status 503, body \"a  [31mba") && shown.ends_with("…\""), "{shown}");
    assert!(shown.chars().all(|c| !c.is_control()));
    let broken = Reply { body: vec![0xff, 0xfe], ..reply(503, "") };
    assert_eq!(judge(&asking("http://x"), &broken), failure("status 503, body \"\u{fffd}\u{fffd}\""));
    let cut = Reply { body: vec![b'x'; BODY_MAX + 1], ..reply(200, "") };
    assert_eq!(
        judge(&check(json!({"name": "n", "http": {"url": "http://x"}, "success": "size(body) == 65536"})), &cut),
        Measurement::Success
    );
}

#[test]
fn expressions_see_status_body_json_and_time() {
    let body = r#"{"ready": true, "rate": 0.5, "count": 3, "items": [{"name": "a", "up": true}], "none": null}"#;
    let hold = [
        "status == 200 && durationMs == 42",
        "body.contains('ready')",
        "json.ready",
        "json['count'] == 3 && json.count > 2.5 && json.rate < 1",
        "json.items.all(i, i.up) && json.items.exists(i, i.name == 'a')",
        "json.items.map(i, i.name) == ['a']",
        "json.items.filter(i, i.up).size() == 1",
        "['ready', 'rate'].all(key, key in json)",
        "['a'].all(name, json.items.exists(i, i.name == name))",
        "has(json.ready) && !has(json.other)",
        "json.none == null",
        "body.matches('^[^x]*$')",
        "status == 200 || json.nothing",
    ];
    for text in hold {
        assert_eq!(judged(text, 200, body), Measurement::Success, "{text}");
    }
    let shown = judged("json.rate > 1", 200, body);
    assert!(matches!(&shown, Measurement::Failure(words) if words.starts_with("status 200, body \"{")), "{shown:?}");
}

#[test]
fn an_expression_that_cannot_be_evaluated_decides_nothing_and_says_why() {
    let table = [
        ("json.other", "the expression cannot be evaluated: there is no key other"),
        // The interpreter would select `false` from what is no map, and call it a success.
        ("!json.ready.deeper", "the expression cannot be evaluated: the types do not fit together"),
        ("!json.items.up", "the expression cannot be evaluated: int|uint is needed where string was found"),
        ("json.items[1].up", "the expression cannot be evaluated: the list is shorter than the index"),
        ("status + 1", "the expression gives int, not true or false: compare it with something"),
        ("status > 'a'", "the expression cannot be evaluated: the types do not fit together"),
        ("body.matches('(')", "the expression cannot be evaluated: Error executing function 'matches': the pattern is"),
        ("status == ", "\"status == \" is not CEL: write one such as status == 200"),
        ("up", "there is no variable up: use status, body, json or durationMs"),
    ];
    for (text, words) in table {
        let measured = judged(text, 200, r#"{"ready": true, "items": [{"up": true}]}"#);
        assert!(matches!(&measured, Measurement::Unknown(said) if said.starts_with(words)), "{text}: {measured:?}");
    }
}

#[test]
fn json_that_is_none_is_a_failure_and_an_empty_body_is_no_data() {
    for text in ["json.ready", "!json.ready", "json == null", "json.items.all(i, i.up)", "!has(json.failed)"] {
        let measured = judged(text, 502, "<html>Bad Gateway");
        assert_eq!(measured, failure("not JSON, status 502, body \"<html>Bad Gateway\""), "{text}");
        assert_eq!(judged(text, 200, " \n"), Measurement::NoData, "{text}");
    }
    assert_eq!(judged("status == 404 || json.ready", 404, "gone"), Measurement::Success);
}

#[test]
fn failure_is_asked_first_and_without_success_the_rest_says_nothing() {
    let both = |success: Option<&str>, failure: &str| {
        let mut spec = json!({"name": "up", "http": {"url": "http://x"}, "failure": failure});
        if let Some(success) = success {
            spec["success"] = json!(success);
        }
        judge(&check(spec), &reply(200, "5"))
    };
    assert_eq!(both(Some("true"), "json > 4"), failure("status 200, body \"5\""));
    assert_eq!(both(Some("json < 6"), "json > 9"), Measurement::Success);
    assert_eq!(both(Some("json < 2"), "json > 9"), Measurement::NoData);
    assert_eq!(both(None, "json > 9"), Measurement::Success, "the status is expected");
}

#[test]
fn a_candidate_that_does_not_answer_fails_and_another_host_is_unknown_unless_the_spec_says() {
    let refused = ProbeError::Broken("connection refused".to_owned());
    let measured = |url: &str, no_data: Option<&str>, error: &ProbeError| {
        let mut check = asking(url);
        check.no_data = no_data.map(|word| serde_json::from_value(json!(word)).unwrap());
        unanswered(&check, &of(&check).unwrap(), error)
    };
    let (own, other) = ("http://{{candidate.service}}/", "http://metrics.svc/");
    let words = "no answer: connection refused";
    assert_eq!(measured(own, None, &refused), failure(words));
    assert_eq!(measured(other, None, &refused), Measurement::Unknown(words.to_owned()));
    for url in [own, other] {
        assert_eq!(measured(url, Some("Wait"), &refused), Measurement::Unknown(words.to_owned()));
        assert_eq!(measured(url, Some("Pass"), &refused), Measurement::NoData);
        assert_eq!(measured(url, Some("Fail"), &refused), failure(words));
        let forbidden = measured(url, Some("Wait"), &ProbeError::Forbidden("localhost".to_owned()));
        assert!(matches!(forbidden, Measurement::Failure(said) if said.starts_with("localhost is not asked")));
    }
    assert_eq!(ProbeError::TimedOut(5000).to_string(), "nothing within 5s");
}

#[test]
fn expressions_whose_cost_has_no_bound_are_refused() {
    let deep = "json.all(a, a.b.all(c, c.d.all(e, e)))";
    let doubling = "['x'].map(a, a + a).map(a, a + a).size() == 1";
    let table = [
        (deep, "all, exists, filter and map may stand in each other at most 2 deep"),
        (doubling, "the comprehension over a walks over a computed list"),
        ("[json].all(a, a == json)", "the comprehension over a walks over a computed list"),
        ("json.all(json, json)", "json is taken"),
        ("json.items.all(a, a.b.all(a, a))", "a is taken"),
        ("Thing{a: 1} == 2", "objects of a type, Thing{}, cannot be made here"),
        ("body.lowerAscii() == 'a'", "there is no function lowerAscii"),
    ];
    for (text, words) in table {
        let error = compile(text).unwrap_err().to_string();
        assert!(error.starts_with(words), "{text}: {error}");
    }
    assert!(compile(&"1".repeat(1025)).is_err());
    compile("json.items.all(a, a.parts.all(b, b.up))").unwrap();
}

#[test]
fn an_answer_that_would_cost_too_much_is_not_evaluated() {
    let zeros = Value::from(vec![0; 30_000]);
    let items = json!({"items": vec![json!({"name": "abcdef", "status": "ok", "parts": [1, 2, 3]}); 500]});
    let cost = |text: &str, json: &Value| {
        let body = json.to_string();
        compile(text).unwrap().evaluate(Answer { status: 200, body: &body, json: Some(json), duration_ms: 1 })
    };
    for text in [
        "json.all(a, json.all(b, a == b))",
        "json.all(a, json == json)",
        "json.all(a, body.contains('1'))",
        "json.all(a, body.matches('1'))",
        "json.filter(a, true).size() == 0",
        "json.map(a, json).size() == 0",
        "json.all(a, 'x'.matches('(a{50}){50}'))",
        "[json, json, json, json, json, json].size() == 6",
        "(json + json + json + json + json + json).size() == 6",
        "{1: json, 2: json, 3: json, 4: [json, json], 5: json}.size() == 5",
        "[1, 2, 3, 4, 5].map(a, json).size() == 5",
    ] {
        assert_eq!(cost(text, &zeros), Err(EvaluationError::TooCostly), "{text}");
    }
    for text in [
        "json.items.all(i, i.status == 'ok')",
        "json.items.filter(i, i.name.matches('^abc')).size() == 500",
        "json.items.map(i, i.name).size() == 500",
        "json.items.all(i, i.parts.all(part, part > 0))",
        "json.items.all(i, i.parts.filter(part, part > 1).size() == 2)",
        "json.items.filter(i, i.parts.exists(part, part > 1)).size() == 500",
        "(json.items + json.items).size() == 1000 && [json.items, json.items].size() == 2",
        "json.items.all(i, ['a', 'abcdef'].exists(name, name == i.name))",
    ] {
        assert_eq!(cost(text, &items), Ok(true), "{text}");
    }
}

#[test]
fn a_pattern_that_compiles_to_too_much_is_refused() {
    let matched = |pattern: &str| judged(&format!("body.matches(r'{pattern}')"), 200, "abc 123");
    assert_eq!(matched(r"^\w{1,20} \d+$"), Measurement::Success);
    let refused = matched("(a{1000}){1000}");
    assert!(matches!(&refused, Measurement::Unknown(words) if words.contains("too large")), "{refused:?}");
}

/// The parser's stack would overflow, which ends the process: a test that fails here does not say so.
#[test]
fn an_expression_that_is_too_deep_is_refused_before_it_is_parsed() {
    let chain = |start: &str, again: &str, count: usize, end: &str| format!("{start}{}{end}", again.repeat(count));
    let deep = [
        chain("", "(", 1000, ""),
        chain("", "(", 300, "1") + &")".repeat(300),
        chain("", "[", 10, "") + &"]".repeat(10),
        chain("", "{1:", 100, "1") + &"}".repeat(100),
        chain("1", "+1", 400, ""),
        chain("1", ">1", 400, ""),
        chain("json", ".a", 400, ""),
        chain("json", "[0]", 300, ""),
        chain("", "true?1:", 140, "1"),
        chain("1", " in 1", 100, ""),
    ];
    for text in deep {
        let words = "the expression is nested too deeply: use fewer brackets, or split the check in two";
        assert_eq!(compile(&text).unwrap_err().to_string(), words, "{text}");
    }
    // Brackets that the parser sees and a careless scan would not.
    for start in ["'\n", "'\\q", "r'\\'", "b'", "'''", "`", "x'", "\""] {
        assert!(compile(&chain(start, "(", 900, "")).is_err(), "{start}");
    }
    let wide = chain("true", " && (json.a.b[0] == 'x' || size(json.c) > 2)", 20, "");
    compile(&wide).unwrap();
    compile("json.a.all(a, a.b.all(b, (b.x == 1 || size(b.list[0].c) > 2)))").unwrap();
    compile(r#"body == "it's (" && body != 'say \'(((((((((((\''"#).unwrap();
}

#[test]
fn the_deepest_json_is_evaluated() {
    let body = "[".repeat(127) + &"]".repeat(127);
    let [a, b] = ["json == json", "size(json.map(a, a)) == 1"].map(|text| judged(text, 200, &body));
    assert_eq!((a, b), (Measurement::Success, Measurement::Success));
    let deeper = judged("json == 1", 200, &"[".repeat(5000));
    assert!(matches!(&deeper, Measurement::Failure(words) if words.starts_with("not JSON")), "{deeper:?}");
}
